//! A phone's view: a CardDAV client with an app password, and answers that can be asked about.

use meari::dav::xml::{self, Element};
use meari::dav::{Name, href};
use reqwest::Method;
use serde_json::json;

use super::Person;

/// Credentials of one device.
#[derive(Clone)]
pub struct Device {
    pub base: String,
    pub username: String,
    pub password: String,
    http: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub struct DavAnswer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

/// One `response` of a multistatus.
#[derive(Debug, Clone)]
pub struct Item {
    pub href: String,
    /// Its own status, when it has no properties.
    pub status: Option<u16>,
    element: Element,
}

/// Makes an app password over the front door.
pub async fn device(person: &Person, label: &str) -> Device {
    let answer = person.post("/v1/me/app-passwords", json!({ "label": label })).await.expect(201);
    Device {
        base: person.base.clone(),
        username: answer["username"].as_str().unwrap().to_owned(),
        password: answer["password"].as_str().unwrap().to_owned(),
        http: reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap(),
    }
}

pub const NAMESPACES: &str =
    "xmlns='DAV:' xmlns:C='urn:ietf:params:xml:ns:carddav' xmlns:CS='http://calendarserver.org/ns/'";

/// A card with a UID and lines of one's own.
pub fn card(uid: &str, name: &str, more: &str) -> String {
    format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\n{more}END:VCARD\r\n")
}

impl Device {
    pub async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> DavAnswer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.base))
            .basic_auth(&self.username, Some(&self.password))
            .body(body.to_vec());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = String::from_utf8(response.bytes().await.unwrap().to_vec()).unwrap();
        DavAnswer { status, headers, body }
    }

    pub fn home(&self) -> String {
        format!("/dav/addressbooks/{}/", self.username)
    }

    pub fn book(&self, slug: &str) -> String {
        format!("{}{slug}/", self.home())
    }

    pub async fn propfind(&self, path: &str, depth: &str, props: &str) -> DavAnswer {
        let body = format!("<propfind {NAMESPACES}><prop>{props}</prop></propfind>");
        self.send("PROPFIND", path, &[("depth", depth)], body.as_bytes()).await
    }

    pub async fn report(&self, path: &str, root: &str, inner: &str) -> DavAnswer {
        let body = format!("<{root} {NAMESPACES}>{inner}</{root}>");
        let depth = if root.starts_with("C:") { "1" } else { "0" };
        self.send("REPORT", path, &[("depth", depth)], body.as_bytes()).await
    }

    pub async fn sync(&self, path: &str, token: &str, more: &str) -> DavAnswer {
        let inner = format!(
            "<sync-token>{token}</sync-token><sync-level>1</sync-level>{more}<prop><getetag/></prop>"
        );
        self.report(path, "sync-collection", &inner).await
    }

    pub async fn put(&self, path: &str, body: &str, headers: &[(&str, &str)]) -> DavAnswer {
        let mut all = vec![("content-type", "text/vcard; charset=utf-8")];
        all.extend_from_slice(headers);
        self.send("PUT", path, &all, body.as_bytes()).await
    }

    pub async fn get(&self, path: &str) -> DavAnswer {
        self.send("GET", path, &[], b"").await
    }

    pub async fn delete(&self, path: &str, headers: &[(&str, &str)]) -> DavAnswer {
        self.send("DELETE", path, headers, b"").await
    }
}

impl DavAnswer {
    #[track_caller]
    pub fn expect(self, status: u16) -> DavAnswer {
        assert_eq!(self.status, status, "{:?} {}", self.headers, self.body);
        self
    }

    /// A refusal with this precondition element in it.
    #[track_caller]
    pub fn refused(self, status: u16, precondition: &Name) -> DavAnswer {
        let answer = self.expect(status);
        let root = xml::parse(answer.body.as_bytes()).unwrap();
        assert!(root.is_dav("error") && root.names().any(|n| n == precondition), "{}", answer.body);
        answer
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn root(&self) -> Element {
        xml::parse(self.body.as_bytes()).unwrap_or_else(|e| panic!("{e:?}: {}", self.body))
    }

    pub fn token(&self) -> String {
        self.root().dav("sync-token").unwrap_or_else(|| panic!("no token: {}", self.body)).text()
    }

    pub fn items(&self) -> Vec<Item> {
        let root = self.root();
        let status =
            |e: &Element| e.dav("status").map(|s| s.text().split(' ').nth(1).unwrap().parse().unwrap());
        root.elements()
            .filter(|e| e.is_dav("response"))
            .map(|e| Item { href: e.dav("href").unwrap().text(), status: status(e), element: e.clone() })
            .collect()
    }

    pub fn item(&self, href: &str) -> Item {
        let found = self.items().into_iter().find(|i| i.href == href);
        found.unwrap_or_else(|| panic!("no {href} in {}", self.body))
    }

    /// Addresses of what is there.
    pub fn present(&self) -> Vec<String> {
        self.items().into_iter().filter(|i| i.status.is_none()).map(|i| i.href).collect()
    }

    /// Addresses of what is gone.
    pub fn gone(&self) -> Vec<String> {
        self.items().into_iter().filter(|i| i.status == Some(404)).map(|i| i.href).collect()
    }
}

impl Item {
    /// A property's element under a status.
    pub fn prop(&self, status: u16, name: &Name) -> Option<Element> {
        let line = format!("HTTP/1.1 {status} ");
        let has_status = |e: &&Element| e.dav("status").is_some_and(|s| s.text().starts_with(&line));
        let propstats = self.element.elements().filter(|e| e.is_dav("propstat")).filter(has_status);
        propstats
            .filter_map(|p| p.dav("prop"))
            .flat_map(|p| p.elements())
            .find(|e| e.name.as_ref() == Some(name))
            .cloned()
    }

    pub fn text(&self, name: &Name) -> Option<String> {
        self.prop(200, name).map(|e| e.text())
    }

    pub fn etag(&self) -> String {
        self.text(&Name::dav("getetag")).unwrap()
    }

    pub fn card(&self) -> String {
        self.text(&Name::carddav("address-data")).unwrap()
    }

    /// Whether it has nothing under a status.
    pub fn has_status(&self, status: u16) -> bool {
        let line = format!("HTTP/1.1 {status} ");
        self.element.elements().filter_map(|p| p.dav("status")).any(|s| s.text().starts_with(&line))
    }
}

/// The last segment of an address, decoded.
pub fn name_of(address: &str) -> String {
    href::parse(address).unwrap().segments.last().unwrap().clone()
}

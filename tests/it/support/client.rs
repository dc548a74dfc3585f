//! Clients as people use them: over HTTP, with every answer checked against the OpenAPI document.

use std::sync::OnceLock;

use reqwest::Method;
use serde_json::{Value, json};

/// An answer and what it was an answer to.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// A problem with this status and code.
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Answer {
        let answer = self.expect(status);
        assert_eq!(answer.body["code"], code, "{}", answer.text);
        assert!(answer.body["request_id"].is_string(), "a problem names its request");
        answer
    }
}

impl std::ops::Index<&str> for Answer {
    type Output = Value;
    fn index(&self, key: &str) -> &Value {
        &self.body[key]
    }
}

/// Somebody at the front door.
#[derive(Clone)]
pub struct Client {
    pub base: String,
    pub token: Option<String>,
    http: reqwest::Client,
}

impl Client {
    pub fn new(base: &str) -> Client {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(std::time::Duration::from_secs(30))
            .build()
            .unwrap();
        Client { base: base.to_owned(), token: None, http }
    }

    pub fn with_token(mut self, token: &str) -> Client {
        self.token = Some(token.to_owned());
        self
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Where the service is.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        check_against_document(&method, path, status, &headers, &body, &text);
        Answer { status, headers, body, text }
    }

    /// Uploads a file.
    pub async fn upload(&self, query: &str, content_type: &str, bytes: Vec<u8>) -> Answer {
        let mut request = self.http.post(format!("{}/v1/media{query}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.header("content-type", content_type).body(bytes).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        check_against_document(&Method::POST, "/v1/media", status, &headers, &body, &text);
        Answer { status, headers, body, text }
    }

    /// Downloads something; the status, the content type and the bytes.
    pub async fn download(&self, path: &str) -> (u16, String, Vec<u8>) {
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.send().await.unwrap();
        let kind = response.headers().get("content-type").map(|v| v.to_str().unwrap().to_owned());
        (response.status().as_u16(), kind.unwrap_or_default(), response.bytes().await.unwrap().to_vec())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }
}

/// Somebody with an account, signed in.
#[derive(Clone)]
pub struct Person {
    pub handle: String,
    pub id: String,
    pub client: Client,
    pub refresh_token: String,
}

impl std::ops::Deref for Person {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";

impl Person {
    pub async fn sign_up(base: &str, handle: &str) -> Person {
        let name = handle[..1].to_uppercase() + &handle[1..];
        let answer = Client::new(base)
            .post("/v1/accounts", json!({ "handle": handle, "password": PASSWORD, "display_name": name }))
            .await
            .expect(201);
        Person {
            handle: handle.to_owned(),
            id: answer["account"]["id"].as_str().unwrap().to_owned(),
            client: Client::new(base).with_token(answer["access_token"].as_str().unwrap()),
            refresh_token: answer["refresh_token"].as_str().unwrap().to_owned(),
        }
    }

    /// For stories that go on for longer than an access token is good.
    pub async fn signs_in_again(&self) -> Person {
        let answer = Client::new(&self.client.base)
            .post("/v1/sessions", json!({ "login": self.handle, "password": PASSWORD }))
            .await
            .expect(200);
        let client = Client::new(&self.client.base).with_token(answer["access_token"].as_str().unwrap());
        let refresh_token = answer["refresh_token"].as_str().unwrap().to_owned();
        Person { client, refresh_token, ..self.clone() }
    }

    /// Changes the refresh token for new tokens: what a client does before its access token ends.
    pub async fn stays_signed_in(&self) -> Person {
        let answer = Client::new(&self.client.base)
            .post("/v1/sessions/refresh", json!({ "refresh_token": self.refresh_token }))
            .await
            .expect(200);
        let client = Client::new(&self.client.base).with_token(answer["access_token"].as_str().unwrap());
        let refresh_token = answer["refresh_token"].as_str().unwrap().to_owned();
        Person { client, refresh_token, ..self.clone() }
    }

    /// Asks to be a friend, and the other accepts. Answers the contact as each of the two sees it: (mine, his).
    pub async fn befriends(&self, other: &Person) -> (String, String) {
        let mine = self
            .post("/v1/contacts", json!({ "address": format!("meari:{}", other.handle) }))
            .await
            .expect(201);
        let requests = other.get("/v1/contacts?state=requested").await.expect(200);
        let asked = requests["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["address"] == format!("meari:{}", self.handle));
        let his = asked.expect("the request arrived")["id"].as_str().unwrap().to_owned();
        other.post(&format!("/v1/contacts/{his}/accept"), json!({})).await.expect(200);
        (mine["id"].as_str().unwrap().to_owned(), his)
    }
}

struct Document {
    paths: Vec<(String, Vec<String>, Value)>,
    root: Value,
}

fn document() -> &'static Document {
    static DOCUMENT: OnceLock<Document> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let root = serde_json::to_value(meari::router::openapi()).unwrap();
        let paths = root["paths"].as_object().unwrap().iter();
        let split = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        let mut paths: Vec<_> = paths.map(|(path, item)| (path.clone(), split(path), item.clone())).collect();
        // Literal segments before parameters, as a router does.
        paths.sort_by_key(|(path, _, _)| path.matches('{').count());
        Document { paths, root }
    })
}

/// Every answer of every story must be one that the document promises.
fn check_against_document(
    method: &Method,
    path: &str,
    status: u16,
    headers: &reqwest::header::HeaderMap,
    body: &Value,
    text: &str,
) {
    let bare = path.split('?').next().unwrap_or(path);
    let segments: Vec<&str> = bare.split('/').collect();
    let fits = |template: &[String]| {
        template.len() == segments.len()
            && template.iter().zip(&segments).all(|(t, s)| t.starts_with('{') || t == s)
    };
    let Some((template, _, item)) = document().paths.iter().find(|(_, t, _)| fits(t)) else {
        return;
    };
    let Some(operation) = item.get(method.as_str().to_lowercase()) else { return };
    let answers = &operation["responses"];
    let class = format!("{}XX", status / 100);
    let promised = answers
        .get(status.to_string())
        .or_else(|| answers.get(class.as_str()))
        .or_else(|| answers.get("default"));
    let Some(promised) = promised else {
        panic!("{method} {template} answered {status}, which its description does not mention: {text}");
    };
    let kind = headers
        .get("content-type")
        .and_then(|v| v.to_str().ok())
        .unwrap_or("")
        .split(';')
        .next()
        .unwrap_or("")
        .to_owned();
    if !kind.ends_with("json") {
        return;
    }
    let Some(schema) = promised["content"].get(&kind).map(|media| &media["schema"]) else { return };
    let mut whole = schema.clone();
    if let Some(map) = whole.as_object_mut() {
        map.insert("components".to_owned(), document().root["components"].clone());
    }
    let validator = jsonschema::validator_for(&whole).unwrap();
    if let Some(fault) = validator.iter_errors(body).next() {
        panic!(
            "{method} {template} answered {status} with something else than described: {fault} at {}: {text}",
            fault.instance_path()
        );
    }
}

//! Getting an account onto a phone: Apple's configuration profile, the link for DAVx⁵, the QR code, the page between.
//!
//! Pure: values in, files out. The profile follows Apple's "Configuration Profile Reference", payload
//! `com.apple.carddav.account`; the link follows DAVx⁵'s "Integrations" manual page (`davx5://user:password@host/path`).

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use super::leaf::{self, escape};
use crate::error::{Error, Result};
use crate::ids::AppPasswordId;
use crate::texts::{Locale, Text};

/// Everything a phone must know.
#[derive(Clone)]
pub struct Setup {
    /// The service's name as people know it.
    pub service_name: String,
    /// Where the server is.
    pub server: Server,
    /// The user name.
    pub username: String,
    /// The app password.
    pub password: String,
    /// Which app password; names the profile, so that installing it anew replaces it.
    pub id: AppPasswordId,
    /// The owner's language.
    pub locale: Locale,
}

/// Where the server is, taken apart as phones want it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `meari.example.org`
    pub host: String,
    /// 443 unless said otherwise.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The path before `/dav/`, without a slash at its end.
    pub prefix: String,
}

impl Server {
    /// Reads the service's public address.
    pub fn parse(public_url: &str) -> Result<Server> {
        let bad = || Error::internal("public_url is not an address that phones can reach");
        let url = reqwest::Url::parse(public_url).map_err(|_| bad())?;
        Ok(Server {
            host: url.host_str().ok_or_else(bad)?.to_owned(),
            port: url.port_or_known_default().ok_or_else(bad)?,
            tls: url.scheme() == "https",
            prefix: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// `host/dav/` or `host:port/dav/`, what follows the scheme in an address.
    fn dav(&self) -> String {
        let Server { host, port, tls, prefix } = self;
        match (port, tls) {
            (443, true) | (80, false) => format!("{host}{prefix}/dav/"),
            _ => format!("{host}:{port}{prefix}/dav/"),
        }
    }
}

/// The profile for iPhones, iPads and Macs.
pub fn profile(setup: &Setup) -> String {
    let Server { host, port, tls, prefix } = &setup.server;
    let name = escape(&setup.service_name);
    let username = escape(&setup.username);
    let identifier = format!("{}.{}", reversed(host), setup.id.0.simple());
    let (outer, inner) = (uuid_of(setup.id, b"profile"), uuid_of(setup.id, b"carddav"));
    let description = escape(&Text::SetupProfileDescription.render(setup.locale));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>PayloadContent</key>
  <array>
    <dict>
      <key>CardDAVAccountDescription</key><string>{name}</string>
      <key>CardDAVHostName</key><string>{host}</string>
      <key>CardDAVPort</key><integer>{port}</integer>
      <key>CardDAVPrincipalURL</key><string>{prefix}/dav/principals/{username}/</string>
      <key>CardDAVUseSSL</key><{tls}/>
      <key>CardDAVUsername</key><string>{username}</string>
      <key>CardDAVPassword</key><string>{password}</string>
      <key>PayloadDescription</key><string>{description}</string>
      <key>PayloadDisplayName</key><string>{name}</string>
      <key>PayloadIdentifier</key><string>{identifier}.carddav</string>
      <key>PayloadType</key><string>com.apple.carddav.account</string>
      <key>PayloadUUID</key><string>{inner}</string>
      <key>PayloadVersion</key><integer>1</integer>
    </dict>
  </array>
  <key>PayloadDescription</key><string>{description}</string>
  <key>PayloadDisplayName</key><string>{name}</string>
  <key>PayloadIdentifier</key><string>{identifier}</string>
  <key>PayloadOrganization</key><string>{name}</string>
  <key>PayloadRemovalDisallowed</key><false/>
  <key>PayloadType</key><string>Configuration</string>
  <key>PayloadUUID</key><string>{outer}</string>
  <key>PayloadVersion</key><integer>1</integer>
</dict>
</plist>
"#,
        host = escape(host),
        prefix = escape(prefix),
        password = escape(&setup.password),
    )
}

/// The link that opens DAVx⁵ on Android with everything filled in.
pub fn davx5_link(setup: &Setup) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    // `davx5` means TLS; without it (a demo on one's own machine) the plain scheme must be named.
    let scheme = if setup.server.tls { "davx5" } else { "carddav" };
    let (username, password) = (encode(&setup.username), encode(&setup.password));
    format!("{scheme}://{username}:{password}@{}", setup.server.dav())
}

/// A QR code as SVG, readable on any background.
pub fn qr_svg(link: &str) -> Result<String> {
    let code = QrCode::with_error_correction_level(link.as_bytes(), EcLevel::M)
        .map_err(|e| Error::caused("a link does not fit a QR code", e))?;
    Ok(code
        .render::<svg::Color<'_>>()
        .min_dimensions(240, 240)
        .quiet_zone(true)
        .dark_color(svg::Color("#000000"))
        .light_color(svg::Color("#ffffff"))
        .build())
}

/// The page that a scanned code opens: one button for each kind of phone, and the data to type in otherwise.
pub fn page(setup: &Setup, profile_link: &str) -> String {
    let text = |text: Text<'_>| escape(&text.render(setup.locale));
    let scheme = if setup.server.tls { "https" } else { "http" };
    let address = escape(&format!("{scheme}://{}", setup.server.dav()));
    let body = format!(
        r#"<p><a class="button primary" href="{profile}">{iphone}</a></p>
<p><a class="button" href="{davx5}">{android}</a></p>
<p>{by_hand}</p>
<dl><dt>CardDAV</dt><dd><code>{address}</code></dd>
<dt>{user}</dt><dd><code>{username}</code></dd>
<dt>{pass}</dt><dd><code>{password}</code></dd></dl>"#,
        profile = escape(profile_link),
        iphone = text(Text::SetupPageApple),
        davx5 = escape(&davx5_link(setup)),
        android = text(Text::SetupPageAndroid),
        by_hand = text(Text::SetupPageByHand),
        user = text(Text::SetupPageUsername),
        pass = text(Text::SetupPagePassword),
        username = escape(&setup.username),
        password = escape(&setup.password),
    );
    leaf::page(setup.locale, &setup.service_name, &Text::SetupPageTitle.render(setup.locale), &body)
}

/// `org.example.meari`, the way Apple names things.
fn reversed(host: &str) -> String {
    let plain: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    plain.split('.').rev().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(".")
}

/// The same profile always has the same UUIDs, as Apple asks of updates.
fn uuid_of(id: AppPasswordId, part: &[u8]) -> String {
    let hash = blake3::keyed_hash(blake3::hash(id.as_bytes()).as_bytes(), part);
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().hyphenated().to_string().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn someone() -> Setup {
        Setup {
            service_name: "Meari & Co".to_owned(),
            server: Server::parse("https://meari.example.org").unwrap(),
            username: "alice".to_owned(),
            password: "abcde-fghjk-mnpqr-stuvw-xyz23".to_owned(),
            id: AppPasswordId::new(crate::clock::Timestamp(1_760_000_000_000_000)),
            locale: Locale::En,
        }
    }

    #[test]
    fn addresses_are_taken_apart() {
        let server = |host: &str, port, tls, prefix: &str| Server {
            host: host.to_owned(),
            port,
            tls,
            prefix: prefix.to_owned(),
        };
        let table = [
            ("https://meari.example.org", server("meari.example.org", 443, true, "")),
            ("https://example.org/meari/", server("example.org", 443, true, "/meari")),
            ("http://127.0.0.1:8080", server("127.0.0.1", 8080, false, "")),
            ("http://[::1]:8080", server("[::1]", 8080, false, "")),
        ];
        for (url, wanted) in table {
            assert_eq!(Server::parse(url).unwrap(), wanted, "{url}");
        }
        assert!(Server::parse("meari.example.org").is_err());
    }

    #[test]
    fn the_profile_is_whole_and_stable() {
        let text = profile(&someone());
        let mut reader = quick_xml::Reader::from_str(&text);
        loop {
            match reader.read_event().unwrap() {
                quick_xml::events::Event::Eof => break,
                _ => continue,
            }
        }
        assert!(text.contains("<key>CardDAVHostName</key><string>meari.example.org</string>"));
        assert!(text.contains("<key>CardDAVPort</key><integer>443</integer>"));
        assert!(text.contains("<key>CardDAVUseSSL</key><true/>"));
        assert!(text.contains("<string>/dav/principals/alice/</string>"));
        assert!(text.contains("<string>Meari &amp; Co</string>"));
        assert!(text.contains("<string>org.example.meari."));
        let once = someone();
        assert_eq!(profile(&once), profile(&once.clone()));
    }

    #[test]
    fn the_link_and_the_code() {
        let link = davx5_link(&someone());
        assert_eq!(link, "davx5://alice:abcde%2Dfghjk%2Dmnpqr%2Dstuvw%2Dxyz23@meari.example.org/dav/");
        let svg = qr_svg("https://meari.example.org/setup/x").unwrap();
        assert!(svg.starts_with("<?xml") && svg.contains("<svg"));
        assert!(qr_svg(&"x".repeat(5_000)).is_err());
    }

    #[test]
    fn the_page_speaks_both_languages() {
        for locale in Locale::ALL {
            let page = page(&Setup { locale, ..someone() }, "https://meari.example.org/p");
            assert!(page.contains(r#"href="davx5://alice"#) && page.contains("/p\""));
        }
    }
}

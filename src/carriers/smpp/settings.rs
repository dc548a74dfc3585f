//! One `[[carriers]]` entry of kind `smpp`, read and checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use secrecy::SecretString;

use super::pdu::{Bind, Direction};
use super::receipt::ReceiptIds;
use super::session::Pace;
use super::text::{Alphabet, LongMessages, Style};
use crate::carriers::registry::OptionReader;
use crate::carriers::{CarrierSettings, Rates};
use crate::gsm7::Language;

const OPTIONS: [&str; 25] = [
    "host",
    "port",
    "system_id",
    "password",
    "system_type",
    "bind",
    "sessions",
    "window",
    "submits_per_second",
    "enquire_link_seconds",
    "response_timeout_seconds",
    "tls",
    "tls_ca_file",
    "tls_server_name",
    "address_range",
    "service_type",
    "source_ton",
    "source_npi",
    "dest_ton",
    "dest_npi",
    "plus_sign",
    "default_alphabet",
    "long_messages",
    "national_languages",
    "receipt_ids",
];

/// Everything about one account at an SMSC.
#[derive(Clone)]
pub struct Settings {
    /// Where it is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Our name there.
    pub system_id: String,
    /// At most eight characters.
    pub password: SecretString,
    /// Which of their services.
    pub system_type: String,
    /// Which of their addresses, for inbound.
    pub address_range: String,
    /// The directions of the sessions that are kept.
    pub sessions: Vec<Direction>,
    /// Times and sizes.
    pub pace: Pace,
    /// Submits a second at most; 0 for as many as go.
    pub submits_per_second: u32,
    /// Over TLS, checked against these roots.
    pub tls: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    /// Of every submit.
    pub service_type: String,
    /// Type and plan of our numbers.
    pub source: (u8, u8),
    /// Type and plan of handsets.
    pub destination: (u8, u8),
    /// Whether numbers are written with +.
    pub plus_sign: bool,
    /// How texts are written.
    pub style: Style,
    /// How ids are.
    pub receipt_ids: ReceiptIds,
}

impl Settings {
    /// What was agreed on, as a limit that all nodes share: in turns that are fair among writers. The throttle of each
    /// link beside it spreads what may leave at once.
    pub fn rates(&self) -> Rates {
        let per_minute = Some(self.submits_per_second.saturating_mul(60)).filter(|rate| *rate > 0);
        Rates { account_per_minute: per_minute, ..Rates::NONE }
    }

    /// Reads and checks an entry.
    ///
    /// # Errors
    /// A sentence that names the key and what to write.
    pub fn read(entry: &CarrierSettings) -> Result<Settings, String> {
        let options = OptionReader::new(entry, &OPTIONS)?;
        let text = |key: &str| options.optional(key).unwrap_or_default().to_owned();
        let system_id = options.required("system_id", "the name the carrier gave you")?.to_owned();
        let password = options.required("password", "the password the carrier gave you")?;
        short("system_id", &system_id, 15)?;
        short("password", password, 8)?;
        short("system_type", &text("system_type"), 12)?;
        short("service_type", &text("service_type"), 5)?;
        short("address_range", &text("address_range"), 40)?;
        let tls = choice(&options, "tls", &[("no", false), ("yes", true)])?;
        let host = options.required("host", "the SMSC's name or address")?.to_owned();
        let tls = if tls { Some(tls_of(&options, &host)?) } else { None };
        let port = number(&options, "port", if tls.is_some() { 3550 } else { 2775 }, 1, 65_535)?;
        let count = number(&options, "sessions", 1, 1, 16)?;
        let directions = choice(
            &options,
            "bind",
            &[
                ("transceiver", &[Direction::Transceiver][..]),
                ("transmitter", &[Direction::Transmitter]),
                ("receiver", &[Direction::Receiver]),
                ("transmitter+receiver", &[Direction::Transmitter, Direction::Receiver]),
            ],
        )?;
        let seconds =
            |key, default, max| number(&options, key, default, 1, max).map(|n| Duration::from_secs(n.into()));
        Ok(Settings {
            host,
            port: u16::try_from(port).unwrap_or(2775),
            system_id,
            password: password.into(),
            system_type: text("system_type"),
            address_range: text("address_range"),
            sessions: (0..count).flat_map(|_| directions.iter().copied()).collect(),
            pace: Pace {
                window: usize::try_from(number(&options, "window", 10, 1, 10_000)?).unwrap_or(10),
                response_timeout: seconds("response_timeout_seconds", 15, 60)?,
                enquire_every: seconds("enquire_link_seconds", 30, 3_600)?,
            },
            submits_per_second: number(&options, "submits_per_second", 0, 0, 1_000_000)?,
            tls,
            service_type: text("service_type"),
            source: (octet(&options, "source_ton", 1)?, octet(&options, "source_npi", 1)?),
            destination: (octet(&options, "dest_ton", 1)?, octet(&options, "dest_npi", 1)?),
            plus_sign: choice(&options, "plus_sign", &[("no", false), ("yes", true)])?,
            style: style(&options)?,
            receipt_ids: choice(
                &options,
                "receipt_ids",
                &[("same", ReceiptIds::Same), ("decimal", ReceiptIds::Decimal), ("hex", ReceiptIds::Hex)],
            )?,
        })
    }

    /// What we say when we bind.
    pub fn bind(&self) -> Bind {
        use secrecy::ExposeSecret as _;
        Bind {
            system_id: self.system_id.clone(),
            password: self.password.expose_secret().to_owned(),
            system_type: self.system_type.clone(),
            interface_version: 0x34,
            range: super::pdu::Address { ton: 0, npi: 0, value: self.address_range.clone() },
        }
    }
}

fn style(options: &OptionReader<'_>) -> Result<Style, String> {
    Ok(Style {
        alphabet: choice(
            options,
            "default_alphabet",
            &[("gsm7", Alphabet::Gsm7), ("gsm7-packed", Alphabet::Gsm7Packed), ("latin1", Alphabet::Latin1)],
        )?,
        long_messages: choice(
            options,
            "long_messages",
            &[
                ("udh", LongMessages::Udh),
                ("udh16", LongMessages::Udh16),
                ("sar", LongMessages::Sar),
                ("payload", LongMessages::Payload),
            ],
        )?,
        languages: languages(options.optional("national_languages").unwrap_or_default())?,
    })
}

fn short(key: &str, value: &str, max: usize) -> Result<(), String> {
    if value.len() <= max && value.is_ascii() {
        return Ok(());
    }
    Err(format!("{key} has at most {max} characters in SMPP 3.4, plain ones"))
}

fn number(options: &OptionReader<'_>, key: &str, default: u32, min: u32, max: u32) -> Result<u32, String> {
    let Some(text) = options.optional(key) else { return Ok(default) };
    let value: Option<u32> = text.parse().ok();
    value
        .filter(|n| (min..=max).contains(n))
        .ok_or_else(|| format!("{key} must be a number from {min} to {max}; {default} when left out"))
}

fn octet(options: &OptionReader<'_>, key: &str, default: u8) -> Result<u8, String> {
    number(options, key, default.into(), 0, 255).map(|n| u8::try_from(n).unwrap_or(default))
}

/// One of a few words; the first when nothing is written.
fn choice<T: Copy>(options: &OptionReader<'_>, key: &str, table: &[(&str, T)]) -> Result<T, String> {
    let written = options.optional(key).or(table.first().map(|(word, _)| *word)).unwrap_or_default();
    // TOML's own words for yes and no.
    let written = match written {
        "true" => "yes",
        "false" => "no",
        other => other,
    };
    let found = table.iter().find(|(word, _)| *word == written);
    let words = || table.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.map(|(_, value)| *value).ok_or_else(|| format!("{key} must be one of {}", words()))
}

fn languages(text: &str) -> Result<Vec<Language>, String> {
    let codes = text.split([',', ' ']).filter(|code| !code.is_empty());
    let one = |code: &str| {
        let known = || Language::ALL.map(Language::code).join(", ");
        Language::from_code(code)
            .ok_or_else(|| format!("national_languages: “{code}” is not one of {}", known()))
    };
    codes.map(one).collect()
}

fn tls_of(
    options: &OptionReader<'_>,
    host: &str,
) -> Result<(Arc<rustls::ClientConfig>, ServerName<'static>), String> {
    let mut roots = rustls::RootCertStore::empty();
    match options.optional("tls_ca_file").map(PathBuf::from) {
        Some(path) => {
            let failed = |error: &dyn std::fmt::Display| {
                format!("tls_ca_file {} cannot be read: {error}", path.display())
            };
            let all = CertificateDer::pem_file_iter(&path).map_err(|error| failed(&error))?;
            for certificate in all {
                let certificate = certificate.map_err(|error| failed(&error))?;
                roots.add(certificate).map_err(|error| failed(&error))?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let name = options.optional("tls_server_name").unwrap_or(host).to_owned();
    let server =
        ServerName::try_from(name).map_err(|_| "tls_server_name is no name of a server".to_owned())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((Arc::new(config), server))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(options: &[(&str, &str)]) -> CarrierSettings {
        let good = [("host", "smsc.example.org"), ("system_id", "meari"), ("password", "geheim")];
        let all = good.iter().chain(options);
        CarrierSettings {
            id: "main".into(),
            kind: "smpp".into(),
            api_base: None,
            options: all.map(|(key, value)| ((*key).to_owned(), (*value).into())).collect(),
        }
    }

    #[test]
    fn what_is_left_out_has_a_good_value() {
        let settings = Settings::read(&entry(&[])).unwrap();
        assert_eq!((settings.port, settings.pace.window), (2775, 10));
        assert_eq!(settings.sessions, [Direction::Transceiver]);
        assert!(settings.tls.is_none());
        let settings = Settings::read(&entry(&[
            ("bind", "transmitter+receiver"),
            ("sessions", "2"),
            ("tls", "yes"),
            ("national_languages", "tr, es"),
            ("receipt_ids", "decimal"),
        ]))
        .unwrap();
        assert_eq!(settings.sessions.len(), 4);
        assert_eq!(settings.port, 3550);
        assert_eq!(settings.style.languages, [Language::Turkish, Language::Spanish]);
    }

    #[test]
    fn mistakes_are_named() {
        let table: [(&[(&str, &str)], &str); 10] = [
            (&[("host", "")], "host is missing"),
            (&[("system_id", "")], "system_id is missing"),
            (&[("password", "a longer password")], "password has at most 8"),
            (&[("windw", "5")], "nearest known one is window"),
            (&[("window", "0")], "window must be a number from 1"),
            (&[("port", "70000")], "port must be"),
            (&[("bind", "both")], "bind must be one of transceiver"),
            (&[("long_messages", "csms")], "udh16"),
            (&[("national_languages", "de")], "“de” is not one of"),
            (&[("tls", "yes"), ("tls_ca_file", "/nowhere/ca.pem")], "/nowhere/ca.pem"),
        ];
        for (options, words) in table {
            let error = Settings::read(&entry(options)).err().unwrap();
            assert!(error.contains(words), "{error:?} should say {words:?}");
            assert!(!error.contains("geheim"));
        }
    }
}

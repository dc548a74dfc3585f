//! From text to settings: one table of keys, one place for what each expects, faults that say what would be right.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use secrecy::SecretString;
use toml::Value;

use super::{CarrierSettings, LogFormat, Registration, Settings, Wish};
use crate::money::{Currency, Money};

/// Names the file itself.
pub(super) const FILE_VARIABLE: &str = "MEARI_CONFIG";
/// For the test harness; the program ignores them.
const TEST_PREFIX: &str = "MEARI_TEST_";
const PREFIX: &str = "MEARI_";
const CARRIERS_PREFIX: &str = "MEARI_CARRIERS_";
/// Shorter tokens can be guessed.
const ADMIN_TOKEN_CHARS_MIN: usize = 16;
/// It stands in front of every SMS of ours, and segments cost money.
const SERVICE_NAME_CHARS_MAX: usize = 30;
/// Each is tried by every browser.
const CALLS_ADDRESSES_MAX: usize = 4;

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key or variable.
    pub key: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Fault {
    /// A fault of `key`.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Fault { key: key.into(), problem: problem.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl std::error::Error for Fault {}

/// A value as somebody wrote it; variables are always text.
enum Raw<'a> {
    File(&'a Value),
    Variable(&'a str),
}

impl Raw<'_> {
    fn text(&self) -> Option<String> {
        match self {
            Raw::File(Value::String(text)) => Some(text.clone()),
            Raw::File(_) => None,
            Raw::Variable(text) => Some((*text).to_owned()),
        }
    }

    fn flag(&self) -> Option<bool> {
        match self {
            Raw::File(value) => value.as_bool(),
            Raw::Variable(text) => text.parse().ok(),
        }
    }

    /// For credentials: vendors' ids are sometimes all digits, and nobody should have to quote them.
    fn scalar(&self) -> Option<String> {
        match self {
            Raw::File(Value::Integer(n)) => Some(n.to_string()),
            Raw::File(Value::Boolean(b)) => Some(b.to_string()),
            other => other.text(),
        }
    }

    /// For messages.
    fn shown(&self) -> String {
        let text = match self {
            Raw::File(value) => value.to_string(),
            Raw::Variable(text) => format!("{text:?}"),
        };
        text.chars().take(60).collect()
    }
}

/// One key: what it expects, an example, and how it is taken over. `None` means that the value is not acceptable.
struct Key {
    name: &'static str,
    expects: &'static str,
    example: &'static str,
    secret: bool,
    set: fn(&mut Settings, &Raw) -> Option<()>,
}

const fn key(
    name: &'static str,
    expects: &'static str,
    example: &'static str,
    set: fn(&mut Settings, &Raw) -> Option<()>,
) -> Key {
    Key { name, expects, example, secret: false, set }
}

const fn secret_key(
    name: &'static str,
    expects: &'static str,
    example: &'static str,
    set: fn(&mut Settings, &Raw) -> Option<()>,
) -> Key {
    Key { name, expects, example, secret: true, set }
}

const KEYS: &[Key] = &[
    key("listen", "an address and a port", "127.0.0.1:8080", |s, raw| {
        s.listen = raw.text().filter(|text| is_listen_address(text))?;
        Some(())
    }),
    key("tls_certificate", "the path of a file", "/etc/meari/fullchain.pem", |s, raw| {
        s.tls.get_or_insert_default().certificate = path(raw)?;
        Some(())
    }),
    key("tls_key", "the path of a file", "/etc/meari/privkey.pem", |s, raw| {
        s.tls.get_or_insert_default().key = path(raw)?;
        Some(())
    }),
    key("profile_certificate", "the path of a file", "/etc/meari/profile-chain.pem", |s, raw| {
        s.profile_signer.get_or_insert_default().certificate = path(raw)?;
        Some(())
    }),
    key("profile_key", "the path of a file", "/etc/meari/profile-key.pem", |s, raw| {
        s.profile_signer.get_or_insert_default().key = path(raw)?;
        Some(())
    }),
    key(
        "public_url",
        "http:// or https:// and a host, with no path and no slash at the end",
        "https://meari.example.org",
        |s, raw| {
            s.public_url = raw.text().filter(|text| is_origin(text))?;
            Some(())
        },
    ),
    secret_key(
        "database_url",
        "sqlite:// and a path, or postgres://user:password@host/database",
        "sqlite://data/meari.db",
        |s, raw| {
            s.database_url = raw.text().filter(|text| is_database(text))?;
            Some(())
        },
    ),
    key("secret_file", "the path of a file", "data/secret.key", |s, raw| {
        s.secret_file = path(raw)?;
        Some(())
    }),
    secret_key("nats_url", "nats:// or tls:// and a host", "nats://127.0.0.1:4222", |s, raw| {
        let schemes = ["nats://", "tls://"];
        s.nats_url = Some(raw.text().filter(|t| schemes.iter().any(|scheme| has_more(t, scheme)))?);
        Some(())
    }),
    secret_key(
        "smtp_url",
        "smtp:// or smtps:// with user, password and host",
        "smtps://user:password@mail.example.org",
        |s, raw| {
            let schemes = ["smtp://", "smtps://"];
            let url = raw.text().filter(|t| schemes.iter().any(|scheme| has_more(t, scheme)))?;
            s.smtp_url = Some(SecretString::from(url));
            Some(())
        },
    ),
    key("mail_from", "an e-mail address, with or without a name", "Meari <noreply@example.org>", |s, raw| {
        let text = raw.text()?;
        text.parse::<lettre::message::Mailbox>().ok()?;
        s.mail_from = Some(text);
        Some(())
    }),
    key("registration", "open, invite or closed", "open", |s, raw| {
        s.registration = match raw.text()?.as_str() {
            "open" => Registration::Open,
            "invite" => Registration::Invite,
            "closed" => Registration::Closed,
            _ => return None,
        };
        Some(())
    }),
    secret_key(
        "admin_token",
        "16 characters or more that nobody can guess",
        "the output of `openssl rand -hex 32`",
        |s, raw| {
            let token = raw.text().filter(|text| text.chars().count() >= ADMIN_TOKEN_CHARS_MIN)?;
            s.admin_token = Some(SecretString::from(token));
            Some(())
        },
    ),
    key("media_dir", "the path of a folder", "data/media", |s, raw| {
        s.media_dir = path(raw)?;
        Some(())
    }),
    key(
        "media_scanner",
        "a command that reads a file, or icap:// and a host with a service",
        "clamdscan --no-summary -",
        |s, raw| {
            let text = raw.text()?.trim().to_owned();
            let icap = text.strip_prefix("icap://").map(|rest| !rest.is_empty() && !rest.starts_with('/'));
            if text.is_empty() || text.contains(char::is_control) || icap == Some(false) {
                return None;
            }
            s.media_scanner = Some(text);
            Some(())
        },
    ),
    key("calls_listen", "an IP address and a port", "0.0.0.0:3478", |s, raw| {
        s.calls_listen = Some(raw.text()?.parse().ok()?);
        Some(())
    }),
    key("calls_addresses", "IP addresses with commas between them", "203.0.113.7", |s, raw| {
        let text = raw.text()?;
        let listed: Result<Vec<IpAddr>, _> = text.split(',').map(|ip| ip.trim().parse()).collect();
        s.calls_addresses = listed.ok().filter(|ips| ips.len() <= CALLS_ADDRESSES_MAX)?;
        Some(())
    }),
    key("calls_legs_max", "a whole number, 2 to 100000", "2000", |s, raw| {
        let count = raw.scalar()?.parse().ok().filter(|count| (2..=100_000).contains(count))?;
        s.calls_legs_max = count;
        Some(())
    }),
    key("log", "pretty or json", "json", |s, raw| {
        s.log = match raw.text()?.as_str() {
            "pretty" => LogFormat::Pretty,
            "json" => LogFormat::Json,
            _ => return None,
        };
        Some(())
    }),
    key(
        "log_level",
        "error, warn, info, debug or trace, for all or for parts",
        "info,meari=debug",
        |s, raw| {
            let text = raw.text().filter(|text| !text.trim().is_empty())?;
            tracing_subscriber::EnvFilter::builder().parse(&text).ok()?;
            s.log_level = text;
            Some(())
        },
    ),
    key("service_name", "1 to 30 characters on one line", "Meari", |s, raw| {
        let text = raw.text()?.trim().to_owned();
        let count = text.chars().count();
        if count == 0 || count > SERVICE_NAME_CHARS_MAX || text.chars().any(char::is_control) {
            return None;
        }
        s.service_name = text;
        Some(())
    }),
    key("run_worker", "true or false", "true", |s, raw| {
        s.run_worker = raw.flag()?;
        Some(())
    }),
    key("countries", "two-letter countries with spaces between", "US KR", |s, raw| {
        let text = raw.text()?;
        let all: Vec<String> = text.split([' ', ',']).filter(|w| !w.is_empty()).map(str::to_owned).collect();
        let good = |word: &String| word.len() == 2 && word.bytes().all(|b| b.is_ascii_uppercase());
        s.countries = Some(all).filter(|all| all.iter().all(good))?;
        Some(())
    }),
    key("carrier_loop_minutes", "minutes, 0 to 1440", "60", |s, raw| {
        s.carrier_loop_minutes = raw.scalar()?.parse().ok().filter(|minutes| *minutes <= 1_440)?;
        Some(())
    }),
    key("live_ping_seconds", "seconds, 1 to 300", "25", |s, raw| {
        s.live_ping_seconds = raw.scalar()?.parse().ok().filter(|seconds| (1..=300).contains(seconds))?;
        Some(())
    }),
    key("number_ageing_days", "days, 0 to 365", "45", |s, raw| {
        s.number_ageing_days = raw.scalar()?.parse().ok().filter(|days| *days <= 365)?;
        Some(())
    }),
    key("call_sounds_days", "days, 0 to 3650", "365", |s, raw| {
        s.call_sounds_days = raw.scalar()?.parse().ok().filter(|days| *days <= 3_650)?;
        Some(())
    }),
    key("number_reserve", "regions with a number each", "US=20 KR=5", |s, raw| {
        s.number_reserve = parse_wishes(&raw.text()?)?;
        Some(())
    }),
    key("number_reserve_carrier", "a carrier's id", "main", |s, raw| {
        s.number_reserve_carrier = Some(raw.text().filter(|id| !id.is_empty())?);
        Some(())
    }),
    key("number_reserve_budget", "an amount and a currency", "50.00 USD", |s, raw| {
        let text = raw.text()?;
        let (amount, currency) = text.trim().split_once(' ')?;
        s.number_reserve_budget = Some(Money::parse(amount, Currency::parse(currency)?)?);
        Some(())
    }),
    key("number_reserve_dry_run", "true or false", "false", |s, raw| {
        s.number_reserve_dry_run = raw.flag()?;
        Some(())
    }),
    key("push_to_private_addresses", "true or false", "false", |s, raw| {
        s.push_to_private_addresses = raw.flag()?;
        Some(())
    }),
];

/// Reads `US=20 KR=5`.
pub(super) fn parse_wishes(text: &str) -> Option<Vec<Wish>> {
    let wish = |word: &str| {
        let (region, spare) = word.split_once('=')?;
        let is_region = region.len() == 2 && region.bytes().all(|b| b.is_ascii_uppercase());
        let spare = spare.parse().ok().filter(|spare| (0..=10_000).contains(spare))?;
        is_region.then(|| Wish { region: region.to_owned(), spare })
    };
    text.split([' ', ',']).filter(|word| !word.is_empty()).map(wish).collect()
}

/// Reads the text of the file, then the variables (sorted, all beginning with `MEARI_`) over it.
pub(super) fn settings(file: &str, env: &[(String, String)]) -> Result<Settings, Vec<Fault>> {
    let table: toml::Table = file.parse().map_err(|error| vec![not_toml(file, &error)])?;
    let mut reader = Reader { settings: Settings::default(), faults: Vec::new(), given: Vec::new() };
    for (name, value) in &table {
        if name == "carriers" {
            reader.carriers(value);
        } else {
            reader.one(name, name, &Raw::File(value));
        }
    }
    for (variable, value) in env {
        reader.variable(variable, value);
    }
    reader.finish()
}

struct Reader {
    settings: Settings,
    faults: Vec<Fault>,
    given: Vec<&'static str>,
}

impl Reader {
    fn fault(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        self.faults.push(Fault::new(key, problem));
    }

    /// Takes one value over; `shown` is how its writer called it.
    fn one(&mut self, shown: &str, name: &str, raw: &Raw) {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let known = KEYS.iter().map(|key| key.name).chain(["carriers"]);
            let near = nearest(name, known).map(|near| {
                if shown == name { near.to_owned() } else { format!("{PREFIX}{}", near.to_uppercase()) }
            });
            return self.fault(shown, unknown(near.as_deref()));
        };
        self.given.push(key.name);
        if (key.set)(&mut self.settings, raw).is_none() {
            let found = if key.secret { String::new() } else { format!(", not {}", raw.shown()) };
            self.fault(shown, format!("expected {}{found}. Example: {}", key.expects, key.example));
        }
    }

    fn variable(&mut self, variable: &str, value: &str) {
        if variable == FILE_VARIABLE || variable.starts_with(TEST_PREFIX) {
            return;
        }
        if let Some(rest) = variable.strip_prefix(CARRIERS_PREFIX) {
            return self.carrier_variable(variable, rest, value);
        }
        let name = variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase();
        self.one(variable, &name, &Raw::Variable(value));
    }

    fn carriers(&mut self, value: &Value) {
        let Some(list) = value.as_array() else {
            return self
                .fault("carriers", "expected a list. Example: [[carriers]] with id and kind below it");
        };
        for (index, entry) in list.iter().enumerate() {
            let place = format!("carriers[{index}]");
            let Some(table) = entry.as_table() else {
                self.fault(place, "expected a table. Example: [[carriers]] with id and kind below it");
                continue;
            };
            let mut carrier = CarrierSettings {
                id: String::new(),
                kind: String::new(),
                api_base: None,
                options: Default::default(),
            };
            for (name, value) in table {
                self.carrier_value(&mut carrier, &format!("{place}.{name}"), name, &Raw::File(value));
            }
            self.settings.carriers.push(carrier);
        }
    }

    fn carrier_value(&mut self, carrier: &mut CarrierSettings, shown: &str, name: &str, raw: &Raw) {
        let Some(text) = raw.scalar() else {
            return self.fault(shown, "expected text, a whole number or true/false");
        };
        match name {
            "id" => carrier.id = text,
            "kind" => carrier.kind = text,
            "api_base" if is_api_base(&text) => {
                carrier.api_base = Some(text.trim_end_matches('/').to_owned())
            }
            "api_base" => {
                self.fault(
                    shown,
                    "expected http:// or https:// and a host. Example: https://api.example.org",
                );
            }
            _ => {
                carrier.options.insert(name.to_owned(), SecretString::from(text));
            }
        }
    }

    /// `MEARI_CARRIERS_<ID>_<KEY>`: changes the carrier of that id, or begins a new one.
    fn carrier_variable(&mut self, variable: &str, rest: &str, value: &str) {
        let spelled = |id: &str| format!("{}_", id.replace('-', "_").to_uppercase());
        let known = self.settings.carriers.iter().map(|c| c.id.clone());
        let known =
            known.filter(|id| !id.is_empty() && rest.starts_with(&spelled(id))).max_by_key(String::len);
        let (id, name) = match known {
            Some(id) => {
                let name = rest.strip_prefix(&spelled(&id)).unwrap_or_default().to_lowercase();
                (id, name)
            }
            None => match rest.split_once('_') {
                Some((id, name)) => (id.to_lowercase(), name.to_lowercase()),
                None => (String::new(), String::new()),
            },
        };
        if id.is_empty() || name.is_empty() || name == "id" {
            let form = "expected MEARI_CARRIERS_<ID>_<KEY>. Example: MEARI_CARRIERS_MAIN_KIND";
            return self.fault(variable, form);
        }
        let place = self.settings.carriers.iter().position(|c| c.id == id);
        let mut carrier = match place {
            Some(place) => self.settings.carriers.remove(place),
            None => CarrierSettings { id, kind: String::new(), api_base: None, options: Default::default() },
        };
        self.carrier_value(&mut carrier, variable, &name, &Raw::Variable(value));
        let place = place.unwrap_or(self.settings.carriers.len());
        self.settings.carriers.insert(place, carrier);
    }

    /// What can be judged only when everything is there.
    fn finish(mut self) -> Result<Settings, Vec<Fault>> {
        if !self.given.contains(&"public_url") {
            let reachable = self.settings.listen.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]");
            let scheme = if self.settings.tls.is_some() { "https" } else { "http" };
            self.settings.public_url = format!("{scheme}://{reachable}");
        }
        // A key that was given wrongly is not missing too.
        let given = (self.given.contains(&"smtp_url"), self.given.contains(&"mail_from"));
        match given {
            (true, false) => {
                self.fault("mail_from", "is needed with smtp_url. Example: Meari <noreply@example.org>");
            }
            (false, true) => {
                self.fault(
                    "smtp_url",
                    "is needed with mail_from. Example: smtps://user:password@mail.example.org",
                );
            }
            _ => {}
        }
        self.check_pair("tls_certificate", "tls_key", "/etc/meari/fullchain.pem", "/etc/meari/privkey.pem");
        let (chain, key) = ("/etc/meari/profile-chain.pem", "/etc/meari/profile-key.pem");
        self.check_pair("profile_certificate", "profile_key", chain, key);
        self.check_carriers();
        if self.faults.is_empty() { Ok(self.settings) } else { Err(self.faults) }
    }

    /// A certificate and its key come together.
    fn check_pair(&mut self, certificate: &'static str, key: &'static str, chain: &str, private: &str) {
        match (self.given.contains(&certificate), self.given.contains(&key)) {
            (true, false) => self.fault(key, format!("is needed with {certificate}. Example: {private}")),
            (false, true) => self.fault(certificate, format!("is needed with {key}. Example: {chain}")),
            _ => {}
        }
    }

    fn check_carriers(&mut self) {
        let mut seen: Vec<String> = Vec::new();
        let mut faults = Vec::new();
        for (index, carrier) in self.settings.carriers.iter().enumerate() {
            let place = format!("carriers[{index}]");
            if !is_carrier_id(&carrier.id) {
                let problem = "expected 1 to 32 small letters, digits and hyphens. Example: main";
                faults.push(Fault::new(format!("{place}.id"), problem));
            } else if seen.contains(&carrier.id) {
                let problem = format!("{:?} is used twice; every carrier needs an id of its own", carrier.id);
                faults.push(Fault::new(format!("{place}.id"), problem));
            }
            if carrier.kind.is_empty() {
                let problem = "is missing: which wire the carrier speaks. Example: simulator";
                faults.push(Fault::new(format!("{place}.kind"), problem));
            }
            seen.push(carrier.id.clone());
        }
        self.faults.extend(faults);
    }
}

fn not_toml(file: &str, error: &toml::de::Error) -> Fault {
    // The error's own display quotes the line, and the line may hold a password.
    let line = error.span().map(|span| file.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1);
    let place = line.map_or_else(|| "the file".to_owned(), |line| format!("line {line}"));
    Fault::new(place, format!("is not TOML: {}. Example: listen = \"127.0.0.1:8080\"", error.message()))
}

fn unknown(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("is not a setting. Did you mean {near}?"),
        None => "is not a setting. meari.example.toml lists all of them".to_owned(),
    }
}

/// The most similar of `known`, when it is similar at all.
pub(super) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = known.map(|name| (strsim::jaro_winkler(word, name), name));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score >= 0.7).map(|(_, name)| name)
}

fn path(raw: &Raw) -> Option<PathBuf> {
    raw.text().filter(|text| !text.trim().is_empty()).map(PathBuf::from)
}

fn has_more(text: &str, scheme: &str) -> bool {
    text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

fn is_listen_address(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let is_name =
        !host.is_empty() && host.chars().all(plain) && host.contains(|c: char| c.is_ascii_alphabetic());
    is_name && port.parse::<u16>().is_ok()
}

fn is_origin(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.origin().ascii_serialization() == text.to_ascii_lowercase()
        && url.username().is_empty()
        && text.chars().all(|c| !c.is_ascii_uppercase())
}

fn is_api_base(text: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(text) else { return false };
    matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none()
}

fn is_database(text: &str) -> bool {
    if has_more(text, "sqlite://") {
        return true;
    }
    let is_server = text.starts_with("postgres://") || text.starts_with("postgresql://");
    is_server && text.parse::<tokio_postgres::Config>().is_ok_and(|config| !config.get_hosts().is_empty())
}

fn is_carrier_id(id: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !id.is_empty() && id.len() <= 32 && id.chars().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read() {
        let wish = |region: &str, spare| Wish { region: region.to_owned(), spare };
        assert_eq!(parse_wishes("US=20, KR=5"), Some(vec![wish("US", 20), wish("KR", 5)]));
        assert_eq!(parse_wishes(""), Some(Vec::new()));
        for bad in ["US", "us=3", "USA=3", "US=-1", "US=many", "US=20000"] {
            assert_eq!(parse_wishes(bad), None, "{bad}");
        }
    }
}

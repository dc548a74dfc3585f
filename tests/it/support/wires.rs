//! Carriers of two vendors as servers: they take messages, keep what they saw, misbehave on demand, and call us back
//! with signatures of their own making.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, HttpServer};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64URL};
use hmac::{Hmac, KeyInit as _, Mac};
use meari::config::CarrierSettings;
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const API_KEY: &str = "a1b2c3d4";
pub const APPLICATION: &str = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab";
pub const SECRET: &str = "a signature secret for tests";
pub const NEXT_SECRET: &str = "the signature secret after rotation";
pub const AUTH_ID: &str = "MATESTTESTTESTTESTTE";
pub const PRIVATE: &str = include_str!("../../keys/application.pem");
pub const PUBLIC: &str = include_str!("../../keys/application.pub.pem");

/// Whose wire it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    Vonage,
    Plivo,
}

/// What the carrier does with the next message instead of taking it politely.
#[derive(Debug, Clone)]
pub enum Mood {
    /// Refuses with this status, and perhaps asks for a pause.
    Refuse { status: u16, code: u32, retry_after: Option<u32> },
    /// Takes it and breaks the connection.
    DropAfterAccepting,
    /// Takes it after this long.
    Slow(Duration),
    /// Says yes and nothing else.
    Mumble,
    /// Tells what became of it before it answers; `blind`: and does not say which of ours it is.
    TellFirst { word: &'static str, blind: bool },
}

/// A message that the carrier took.
#[derive(Debug, Clone)]
pub struct Sent {
    pub id: String,
    pub from: String,
    pub to: String,
    pub text: String,
    pub media: Vec<String>,
    /// Where it will tell what became of it.
    pub callback: String,
    /// Our own id, where this wire carries it.
    pub reference: String,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub authorization: Option<String>,
    pub body: String,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    sent: Vec<Sent>,
    moods: VecDeque<Mood>,
    offered: Vec<String>,
    owned: BTreeSet<String>,
    files: BTreeMap<String, (String, Vec<u8>)>,
    callbacks: u64,
}

/// The carrier.
#[derive(Clone)]
pub struct Fake {
    pub vendor: Vendor,
    pub url: String,
    /// With what it signs; a story may rotate it.
    pub secret: Arc<Mutex<String>>,
    state: Arc<Mutex<State>>,
    handle: actix_web::dev::ServerHandle,
}

impl Fake {
    pub fn up(vendor: Vendor) -> Fake {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let secret = Arc::new(Mutex::new(SECRET.to_owned()));
        let (for_server, base) = (state.clone(), url.clone());
        let pen = Pen { vendor, secret: secret.clone() };
        let server = HttpServer::new(move || {
            let desk = Desk { vendor, base: base.clone(), pen: pen.clone(), state: for_server.clone() };
            actix_web::App::new().app_data(web::Data::new(desk)).default_service(web::to(serve))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(1).listen(listener).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Fake { vendor, url, secret, state, handle }
    }

    pub async fn down(&self) {
        self.handle.stop(false).await;
    }

    /// What an operator would write.
    pub fn settings(&self, id: &str) -> CarrierSettings {
        let numbers_base = self.url.clone();
        let options: Vec<(&str, &str)> = match self.vendor {
            Vendor::Vonage => vec![
                ("api_key", API_KEY),
                ("api_secret", "an api secret for tests"),
                ("application_id", APPLICATION),
                ("private_key", PRIVATE),
                ("signature_secret", SECRET),
                ("signature_secret_secondary", NEXT_SECRET),
                ("numbers_api_base", &numbers_base),
                ("segments_per_minute", "0"),
                ("number_segments_per_minute", "0"),
            ],
            Vendor::Plivo => vec![
                ("auth_id", AUTH_ID),
                ("auth_token", SECRET),
                ("auth_token_secondary", NEXT_SECRET),
                ("app_id", "10020030040050060"),
            ],
        };
        let kind = if self.vendor == Vendor::Vonage { "vonage" } else { "plivo" };
        CarrierSettings {
            id: id.to_owned(),
            kind: kind.to_owned(),
            api_base: Some(self.url.clone()),
            options: options.into_iter().map(|(k, v)| (k.to_owned(), SecretString::from(v))).collect(),
        }
    }

    pub fn next(&self, mood: Mood) {
        self.state.lock().unwrap().moods.push_back(mood);
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.state.lock().unwrap().sent.clone()
    }

    pub fn last(&self) -> Sent {
        self.sent().pop().expect("a message was taken")
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    pub fn offer(&self, number: &str) {
        self.state.lock().unwrap().offered.push(number.trim_start_matches('+').to_owned());
    }

    /// Lays a file into the carrier's store; answers its address.
    pub fn file(&self, name: &str, content_type: &str, bytes: &[u8]) -> String {
        self.state.lock().unwrap().files.insert(name.to_owned(), (content_type.to_owned(), bytes.to_vec()));
        format!("{}/store/{name}", self.url)
    }

    fn fresh_id(&self) -> String {
        let mut state = self.state.lock().unwrap();
        state.callbacks += 1;
        format!("00000000-0000-4000-8000-{:012}", state.callbacks)
    }

    /// A callback that somebody's text came in, signed.
    pub fn inbound(&self, url: &str, from: &str, to: &str, text: &str, media: &[String]) -> Callback {
        let (from, to) = (from.trim_start_matches('+'), to.trim_start_matches('+'));
        let id = self.fresh_id();
        let body = match self.vendor {
            Vendor::Vonage => {
                let mut body = json!({ "channel": "sms", "message_uuid": id, "to": to, "from": from,
                    "timestamp": "2026-01-15T12:00:00.000Z", "message_type": "text", "text": text });
                if !media.is_empty() {
                    body["channel"] = "mms".into();
                    body["message_type"] = "content".into();
                    let items = media.iter().map(|url| json!({ "type": "image", "url": url }));
                    body["content"] = items.collect();
                }
                body.to_string()
            }
            Vendor::Plivo => {
                let mut fields = vec![
                    ("MessageUUID".to_owned(), id),
                    ("From".to_owned(), from.to_owned()),
                    ("To".to_owned(), to.to_owned()),
                    ("Text".to_owned(), text.to_owned()),
                    ("Type".to_owned(), if media.is_empty() { "sms" } else { "mms" }.to_owned()),
                ];
                fields.extend(media.iter().enumerate().map(|(n, url)| (format!("Media{n}"), url.clone())));
                serde_urlencoded::to_string(&fields).unwrap()
            }
        };
        self.sign(url, body)
    }

    /// A callback that says what became of a message, signed.
    pub fn status(&self, sent: &Sent, word: &str, code: &str) -> Callback {
        self.pen().status(sent, word, code)
    }

    /// Signs a body for an address, as the vendor does.
    pub fn sign(&self, url: &str, body: String) -> Callback {
        self.pen().sign(url, body)
    }

    fn pen(&self) -> Pen {
        Pen { vendor: self.vendor, secret: self.secret.clone() }
    }
}

/// Writes the vendor's callbacks.
#[derive(Clone)]
struct Pen {
    vendor: Vendor,
    secret: Arc<Mutex<String>>,
}

impl Pen {
    fn status(&self, sent: &Sent, word: &str, code: &str) -> Callback {
        match self.vendor {
            Vendor::Vonage => {
                let mut body = json!({ "message_uuid": sent.id, "to": sent.to, "from": sent.from, "channel": "sms",
                    "timestamp": "2026-01-15T12:00:01.000Z", "status": word, "client_ref": sent.reference });
                if !code.is_empty() {
                    let kind = format!("https://developer.vonage.com/api-errors/messages#{code}");
                    body["error"] = json!({ "type": kind, "title": code });
                }
                self.sign(&sent.callback, body.to_string())
            }
            Vendor::Plivo => {
                let fields = [
                    ("MessageUUID", sent.id.as_str()),
                    ("From", &sent.from),
                    ("To", &sent.to),
                    ("Status", word),
                    ("ErrorCode", if code.is_empty() { "000" } else { code }),
                    ("Sequence", "1"),
                ];
                self.sign(&sent.callback, serde_urlencoded::to_string(fields).unwrap())
            }
        }
    }

    fn sign(&self, url: &str, body: String) -> Callback {
        let secret = self.secret.lock().unwrap().clone();
        let headers = match self.vendor {
            Vendor::Vonage => vec![("authorization".to_owned(), bearer(&secret, &claims(&body)))],
            Vendor::Plivo => {
                let nonce = "0542956780446609".to_owned();
                let signature = plivo_signature(&secret, url, &body, &nonce);
                vec![
                    ("x-plivo-signature-v3".to_owned(), signature),
                    ("x-plivo-signature-v3-nonce".to_owned(), nonce),
                ]
            }
        };
        let content_type = match self.vendor {
            Vendor::Vonage => "application/json",
            Vendor::Plivo => "application/x-www-form-urlencoded",
        };
        Callback { url: url.to_owned(), headers, content_type, body }
    }
}

/// The claims of a Vonage webhook about a body, at noon of the stories.
pub fn claims(body: &str) -> Value {
    let hash: String = Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let iat = super::app::noon().0 / 1_000_000;
    json!({ "iat": iat, "jti": "1", "iss": "Vonage", "payload_hash": hash, "api_key": API_KEY,
        "application_id": APPLICATION })
}

/// A Vonage webhook's header.
pub fn bearer(secret: &str, claims: &Value) -> String {
    let header = BASE64URL.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", BASE64URL.encode(claims.to_string()));
    let key: Hmac<Sha256> = Hmac::new_from_slice(secret.as_bytes()).unwrap();
    format!("Bearer {signed}.{}", BASE64URL.encode(key.chain_update(&signed).finalize().into_bytes()))
}

/// Plivo's signature V3 of a form that is posted.
pub fn plivo_signature(secret: &str, url: &str, body: &str, nonce: &str) -> String {
    let (bare, query) = url.split_once('?').unwrap_or((url, ""));
    let mut fields: Vec<(String, String)> = serde_urlencoded::from_str(body).unwrap();
    fields.sort();
    let fields: String = fields.into_iter().map(|(name, value)| name + &value).collect();
    let text = if query.is_empty() { format!("{bare}?{fields}") } else { format!("{bare}?{query}.{fields}") };
    let key: Hmac<Sha256> = Hmac::new_from_slice(secret.as_bytes()).unwrap();
    BASE64.encode(key.chain_update(format!("{text}.{nonce}")).finalize().into_bytes())
}

/// A call to one of our doors.
#[derive(Debug, Clone)]
pub struct Callback {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub content_type: &'static str,
    pub body: String,
}

impl Callback {
    /// Makes the call; answers the status.
    pub async fn call(&self) -> u16 {
        let mut request = reqwest::Client::new().post(&self.url).header("content-type", self.content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(self.body.clone()).send().await.unwrap().status().as_u16()
    }
}

struct Desk {
    vendor: Vendor,
    base: String,
    pen: Pen,
    state: Arc<Mutex<State>>,
}

async fn serve(desk: web::Data<Desk>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let authorization = request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
    let seen = Seen {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        authorization,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    desk.state.lock().unwrap().seen.push(seen.clone());
    if let Some(name) = seen.path.strip_prefix("/store/") {
        return desk.file(name, &seen);
    }
    if let Some(name) = seen.path.strip_prefix("/cdn/") {
        return match (&seen.authorization, desk.state.lock().unwrap().files.get(name)) {
            (Some(_), _) => HttpResponse::BadRequest().body("credentials were forwarded"),
            (None, Some((kind, bytes))) => HttpResponse::Ok().content_type(kind.as_str()).body(bytes.clone()),
            (None, None) => HttpResponse::NotFound().finish(),
        };
    }
    match desk.vendor {
        Vendor::Vonage => desk.vonage(&seen).await,
        Vendor::Plivo => desk.plivo(&seen).await,
    }
}

impl Desk {
    /// The store sends whoever is known on to where the files lie.
    fn file(&self, name: &str, seen: &Seen) -> HttpResponse {
        if !self.knows(seen) {
            return HttpResponse::Unauthorized().finish();
        }
        let to = match name.strip_prefix("private-") {
            Some(_) => format!("http://10.0.0.1/{name}"),
            None => format!("/cdn/{name}"),
        };
        HttpResponse::TemporaryRedirect().insert_header(("location", to)).finish()
    }

    fn knows(&self, seen: &Seen) -> bool {
        let given = seen.authorization.as_deref().unwrap_or_default();
        match self.vendor {
            Vendor::Vonage => is_our_token(given),
            Vendor::Plivo => given == format!("Basic {}", BASE64.encode(format!("{AUTH_ID}:{SECRET}"))),
        }
    }

    /// Takes a message in the carrier's mood; `good` is the polite answer.
    async fn take(&self, sent: Sent, good: Value) -> HttpResponse {
        let mood = self.state.lock().unwrap().moods.pop_front();
        let keep = || self.state.lock().unwrap().sent.push(sent.clone());
        match mood {
            Some(Mood::Refuse { status, code, retry_after }) => {
                let mut answer = HttpResponse::build(StatusCode::from_u16(status).unwrap());
                if let Some(pause) = retry_after {
                    answer.insert_header(("retry-after", pause.to_string()));
                }
                let kind = format!("https://developer.vonage.com/api-errors/messages#{code}");
                answer.json(json!({ "type": kind, "title": "Refused", "error": "refused" }))
            }
            Some(Mood::DropAfterAccepting) => {
                keep();
                let broken = std::io::Error::other("the connection breaks");
                HttpResponse::Accepted()
                    .streaming(futures_util::stream::once(async { Err::<Bytes, _>(broken) }))
            }
            Some(Mood::Slow(pause)) => {
                actix_web::rt::time::sleep(pause).await;
                keep();
                HttpResponse::Accepted().json(good)
            }
            Some(Mood::TellFirst { word, blind }) => {
                keep();
                let mut told = sent.clone();
                if blind {
                    told.reference = String::new();
                    told.callback = told.callback.split('?').next().unwrap().to_owned();
                }
                assert_eq!(self.pen.status(&told, word, "").call().await, 200);
                HttpResponse::Accepted().json(good)
            }
            Some(Mood::Mumble) => {
                keep();
                HttpResponse::Accepted().body("ok")
            }
            None => {
                keep();
                HttpResponse::Accepted().json(good)
            }
        }
    }

    fn message_id(&self) -> String {
        let count = self.state.lock().unwrap().seen.len();
        format!("11111111-0000-4000-8000-{count:012}")
    }

    async fn vonage(&self, seen: &Seen) -> HttpResponse {
        let basic = format!("Basic {}", BASE64.encode(format!("{API_KEY}:an api secret for tests")));
        let is_basic = seen.authorization.as_deref() == Some(basic.as_str());
        if seen.path == "/v1/messages" {
            if !self.knows(seen) {
                return HttpResponse::Unauthorized().json(json!({ "title": "Unauthorized" }));
            }
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            let kind = text("message_type");
            let items = if kind == "content" {
                body["content"].as_array().unwrap().clone()
            } else {
                vec![body[&kind].clone()]
            };
            let media = items.iter().filter_map(|item| item["url"].as_str().map(str::to_owned)).collect();
            let caption = items[0]["caption"].as_str().unwrap_or_default();
            let said = if kind == "text" { text("text") } else { caption.to_owned() };
            let id = self.message_id();
            let (from, to, callback) = (text("from"), text("to"), text("webhook_url"));
            let sent =
                Sent { id: id.clone(), from, to, text: said, media, callback, reference: text("client_ref") };
            return self.take(sent, json!({ "message_uuid": id })).await;
        }
        if !is_basic {
            return HttpResponse::Unauthorized().finish();
        }
        self.vonage_desk(seen)
    }

    fn vonage_desk(&self, seen: &Seen) -> HttpResponse {
        let form: BTreeMap<String, String> = serde_urlencoded::from_str(&seen.body).unwrap_or_default();
        let msisdn = form.get("msisdn").cloned().unwrap_or_default();
        let mut state = self.state.lock().unwrap();
        let outcome = |code: &str| {
            let status = StatusCode::from_u16(code.parse().unwrap()).unwrap();
            HttpResponse::build(status).json(json!({ "error-code": code, "error-code-label": "x" }))
        };
        let listed = |numbers: Vec<&String>| {
            let numbers: Vec<Value> = numbers
                .iter()
                .map(|n| json!({ "country": "US", "msisdn": n, "cost": "0.90", "features": ["VOICE", "SMS", "MMS"] }))
                .collect();
            HttpResponse::Ok().json(json!({ "count": numbers.len(), "numbers": numbers }))
        };
        match seen.path.as_str() {
            "/number/search" => listed(state.offered.iter().collect()),
            "/account/numbers" => {
                let query: BTreeMap<String, String> = serde_urlencoded::from_str(&seen.query).unwrap();
                let pattern = query.get("pattern").cloned().unwrap_or_default();
                listed(state.owned.iter().filter(|n| n.starts_with(&pattern)).collect())
            }
            "/number/buy" if state.offered.contains(&msisdn) => {
                state.offered.retain(|n| *n != msisdn);
                state.owned.insert(msisdn);
                outcome("200")
            }
            "/number/update" if state.owned.contains(&msisdn) => outcome("200"),
            "/number/cancel" if state.owned.remove(&msisdn) => outcome("200"),
            "/number/buy" | "/number/update" | "/number/cancel" => outcome("420"),
            path if path == format!("/v2/applications/{APPLICATION}") => HttpResponse::Ok().json(json!({
                "id": APPLICATION, "name": "Bridge", "keys": { "public_key": PUBLIC },
                "capabilities": { "messages": { "webhooks": {
                    "inbound_url": { "address": "https://meari.example.org/carriers/main/messages" },
                    "status_url": { "address": "https://meari.example.org/carriers/main/status" },
                } } },
            })),
            _ => HttpResponse::NotFound().json(json!({ "title": "Not Found" })),
        }
    }

    async fn plivo(&self, seen: &Seen) -> HttpResponse {
        if !self.knows(seen) {
            return HttpResponse::Unauthorized().body("Could not verify your access level for that URL.");
        }
        let Some(path) = seen.path.strip_prefix(&format!("/v1/Account/{AUTH_ID}/")) else {
            return HttpResponse::NotFound().finish();
        };
        if (seen.method.as_str(), path) == ("POST", "Message/") {
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
            let media = body["media_urls"].as_array().cloned().unwrap_or_default();
            assert_eq!(text("type"), if media.is_empty() { "sms" } else { "mms" });
            let media = media.iter().map(|url| url.as_str().unwrap().to_owned()).collect();
            let id = self.message_id();
            let callback = text("url");
            let reference = callback.rsplit("ref=").next().unwrap_or_default().to_owned();
            let (from, to, text) = (text("src"), text("dst"), text("text"));
            let sent = Sent { id: id.clone(), from, to, text, media, callback, reference };
            return self
                .take(sent, json!({ "message": "message(s) queued", "message_uuid": [id], "api_id": "x" }))
                .await;
        }
        self.plivo_desk(seen, path)
    }

    fn plivo_desk(&self, seen: &Seen, path: &str) -> HttpResponse {
        let mut state = self.state.lock().unwrap();
        let listed = |numbers: Vec<&String>| {
            let objects: Vec<Value> = numbers
                .iter()
                .map(|n| {
                    json!({ "number": n, "sms_enabled": true, "mms_enabled": true, "voice_enabled": true,
                        "monthly_rental_rate": "0.80000", "setup_rate": "0.00000", "city": "Washington", "region": "US" })
                })
                .collect();
            HttpResponse::Ok().json(json!({ "meta": { "next": null, "offset": 0 }, "objects": objects }))
        };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        match (seen.method.as_str(), parts.as_slice()) {
            ("GET", [""]) => HttpResponse::Ok().json(json!({ "name": "Bridge", "auth_id": AUTH_ID })),
            ("GET", ["Application", _]) => HttpResponse::Ok().json(json!({ "app_name": "Bridge",
                "message_url": "https://meari.example.org/carriers/main/messages", "message_method": "POST" })),
            ("GET", ["Message"]) => {
                let query: BTreeMap<String, String> = serde_urlencoded::from_str(&seen.query).unwrap();
                let fits = |sent: &&Sent| query["to_number"] == sent.to && query["from_number"] == sent.from;
                let found: Vec<Value> =
                    state.sent.iter().filter(fits).map(|sent| json!({ "message_uuid": sent.id })).collect();
                HttpResponse::Ok().json(json!({ "objects": found }))
            }
            ("GET", ["PhoneNumber"]) => listed(state.offered.iter().collect()),
            ("POST", ["PhoneNumber", number]) if state.offered.iter().any(|n| n == number) => {
                state.offered.retain(|n| n != number);
                state.owned.insert((*number).to_owned());
                HttpResponse::Created().json(json!({ "status": "fulfilled", "numbers": [{ "number": number }] }))
            }
            ("GET", ["Number"]) => listed(state.owned.iter().collect()),
            ("GET", ["Number", number]) if state.owned.contains(*number) => {
                HttpResponse::Ok().json(json!({ "number": number }))
            }
            ("POST", ["Number", number]) if state.owned.contains(*number) => {
                HttpResponse::Accepted().json(json!({ "message": "changed" }))
            }
            ("DELETE", ["Number", number]) if state.owned.remove(*number) => HttpResponse::NoContent().finish(),
            _ => HttpResponse::NotFound().json(json!({ "error": "not found" })),
        }
    }
}

/// Whether a header holds a token that our application's key signed, for this application, and for some minutes.
pub fn is_our_token(header: &str) -> bool {
    use rustls::pki_types::SubjectPublicKeyInfoDer;
    use rustls::pki_types::pem::PemObject as _;
    let Some(token) = header.strip_prefix("Bearer ") else { return false };
    let Some((signed, signature)) = token.rsplit_once('.') else { return false };
    let der = SubjectPublicKeyInfoDer::from_pem_slice(PUBLIC.as_bytes()).unwrap();
    // The last 270 bytes of the structure are the key of 2,048 bits itself.
    let key = &der.as_ref()[der.as_ref().len() - 270..];
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, key);
    let good = key.verify(signed.as_bytes(), &BASE64URL.decode(signature).unwrap()).is_ok();
    let claims: Value =
        serde_json::from_slice(&BASE64URL.decode(signed.split_once('.').unwrap().1).unwrap()).unwrap();
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    good && claims["application_id"] == APPLICATION && (1..=900).contains(&(exp - iat))
}

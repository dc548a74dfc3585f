//! A push service and its subscribers: a real server that takes what is sent, and phones that decrypt it with their own
//! keys, by code of their own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use meari::dav::xml::{self, Element};
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use ring::{aead, hmac};

/// What the service was handed for one subscription.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Delivery {
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        &found.unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).1
    }
}

#[derive(Default)]
struct Inbox {
    deliveries: Vec<Delivery>,
    refusals: VecDeque<(u16, Option<&'static str>)>,
}

/// The server. Ends with the test's thread.
#[derive(Clone)]
pub struct PushService {
    pub url: String,
    inbox: Arc<Mutex<Inbox>>,
}

impl PushService {
    pub fn start() -> PushService {
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let data = web::Data::from(inbox.clone());
        let server =
            HttpServer::new(move || App::new().app_data(data.clone()).default_service(web::to(take)))
                .workers(1)
                .disable_signals()
                .listen(listener)
                .unwrap()
                .run();
        actix_web::rt::spawn(server);
        PushService { url, inbox }
    }

    /// The next deliveries are answered with this status and `Retry-After`.
    pub fn refuses(&self, status: u16, retry_after: Option<&'static str>) {
        self.inbox.lock().unwrap().refusals.push_back((status, retry_after));
    }

    /// What has come since the last look.
    pub fn deliveries(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.inbox.lock().unwrap().deliveries)
    }

    /// A new subscription.
    pub fn subscribe(&self, name: &str) -> Subscriber {
        let secret = loop {
            if let Ok(secret) = SecretKey::from_slice(&rand::random::<[u8; 32]>()) {
                break secret;
            }
        };
        Subscriber { endpoint: format!("{}/{name}", self.url), secret, auth: rand::random() }
    }
}

async fn take(inbox: web::Data<Mutex<Inbox>>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let mut inbox = inbox.lock().unwrap();
    if let Some((status, retry_after)) = inbox.refusals.pop_front() {
        let mut answer = HttpResponse::build(status.try_into().unwrap());
        if let Some(pause) = retry_after {
            answer.insert_header(("Retry-After", pause));
        }
        return answer.finish();
    }
    assert_eq!(request.method(), "POST");
    let text = |v: &actix_web::http::header::HeaderValue| v.to_str().unwrap().to_owned();
    let headers = request.headers().iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect();
    inbox.deliveries.push(Delivery { path: request.path().to_owned(), headers, body: body.to_vec() });
    HttpResponse::Created().insert_header(("Location", "/message/1")).finish()
}

/// A phone or browser with its keys.
#[derive(Clone)]
pub struct Subscriber {
    pub endpoint: String,
    pub secret: SecretKey,
    pub auth: [u8; 16],
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

impl Subscriber {
    pub fn public_key(&self) -> Vec<u8> {
        self.secret.public_key().to_encoded_point(false).as_bytes().to_vec()
    }

    pub fn p256dh(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.public_key())
    }

    pub fn auth_secret(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.auth)
    }

    /// The body of a registration for address books.
    pub fn register(&self, triggers: &str, more: &str) -> String {
        format!(
            "<push-register xmlns='https://bitfire.at/webdav-push' xmlns:D='DAV:'><subscription><web-push-subscription>\
             <push-resource>{}</push-resource><content-encoding>aes128gcm</content-encoding>\
             <subscription-public-key type='p256dh'>{}</subscription-public-key>\
             <auth-secret>{}</auth-secret></web-push-subscription></subscription>\
             <trigger>{triggers}</trigger>{more}</push-register>",
            self.endpoint,
            self.p256dh(),
            self.auth_secret()
        )
    }

    /// RFC 8188 and 8291, step by step and with HMAC alone.
    pub fn decrypt(&self, delivery: &Delivery) -> Vec<u8> {
        assert_eq!(delivery.header("content-encoding"), "aes128gcm");
        let body = &delivery.body;
        let (salt, theirs) = (&body[..16], &body[21..21 + usize::from(body[20])]);
        let key = p256::PublicKey::from_sec1_bytes(theirs).unwrap();
        let shared = p256::ecdh::diffie_hellman(self.secret.to_nonzero_scalar(), key.as_affine());
        let prk = hmac_sha256(&self.auth, shared.raw_secret_bytes());
        let info = [b"WebPush: info\0".as_slice(), &self.public_key(), theirs, &[1]].concat();
        let prk = hmac_sha256(salt, &hmac_sha256(&prk, &info));
        let cek = hmac_sha256(&prk, b"Content-Encoding: aes128gcm\0\x01");
        let nonce = hmac_sha256(&prk, b"Content-Encoding: nonce\0\x01");
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, &cek[..16]).unwrap();
        let nonce = aead::Nonce::assume_unique_for_key(nonce[..12].try_into().unwrap());
        let mut text = body[21 + theirs.len()..].to_vec();
        let text = aead::LessSafeKey::new(key).open_in_place(nonce, aead::Aad::empty(), &mut text).unwrap();
        let end = text.iter().rposition(|b| *b != 0).unwrap();
        assert_eq!(text[end], 2, "the last record's delimiter");
        text[..end].to_vec()
    }

    /// What a push for an address book says.
    pub fn document(&self, delivery: &Delivery) -> Element {
        xml::parse(&self.decrypt(delivery)).unwrap()
    }

    pub fn json(&self, delivery: &Delivery) -> serde_json::Value {
        serde_json::from_slice(&self.decrypt(delivery)).unwrap()
    }
}

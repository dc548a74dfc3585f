//! The carrier's end of one call, spoken by hand: signed requests and a media socket, in whatever order and as often as a
//! story likes. The carrier of the other stories keeps to the rules; this one need not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use meari::phone::E164;
use meari::simulator::signature;

use super::TestApp;
use super::app::AUTH_TOKEN;
use super::browser::{Ear, tone};
use super::calling::PHONE_HZ;

/// One call of the carrier.
#[derive(Clone)]
pub struct Line {
    base: String,
    http: reqwest::Client,
    pub sid: String,
    from: String,
    to: String,
    words: Arc<AtomicU64>,
}

/// What stands between two words of a document, as it was before it was escaped.
fn between<'a>(document: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &document[document.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

impl Line {
    /// A phone dials a number, and the carrier has not told us yet.
    pub fn new(app: &TestApp, from: &E164, to: &str) -> Line {
        Line::named(app, &format!("CA{:032x}", rand::random::<u128>()), from.as_str(), to)
    }

    /// A call that the carrier has already.
    pub fn named(app: &TestApp, sid: &str, from: &str, to: &str) -> Line {
        Line {
            base: format!("{}/carriers/{}", app.url, super::app::CARRIER),
            http: reqwest::Client::new(),
            sid: sid.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            words: Arc::default(),
        }
    }

    async fn posts(&self, url: &str, more: &[(&str, &str)]) -> Option<String> {
        let mut form = vec![("CallSid".to_owned(), self.sid.clone())];
        form.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let signed = signature::sign(AUTH_TOKEN, url, &form);
        let answer =
            self.http.post(url).header("x-twilio-signature", signed).form(&form).send().await.ok()?;
        (answer.status() == 200).then_some(())?;
        answer.text().await.ok()
    }

    /// The carrier announces the call; answers what it shall do.
    pub async fn comes_in(&self) -> String {
        let url = format!("{}/voice", self.base);
        let form = [("From", self.from.as_str()), ("To", self.to.as_str()), ("CallStatus", "ringing")];
        self.posts(&url, &form).await.unwrap_or_default()
    }

    /// The carrier asks what comes after a document.
    pub async fn goes_on(&self, document: &str) -> String {
        match between(document, "<Redirect method=\"POST\">", "</Redirect>") {
            Some(url) => self.posts(url, &[]).await.unwrap_or_default(),
            None => String::new(),
        }
    }

    /// A caller types something where he was asked to.
    pub async fn types(&self, document: &str, digits: &str) -> String {
        let url = between(document, "action=\"", "\"").expect("something is asked");
        self.posts(url, &[("Digits", digits)]).await.unwrap_or_default()
    }

    /// The carrier has news.
    pub async fn tells(&self, status: &str) {
        let place = self.words.fetch_add(1, Ordering::Relaxed).to_string();
        self.tells_as(status, &place).await;
    }

    /// The carrier has news, at a place of its own among the others.
    pub async fn tells_as(&self, status: &str, place: &str) {
        let form = [("CallStatus", status), ("SequenceNumber", place)];
        let _ = self.posts(&format!("{}/call-status", self.base), &form).await;
    }

    /// Opens the socket that a document asks for; `None` when it asks for none, or it is not taken.
    pub async fn opens(&self, document: &str) -> Option<Stream> {
        self.opens_as(document, &self.sid.clone()).await
    }

    /// The same for a call with another name.
    pub async fn opens_as(&self, document: &str, sid: &str) -> Option<Stream> {
        let url = between(document, "<Stream url=\"", "\"")?;
        let mut request = url.into_client_request().unwrap();
        let signed = signature::sign(AUTH_TOKEN, url, &[]);
        request.headers_mut().insert("x-twilio-signature", signed.parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.ok()?;
        let start =
            json!({ "event": "start", "start": { "streamSid": "MZ1", "callSid": sid }, "streamSid": "MZ1" });
        for frame in [json!({ "event": "connected" }), start] {
            socket.send(Message::text(frame.to_string())).await.ok()?;
        }
        let (orders, receiver) = mpsc::unbounded_channel();
        let (ear, over) = (Ear::default(), Arc::<AtomicBool>::default());
        actix_web::rt::spawn(speaks(socket, receiver, ear.clone(), over.clone()));
        Some(Stream { orders, ear, over })
    }
}

enum Order {
    Digit(char),
    Stop,
    Freeze,
}

/// A media socket; without it the connection is gone, and nobody says good-bye.
pub struct Stream {
    orders: mpsc::UnboundedSender<Order>,
    pub ear: Ear,
    over: Arc<AtomicBool>,
}

impl Stream {
    /// Whether the service has closed it.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn presses(&self, digit: char) {
        let _ = self.orders.send(Order::Digit(digit));
    }

    /// Says that it stops, and closes.
    pub fn stops(self) {
        let _ = self.orders.send(Order::Stop);
    }

    /// The network is cut: nothing comes and nothing is taken any more.
    pub fn freezes(&self) {
        let _ = self.orders.send(Order::Freeze);
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn speaks(
    mut socket: Socket,
    mut orders: mpsc::UnboundedReceiver<Order>,
    ear: Ear,
    over: Arc<AtomicBool>,
) {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    // Counts what is said, and not what is heard: else the tone has gaps, and is another.
    let mut number = 0_u64;
    loop {
        let send = tokio::select! {
            _ = pace.tick() => {
                let payload = STANDARD.encode(tone(PHONE_HZ, number));
                let at = (number * 20).to_string();
                number += 1;
                json!({ "event": "media", "media": { "track": "inbound", "timestamp": at, "payload": payload } })
            }
            order = orders.recv() => match order {
                Some(Order::Digit(digit)) => json!({ "event": "dtmf", "dtmf": { "digit": digit.to_string() } }),
                Some(Order::Stop) => {
                    let _ = socket.send(Message::text(json!({ "event": "stop" }).to_string())).await;
                    let _ = socket.close(None).await;
                    break;
                }
                Some(Order::Freeze) => {
                    // Until the story is over.
                    while orders.recv().await.is_some() {}
                    break;
                }
                None => break,
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if let Some(payload) = frame["media"]["payload"].as_str() {
                        ear.hear(&STANDARD.decode(payload).unwrap());
                    }
                    if frame["event"] != "mark" {
                        continue;
                    }
                    frame
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    over.store(true, Ordering::Relaxed);
                    break;
                }
                Some(Ok(_)) => continue,
            },
        };
        if socket.send(Message::text(send.to_string())).await.is_err() {
            over.store(true, Ordering::Relaxed);
            break;
        }
    }
}

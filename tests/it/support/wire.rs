//! Carriers that are servers, one for each vendor's wire. They record what they are asked and misbehave on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use meari::clock::Timestamp;
use meari::config::CarrierSettings;

/// Headers, or the pairs of a query.
pub type Pairs = Vec<(String, String)>;
/// Why a callback is not genuine, its headers and its body.
pub type Forged = (&'static str, Pairs, String);

/// A request as it reached the carrier.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub fn asked(&self, name: &str) -> &str {
        self.query.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// What the carrier does with the next message instead of taking it.
#[derive(Debug, Clone)]
pub enum Act {
    /// Says no.
    Refuse { status: u16, header: Option<(&'static str, &'static str)>, body: String },
    /// Takes it, and the connection breaks before the answer is whole.
    AcceptAndDrop,
    /// Takes it and says that it broke.
    AcceptAndRefuse,
    /// The connection breaks and nothing was taken.
    Drop,
    /// Takes its time.
    Slow(Duration),
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
    /// What the vendor echoes: an address or a tag.
    pub echo: String,
    /// The vendor's word for what became of it.
    pub state: String,
    pub at: Timestamp,
}

#[derive(Default)]
pub struct State {
    pub acts: VecDeque<Act>,
    /// What it does with every message, when nothing else was said.
    pub always: Option<Act>,
    pub seen: Vec<Seen>,
    pub sent: Vec<Sent>,
    /// Words that were told before the answer: (the carrier's id, word).
    pub told: Vec<(String, &'static str)>,
    /// Where in `sent` the messages between two numbers are: (from, to).
    pub by_line: HashMap<(String, String), Vec<usize>>,
    pub numbers: Vec<String>,
    /// (reference, number)
    pub orders: Vec<(String, String)>,
    /// Numbers that it offers beside the one that it always does.
    pub more_offers: usize,
    /// How many tokens were given; only the last is good.
    pub tokens: usize,
    /// The address that is entered at the carrier, up to the carrier's id.
    pub callback_base: String,
    pub now: Timestamp,
}

impl State {
    /// Takes a message.
    pub fn take(&mut self, sent: Sent) {
        let line = (sent.from.clone(), sent.to.clone());
        self.by_line.entry(line).or_default().push(self.sent.len());
        self.sent.push(sent);
    }

    /// What was sent between two numbers, newest first.
    pub fn between(&self, from: &str, to: &str) -> Vec<&Sent> {
        let places = self.by_line.get(&(from.to_owned(), to.to_owned()));
        places.into_iter().flatten().rev().map(|at| &self.sent[*at]).collect()
    }
}

pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Reply {
    pub fn json(status: u16, body: serde_json::Value) -> Reply {
        Reply { status, content_type: "application/json", body: body.to_string() }
    }

    pub fn xml(status: u16, body: String) -> Reply {
        Reply { status, content_type: "application/xml", body }
    }
}

/// One vendor's wire, as its documents have it.
pub trait Vendor: Send + Sync + 'static {
    const ID: &'static str;
    /// The settings that an operator would write.
    fn settings(api_base: &str) -> CarrierSettings;
    /// Answers a request of ours.
    fn answer(state: &mut State, seen: &Seen) -> Reply;
    /// Whether a request sends a message.
    fn sends(seen: &Seen) -> bool;
    /// The body of the callback for a message from a telephone.
    fn inbound(id: &str, from: &str, to: &str, text: &str) -> String;
    /// The body of the callback with `state`, the vendor's word, for a message of ours.
    fn receipt(sent: &Sent, state: &str) -> String;
    /// The vendor's words for sent, delivered and undelivered.
    fn words() -> [&'static str; 3];
    /// The headers of a genuine callback.
    fn signed(body: &str, now: Timestamp) -> Pairs;
    /// Headers and bodies that are not genuine, each with why.
    fn forged(body: &str, now: Timestamp) -> Vec<Forged>;
    /// A refusal because of too many requests.
    fn busy() -> (String, Option<(&'static str, &'static str)>);
}

/// A running carrier.
pub struct Fake<V> {
    pub url: String,
    state: Arc<Mutex<State>>,
    handle: actix_web::dev::ServerHandle,
    vendor: std::marker::PhantomData<V>,
}

async fn serve<V: Vendor>(state: Data<Mutex<State>>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let headers = request.headers().iter();
    let seen = Seen {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: serde_urlencoded::from_str(request.query_string()).unwrap(),
        headers: headers.map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let act = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        if V::sends(&seen) { state.acts.pop_front().or_else(|| state.always.clone()) } else { None }
    };
    match act {
        Some(Act::Refuse { status, header, body }) => {
            let mut answer = HttpResponse::build(status.try_into().unwrap());
            answer.content_type("application/json");
            if let Some(header) = header {
                answer.insert_header(header);
            }
            return answer.body(body);
        }
        Some(Act::Drop) => return broken(),
        Some(Act::AcceptAndDrop) => {
            V::answer(&mut state.lock().unwrap(), &seen);
            return broken();
        }
        Some(Act::AcceptAndRefuse) => {
            V::answer(&mut state.lock().unwrap(), &seen);
            return HttpResponse::InternalServerError().finish();
        }
        Some(Act::Slow(pause)) => tokio::time::sleep(pause).await,
        Some(Act::TellFirst { word, blind }) => {
            let (reply, door, mut sent, now) = {
                let mut state = state.lock().unwrap();
                let reply = V::answer(&mut state, &seen);
                let sent = state.sent.last().unwrap().clone();
                state.told.push((sent.id.clone(), word));
                (reply, format!("{}/status", state.callback_base), sent, state.now)
            };
            if blind {
                sent.echo = String::new();
            }
            let body = V::receipt(&sent, word);
            assert_eq!(call(&door, &body, V::signed(&body, now)).await, 200);
            let answer = HttpResponse::build(reply.status.try_into().unwrap());
            return { answer }.content_type(reply.content_type).body(reply.body);
        }
        None => {}
    }
    let reply = V::answer(&mut state.lock().unwrap(), &seen);
    HttpResponse::build(reply.status.try_into().unwrap()).content_type(reply.content_type).body(reply.body)
}

async fn call(address: &str, body: &str, headers: Pairs) -> u16 {
    // One for all tests, which have runtimes of their own: it keeps no connection.
    static CLIENT: LazyLock<reqwest::Client> =
        LazyLock::new(|| reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap());
    let mut request = CLIENT.post(address).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(body.to_owned()).send().await.unwrap().status().as_u16()
}

/// An answer that breaks off.
fn broken() -> HttpResponse {
    let pieces =
        futures_util::stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))]);
    HttpResponse::Ok().body(actix_web::body::SizedStream::new(1_000, pieces))
}

impl<V: Vendor> Fake<V> {
    pub fn up() -> Fake<V> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Data::new(Mutex::new(State::default()));
        let shared = state.clone();
        let app = move || App::new().app_data(shared.clone()).default_service(web::to(serve::<V>));
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Fake { url, state: state.into_inner(), handle, vendor: std::marker::PhantomData }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Does this with the next message.
    pub fn will(&self, act: Act) {
        self.state().acts.push_back(act);
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }

    /// Calls one of our doors; the status of the answer.
    pub async fn calls(&self, door: &str, body: &str, headers: Vec<(String, String)>) -> u16 {
        let address = format!("{}/{door}", self.state().callback_base);
        call(&address, body, headers).await
    }

    /// A genuine callback.
    pub async fn tells(&self, door: &str, body: &str, now: Timestamp) -> u16 {
        self.calls(door, body, V::signed(body, now)).await
    }

    pub async fn down(self) {
        self.handle.stop(false).await;
    }
}

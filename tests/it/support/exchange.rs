//! Carriers that do calls, as servers: they take the vendor's requests, call us with the vendor's callbacks, carry out
//! what we answer, and open real media sockets, over which a telephone says a tone and listens for others.

pub mod bandwidth;
pub mod plivo;
pub mod telnyx;
pub mod vonage;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use actix_web::web::{self, Bytes, Data};
use actix_web::{HttpRequest, HttpResponse, HttpServer};
use futures_util::{SinkExt as _, StreamExt as _};
use meari::clock::{Clock, Timestamp};
use meari::config::CarrierSettings;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::browser::{Ear, tone};
use super::calling::PHONE_HZ;
use super::eventually;
use super::wire::{Pairs, Reply, Seen};

/// The carrier's id in the settings.
pub const ID: &str = "lines";

/// What a call is told to do, whatever the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    Answer,
    Say(String),
    Sound(String),
    Ask {
        text: String,
        url: String,
    },
    GoTo(String),
    Reject {
        busy: bool,
    },
    HangUp,
    /// Remembers something with the call.
    Keep(&'static str, String),
}

/// An element of a document in XML.
#[derive(Debug, Clone, Default)]
pub struct Element {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document whose root is `Response`, and answers what is in it.
    pub fn read(xml: &str) -> Vec<Element> {
        use quick_xml::events::Event;
        let mut reader = quick_xml::Reader::from_str(xml);
        let mut open = vec![Element::default()];
        let begun = |start: &quick_xml::events::BytesStart<'_>| Element {
            name: start.name().as_ref().to_owned(),
            attributes: start
                .attributes()
                .map(|a| a.unwrap())
                .map(|a| {
                    (a.key.as_ref().to_owned(), quick_xml::escape::unescape(&a.value).unwrap().into_owned())
                })
                .collect(),
            ..Element::default()
        };
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => open.push(begun(&start)),
                Event::Empty(start) => {
                    let element = begun(&start);
                    open.last_mut().unwrap().children.push(element);
                }
                Event::End(_) => {
                    let done = open.pop().unwrap();
                    open.last_mut().unwrap().children.push(done);
                }
                Event::Text(text) => open.last_mut().unwrap().text.push_str(&text.xml10_content()),
                Event::GeneralRef(entity) => {
                    let plain =
                        quick_xml::escape::unescape(&format!("&{};", entity.as_ref())).unwrap().into_owned();
                    open.last_mut().unwrap().text.push_str(&plain);
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let root = open.remove(0).children.remove(0);
        assert_eq!(root.name, "Response");
        root.children
    }

    /// An attribute that must be there.
    pub fn get(&self, name: &str) -> String {
        self.attributes.get(name).unwrap_or_else(|| panic!("{} has no {name}", self.name)).clone()
    }

    /// Only documented attributes may be there.
    pub fn knows(&self, names: &[&str]) {
        for name in self.attributes.keys() {
            assert!(names.contains(&name.as_str()), "{} has no attribute {name}", self.name);
        }
    }

    /// What is spoken in it.
    pub fn said(&self, verb: &str) -> String {
        self.children
            .iter()
            .find(|child| child.name == verb)
            .map(|child| child.text.clone())
            .unwrap_or_default()
    }
}

/// What a carrier has to say of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    Incoming,
    Ringing,
    Answered,
    /// What was to be said has been said.
    Spoken,
    Typed {
        url: String,
        digits: String,
    },
    /// A key, where the socket does not say it.
    Key(char),
    /// The media socket is closed, or was never open.
    SoundOver,
    Next {
        url: String,
    },
    Ended(End),
}

/// Why a call is over, for the carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Completed,
    Busy,
    Declined,
    NoAnswer,
    Cancelled,
    Rejected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Ringing,
    Talking,
    Ended(End),
}

/// A call as its carrier knows it.
#[derive(Debug, Clone)]
pub struct Facts {
    pub id: String,
    pub from: String,
    pub to: String,
    pub is_incoming: bool,
    pub stage: Stage,
    /// What the carrier's voice has said.
    pub said: Vec<String>,
    /// What is typed when it is asked for.
    pub types: String,
    /// What the vendor keeps with a call: addresses, a state.
    pub kept: BTreeMap<String, String>,
    /// Addresses of media sockets that it was given.
    pub sockets: Vec<String>,
}

impl Facts {
    pub fn kept(&self, key: &str) -> String {
        self.kept.get(key).cloned().unwrap_or_default()
    }
}

/// A callback: where, of what type, what, with which headers.
#[derive(Debug, Clone)]
pub struct Callback {
    pub url: String,
    pub content_type: &'static str,
    pub body: String,
    pub headers: Pairs,
    /// Whether the answer says what to do.
    pub asks: bool,
}

/// What came over a media socket.
pub enum Heard {
    Sound(Vec<u8>),
    /// What says that all before it was played, when it has been.
    Mark(Message),
    Nothing,
}

/// One vendor's language.
pub trait Wire: Send + Sync + 'static {
    /// The settings that an operator would write.
    fn settings(base: &str) -> CarrierSettings;
    /// Answers a request of ours.
    fn serve(exchange: &Exchange, seen: &Seen) -> Reply;
    /// The callbacks that say a word; none when this vendor says nothing then. `door` is our address up to the id.
    fn says(call: &Facts, word: &Word, door: &str, now: Timestamp) -> Vec<Callback>;
    /// Callbacks that are not genuine, made from one that is.
    fn forged(good: &Callback, now: Timestamp) -> Vec<(&'static str, Callback)>;
    /// Reads what we answered; strict.
    fn reads(document: &str) -> Vec<Deed>;
    /// Headers with which a media socket is opened.
    fn upgrade(call: &Facts, url: &str) -> Pairs;
    /// The first frames.
    fn hello(call: &Facts) -> Vec<Message>;
    fn speaks(call: &Facts, number: u64, mulaw: &[u8]) -> Message;
    /// None where a key is a word.
    fn presses(call: &Facts, digit: char) -> Option<Message>;
    fn hears(call: &Facts, message: &Message) -> Heard;
    fn good_bye(call: &Facts) -> Option<Message>;
}

enum Order {
    Pick,
    Hang(End),
    Press(char),
    Do(Vec<Deed>),
}

struct Line {
    facts: Facts,
    orders: mpsc::UnboundedSender<Order>,
    ear: Ear,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    seen: Vec<Seen>,
    said: Vec<Callback>,
    answers: Vec<String>,
    door: String,
}

/// A running carrier.
#[derive(Clone)]
pub struct Exchange {
    pub url: String,
    state: Arc<Mutex<State>>,
    clock: Arc<Mutex<Option<Clock>>>,
    vendor: Arc<dyn Speaker>,
    handle: actix_web::dev::ServerHandle,
}

/// A wire without its type.
trait Speaker: Send + Sync {
    fn serve(&self, exchange: &Exchange, seen: &Seen) -> Reply;
    fn says(&self, call: &Facts, word: &Word, door: &str, now: Timestamp) -> Vec<Callback>;
    fn forged(&self, good: &Callback, now: Timestamp) -> Vec<(&'static str, Callback)>;
    fn reads(&self, document: &str) -> Vec<Deed>;
    fn upgrade(&self, call: &Facts, url: &str) -> Pairs;
    fn hello(&self, call: &Facts) -> Vec<Message>;
    fn speaks(&self, call: &Facts, number: u64, mulaw: &[u8]) -> Message;
    fn presses(&self, call: &Facts, digit: char) -> Option<Message>;
    fn hears(&self, call: &Facts, message: &Message) -> Heard;
    fn good_bye(&self, call: &Facts) -> Option<Message>;
}

struct Of<W>(std::marker::PhantomData<W>);

impl<W: Wire> Speaker for Of<W> {
    fn serve(&self, exchange: &Exchange, seen: &Seen) -> Reply {
        W::serve(exchange, seen)
    }
    fn says(&self, call: &Facts, word: &Word, door: &str, now: Timestamp) -> Vec<Callback> {
        W::says(call, word, door, now)
    }
    fn forged(&self, good: &Callback, now: Timestamp) -> Vec<(&'static str, Callback)> {
        W::forged(good, now)
    }
    fn reads(&self, document: &str) -> Vec<Deed> {
        W::reads(document)
    }
    fn upgrade(&self, call: &Facts, url: &str) -> Pairs {
        W::upgrade(call, url)
    }
    fn hello(&self, call: &Facts) -> Vec<Message> {
        W::hello(call)
    }
    fn speaks(&self, call: &Facts, number: u64, mulaw: &[u8]) -> Message {
        W::speaks(call, number, mulaw)
    }
    fn presses(&self, call: &Facts, digit: char) -> Option<Message> {
        W::presses(call, digit)
    }
    fn hears(&self, call: &Facts, message: &Message) -> Heard {
        W::hears(call, message)
    }
    fn good_bye(&self, call: &Facts) -> Option<Message> {
        W::good_bye(call)
    }
}

async fn serve(exchange: Data<Mutex<Option<Exchange>>>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let headers = request.headers().iter();
    let seen = Seen {
        method: request.method().to_string(),
        path: request.path().to_owned(),
        query: serde_urlencoded::from_str(request.query_string()).unwrap(),
        headers: headers.map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let exchange = exchange.lock().unwrap().clone().unwrap();
    exchange.state().seen.push(seen.clone());
    let reply = exchange.vendor.serve(&exchange, &seen);
    HttpResponse::build(reply.status.try_into().unwrap()).content_type(reply.content_type).body(reply.body)
}

impl Exchange {
    pub fn up<W: Wire>() -> Exchange {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let slot = Data::new(Mutex::new(None));
        let shared = slot.clone();
        let app = move || actix_web::App::new().app_data(shared.clone()).default_service(web::to(serve));
        let server = HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let exchange = Exchange {
            url,
            state: Arc::default(),
            clock: Arc::default(),
            vendor: Arc::new(Of::<W>(std::marker::PhantomData)),
            handle,
        };
        *slot.lock().unwrap() = Some(exchange.clone());
        exchange
    }

    /// Where it calls us, and the time by which it signs.
    pub fn knows(&self, door: &str, clock: &Clock) {
        self.state().door = door.to_owned();
        *self.clock.lock().unwrap() = Some(clock.clone());
    }

    pub async fn down(&self) {
        self.handle.stop(false).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.clock.lock().unwrap().as_ref().unwrap().now()
    }

    /// What we asked of it.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// What it said to us, and the documents that we answered.
    pub fn exchanged(&self) -> (Vec<Callback>, Vec<String>) {
        let state = self.state();
        (state.said.clone(), state.answers.clone())
    }

    /// Our address up to the carrier's id.
    pub fn door(&self) -> String {
        self.state().door.clone()
    }

    /// Calls that are not over.
    pub fn open_calls(&self) -> usize {
        self.state().lines.iter().filter(|line| !matches!(line.facts.stage, Stage::Ended(_))).count()
    }

    /// A call as it is now.
    pub fn facts(&self, id: &str) -> Option<Facts> {
        self.state().lines.iter().find(|line| line.facts.id == id).map(|line| line.facts.clone())
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Facts)) -> Facts {
        let mut state = self.state();
        let line = state.lines.iter_mut().find(|line| line.facts.id == id).unwrap();
        change(&mut line.facts);
        line.facts.clone()
    }

    fn order(&self, id: &str, order: Order) {
        let state = self.state();
        if let Some(line) = state.lines.iter().find(|line| line.facts.id == id) {
            let _ = line.orders.send(order);
        }
    }

    /// A request of ours tells a call what to do.
    pub fn told(&self, id: &str, deeds: Vec<Deed>) {
        self.order(id, Order::Do(deeds));
    }

    /// A request of ours ends a call; false when it is over, or was never there.
    pub fn hung_up(&self, id: &str) -> bool {
        let open = self.facts(id).filter(|facts| !matches!(facts.stage, Stage::Ended(_)));
        let Some(facts) = open else { return false };
        let end = if facts.stage == Stage::Ringing { End::Cancelled } else { End::Completed };
        self.order(id, Order::Hang(end));
        true
    }

    /// Keeps something with a call.
    pub fn keeps(&self, id: &str, key: &str, value: &str) {
        self.change(id, |facts| drop(facts.kept.insert(key.to_owned(), value.to_owned())));
    }

    /// A request of ours makes a call; answers its id. `deeds` are what happens when it is picked up.
    pub fn places(&self, from: &str, to: &str, kept: &[(&str, String)], deeds: Vec<Deed>) -> String {
        self.begins(from, to, false, kept, deeds)
    }

    fn begins(
        &self,
        from: &str,
        to: &str,
        is_incoming: bool,
        kept: &[(&str, String)],
        deeds: Vec<Deed>,
    ) -> String {
        let (orders, receiver) = mpsc::unbounded_channel();
        let mut state = self.state();
        let facts = Facts {
            id: format!("11111111-2222-4333-8444-{:012}", state.lines.len()),
            from: from.to_owned(),
            to: to.to_owned(),
            is_incoming,
            stage: Stage::Ringing,
            said: Vec::new(),
            types: String::new(),
            kept: kept.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect(),
            sockets: Vec::new(),
        };
        let (id, ear) = (facts.id.clone(), Ear::default());
        state.lines.push(Line { facts, orders, ear: ear.clone() });
        let call = Life { exchange: self.clone(), id: id.clone(), ear, orders: receiver, todo: deeds.into() };
        actix_web::rt::spawn(call.run());
        id
    }

    /// Somebody dials one of our numbers.
    pub fn dials(&self, from: &str, to: &str) -> Handset<'_> {
        self.dials_and_types(from, to, "")
    }

    /// The same; when he is asked for digits he types these.
    pub fn dials_and_types(&self, from: &str, to: &str, types: &str) -> Handset<'_> {
        let id = self.begins(from, to, true, &[], Vec::new());
        self.change(&id, |facts| types.clone_into(&mut facts.types));
        self.handset(id)
    }

    /// The same, and the vendor never opens the socket for its sound.
    pub fn dials_without_sound(&self, from: &str, to: &str) -> Handset<'_> {
        let id = self.begins(from, to, true, &[("deaf", "yes".to_owned())], Vec::new());
        self.handset(id)
    }

    fn handset(&self, id: String) -> Handset<'_> {
        let ear = self.state().lines.iter().find(|line| line.facts.id == id).unwrap().ear.clone();
        Handset { exchange: self, id, ear }
    }

    /// Waits until a phone rings, while jobs run.
    pub async fn rings(&self, app: &super::TestApp, to: &str) -> Handset<'_> {
        let mut found = None;
        eventually("the phone rings", async || {
            meari::worker::drain(&app.app).await;
            let state = self.state();
            let rings =
                |l: &&Line| l.facts.to == to && !l.facts.is_incoming && l.facts.stage == Stage::Ringing;
            found = state.lines.iter().rev().find(rings).map(|line| line.facts.id.clone());
            found.is_some()
        })
        .await;
        self.handset(found.unwrap())
    }

    /// Genuine callbacks.
    pub fn callbacks(&self, call: &Facts, word: &Word) -> Vec<Callback> {
        self.vendor.says(call, word, &self.door(), self.now())
    }

    /// Some that are not.
    pub fn forged(&self, good: &Callback) -> Vec<(&'static str, Callback)> {
        self.vendor.forged(good, self.now())
    }

    /// Opens a media socket as the vendor would; the status when it is refused.
    pub async fn opens(&self, call: &Facts, url: &str, genuine: bool) -> Result<Socket, u16> {
        let mut request = url.into_client_request().unwrap();
        if genuine {
            for (name, value) in self.vendor.upgrade(call, url) {
                let name = tokio_tungstenite::tungstenite::http::HeaderName::try_from(name).unwrap();
                request.headers_mut().insert(name, value.parse().unwrap());
            }
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => Ok(socket),
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// The first frames of a call's socket, and a frame of sound.
    pub fn frames(&self, call: &Facts) -> (Vec<Message>, Message) {
        (self.vendor.hello(call), self.vendor.speaks(call, 0, &tone(PHONE_HZ, 0)))
    }
}

pub type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

impl Callback {
    /// Calls us; status and body of the answer.
    pub async fn call(&self) -> (u16, String) {
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let mut request = client.post(&self.url).header("content-type", self.content_type);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = request.body(self.body.clone()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

/// A call while it lives.
struct Life {
    exchange: Exchange,
    id: String,
    ear: Ear,
    orders: mpsc::UnboundedReceiver<Order>,
    todo: VecDeque<Deed>,
}

impl Life {
    fn facts(&self) -> Facts {
        self.exchange.facts(&self.id).unwrap()
    }

    /// Says a word to us, and takes what we answer.
    async fn say(&mut self, word: Word) {
        for callback in self.exchange.callbacks(&self.facts(), &word) {
            let (status, body) = callback.call().await;
            assert_eq!(status, 200, "{word:?}: {body}");
            self.exchange.state().said.push(callback.clone());
            if callback.asks {
                self.exchange.state().answers.push(body.clone());
                self.todo = self.exchange.vendor.reads(&body).into();
                // Where the document ends the call does.
                self.todo.push_back(Deed::HangUp);
            }
        }
    }

    async fn run(mut self) {
        let end = self.live().await;
        self.exchange.change(&self.id, |facts| facts.stage = Stage::Ended(end));
        if end != End::Rejected {
            self.todo.clear();
            self.say(Word::Ended(end)).await;
        }
    }

    async fn live(&mut self) -> End {
        if self.facts().is_incoming {
            self.say(Word::Incoming).await;
        } else {
            self.say(Word::Ringing).await;
            loop {
                match self.orders.recv().await {
                    Some(Order::Pick) => break,
                    Some(Order::Hang(end)) => return end,
                    Some(Order::Press(_) | Order::Do(_)) | None => {}
                }
            }
            self.exchange.change(&self.id, |facts| facts.stage = Stage::Talking);
            self.say(Word::Answered).await;
        }
        loop {
            while let Ok(order) = self.orders.try_recv() {
                match order {
                    Order::Hang(end) => return end,
                    Order::Do(deeds) => self.todo = deeds.into(),
                    Order::Pick | Order::Press(_) => {}
                }
            }
            let Some(deed) = self.todo.pop_front() else {
                // Whoever is told by requests waits for them.
                let patience = tokio::time::timeout(Duration::from_secs(30), self.orders.recv());
                match patience.await.expect("a call hangs in the air").unwrap() {
                    Order::Hang(end) => return end,
                    Order::Do(deeds) => self.todo = deeds.into(),
                    Order::Pick | Order::Press(_) => {}
                }
                continue;
            };
            if let Some(end) = self.perform(deed).await {
                return end;
            }
        }
    }

    async fn perform(&mut self, deed: Deed) -> Option<End> {
        let is_new = self.facts().stage == Stage::Ringing;
        if let Deed::Reject { busy } = deed {
            assert!(is_new, "an answered call cannot be rejected");
            return Some(if busy { End::Busy } else { End::Rejected });
        }
        if let Deed::Keep(key, value) = deed {
            self.exchange.keeps(&self.id, key, &value);
            return None;
        }
        if is_new && deed != Deed::HangUp {
            self.exchange.change(&self.id, |facts| facts.stage = Stage::Talking);
        }
        match deed {
            Deed::Answer => self.say(Word::Answered).await,
            Deed::Say(text) => {
                self.exchange.change(&self.id, |facts| facts.said.push(text));
                self.say(Word::Spoken).await;
            }
            Deed::Ask { text, url } => {
                let facts = self.exchange.change(&self.id, |facts| facts.said.push(text));
                self.say(Word::Typed { url, digits: facts.types }).await;
            }
            Deed::Sound(url) => {
                self.exchange.change(&self.id, |facts| facts.sockets.push(url.clone()));
                if let Some(end) = self.carry(&url).await {
                    return Some(end);
                }
                self.say(Word::SoundOver).await;
            }
            Deed::GoTo(url) => self.say(Word::Next { url }).await,
            Deed::HangUp => return Some(if is_new { End::Rejected } else { End::Completed }),
            Deed::Reject { .. } | Deed::Keep(..) => {}
        }
        None
    }

    /// Carries sound until the socket is closed or the call is over.
    async fn carry(&mut self, url: &str) -> Option<End> {
        let mut facts = self.facts();
        while facts.kept.contains_key("deaf") {
            match self.orders.recv().await {
                Some(Order::Hang(end)) => return Some(end),
                Some(Order::Pick | Order::Press(_) | Order::Do(_)) => {}
                None => return None,
            }
        }
        let Ok(mut socket) = self.exchange.opens(&facts, url, true).await else { return None };
        let vendor = self.exchange.vendor.clone();
        for frame in vendor.hello(&facts) {
            socket.send(frame).await.unwrap();
        }
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let mut number = 0;
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let frame = vendor.speaks(&facts, number, &tone(PHONE_HZ, number));
                    number += 1;
                    if socket.send(frame).await.is_err() {
                        return None;
                    }
                }
                message = socket.next() => match message {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                    // The library answers.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(message)) => match vendor.hears(&facts, &message) {
                        Heard::Sound(mulaw) => self.ear.hear(&mulaw),
                        Heard::Mark(back) => drop(socket.send(back).await),
                        Heard::Nothing => {}
                    },
                },
                order = self.orders.recv() => match order {
                    Some(Order::Hang(end)) => {
                        if let Some(frame) = vendor.good_bye(&facts) {
                            let _ = socket.send(frame).await;
                        }
                        let _ = socket.close(None).await;
                        return Some(end);
                    }
                    Some(Order::Press(digit)) => match vendor.presses(&facts, digit) {
                        Some(frame) => drop(socket.send(frame).await),
                        None => self.say(Word::Key(digit)).await,
                    },
                    Some(Order::Do(deeds)) => {
                        self.todo = deeds.into();
                        facts = self.facts();
                    }
                    Some(Order::Pick) | None => {}
                },
            }
        }
    }
}

/// A telephone with a call.
pub struct Handset<'a> {
    exchange: &'a Exchange,
    pub id: String,
    pub ear: Ear,
}

impl Handset<'_> {
    pub fn facts(&self) -> Facts {
        self.exchange.facts(&self.id).unwrap()
    }

    pub fn answers(&self) {
        self.exchange.order(&self.id, Order::Pick);
    }

    /// Hangs up, or lets it be as `end` says.
    pub fn ends(&self, end: End) {
        self.exchange.order(&self.id, Order::Hang(end));
    }

    pub fn presses(&self, digit: char) {
        self.exchange.order(&self.id, Order::Press(digit));
    }

    /// Waits until it is over; why.
    pub async fn is_over(&self, app: &super::TestApp) -> End {
        let mut found = None;
        eventually("the phone's call is over", async || {
            meari::worker::drain(&app.app).await;
            if let Stage::Ended(end) = self.facts().stage {
                found = Some(end);
            }
            found.is_some()
        })
        .await;
        found.unwrap()
    }
}

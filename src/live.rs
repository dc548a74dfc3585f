//! The live door: an account's events over a WebSocket or as `text/event-stream`.
//!
//! The log is the delivery: a connection waits for its account, reads the log on from its cursor and renders what it
//! finds. A client that comes back with its cursor has neither gap nor double, whatever happened in between. A slow
//! client delays nobody but itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use actix_ws::AggregatedMessage;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::accounts::auth::{Doors, SignedIn};
use crate::accounts::setup_tickets;
use crate::app::App;
use crate::calls::control::Switchboard;
use crate::clock::Timestamp;
use crate::db::{Db, Lane};
use crate::error::{Error, Result};
use crate::events::{self, Event, EventKind};
use crate::http::Problems;
use crate::ids::{AccountId, AddressBookId, CallId, ContactId, ConversationId, MessageId, SessionId};
use crate::keys::{Purpose, same};
use crate::whispers::Whisper;
use crate::{accounts, calls, contacts, messaging, presence};

/// How long a ticket opens the door.
const TICKET_LIFE: Duration = Duration::from_secs(30);
/// A client that has too many connections may come back after this time.
const COME_BACK: Duration = Duration::from_secs(25);
/// Connections of one account on one node: a person has a few devices with a few tabs each.
const CONNECTIONS_MAX: u32 = 50;
/// A friend who types says so every five seconds; after this time without a word he has stopped.
const TYPING_LASTS: Duration = Duration::from_secs(8);
/// How long a client may take to read one frame.
const SEND_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes a client may send in one frame; it has little to say.
const FRAME_MAX: usize = 1_024;
/// What a client says that cannot see pings (a web page) and wants to know whether anybody is there.
const BEAT: &str = "beat";
/// What it is told.
const BEAT_ANSWER: &str = r#"{"type":"beat"}"#;

/// The live door.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(create_ticket).service(open_events);
}

/// Live connections of this node.
#[derive(Default)]
pub struct Live {
    open: AtomicI64,
    by_account: Mutex<HashMap<AccountId, u32>>,
}

impl Live {
    /// How many connections are open.
    pub fn open_count(&self) -> i64 {
        self.open.load(Ordering::Relaxed)
    }

    fn by_account(&self) -> MutexGuard<'_, HashMap<AccountId, u32>> {
        self.by_account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A ticket for the live door.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TicketView {
    /// Give it as `?ticket=`; it opens the door once.
    pub ticket: String,
    /// Seconds until it is worthless.
    pub expires_in: u64,
}

/// A ticket is what it says, and a keyed hash of it: any node can read it.
fn make_ticket(app: &App, who: &SignedIn) -> TicketView {
    let mut body = Vec::with_capacity(88);
    body.extend_from_slice(who.account.as_bytes());
    body.extend_from_slice(who.session.as_bytes());
    body.extend_from_slice(&app.now().plus(TICKET_LIFE).0.to_be_bytes());
    body.extend_from_slice(&rand::random::<[u8; 16]>());
    let mac = app.keys.hash(Purpose::Ticket, &body);
    body.extend_from_slice(&mac);
    TicketView { ticket: URL_SAFE_NO_PAD.encode(body), expires_in: TICKET_LIFE.as_secs() }
}

/// Whose ticket it is; a second use of it is refused on every node.
async fn redeem_ticket(app: &App, text: &str) -> Result<(AccountId, SessionId)> {
    let wrong =
        || Error::unauthenticated("bad_ticket", "The ticket is not good (any more). Ask for another one.");
    let ticket = read_ticket(app, text).ok_or_else(wrong)?;
    let first = app.db.write(Lane::Any, move |db| setup_tickets::spend(db, &ticket.nonce, ticket.expires_at));
    if first.await? { Ok((ticket.account, ticket.session)) } else { Err(wrong()) }
}

#[derive(Clone, Copy)]
struct Ticket {
    account: AccountId,
    session: SessionId,
    nonce: [u8; 16],
    expires_at: Timestamp,
}

fn read_ticket(app: &App, text: &str) -> Option<Ticket> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok().filter(|b| b.len() == 88)?;
    let (body, mac) = bytes.split_at_checked(56)?;
    if !same(&app.keys.hash(Purpose::Ticket, body), mac) {
        return None;
    }
    let part = |from: usize| -> Option<[u8; 16]> { body.get(from..from + 16)?.try_into().ok() };
    let expires_at = Timestamp(i64::from_be_bytes(body.get(32..40)?.try_into().ok()?));
    if expires_at <= app.now() {
        return None;
    }
    let id = |bytes| uuid::Uuid::from_bytes(bytes);
    let (account, session) = (AccountId(id(part(0)?)), SessionId(id(part(16)?)));
    Some(Ticket { account, session, nonce: part(40)?, expires_at })
}

/// Makes a ticket for the live door, for clients that cannot set headers on a WebSocket.
#[utoipa::path(tag = "events", security(("bearer" = [])), responses((status = 201, body = TicketView), Problems))]
#[post("/v1/events/tickets")]
async fn create_ticket(app: web::Data<App>, who: SignedIn) -> HttpResponse {
    HttpResponse::Created().json(make_ticket(&app, &who))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct OpenEvents {
    /// A ticket in place of the Authorization header.
    ticket: Option<String>,
    /// The last `seq` you have seen; without it only what is new comes.
    after: Option<i64>,
}

/// Opens the live door: a WebSocket, or `text/event-stream` when that is accepted.
#[utoipa::path(tag = "events", params(OpenEvents), security(("bearer" = [])), responses(
    (status = 101, description = "A WebSocket of JSON frames `{seq, at, type, data}`."),
    (status = 200, content_type = "text/event-stream", description = "The same as server-sent events."), Problems))]
#[get("/v1/events")]
async fn open_events(
    app: web::Data<App>,
    live: web::Data<Live>,
    doors: web::Data<Doors>,
    query: web::Query<OpenEvents>,
    who: Option<SignedIn>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, actix_web::Error> {
    let (account, session) = match (&query.ticket, who) {
        (Some(ticket), _) => redeem_ticket(&app, ticket).await?,
        (None, Some(who)) => (who.account, who.session),
        (None, None) => return Err(Error::unauthenticated("not_signed_in", "Sign in first.").into()),
    };
    if !doors.is_open(account, session).await? {
        return Err(Error::unauthenticated("signed_out", "Please sign in.").into());
    }
    let board = request.app_data::<web::Data<Switchboard>>().cloned();
    let board = board.ok_or_else(|| Error::internal("there is no switchboard"))?;
    let mut guard =
        Guard::new(live.into_inner(), app.get_ref().clone(), board.into_inner(), (account, session))?;
    let feed = Feed::open(app.get_ref().clone(), doors.into_inner(), (account, session), query.after).await?;
    presence::clients::opened(&app, account).await?;
    let wants_stream = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/event-stream"));
    if wants_stream {
        return Ok(stream(feed, guard));
    }
    let (response, socket, frames) = actix_ws::handle(&request, payload)?;
    let frames = frames.max_frame_size(FRAME_MAX).aggregate_continuations().max_continuation_size(FRAME_MAX);
    actix_web::rt::spawn(async move {
        let ended = run_socket(feed, socket, frames).await;
        tracing::debug!(account.id = %account, reason = ended.why(), "a live connection ended");
        guard.closed = ended.is_by_client();
        drop(guard);
    });
    Ok(response)
}

/// Counts a connection for as long as it lives, and takes note of its end.
struct Guard {
    live: Arc<Live>,
    app: App,
    board: Arc<Switchboard>,
    account: AccountId,
    session: SessionId,
    /// Whether its client has closed it; what is not known otherwise was.
    closed: bool,
}

impl Guard {
    fn new(
        live: Arc<Live>,
        app: App,
        board: Arc<Switchboard>,
        (account, session): (AccountId, SessionId),
    ) -> Result<Self> {
        let mut by_account = live.by_account();
        let count = by_account.entry(account).or_default();
        if *count >= CONNECTIONS_MAX {
            return Err(Error::limited("too_many_connections", COME_BACK));
        }
        *count += 1;
        drop(by_account);
        live.open.fetch_add(1, Ordering::Relaxed);
        board.client_came(session);
        Ok(Guard { live, app, board, account, session, closed: true })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.live.open.fetch_sub(1, Ordering::Relaxed);
        let mut by_account = self.live.by_account();
        if let Some(count) = by_account.get_mut(&self.account) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                by_account.remove(&self.account);
            }
        }
        drop(by_account);
        let (app, account) = (self.app.clone(), self.account);
        let (board, session, closed) = (self.board.clone(), self.session, self.closed);
        actix_web::rt::spawn(async move {
            board.client_went(session, closed).await;
            if let Err(error) = presence::clients::closed(&app, account).await {
                tracing::warn!(reason = %error.report(), "the end of a connection could not be noted");
            }
        });
    }
}

/// One connection's place in the log.
struct Feed {
    app: App,
    doors: Arc<Doors>,
    account: AccountId,
    session: SessionId,
    cursor: i64,
    rings: watch::Receiver<i64>,
    whispers: watch::Receiver<Option<Whisper>>,
    greeting: Option<String>,
}

/// A rendered event and its place.
struct Frame {
    seq: i64,
    text: String,
}

impl Feed {
    async fn open(
        app: App,
        doors: Arc<Doors>,
        (account, session): (AccountId, SessionId),
        after: Option<i64>,
    ) -> Result<Feed> {
        // Subscribed before the log is read: what happens in between rings.
        let rings = app.hub.subscribe(account).ok_or_else(|| Error::internal("no such shard"))?;
        let whispers = app.whispers.listen(account);
        let (newest, floor) =
            app.db.read(move |db| Ok((events::newest(db, account)?, events::floor(db, account)?))).await?;
        let (cursor, word) = match after {
            Some(after) if after >= floor && after <= newest => (after, "hello"),
            // What lies between is forgotten, or the cursor is not ours: the client must read everything anew.
            Some(_) => (newest, "resync"),
            None => (newest, "hello"),
        };
        let greeting = json!({ "type": word, "seq": newest }).to_string();
        let greeting = Some(greeting);
        Ok(Feed { app, doors, account, session, cursor, rings, whispers, greeting })
    }

    /// What has happened since the last call; empty when nothing has. Whatever happens from now on rings.
    async fn read(&mut self) -> Result<Page> {
        self.rings.mark_unchanged();
        let (account, cursor, now) = (self.account, self.cursor, self.app.now());
        let page = self.app.db.read(move |db| render(db, now, account, cursor)).await?;
        if let Some(last) = page.frames.last() {
            self.cursor = last.seq;
        }
        Ok(page)
    }

    /// Waits for the log to grow, or answers what was said in passing.
    async fn wait(&mut self) -> Option<String> {
        let (rings, whispers) = (&mut self.rings, &mut self.whispers);
        // The senders live in the app; should one be gone, the regular ping is our clock.
        let rung = async {
            if rings.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let said = async {
            if whispers.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            *whispers.borrow_and_update()
        };
        let whisper = tokio::select! {
            () = rung => None,
            whisper = said => whisper,
        };
        whisper.map(|whisper| self.render_whisper(&whisper))
    }

    /// Its place is that of the last event: a client that comes back with it misses nothing.
    fn render_whisper(&self, whisper: &Whisper) -> String {
        let data = json!({
            "contact_id": whisper.contact,
            "conversation_id": whisper.conversation,
            "typing": whisper.typing,
            "expires_in": TYPING_LASTS.as_secs(),
        });
        json!({ "seq": self.cursor, "at": self.app.now(), "type": "typing.changed", "data": data })
            .to_string()
    }

    fn ping_every(&self) -> Duration {
        Duration::from_secs(self.app.settings.live_ping_seconds)
    }

    fn pings(&self) -> tokio::time::Interval {
        let every = self.ping_every();
        let mut pings = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        // Whoever was busy for longer than that owes one ping, not several at once that nobody could answer.
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings
    }

    /// Whether whoever opened the door is still signed in.
    async fn is_allowed(&self) -> bool {
        matches!(self.doors.is_open(self.account, self.session).await, Ok(true))
    }
}

/// A piece of the log.
#[derive(Default)]
struct Page {
    frames: Vec<Frame>,
    /// Whether the log may go on after it.
    is_full: bool,
}

/// Reads and renders one page of the log.
fn render(db: &mut Db, now: Timestamp, account: AccountId, after: i64) -> Result<Page> {
    let log = events::since(db, account, after)?;
    let Some(last) = log.last().map(|event| event.seq) else { return Ok(Page::default()) };
    // Places follow one another.
    let is_full = last.saturating_sub(after) >= events::PAGE_MAX;
    let views = Views::load(db, now, account, &log)?;
    let mut frames: Vec<Frame> = log
        .iter()
        .filter_map(|event| {
            let data = views.data(event)?;
            let frame = json!({ "seq": event.seq, "at": event.at, "type": event.kind.name(), "data": data });
            Some(Frame { seq: event.seq, text: frame.to_string() })
        })
        .collect();
    if frames.last().map(|frame| frame.seq) != Some(last) {
        // What can no longer be shown is passed over, but the cursor goes on.
        let frame = json!({ "seq": last, "type": "cursor", "data": {} });
        frames.push(Frame { seq: last, text: frame.to_string() });
    }
    Ok(Page { frames, is_full })
}

/// Everything a page of the log speaks of, read set by set.
#[derive(Default)]
struct Views {
    messages: HashMap<MessageId, Value>,
    contacts: HashMap<ContactId, Value>,
    conversations: HashMap<ConversationId, Value>,
    presence: HashMap<ContactId, Value>,
    books: HashMap<AddressBookId, Value>,
    calls: HashMap<CallId, Value>,
    account: Option<Value>,
}

impl Views {
    fn load(db: &mut Db, now: Timestamp, account: AccountId, log: &[Event]) -> Result<Views> {
        let mut views = Views::default();
        let subjects = |kinds: &[EventKind]| -> Vec<uuid::Uuid> {
            let mut ids: Vec<uuid::Uuid> = log
                .iter()
                .filter(|event| kinds.contains(&event.kind))
                .filter_map(|event| event.subject.map(uuid::Uuid::from_bytes))
                .collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let messages: Vec<MessageId> = subjects(&[EventKind::MessageCreated, EventKind::MessageUpdated])
            .into_iter()
            .map(MessageId)
            .collect();
        if !messages.is_empty() {
            for view in messaging::view::messages(db, account, &messages)? {
                views.messages.insert(view.id, serde_json::to_value(view)?);
            }
        }
        let contacts: Vec<ContactId> = subjects(&[EventKind::ContactCreated, EventKind::ContactUpdated])
            .into_iter()
            .map(ContactId)
            .collect();
        if !contacts.is_empty() {
            for view in presence::contact_views(db, now, account, &contacts)? {
                views.contacts.insert(view.contact.id, serde_json::to_value(view)?);
            }
        }
        for id in subjects(&[EventKind::ConversationUpdated]) {
            let id = ConversationId(id);
            if let Some(view) = messaging::view::conversations(db, account, Some(id))?.into_iter().next() {
                views.conversations.insert(id, serde_json::to_value(view)?);
            }
        }
        let present: Vec<ContactId> =
            subjects(&[EventKind::PresenceChanged]).into_iter().map(ContactId).collect();
        if !present.is_empty() {
            for (contact, view) in presence::of_contacts(db, now, account, &present)? {
                views.presence.insert(contact, json!({ "contact_id": contact, "presence": view }));
            }
        }
        let rung: Vec<CallId> = subjects(&[EventKind::CallChanged]).into_iter().map(CallId).collect();
        if !rung.is_empty() {
            for view in calls::view::calls(db, account, &rung)? {
                views.calls.insert(view.id, serde_json::to_value(view)?);
            }
        }
        if log.iter().any(|event| event.kind == EventKind::BookChanged) {
            for view in contacts::sharing::views(db, account)? {
                views.books.insert(view.id, serde_json::to_value(view)?);
            }
        }
        if log.iter().any(|event| event.kind == EventKind::AccountUpdated) {
            views.account = Some(serde_json::to_value(accounts::view::load(db, account)?)?);
        }
        Ok(views)
    }

    fn data(&self, event: &Event) -> Option<Value> {
        let subject = event.subject.map(uuid::Uuid::from_bytes);
        match event.kind {
            EventKind::MessageCreated | EventKind::MessageUpdated => {
                self.messages.get(&MessageId(subject?)).cloned()
            }
            EventKind::ConversationUpdated => self.conversations.get(&ConversationId(subject?)).cloned(),
            EventKind::ContactCreated | EventKind::ContactUpdated => {
                self.contacts.get(&ContactId(subject?)).cloned()
            }
            EventKind::ContactDeleted => Some(json!({ "id": ContactId(subject?) })),
            EventKind::PresenceChanged => self.presence.get(&ContactId(subject?)).cloned(),
            EventKind::AccountUpdated => self.account.clone(),
            EventKind::CallChanged => self.calls.get(&CallId(subject?)).cloned(),
            EventKind::BookChanged => {
                let id = AddressBookId(subject?);
                // What the account has no access to (any more) is gone for it.
                Some(self.books.get(&id).cloned().unwrap_or_else(|| json!({ "id": id, "deleted": true })))
            }
        }
    }
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Its client does not take what it is sent: perhaps its network is gone.
    Unread,
    /// Its session is over.
    SignedOut,
    /// Its client has said so.
    Closed,
    /// Its client's end of it is closed: a tab that was killed says nothing more.
    Left,
    /// What came from its client is no frame; a connection that is torn down in the middle of one looks like that.
    Broken,
}

impl Ended {
    fn why(self) -> &'static str {
        match self {
            Ended::Unread => "it does not read",
            Ended::SignedOut => "the session ended",
            Ended::Closed => "the client closed it",
            Ended::Left => "the client went away",
            Ended::Broken => "the client broke the protocol",
        }
    }

    fn is_by_client(self) -> bool {
        matches!(self, Ended::Closed | Ended::Left | Ended::Broken)
    }
}

/// Runs a WebSocket to its end and says why it ended.
async fn run_socket(
    mut feed: Feed,
    mut socket: actix_ws::Session,
    mut frames: actix_ws::AggregatedMessageStream,
) -> Ended {
    if let Some(greeting) = feed.greeting.take()
        && !sent(socket.text(greeting)).await
    {
        return Ended::Unread;
    }
    let mut ping = feed.pings();
    // A cable that was pulled says nothing: who leaves a ping unanswered is not there.
    let mut is_there = true;
    loop {
        // Pages until nothing is left, then wait.
        match feed.read().await {
            Ok(page) => {
                for frame in page.frames {
                    if !sent(socket.text(frame.text)).await {
                        return Ended::Unread;
                    }
                }
                if page.is_full {
                    continue;
                }
            }
            Err(error) => tracing::warn!(reason = %error.report(), "the event log could not be read"),
        }
        tokio::select! {
            // An answer that lies there unread counts before the next ping is missed.
            biased;
            whisper = feed.wait() => {
                // Signing out rings, too.
                if !feed.is_allowed().await {
                    let _ = socket.close(None).await;
                    return Ended::SignedOut;
                }
                if let Some(whisper) = whisper
                    && !sent(socket.text(whisper)).await
                {
                    return Ended::Unread;
                }
            }
            frame = frames.next() => {
                is_there = true;
                if let Some(ended) = hear(&mut socket, frame).await {
                    return ended;
                }
            }
            _ = ping.tick() => {
                if !feed.is_allowed().await {
                    let _ = socket.close(None).await;
                    return Ended::SignedOut;
                }
                if !is_there || !sent(socket.ping(b"")).await {
                    return Ended::Unread;
                }
                is_there = false;
            }
        }
    }
}

/// Answers what a client said; why the connection ended, when it did.
async fn hear(
    socket: &mut actix_ws::Session,
    frame: Option<std::result::Result<AggregatedMessage, actix_ws::ProtocolError>>,
) -> Option<Ended> {
    let is_read = match frame {
        Some(Ok(AggregatedMessage::Ping(bytes))) => sent(socket.pong(&bytes)).await,
        Some(Ok(AggregatedMessage::Text(said))) if said == BEAT => sent(socket.text(BEAT_ANSWER)).await,
        Some(Ok(AggregatedMessage::Close(reason))) => {
            let _ = socket.clone().close(reason).await;
            return Some(Ended::Closed);
        }
        Some(Ok(_)) => true,
        Some(Err(_)) => return Some(Ended::Broken),
        None => return Some(Ended::Left),
    };
    (!is_read).then_some(Ended::Unread)
}

async fn sent(send: impl Future<Output = Result<(), actix_ws::Closed>>) -> bool {
    matches!(tokio::time::timeout(SEND_PATIENCE, send).await, Ok(Ok(())))
}

/// The same as server-sent events, with the place as `id`, so that a browser resumes by itself.
fn stream(feed: Feed, guard: Guard) -> HttpResponse {
    let body = futures_util::stream::unfold((feed, guard), |(mut feed, guard)| async move {
        if let Some(greeting) = feed.greeting.take() {
            return Some((
                Ok::<_, actix_web::Error>(web::Bytes::from(format!("data: {greeting}\n\n"))),
                (feed, guard),
            ));
        }
        loop {
            if let Ok(page) = feed.read().await
                && !page.frames.is_empty()
            {
                let mut text = String::new();
                for frame in page.frames {
                    text.push_str(&format!("id: {}\ndata: {}\n\n", frame.seq, frame.text));
                }
                return Some((Ok(web::Bytes::from(text)), (feed, guard)));
            }
            let woken = tokio::time::timeout(feed.ping_every(), feed.wait()).await;
            if !feed.is_allowed().await {
                return None;
            }
            match woken {
                Ok(None) => {}
                Ok(Some(whisper)) => {
                    return Some((Ok(web::Bytes::from(format!("data: {whisper}\n\n"))), (feed, guard)));
                }
                Err(_) => {
                    return Some((Ok(web::Bytes::from_static(b": still here\n\n")), (feed, guard)));
                }
            }
        }
    });
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(body)
}

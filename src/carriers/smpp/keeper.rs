//! Keeps sessions bound, and hands on what comes over them: acknowledged only after the sink has returned.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use moka::sync::Cache;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::pdu::{Address, Direction, Frame, Message, Pdu};
use super::session::{BindError, Ends, Incoming, Late, Session};
use super::settings::Settings;
use super::text::{self, Coding};
use super::throttle::Throttle;
use super::{receipt, status};
use crate::carriers::link::{EventSink, InboundPart, LinkEvent};
use crate::carriers::{DeliveryReceipt, InboundSms, Origin};
use crate::phone::{E164, RemoteParty};

/// Name, connection and TLS together.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts: from this, doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A session that held this long was a good one: the next attempt comes soon.
const GOOD_SESSION: Duration = Duration::from_secs(60);
/// How long what is in hand may take to be stored when we stop.
const FINISH_PATIENCE: Duration = Duration::from_secs(10);
/// Messages of theirs in hand at the same time.
const IN_HAND_MAX: usize = 1_024;
/// Ids that came after their time.
const LATE_MAX: u64 = 10_000;

/// The sessions of one account, shared by whoever sends and whoever keeps them.
pub struct Links {
    /// Bound sessions that may send.
    senders: watch::Sender<Vec<Arc<Session>>>,
    /// How quickly we submit.
    pub throttle: Throttle,
    /// Ids whose answers came too late to be waited for, by mark.
    pub late: Cache<u64, String>,
    /// Why there is no session, for the operator.
    fault: Mutex<Option<String>>,
    numbers: AtomicU64,
    turn: AtomicU64,
}

impl Links {
    /// None is bound yet.
    pub fn new(settings: &Settings) -> Links {
        Links {
            senders: watch::channel(Vec::new()).0,
            throttle: Throttle::new(settings.submits_per_second),
            late: Cache::new(LATE_MAX),
            fault: Mutex::new(None),
            numbers: AtomicU64::new(0),
            turn: AtomicU64::new(0),
        }
    }

    /// Why nothing is bound.
    pub fn fault(&self) -> String {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone().unwrap_or_else(|| "no session with the SMSC has been bound yet".to_owned())
    }

    /// How many sessions can send now.
    pub fn bound(&self) -> usize {
        self.senders.borrow().len()
    }

    /// A session to send on, in turn, one with room first; waits for one to be bound.
    pub async fn sender(&self, patience: Duration) -> Option<Arc<Session>> {
        let mut senders = self.senders.subscribe();
        let some = tokio::time::timeout(patience, senders.wait_for(|all| !all.is_empty())).await;
        let all = some.ok()?.ok()?.clone();
        let start = usize::try_from(self.turn.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
        let in_turn = || (0..all.len()).filter_map(|n| all.get((start + n) % all.len()));
        in_turn().find(|session| session.has_place()).or_else(|| in_turn().next()).cloned()
    }

    fn note_fault(&self, fault: Option<String>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn add(&self, session: &Arc<Session>) {
        if session.direction().sends() {
            self.senders.send_modify(|all| all.push(session.clone()));
        }
    }

    fn remove(&self, session: &Arc<Session>) {
        self.senders.send_modify(|all| all.retain(|other| !Arc::ptr_eq(other, session)));
    }
}

/// Connects and binds.
pub async fn open(settings: &Settings, direction: Direction) -> Result<(Arc<Session>, Ends), String> {
    let connect = TcpStream::connect((settings.host.as_str(), settings.port));
    let place = format!("{}:{}", settings.host, settings.port);
    let stream = match tokio::time::timeout(CONNECT_PATIENCE, connect).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(format!("{place} cannot be reached: {error}")),
        Err(_) => return Err(format!("{place} does not answer; check host, port and firewalls")),
    };
    // Without it a submit waits for the acknowledgement of the one before.
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let bound = match &settings.tls {
        None => Session::bind(stream, direction, settings.bind(), settings.pace).await,
        Some((config, name)) => {
            let connector = tokio_rustls::TlsConnector::from(config.clone());
            let shake = connector.connect(name.clone(), stream);
            match tokio::time::timeout(CONNECT_PATIENCE, shake).await {
                Ok(Ok(stream)) => Session::bind(stream, direction, settings.bind(), settings.pace).await,
                Ok(Err(error)) => return Err(format!("TLS with {place} failed: {error}")),
                Err(_) => return Err(format!("TLS with {place}: no answer; does this port speak TLS?")),
            }
        }
    };
    bound.map_err(|error| match error {
        BindError::Refused(status) => status::bind_refusal(status),
        BindError::Broken(why) => format!("{place}: {why}"),
    })
}

async fn asked(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Keeps one session bound until it is asked to stop.
pub async fn keep(
    id: String,
    settings: Arc<Settings>,
    links: Arc<Links>,
    direction: Direction,
    sink: Arc<dyn EventSink>,
    mut stop: watch::Receiver<bool>,
) {
    let mut pause = FIRST_PAUSE;
    while !*stop.borrow() {
        let opened = tokio::select! {
            opened = open(&settings, direction) => opened,
            () = asked(&mut stop) => return,
        };
        let why = match opened {
            Ok((session, ends)) => {
                let begun = tokio::time::Instant::now();
                links.note_fault(None);
                tracing::info!(carrier = %id, ?direction, "bound to the SMSC");
                let handler = Handler::new(&id, &settings, &links, session.clone(), sink.clone());
                links.add(&session);
                let mut handling = std::pin::pin!(handler.run(ends));
                tokio::select! {
                    () = &mut handling => {}
                    () = asked(&mut stop) => {
                        session.unbind().await;
                        let _ = tokio::time::timeout(FINISH_PATIENCE, handling).await;
                    }
                }
                links.remove(&session);
                session.close();
                if begun.elapsed() >= GOOD_SESSION {
                    pause = FIRST_PAUSE;
                }
                "the session with the SMSC has ended".to_owned()
            }
            Err(why) => why,
        };
        if *stop.borrow() {
            return;
        }
        tracing::warn!(carrier = %id, ?direction, reason = %why, "not bound to the SMSC; trying again");
        links.note_fault(Some(why));
        // Half of it by chance, so that those who lost the link together do not come back together.
        let jitter = f64::from(rand::random::<u8>()) / 255.0;
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(0.5 + jitter / 2.0)) => {}
            () = asked(&mut stop) => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whose order is kept: a sender and a number of ours.
type Party = (String, String);

/// Hands one session's messages on.
struct Handler {
    id: String,
    settings: Arc<Settings>,
    links: Arc<Links>,
    session: Arc<Session>,
    number: u64,
    sink: Arc<dyn EventSink>,
}

impl Handler {
    fn new(
        id: &str,
        settings: &Arc<Settings>,
        links: &Arc<Links>,
        session: Arc<Session>,
        sink: Arc<dyn EventSink>,
    ) -> Arc<Handler> {
        let number = links.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Handler {
            id: id.to_owned(),
            settings: settings.clone(),
            links: links.clone(),
            session,
            number,
            sink,
        })
    }

    /// Until the session ends. What is in hand then is finished, though its answer reaches nobody.
    async fn run(self: Arc<Self>, ends: Ends) {
        let Ends { mut incoming, late } = ends;
        if self.sink.hear(&self.id, self.number, LinkEvent::Bound).await.is_err() {
            return;
        }
        tokio::spawn(gather_late(self.clone(), late));
        let mut in_hand: FuturesUnordered<BoxFuture<'static, Option<Party>>> = FuturesUnordered::new();
        let mut behind: HashMap<Party, VecDeque<Incoming>> = HashMap::new();
        let mut waiting = 0;
        loop {
            tokio::select! {
                one = incoming.recv(), if in_hand.len() + waiting < IN_HAND_MAX => {
                    let Some(one) = one else { break };
                    match party(&one.message) {
                        Some(party) => match behind.get_mut(&party) {
                            Some(queue) => {
                                queue.push_back(one);
                                waiting += 1;
                            }
                            None => {
                                behind.insert(party.clone(), VecDeque::new());
                                in_hand.push(Box::pin(self.clone().handle(one, Some(party))));
                            }
                        },
                        None => in_hand.push(Box::pin(self.clone().handle(one, None))),
                    }
                }
                Some(done) = in_hand.next(), if !in_hand.is_empty() => {
                    let Some(party) = done else { continue };
                    match behind.get_mut(&party).and_then(VecDeque::pop_front) {
                        Some(next) => {
                            waiting -= 1;
                            in_hand.push(Box::pin(self.clone().handle(next, Some(party))));
                        }
                        None => {
                            behind.remove(&party);
                        }
                    }
                }
            }
        }
        while in_hand.next().await.is_some() {}
    }

    async fn handle(self: Arc<Self>, one: Incoming, party: Option<Party>) -> Option<Party> {
        let answer = match self.event(&one.message) {
            None => status::OK,
            Some(event) => match self.sink.hear(&self.id, self.number, event).await {
                Ok(()) => status::OK,
                Err(error) => {
                    tracing::warn!(carrier = %self.id, reason = %error.report(), "a message from the SMSC could not be kept; it shall come again");
                    status::TRY_AGAIN
                }
            },
        };
        self.session.answer(&one, answer);
        party
    }

    /// What a message means; `None` for what concerns nobody.
    fn event(&self, message: &Message) -> Option<LinkEvent> {
        if receipt::is_receipt(message) {
            return self.receipt(message);
        }
        let (from, to) = (sender(&message.source), number(&message.destination)?);
        let carried = text::carried(message, self.settings.style.alphabet);
        if carried.binary {
            tracing::info!(carrier = %self.id, "an SMS that is not for a person was passed over");
            return None;
        }
        if let Some(place) = carried.place {
            return Some(LinkEvent::Part(InboundPart {
                from,
                to,
                reference: place.reference,
                total: place.total,
                number: place.number,
                coding: carried.coding.to_number(),
                octets: carried.octets,
                read: |coding, octets| Coding::from_number(coding).read(octets),
            }));
        }
        let text = carried.coding.read(&carried.octets);
        let segment_count = crate::gsm7::cost(&text, crate::gsm7::Joint::Short).segment_count;
        let carrier_message_id = fingerprint(message);
        Some(LinkEvent::Sms(InboundSms {
            carrier_message_id,
            from,
            to,
            text,
            media: Vec::new(),
            others: Vec::new(),
            consent: None,
            origin: Origin::default(),
            segment_count,
        }))
    }

    fn receipt(&self, message: &Message) -> Option<LinkEvent> {
        let Some(found) = receipt::read(message) else {
            tracing::warn!(carrier = %self.id, "a receipt cannot be read and was passed over");
            return None;
        };
        let receipt = DeliveryReceipt {
            whole: None,
            carrier_message_id: self.settings.receipt_ids.of_receipt(&found.message_id),
            reference: None,
            state: found.state,
            error: found.error,
        };
        // A receipt goes the other way: its source is the handset.
        let ends = number(&message.destination).zip(number(&message.source));
        Some(LinkEvent::Receipt { receipt, ends, text_start: found.text_start })
    }
}

async fn gather_late(handler: Arc<Handler>, mut late: mpsc::UnboundedReceiver<Late>) {
    while let Some((mark, frame)) = late.recv().await {
        if let Frame { status: status::OK, pdu: Pdu::SubmitResponse(id), .. } = frame
            && mark != 0
        {
            handler.links.late.insert(mark, handler.settings.receipt_ids.of_response(&id));
        }
    }
}

/// Whose order matters; receipts have none.
fn party(message: &Message) -> Option<Party> {
    let is_text = !receipt::is_receipt(message);
    is_text.then(|| (message.source.value.clone(), message.destination.value.clone()))
}

/// Of the words and both ends, so that a repetition is recognised. Not reversible.
fn fingerprint(message: &Message) -> String {
    let mut hasher = blake3::Hasher::new();
    for field in [message.source.value.as_bytes(), message.destination.value.as_bytes(), &message.body] {
        hasher.update(&u64::try_from(field.len()).unwrap_or(0).to_be_bytes());
        hasher.update(field);
    }
    hasher.update(&[message.esm_class, message.data_coding, message.protocol_id]);
    for (tag, value) in &message.tlvs.0 {
        hasher.update(&tag.to_be_bytes());
        hasher.update(value);
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

/// Digits are a number whatever their type says: half of all SMSCs write 0.
fn number(address: &Address) -> Option<E164> {
    let digits = address.value.trim_start_matches('+').trim_start_matches("00");
    E164::parse(&format!("+{digits}")).ok()
}

/// Who wrote.
fn sender(address: &Address) -> RemoteParty {
    const ALPHANUMERIC: u8 = 5;
    match number(address) {
        Some(number) if address.ton != ALPHANUMERIC && address.value.len() > 6 => RemoteParty::Phone(number),
        _ => RemoteParty::parse(&address.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(ton: u8, value: &str) -> Address {
        Address { ton, npi: 1, value: value.to_owned() }
    }

    #[test]
    fn senders_are_read_as_they_are_written() {
        let phone = |text: &str| RemoteParty::Phone(E164::parse(text).unwrap());
        let table = [
            (address(1, "12025550101"), phone("+12025550101")),
            (address(0, "+12025550101"), phone("+12025550101")),
            (address(1, "0012025550101"), phone("+12025550101")),
            (address(3, "72345"), RemoteParty::ShortCode("72345".into())),
            (address(5, "MYBANK"), RemoteParty::Alphanumeric("MYBANK".into())),
            (address(5, "1234567890"), RemoteParty::Alphanumeric("1234567890".into())),
            (address(0, ""), RemoteParty::Hidden),
        ];
        for (written, wanted) in table {
            assert_eq!(sender(&written), wanted, "{written:?}");
        }
    }

    #[test]
    fn a_fingerprint_is_of_ends_and_words() {
        let message = |body: &[u8], source: &str| Message {
            source: address(1, source),
            destination: address(1, "12025550200"),
            body: body.to_vec(),
            ..Message::default()
        };
        let one = fingerprint(&message(b"ok", "12025550101"));
        assert_eq!(one, fingerprint(&message(b"ok", "12025550101")));
        assert_ne!(one, fingerprint(&message(b"ok!", "12025550101")));
        assert_ne!(one, fingerprint(&message(b"ok", "12025550102")));
        assert_eq!(one.len(), 32);
    }
}

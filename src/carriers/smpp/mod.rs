//! SMPP 3.4: a carrier that we are connected to for good, as most of the world's are.
//!
//! [`pdu`] is the wire, `session` one connection, `keeper` keeps it and hands on what comes; here stands what the rest
//! of Meari sees. A submit that left us and was not answered is “perhaps sent” and is never repeated; its receipt, or
//! an answer that comes late, settles it. What has not left the buffer when the link breaks is certainly not sent.

mod keeper;
pub mod pdu;
mod receipt;
mod session;
mod settings;
mod status;
mod text;
mod throttle;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use self::keeper::Links;
use self::pdu::{Address, Frame, Message, Pdu, Query};
use self::session::Lost;
use self::settings::Settings;
use self::text::LongMessages;
use super::in_flight::Request;
use super::{
    Accepted, BadSignature, CallbackRequest, Capabilities, Carrier, CarrierEvent, CarrierSettings, Door,
    EventSink, Found, ParseError, ReceiptState, Retry, SendError, SentQuery, SmsToSend,
};
use crate::ids::OutboundSmsId;
use crate::phone::E164;

/// How long a send waits for a session to be bound.
const SENDER_PATIENCE: Duration = Duration::from_secs(5);
/// How often a submit is repeated at once because we were too quick.
const SLOWED_MAX: u32 = 8;
/// Within this time a text is on the wire or certainly is not: with the time for an answer ([`settings`] keeps that below
/// a minute) it stays well under the lease of the job that sends it.
const SEND_PATIENCE: Duration = Duration::from_secs(40);
/// How often, and how soon for the first time, the parts of a text that were refused for now are submitted again while
/// others of it are out already.
const ROUNDS_MAX: u32 = 4;
const FIRST_ROUND_AFTER: Duration = Duration::from_millis(250);
/// A message has at most 254 parts; a text of ours has ten.
const TEXT_CHARS_MAX: usize = 1_530;

/// One account at an SMSC.
pub struct Smpp {
    id: String,
    settings: Arc<Settings>,
    links: Arc<Links>,
    references: AtomicU16,
}

impl Smpp {
    /// A carrier from its settings; nothing is connected before [`Carrier::run`].
    ///
    /// # Errors
    /// A sentence that names the key and what to write.
    pub fn new(entry: &CarrierSettings) -> Result<Smpp, String> {
        let settings = Settings::read(entry)?;
        let links = Links::new(&settings);
        Ok(Smpp {
            id: entry.id.clone(),
            settings: Arc::new(settings),
            links: Arc::new(links),
            references: AtomicU16::new(rand::random()),
        })
    }

    fn address(&self, number: &E164, (ton, npi): (u8, u8)) -> Address {
        let value = if self.settings.plus_sign { number.as_str() } else { number.digits() };
        Address { ton, npi, value: value.to_owned() }
    }

    /// Submits one part, slowing down when asked to. Answers their id of it. Nothing is written after `until`.
    async fn submit(
        &self,
        message: &Message,
        mark: u64,
        until: Instant,
        request: Option<&Request<'_>>,
    ) -> Result<String, SendError> {
        let mut slowed = 0;
        loop {
            if !self.links.throttle.turn(until).await {
                return Err(status::busy("its turn would not come in time"));
            }
            let _asked = request.map(Request::asks);
            let patience = SENDER_PATIENCE.min(until.saturating_duration_since(Instant::now()));
            let session = self.links.sender(patience).await;
            let session = session.ok_or_else(|| status::away(&self.links.fault()))?;
            let broken = |lost| match lost {
                Lost::Unsent => status::away("the link broke before the message was sent"),
                Lost::Unanswered => status::unanswered("the SMSC did not answer the submit"),
            };
            let Ok(place) = timeout_at(until, session.place()).await else {
                return Err(status::busy("the window stays full"));
            };
            let pdu = Pdu::Submit(Box::new(message.clone()));
            let left = Instant::now();
            let answer = session.request(pdu, place.map_err(broken)?, mark).map_err(broken)?;
            match answer.wait().await.map_err(broken)? {
                Frame { status: status::OK, pdu: Pdu::SubmitResponse(id), .. } => {
                    self.links.throttle.taken();
                    return Ok(self.settings.receipt_ids.of_response(&id));
                }
                Frame { status, .. } if status::is_too_quick(status) && slowed < SLOWED_MAX => {
                    slowed += 1;
                    self.links.throttle.too_quick(left);
                }
                Frame { status: status::OK, .. } => {
                    return Err(status::unanswered("the SMSC answered a submit with something else"));
                }
                Frame { status, .. } => return Err(status::refusal(status)),
            }
        }
    }

    /// Submits all parts of a text. As soon as one of them is out, those that were refused for now are submitted again
    /// here, and they alone: the text must not begin anew, for each part is billed and its receipt awaited.
    async fn submit_all(
        &self,
        parts: &[Message],
        mark: u64,
        request: Option<&Request<'_>>,
    ) -> Result<Vec<String>, SendError> {
        let until = Instant::now() + SEND_PATIENCE;
        let mut outcomes: Vec<Option<Result<String, SendError>>> = vec![None; parts.len()];
        let mut pause = FIRST_ROUND_AFTER;
        for round in 1..=ROUNDS_MAX {
            let missing = parts.iter().zip(&mut outcomes).filter(|(_, outcome)| is_missing(outcome));
            join_all(missing.map(async |(part, outcome)| {
                *outcome = Some(self.submit(part, mark, until, request).await);
            }))
            .await;
            let is_out = |outcome: &Option<Result<String, SendError>>| matches!(outcome, Some(Ok(_)));
            let in_time = Instant::now() + pause < until;
            if round == ROUNDS_MAX
                || !in_time
                || !outcomes.iter().any(is_out)
                || !outcomes.iter().any(is_missing)
            {
                break;
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        settle(outcomes.into_iter().flatten().collect())
    }

    async fn hand_over(&self, sms: &SmsToSend, request: Option<&Request<'_>>) -> Result<Accepted, SendError> {
        let reference = self.references.fetch_add(1, Ordering::Relaxed);
        let pieces = text::divide(&sms.text, &self.settings.style, reference);
        let count = u16::try_from(pieces.len()).ok();
        let mark = if pieces.len() == 1 { mark(sms.id) } else { 0 };
        let to_message = |piece: text::Piece| Message {
            service_type: self.settings.service_type.clone(),
            source: self.address(&sms.from, self.settings.source),
            destination: self.address(&sms.to, self.settings.destination),
            esm_class: piece.esm_class,
            data_coding: piece.data_coding,
            registered_delivery: u8::from(!sms.status_callback.is_empty()),
            body: piece.body,
            tlvs: piece.tlvs,
            ..Message::default()
        };
        let parts: Vec<Message> = pieces.into_iter().map(to_message).collect();
        let ids = self.submit_all(&parts, mark, request).await?;
        Ok(Accepted { carrier_message_id: ids.join(" "), state: ReceiptState::Sent, segment_count: count })
    }

    /// Asks for the state of a message by their id.
    async fn query(&self, message_id: &str, from: &E164) -> Option<ReceiptState> {
        let session = self.links.sender(Duration::ZERO).await?;
        let place = timeout_at(Instant::now() + SENDER_PATIENCE, session.place()).await.ok()?.ok()?;
        let source = self.address(from, self.settings.source);
        let query = Pdu::Query(Query { message_id: message_id.to_owned(), source });
        match session.request(query, place, 0).ok()?.wait().await.ok()? {
            Frame { status: status::OK, pdu: Pdu::QueryResponse(answer), .. } => {
                receipt::Word::of_number(answer.message_state.into()).map(receipt::Word::state)
            }
            _ => None,
        }
    }
}

/// Names a send while its answer is awaited.
fn mark(id: OutboundSmsId) -> u64 {
    let bytes = id.as_bytes();
    bytes.iter().fold(0u64, |n, b| n.rotate_left(9) ^ u64::from(*b)).max(1)
}

/// Whether a part certainly has not gone out and may do better on another try.
fn is_missing(outcome: &Option<Result<String, SendError>>) -> bool {
    match outcome {
        None => true,
        Some(Ok(_)) => false,
        Some(Err(error)) => error.certain && error.retry != Retry::Never,
    }
}

/// What came of all parts: every id, or the error that leaves something open, else the first. Once a part is out, no
/// error is certain any more.
fn settle(outcomes: Vec<Result<String, SendError>>) -> Result<Vec<String>, SendError> {
    let (mut ids, mut errors) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(id) => ids.push(id),
            Err(error) => errors.push(error),
        }
    }
    let open = errors.iter().position(|error| !error.certain);
    let Some(error) = errors.into_iter().nth(open.unwrap_or(0)) else { return Ok(ids) };
    if ids.is_empty() || !error.certain { Err(error) } else { Err(status::partly_sent(&error)) }
}

#[async_trait]
impl Carrier for Smpp {
    fn id(&self) -> &str {
        &self.id
    }

    fn kind(&self) -> &'static str {
        "smpp"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            delivery_receipts: true,
            // What is handed over whole has one id.
            receipts_by_segment: self.settings.style.long_messages != LongMessages::Payload,
            settles_unknown: true,
            text_chars_max: TEXT_CHARS_MAX,
            rates: self.settings.rates(),
            ..Capabilities::TEXT_ONLY
        }
    }

    fn verify(&self, _request: &CallbackRequest<'_>) -> Result<(), BadSignature> {
        Err(BadSignature("this carrier is connected by SMPP and calls nobody"))
    }

    fn parse(&self, _door: Door, _request: &CallbackRequest<'_>) -> Result<Vec<CarrierEvent>, ParseError> {
        Ok(Vec::new())
    }

    fn acknowledgement(&self, _door: Door) -> (&'static str, &'static [u8]) {
        ("text/plain", b"")
    }

    fn calls_our_addresses(&self) -> bool {
        false
    }

    async fn run(self: Arc<Self>, sink: Arc<dyn EventSink>, stop: watch::Receiver<bool>) {
        let keep = |direction: &pdu::Direction| {
            let (id, settings, links) = (self.id.clone(), self.settings.clone(), self.links.clone());
            tokio::spawn(keeper::keep(id, settings, links, *direction, sink.clone(), stop.clone()))
        };
        let keepers: Vec<_> = self.settings.sessions.iter().map(keep).collect();
        join_all(keepers).await;
    }

    fn part_reader(&self) -> Option<fn(i32, &[u8]) -> String> {
        Some(|coding, octets| text::Coding::from_number(coding).read(octets))
    }

    async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        self.hand_over(sms, None).await
    }

    async fn send_in_turn(&self, sms: &SmsToSend, request: &Request<'_>) -> Result<Accepted, SendError> {
        self.hand_over(sms, Some(request)).await
    }

    async fn find(&self, query: &SentQuery) -> Result<Found, SendError> {
        // Without their id nobody can be asked: what came too late has one, all else waits for its receipt.
        let Some(id) = self.links.late.get(&mark(query.id)) else { return Ok(Found::CannotTell) };
        let state = self.query(&id, &query.from).await.unwrap_or(ReceiptState::Sent);
        Ok(Found::Sent { carrier_message_id: id, state })
    }

    async fn check(&self) -> Result<String, SendError> {
        if self.links.bound() > 0 {
            return Ok(format!("{} sessions are bound", self.links.bound()));
        }
        let direction = self.settings.sessions.first().copied().unwrap_or(pdu::Direction::Transceiver);
        match keeper::open(&self.settings, direction).await {
            Ok((session, _ends)) => {
                session.unbind().await;
                let (host, port) = (&self.settings.host, self.settings.port);
                Ok(format!("the SMSC at {host}:{port} takes us as “{}”", self.settings.system_id))
            }
            Err(why) => {
                Err(SendError { whole_carrier: true, code: "cannot_bind".to_owned(), ..status::away(&why) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_partly_out_is_never_certainly_not() {
        let out = || Ok("m1".to_owned());
        let refused = || Err(status::refusal(0x45));
        let lost = || Err(status::unanswered(""));
        assert_eq!(settle(vec![out(), out()]).unwrap(), ["m1", "m1"]);
        let table = [
            (vec![refused(), refused()], true, "carrier_error"),
            (vec![out(), refused()], false, "partly_sent"),
            (vec![out(), Err(status::refusal(0x0b))], false, "partly_sent"),
            (vec![out(), Err(status::away(""))], false, "partly_sent"),
            (vec![refused(), lost()], false, "timed_out"),
            (vec![out(), refused(), lost()], false, "timed_out"),
        ];
        for (outcomes, certain, code) in table {
            let error = settle(outcomes.clone()).unwrap_err();
            assert_eq!((error.certain, error.code.as_str()), (certain, code), "{outcomes:?}");
        }
    }
}

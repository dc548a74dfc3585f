//! One bound connection: a window of requests, the other side's requests handed on, signs of life.
//!
//! Who sends writes into a buffer that one task empties, so that many PDUs share one write; another task reads. A
//! request that was still in the buffer when the connection broke certainly did not go out; one that had left it may
//! have ([`Lost`]).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::pdu::{self, Bind, Cut, Direction, Frame, Message, Pdu};
use super::status;

/// Octets read at once.
const READ_OCTETS: usize = 64 * 1024;
/// Octets that may wait to be written; more means that nobody reads over there.
const WRITE_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// Their messages that wait for us; the connection is not read further meanwhile.
const INCOMING_MAX: usize = 2_048;
/// Requests without an answer after which a session is worth nothing.
const GIVEN_UP_MAX: usize = 10_000;
/// How long a goodbye may take.
const UNBIND_PATIENCE: Duration = Duration::from_secs(2);

/// A stream of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Times and sizes of a session.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Requests that may wait for their answers.
    pub window: usize,
    /// How long an answer may take.
    pub response_timeout: Duration,
    /// Silence after which we ask whether anybody is there.
    pub enquire_every: Duration,
}

/// A request without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It never left us.
    Unsent,
    /// It may have arrived.
    Unanswered,
}

/// Their request, to be answered with [`Session::answer`].
#[derive(Debug)]
pub struct Incoming {
    /// Ties the answer to it.
    pub sequence: u32,
    /// Whether it came as data_sm, which has another answer.
    pub by_data: bool,
    /// What it says.
    pub message: Box<Message>,
}

/// A late answer: whose request had been given up, and what it says.
pub type Late = (u64, Frame);

enum Waiting {
    Caller(oneshot::Sender<Result<Frame, Lost>>, OwnedSemaphorePermit, u64),
    /// Nobody waits, but the answer is of use: the request's mark.
    GivenUp(u64),
}

#[derive(Default)]
struct State {
    out: Vec<u8>,
    /// Requests that are in `out`.
    unsent: Vec<u32>,
    waiting: HashMap<u32, Waiting>,
    sequence: u32,
    given_up: usize,
    closed: bool,
}

/// A bound session. Ends when its last owner calls [`Session::close`] or the connection breaks.
pub struct Session {
    state: Mutex<State>,
    wake: Notify,
    window: Arc<Semaphore>,
    pace: Pace,
    direction: Direction,
    heard: AtomicU64,
    ended: watch::Sender<bool>,
    late: mpsc::UnboundedSender<Late>,
}

/// What a new session gives beside itself.
pub struct Ends {
    /// Their messages, in order.
    pub incoming: mpsc::Receiver<Incoming>,
    /// Answers that came after their time.
    pub late: mpsc::UnboundedReceiver<Late>,
}

/// Why no session came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindError {
    /// They said no, with this status.
    Refused(u32),
    /// The connection broke, or what came was not SMPP.
    Broken(String),
}

impl Session {
    /// Binds on a fresh connection and starts to read and write.
    ///
    /// # Errors
    /// When the other side refuses, or does not answer in time.
    pub async fn bind(
        mut stream: impl Stream,
        direction: Direction,
        bind: Bind,
        pace: Pace,
    ) -> Result<(Arc<Session>, Ends), BindError> {
        let mut octets = Vec::new();
        pdu::encode(&Frame { status: 0, sequence: 1, pdu: Pdu::Bind(direction, bind) }, &mut octets);
        let mut buffer = Vec::new();
        let exchange = async {
            stream.write_all(&octets).await?;
            stream.flush().await?;
            read_one(&mut stream, &mut buffer).await
        };
        let answer = match tokio::time::timeout(pace.response_timeout, exchange).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(error)) => return Err(BindError::Broken(error.to_string())),
            Err(_) => return Err(BindError::Broken("no answer to the bind in time".to_owned())),
        };
        match answer {
            Frame { status: 0, pdu: Pdu::BindResponse(..), .. } => {}
            Frame { status, pdu: Pdu::BindResponse(..) | Pdu::GenericNack, .. } => {
                return Err(BindError::Refused(status));
            }
            _ => return Err(BindError::Broken("the answer to the bind is something else".to_owned())),
        }
        let (incoming_in, incoming) = mpsc::channel(INCOMING_MAX);
        let (late_in, late) = mpsc::unbounded_channel();
        let session = Arc::new(Session {
            state: Mutex::new(State { sequence: 1, ..State::default() }),
            wake: Notify::new(),
            window: Arc::new(Semaphore::new(pace.window.max(1))),
            pace,
            direction,
            heard: AtomicU64::new(0),
            ended: watch::channel(false).0,
            late: late_in,
        });
        let (reader, writer) = tokio::io::split(stream);
        tokio::spawn(session.clone().write(writer));
        tokio::spawn(session.clone().read(reader, buffer, incoming_in));
        tokio::spawn(session.clone().stay_awake());
        Ok((session, Ends { incoming, late }))
    }

    /// Which way it goes.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// A place in the window.
    pub async fn place(&self) -> Result<OwnedSemaphorePermit, Lost> {
        self.window.clone().acquire_owned().await.map_err(|_| Lost::Unsent)
    }

    /// Whether a place is free now.
    pub fn has_place(&self) -> bool {
        self.window.available_permits() > 0
    }

    /// Puts a request into the buffer. `mark` names it should its answer come too late to be waited for.
    ///
    /// # Errors
    /// When the session has ended; nothing was sent.
    pub fn request(
        self: &Arc<Self>,
        pdu: Pdu,
        place: OwnedSemaphorePermit,
        mark: u64,
    ) -> Result<Answer, Lost> {
        let (reply, answer) = oneshot::channel();
        let mut state = self.lock();
        if state.closed || state.out.len() > WRITE_OCTETS_MAX {
            return Err(Lost::Unsent);
        }
        // 0x7fffffff is the last number (§3.2); 0 is nobody's.
        state.sequence = state.sequence % 0x7fff_ffff + 1;
        let sequence = state.sequence;
        pdu::encode(&Frame { status: 0, sequence, pdu }, &mut state.out);
        state.unsent.push(sequence);
        state.waiting.insert(sequence, Waiting::Caller(reply, place, mark));
        drop(state);
        self.wake.notify_one();
        Ok(Answer { session: self.clone(), sequence, answer, settled: false })
    }

    /// Answers one of theirs.
    pub fn answer(&self, incoming: &Incoming, status: u32) {
        let pdu = if incoming.by_data { Pdu::DataResponse(String::new()) } else { Pdu::DeliverResponse };
        self.push(&Frame { status, sequence: incoming.sequence, pdu });
    }

    /// Says goodbye, waits a moment for the answer, and ends.
    pub async fn unbind(self: &Arc<Self>) {
        let goodbye = async {
            let place = self.place().await?;
            self.request(Pdu::Unbind, place, 0)?.wait().await
        };
        let _ = tokio::time::timeout(UNBIND_PATIENCE, goodbye).await;
        self.close();
    }

    /// Ends at once. Whoever waits learns whether his request can have arrived.
    pub fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            if state.closed {
                return;
            }
            state.closed = true;
            let unsent = std::mem::take(&mut state.unsent);
            let all = std::mem::take(&mut state.waiting);
            all.into_iter()
                .map(|(sequence, waiting)| (unsent.contains(&sequence), waiting))
                .collect::<Vec<_>>()
        };
        self.window.close();
        for (unsent, waiting) in waiting {
            if let Waiting::Caller(reply, ..) = waiting {
                let _ = reply.send(Err(if unsent { Lost::Unsent } else { Lost::Unanswered }));
            }
        }
        let _ = self.ended.send_replace(true);
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, frame: &Frame) {
        let mut state = self.lock();
        if !state.closed && state.out.len() <= WRITE_OCTETS_MAX {
            pdu::encode(frame, &mut state.out);
            drop(state);
            self.wake.notify_one();
        }
    }

    async fn write(self: Arc<Self>, mut stream: impl AsyncWrite + Unpin) {
        let mut batch = Vec::new();
        loop {
            let closed = {
                let mut state = self.lock();
                batch.clear();
                std::mem::swap(&mut batch, &mut state.out);
                state.unsent.clear();
                state.closed
            };
            if batch.is_empty() {
                if closed {
                    break;
                }
                self.wake.notified().await;
                continue;
            }
            let written = async {
                stream.write_all(&batch).await?;
                stream.flush().await
            };
            if !matches!(tokio::time::timeout(self.pace.response_timeout, written).await, Ok(Ok(()))) {
                break;
            }
            // Lets callers that are ready fill the buffer, so that they share the next write.
            tokio::task::yield_now().await;
        }
        self.close();
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.shutdown()).await;
    }

    async fn read(
        self: Arc<Self>,
        mut stream: impl AsyncRead + Unpin,
        mut buffer: Vec<u8>,
        incoming: mpsc::Sender<Incoming>,
    ) {
        let mut ended = self.ended.subscribe();
        let mut chunk = vec![0; READ_OCTETS];
        loop {
            let frames = match drain(&mut buffer) {
                Ok(frames) => frames,
                Err(error) => {
                    tracing::warn!(%error, "an SMPP stream is out of step and is closed");
                    break;
                }
            };
            if !frames.is_empty() {
                self.heard.fetch_add(1, Ordering::Relaxed);
            }
            if !self.take(frames, &incoming).await {
                break;
            }
            let read = tokio::select! {
                read = stream.read(&mut chunk) => read,
                _ = ended.wait_for(|ended| *ended) => break,
            };
            match read {
                Ok(count) if count > 0 => buffer.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Ok(_) | Err(_) => break,
            }
        }
        self.close();
    }

    /// Deals with what came; false when the session is over.
    async fn take(self: &Arc<Self>, frames: Vec<Read>, incoming: &mpsc::Sender<Incoming>) -> bool {
        for frame in frames {
            let Frame { status, sequence, pdu } = match frame {
                Read::Frame(frame) => frame,
                Read::Unreadable(command, sequence, error) => {
                    tracing::warn!(command, %error, "an SMPP request cannot be read");
                    self.refuse_unreadable(command, sequence);
                    continue;
                }
            };
            match pdu {
                Pdu::Deliver(message) => {
                    if !self.hand_on(Incoming { sequence, by_data: false, message }, incoming).await {
                        return false;
                    }
                }
                Pdu::Data(message) => {
                    if !self.hand_on(Incoming { sequence, by_data: true, message }, incoming).await {
                        return false;
                    }
                }
                Pdu::EnquireLink => self.push(&Frame { status: 0, sequence, pdu: Pdu::EnquireLinkResponse }),
                Pdu::Unbind => {
                    self.push(&Frame { status: 0, sequence, pdu: Pdu::UnbindResponse });
                    return false;
                }
                Pdu::AlertNotification => {}
                Pdu::SubmitResponse(_)
                | Pdu::DataResponse(_)
                | Pdu::QueryResponse(_)
                | Pdu::UnbindResponse
                | Pdu::EnquireLinkResponse
                | Pdu::GenericNack => self.settle(Frame { status, sequence, pdu }),
                Pdu::Bind(..)
                | Pdu::BindResponse(..)
                | Pdu::Submit(_)
                | Pdu::Query(_)
                | Pdu::DeliverResponse => {
                    self.push(&Frame { status: status::INVALID_COMMAND, sequence, pdu: Pdu::GenericNack });
                }
                Pdu::Other(id) if id & pdu::RESPONSE != 0 => {}
                Pdu::Other(_) => {
                    self.push(&Frame { status: status::INVALID_COMMAND, sequence, pdu: Pdu::GenericNack });
                }
            }
        }
        true
    }

    /// Their message goes on, or is refused on a session that only sends; false when nobody listens any more.
    async fn hand_on(&self, one: Incoming, incoming: &mpsc::Sender<Incoming>) -> bool {
        if self.direction == Direction::Transmitter {
            self.answer(&one, status::INVALID_COMMAND);
            return true;
        }
        incoming.send(one).await.is_ok()
    }

    fn refuse_unreadable(&self, command: u32, sequence: u32) {
        let (status, pdu) = match command {
            pdu::command::DELIVER_SM => (status::UNREADABLE, Pdu::DeliverResponse),
            pdu::command::DATA_SM => (status::UNREADABLE, Pdu::DataResponse(String::new())),
            // An answer that cannot be read is no answer.
            id if id & pdu::RESPONSE != 0 => return,
            _ => (status::INVALID_COMMAND, Pdu::GenericNack),
        };
        self.push(&Frame { status, sequence, pdu });
    }

    fn settle(&self, frame: Frame) {
        let waiting = self.lock().waiting.remove(&frame.sequence);
        match waiting {
            Some(Waiting::Caller(reply, place, mark)) => {
                drop(place);
                if let Err(Ok(frame)) = reply.send(Ok(frame)) {
                    let _ = self.late.send((mark, frame));
                }
            }
            Some(Waiting::GivenUp(mark)) => {
                let _ = self.late.send((mark, frame));
            }
            None => {}
        }
    }

    /// Asks after a silence whether anybody is there, and ends the session when nobody is.
    async fn stay_awake(self: Arc<Self>) {
        let mut ended = self.ended.subscribe();
        loop {
            let before = self.heard.load(Ordering::Relaxed);
            tokio::select! {
                () = tokio::time::sleep(self.pace.enquire_every) => {}
                _ = ended.wait_for(|ended| *ended) => return,
            }
            if self.heard.load(Ordering::Relaxed) != before {
                continue;
            }
            // Not through the window: a full one is when it matters most.
            let Ok(place) = Arc::new(Semaphore::new(1)).try_acquire_owned() else { return };
            let asked = match self.request(Pdu::EnquireLink, place, 0) {
                Ok(answer) => answer.wait().await,
                Err(lost) => Err(lost),
            };
            if asked.is_err() {
                tracing::warn!("an SMPP link does not answer and is closed");
                self.close();
                return;
            }
        }
    }
}

/// The answer to a request, to be waited for.
pub struct Answer {
    session: Arc<Session>,
    sequence: u32,
    answer: oneshot::Receiver<Result<Frame, Lost>>,
    settled: bool,
}

impl Answer {
    /// Waits, but no longer than the session's time for answers.
    pub async fn wait(mut self) -> Result<Frame, Lost> {
        let patience = self.session.pace.response_timeout;
        let outcome = match tokio::time::timeout(patience, &mut self.answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Lost::Unanswered),
            Err(_) => return Err(Lost::Unanswered),
        };
        self.settled = true;
        outcome
    }
}

impl Drop for Answer {
    /// Whoever stops waiting gives his place back, but the answer, should it come, still tells something.
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut state = self.session.lock();
        if let Some(Waiting::Caller(_, place, mark)) = state.waiting.remove(&self.sequence) {
            state.waiting.insert(self.sequence, Waiting::GivenUp(mark));
            state.given_up += 1;
            let hopeless = state.given_up > GIVEN_UP_MAX;
            drop((state, place));
            if hopeless {
                self.session.close();
            }
        }
    }
}

enum Read {
    Frame(Frame),
    Unreadable(u32, u32, pdu::PduError),
}

/// Takes all whole PDUs from the front of the buffer.
fn drain(buffer: &mut Vec<u8>) -> Result<Vec<Read>, pdu::PduError> {
    let mut frames = Vec::new();
    let mut rest = buffer.as_slice();
    while let Cut::Whole(length) = pdu::split(rest)? {
        let Some((octets, after)) = rest.split_at_checked(length) else { break };
        frames.push(match pdu::decode(octets) {
            Ok(frame) => Read::Frame(frame),
            Err(error) => {
                let (command, _, sequence) = pdu::header(octets).unwrap_or_default();
                Read::Unreadable(command, sequence, error)
            }
        });
        rest = after;
    }
    let taken = buffer.len() - rest.len();
    buffer.drain(..taken);
    Ok(frames)
}

async fn read_one(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> std::io::Result<Frame> {
    let mut chunk = [0; 1024];
    loop {
        let broken = |error: pdu::PduError| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        if let Cut::Whole(length) = pdu::split(buffer).map_err(broken)? {
            let octets: Vec<u8> = buffer.drain(..length).collect();
            return pdu::decode(&octets).map_err(broken);
        }
        let count = stream.read(&mut chunk).await?;
        if count == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the other side hung up instead of answering the bind",
            ));
        }
        buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
}

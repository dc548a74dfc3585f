//! A lean HTTP/1.1 client: ready-made requests on connections that stay open, and two ways to send them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::Result;
use crate::report::Times;

/// Requests as they go over the wire, one after the other in one buffer.
#[derive(Default)]
pub struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    pub fn push(&mut self, request: &[u8]) {
        self.bytes.extend_from_slice(request);
        self.ends.push(self.bytes.len());
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }
}

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(to: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends one request and answers the status once the whole answer is here.
    pub async fn call(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some(status) = complete(&self.buffer)? {
                return Ok(status);
            }
        }
    }
}

/// The status, when head and body are all here.
fn complete(answer: &[u8]) -> Result<Option<u16>> {
    let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..end])?;
    let status = head.get(9..12).and_then(|s| s.parse().ok()).ok_or("no status")?;
    let length = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let whole = end + 4 + length.unwrap_or(0);
    Ok((answer.len() >= whole).then_some(status))
}

/// What came of a run.
pub struct Outcome {
    /// The status of each request by its index; 0 when there was none.
    pub statuses: Vec<(u32, u16)>,
    pub times: Times,
    pub elapsed: Duration,
}

impl Outcome {
    pub fn good(&self) -> usize {
        self.statuses.iter().filter(|(_, status)| *status == 200).count()
    }

    pub fn per_second(&self) -> f64 {
        self.good() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Closed loop: every connection sends its next request as soon as the last one is answered.
pub async fn flood(
    to: SocketAddr,
    requests: Arc<Requests>,
    from: usize,
    connections: usize,
    time: Duration,
) -> Result<Outcome> {
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(from));
    let mut tasks = Vec::new();
    let begun = Instant::now();
    for _ in 0..connections {
        let (requests, next) = (requests.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(to).await?;
            let (mut statuses, mut times) = (Vec::new(), Times::default());
            while begun.elapsed() < time {
                let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if index >= requests.len() {
                    break;
                }
                let sent = Instant::now();
                statuses.push((index as u32, connection.call(requests.get(index)).await?));
                times.add(sent.elapsed());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((statuses, times))
        }));
    }
    gather(tasks, begun).await
}

/// Open loop: requests go out at their times whatever the server does, and time is counted from when they were due.
pub async fn stream(
    to: SocketAddr,
    requests: Arc<Requests>,
    from: usize,
    connections: usize,
    rate: u64,
    time: Duration,
    due: impl Fn(usize, Instant) + Send + 'static,
) -> Result<Outcome> {
    let mut senders = Vec::new();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (sender, mut turns) = mpsc::unbounded_channel::<(usize, Instant)>();
        senders.push(sender);
        let requests = requests.clone();
        let mut connection = Connection::open(to).await?;
        tasks.push(tokio::spawn(async move {
            let (mut statuses, mut times) = (Vec::new(), Times::default());
            while let Some((index, due)) = turns.recv().await {
                statuses.push((index as u32, connection.call(requests.get(index)).await?));
                times.add(due.elapsed());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((statuses, times))
        }));
    }
    let begun = Instant::now();
    let count = usize::try_from(rate * time.as_secs())?.min(requests.len().saturating_sub(from));
    // A thread of its own: the timers of the runtime count in whole milliseconds.
    let pacer = std::thread::spawn(move || {
        for n in 0..count {
            let at = begun + Duration::from_secs_f64(n as f64 / rate as f64);
            if let Some(wait) = at.checked_duration_since(Instant::now()) {
                std::thread::sleep(wait);
            }
            due(from + n, at);
            let _ = senders[n % senders.len()].send((from + n, at));
        }
    });
    let outcome = gather(tasks, begun).await;
    pacer.join().map_err(|_| "the pacer panicked")?;
    outcome
}

type Task = tokio::task::JoinHandle<Result<(Vec<(u32, u16)>, Times)>>;

async fn gather(tasks: Vec<Task>, begun: Instant) -> Result<Outcome> {
    let mut outcome = Outcome { statuses: Vec::new(), times: Times::default(), elapsed: Duration::ZERO };
    for task in tasks {
        let (statuses, times) = task.await??;
        outcome.statuses.extend(statuses);
        outcome.times.merge(times);
    }
    outcome.elapsed = begun.elapsed();
    Ok(outcome)
}

//! The engine in a process of its own: what arrives on a TCP connection is a call, whose frames are the carrier's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use meari::media::{Codec, Engine, LegEvent, MediaSettings, WireIn, WireOut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream as AsyncStream};

/// What follows is a time in milliseconds (from the carrier) and 160 bytes of sound.
pub const AUDIO: u8 = 0;
/// What follows is a name.
pub const MARK: u8 = 1;

/// Processor time of a process so far, in seconds.
pub fn cpu_of(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let field = |n: usize| after.split_whitespace().nth(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    (field(11) + field(12)) / 100.0
}

/// Keeps this process on one processor.
pub fn pin_own_threads(processor: usize) {
    let process = std::process::id().to_string();
    let done = Command::new("taskset")
        .args(["-a", "-p", "-c", &processor.to_string(), &process])
        .stdout(Stdio::null())
        .status();
    assert!(done.is_ok_and(|status| status.success()), "taskset is needed for --pin");
}

/// The engine's process.
pub struct Process {
    child: Child,
    /// Where calls are opened.
    pub port: u16,
}

impl Process {
    pub fn start(pin: bool) -> Process {
        let own = std::env::current_exe().unwrap();
        let mut command = match pin {
            true => {
                let mut command = Command::new("taskset");
                command.args(["-c", "0"]).arg(own);
                command
            }
            false => Command::new(own),
        };
        let mut child = command.arg("--server").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Process { child, port: line.trim().parse().unwrap() }
    }

    pub fn cpu(&self) -> f64 {
        cpu_of(self.child.id())
    }

    /// Proportional memory, in kB.
    pub fn memory(&self) -> f64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What the engine counted.
    pub fn figures(&self) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(&[0, 0]).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until it is killed.
pub fn main() {
    let engine = Engine::start(MediaSettings::default()).unwrap();
    // One thread for the carriers' connections, as the HTTP server would give them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(call(engine.clone(), stream));
        }
    });
}

async fn call(engine: Engine, mut stream: AsyncStream) {
    stream.set_nodelay(true).unwrap();
    let length = stream.read_u16().await.unwrap();
    if length == 0 {
        let _ = stream.write_all(format!("{:?}", engine.figures()).as_bytes()).await;
        return;
    }
    let mut offer = vec![0; usize::from(length)];
    stream.read_exact(&mut offer).await.unwrap();
    let offer = String::from_utf8(offer).unwrap();
    let (browser, answer) = engine.open_browser(&offer, &[Codec::Pcmu]).await.unwrap();
    stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
    stream.write_all(answer.as_bytes()).await.unwrap();
    let mut events = engine.events(browser).unwrap();
    let (phone, mut socket) = engine.open_socket().unwrap();
    let waiting = engine.clone();
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            if event == LegEvent::Up {
                waiting.bridge(browser, phone).unwrap();
            }
        }
    });
    let (reader, mut writer) = stream.into_split();
    let out = async {
        let mut framed = Vec::with_capacity(256);
        while let Some(what) = socket.to_wire.recv().await {
            framed.clear();
            let (kind, content) = match &what {
                WireOut::Audio(frame) => (AUDIO, &frame[..]),
                WireOut::Mark(name) => (MARK, name.as_bytes()),
                _ => continue,
            };
            framed.extend_from_slice(&u16::try_from(content.len() + 1).unwrap().to_be_bytes());
            framed.push(kind);
            framed.extend_from_slice(content);
            if writer.write_all(&framed).await.is_err() {
                return;
            }
        }
    };
    let from_wire = &socket.from_wire;
    let into = async {
        let mut reader = tokio::io::BufReader::with_capacity(1_024, reader);
        let mut content = Vec::new();
        loop {
            let Ok(length) = reader.read_u16().await else { return };
            content.resize(usize::from(length), 0);
            if reader.read_exact(&mut content).await.is_err() {
                return;
            }
            let what = match content[0] {
                AUDIO => WireIn::Audio {
                    timestamp_ms: u64::from_be_bytes(content[1..9].try_into().unwrap()),
                    mulaw: content[9..].to_vec(),
                },
                _ => WireIn::Mark(String::from_utf8_lossy(&content[1..]).into_owned()),
            };
            let _ = from_wire.send(what);
        }
    };
    tokio::select! {
        () = out => {}
        () = into => {}
    }
    engine.close(browser);
}

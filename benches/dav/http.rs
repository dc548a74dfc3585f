//! A lean HTTP/1.1 client over a connection that stays open: ready-made requests in, the whole answer out.

use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

/// A request as it goes over the wire.
pub fn request(method: &str, path: &str, auth: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{auth}{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut request = head.into_bytes();
    request.extend_from_slice(body);
    request
}

/// What came back.
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

pub struct Connection {
    to: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    /// The body of an answer that came in chunks.
    joined: Vec<u8>,
}

enum Length {
    Fixed(usize),
    Chunked,
    UntilClosed,
}

impl Connection {
    pub async fn open(to: SocketAddr) -> Result<Connection> {
        let mut connection =
            Connection { to, stream: None, buffer: Vec::with_capacity(64 * 1024), joined: Vec::new() };
        connection.connect().await?;
        Ok(connection)
    }

    async fn connect(&mut self) -> Result<()> {
        let stream = TcpStream::connect(self.to).await?;
        stream.set_nodelay(true)?;
        self.stream = Some(stream);
        Ok(())
    }

    async fn read(&mut self) -> Result<usize> {
        let stream = self.stream.as_mut().ok_or("no connection")?;
        Ok(stream.read_buf(&mut self.buffer).await?)
    }

    /// Sends one request and reads the whole answer.
    pub async fn call(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        if self.stream.is_none() {
            self.connect().await?;
        }
        let stream = self.stream.as_mut().ok_or("no connection")?;
        stream.write_all(request).await?;
        let (mut head, mut status);
        loop {
            self.buffer.clear();
            head = loop {
                if self.read().await? == 0 {
                    self.stream = None;
                    return Err("the server closed the connection".into());
                }
                if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                    break end + 4;
                }
            };
            status = std::str::from_utf8(&self.buffer[9..12])?.parse::<u16>()?;
            if status != 100 {
                break;
            }
        }
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let length = match (status, field(&text, "content-length")) {
            (204 | 304, _) => Length::Fixed(0),
            (_, Some(value)) => Length::Fixed(value.parse()?),
            _ if field(&text, "transfer-encoding").is_some_and(|v| v.contains("chunked")) => Length::Chunked,
            _ => Length::UntilClosed,
        };
        let closes = field(&text, "connection").is_some_and(|v| v.contains("close"))
            || text.starts_with("http/1.0") && field(&text, "connection").is_none();
        let chunked = matches!(length, Length::Chunked);
        let end = match length {
            Length::Fixed(length) => {
                self.buffer.reserve((head + length).saturating_sub(self.buffer.len()));
                while self.buffer.len() < head + length {
                    if self.read().await? == 0 {
                        return Err("the answer broke off".into());
                    }
                }
                head + length
            }
            Length::Chunked => {
                self.read_chunks(head).await?;
                head
            }
            Length::UntilClosed => {
                while self.read().await? > 0 {}
                self.buffer.len()
            }
        };
        if closes {
            self.stream = None;
        }
        let body = if chunked { &self.joined[..] } else { &self.buffer[head..end] };
        Ok(Answer { status, body })
    }

    async fn read_chunks(&mut self, head: usize) -> Result<()> {
        self.joined.clear();
        let mut at = head;
        loop {
            let line = loop {
                if let Some(end) = memmem::find(&self.buffer[at..], b"\r\n") {
                    break at + end;
                }
                if self.read().await? == 0 {
                    return Err("the answer broke off".into());
                }
            };
            let size = std::str::from_utf8(&self.buffer[at..line])?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)?;
            while self.buffer.len() < line + 2 + size + 2 {
                if self.read().await? == 0 {
                    return Err("the answer broke off".into());
                }
            }
            self.joined.extend_from_slice(&self.buffer[line + 2..line + 2 + size]);
            at = line + 2 + size + 2;
            if size == 0 {
                return Ok(());
            }
            if at > 1 << 20 {
                self.buffer.drain(head..at);
                at = head;
            }
        }
    }
}

/// A header field of a head in small letters.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n")
        .find_map(|line| line.split_once(':').filter(|(n, _)| *n == name))
        .map(|(_, v)| v.trim())
}

//! The virus scanner, when the operator has one: a command that reads the file, or an ICAP server.
//!
//! A command gets the file on its standard input and answers by its exit code as ClamAV's do: 0 clean, 1 infected,
//! anything else an error. An ICAP server (RFC 3507 §4.9) is asked with RESPMOD; 204 means clean, and an answer that
//! would change the file means infected. A scanner that does not answer is an error: nothing is kept unscanned.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::error::{Error, Result};

/// How long a scanner may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a server's answer that are read: the status line and the headers that matter.
const ANSWER_BYTES_MAX: u64 = 8 * 1024;
/// The usual port (RFC 3507 §4.2).
const ICAP_PORT: u16 = 1344;

/// What the scanner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing was found.
    Clean,
    /// Something was.
    Infected,
}

/// Has a file scanned by what the setting `media_scanner` names.
///
/// # Errors
/// `Unavailable` when the scanner cannot be asked.
pub async fn scan(scanner: &str, bytes: &[u8]) -> Result<Verdict> {
    let asked = async {
        match scanner.strip_prefix("icap://") {
            Some(rest) => ask_server(scanner, rest, bytes).await,
            None => run_command(scanner, bytes).await,
        }
    };
    let away = |why: &str| {
        tracing::error!(reason = why, "the virus scanner cannot be asked");
        Error::unavailable("scanner_away", "Files cannot be checked at the moment. Try again later.")
    };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(verdict)) => Ok(verdict),
        Ok(Err(why)) => Err(away(&why)),
        Err(_) => Err(away("no answer in time")),
    }
}

async fn run_command(command: &str, bytes: &[u8]) -> std::result::Result<Verdict, String> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or("the command is empty")?;
    let mut child = tokio::process::Command::new(program)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A scanner that has seen enough may close its end.
        let _ = input.write_all(bytes).await;
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    match status.code() {
        Some(0) => Ok(Verdict::Clean),
        Some(1) => Ok(Verdict::Infected),
        _ => Err(format!("{program} ended with {status}")),
    }
}

async fn ask_server(url: &str, rest: &str, bytes: &[u8]) -> std::result::Result<Verdict, String> {
    let authority = rest.split('/').next().unwrap_or_default();
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { authority.to_owned() } else { format!("{authority}:{ICAP_PORT}") };
    let explain = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect(&address).await.map_err(explain)?;
    let header = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
    let request = format!(
        "RESPMOD {url} ICAP/1.0\r\nHost: {authority}\r\nAllow: 204\r\nConnection: close\r\n\
         Encapsulated: res-hdr=0, res-body={}\r\n\r\n{header}",
        header.len()
    );
    stream.write_all(request.as_bytes()).await.map_err(explain)?;
    if !bytes.is_empty() {
        stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await.map_err(explain)?;
        stream.write_all(bytes).await.map_err(explain)?;
        stream.write_all(b"\r\n").await.map_err(explain)?;
    }
    stream.write_all(b"0\r\n\r\n").await.map_err(explain)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(explain)?;
    verdict_of(&answer).ok_or_else(|| format!("{address}: the answer is not one to RESPMOD"))
}

/// The verdict of an ICAP answer, by its status line.
fn verdict_of(answer: &[u8]) -> Option<Verdict> {
    let line = answer.split(|b| *b == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    if !words.next()?.starts_with("ICAP/1.") {
        return None;
    }
    match words.next()? {
        "204" => Some(Verdict::Clean),
        "200" => Some(Verdict::Infected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_servers_are_read() {
        let table: [(&[u8], Option<Verdict>); 5] = [
            (b"ICAP/1.0 204 No Content\r\n\r\n", Some(Verdict::Clean)),
            (b"ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0\r\n\r\n", Some(Verdict::Infected)),
            (b"ICAP/1.0 500 Server error\r\n\r\n", None),
            (b"HTTP/1.1 200 OK\r\n\r\n", None),
            (b"", None),
        ];
        for (answer, wanted) in table {
            assert_eq!(verdict_of(answer), wanted);
        }
    }

    #[actix_web::test]
    async fn commands_answer_by_their_exit_code() {
        assert_eq!(scan("true", b"x").await.ok(), Some(Verdict::Clean));
        assert_eq!(scan("false", b"x").await.ok(), Some(Verdict::Infected));
        assert_eq!(scan("grep -qv virus", b"a virus").await.ok(), Some(Verdict::Infected));
        assert_eq!(scan("grep -qv virus", b"a picture").await.ok(), Some(Verdict::Clean));
        assert!(scan("no-such-program-here", b"x").await.is_err());
        assert!(scan("grep --no-such-option", b"x").await.is_err());
    }

    #[actix_web::test]
    async fn servers_are_asked() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("icap://{}/scan", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"0\r\n\r\n") {
                let mut buffer = [0; 1024];
                let count = stream.read(&mut buffer).await.unwrap();
                seen.extend_from_slice(&buffer[..count]);
            }
            stream.write_all(b"ICAP/1.0 204 No Content\r\n\r\n").await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        assert_eq!(scan(&url, b"hello").await.ok(), Some(Verdict::Clean));
        let seen = server.await.unwrap();
        assert!(seen.starts_with(&format!("RESPMOD {url} ICAP/1.0\r\n")), "{seen}");
        let (_, body) = seen.split_once("\r\n\r\n").unwrap();
        let at: usize =
            seen.split("res-body=").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
        assert_eq!(body.get(at..).unwrap(), "5\r\nhello\r\n0\r\n\r\n");
    }
}

//! The client against small servers that answer well, badly or not at all.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server for one connection: reads the head and the announced body, answers `answer`, returns what it read.
async fn serve(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&seen).to_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |l| l.parse().unwrap()) {
                break;
            }
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(seen).unwrap()
    });
    (url, task)
}

fn operator() -> Net {
    Net::new(Policy::Operator).unwrap()
}

#[tokio::test]
async fn a_form_goes_out_and_the_answer_comes_back() {
    let answer = "HTTP/1.1 201 Created\r\nRetry-After: 7\r\nContent-Length: 13\r\n\r\n{\"sid\":\"SM1\"}";
    let (url, server) = serve(answer).await;
    let request = operator().post(&format!("{url}/x?a=1"));
    let sent =
        request.basic_auth("user", "pass").form(&[("To", "+1"), ("Body", "a & ü")]).send(Limits::default());
    let answer = sent.await.unwrap();
    assert!(answer.is_success());
    assert_eq!(answer.json::<serde_json::Value>().unwrap()["sid"], "SM1");
    assert_eq!(answer.retry_after(), Some(Duration::from_secs(7)));
    let seen = server.await.unwrap();
    assert!(seen.starts_with("POST /x?a=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("authorization: Basic dXNlcjpwYXNz\r\n"), "{seen}");
    assert!(seen.ends_with("\r\n\r\nTo=%2B1&Body=a+%26+%C3%BC"), "{seen}");
}

#[tokio::test]
async fn redirects_are_answers() {
    let (url, _server) =
        serve("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await;
    let answer = operator().get(&url).send(Limits::default()).await.unwrap();
    assert_eq!((answer.status, answer.header("location")), (302, Some("http://127.0.0.1:1/")));
}

#[tokio::test]
async fn long_answers_are_cut_off_whether_announced_or_not() {
    let limits = Limits { answer_bytes_max: 4, ..Limits::default() };
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n0\r\n\r\n",
    ] {
        let (url, _server) = serve(answer).await;
        let error = operator().get(&url).send(limits).await.unwrap_err();
        assert_eq!((error.fault, error.status), (NetFault::TooLarge, Some(200)));
        assert!(!error.certain_not_sent);
    }
}

#[tokio::test]
async fn a_closed_port_is_certain() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = operator().post(&url).form(&[("a", "b")]).send(Limits::default()).await.unwrap_err();
    assert_eq!((error.fault, error.certain_not_sent), (NetFault::Connect, true));
    assert!(!error.detail.contains("http://"), "{error}");
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_is_not_certain() {
    let (url, _server) = serve("").await;
    let error = operator().post(&url).form(&[("a", "b")]).send(Limits::default()).await.unwrap_err();
    assert_eq!((error.fault, error.certain_not_sent), (NetFault::Broken, false));
}

#[tokio::test]
async fn silence_is_not_certain() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let limits = Limits { total: Duration::from_millis(100), ..Limits::default() };
    let error = operator().post(&url).form(&[("a", "b")]).send(limits).await.unwrap_err();
    assert_eq!((error.fault, error.certain_not_sent), (NetFault::Timeout, false));
}

#[tokio::test]
async fn strangers_cannot_send_us_inside() {
    let net = Net::new(Policy::Public).unwrap();
    for url in [
        "http://127.0.0.1:9/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:9/",
        "http://user:secret@example.org/",
    ] {
        let error = net.get(url).send(Limits::default()).await.unwrap_err();
        assert_eq!((error.fault, error.certain_not_sent), (NetFault::Refused, true), "{url}: {error}");
        assert!(!error.detail.contains("secret"));
    }
}

#[tokio::test]
async fn nonsense_is_told_before_anything_is_sent() {
    let net = operator();
    for url in ["", "example.org", "ftp://example.org/", "file:///etc/passwd", "http://"] {
        let error = net.get(url).send(Limits::default()).await.unwrap_err();
        assert_eq!((error.fault, error.certain_not_sent), (NetFault::Invalid, true), "{url}");
    }
    let error =
        net.get("http://127.0.0.1:9").header("x", "a\r\nb: c").send(Limits::default()).await.unwrap_err();
    assert_eq!(error.fault, NetFault::Invalid);
}

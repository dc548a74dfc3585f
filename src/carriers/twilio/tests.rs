//! The whole adapter: callbacks in, requests out to a server with prepared answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::carriers::{DeliveryReceipt, InboundSms, ReceiptState, Retry};
use crate::clock::Timestamp;
use crate::ids::OutboundSmsId;
use crate::net::Policy;
use crate::phone::{E164, RemoteParty};

const SID: &str = "AC00000000000000000000000000000001";
const AT: Timestamp = Timestamp(1_760_000_000_000_000);

fn carrier_at(base: &str, more: &[(&str, &str)]) -> Twilio {
    let mut options = vec![("account_sid", SID), ("auth_token", "12345")];
    options.extend_from_slice(more);
    let options = options.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let settings =
        CarrierSettings { id: "main".into(), kind: "twilio".into(), api_base: Some(base.into()), options };
    Twilio::new("twilio", &settings, Net::new(Policy::Operator).unwrap()).unwrap()
}

fn carrier() -> Twilio {
    carrier_at("http://127.0.0.1:1", &[])
}

/// Signs and delivers a form, as Twilio would.
fn deliver(door: Door, url: &str, fields: &[(&str, &str)]) -> Result<Vec<CarrierEvent>, CallbackError> {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(b"12345").unwrap();
    mac.update(url.as_bytes());
    sorted.iter().for_each(|(name, value)| mac.update(format!("{name}{value}").as_bytes()));
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let body = serde_urlencoded::to_string(fields).unwrap();
    let headers = vec![
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
        ("X-Twilio-Signature".to_owned(), signature),
    ];
    let request = CallbackRequest { method: "POST", url, headers: &headers, body: body.as_bytes(), now: AT };
    let (whole, carrier) = (carrier().receive(door, &request), carrier());
    // The two steps and the shortcut agree.
    let steps = carrier.verify(&request).map_err(CallbackError::from);
    assert_eq!(whole, steps.and_then(|()| carrier.parse(door, &request).map_err(CallbackError::from)));
    whole
}

const MESSAGES: &str = "https://meari.example.org/carriers/main/messages";
const INBOUND: [(&str, &str); 13] = [
    ("ToCountry", "US"),
    ("ToState", "CA"),
    ("SmsMessageSid", "SM2f000000000000000000000000000000"),
    ("NumMedia", "0"),
    ("ToCity", ""),
    ("SmsSid", "SM2f000000000000000000000000000000"),
    ("SmsStatus", "received"),
    ("Body", "Hi ✓ & 한글"),
    ("To", "+12025550106"),
    ("NumSegments", "2"),
    ("MessageSid", "SM2f000000000000000000000000000000"),
    ("AccountSid", SID),
    ("From", "+12025550101"),
];

/// The inbound form with some fields changed, added, or removed (`None`).
fn inbound<'a>(changes: &[(&'a str, Option<&'a str>)]) -> Result<Vec<CarrierEvent>, CallbackError> {
    let mut fields: Vec<(&str, &str)> = INBOUND.to_vec();
    for (name, value) in changes {
        fields.retain(|(other, _)| other != name);
        fields.extend(value.map(|value| (*name, value)));
    }
    deliver(Door::Messages, MESSAGES, &fields)
}

fn sms(events: Vec<CarrierEvent>) -> InboundSms {
    match <[CarrierEvent; 1]>::try_from(events) {
        Ok([CarrierEvent::Sms(sms)]) => sms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_inbound_message_is_read() {
    let read = sms(inbound(&[]).unwrap());
    assert_eq!(read.carrier_message_id, "SM2f000000000000000000000000000000");
    assert_eq!(read.from, RemoteParty::Phone(E164::parse("+12025550101").unwrap()));
    assert_eq!(read.to.as_str(), "+12025550106");
    assert_eq!((read.text.as_str(), read.segment_count, read.media.len()), ("Hi ✓ & 한글", 2, 0));
    assert!(!format!("{read:?}").contains("한글"), "texts stay out of logs");
}

#[test]
fn pictures_are_read() {
    let read = inbound(&[
        ("NumMedia", Some("2")),
        ("MediaUrl0", Some("https://api.twilio.com/a")),
        ("MediaContentType0", Some("image/jpeg")),
        ("MediaUrl1", Some("https://api.twilio.com/b")),
        ("Body", None),
    ]);
    let read = sms(read.unwrap());
    assert_eq!(read.text, "");
    let media: Vec<_> = read.media.iter().map(|m| (m.url.as_str(), m.content_type.as_deref())).collect();
    assert_eq!(media, [("https://api.twilio.com/a", Some("image/jpeg")), ("https://api.twilio.com/b", None)]);
    assert_eq!(sms(inbound(&[("NumMedia", Some("4000000"))]).unwrap()).media, []);
}

#[test]
fn odd_messages_are_read_or_refused() {
    let from = |text| sms(inbound(&[("From", Some(text))]).unwrap()).from;
    assert_eq!(from("72345"), RemoteParty::ShortCode("72345".into()));
    assert_eq!(from("MYBANK"), RemoteParty::Alphanumeric("MYBANK".into()));
    assert_eq!(from(""), RemoteParty::Hidden);
    assert_eq!(sms(inbound(&[("Body", Some("a\0b"))]).unwrap()).text, "ab");
    assert_eq!(sms(inbound(&[("NumSegments", Some("0"))]).unwrap()).segment_count, 1);
    assert_eq!(sms(inbound(&[("NumSegments", Some("many"))]).unwrap()).segment_count, 1);
    assert_eq!(inbound(&[("From", Some("whatsapp:+12025550101"))]), Ok(Vec::new()));
    let long = "x".repeat(9_000);
    for change in [
        ("To", None),
        ("To", Some("12345")),
        ("From", None),
        ("Body", Some(long.as_str())),
        ("SmsStatus", Some("delivered")),
    ] {
        let found = inbound(&[change]);
        assert!(matches!(found, Err(CallbackError::Unreadable(_))), "{change:?}: {found:?}");
    }
    for id in [None, Some(""), Some("SM'; drop table"), Some(&long)] {
        let found = inbound(&[("MessageSid", id), ("SmsSid", None)]);
        assert!(matches!(found, Err(CallbackError::Unreadable(_))), "{id:?}: {found:?}");
    }
}

fn receipt(query: &str, fields: &[(&str, &str)]) -> DeliveryReceipt {
    let url = format!("https://meari.example.org/carriers/main/status{query}");
    let mut all = vec![("MessageSid", "SM1"), ("AccountSid", SID)];
    all.extend_from_slice(fields);
    match <[CarrierEvent; 1]>::try_from(deliver(Door::Status, &url, &all).unwrap()) {
        Ok([CarrierEvent::DeliveryReceipt(receipt)]) => receipt,
        other => panic!("{other:?}"),
    }
}

#[test]
fn receipts_are_read() {
    let id = OutboundSmsId::new(AT);
    let read = receipt(&format!("?ref={id}"), &[("MessageStatus", "delivered"), ("ErrorCode", "0")]);
    assert_eq!((read.reference, read.state, read.error), (Some(id), ReceiptState::Delivered, None));
    let read = receipt("", &[("SmsStatus", "undelivered"), ("ErrorCode", "30003")]);
    let error = read.error.unwrap();
    assert_eq!((read.reference, read.state), (None, ReceiptState::Undelivered));
    assert_eq!(
        (error.code.as_str(), error.handset_absent, error.carrier_code.as_str()),
        ("handset_absent", true, "30003")
    );
    assert_eq!(receipt("?ref=sms_1", &[("MessageStatus", "sent")]).reference, None);
    let table = [
        ("accepted", ReceiptState::Queued),
        ("scheduled", ReceiptState::Queued),
        ("queued", ReceiptState::Queued),
        ("sending", ReceiptState::Sending),
        ("sent", ReceiptState::Sent),
        ("partially_delivered", ReceiptState::Sent),
        ("delivered", ReceiptState::Delivered),
        ("read", ReceiptState::Delivered),
        ("undelivered", ReceiptState::Undelivered),
        ("failed", ReceiptState::Failed),
        ("canceled", ReceiptState::Failed),
    ];
    for (word, state) in table {
        assert_eq!(receipt("", &[("MessageStatus", word)]).state, state, "{word}");
    }
    for word in ["receiving", "received", "teleported"] {
        let fields = [("MessageSid", "SM1"), ("MessageStatus", word)];
        assert_eq!(deliver(Door::Status, MESSAGES, &fields), Ok(Vec::new()), "{word}");
    }
}

#[test]
fn nothing_is_read_without_a_signature() {
    let headers = Vec::new();
    let body = b"MessageSid=SM1&From=%2B12025550101&To=%2B12025550106&Body=x";
    let request = CallbackRequest { method: "POST", url: MESSAGES, headers: &headers, body, now: AT };
    assert!(matches!(carrier().receive(Door::Messages, &request), Err(CallbackError::BadSignature(_))));
    let many = "a=1&".repeat(300);
    let request = CallbackRequest { body: many.as_bytes(), ..request };
    assert!(matches!(carrier().receive(Door::Messages, &request), Err(CallbackError::BadSignature(_))));
}

#[test]
fn the_acknowledgement_says_nothing_to_the_sender() {
    let (kind, body) = carrier().acknowledgement(Door::Messages);
    assert_eq!(kind, "text/xml");
    assert!(std::str::from_utf8(body).unwrap().ends_with("<Response/>"));
    assert!(std::str::from_utf8(carrier().acknowledgement(Door::Voice).1).unwrap().contains("<Reject/>"));
}

/// A server that gives the prepared answers one after the other (an empty one breaks the connection) and keeps what
/// it was asked.
struct Server {
    base: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn with(answers: Vec<String>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                log.lock().unwrap().push(request);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        Server { base, seen }
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut seen = String::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        seen += std::str::from_utf8(&buffer[..read]).unwrap();
        let Some((head, body)) = seen.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return seen;
        }
    }
}

fn http(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

fn outgoing() -> SmsToSend {
    SmsToSend {
        id: OutboundSmsId::new(AT),
        from: E164::parse("+12025550106").unwrap(),
        to: E164::parse("+12025550101").unwrap(),
        text: "Grüße & 50%".to_owned(),
        media_urls: Vec::new(),
        status_callback: "https://meari.example.org/carriers/main/status".to_owned(),
    }
}

#[tokio::test]
async fn a_message_goes_out_with_our_reference() {
    let created = http(201, "", r#"{"sid":"SM9","status":"queued","num_segments":"1","to":"+12025550101"}"#);
    let server = Server::with(vec![created.clone(), created]).await;
    let sms = outgoing();
    let accepted = carrier_at(&format!("{}/", server.base), &[]).send(&sms).await.unwrap();
    assert_eq!(accepted.carrier_message_id, "SM9");
    assert_eq!((accepted.state, accepted.segment_count), (ReceiptState::Queued, Some(1)));
    let more = [("api_key", "SK1"), ("api_secret", "s"), ("connection_overrides", "#rc=3&rp=5xx")];
    carrier_at(&server.base, &more).send(&sms).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].starts_with(&format!("POST /2010-04-01/Accounts/{SID}/Messages.json HTTP/1.1\r\n")));
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{SID}:12345"));
    assert!(seen[0].contains(&format!("authorization: Basic {basic}\r\n")), "{}", seen[0]);
    let body = format!(
        "To=%2B12025550101&From=%2B12025550106&Body=Gr%C3%BC%C3%9Fe+%26+50%25&StatusCallback=https%3A%2F%2F\
         meari.example.org%2Fcarriers%2Fmain%2Fstatus%3Fref%3D{}",
        sms.id
    );
    assert!(seen[0].ends_with(&format!("\r\n\r\n{body}")), "{}", seen[0]);
    let basic = base64::engine::general_purpose::STANDARD.encode("SK1:s");
    assert!(seen[1].contains(&format!("authorization: Basic {basic}\r\n")), "{}", seen[1]);
    assert!(seen[1].ends_with(&format!("{body}%23rc%3D3%26rp%3D5xx")), "{}", seen[1]);
}

#[tokio::test]
async fn a_refusal_is_certain_and_a_breakdown_is_not() {
    let answers = vec![
        http(400, "", r#"{"code":21610,"message":"unsubscribed","status":400}"#),
        http(429, "Retry-After: 3\r\n", r#"{"code":20429,"message":"slow","status":429}"#),
        http(500, "", ""),
        http(201, "", "<html>"),
        String::new(),
    ];
    let server = Server::with(answers).await;
    let carrier = carrier_at(&server.base, &[]);
    let table = [
        ("opted_out", Retry::Never, true),
        ("carrier_busy", Retry::After(Duration::from_secs(3)), true),
        ("carrier_broken", Retry::Backoff, false),
        ("carrier_unreadable", Retry::Backoff, false),
        ("carrier_broken", Retry::Backoff, false),
    ];
    for (code, retry, certain) in table {
        let error = carrier.send(&outgoing()).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.retry, error.certain), (code, retry, certain), "{error}");
        assert!(!error.whole_carrier && !error.detail.contains("12345"));
    }
    let error = carrier_at("http://127.0.0.1:1", &[]).send(&outgoing()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.certain), ("carrier_unreachable", true));
}

fn listed(sid: &str, body: &str, after_secs: i64, status: &str) -> String {
    let at = jiff::Timestamp::from_microsecond(AT.0 + after_secs * 1_000_000).unwrap();
    let at = jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).unwrap();
    format!(
        r#"{{"sid":"{sid}","body":"{body}","date_created":"{at}","date_sent":null,"status":"{status}",
            "direction":"outbound-api","num_segments":"1"}}"#
    )
}

fn page(messages: &[String], next: Option<&str>) -> String {
    let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
    http(200, "", &format!(r#"{{"messages":[{}],"next_page_uri":{next}}}"#, messages.join(",")))
}

#[tokio::test]
async fn an_unknown_send_is_settled() {
    let next = format!("/2010-04-01/Accounts/{SID}/Messages.json?Page=1&PageToken=x");
    let sent = |sid: &str| Found::Sent { carrier_message_id: sid.to_owned(), state: ReceiptState::Delivered };
    let ours = listed("SM1", "hi", 5, "delivered");
    let other = listed("SM2", "other", 6, "sent");
    let before = listed("SM3", "hi", -60, "sent");
    let table: Vec<(Vec<String>, Found, usize)> = vec![
        (vec![page(&[], None)], Found::No, 1),
        (vec![page(&[other.clone(), ours.clone()], None)], sent("SM1"), 1),
        (vec![page(&[ours.clone(), before.clone()], Some(&next))], sent("SM1"), 1),
        (vec![page(&[before], None)], Found::No, 1),
        (vec![page(&[other], Some(&next)), page(std::slice::from_ref(&ours), None)], sent("SM1"), 2),
        (vec![page(&[ours, listed("SM4", "hi", 9, "sent")], None)], Found::CannotTell, 1),
        (vec![page(&[], Some("//evil.example.org/"))], Found::No, 1),
        (vec![page(&[], Some(&next)); 5], Found::CannotTell, 5),
    ];
    for (answers, wanted, asked) in table {
        let server = Server::with(answers).await;
        let sms = outgoing();
        let query =
            SentQuery { id: sms.id, from: sms.from, to: sms.to, text: "hi ".to_owned(), not_before: AT };
        let found = carrier_at(&server.base, &[]).find(&query).await.unwrap();
        assert_eq!(found, wanted);
        let seen = server.seen();
        assert_eq!(seen.len(), asked);
        let first = format!(
            "GET /2010-04-01/Accounts/{SID}/Messages.json?To=%2B12025550101&From=%2B12025550106&PageSize=50 "
        );
        assert!(seen[0].starts_with(&first), "{}", seen[0]);
    }
}

#[tokio::test]
async fn the_account_is_looked_at() {
    let answers = vec![
        http(200, "", r#"{"friendly_name":"Meari test","status":"active","type":"Full"}"#),
        http(200, "", r#"{"friendly_name":"Meari test","status":"suspended"}"#),
        http(401, "", r#"{"code":20003,"message":"Authenticate","status":401}"#),
    ];
    let server = Server::with(answers).await;
    let carrier = carrier_at(&server.base, &[]);
    assert_eq!(carrier.check().await.unwrap(), "the account “Meari test” is active");
    for code in ["carrier_account_inactive", "carrier_refuses_credentials"] {
        let error = carrier.check().await.unwrap_err();
        assert_eq!((error.code.as_str(), error.whole_carrier), (code, true));
    }
    assert!(server.seen()[0].starts_with(&format!("GET /2010-04-01/Accounts/{SID}.json HTTP/1.1\r\n")));
}

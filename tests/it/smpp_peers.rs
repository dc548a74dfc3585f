//! Our SMPP client against an SMSC by other hands (PyPI smpp34). Not run by default: it has to be installed first
//! (scripts/setup); `cargo test --test it peers -- --ignored`.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use meari::carriers::link::SessionNumber;
use meari::carriers::smpp::Smpp;
use meari::carriers::{Carrier, CarrierSettings, EventSink, LinkEvent, ReceiptState, SmsToSend};
use meari::clock::Timestamp;
use meari::ids::OutboundSmsId;
use meari::phone::E164;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::{mpsc, watch};

struct Collector(mpsc::UnboundedSender<LinkEvent>);

#[async_trait]
impl EventSink for Collector {
    async fn hear(&self, _: &str, _: SessionNumber, event: LinkEvent) -> meari::error::Result<()> {
        let _ = self.0.send(event);
        Ok(())
    }
}

fn sms(text: &str) -> SmsToSend {
    SmsToSend {
        id: OutboundSmsId::new(Timestamp(1_760_000_000_000_000)),
        from: E164::parse("+12025550200").unwrap(),
        to: E164::parse("+12025550101").unwrap(),
        text: text.to_owned(),
        media_urls: Vec::new(),
        status_callback: "wanted".to_owned(),
    }
}

#[actix_web::test]
#[ignore = "needs a peer's SMSC"]
async fn an_smsc_by_other_hands_is_content() {
    let root = env!("CARGO_MANIFEST_DIR");
    let python = format!("{root}/.venv/bin/python");
    let python = if std::path::Path::new(&python).exists() { python } else { "python3".to_owned() };
    let mut peer = tokio::process::Command::new(python)
        .arg(format!("{root}/tests/peers/smpp_smsc.py"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(peer.stdout.take().unwrap()).lines();
    let mut next = async || -> Value {
        let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await;
        serde_json::from_str(&line.expect("the peer says something").unwrap().expect("the peer lives"))
            .unwrap()
    };
    let port = next().await["port"].as_u64().unwrap().to_string();
    let options = [("host", "127.0.0.1"), ("port", &port), ("system_id", "meari"), ("password", "secret")];
    let options = options.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
    let entry = CarrierSettings { id: "peer".into(), kind: "smpp".into(), api_base: None, options };
    let carrier = Arc::new(Smpp::new(&entry).unwrap());
    let (heard_in, mut heard) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(carrier.clone().run(Arc::new(Collector(heard_in)), stopped));

    let one = carrier.send(&sms("Grüße @ 5 €")).await.unwrap();
    assert_eq!(one.carrier_message_id, "peer1");
    let long = carrier.send(&sms(&"가나다 ".repeat(30))).await.unwrap();
    // The peer works on both parts at once, in either order.
    let mut parts: Vec<&str> = long.carrier_message_id.split(' ').collect();
    parts.sort_unstable();
    assert_eq!(parts, ["peer2", "peer3"]);

    assert_eq!(next().await["bound"], "meari");
    let mut said = Vec::new();
    for _ in 0..7 {
        said.push(next().await);
    }
    let submits: Vec<&Value> = said.iter().filter(|line| line["submit"].is_string()).collect();
    let septets = [0x47, 0x72, 0x7e, 0x1e, 0x65, 0x20, 0x00, 0x20, 0x35, 0x20, 0x1b, 0x65];
    assert_eq!(submits[0]["body"], hex(&septets));
    assert_eq!(
        (submits[0]["source"].as_str(), submits[0]["destination"].as_str()),
        (Some("12025550200"), Some("12025550101"))
    );
    assert_eq!((submits[1]["esm_class"].as_u64(), submits[1]["data_coding"].as_u64()), (Some(0x40), Some(8)));
    assert!(said.iter().filter(|line| line["status"].is_number()).all(|line| line["status"] == 0));

    let (mut receipts, mut texts) = (0, Vec::new());
    while receipts < 3 || texts.is_empty() {
        match tokio::time::timeout(Duration::from_secs(10), heard.recv()).await.unwrap().unwrap() {
            LinkEvent::Receipt { receipt, .. } => {
                assert_eq!(receipt.state, ReceiptState::Delivered);
                receipts += 1;
            }
            LinkEvent::Sms(sms) => texts.push(sms.text),
            LinkEvent::Bound | LinkEvent::Part(_) => {}
        }
    }
    assert_eq!(texts, ["Hello from a peer"]);
    stop.send_replace(true);
    running.await.unwrap();
    assert_eq!(next().await["unbound"], true);
    let ended = peer.wait().await.unwrap();
    assert!(ended.success(), "the peer ended with {ended}");
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

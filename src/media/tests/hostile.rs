//! What strangers and broken browsers send: nothing of it ends a call of somebody else.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use str0m::format::Codec as RtcCodec;

use super::peer::Peer;
use super::{engine, listen, next, tone};
use crate::media::{CloseReason, Codec, LegEvent, WireIn, WireOut};

#[tokio::test]
async fn offers_that_cannot_be_answered_are_refused_with_a_reason() {
    let engine = engine();
    let (_, good) = Peer::new(RtcCodec::PCMU);
    let (_, other) = Peer::new(RtcCodec::PCMA);
    let audio = good.lines().skip_while(|line| !line.starts_with("m=")).collect::<Vec<_>>().join("\r\n");
    let without = |line: &str| {
        let kept: Vec<&str> = good.lines().filter(|l| !l.starts_with(line)).collect();
        kept.join("\r\n") + "\r\n"
    };
    for (offer, code) in [
        (String::new(), "offer_not_audio"),
        ("v=0\r\n".to_owned(), "offer_not_audio"),
        ("m=audio".to_owned(), "offer_not_audio"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 0".to_owned(), "bad_offer"),
        (good.replace("m=audio", "m=video"), "offer_not_audio"),
        (format!("{good}{audio}\r\n"), "offer_not_audio"),
        (format!("{good}a={}\r\n", "x".repeat(100_000)), "offer_too_large"),
        (without("a=fingerprint"), "bad_offer"),
        (without("a=ice-ufrag"), "bad_offer"),
        (other, "no_common_codec"),
    ] {
        let refused = engine.open_browser(&offer, &[Codec::Pcmu]).await;
        assert_eq!(refused.map(drop).unwrap_err().code(), code, "{offer}");
    }
    assert_eq!(engine.figures().legs, 0);
    engine.open_browser(&good, &[Codec::Pcmu]).await.unwrap();
}

#[tokio::test]
async fn offers_with_bytes_changed_are_answered_or_refused_and_never_a_panic() {
    let engine = engine();
    let (_, good) = Peer::new(RtcCodec::PCMU);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config { cases: 300, ..Config::default() }, rng);
    let offers = std::cell::RefCell::new(Vec::new());
    let changes = proptest::collection::vec((0..good.len(), 0_u8..128), 1..6);
    runner
        .run(&changes, |changes| {
            let mut bytes = good.clone().into_bytes();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            offers.borrow_mut().push(String::from_utf8_lossy(&bytes).into_owned());
            Ok(())
        })
        .unwrap();
    for offer in offers.into_inner() {
        if let Ok((leg, _)) = engine.open_browser(&offer, &[Codec::Pcmu]).await {
            let _ = engine.renegotiate(leg, &good).await;
            engine.close(leg);
        }
    }
}

#[tokio::test]
async fn rubbish_from_strangers_and_from_the_browsers_own_address_ends_nothing() {
    let engine = engine();
    let address = engine.address().unwrap();
    let (a, alice) = engine.open_socket().unwrap();
    let (b, mut bob) = engine.open_socket().unwrap();
    engine.bridge(a, b).unwrap();
    let (_, offer) = Peer::new(RtcCodec::PCMU);
    let (browser, answer) = engine.open_browser(&offer, &[Codec::Pcmu]).await.unwrap();
    let mut events = listen(&engine, browser);
    let ufrag = answer.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap().to_owned();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut stun = stun(&format!("{ufrag}:them"));
    for n in 0..2_000_u32 {
        // A counter as a generator: every length and every first byte.
        let random: Vec<u8> =
            (0..n % 1_500).map(|i| (n.wrapping_mul(2_654_435_761) >> (i % 24)) as u8).collect();
        let _ = stranger.send_to(&random, address);
        let place = n as usize % stun.len();
        stun[place] = stun[place].wrapping_add(n as u8);
        let _ = stranger.send_to(&stun, address);
        let _ = stranger.send_to(&self::stun(&format!("{ufrag}:them")), address);
        let _ = stranger.send_to(&self::stun("nobody:them"), address);
    }
    let mut tcp = TcpStream::connect(address).unwrap();
    let _ = tcp.write_all(&[0xff; 4_096]);
    let mut framed = TcpStream::connect(address).unwrap();
    let _ = framed.write_all(&[0, 3, 1, 2, 3, 0, 0, 0, 1, 0x80]);
    let mulaw = tone(440.0, 0).to_vec();
    alice.from_wire.send(WireIn::Audio { timestamp_ms: 0, mulaw: mulaw.clone() }).unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(10), bob.to_wire.recv()).await.unwrap().unwrap();
    assert_eq!(heard, WireOut::Audio(mulaw.into()));
    assert!(engine.figures().strangers > 0);
    // The browser that never came is given up.
    assert_eq!(next(&mut events).await, LegEvent::Closed(CloseReason::NeverConnected));
}

/// A binding request that nobody signed.
fn stun(username: &str) -> Vec<u8> {
    let mut body = vec![0, 6];
    body.extend_from_slice(&(username.len() as u16).to_be_bytes());
    body.extend_from_slice(username.as_bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    let mut message = vec![0, 1];
    message.extend_from_slice(&(body.len() as u16).to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    message.extend_from_slice(&[9; 12]);
    message.extend_from_slice(&body);
    message
}

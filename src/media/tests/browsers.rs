//! Browsers: a real WebRTC connection at both ends, over loopback.

use std::time::{Duration, Instant};

use str0m::format::Codec as RtcCodec;
use tokio::sync::mpsc;

use super::peer::Peer;
use super::{engine, goertzel, listen, next, tone};
use crate::media::{
    CloseReason, Codec, EndedBy, Engine, LegEvent, LegId, RecordLimits, SocketLeg, Sound, Times, WireIn,
    WireOut,
};

/// Lets the engine and the browsers work until `done`, a frame of each browser every 20 ms.
async fn live(peers: &mut [(&mut Peer, f64)], mut done: impl FnMut(&[(&mut Peer, f64)]) -> bool) {
    let begun = Instant::now();
    let mut number = 0;
    let mut clock = tokio::time::interval(Duration::from_millis(2));
    loop {
        clock.tick().await;
        let is_due = begun.elapsed() >= Duration::from_millis(20 * number);
        for (peer, hz) in peers.iter_mut() {
            peer.pump();
            if is_due && *hz > 0.0 && peer.is_connected {
                peer.say(&tone(*hz, number), Instant::now());
            }
        }
        number += u64::from(is_due);
        if done(peers) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "it takes too long");
    }
}

struct Call {
    peer: Peer,
    leg: LegId,
    events: mpsc::Receiver<LegEvent>,
}

/// A browser that is connected.
async fn call(engine: &Engine, codec: RtcCodec, codecs: &[Codec]) -> Call {
    let (mut peer, offer) = Peer::new(codec);
    let (leg, answer) = engine.open_browser(&offer, codecs).await.unwrap();
    let mut events = listen(engine, leg);
    peer.accept(&answer);
    live(&mut [(&mut peer, 0.0)], |peers| peers[0].0.is_connected).await;
    assert_eq!(next(&mut events).await, LegEvent::Up);
    Call { peer, leg, events }
}

async fn phone_call(engine: &Engine, codec: RtcCodec) -> Call {
    call(engine, codec, &[Codec::Pcmu]).await
}

fn sound(peer: &Peer, skip: usize) -> Vec<u8> {
    peer.arrived.iter().skip(skip).flat_map(|frame| frame.data.iter().copied()).collect()
}

fn drain(socket: &mut SocketLeg, heard: &mut Vec<u8>) {
    while let Ok(out) = socket.to_wire.try_recv() {
        match out {
            WireOut::Audio(frame) => heard.extend_from_slice(&frame),
            WireOut::Mark(name) => socket.from_wire.send(WireIn::Mark(name)).unwrap(),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_browser_and_a_phone_hear_each_other() {
    let engine = engine();
    let mut browser = phone_call(&engine, RtcCodec::PCMU).await;
    let (phone, mut socket) = engine.open_socket().unwrap();
    engine.bridge(browser.leg, phone).unwrap();
    let (mut at_phone, mut number) = (Vec::new(), 0);
    let begun = Instant::now();
    live(&mut [(&mut browser.peer, 1_000.0)], |peers| {
        while begun.elapsed() >= Duration::from_millis(20 * number) {
            let mulaw = tone(440.0, number).to_vec();
            socket.from_wire.send(WireIn::Audio { timestamp_ms: number * 20, mulaw }).unwrap();
            number += 1;
        }
        drain(&mut socket, &mut at_phone);
        at_phone.len() >= 8_000 && peers[0].0.arrived.len() >= 50
    })
    .await;
    let at_browser = sound(&browser.peer, 2);
    assert!(goertzel(&at_browser, 440.0) > 0.4 && goertzel(&at_browser, 1_000.0) < 0.02);
    assert!(goertzel(&at_phone, 1_000.0) > 0.4 && goertzel(&at_phone, 440.0) < 0.02);
    // 20 ms are 160 ticks of the RTP clock, and none is missing.
    let times: Vec<u64> = browser.peer.arrived.iter().map(|frame| frame.time).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 160), "{times:?}");
    assert_eq!(engine.figures().frames_dropped, 0);
}

#[tokio::test]
async fn two_browsers_speak_opus_that_nobody_touches() {
    let engine = engine();
    let both = [Codec::Opus, Codec::Pcmu];
    let mut alice = call(&engine, RtcCodec::Opus, &both).await;
    let mut bob = call(&engine, RtcCodec::Opus, &both).await;
    engine.bridge(alice.leg, bob.leg).unwrap();
    live(&mut [(&mut alice.peer, 440.0), (&mut bob.peer, 700.0)], |peers| {
        peers.iter().all(|(peer, _)| peer.arrived.len() >= 25)
    })
    .await;
    assert!(goertzel(&sound(&bob.peer, 0), 440.0) > 0.4);
    assert!(goertzel(&sound(&alice.peer, 0), 700.0) > 0.4);
    let times: Vec<u64> = bob.peer.arrived.iter().map(|frame| frame.time).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 960), "{times:?}");
}

#[tokio::test]
async fn one_key_is_one_digit_both_ways() {
    let engine = engine();
    let mut browser = phone_call(&engine, RtcCodec::PCMU).await;
    let (phone, mut socket) = engine.open_socket().unwrap();
    engine.bridge(browser.leg, phone).unwrap();
    let mut digits = Vec::new();
    let begun = Instant::now();
    live(&mut [(&mut browser.peer, 440.0)], |_| {
        while let Ok(out) = socket.to_wire.try_recv() {
            if let WireOut::Digit(digit) = out {
                digits.push(digit);
            }
        }
        begun.elapsed() > Duration::from_millis(300)
    })
    .await;
    for key in [7, 11] {
        browser.peer.press(key, Instant::now());
        let begun = Instant::now();
        live(&mut [(&mut browser.peer, 440.0)], |_| begun.elapsed() > Duration::from_millis(350)).await;
    }
    while let Ok(out) = socket.to_wire.try_recv() {
        if let WireOut::Digit(digit) = out {
            digits.push(digit);
        }
    }
    assert_eq!(digits, ['7', '#']);
    assert_eq!(next(&mut browser.events).await, LegEvent::Digit('7'));
    assert_eq!(next(&mut browser.events).await, LegEvent::Digit('#'));
    // And from the phone to the browser, two at once.
    socket.from_wire.send(WireIn::Digit('5')).unwrap();
    socket.from_wire.send(WireIn::Digit('*')).unwrap();
    let begun = Instant::now();
    live(&mut [(&mut browser.peer, 440.0)], |_| begun.elapsed() > Duration::from_millis(800)).await;
    let mut keys = browser.peer.keys.clone();
    keys.dedup();
    let keys: Vec<u8> = keys.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [5, 10]);
}

#[tokio::test]
async fn a_closed_tab_is_told_and_in_the_end_closed() {
    let engine = engine();
    let mut browser = phone_call(&engine, RtcCodec::PCMU).await;
    live(&mut [(&mut browser.peer, 440.0)], |peers| peers[0].0.sent > 40).await;
    let killed = Instant::now();
    drop(browser.peer);
    assert_eq!(next(&mut browser.events).await, LegEvent::Silent);
    // The test's engine waits a tenth of what others do; see `Patience`.
    assert!(killed.elapsed() < Duration::from_millis(900), "{:?}", killed.elapsed());
    assert_eq!(next(&mut browser.events).await, LegEvent::Closed(CloseReason::Gone));
    assert_eq!(engine.figures().legs, 0);
}

#[tokio::test]
async fn a_browser_that_hangs_up_is_heard_at_once() {
    let engine = engine();
    let mut browser = phone_call(&engine, RtcCodec::PCMU).await;
    let begun = Instant::now();
    browser.peer.close();
    assert_eq!(next(&mut browser.events).await, LegEvent::Closed(CloseReason::HungUp));
    assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_browser_that_changes_its_network_keeps_its_call() {
    let engine = engine();
    let mut browser = phone_call(&engine, RtcCodec::PCMU).await;
    let (phone, mut socket) = engine.open_socket().unwrap();
    engine.bridge(browser.leg, phone).unwrap();
    let mut before = Vec::new();
    live(&mut [(&mut browser.peer, 440.0)], |_| {
        drain(&mut socket, &mut before);
        before.len() > 4_000
    })
    .await;
    let offer = browser.peer.restart();
    let answer = engine.renegotiate(browser.leg, &offer).await.unwrap();
    browser.peer.accept(&answer);
    let mut after = Vec::new();
    let (mut number, begun) = (0, Instant::now());
    live(&mut [(&mut browser.peer, 700.0)], |peers| {
        while begun.elapsed() >= Duration::from_millis(20 * number) {
            let mulaw = tone(500.0, number).to_vec();
            socket.from_wire.send(WireIn::Audio { timestamp_ms: number * 20, mulaw }).unwrap();
            number += 1;
        }
        drain(&mut socket, &mut after);
        after.len() > 8_000 && peers[0].0.arrived.len() > 25
    })
    .await;
    let tail = &after[after.len() - 4_000..];
    assert!(goertzel(tail, 700.0) > 0.4);
    assert!(goertzel(&sound(&browser.peer, 0), 500.0) > 0.2);
    assert!(engine.renegotiate(phone, &offer).await.unwrap_err().code() == "not_found");
}

#[tokio::test]
async fn a_browser_whose_network_blocks_udp_calls_by_tcp() {
    let engine = engine();
    let (mut peer, offer) = Peer::over_tcp(RtcCodec::PCMU, engine.address().unwrap());
    let (leg, answer) = engine.open_browser(&offer, &[Codec::Pcmu]).await.unwrap();
    let only_tcp: Vec<&str> =
        answer.lines().filter(|line| !(line.starts_with("a=candidate") && line.contains(" udp "))).collect();
    peer.accept(&(only_tcp.join("\r\n") + "\r\n"));
    let (phone, mut socket) = engine.open_socket().unwrap();
    engine.bridge(leg, phone).unwrap();
    engine.play(leg, Sound::Ringback(*b"US"), Times::Forever).unwrap();
    let mut heard = Vec::new();
    live(&mut [(&mut peer, 500.0)], |peers| {
        drain(&mut socket, &mut heard);
        heard.len() >= 4_000 && peers[0].0.arrived.len() >= 30
    })
    .await;
    assert!(goertzel(&heard, 500.0) > 0.4);
    assert!(goertzel(&sound(&peer, 2), 440.0) > 0.3);
}

#[tokio::test]
async fn a_browser_hears_sounds_and_leaves_a_message() {
    let engine = engine();
    let mut browser = phone_call(&engine, RtcCodec::PCMU).await;
    engine.play(browser.leg, Sound::Beep, Times::ONCE).unwrap();
    live(&mut [(&mut browser.peer, 0.0)], |peers| peers[0].0.arrived.len() >= 20).await;
    assert!(goertzel(&sound(&browser.peer, 1)[..2_400], 1_000.0) > 0.3);
    assert_eq!(next(&mut browser.events).await, LegEvent::Played);
    let limits = RecordLimits { millis_max: 1_000, silence_millis: None, stop_on_hash: true, both: false };
    engine.record(browser.leg, limits).unwrap();
    let begun = Instant::now();
    live(&mut [(&mut browser.peer, 600.0)], |_| begun.elapsed() > Duration::from_millis(1_400)).await;
    let LegEvent::Recorded(recording) = next(&mut browser.events).await else { panic!("no recording") };
    assert_eq!(recording.ended_by, EndedBy::Length);
    assert!(goertzel(&recording.mulaw, 600.0) > 0.4, "{recording:?}");
}

#[tokio::test]
async fn quality_is_told() {
    let engine = engine();
    let mut browser = phone_call(&engine, RtcCodec::PCMU).await;
    let begun = Instant::now();
    live(&mut [(&mut browser.peer, 440.0)], |_| begun.elapsed() > Duration::from_millis(4_500)).await;
    let mut best = 0.0_f64;
    while let Ok(event) = browser.events.try_recv() {
        if let LegEvent::Quality(sample) = event
            && sample.frames_in > 0
        {
            assert!(sample.loss_in.unwrap_or(0.0) < 0.05, "{sample:?}");
            best = best.max(sample.mos);
        }
    }
    assert!(best > 4.0, "{best}");
}

#[tokio::test]
async fn hundreds_of_browsers_come_and_go() {
    let engine = engine();
    for _ in 0..5 {
        let mut calls = Vec::new();
        for _ in 0..20 {
            let (mut peer, offer) = Peer::new(RtcCodec::PCMU);
            let (leg, answer) = engine.open_browser(&offer, &[Codec::Pcmu]).await.unwrap();
            let events = listen(&engine, leg);
            peer.accept(&answer);
            calls.push((peer, leg, events));
        }
        let mut peers: Vec<_> = calls.iter_mut().map(|(peer, ..)| (peer, 0.0)).collect();
        live(&mut peers, |peers| peers.iter().all(|(peer, _)| peer.is_connected)).await;
        for (_, leg, _) in &calls {
            engine.close(*leg);
        }
        for (_, _, events) in &mut calls {
            while events.recv().await.is_some() {}
        }
    }
    assert_eq!((engine.figures().legs, engine.figures().opened), (0, 100));
    assert_eq!(engine.remembered().await, 0);
}

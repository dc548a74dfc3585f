//! Legs whose frames the test itself carries.

use std::time::{Duration, Instant};

use super::{engine, goertzel, listen, next, tone};
use crate::media::g711;
use crate::media::record::{from_wav, wav};
use crate::media::{
    CloseReason, EndedBy, Engine, LegEvent, LegId, MediaSettings, RecordLimits, SocketLeg, Sound, Times,
    WireIn, WireOut,
};

async fn out(socket: &mut SocketLeg) -> WireOut {
    let out = tokio::time::timeout(Duration::from_secs(10), socket.to_wire.recv()).await;
    out.expect("something for the wire").expect("an open leg")
}

/// The next sound; what is not sound is passed over, marks are given back.
async fn audio(socket: &mut SocketLeg) -> Vec<u8> {
    loop {
        match out(socket).await {
            WireOut::Audio(frame) => return frame.to_vec(),
            WireOut::Mark(name) => socket.from_wire.send(WireIn::Mark(name)).unwrap(),
            _ => {}
        }
    }
}

fn say(socket: &SocketLeg, number: u64, mulaw: &[u8]) {
    let what = WireIn::Audio { timestamp_ms: number * 20, mulaw: mulaw.to_vec() };
    socket.from_wire.send(what).unwrap();
}

fn pair(engine: &Engine) -> ((LegId, SocketLeg), (LegId, SocketLeg)) {
    let (a, b) = (engine.open_socket().unwrap(), engine.open_socket().unwrap());
    engine.bridge(a.0, b.0).unwrap();
    (a, b)
}

const LIMITS: RecordLimits =
    RecordLimits { millis_max: 60_000, silence_millis: None, stop_on_hash: false, both: false };

#[tokio::test]
async fn two_sockets_hear_each_other_and_nobody_hears_himself() {
    let engine = engine();
    let ((a, mut alice), (_, mut bob)) = pair(&engine);
    let mut events = listen(&engine, a);
    for number in 0..50 {
        say(&alice, number, &tone(440.0, number));
        say(&bob, number, &tone(1_000.0, number));
        // Frame by frame: what is sent faster than it is taken may be dropped.
        let (at_bob, at_alice) = (audio(&mut bob).await, audio(&mut alice).await);
        assert_eq!(at_bob, tone(440.0, number));
        assert_eq!(at_alice, tone(1_000.0, number));
    }
    assert_eq!(next(&mut events).await, LegEvent::Up);
    // Asked after the last frame was counted.
    assert_eq!(engine.remembered().await, 2);
    let figures = engine.figures();
    assert_eq!((figures.legs, figures.frames_in, figures.frames_out), (2, 100, 100));
    assert_eq!(figures.frames_dropped, 0);
}

#[tokio::test]
async fn keys_go_to_the_owner_and_to_the_other_end() {
    let engine = engine();
    let ((a, alice), (b, mut bob)) = pair(&engine);
    let mut events = listen(&engine, a);
    alice.from_wire.send(WireIn::Digit('7')).unwrap();
    assert_eq!(next(&mut events).await, LegEvent::Digit('7'));
    assert_eq!(out(&mut bob).await, WireOut::Digit('7'));
    engine.send_digit(b, '#');
    assert_eq!(out(&mut bob).await, WireOut::Digit('#'));
}

#[tokio::test]
async fn hold_parts_the_two_and_mute_silences_one() {
    let engine = engine();
    let ((a, mut alice), (_, mut bob)) = pair(&engine);
    engine.mute(a, true);
    say(&alice, 0, &tone(440.0, 0));
    assert_eq!(audio(&mut bob).await, [0xff; 160]);
    say(&bob, 0, &tone(500.0, 0));
    assert_eq!(audio(&mut alice).await, tone(500.0, 0));
    engine.mute(a, false);
    engine.unbridge(a);
    say(&alice, 1, &tone(440.0, 1));
    engine.play(a, Sound::Beep, Times::ONCE).unwrap();
    // The first thing Bob hears is what was said after the bridge stood again.
    assert!(goertzel(&audio(&mut alice).await, 1_000.0) > 0.1);
    let (c, carol) = engine.open_socket().unwrap();
    engine.bridge(c, a).unwrap();
    say(&carol, 9, &tone(600.0, 9));
    loop {
        if audio(&mut alice).await == tone(600.0, 9) {
            break;
        }
    }
    assert!(bob.to_wire.try_recv().is_err());
}

#[tokio::test]
async fn who_listens_in_is_not_heard_and_disturbs_nothing() {
    let engine = engine();
    let (a, mut alice) = engine.open_socket().unwrap();
    let (b, mut bob) = engine.open_socket().unwrap();
    let mut events = listen(&engine, a);
    engine.play(b, Sound::Ringback(*b"US"), Times::Forever).unwrap();
    engine.record(a, RecordLimits { millis_max: 400, ..LIMITS }).unwrap();
    engine.overhear(a, b).unwrap();
    while out(&mut bob).await != WireOut::Clear {}
    for number in 0..10 {
        say(&alice, number, &tone(440.0, number));
        say(&bob, number, &tone(1_000.0, number));
        assert_eq!(audio(&mut bob).await, tone(440.0, number));
    }
    assert_eq!(next(&mut events).await, LegEvent::Up);
    let recording = loop {
        match next(&mut events).await {
            LegEvent::Recorded(recording) => break recording,
            // She has said all at once.
            LegEvent::Silent => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(goertzel(&recording.mulaw, 440.0) > 0.1 && goertzel(&recording.mulaw, 1_000.0) < 0.05);
    assert!(alice.to_wire.try_recv().is_err(), "she hears nothing of him");
    // He takes the call with another leg.
    let (c, mut desk) = engine.open_socket().unwrap();
    engine.bridge(a, c).unwrap();
    engine.close(b);
    say(&desk, 0, &tone(700.0, 0));
    assert_eq!(audio(&mut alice).await, tone(700.0, 0));
    say(&alice, 10, &tone(440.0, 10));
    assert_eq!(audio(&mut desk).await, tone(440.0, 10));
    assert!(engine.overhear(a, a).is_err() && engine.overhear(a, b).is_err());
}

#[tokio::test]
async fn a_sound_is_paced_told_when_it_was_heard_and_ended_by_a_bridge() {
    let engine = engine();
    let (a, mut alice) = engine.open_socket().unwrap();
    let mut events = listen(&engine, a);
    let begun = Instant::now();
    engine.play(a, Sound::Beep, Times::ONCE).unwrap();
    let mut heard = Vec::new();
    loop {
        match out(&mut alice).await {
            WireOut::Audio(frame) => heard.extend_from_slice(&frame),
            WireOut::Mark(name) => {
                alice.from_wire.send(WireIn::Mark(name)).unwrap();
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(heard.len(), 3_200);
    assert!(goertzel(&heard, 1_000.0) > 0.3);
    assert!(begun.elapsed() >= Duration::from_millis(370), "{:?}", begun.elapsed());
    assert_eq!(next(&mut events).await, LegEvent::Played);
    engine.play(a, Sound::Ringback(*b"US"), Times::Forever).unwrap();
    assert!(goertzel(&audio(&mut alice).await, 440.0) > 0.1);
    let (b, bob) = engine.open_socket().unwrap();
    engine.bridge(a, b).unwrap();
    while out(&mut alice).await != WireOut::Clear {}
    say(&bob, 0, &tone(700.0, 0));
    assert_eq!(audio(&mut alice).await, tone(700.0, 0));
}

#[tokio::test]
async fn keys_as_tones_wait_for_one_another() {
    let engine = engine();
    let (a, mut alice) = engine.open_socket().unwrap();
    engine.play(a, Sound::Key('1'), Times::ONCE).unwrap();
    engine.play(a, Sound::Key('9'), Times::ONCE).unwrap();
    let mut heard = Vec::new();
    while heard.len() < 3_840 {
        heard.extend(audio(&mut alice).await);
    }
    assert!(goertzel(&heard[..1_280], 1_209.0) > 0.3 && goertzel(&heard[..1_280], 1_477.0) < 0.05);
    assert!(goertzel(&heard[1_920..3_200], 1_477.0) > 0.3 && goertzel(&heard[1_920..3_200], 1_209.0) < 0.05);
}

#[tokio::test]
async fn a_recording_is_what_was_said() {
    let engine = engine();
    let (a, mut alice) = engine.open_socket().unwrap();
    let mut events = listen(&engine, a);
    engine.record(a, RecordLimits { stop_on_hash: true, ..LIMITS }).unwrap();
    let said: Vec<u8> = (0..25).flat_map(|number| tone(440.0, number)).collect();
    for number in 0..25 {
        say(&alice, number, &tone(440.0, number));
    }
    alice.from_wire.send(WireIn::Digit('#')).unwrap();
    assert_eq!(next(&mut events).await, LegEvent::Up);
    assert_eq!(next(&mut events).await, LegEvent::Digit('#'));
    let LegEvent::Recorded(recording) = next(&mut events).await else { panic!("no recording") };
    assert_eq!((recording.ended_by, recording.heard), (EndedBy::Hash, true));
    // Before it stands nothing but the silence until the first word came: how long that took is the machine's affair.
    let before =
        recording.mulaw.strip_suffix(said.as_slice()).expect("all that was said, and nothing after it");
    assert!(before.iter().all(|code| *code == g711::SILENCE));
    assert_eq!(usize::try_from(recording.millis).unwrap(), recording.mulaw.len() / 8);
    assert!(from_wav(&wav(&recording.mulaw)).unwrap() == recording.mulaw);
    assert!(alice.to_wire.try_recv().is_err());
}

#[tokio::test]
async fn both_sides_of_a_call_are_recorded_together_and_a_call_that_ends_ends_the_recording() {
    let engine = engine();
    let ((a, mut alice), (_, mut bob)) = pair(&engine);
    let mut events = listen(&engine, a);
    engine.record(a, RecordLimits { both: true, ..LIMITS }).unwrap();
    for number in 0..20 {
        say(&alice, number, &tone(440.0, number));
        say(&bob, number, &tone(1_000.0, number));
        let _ = (audio(&mut bob).await, audio(&mut alice).await);
    }
    engine.close(a);
    assert_eq!(next(&mut events).await, LegEvent::Up);
    let LegEvent::Recorded(recording) = next(&mut events).await else { panic!("no recording") };
    assert_eq!(recording.ended_by, EndedBy::Closed);
    assert!(goertzel(&recording.mulaw, 440.0) > 0.3 && goertzel(&recording.mulaw, 1_000.0) > 0.3);
    assert_eq!(next(&mut events).await, LegEvent::Closed(CloseReason::Asked));
    assert_eq!(events.recv().await, None);
    assert_eq!(out(&mut alice).await, WireOut::Stop);
    assert_eq!(alice.to_wire.recv().await, None);
}

#[tokio::test]
async fn a_recording_ends_when_nobody_speaks() {
    let engine = engine();
    let (a, _alice) = engine.open_socket().unwrap();
    let mut events = listen(&engine, a);
    engine.record(a, RecordLimits { silence_millis: Some(300), ..LIMITS }).unwrap();
    let LegEvent::Recorded(recording) = next(&mut events).await else { panic!("no recording") };
    assert_eq!((recording.ended_by, recording.heard), (EndedBy::Silence, false));
}

#[tokio::test]
async fn a_leg_that_falls_silent_is_told_and_told_again_when_it_sounds() {
    let engine = engine();
    let (a, alice) = engine.open_socket().unwrap();
    let mut events = listen(&engine, a);
    say(&alice, 0, &tone(440.0, 0));
    assert_eq!(next(&mut events).await, LegEvent::Up);
    assert_eq!(next(&mut events).await, LegEvent::Silent);
    say(&alice, 100, &tone(440.0, 0));
    assert_eq!(next(&mut events).await, LegEvent::Sounding);
    drop(alice);
    assert_eq!(next(&mut events).await, LegEvent::Closed(CloseReason::HungUp));
}

#[tokio::test]
async fn a_stuck_socket_loses_sound_and_keeps_its_leg() {
    let engine = engine();
    let ((_, alice), (_, mut bob)) = pair(&engine);
    for number in 0..500 {
        // The way in may be full too: that is the same loss.
        let what = WireIn::Audio { timestamp_ms: number * 20, mulaw: tone(440.0, number).to_vec() };
        if alice.from_wire.send(what).is_err() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(audio(&mut bob).await, tone(440.0, 0));
}

#[tokio::test]
async fn there_are_no_more_legs_than_allowed_and_none_with_itself() {
    let engine = Engine::start(MediaSettings { legs_max: 2, ..MediaSettings::default() }).unwrap();
    let ((a, _alice), (b, _bob)) = pair(&engine);
    assert_eq!(engine.open_socket().unwrap_err().code(), "calls_full");
    assert_eq!(engine.bridge(a, a).unwrap_err().code(), "same_leg");
    let mut events = listen(&engine, b);
    assert!(engine.events(b).is_none());
    engine.close(b);
    assert_eq!(next(&mut events).await, LegEvent::Closed(CloseReason::Asked));
    assert_eq!(engine.bridge(a, b).unwrap_err().code(), "not_found");
    assert_eq!(engine.play(b, Sound::Beep, Times::ONCE).unwrap_err().code(), "not_found");
    engine.open_socket().unwrap();
}

#[tokio::test]
async fn an_engine_that_is_dropped_ends_its_legs_and_a_port_that_is_taken_is_told() {
    let engine = engine();
    let taken = MediaSettings { bind: engine.address().unwrap(), ..MediaSettings::default() };
    assert_eq!(Engine::start(taken).unwrap_err().code(), "media_port");
    let (a, mut alice) = engine.open_socket().unwrap();
    let mut events = listen(&engine, a);
    drop(engine);
    assert_eq!(next(&mut events).await, LegEvent::Closed(CloseReason::Failed));
    while alice.to_wire.recv().await.is_some() {}
    // The thread ends a moment after its last leg.
    while alice.from_wire.send(WireIn::Stop).is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_thousand_legs_leave_nothing_behind() {
    let engine = engine();
    for round in 0..10 {
        let calls: Vec<_> = (0..50).map(|_| pair(&engine)).collect();
        let mut ends = Vec::new();
        for (number, ((a, alice), (b, bob))) in calls.into_iter().enumerate() {
            let events = (listen(&engine, a), listen(&engine, b));
            say(&alice, 0, &tone(440.0, 0));
            match (number + round) % 4 {
                0 => engine.close(a),
                1 => alice.from_wire.send(WireIn::Stop).unwrap(),
                2 => drop(alice),
                _ => engine.record(a, LIMITS).unwrap(),
            }
            engine.close(a);
            engine.close(b);
            ends.push((events, bob));
        }
        for ((mut a, mut b), _) in ends {
            while a.recv().await.is_some() {}
            while b.recv().await.is_some() {}
        }
    }
    let figures = engine.figures();
    assert_eq!((figures.legs, figures.opened), (0, 1_000));
}

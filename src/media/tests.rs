//! Legs that talk: sockets, browsers, sounds, recordings, and what hostile ends can do.

mod browsers;
mod hostile;
#[allow(dead_code, reason = "the benchmark uses more of it")]
mod peer;
mod sockets;

use std::f64::consts::TAU;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Engine, LegEvent, LegId, MediaSettings, Patience, g711};

/// How much of a sound is at `hz`, so that a tone of the engine's own has about 0.5 and silence 0.
pub fn goertzel(mulaw: &[u8], hz: f64) -> f64 {
    let step = 2.0 * (TAU * hz / 8_000.0).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for code in mulaw {
        let now = f64::from(g711::decode(*code)) + step * last - before;
        (before, last) = (last, now);
    }
    let power = before * before + last * last - step * before * last;
    power.max(0.0).sqrt() * 2.0 / mulaw.len().max(1) as f64 / 8_000.0
}

/// 20 ms of a tone; `number` is the frame's place in it.
pub fn tone(hz: f64, number: u64) -> [u8; 160] {
    std::array::from_fn(|n| {
        let at = (number * 160 + n as u64) as f64 / 8_000.0;
        g711::encode(((at * hz * TAU).sin() * 4_000.0) as i16)
    })
}

/// An engine that loses patience quickly.
fn engine() -> Engine {
    let patience = Patience {
        silent_after: Duration::from_millis(400),
        gone_after: Duration::from_millis(1_500),
        connect_within: Duration::from_secs(5),
        quality_every: Duration::from_millis(500),
    };
    Engine::start(MediaSettings { patience, ..MediaSettings::default() }).unwrap()
}

/// The next event that is not about quality.
async fn next(events: &mut mpsc::Receiver<LegEvent>) -> LegEvent {
    loop {
        let event = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.expect("an event");
        match event.expect("an open leg") {
            LegEvent::Quality(_) => {}
            event => return event,
        }
    }
}

fn listen(engine: &Engine, leg: LegId) -> mpsc::Receiver<LegEvent> {
    engine.events(leg).expect("nobody listens yet")
}

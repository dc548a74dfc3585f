//! Words for stories about calls: phones that dial, ring and sound, and what the two sides see.

use std::time::{Duration, Instant};

use bytes::Bytes;
use meari::phone::E164;
use meari::simulator::{PhoneCall, PhoneCallState};
use serde_json::{Value, json};

use super::TestApp;
use super::browser::{Browser, Ear, tone};
use super::client::{Answer, Person};

/// The tones by which everybody is known.
pub const PHONE_HZ: f64 = 440.0;
pub const BROWSER_HZ: f64 = 1_000.0;
pub const OTHER_HZ: f64 = 700.0;

/// Sound takes its real time, and on a busy machine a multiple of it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so; what takes a minute does not come.
pub async fn eventually(what: &str, is_so: impl AsyncFnMut() -> bool) {
    assert!(eventually_or(is_so).await, "it never comes: {what}");
}

/// Whether something comes to be so.
async fn eventually_or(mut is_so: impl AsyncFnMut() -> bool) -> bool {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if is_so().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

/// A phone with a call, and somebody who speaks into it.
pub struct Handset<'a> {
    app: &'a TestApp,
    pub phone: E164,
    pub id: String,
    pub ear: Ear,
}

impl TestApp {
    /// Somebody dials a number on a phone.
    pub fn phone_dials(&self, phone: &E164, to: &str) -> Handset<'_> {
        let id = self.carrier.phone_calls(phone, &E164::parse(to).unwrap()).unwrap();
        self.handset(phone, id)
    }

    fn handset(&self, phone: &E164, id: String) -> Handset<'_> {
        let ear = Ear::default();
        if let Ok((mut hears, speaks)) = self.carrier.phone_sound(phone, &id) {
            let listener = ear.clone();
            actix_web::rt::spawn(async move {
                while let Ok(frame) = hears.recv().await {
                    listener.hear(&frame);
                }
            });
            actix_web::rt::spawn(async move {
                for number in 0.. {
                    if speaks.send(Bytes::from(tone(PHONE_HZ, number))).await.is_err() {
                        return;
                    }
                }
            });
        }
        Handset { app: self, phone: phone.clone(), id, ear }
    }

    /// Waits until a phone rings, while jobs run.
    pub async fn phone_rings(&self, phone: &E164) -> Handset<'_> {
        let mut found = None;
        eventually("the phone rings", async || {
            meari::worker::drain(&self.app).await;
            let calls = self.carrier.phone_call_list(phone).unwrap();
            found = calls.into_iter().rev().find(|call| call.state == PhoneCallState::Ringing);
            found.is_some()
        })
        .await;
        self.handset(phone, found.unwrap().id)
    }

    /// Waits until no call is open on either side.
    pub async fn calls_are_over(&self) {
        eventually("all calls are over", async || {
            meari::worker::drain(&self.app).await;
            self.carrier.open_calls() == 0 && self.edges.calls.live_count() == 0
        })
        .await;
        self.settle().await;
    }

    /// The records of all calls that are over, as the operator sees them.
    pub async fn call_records(&self) -> Vec<Value> {
        self.call_ends("ended").await
    }

    /// The ends of the calls of this moment, as the operator sees them.
    pub async fn open_calls(&self) -> Vec<Value> {
        self.call_ends("open").await
    }

    async fn call_ends(&self, state: &str) -> Vec<Value> {
        let operator = self.stranger().with_token(super::app::ADMIN_TOKEN);
        let page = operator.get(&format!("/v1/admin/call-records?limit=100&state={state}")).await.expect(200);
        page["items"].as_array().unwrap().clone()
    }
}

impl Handset<'_> {
    /// What the phone shows.
    pub fn shows(&self) -> PhoneCall {
        let calls = self.app.carrier.phone_call_list(&self.phone).unwrap();
        calls.into_iter().find(|call| call.id == self.id).unwrap()
    }

    pub async fn is(&self, state: PhoneCallState) -> PhoneCall {
        let is_so = eventually_or(async || {
            meari::worker::drain(&self.app.app).await;
            let calls = self.app.carrier.phone_call_list(&self.phone).unwrap();
            calls.iter().any(|call| call.id == self.id && call.state == state)
        });
        assert!(is_so.await, "the phone is never {state:?}: {:?}", self.shows());
        self.shows()
    }

    pub fn answers(&self) {
        self.app.carrier.phone_answers(&self.phone, &self.id).unwrap();
    }

    pub fn hangs_up(&self) {
        self.app.carrier.phone_hangs_up(&self.phone, &self.id).unwrap();
    }

    pub fn presses(&self, digits: &str) {
        self.app.carrier.phone_presses(&self.phone, &self.id, digits).unwrap();
    }
}

impl Person {
    /// The newest call, once it is in one of these states.
    pub async fn call_is(&self, app: &TestApp, states: &[&str]) -> Value {
        let mut found = Value::Null;
        eventually(&format!("the call of {} is {states:?}", self.handle), async || {
            meari::worker::drain(&app.app).await;
            let list = self.get("/v1/calls?limit=1").await.expect(200);
            found = list["items"][0].clone();
            states.iter().any(|state| found["state"] == *state)
        })
        .await;
        found
    }

    /// Takes a call that rings, with a browser that says a tone.
    pub async fn accepts(&self, call: &Value, hz: f64) -> Browser {
        let (browser, offer) = Browser::new(hz);
        let answer = self.try_accept(call, &offer).await.expect(200);
        browser.takes(answer["answer"].as_str().unwrap());
        browser
    }

    /// Listens to the message that is being left, with a browser that says a tone which nobody hears.
    pub async fn listens(&self, call: &Value, hz: f64) -> Browser {
        let (browser, offer) = Browser::new(hz);
        let answer = self.to_call(call, "listen", json!({ "offer": offer })).await.expect(200);
        browser.takes(answer["answer"].as_str().unwrap());
        browser
    }

    pub async fn try_accept(&self, call: &Value, offer: &str) -> Answer {
        self.post(&format!("/v1/calls/{}/accept", call["id"].as_str().unwrap()), json!({ "offer": offer }))
            .await
    }

    /// Calls a friend, with a browser that says a tone.
    pub async fn calls(&self, contact: &str, hz: f64) -> (Value, Browser) {
        let (browser, offer) = Browser::new(hz);
        let placed =
            self.post("/v1/calls", json!({ "contact_id": contact, "offer": offer })).await.expect(201);
        browser.takes(placed["answer"].as_str().unwrap());
        (placed["call"].clone(), browser)
    }

    /// Does something to a call.
    pub async fn to_call(&self, call: &Value, what: &str, body: Value) -> Answer {
        self.post(&format!("/v1/calls/{}/{what}", call["id"].as_str().unwrap()), body).await
    }
}

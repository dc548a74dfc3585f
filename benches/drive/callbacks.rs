//! Signed callbacks as Twilio sends them, made before the clock runs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::client::Requests;
use crate::population::{People, mix};

pub const CARRIER: &str = "bench";
pub const ACCOUNT_SID: &str = "AC0123456789abcdef0123456789abcdef";
pub const AUTH_TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub const PUBLIC_URL: &str = "https://meari.example.org";

/// The id of the n-th message of a run: random, as real ones are.
pub fn message_sid(run: u64, n: usize) -> String {
    let (high, low) = (mix(run ^ 0x5eed), mix((run << 40) ^ n as u64));
    format!("SM{:016x}{low:016x}", high ^ mix(low))
}

/// `count` messages from users to their friends, each to a random one of `friends`.
pub fn make(people: &People, run: u64, count: usize, pick: impl Fn(u64) -> (usize, usize)) -> Requests {
    let mut requests = Requests::default();
    for n in 0..count {
        let (user, friend) = pick(mix(run.wrapping_mul(31).wrapping_add(n as u64)));
        let (from, to) = (people.handset(user), people.number_of(user, friend));
        let text = format!("m{n} Shall we meet at the station at a quarter past seven?");
        requests.push(&callback(&message_sid(run, n), &from, &to, &text));
    }
    requests
}

/// One form with all the fields that Twilio sends for an SMS in North America.
fn callback(sid: &str, from: &str, to: &str, text: &str) -> Vec<u8> {
    let fields = [
        ("AccountSid", ACCOUNT_SID),
        ("ApiVersion", "2010-04-01"),
        ("Body", text),
        ("From", from),
        ("FromCity", "WASHINGTON"),
        ("FromCountry", "US"),
        ("FromState", "DC"),
        ("FromZip", "20388"),
        ("MessageSid", sid),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("SmsMessageSid", sid),
        ("SmsSid", sid),
        ("SmsStatus", "received"),
        ("To", to),
        ("ToCity", ""),
        ("ToCountry", "US"),
        ("ToState", "DC"),
        ("ToZip", ""),
    ];
    signed("messages", sid, &fields)
}

/// The n-th call of a run, announced.
pub fn call(n: usize, from: &str, to: &str) -> Vec<u8> {
    let sid = format!("CA{:016x}{:016x}", mix(n as u64), mix(!(n as u64)));
    let fields = [
        ("AccountSid", ACCOUNT_SID),
        ("ApiVersion", "2010-04-01"),
        ("CallSid", &sid),
        ("CallStatus", "ringing"),
        ("Called", to),
        ("Caller", from),
        ("Direction", "inbound"),
        ("From", from),
        ("To", to),
    ];
    signed("voice", &sid, &fields)
}

/// Fields sorted by name, as the signature wants them.
fn signed(door: &str, sid: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let path = format!("/carriers/{CARRIER}/{door}");
    let mut mac = Hmac::<Sha1>::new_from_slice(AUTH_TOKEN.as_bytes()).unwrap();
    mac.update(PUBLIC_URL.as_bytes());
    mac.update(path.as_bytes());
    for (name, value) in fields {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let body = serde_urlencoded::to_string(fields).unwrap();
    format!(
        "POST {path} HTTP/1.1\r\nHost: meari.example.org\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\n\
         Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\nX-Twilio-Signature: {signature}\r\n\
         I-Twilio-Idempotency-Token: {sid}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

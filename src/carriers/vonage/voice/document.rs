//! Steps to a call control object (NCCO).

use serde_json::{Value, json};

use crate::carriers::voice::Step;
use crate::texts::Locale;

/// The longest text of a `talk`.
const TEXT_CHARS_MAX: usize = 1_500;
/// The most that `input` takes.
const DIGITS_MAX: u8 = 20;
/// The longest wait of `input`.
const INPUT_SECONDS_MAX: u8 = 10;
/// What marks the address for events of the leg to our socket.
pub(super) const SOUND: &str = "sound=1";

/// The actions of some steps for a call. None at all is an answer to news: an object, which changes nothing, and not an
/// empty list, which would end the call.
pub(super) fn render(call: &str, steps: &[Step]) -> String {
    if steps.is_empty() {
        return "{}".to_owned();
    }
    let mut actions = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let next = match steps.get(at + 1) {
            Some(Step::GoTo { url }) => Some(url.as_str()),
            _ => None,
        };
        add(&mut actions, call, step, next);
    }
    Value::Array(actions).to_string()
}

fn add(actions: &mut Vec<Value>, call: &str, step: &Step, next: Option<&str>) {
    match step {
        Step::Say { text, locale } => actions.push(talk(text, *locale, false)),
        Step::Pause { seconds } => actions.push(json!({ "action": "wait", "timeout": seconds })),
        Step::Sound { url } => {
            let mut connect = json!({
                "action": "connect",
                // Nobody sees it, but it has to be said.
                "randomFromNumber": true,
                "endpoint": [{
                    "type": "websocket",
                    "uri": url,
                    "content-type": "audio/l16;rate=8000",
                    "headers": { "call": call },
                }],
            });
            if let (Some(next), Some(fields)) = (next, connect.as_object_mut()) {
                fields.insert("eventUrl".to_owned(), json!([format!("{next}?{SOUND}")]));
                fields.insert("eventMethod".to_owned(), "POST".into());
            }
            actions.push(connect);
        }
        Step::Ask { text, locale, url, digits_max, seconds } => {
            actions.push(talk(text, *locale, true));
            actions.push(json!({
                "action": "input",
                "type": ["dtmf"],
                "dtmf": {
                    "maxDigits": (*digits_max).min(DIGITS_MAX),
                    "timeOut": (*seconds).min(INPUT_SECONDS_MAX),
                    "submitOnHash": true,
                },
                "eventUrl": [url],
                "eventMethod": "POST",
            }));
        }
        Step::GoTo { url } => actions.push(json!({
            "action": "notify", "payload": { "call": call }, "eventUrl": [url], "eventMethod": "POST",
        })),
        // Where there is nothing left, the call ends.
        Step::Reject { .. } | Step::HangUp => {}
    }
}

fn talk(text: &str, locale: Locale, barge_in: bool) -> Value {
    let language = match locale {
        Locale::En => "en-US",
        Locale::Ko => "ko-KR",
    };
    let text: String = text.chars().take(TEXT_CHARS_MAX).collect();
    json!({ "action": "talk", "text": text, "language": language, "bargeIn": barge_in })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_actions() {
        let next = "https://meari.example.org/carriers/a/voice/leg_1/next".to_owned();
        let sound = Step::Sound { url: "wss://meari.example.org/carriers/a/media/t".to_owned() };
        let actions = |steps: &[Step]| serde_json::from_str::<Value>(&render("uuid-1", steps)).unwrap();
        assert_eq!(actions(&[]), json!({}));
        assert_eq!(actions(&[Step::Reject { busy: true }]), json!([]));
        let connected = actions(&[sound, Step::GoTo { url: next.clone() }]);
        assert_eq!(
            connected,
            json!([
                { "action": "connect", "randomFromNumber": true, "eventMethod": "POST",
                    "eventUrl": ["https://meari.example.org/carriers/a/voice/leg_1/next?sound=1"],
                    "endpoint": [{ "type": "websocket", "uri": "wss://meari.example.org/carriers/a/media/t",
                        "content-type": "audio/l16;rate=8000", "headers": { "call": "uuid-1" } }] },
                { "action": "notify", "payload": { "call": "uuid-1" }, "eventUrl": [next], "eventMethod": "POST" },
            ])
        );
        let asked = actions(&[
            Step::Ask { text: "PIN?".to_owned(), locale: Locale::Ko, url: next, digits_max: 24, seconds: 12 },
            Step::HangUp,
        ]);
        assert_eq!((&asked[0]["bargeIn"], &asked[0]["language"]), (&json!(true), &json!("ko-KR")));
        assert_eq!(asked[1]["dtmf"], json!({ "maxDigits": 20, "timeOut": 10, "submitOnHash": true }));
        assert_eq!(asked.as_array().unwrap().len(), 2);
    }
}

//! Steps to BXML.

use std::borrow::Cow;

use secrecy::{ExposeSecret as _, SecretString};

use super::super::xml::escaped;
use crate::carriers::voice::Step;
use crate::texts::Locale;

/// The most that `Gather` takes.
const DIGITS_MAX: u8 = 50;
/// What is waited for the first key after the question.
const FIRST_KEY_SECONDS: u8 = 10;
/// What marks the address for keys.
pub(super) const KEYS: &str = "keys=1";

/// With what Bandwidth is to come to our addresses, as attributes.
pub(super) struct Login {
    callbacks: String,
    socket: String,
}

impl Login {
    pub(super) fn new(user: &str, password: &SecretString) -> Login {
        let (user, password) = (quoted(user), password.expose_secret());
        let password = quoted(password);
        Login {
            callbacks: format!("username=\"{user}\" password=\"{password}\""),
            socket: format!("destinationUsername=\"{user}\" destinationPassword=\"{password}\""),
        }
    }
}

fn quoted(text: &str) -> Cow<'_, str> {
    escaped(text)
}

/// The BXML document of some steps for a call.
pub(super) fn render(call: &str, steps: &[Step], login: &Login) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>");
    for (at, step) in steps.iter().enumerate() {
        let next = match steps.get(at + 1) {
            Some(Step::GoTo { url }) => Some(url.as_str()),
            _ => None,
        };
        out.push_str(&verb(call, step, next, login));
    }
    out.push_str("</Response>");
    out
}

fn verb(call: &str, step: &Step, next: Option<&str>, login: &Login) -> String {
    let callbacks = &login.callbacks;
    match step {
        Step::Say { text, locale } => speak(text, *locale),
        Step::Pause { seconds } => format!("<Pause duration=\"{seconds}\"/>"),
        Step::Sound { url } => {
            // Keys do not come over the socket.
            let (before, after) = match next {
                Some(next) => (
                    format!(
                        "<StartGather dtmfUrl=\"{}?{KEYS}\" dtmfMethod=\"POST\" {callbacks}/>",
                        quoted(next)
                    ),
                    "<StopGather/>",
                ),
                None => (String::new(), ""),
            };
            // The stream runs beside the document, so the document waits for its end.
            format!(
                "{before}<StartStream name=\"sound\" mode=\"bidirectional\" tracks=\"inbound\" destination=\"{}\" {}>\
                 <StreamParam name=\"call\" value=\"{}\"/></StartStream><StopStream name=\"sound\" wait=\"true\"/>{after}",
                quoted(url),
                login.socket,
                quoted(call)
            )
        }
        Step::Ask { text, locale, url, digits_max, seconds } => format!(
            "<Gather gatherUrl=\"{}\" gatherMethod=\"POST\" maxDigits=\"{}\" firstDigitTimeout=\"{}\" \
             interDigitTimeout=\"{seconds}\" terminatingDigits=\"#\" {callbacks}>{}</Gather>",
            quoted(url),
            (*digits_max).min(DIGITS_MAX),
            FIRST_KEY_SECONDS.max(*seconds),
            speak(text, *locale)
        ),
        Step::GoTo { url } => {
            format!("<Redirect redirectUrl=\"{}\" redirectMethod=\"POST\" {callbacks}/>", quoted(url))
        }
        // Whether the caller hears that the line is busy cannot be chosen.
        Step::Reject { .. } | Step::HangUp => "<Hangup/>".to_owned(),
    }
}

fn speak(text: &str, locale: Locale) -> String {
    let locale = match locale {
        Locale::En => "en_US",
        Locale::Ko => "ko_KR",
    };
    format!("<SpeakSentence gender=\"female\" locale=\"{locale}\">{}</SpeakSentence>", quoted(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_verbs() {
        let url = || "https://meari.example.org/carriers/a/voice/l/next".to_owned();
        let login = Login::new("meari", &SecretString::from("a \"secret\" & more"));
        let who = "username=\"meari\" password=\"a &quot;secret&quot; &amp; more\"";
        let socket = "destinationUsername=\"meari\" destinationPassword=\"a &quot;secret&quot; &amp; more\"";
        let table = [
            (vec![], String::new()),
            (vec![Step::Reject { busy: true }], "<Hangup/>".to_owned()),
            (
                vec![Step::Say { text: "Q & A".to_owned(), locale: Locale::Ko }, Step::HangUp],
                "<SpeakSentence gender=\"female\" locale=\"ko_KR\">Q &amp; A</SpeakSentence><Hangup/>"
                    .to_owned(),
            ),
            (
                vec![
                    Step::Sound { url: "wss://meari.example.org/carriers/a/media/t".to_owned() },
                    Step::GoTo { url: url() },
                ],
                format!(
                    "<StartGather dtmfUrl=\"https://meari.example.org/carriers/a/voice/l/next?keys=1\" \
                     dtmfMethod=\"POST\" {who}/><StartStream name=\"sound\" mode=\"bidirectional\" tracks=\"inbound\" \
                     destination=\"wss://meari.example.org/carriers/a/media/t\" {socket}>\
                     <StreamParam name=\"call\" value=\"c-1\"/></StartStream><StopStream name=\"sound\" wait=\"true\"/>\
                     <StopGather/><Redirect redirectUrl=\"https://meari.example.org/carriers/a/voice/l/next\" \
                     redirectMethod=\"POST\" {who}/>"
                ),
            ),
            (
                vec![
                    Step::Pause { seconds: 2 },
                    Step::Ask {
                        text: "PIN".to_owned(),
                        locale: Locale::En,
                        url: url(),
                        digits_max: 24,
                        seconds: 6,
                    },
                ],
                format!(
                    "<Pause duration=\"2\"/><Gather gatherUrl=\"https://meari.example.org/carriers/a/voice/l/next\" \
                     gatherMethod=\"POST\" maxDigits=\"24\" firstDigitTimeout=\"10\" interDigitTimeout=\"6\" \
                     terminatingDigits=\"#\" {who}><SpeakSentence gender=\"female\" locale=\"en_US\">PIN</SpeakSentence>\
                     </Gather>"
                ),
            ),
        ];
        for (steps, wanted) in table {
            let whole = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{wanted}</Response>");
            assert_eq!(render("c-1", &steps, &login), whole);
        }
    }
}

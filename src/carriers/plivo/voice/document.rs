//! Steps to Plivo XML.

use quick_xml::escape::escape;

use crate::carriers::voice::Step;
use crate::texts::Locale;

/// The most that `GetInput` takes.
const DIGITS_MAX: u8 = 32;
/// The pause between two keys, in seconds.
const PAUSE: std::ops::RangeInclusive<u8> = 2..=10;
/// How long it waits for the first key after the question.
const FIRST_KEY_SECONDS: u8 = 10;

/// The XML document of some steps.
pub(super) fn render(steps: &[Step]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>");
    for step in steps {
        out.push_str(&element(step));
    }
    out.push_str("</Response>");
    out
}

fn element(step: &Step) -> String {
    match step {
        Step::Say { text, locale } => speak(text, *locale),
        Step::Pause { seconds } => format!("<Wait length=\"{seconds}\"/>"),
        // Alone until the socket is closed; then the next element.
        Step::Sound { url } => format!(
            "<Stream bidirectional=\"true\" keepCallAlive=\"true\" audioTrack=\"inbound\" \
             contentType=\"audio/x-mulaw;rate=8000\" streamTimeout=\"86400\">{}</Stream>",
            escape(url.as_str())
        ),
        Step::Ask { text, locale, url, digits_max, seconds } => format!(
            "<GetInput action=\"{}\" method=\"POST\" inputType=\"dtmf\" executionTimeout=\"{}\" digitEndTimeout=\"{}\" \
             finishOnKey=\"#\" numDigits=\"{}\" redirect=\"true\">{}</GetInput>",
            escape(url.as_str()),
            FIRST_KEY_SECONDS.max(*seconds),
            (*seconds).clamp(*PAUSE.start(), *PAUSE.end()),
            (*digits_max).min(DIGITS_MAX),
            speak(text, *locale)
        ),
        Step::GoTo { url } => format!("<Redirect method=\"POST\">{}</Redirect>", escape(url.as_str())),
        Step::Reject { busy: true } => "<Hangup reason=\"busy\"/>".to_owned(),
        Step::Reject { busy: false } => "<Hangup reason=\"rejected\"/>".to_owned(),
        Step::HangUp => "<Hangup/>".to_owned(),
    }
}

fn speak(text: &str, locale: Locale) -> String {
    // Its own voices speak no Korean.
    let voice = match locale {
        Locale::En => "language=\"en-US\" voice=\"WOMAN\"",
        Locale::Ko => "language=\"ko-KR\" voice=\"Polly.Seoyeon\"",
    };
    format!("<Speak {voice}>{}</Speak>", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_elements() {
        let url = || "https://meari.example.org/carriers/a/voice/l/next".to_owned();
        let table = [
            (vec![], ""),
            (vec![Step::Reject { busy: true }], "<Hangup reason=\"busy\"/>"),
            (
                vec![Step::Say { text: "Q & A <now>".to_owned(), locale: Locale::En }, Step::HangUp],
                "<Speak language=\"en-US\" voice=\"WOMAN\">Q &amp; A &lt;now&gt;</Speak><Hangup/>",
            ),
            (
                vec![
                    Step::Sound { url: "wss://meari.example.org/carriers/a/media/t".to_owned() },
                    Step::GoTo { url: url() },
                ],
                "<Stream bidirectional=\"true\" keepCallAlive=\"true\" audioTrack=\"inbound\" \
                 contentType=\"audio/x-mulaw;rate=8000\" streamTimeout=\"86400\">\
                 wss://meari.example.org/carriers/a/media/t</Stream>\
                 <Redirect method=\"POST\">https://meari.example.org/carriers/a/voice/l/next</Redirect>",
            ),
            (
                vec![
                    Step::Pause { seconds: 2 },
                    Step::Ask {
                        text: "PIN".to_owned(),
                        locale: Locale::Ko,
                        url: url(),
                        digits_max: 24,
                        seconds: 1,
                    },
                ],
                "<Wait length=\"2\"/><GetInput action=\"https://meari.example.org/carriers/a/voice/l/next\" \
                 method=\"POST\" inputType=\"dtmf\" executionTimeout=\"10\" digitEndTimeout=\"2\" finishOnKey=\"#\" \
                 numDigits=\"24\" redirect=\"true\"><Speak language=\"ko-KR\" voice=\"Polly.Seoyeon\">PIN</Speak></GetInput>",
            ),
        ];
        for (steps, wanted) in table {
            let whole = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{wanted}</Response>");
            assert_eq!(render(&steps), whole);
        }
    }
}

//! Steps to TwiML. Names are case-sensitive and only documented attributes are written.

use std::borrow::Cow;

use quick_xml::escape::escape;

use crate::carriers::voice::Step;
use crate::texts::Locale;

/// The TwiML document of some steps.
pub(super) fn render(steps: &[Step]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>");
    for step in steps {
        out.push_str(&verb(step));
    }
    out.push_str("</Response>");
    out
}

fn verb(step: &Step) -> String {
    match step {
        Step::Say { text, locale } => say(text, *locale),
        Step::Pause { seconds } => format!("<Pause length=\"{seconds}\"/>"),
        Step::Sound { url } => format!("<Connect><Stream url=\"{}\"/></Connect>", escape(url.as_str())),
        Step::Ask { text, locale, url, digits_max, seconds } => format!(
            "<Gather input=\"dtmf\" action=\"{}\" method=\"POST\" numDigits=\"{digits_max}\" timeout=\"{seconds}\" \
             finishOnKey=\"#\">{}</Gather>",
            escape(url.as_str()),
            say(text, *locale)
        ),
        Step::GoTo { url } => format!("<Redirect method=\"POST\">{}</Redirect>", escape(url.as_str())),
        Step::Reject { busy: true } => "<Reject reason=\"busy\"/>".to_owned(),
        Step::Reject { busy: false } => "<Reject reason=\"rejected\"/>".to_owned(),
        Step::HangUp => "<Hangup/>".to_owned(),
    }
}

fn say(text: &str, locale: Locale) -> String {
    let language = match locale {
        Locale::En => "en-US",
        Locale::Ko => "ko-KR",
    };
    let text: Cow<'_, str> = escape(text);
    format!("<Say language=\"{language}\">{text}</Say>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_become_verbs() {
        let url = || "https://meari.example.org/carriers/a/voice/next".to_owned();
        let table = [
            (vec![], ""),
            (vec![Step::Reject { busy: true }], "<Reject reason=\"busy\"/>"),
            (
                vec![Step::Say { text: "Q & A <now>".to_owned(), locale: Locale::En }, Step::HangUp],
                "<Say language=\"en-US\">Q &amp; A &lt;now&gt;</Say><Hangup/>",
            ),
            (
                vec![
                    Step::Sound { url: "wss://meari.example.org/carriers/a/media/t".to_owned() },
                    Step::GoTo { url: url() },
                ],
                "<Connect><Stream url=\"wss://meari.example.org/carriers/a/media/t\"/></Connect>\
                 <Redirect method=\"POST\">https://meari.example.org/carriers/a/voice/next</Redirect>",
            ),
            (
                vec![
                    Step::Pause { seconds: 2 },
                    Step::Ask {
                        text: "PIN".to_owned(),
                        locale: Locale::Ko,
                        url: url(),
                        digits_max: 24,
                        seconds: 6,
                    },
                ],
                "<Pause length=\"2\"/><Gather input=\"dtmf\" action=\"https://meari.example.org/carriers/a/voice/next\" \
                 method=\"POST\" numDigits=\"24\" timeout=\"6\" finishOnKey=\"#\"><Say language=\"ko-KR\">PIN</Say></Gather>",
            ),
        ];
        for (steps, wanted) in table {
            let whole = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>{wanted}</Response>");
            assert_eq!(render(&steps), whole);
        }
    }
}

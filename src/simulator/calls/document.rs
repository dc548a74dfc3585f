//! TwiML documents: the verbs that the simulated carrier carries out.

use crate::simulator::xml::{self, Element};

/// Verbs of one document at most.
const VERBS_MAX: usize = 50;

/// One thing to do with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Speak.
    Say(String),
    /// Wait so many seconds.
    Pause(u64),
    /// Send and play sound over a socket, until it closes.
    Stream {
        /// Where.
        url: String,
    },
    /// Take what is typed.
    Gather {
        /// What is said meanwhile.
        say: Vec<String>,
        /// Where it goes.
        action: Option<String>,
        /// How many digits end it.
        digits_max: usize,
        /// The key that ends it.
        finish: Option<char>,
        /// How many seconds without a key end it.
        timeout: u64,
    },
    /// Record what is said after a beep.
    Record {
        /// Where the address of the recording goes.
        action: Option<String>,
        /// At most so many seconds.
        seconds_max: u64,
    },
    /// Ask for another document.
    Redirect(String),
    /// Do not answer.
    Reject {
        /// Whether the caller hears that the line is busy.
        busy: bool,
    },
    /// Hang up.
    Hangup,
}

/// Reads a document; none when it is no TwiML, which the carrier answers with an error to the caller.
pub fn read(content_type: &str, body: &str) -> Option<Vec<Verb>> {
    if !content_type.contains("xml") {
        return None;
    }
    let root = xml::parse(body.as_bytes()).ok().filter(|root| root.is("", "Response"))?;
    Some(root.children.iter().filter_map(verb).take(VERBS_MAX).collect())
}

/// Reads a document that came as a parameter.
pub fn read_document(text: &str) -> Option<Vec<Verb>> {
    read("text/xml", text)
}

fn number(element: &Element, name: &str, otherwise: u64) -> u64 {
    element.attribute(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn verb(element: &Element) -> Option<Verb> {
    let action = || element.attribute("action").map(str::to_owned);
    Some(match element.name.as_str() {
        "Say" => Verb::Say(element.trimmed().to_owned()),
        "Pause" => Verb::Pause(number(element, "length", 1)),
        "Connect" => Verb::Stream { url: element.child("", "Stream")?.attribute("url")?.to_owned() },
        "Gather" => Verb::Gather {
            say: element.all("", "Say").map(|say| say.trimmed().to_owned()).collect(),
            action: action(),
            digits_max: usize::try_from(number(element, "numDigits", 1_000)).unwrap_or(1_000),
            finish: element.attribute("finishOnKey").map_or(Some('#'), |key| key.chars().next()),
            timeout: number(element, "timeout", 5),
        },
        "Record" => Verb::Record { action: action(), seconds_max: number(element, "maxLength", 3_600) },
        "Redirect" => Verb::Redirect(element.trimmed().to_owned()),
        "Reject" => Verb::Reject { busy: element.attribute("reason") == Some("busy") },
        "Hangup" => Verb::Hangup,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_as_the_vendor_writes_them() {
        let body = "<?xml version=\"1.0\"?><Response><Say language=\"ko-KR\">a &amp; b</Say><Pause length=\"2\"/>\
                    <Connect><Stream url=\"wss://example.org/m/t\"/></Connect>\
                    <Gather numDigits=\"4\" action=\"https://example.org/g?a=1&amp;b=2\"><Say>PIN</Say></Gather>\
                    <Redirect>https://example.org/next</Redirect><Reject reason=\"busy\"/><Hangup/><Dance/></Response>";
        let verbs = read("text/xml", body).unwrap();
        assert_eq!(
            verbs,
            [
                Verb::Say("a & b".to_owned()),
                Verb::Pause(2),
                Verb::Stream { url: "wss://example.org/m/t".to_owned() },
                Verb::Gather {
                    say: vec!["PIN".to_owned()],
                    action: Some("https://example.org/g?a=1&b=2".to_owned()),
                    digits_max: 4,
                    finish: Some('#'),
                    timeout: 5,
                },
                Verb::Redirect("https://example.org/next".to_owned()),
                Verb::Reject { busy: true },
                Verb::Hangup,
            ]
        );
        assert_eq!(read("text/plain", body), None);
        assert_eq!(read("text/xml", "<Response>"), None);
    }
}

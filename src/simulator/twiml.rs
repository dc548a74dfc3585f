//! Answers to an inbound message: TwiML documents that reply by SMS, and the plain text that does so by accident.

use super::xml::{self, Element};

/// Replies that one answer can hold.
const REPLIES_MAX: usize = 10;

/// An SMS that the answer to a callback asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reply {
    /// What to write.
    pub body: String,
    /// Files to send along.
    pub media: Vec<String>,
}

/// Reads the replies of an answer; none when it is no TwiML.
///
/// A non-empty answer in plain text is sent to the phone as it stands: the carrier does so, to many a surprise.
pub fn replies(content_type: &str, body: &str) -> Vec<Reply> {
    if content_type.starts_with("text/plain") && !body.trim().is_empty() {
        return vec![Reply { body: body.to_owned(), media: Vec::new() }];
    }
    if !content_type.contains("xml") {
        return Vec::new();
    }
    let Ok(root) = xml::parse(body.as_bytes()) else { return Vec::new() };
    if !root.is("", "Response") {
        return Vec::new();
    }
    let verbs = root.children.iter().filter(|verb| verb.is("", "Message") || verb.is("", "Sms"));
    verbs.map(reply).filter(|r| !r.body.is_empty() || !r.media.is_empty()).take(REPLIES_MAX).collect()
}

fn reply(verb: &Element) -> Reply {
    Reply {
        body: verb.child("", "Body").map_or_else(|| verb.trimmed().to_owned(), |body| body.text.clone()),
        media: verb.all("", "Media").map(|media| media.trimmed().to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_reply_and_empty_ones_do_not() {
        let bodies = |content_type: &str, body: &str| -> Vec<String> {
            replies(content_type, body).into_iter().map(|reply| reply.body).collect()
        };
        let xml = "<?xml version=\"1.0\"?><Response><Message>a</Message><Message><Body>b &amp; c</Body></Message></Response>";
        assert_eq!(bodies("text/xml; charset=utf-8", xml), ["a", "b & c"]);
        assert_eq!(bodies("text/plain", "ok"), ["ok"]);
        for (content_type, body) in [
            ("text/xml", "<Response/>"),
            ("text/xml", "<Response>"),
            ("application/json", "{}"),
            ("text/plain", " "),
        ] {
            assert!(bodies(content_type, body).is_empty(), "{content_type} {body}");
        }
    }
}

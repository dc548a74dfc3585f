//! WebDAV-Push (draft of bitfire): the body by which a client registers, the message it is sent, the header by which it
//! asks not to be told.

use super::multistatus::{escape_into, text_element};
use super::names::{Name, PUSH};
use super::xml::{self, Element};
use super::{Fault, Precondition};

/// Registration addresses in one `Push-Dont-Notify` at most.
const DONT_NOTIFY_MAX: usize = 100;

const INVALID: Fault = Fault::violated(
    403,
    Precondition::Named(Name::push("invalid-subscription")),
    "There must be one web-push-subscription: an https address, aes128gcm, a p256dh key and a secret.",
);
const NO_TRIGGER: Fault = Fault::violated(
    403,
    Precondition::Named(Name::push("no-supported-trigger")),
    "None of the triggers can be had here.",
);

/// How deep changes are told: of the content, of the properties. `u8::MAX` is infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triggers {
    /// Of what is in it.
    pub content: Option<u8>,
    /// Of its properties.
    pub property: Option<u8>,
}

impl Triggers {
    /// What is asked for, as far as it can be had.
    ///
    /// # Errors
    /// `no-supported-trigger` when nothing remains.
    pub fn within(self, supported: Triggers) -> Result<Triggers, Fault> {
        let both = |asked: Option<u8>, can: Option<u8>| Some(asked?.min(can?));
        let content = both(self.content, supported.content);
        let property = both(self.property, supported.property);
        if content.is_none() && property.is_none() {
            return Err(NO_TRIGGER);
        }
        Ok(Triggers { content, property })
    }
}

/// A `push-register`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRegister {
    /// Where to send.
    pub push_resource: String,
    /// The subscriber's key, in base64url.
    pub public_key: String,
    /// The shared secret, in base64url.
    pub auth_secret: String,
    /// What is asked for.
    pub triggers: Triggers,
    /// Until when, as an HTTP date.
    pub expires: Option<String>,
}

impl Name {
    /// A name in WebDAV-Push's namespace.
    pub const fn push(local: &'static str) -> Self {
        Name { ns: std::borrow::Cow::Borrowed(PUSH), local: std::borrow::Cow::Borrowed(local) }
    }
}

fn all<'a>(parent: &'a Element, local: &'a str) -> impl Iterator<Item = &'a Element> {
    parent.elements().filter(move |e| e.name.as_ref().is_some_and(|n| n.ns == PUSH && n.local == local))
}

/// The only one of its name.
fn one<'a>(parent: &'a Element, local: &'a str) -> Option<&'a Element> {
    let mut found = all(parent, local);
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Reads a `push-register`; `None` when the body is something else.
///
/// # Errors
/// What cannot be understood, by the draft's preconditions.
pub fn register(body: &[u8]) -> Result<Option<PushRegister>, Fault> {
    let root = xml::parse(body)?;
    if !root.name.as_ref().is_some_and(|n| n.ns == PUSH && n.local == "push-register") {
        return Ok(None);
    }
    let subscription = one(&root, "subscription").and_then(|s| one(s, "web-push-subscription"));
    let subscription = subscription.ok_or(INVALID)?;
    let text = |local: &str| one(subscription, local).map(|e| e.text().trim().to_owned()).ok_or(INVALID);
    if text("content-encoding")? != "aes128gcm" {
        return Err(INVALID);
    }
    let key = one(subscription, "subscription-public-key");
    if key.and_then(|k| k.attribute("type")) != Some("p256dh") {
        return Err(INVALID);
    }
    let trigger = one(&root, "trigger").ok_or(NO_TRIGGER)?;
    let triggers = Triggers {
        content: depth_of(trigger, "content-update")?,
        property: depth_of(trigger, "property-update")?,
    };
    let expires = match all(&root, "expires").count() {
        0 => None,
        1 => one(&root, "expires").map(|e| e.text().trim().to_owned()),
        _ => return Err(Fault::malformed("There may be one expires.")),
    };
    Ok(Some(PushRegister {
        push_resource: text("push-resource")?,
        public_key: text("subscription-public-key")?,
        auth_secret: text("auth-secret")?,
        triggers,
        expires,
    }))
}

/// How deep one trigger is to reach; as deep as possible when it does not say.
fn depth_of(trigger: &Element, local: &str) -> Result<Option<u8>, Fault> {
    let Some(update) = all(trigger, local).next() else { return Ok(None) };
    let depth = update.dav("depth").map(|d| d.text().trim().to_ascii_lowercase());
    match depth.as_deref() {
        Some("0") => Ok(Some(0)),
        Some("1") => Ok(Some(1)),
        None | Some("infinity") => Ok(Some(u8::MAX)),
        Some(_) => Err(Fault::malformed("The depth must be 0, 1 or infinity.")),
    }
}

/// The only refusal that is not about the body.
pub const NOT_AVAILABLE: Precondition = Precondition::Named(Name::push("push-not-available"));

/// The same as [`register`]'s, for what can be seen only later.
pub const fn invalid_subscription() -> Fault {
    INVALID
}

/// What a push says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushMessage {
    /// What it is about.
    pub topic: String,
    /// Whether content has changed, and the token for the state of now when there is one.
    pub content: Option<Option<String>>,
    /// Whether properties have changed.
    pub property: bool,
}

impl PushMessage {
    /// The document.
    pub fn render(&self) -> Vec<u8> {
        let mut out = b"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<push-message xmlns=\"https://bitfire.at/webdav-push\" xmlns:D=\"DAV:\"><topic>".to_vec();
        escape_into(&mut out, self.topic.as_bytes());
        out.extend_from_slice(b"</topic>");
        match &self.content {
            Some(Some(token)) => {
                out.extend_from_slice(b"<content-update><D:sync-token>");
                escape_into(&mut out, token.as_bytes());
                out.extend_from_slice(b"</D:sync-token></content-update>");
            }
            Some(None) => out.extend_from_slice(b"<content-update/>"),
            None => {}
        }
        if self.property {
            out.extend_from_slice(b"<property-update/>");
        }
        out.extend_from_slice(b"</push-message>");
        out
    }
}

/// Appends the property `transports`: Web Push, with our public key. The name is given because it was called
/// `push-transports` once, and clients of that time are about.
pub fn write_transports(out: &mut Vec<u8>, name: &Name, public_key: &str) {
    let mut inner =
        format!("<{} xmlns=\"{PUSH}\"><web-push><vapid-public-key type=\"p256ecdsa\">", name.local);
    inner.push_str(public_key);
    inner.push_str(&format!("</vapid-public-key></web-push></{}>", name.local));
    out.extend_from_slice(inner.as_bytes());
}

/// Appends the property `supported-triggers`.
pub fn write_triggers(out: &mut Vec<u8>, triggers: Triggers) {
    out.extend_from_slice(format!("<P:supported-triggers xmlns:P=\"{PUSH}\">").as_bytes());
    let parts = [("content-update", triggers.content), ("property-update", triggers.property)];
    for (local, depth) in parts.into_iter().filter_map(|(local, depth)| Some((local, depth?))) {
        out.extend_from_slice(format!("<P:{local}>").as_bytes());
        text_element(out, &Name::dav("depth"), &depth.to_string());
        out.extend_from_slice(format!("</P:{local}>").as_bytes());
    }
    out.extend_from_slice(b"</P:supported-triggers>");
}

/// Whom a request asks not to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DontNotify {
    /// Nobody at all.
    Everybody,
    /// These registration addresses.
    These(Vec<String>),
}

/// Reads all lines of `Push-Dont-Notify`; what is no address in quotes is ignored.
pub fn dont_notify<'a>(lines: impl Iterator<Item = &'a str>) -> DontNotify {
    let mut these = Vec::new();
    for part in lines.flat_map(|line| line.split(',')).map(str::trim) {
        if part == "*" {
            return DontNotify::Everybody;
        }
        let quoted = part.strip_prefix('"').and_then(|p| p.strip_suffix('"'));
        if let Some(address) = quoted.filter(|_| these.len() < DONT_NOTIFY_MAX) {
            these.push(address.to_owned());
        }
    }
    DontNotify::These(these)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#"<push-register xmlns="https://bitfire.at/webdav-push" xmlns:D="DAV:">
  <subscription><web-push-subscription>
    <push-resource>https://up.example.net/yohd4yai5Phiz1wi</push-resource>
    <content-encoding>aes128gcm</content-encoding>
    <subscription-public-key type="p256dh">BCVx</subscription-public-key>
    <auth-secret>BTBZ</auth-secret>
  </web-push-subscription></subscription>
  <trigger>
    <content-update><D:depth>infinity</D:depth></content-update>
    <property-update><D:depth>0</D:depth><D:prop><D:displayname/></D:prop></property-update>
  </trigger>
  <expires>Wed, 20 Dec 2023 10:03:31 GMT</expires>
</push-register>"#;

    #[test]
    fn a_registration_is_read() {
        let read = register(SAMPLE.as_bytes()).unwrap().unwrap();
        assert_eq!(read.push_resource, "https://up.example.net/yohd4yai5Phiz1wi");
        assert_eq!(read.triggers, Triggers { content: Some(u8::MAX), property: Some(0) });
        assert_eq!(read.expires.as_deref(), Some("Wed, 20 Dec 2023 10:03:31 GMT"));
        assert_eq!(register(b"<a/>"), Ok(None));
        let without = SAMPLE.replace("<D:depth>infinity</D:depth>", "");
        assert_eq!(register(without.as_bytes()).unwrap().unwrap().triggers.content, Some(u8::MAX));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (from, to) in [
            ("aes128gcm", "aesgcm"),
            ("p256dh", "p384"),
            ("<auth-secret>BTBZ</auth-secret>", ""),
            ("<content-encoding>aes128gcm</content-encoding>", ""),
            ("<push-resource>", "<push-resource>https://a.example</push-resource><push-resource>"),
            ("web-push-subscription", "other-subscription"),
        ] {
            assert_eq!(register(SAMPLE.replace(from, to).as_bytes()), Err(INVALID), "{from}");
        }
        assert_eq!(register(SAMPLE.replace("trigger", "nothing").as_bytes()), Err(NO_TRIGGER));
        assert_eq!(register(SAMPLE.replace(">0<", ">2<").as_bytes()).unwrap_err().status, 400);
    }

    #[test]
    fn triggers_are_downgraded_or_ignored() {
        let book = Triggers { content: Some(1), property: None };
        let asked = Triggers { content: Some(u8::MAX), property: Some(1) };
        assert_eq!(asked.within(book), Ok(Triggers { content: Some(1), property: None }));
        let asked = Triggers { content: None, property: Some(0) };
        assert_eq!(asked.within(book), Err(NO_TRIGGER));
    }

    #[test]
    fn a_message_is_a_document() {
        let message =
            PushMessage { topic: "t<".into(), content: Some(Some("data:,1&2".into())), property: true };
        let root = xml::parse(&message.render()).unwrap();
        assert_eq!(one(&root, "topic").unwrap().text(), "t<");
        let update = one(&root, "content-update").unwrap();
        assert_eq!(update.dav("sync-token").unwrap().text(), "data:,1&2");
        assert!(one(&root, "property-update").is_some());
        let message = PushMessage { topic: "t".into(), content: None, property: true };
        assert!(one(&xml::parse(&message.render()).unwrap(), "content-update").is_none());
    }

    #[test]
    fn who_asks_not_to_be_told() {
        let read = |lines: &[&str]| dont_notify(lines.iter().copied());
        assert_eq!(read(&["*"]), DontNotify::Everybody);
        let two = DontNotify::These(vec!["https://a.example/1".into(), "https://a.example/2".into()]);
        assert_eq!(read(&["\"https://a.example/1\" , \"https://a.example/2\""]), two);
        assert_eq!(read(&["\"https://a.example/1\"", "\"https://a.example/2\""]), two);
        assert_eq!(read(&["https://a.example/1, \"", ""]), DontNotify::These(vec![]));
    }
}

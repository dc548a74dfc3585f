//! The Messages API and the Application API: send a message, look at our application.
//!
//! `POST /v1/messages`, JSON, with a token that the application's key signs. There is no idempotency key and no way to
//! ask for a message by its ends, so our own id travels as `client_ref` and comes back with the first status.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::signature::Signer;
use super::{errors, parse};
use crate::carriers::answers;
use crate::carriers::{Accepted, ReceiptState, SendError, SmsToSend};
use crate::clock::Clock;
use crate::net::{Answer, Limits, Net, Request};

/// Vonage answers in tenths of a second; later it is most likely lost.
const LIMITS: Limits = Limits { total: Duration::from_secs(15), answer_bytes_max: 512 << 10 };

/// One application of one account at the API.
pub(super) struct Api {
    pub(super) net: Net,
    /// Messages and applications, without a trailing slash.
    pub(super) base: String,
    /// Numbers, without a trailing slash.
    pub(super) numbers_base: String,
    pub(super) api_key: String,
    pub(super) api_secret: SecretString,
    pub(super) application_id: String,
    pub(super) signer: Signer,
    /// The true time: the carrier looks at our tokens with its own clock.
    pub(super) clock: Clock,
}

#[derive(Serialize)]
struct NewMessage<'a> {
    channel: &'static str,
    to: &'a str,
    from: &'a str,
    client_ref: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_version: Option<&'static str>,
    #[serde(flatten)]
    content: Value,
}

#[derive(Deserialize)]
struct Sent {
    message_uuid: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Application {
    name: String,
    keys: PublicKeys,
    capabilities: AppCapabilities,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PublicKeys {
    public_key: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AppCapabilities {
    messages: Option<MessagesCapability>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MessagesCapability {
    webhooks: Webhooks,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Webhooks {
    inbound_url: Webhook,
    status_url: Webhook,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Webhook {
    address: String,
}

/// What kind of thing lies at an address, by how it ends: the API wants to be told.
fn kind_of(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    match path.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase()).as_deref() {
        Some("jpg" | "jpeg" | "png" | "gif" | "webp") => "image",
        Some("mp3" | "amr" | "ogg" | "wav" | "m4a") => "audio",
        Some("mp4" | "3gp" | "mov" | "webm") => "video",
        Some("vcf") => "vcard",
        _ => "file",
    }
}

/// The part of the message that differs by what is in it.
fn content_of(sms: &SmsToSend) -> Value {
    let resource = |url: &String, caption: &str| match caption {
        "" => json!({ "url": url }),
        caption => json!({ "url": url, "caption": caption }),
    };
    match sms.media_urls.as_slice() {
        [] => json!({ "message_type": "text", "text": sms.text }),
        [url] => json!({ "message_type": kind_of(url), kind_of(url): resource(url, &sms.text) }),
        several => {
            let item = |(at, url): (usize, &String)| {
                let mut item = resource(url, if at == 0 { &sms.text } else { "" });
                if let Some(fields) = item.as_object_mut() {
                    fields.insert("type".to_owned(), kind_of(url).into());
                }
                item
            };
            json!({ "message_type": "content", "content": several.iter().enumerate().map(item).collect::<Vec<_>>() })
        }
    }
}

impl Api {
    /// A request signed by the application.
    pub(super) fn token(&self) -> Result<SecretString, SendError> {
        self.signer.token(self.clock.now()).ok_or_else(|| answers::misconfigured("no token can be signed"))
    }

    /// A request with the account's key and secret.
    pub(super) fn basic(&self, request: Request) -> Request {
        request.basic_auth(&self.api_key, self.api_secret.expose_secret())
    }

    /// Sends a request and reads its answer, whatever its status.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer, SendError> {
        request.send(LIMITS).await.map_err(|error| answers::from_net(&error))
    }

    /// Sends a request that must succeed.
    pub(super) async fn must(&self, request: Request) -> Result<Answer, SendError> {
        let answer = self.ask(request).await?;
        if answer.is_success() { Ok(answer) } else { Err(errors::from_answer(&answer)) }
    }

    /// Hands over one SMS or MMS.
    pub(super) async fn send(&self, sms: &SmsToSend) -> Result<Accepted, SendError> {
        let wanted = !sms.status_callback.is_empty();
        let message = NewMessage {
            channel: if sms.media_urls.is_empty() { "sms" } else { "mms" },
            to: sms.to.digits(),
            from: sms.from.digits(),
            client_ref: sms.id.to_string(),
            webhook_url: wanted.then_some(sms.status_callback.as_str()),
            webhook_version: wanted.then_some("v1"),
            content: content_of(sms),
        };
        let token = self.token()?;
        let request = self.net.post(&format!("{}/v1/messages", self.base)).bearer_auth(token.expose_secret());
        let answer = self.must(request.json(&message)).await?;
        let sent: Sent = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if !parse::is_id(&sent.message_uuid) {
            return Err(answers::unreadable(&answer));
        }
        Ok(Accepted {
            carrier_message_id: sent.message_uuid,
            state: ReceiptState::Queued,
            segment_count: None,
        })
    }

    /// Looks at the application: that it is there, has our key, and calls our addresses.
    pub(super) async fn check(&self, carrier_id: &str) -> Result<String, SendError> {
        let url = format!("{}/v2/applications/{}", self.base, self.application_id);
        let answer = self.must(self.basic(self.net.get(&url))).await?;
        let application: Application = answer.json().map_err(|_| answers::unreadable(&answer))?;
        if application.keys.public_key.is_some_and(|public| !self.signer.matches(&public)) {
            return Err(answers::misconfigured(
                "private_key does not belong to the application's public key",
            ));
        }
        let Some(messages) = application.capabilities.messages else {
            return Err(answers::misconfigured("the application has no Messages capability; switch it on"));
        };
        let Webhooks { inbound_url, status_url } = messages.webhooks;
        for (what, address, door) in
            [("inbound", inbound_url.address, "messages"), ("status", status_url.address, "status")]
        {
            let wanted = format!("/carriers/{carrier_id}/{door}");
            if !address.ends_with(&wanted) {
                let shown: String = address.chars().take(120).collect();
                return Err(answers::misconfigured(format!(
                    "the application's {what} URL must be your public address with {wanted}; it is “{shown}”"
                )));
            }
        }
        let name: String = application.name.chars().filter(|c| !c.is_control()).take(64).collect();
        Ok(format!("the application “{name}” has our key and calls our addresses"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::OutboundSmsId;
    use crate::phone::E164;

    fn content(text: &str, media_urls: &[&str]) -> Value {
        content_of(&SmsToSend {
            id: OutboundSmsId::new(crate::clock::Timestamp(1)),
            from: E164::parse("+12025550150").unwrap(),
            to: E164::parse("+12025550101").unwrap(),
            text: text.to_owned(),
            media_urls: media_urls.iter().map(|url| (*url).to_owned()).collect(),
            status_callback: String::new(),
        })
    }

    #[test]
    fn messages_are_written_by_what_is_in_them() {
        assert_eq!(content("Hi", &[]), json!({ "message_type": "text", "text": "Hi" }));
        let picture = "https://meari.example.org/media/x.JPG?e=1";
        let wanted = json!({ "message_type": "image", "image": { "url": picture, "caption": "Look" } });
        assert_eq!(content("Look", &[picture]), wanted);
        let card = "https://meari.example.org/media/x.vcf";
        assert_eq!(content("", &[card]), json!({ "message_type": "vcard", "vcard": { "url": card } }));
        let wanted = json!({ "message_type": "content", "content": [
            { "type": "image", "url": picture, "caption": "Two" }, { "type": "vcard", "url": card },
        ] });
        assert_eq!(content("Two", &[picture, card]), wanted);
    }
}

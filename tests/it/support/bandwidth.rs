//! Bandwidth as a server: messages with OAuth 2.0 tokens, numbers in XML, callbacks with Basic credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use meari::clock::Timestamp;
use meari::config::CarrierSettings;
use serde_json::{Value, json};

use super::wire::{Forged, Reply, Seen, Sent, State, Vendor};

pub struct Bandwidth;

const APPLICATION: &str = "93de2206-9669-4e07-948d-329f4b722ee2";
const MESSAGES: &str = "/api/v2/users/5555555/messages";
const ACCOUNT: &str = "/api/accounts/5555555";
/// What a message may have (schema `messageRequest`); anything else is a mistake of ours.
const MESSAGE_FIELDS: [&str; 8] =
    ["applicationId", "to", "from", "text", "media", "tag", "priority", "expiration"];

fn basic(user: &str, password: &str) -> (String, String) {
    ("authorization".to_owned(), format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
}

fn invalid(field: &str) -> Reply {
    let fields = json!([{"fieldName": field, "description": "is not good"}]);
    Reply::json(400, json!({"type": "request-validation", "description": "Invalid", "fieldErrors": fields}))
}

fn tag<'a>(xml: &'a str, name: &str) -> &'a str {
    let after = xml.split_once(&format!("<{name}>")).unwrap().1;
    after.split_once(&format!("</{name}>")).unwrap().0
}

impl Bandwidth {
    fn send(state: &mut State, seen: &Seen) -> Reply {
        let message = seen.json();
        if let Some(field) =
            message.as_object().unwrap().keys().find(|k| !MESSAGE_FIELDS.contains(&k.as_str()))
        {
            return invalid(field);
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let to: Vec<String> = message["to"].as_array().unwrap().iter().map(text).collect();
        let is_good = (1..10).contains(&to.len()) && to.iter().all(|to| to.starts_with('+'));
        if message["applicationId"] != APPLICATION || !is_good {
            return invalid("to");
        }
        let media = message["media"].as_array().cloned().unwrap_or_default();
        let sent = Sent {
            id: format!("1589228074636lm4k2je7j7jk{}", state.sent.len()),
            from: text(&message["from"]),
            to: to.join(","),
            text: text(&message["text"]),
            media: media.iter().map(text).collect(),
            echo: text(&message["tag"]),
            state: "SENT".to_owned(),
            at: state.now,
        };
        let answer = json!({"id": sent.id, "owner": sent.from, "applicationId": APPLICATION, "segmentCount": 1,
            "direction": "out", "to": to, "from": sent.from, "text": sent.text, "tag": sent.echo});
        state.take(sent);
        Reply::json(202, answer)
    }

    fn list(state: &State, seen: &Seen) -> Reply {
        let since = Timestamp::from_rfc3339(seen.asked("fromDateTime")).unwrap();
        let found = state.between(seen.asked("sourceTn"), seen.asked("destinationTn"));
        // No text and no tag: the carrier keeps neither.
        let shown = |s: &Sent| {
            json!({"messageId": s.id, "sourceTn": s.from, "destinationTn": s.to, "messageStatus": s.state,
                "messageDirection": "OUTBOUND", "messageLength": s.text.chars().count()})
        };
        let list: Vec<Value> = found.into_iter().filter(|s| s.at >= since).map(shown).collect();
        Reply::json(200, json!({"totalCount": list.len(), "pageInfo": {}, "messages": list}))
    }

    fn numbers(state: &mut State, seen: &Seen, path: &str) -> Reply {
        let listed = |numbers: &[String]| {
            numbers.iter().map(|n| format!("<TelephoneNumber>{n}</TelephoneNumber>")).collect::<String>()
        };
        match (seen.method.as_str(), path) {
            ("GET", "/availableNumbers") => {
                let area = seen.asked("areaCode");
                let found = listed(&[format!("{area}5550142"), format!("{area}5550143")]);
                Reply::xml(
                    200,
                    format!(
                        "<SearchResult><ResultCount>2</ResultCount><TelephoneNumberList>{found}</TelephoneNumberList></SearchResult>"
                    ),
                )
            }
            ("GET", "/orders") => {
                let asked = seen.asked("customerOrderId");
                let known = state.orders.iter().filter(|(reference, _)| reference == asked);
                let known: String =
                    known.map(|_| "<OrderIdUserIdDate><orderId>o-1</orderId></OrderIdUserIdDate>").collect();
                Reply::xml(
                    200,
                    format!(
                        "<ResponseSelectWrapper><ListOrderIdUserIdDate>{known}</ListOrderIdUserIdDate></ResponseSelectWrapper>"
                    ),
                )
            }
            ("GET", "/orders/o-1") => {
                Reply::xml(200, "<OrderResponse><OrderStatus>COMPLETE</OrderStatus></OrderResponse>".into())
            }
            ("POST", "/orders") => {
                let made = (
                    tag(&seen.body, "CustomerOrderId").to_owned(),
                    tag(&seen.body, "TelephoneNumber").to_owned(),
                );
                assert_eq!(tag(&seen.body, "SiteId"), "461");
                state.numbers.push(made.1.clone());
                state.orders.push(made);
                Reply::xml(201, "<OrderResponse><Order><id>o-1</id></Order><OrderStatus>RECEIVED</OrderStatus></OrderResponse>".into())
            }
            ("POST", "/disconnects") => {
                let number = tag(&seen.body, "TelephoneNumber").to_owned();
                state.numbers.retain(|known| *known != number);
                Reply::xml(201, "<DisconnectTelephoneNumberOrderResponse/>".into())
            }
            ("GET", "/inserviceNumbers") => {
                let all = listed(&state.numbers);
                Reply::xml(
                    200,
                    format!(
                        "<TNs><TotalCount>1</TotalCount><Links><first>x</first></Links><TelephoneNumbers>{all}</TelephoneNumbers></TNs>"
                    ),
                )
            }
            ("GET", path) if path == format!("/applications/{APPLICATION}") => {
                let base = &state.callback_base;
                Reply::xml(
                    200,
                    format!(
                        "<ApplicationProvisioningResponse><Application><AppName>Meari &amp; test</AppName><InboundCallbackUrl>{base}/messages</InboundCallbackUrl><OutboundCallbackUrl>{base}/status</OutboundCallbackUrl><InboundCallbackCreds><UserId>meari</UserId></InboundCallbackCreds></Application></ApplicationProvisioningResponse>"
                    ),
                )
            }
            _ => Reply::xml(404, String::new()),
        }
    }
}

impl Vendor for Bandwidth {
    const ID: &'static str = "bandwidth";

    fn settings(api_base: &str) -> CarrierSettings {
        let options = [
            ("account_id", "5555555"),
            ("client_id", "c-1"),
            ("client_secret", "a secret for tests"),
            ("application_id", APPLICATION),
            ("callback_user", "meari"),
            ("callback_password", "a password for tests"),
            ("callback_password_secondary", "the next password"),
            ("site_id", "461"),
            ("segments_per_minute", "0"),
            ("number_segments_per_minute", "0"),
        ];
        let options = options.into_iter().map(|(k, v)| (k.to_owned(), v.into())).collect();
        CarrierSettings {
            id: Self::ID.into(),
            kind: "bandwidth".into(),
            api_base: Some(api_base.into()),
            options,
        }
    }

    fn answer(state: &mut State, seen: &Seen) -> Reply {
        if seen.path == "/api/v1/oauth2/token" {
            if seen.header("authorization") != basic("c-1", "a secret for tests").1
                || seen.body != "grant_type=client_credentials"
            {
                return Reply::json(401, json!({"error": "invalid_client"}));
            }
            state.tokens += 1;
            let token = format!("token-{}", state.tokens);
            return Reply::json(
                200,
                json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600}),
            );
        }
        if state.tokens == 0 || seen.header("authorization") != format!("Bearer token-{}", state.tokens) {
            return Reply::json(401, json!({"type": "unauthorized", "description": "Unauthorized"}));
        }
        match (seen.method.as_str(), seen.path.as_str()) {
            ("POST", MESSAGES) => Bandwidth::send(state, seen),
            ("GET", MESSAGES) => Bandwidth::list(state, seen),
            (_, path) => match path.strip_prefix(ACCOUNT) {
                Some(rest) => Bandwidth::numbers(state, seen, rest),
                None => Reply::json(404, json!({})),
            },
        }
    }

    fn sends(seen: &Seen) -> bool {
        (seen.method.as_str(), seen.path.as_str()) == ("POST", MESSAGES)
    }

    fn inbound(id: &str, from: &str, to: &str, text: &str) -> String {
        json!([{"time": "2026-01-15T12:00:00.000000Z", "type": "message-received", "to": to,
            "description": "Incoming message received",
            "message": {"id": id, "owner": to, "applicationId": APPLICATION, "time": "2026-01-15T12:00:00.000000Z",
                "segmentCount": 1, "direction": "in", "to": [to], "from": from, "text": text}}])
        .to_string()
    }

    fn receipt(sent: &Sent, state: &str) -> String {
        let mut event = json!({"time": "2026-01-15T12:00:00.000000Z", "type": state, "to": sent.to,
            "description": "d", "message": {"id": sent.id, "owner": sent.from, "applicationId": APPLICATION,
                "time": "2026-01-15T12:00:00.000000Z", "segmentCount": 1, "direction": "out", "to": [sent.to], "from": sent.from, "text": "",
                "tag": sent.echo}});
        if state == "message-failed" {
            event["errorCode"] = json!(4720);
        }
        json!([event]).to_string()
    }

    fn words() -> [&'static str; 3] {
        ["message-sent", "message-delivered", "message-failed"]
    }

    fn signed(_body: &str, _now: Timestamp) -> Vec<(String, String)> {
        vec![basic("meari", "a password for tests")]
    }

    fn forged(body: &str, _now: Timestamp) -> Vec<Forged> {
        let good = vec![basic("meari", "a password for tests")];
        vec![
            ("a wrong password", vec![basic("meari", "a password for testS")], body.to_owned()),
            ("a wrong user", vec![basic("someone", "a password for tests")], body.to_owned()),
            ("another scheme", vec![("authorization".into(), "Bearer token-1".into())], body.to_owned()),
            ("another account's application", good, body.replace(APPLICATION, "another")),
            ("a broken header", vec![("authorization".into(), "Basic".into())], body.to_owned()),
        ]
    }

    fn busy() -> (String, Option<(&'static str, &'static str)>) {
        let body = json!({"type": "max-message-queue-size-exceeded", "description": "queue"});
        (body.to_string(), Some(("retry-after", "30")))
    }
}

//! Delivery receipts: the text that nearly everybody sends (SMPP 3.4 appendix B), the optional parameters, and the
//! two ways in which ids are written. Pure.

use super::pdu::{Message, tag};
use crate::carriers::{CarrierError, ReceiptState};

/// esm_class & 0x3c: this deliver_sm is a receipt (§5.2.12).
const RECEIPT: u8 = 0x04;
/// The same for what the handset itself says, and for news on the way.
const INTERMEDIATE: u8 = 0x20;

/// How the ids in receipts relate to those in responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiptIds {
    /// They are the same.
    #[default]
    Same,
    /// Responses hexadecimal, receipts decimal.
    Decimal,
    /// Responses decimal, receipts hexadecimal.
    Hex,
}

impl ReceiptIds {
    /// The form in which we keep the id of a response.
    pub fn of_response(self, id: &str) -> String {
        match self {
            ReceiptIds::Same => plain(id),
            ReceiptIds::Decimal => number(id, 16).unwrap_or_else(|| plain(id)),
            ReceiptIds::Hex => number(id, 10).unwrap_or_else(|| plain(id)),
        }
    }

    /// The same of a receipt.
    pub fn of_receipt(self, id: &str) -> String {
        match self {
            ReceiptIds::Same => plain(id),
            ReceiptIds::Decimal => number(id, 10).unwrap_or_else(|| plain(id)),
            ReceiptIds::Hex => number(id, 16).unwrap_or_else(|| plain(id)),
        }
    }
}

/// Spaces separate the ids of a long message's parts in our tables.
fn plain(id: &str) -> String {
    id.trim().replace(' ', "_")
}

fn number(id: &str, radix: u32) -> Option<String> {
    u128::from_str_radix(id.trim(), radix).ok().map(|n| n.to_string())
}

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Their id, as they wrote it.
    pub message_id: String,
    /// What is known.
    pub state: ReceiptState,
    /// Why not, when it failed.
    pub error: Option<CarrierError>,
    /// How the message began, when they repeat it.
    pub text_start: Option<String>,
}

/// Whether a deliver_sm is a receipt.
pub fn is_receipt(message: &Message) -> bool {
    let kind = message.esm_class & 0x3c;
    kind & RECEIPT != 0 || kind == INTERMEDIATE || message.tlvs.get(tag::RECEIPTED_MESSAGE_ID).is_some()
}

/// Reads a receipt; `None` when neither text nor parameters say which message is meant.
pub fn read(message: &Message) -> Option<Receipt> {
    let body = message.tlvs.get(tag::MESSAGE_PAYLOAD).filter(|_| message.body.is_empty());
    let text: String = body.unwrap_or(&message.body).iter().map(|b| char::from(*b)).collect();
    let by_text = field(&text, "id:").filter(|id| !id.is_empty() && !id.contains(':'));
    let message_id = message
        .tlvs
        .text(tag::RECEIPTED_MESSAGE_ID)
        .filter(|id| !id.is_empty())
        .or(by_text.map(str::to_owned))?;
    let stat = field(&text, "stat:").map(str::to_ascii_uppercase);
    let word = stat.as_deref().and_then(Word::of_text);
    let word = message.tlvs.number(tag::MESSAGE_STATE).and_then(Word::of_number).or(word)?;
    let network = message.tlvs.get(tag::NETWORK_ERROR_CODE).and_then(|value| match value {
        [kind, high, low] => Some((*kind, u16::from_be_bytes([*high, *low]))),
        _ => None,
    });
    let err = field(&text, "err:").unwrap_or_default();
    let error = word.error(network, err);
    let text_start =
        after(&text, "text:").map(|rest| rest.trim().to_owned()).filter(|start| !start.is_empty());
    Some(Receipt { message_id, state: word.state(), error, text_start })
}

/// What follows a key up to the next space. Keys are written in any case.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    after(text, key)?.trim_start_matches(' ').split([' ', '\0', '\r', '\n']).next()
}

/// What follows a key that stands at the beginning or after a space.
fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut rest = text;
    let begins =
        |rest: &str, key: &str| rest.get(..key.len()).is_some_and(|start| start.eq_ignore_ascii_case(key));
    loop {
        if begins(rest, key) {
            return rest.get(key.len()..);
        }
        // Past the text that they repeat nothing is a key.
        if begins(rest, "text:") {
            return None;
        }
        rest = rest.split_once([' ', '\0'])?.1;
    }
}

/// The standard's states (§5.2.28, appendix B).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// On its way.
    Enroute,
    /// On the handset.
    Delivered,
    /// Given up, most often because the handset was off.
    Expired,
    /// By somebody over there.
    Deleted,
    /// It cannot be.
    Undeliverable,
    /// Read by a person over there on the handset's behalf.
    Accepted,
    /// They do not know.
    Unknown,
    /// Never tried.
    Rejected,
}

impl Word {
    /// By its number.
    pub fn of_number(number: u32) -> Option<Word> {
        Some(match number {
            0 | 1 => Word::Enroute,
            2 => Word::Delivered,
            3 => Word::Expired,
            4 => Word::Deleted,
            5 => Word::Undeliverable,
            6 => Word::Accepted,
            7 => Word::Unknown,
            8 => Word::Rejected,
            _ => return None,
        })
    }

    /// By the seven letters of the text, and by what others write in their place.
    fn of_text(text: &str) -> Option<Word> {
        Some(match text {
            "ENROUTE" | "SCHEDLD" | "BUFFRED" => Word::Enroute,
            "DELIVRD" | "DELIVERED" => Word::Delivered,
            "EXPIRED" => Word::Expired,
            "DELETED" => Word::Deleted,
            "UNDELIV" | "UNDELIVERABLE" | "FAILED" => Word::Undeliverable,
            "ACCEPTD" | "ACCEPTED" => Word::Accepted,
            "UNKNOWN" => Word::Unknown,
            "REJECTD" | "REJECTED" => Word::Rejected,
            _ => return None,
        })
    }

    /// In our words. `Unknown` is their ignorance: the message has left, and that is all.
    pub fn state(self) -> ReceiptState {
        match self {
            Word::Enroute | Word::Accepted | Word::Unknown => ReceiptState::Sent,
            Word::Delivered => ReceiptState::Delivered,
            Word::Expired | Word::Deleted | Word::Undeliverable => ReceiptState::Undelivered,
            Word::Rejected => ReceiptState::Failed,
        }
    }

    fn error(self, network: Option<(u8, u16)>, err: &str) -> Option<CarrierError> {
        let (code, permanent, absent) = match self {
            Word::Enroute | Word::Delivered | Word::Accepted | Word::Unknown => return None,
            Word::Expired => ("handset_absent", false, true),
            Word::Deleted => ("deleted_by_carrier", false, false),
            Word::Undeliverable => ("undeliverable", false, false),
            Word::Rejected => ("rejected", true, false),
        };
        // Type 3 is GSM: the numbers of TS 29.002 that every network uses.
        let (code, permanent, absent) = match network {
            Some((3, 1 | 9)) => ("handset_unknown", true, false),
            Some((3, 27)) => ("handset_absent", false, true),
            Some((3, 13)) => ("blocked", true, false),
            Some((3, 31)) => ("handset_busy", false, false),
            Some((3, 32)) => ("handset_full", false, false),
            _ => (code, permanent, absent),
        };
        let carrier_code = match network {
            Some((kind, number)) => format!("{kind}/{number}"),
            None => err.chars().filter(char::is_ascii_alphanumeric).take(16).collect(),
        };
        Some(CarrierError {
            code: code.to_owned(),
            permanent,
            handset_absent: absent,
            opted_out: false,
            carrier_code,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carriers::smpp::pdu::Tlvs;
    use proptest::prelude::*;

    fn text(body: &str) -> Message {
        Message { esm_class: 4, body: body.bytes().collect(), ..Message::default() }
    }

    #[test]
    fn texts_of_many_hands_are_read() {
        let table = [
            (
                "id:1A2b sub:001 dlvrd:001 submit date:2601151200 done date:2601151201 stat:DELIVRD err:000 text:Hello id:9",
                ("1A2b", ReceiptState::Delivered, None, Some("Hello id:9")),
            ),
            (
                "id:77 submit date:2601151200 done date:2601151201 stat:EXPIRED err:0A1 Text:",
                ("77", ReceiptState::Undelivered, Some("handset_absent"), None),
            ),
            ("ID: 9 STAT: rejectd", ("9", ReceiptState::Failed, Some("rejected"), None)),
            ("id:5 stat:ACCEPTD err:0", ("5", ReceiptState::Sent, None, None)),
            ("id:5 stat:UNKNOWN err:0", ("5", ReceiptState::Sent, None, None)),
            ("id:5 stat:UNDELIV err:0", ("5", ReceiptState::Undelivered, Some("undeliverable"), None)),
        ];
        for (body, (id, state, code, start)) in table {
            let found = read(&text(body)).unwrap_or_else(|| panic!("{body}"));
            assert_eq!((found.message_id.as_str(), found.state), (id, state), "{body}");
            assert_eq!(found.error.as_ref().map(|e| e.code.as_str()), code, "{body}");
            assert_eq!(found.text_start.as_deref(), start, "{body}");
        }
        for nothing in [
            "",
            "hello",
            "stat:DELIVRD",
            "id:5",
            "id:5 stat:WHAT",
            "text:id:5 stat:DELIVRD",
            "id: stat:DELIVRD",
        ] {
            assert_eq!(read(&text(nothing)), None, "{nothing}");
        }
    }

    #[test]
    fn parameters_go_before_the_text() {
        let mut message = text("id:5 stat:UNDELIV err:099");
        message.tlvs =
            Tlvs(vec![(tag::RECEIPTED_MESSAGE_ID, b"abc\0".to_vec()), (tag::MESSAGE_STATE, vec![2])]);
        let found = read(&message).unwrap();
        assert_eq!((found.message_id.as_str(), found.state), ("abc", ReceiptState::Delivered));
        message.tlvs.0[1].1 = vec![5];
        message.tlvs.0.push((tag::NETWORK_ERROR_CODE, vec![3, 0, 27]));
        let error = read(&message).unwrap().error.unwrap();
        assert!(error.handset_absent);
        assert_eq!((error.code.as_str(), error.carrier_code.as_str()), ("handset_absent", "3/27"));
        assert!(is_receipt(&message) && is_receipt(&text("")) && !is_receipt(&Message::default()));
        // Without a text, parameters alone do.
        message.body.clear();
        assert!(read(&message).is_some());
    }

    #[test]
    fn ids_meet_in_one_form() {
        let table = [
            (ReceiptIds::Same, "0a1F", "0a1F"),
            (ReceiptIds::Decimal, "1A2B", "0000006699"),
            (ReceiptIds::Decimal, "00001a2b", "6699"),
            (ReceiptIds::Hex, "6699", "1a2B"),
            (ReceiptIds::Hex, "0006699", "1A2B"),
            // What is no number stays what it is.
            (ReceiptIds::Decimal, "msg-7", "msg-7"),
        ];
        for (ids, response, receipt) in table {
            assert_eq!(ids.of_response(response), ids.of_receipt(receipt), "{ids:?} {response} {receipt}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_reader(body in proptest::collection::vec(any::<u8>(), 0..200), value in proptest::collection::vec(any::<u8>(), 0..8)) {
            let tlvs = Tlvs(vec![(tag::MESSAGE_STATE, value.clone()), (tag::NETWORK_ERROR_CODE, value)]);
            let _ = read(&Message { esm_class: 4, body, tlvs, ..Message::default() });
        }

        #[test]
        fn hex_and_decimal_always_meet(n in any::<u64>(), padded in any::<bool>()) {
            let hex = if padded { format!("{n:020X}") } else { format!("{n:x}") };
            let decimal = if padded { format!("{n:022}") } else { n.to_string() };
            prop_assert_eq!(ReceiptIds::Decimal.of_response(&hex), ReceiptIds::Decimal.of_receipt(&decimal));
            prop_assert_eq!(ReceiptIds::Hex.of_response(&decimal), ReceiptIds::Hex.of_receipt(&hex));
        }
    }
}

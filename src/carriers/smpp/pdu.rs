//! SMPP 3.4 protocol data units: bytes to values and back. Pure; every length is checked.
//!
//! Sections are those of “Short Message Peer to Peer Protocol Specification v3.4”. Only what a client meets is spelled
//! out; anything else is kept as [`Pdu::Other`], so that it can be refused with a generic_nack. The codec is our own
//! because the hot path wants one pass and no copy that is not needed, and because what is refused, and how, is ours
//! to decide; it is some hundred lines.

/// Octets of every header (§3.2).
pub const HEADER: usize = 16;
/// The longest PDU that is taken: a message_payload of 64 KiB and the rest. A longer one is a broken stream.
pub const PDU_MAX: usize = 72 * 1024;
/// Optional parameters of one PDU at most; the standard knows 45.
const TLVS_MAX: usize = 64;
/// A response has the request's number and this bit (§5.1.2.1).
pub const RESPONSE: u32 = 0x8000_0000;

/// Command numbers (§5.1.2.1).
pub mod command {
    #![allow(missing_docs, reason = "the names are the standard's")]
    pub const BIND_RECEIVER: u32 = 0x01;
    pub const BIND_TRANSMITTER: u32 = 0x02;
    pub const QUERY_SM: u32 = 0x03;
    pub const SUBMIT_SM: u32 = 0x04;
    pub const DELIVER_SM: u32 = 0x05;
    pub const UNBIND: u32 = 0x06;
    pub const BIND_TRANSCEIVER: u32 = 0x09;
    pub const ENQUIRE_LINK: u32 = 0x15;
    pub const DATA_SM: u32 = 0x103;
    pub const ALERT_NOTIFICATION: u32 = 0x102;
    pub const GENERIC_NACK: u32 = 0x8000_0000;
}

/// Tags of optional parameters (§5.3.2).
pub mod tag {
    #![allow(missing_docs, reason = "the names are the standard's")]
    pub const RECEIPTED_MESSAGE_ID: u16 = 0x001e;
    pub const SAR_MSG_REF_NUM: u16 = 0x020c;
    pub const SAR_TOTAL_SEGMENTS: u16 = 0x020e;
    pub const SAR_SEGMENT_SEQNUM: u16 = 0x020f;
    pub const SC_INTERFACE_VERSION: u16 = 0x0210;
    pub const NETWORK_ERROR_CODE: u16 = 0x0423;
    pub const MESSAGE_PAYLOAD: u16 = 0x0424;
    pub const MESSAGE_STATE: u16 = 0x0427;
}

/// Bytes that are not SMPP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PduError {
    /// The length in the header cannot be: the stream is out of step and must be closed.
    #[error("a length of {0} octets")]
    BadLength(u32),
    /// A field runs over the end of the PDU.
    #[error("{0} is cut off")]
    CutOff(&'static str),
    /// A text is longer than the standard allows, or has no end.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// More optional parameters than anybody needs.
    #[error("too many optional parameters")]
    TooMany,
}

/// An address with its kind (§5.2.5, §5.2.6).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// Type of number.
    pub ton: u8,
    /// Numbering plan.
    pub npi: u8,
    /// Digits, or a name.
    pub value: String,
}

/// Optional parameters in the order of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tlvs(pub Vec<(u16, Vec<u8>)>);

impl Tlvs {
    /// The first value with this tag.
    pub fn get(&self, tag: u16) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == tag).map(|(_, value)| value.as_slice())
    }

    /// A number of one, two or four octets.
    pub fn number(&self, tag: u16) -> Option<u32> {
        match *self.get(tag)? {
            [a] => Some(u32::from(a)),
            [a, b] => Some(u32::from(u16::from_be_bytes([a, b]))),
            [a, b, c, d] => Some(u32::from_be_bytes([a, b, c, d])),
            _ => None,
        }
    }

    /// A text, with or without the NUL at its end.
    pub fn text(&self, tag: u16) -> Option<String> {
        let value = self.get(tag)?;
        let value = value.split(|b| *b == 0).next().unwrap_or_default();
        Some(latin1(value))
    }
}

/// Who we are (§4.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bind {
    /// Our name there.
    pub system_id: String,
    /// At most eight characters, says the standard.
    pub password: String,
    /// Which of their services, when they have several.
    pub system_type: String,
    /// 0x34 for 3.4.
    pub interface_version: u8,
    /// Which of our addresses; usually empty.
    pub range: Address,
}

/// submit_sm, deliver_sm (§4.4.1, §4.6.1), and data_sm (§4.7.1), whose missing fields stay empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Usually empty.
    pub service_type: String,
    /// From.
    pub source: Address,
    /// To.
    pub destination: Address,
    /// What kind of message this is (§5.2.12).
    pub esm_class: u8,
    /// Of the GSM protocol.
    pub protocol_id: u8,
    /// 0 to 3.
    pub priority: u8,
    /// Empty: at once.
    pub schedule: String,
    /// Empty: as long as they like.
    pub validity: String,
    /// 1: a receipt is wanted (§5.2.17).
    pub registered_delivery: u8,
    /// 1 replaces a waiting message.
    pub replace: u8,
    /// How the text is coded (§5.2.19).
    pub data_coding: u8,
    /// Of a text kept over there.
    pub default_message: u8,
    /// Header and text, at most 254 octets.
    pub body: Vec<u8>,
    /// Optional parameters.
    pub tlvs: Tlvs,
}

/// query_sm (§4.8.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// As the response to the submit said it.
    pub message_id: String,
    /// From.
    pub source: Address,
}

/// The answer to a [`Query`] (§4.8.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueryResponse {
    /// Which message.
    pub message_id: String,
    /// When it reached its last state; empty before.
    pub final_date: String,
    /// §5.2.28.
    pub message_state: u8,
    /// The network's.
    pub error_code: u8,
}

/// Which way a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// They send to us.
    Receiver,
    /// We send to them.
    Transmitter,
    /// Both.
    Transceiver,
}

impl Direction {
    /// Whether we may submit.
    pub fn sends(self) -> bool {
        self != Direction::Receiver
    }

    fn command(self) -> u32 {
        match self {
            Direction::Receiver => command::BIND_RECEIVER,
            Direction::Transmitter => command::BIND_TRANSMITTER,
            Direction::Transceiver => command::BIND_TRANSCEIVER,
        }
    }
}

/// What a PDU says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pdu {
    /// Opens a session.
    Bind(Direction, Bind),
    /// Their name, and what version they speak.
    BindResponse(Direction, String, Tlvs),
    /// Ends a session.
    Unbind,
    /// Agreed.
    UnbindResponse,
    /// Are you there?
    EnquireLink,
    /// Yes.
    EnquireLinkResponse,
    /// A message of ours.
    Submit(Box<Message>),
    /// They have it under this id.
    SubmitResponse(String),
    /// A message or receipt for us.
    Deliver(Box<Message>),
    /// We have it.
    DeliverResponse,
    /// The same by another command.
    Data(Box<Message>),
    /// The answer to it.
    DataResponse(String),
    /// What became of a message?
    Query(Query),
    /// This.
    QueryResponse(QueryResponse),
    /// A header that was not understood.
    GenericNack,
    /// A handset can be reached again.
    AlertNotification,
    /// A command that is not for us.
    Other(u32),
}

/// A PDU with its header's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// 0 in requests; in responses what came of them.
    pub status: u32,
    /// Ties a response to its request.
    pub sequence: u32,
    /// What it says.
    pub pdu: Pdu,
}

/// What [`split`] found at the beginning of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// A whole PDU of so many octets.
    Whole(usize),
    /// More octets are needed.
    More,
}

/// Where the first PDU of a stream ends.
///
/// # Errors
/// When the length cannot be; nothing after it can be trusted.
pub fn split(stream: &[u8]) -> Result<Cut, PduError> {
    let Some(length) = stream.first_chunk::<4>() else { return Ok(Cut::More) };
    let length = u32::from_be_bytes(*length);
    let octets = usize::try_from(length).map_err(|_| PduError::BadLength(length))?;
    if !(HEADER..=PDU_MAX).contains(&octets) {
        return Err(PduError::BadLength(length));
    }
    Ok(if stream.len() >= octets { Cut::Whole(octets) } else { Cut::More })
}

/// A PDU's header fields, readable even when its body is not: (command, status, sequence).
pub fn header(octets: &[u8]) -> Option<(u32, u32, u32)> {
    let mut reader = Reader(octets.get(4..)?);
    Some((reader.u32("header").ok()?, reader.u32("header").ok()?, reader.u32("header").ok()?))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], PduError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(PduError::CutOff(what))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self, what: &'static str) -> Result<u8, PduError> {
        self.take(1, what)?.first().copied().ok_or(PduError::CutOff(what))
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, PduError> {
        let octets = self.take(2, what)?.first_chunk::<2>().ok_or(PduError::CutOff(what))?;
        Ok(u16::from_be_bytes(*octets))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, PduError> {
        let octets = self.take(4, what)?.first_chunk::<4>().ok_or(PduError::CutOff(what))?;
        Ok(u32::from_be_bytes(*octets))
    }

    /// A text that ends with NUL; `max` counts the NUL (§3.1, C-Octet String).
    fn text(&mut self, max: usize, what: &'static str) -> Result<String, PduError> {
        let window = self.0.get(..max).unwrap_or(self.0);
        let Some(end) = window.iter().position(|b| *b == 0) else {
            let error = if self.0.len() < max { PduError::CutOff(what) } else { PduError::TooLong(what) };
            return Err(error);
        };
        let text = latin1(self.take(end, what)?);
        self.take(1, what)?;
        Ok(text)
    }

    fn address(&mut self, max: usize, what: &'static str) -> Result<Address, PduError> {
        Ok(Address { ton: self.u8(what)?, npi: self.u8(what)?, value: self.text(max, what)? })
    }

    fn tlvs(&mut self) -> Result<Tlvs, PduError> {
        let mut all = Vec::new();
        // Fewer than four octets at the end are padding that some servers leave.
        while self.0.len() >= 4 {
            if all.len() == TLVS_MAX {
                return Err(PduError::TooMany);
            }
            let tag = self.u16("optional parameter")?;
            let length = usize::from(self.u16("optional parameter")?);
            all.push((tag, self.take(length, "optional parameter")?.to_vec()));
        }
        Ok(Tlvs(all))
    }
}

/// The standard says ASCII; octets above it are kept rather than refused.
fn latin1(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) if text.is_ascii() => text.to_owned(),
        _ => octets.iter().map(|b| char::from(*b)).collect(),
    }
}

/// Longest texts of the standard with their NUL. Addresses may be as long as data_sm's, because some are.
const SYSTEM_ID: usize = 16;
const PASSWORD: usize = 9;
const SYSTEM_TYPE: usize = 13;
const RANGE: usize = 41;
const SERVICE_TYPE: usize = 6;
const ADDRESS: usize = 65;
const TIME: usize = 17;
const MESSAGE_ID: usize = 65;

/// Reads one whole PDU as [`split`] cut it.
///
/// # Errors
/// When its body is not what its command says; the stream itself is still in step.
pub fn decode(octets: &[u8]) -> Result<Frame, PduError> {
    let mut reader = Reader(octets);
    let length = reader.u32("header")?;
    if usize::try_from(length) != Ok(octets.len()) || octets.len() < HEADER {
        return Err(PduError::BadLength(length));
    }
    let (id, status, sequence) = (reader.u32("header")?, reader.u32("header")?, reader.u32("header")?);
    Ok(Frame { status, sequence, pdu: body(id, &mut reader)? })
}

fn body(id: u32, reader: &mut Reader<'_>) -> Result<Pdu, PduError> {
    use command as c;
    let direction = match id & !RESPONSE {
        c::BIND_RECEIVER => Direction::Receiver,
        c::BIND_TRANSMITTER => Direction::Transmitter,
        _ => Direction::Transceiver,
    };
    Ok(match id {
        c::BIND_RECEIVER | c::BIND_TRANSMITTER | c::BIND_TRANSCEIVER => Pdu::Bind(direction, bind(reader)?),
        c::SUBMIT_SM => Pdu::Submit(Box::new(message(reader)?)),
        c::DELIVER_SM => Pdu::Deliver(Box::new(message(reader)?)),
        c::DATA_SM => Pdu::Data(Box::new(data(reader)?)),
        c::QUERY_SM => {
            let message_id = reader.text(MESSAGE_ID, "message_id")?;
            Pdu::Query(Query { message_id, source: reader.address(ADDRESS, "source_addr")? })
        }
        c::UNBIND => Pdu::Unbind,
        c::ENQUIRE_LINK => Pdu::EnquireLink,
        c::ALERT_NOTIFICATION => Pdu::AlertNotification,
        c::GENERIC_NACK => Pdu::GenericNack,
        id if id & RESPONSE != 0 => response(id & !RESPONSE, direction, reader)?,
        id => Pdu::Other(id),
    })
}

/// The body of a response may be missing when the status says that it failed (§4.4.2 and others).
fn response(id: u32, direction: Direction, reader: &mut Reader<'_>) -> Result<Pdu, PduError> {
    use command as c;
    let empty = reader.0.is_empty();
    let optional = |reader: &mut Reader<'_>, max, what| {
        if empty { Ok(String::new()) } else { reader.text(max, what) }
    };
    Ok(match id {
        c::BIND_RECEIVER | c::BIND_TRANSMITTER | c::BIND_TRANSCEIVER => {
            Pdu::BindResponse(direction, optional(reader, SYSTEM_ID, "system_id")?, reader.tlvs()?)
        }
        c::UNBIND => Pdu::UnbindResponse,
        c::ENQUIRE_LINK => Pdu::EnquireLinkResponse,
        c::SUBMIT_SM => Pdu::SubmitResponse(optional(reader, MESSAGE_ID, "message_id")?),
        c::DELIVER_SM => Pdu::DeliverResponse,
        c::DATA_SM => Pdu::DataResponse(optional(reader, MESSAGE_ID, "message_id")?),
        c::QUERY_SM if empty => Pdu::QueryResponse(QueryResponse::default()),
        c::QUERY_SM => Pdu::QueryResponse(QueryResponse {
            message_id: reader.text(MESSAGE_ID, "message_id")?,
            final_date: reader.text(TIME, "final_date")?,
            message_state: reader.u8("message_state")?,
            error_code: reader.u8("error_code")?,
        }),
        id => Pdu::Other(id | RESPONSE),
    })
}

fn bind(reader: &mut Reader<'_>) -> Result<Bind, PduError> {
    Ok(Bind {
        system_id: reader.text(SYSTEM_ID, "system_id")?,
        password: reader.text(PASSWORD, "password")?,
        system_type: reader.text(SYSTEM_TYPE, "system_type")?,
        interface_version: reader.u8("interface_version")?,
        range: reader.address(RANGE, "address_range")?,
    })
}

fn message(reader: &mut Reader<'_>) -> Result<Message, PduError> {
    let mut message = Message {
        service_type: reader.text(SERVICE_TYPE, "service_type")?,
        source: reader.address(ADDRESS, "source_addr")?,
        destination: reader.address(ADDRESS, "destination_addr")?,
        esm_class: reader.u8("esm_class")?,
        protocol_id: reader.u8("protocol_id")?,
        priority: reader.u8("priority_flag")?,
        schedule: reader.text(TIME, "schedule_delivery_time")?,
        validity: reader.text(TIME, "validity_period")?,
        registered_delivery: reader.u8("registered_delivery")?,
        replace: reader.u8("replace_if_present_flag")?,
        data_coding: reader.u8("data_coding")?,
        default_message: reader.u8("sm_default_msg_id")?,
        ..Message::default()
    };
    let length = usize::from(reader.u8("sm_length")?);
    message.body = reader.take(length, "short_message")?.to_vec();
    message.tlvs = reader.tlvs()?;
    Ok(message)
}

fn data(reader: &mut Reader<'_>) -> Result<Message, PduError> {
    Ok(Message {
        service_type: reader.text(SERVICE_TYPE, "service_type")?,
        source: reader.address(ADDRESS, "source_addr")?,
        destination: reader.address(ADDRESS, "destination_addr")?,
        esm_class: reader.u8("esm_class")?,
        registered_delivery: reader.u8("registered_delivery")?,
        data_coding: reader.u8("data_coding")?,
        tlvs: reader.tlvs()?,
        ..Message::default()
    })
}

/// Appends a PDU to `out`. Texts that are too long for their field are cut: settings and addresses are checked before.
pub fn encode(frame: &Frame, out: &mut Vec<u8>) {
    let start = out.len();
    let id = match &frame.pdu {
        Pdu::Bind(direction, _) => direction.command(),
        Pdu::BindResponse(direction, ..) => direction.command() | RESPONSE,
        Pdu::Unbind => command::UNBIND,
        Pdu::UnbindResponse => command::UNBIND | RESPONSE,
        Pdu::EnquireLink => command::ENQUIRE_LINK,
        Pdu::EnquireLinkResponse => command::ENQUIRE_LINK | RESPONSE,
        Pdu::Submit(_) => command::SUBMIT_SM,
        Pdu::SubmitResponse(_) => command::SUBMIT_SM | RESPONSE,
        Pdu::Deliver(_) => command::DELIVER_SM,
        Pdu::DeliverResponse => command::DELIVER_SM | RESPONSE,
        Pdu::Data(_) => command::DATA_SM,
        Pdu::DataResponse(_) => command::DATA_SM | RESPONSE,
        Pdu::Query(_) => command::QUERY_SM,
        Pdu::QueryResponse(_) => command::QUERY_SM | RESPONSE,
        Pdu::GenericNack => command::GENERIC_NACK,
        Pdu::AlertNotification => command::ALERT_NOTIFICATION,
        Pdu::Other(id) => *id,
    };
    for field in [0, id, frame.status, frame.sequence] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    encode_body(&frame.pdu, frame.status, out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX).to_be_bytes();
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length);
    }
}

fn encode_body(pdu: &Pdu, status: u32, out: &mut Vec<u8>) {
    match pdu {
        Pdu::Bind(_, bind) => {
            put_text(out, &bind.system_id, SYSTEM_ID);
            put_text(out, &bind.password, PASSWORD);
            put_text(out, &bind.system_type, SYSTEM_TYPE);
            out.push(bind.interface_version);
            put_address(out, &bind.range, RANGE);
        }
        Pdu::BindResponse(_, system_id, tlvs) => {
            put_text(out, system_id, SYSTEM_ID);
            put_tlvs(out, tlvs);
        }
        Pdu::Submit(message) | Pdu::Deliver(message) => put_message(out, message),
        Pdu::Data(message) => put_data(out, message),
        Pdu::SubmitResponse(id) | Pdu::DataResponse(id) => {
            if status == 0 || !id.is_empty() {
                put_text(out, id, MESSAGE_ID);
            }
        }
        // An empty message_id: the field is there and unused (§4.6.2).
        Pdu::DeliverResponse => out.push(0),
        Pdu::Query(query) => {
            put_text(out, &query.message_id, MESSAGE_ID);
            put_address(out, &query.source, ADDRESS);
        }
        Pdu::QueryResponse(answer) => {
            put_text(out, &answer.message_id, MESSAGE_ID);
            put_text(out, &answer.final_date, TIME);
            out.push(answer.message_state);
            out.push(answer.error_code);
        }
        Pdu::Unbind | Pdu::UnbindResponse | Pdu::EnquireLink | Pdu::EnquireLinkResponse => {}
        Pdu::GenericNack | Pdu::AlertNotification | Pdu::Other(_) => {}
    }
}

fn put_text(out: &mut Vec<u8>, text: &str, max: usize) {
    let start = out.len();
    if text.is_ascii() {
        out.extend(text.bytes().filter(|b| *b != 0).take(max - 1));
    } else {
        out.extend(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).filter(|b| *b != 0));
        out.truncate(start + max - 1);
    }
    out.push(0);
}

fn put_address(out: &mut Vec<u8>, address: &Address, max: usize) {
    out.extend_from_slice(&[address.ton, address.npi]);
    put_text(out, &address.value, max);
}

fn put_tlvs(out: &mut Vec<u8>, tlvs: &Tlvs) {
    for (tag, value) in &tlvs.0 {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&tag.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value.get(..usize::from(length)).unwrap_or(value));
    }
}

fn put_message(out: &mut Vec<u8>, message: &Message) {
    put_text(out, &message.service_type, SERVICE_TYPE);
    put_address(out, &message.source, ADDRESS);
    put_address(out, &message.destination, ADDRESS);
    out.extend_from_slice(&[message.esm_class, message.protocol_id, message.priority]);
    put_text(out, &message.schedule, TIME);
    put_text(out, &message.validity, TIME);
    out.extend_from_slice(&[
        message.registered_delivery,
        message.replace,
        message.data_coding,
        message.default_message,
    ]);
    let length = u8::try_from(message.body.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend_from_slice(message.body.get(..usize::from(length)).unwrap_or(&message.body));
    put_tlvs(out, &message.tlvs);
}

fn put_data(out: &mut Vec<u8>, message: &Message) {
    put_text(out, &message.service_type, SERVICE_TYPE);
    put_address(out, &message.source, ADDRESS);
    put_address(out, &message.destination, ADDRESS);
    out.extend_from_slice(&[message.esm_class, message.registered_delivery, message.data_coding]);
    put_tlvs(out, &message.tlvs);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(max: usize) -> impl Strategy<Value = String> {
        proptest::collection::vec(1u8..128, 0..max)
            .prop_map(|bytes| bytes.into_iter().map(char::from).collect())
    }

    fn address() -> impl Strategy<Value = Address> {
        (any::<u8>(), any::<u8>(), text(21)).prop_map(|(ton, npi, value)| Address { ton, npi, value })
    }

    fn tlvs() -> impl Strategy<Value = Tlvs> {
        let one = (any::<u16>(), proptest::collection::vec(any::<u8>(), 0..40));
        proptest::collection::vec(one, 0..5).prop_map(Tlvs)
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let fields = (text(6), address(), address(), any::<[u8; 7]>(), text(17), text(17));
        (fields, proptest::collection::vec(any::<u8>(), 0..255), tlvs()).prop_map(
            |((service_type, source, destination, n, schedule, validity), body, tlvs)| Message {
                service_type,
                source,
                destination,
                esm_class: n[0],
                protocol_id: n[1],
                priority: n[2],
                schedule,
                validity,
                registered_delivery: n[3],
                replace: n[4],
                data_coding: n[5],
                default_message: n[6],
                body,
                tlvs,
            },
        )
    }

    fn any_data() -> impl Strategy<Value = Message> {
        any_message().prop_map(|m| Message {
            service_type: m.service_type,
            source: m.source,
            destination: m.destination,
            esm_class: m.esm_class,
            registered_delivery: m.registered_delivery,
            data_coding: m.data_coding,
            tlvs: m.tlvs,
            ..Message::default()
        })
    }

    fn any_pdu() -> impl Strategy<Value = Pdu> {
        let direction = || {
            prop_oneof![Just(Direction::Receiver), Just(Direction::Transmitter), Just(Direction::Transceiver)]
        };
        let range = address();
        let bind = (direction(), text(16), text(9), text(13), any::<u8>(), range).prop_map(
            |(direction, system_id, password, system_type, interface_version, range)| {
                Pdu::Bind(direction, Bind { system_id, password, system_type, interface_version, range })
            },
        );
        prop_oneof![
            bind,
            (direction(), text(16), tlvs()).prop_map(|(d, id, tlvs)| Pdu::BindResponse(d, id, tlvs)),
            Just(Pdu::Unbind),
            Just(Pdu::UnbindResponse),
            Just(Pdu::EnquireLink),
            Just(Pdu::EnquireLinkResponse),
            any_message().prop_map(|m| Pdu::Submit(Box::new(m))),
            any_message().prop_map(|m| Pdu::Deliver(Box::new(m))),
            any_data().prop_map(|m| Pdu::Data(Box::new(m))),
            text(65).prop_map(Pdu::SubmitResponse),
            text(65).prop_map(Pdu::DataResponse),
            Just(Pdu::DeliverResponse),
            (text(65), address()).prop_map(|(message_id, source)| Pdu::Query(Query { message_id, source })),
            (text(65), text(17), any::<u8>(), any::<u8>()).prop_map(
                |(message_id, final_date, message_state, error_code)| Pdu::QueryResponse(QueryResponse {
                    message_id,
                    final_date,
                    message_state,
                    error_code
                })
            ),
            Just(Pdu::GenericNack),
            Just(Pdu::AlertNotification),
            (0x20u32..0x100).prop_map(Pdu::Other),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(pdu in any_pdu(), sequence in 1u32..0x7fff_ffff, status in 0u32..0x500) {
            let frame = Frame { status, sequence, pdu };
            let mut octets = Vec::new();
            encode(&frame, &mut octets);
            prop_assert_eq!(split(&octets), Ok(Cut::Whole(octets.len())));
            prop_assert_eq!(decode(&octets), Ok(frame));
        }

        #[test]
        fn no_octets_break_the_reader(octets in proptest::collection::vec(any::<u8>(), 0..200), id in 0u32..0x20) {
            let _ = (split(&octets), decode(&octets), header(&octets));
            let mut framed = Vec::new();
            for field in [u32::try_from(octets.len() + HEADER).unwrap(), id, 0, 1] {
                framed.extend_from_slice(&field.to_be_bytes());
            }
            framed.extend_from_slice(&octets);
            if let Ok(frame) = decode(&framed) {
                let mut again = Vec::new();
                encode(&frame, &mut again);
                prop_assert_eq!(decode(&again), Ok(frame));
            }
        }

        #[test]
        fn a_cut_pdu_is_never_taken_for_whole(pdu in any_pdu(), at in any::<prop::sample::Index>()) {
            let mut octets = Vec::new();
            encode(&Frame { status: 0, sequence: 1, pdu }, &mut octets);
            let cut = at.index(octets.len());
            prop_assert_eq!(split(&octets[..cut]), Ok(Cut::More));
            prop_assert!(decode(&octets[..cut]).is_err());
        }
    }

    #[test]
    fn a_known_pdu() {
        // bind_transmitter of the standard's §3.2.2.
        let octets = [
            0, 0, 0, 0x2f, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, b'S', b'M', b'P', b'P', b'3', b'T', b'E',
            b'S', b'T', 0, b's', b'e', b'c', b'r', b'e', b't', b'0', b'8', 0, b'S', b'U', b'B', b'M', b'I',
            b'T', b'1', 0, 0, 1, 1, 0,
        ];
        let bind = Bind {
            system_id: "SMPP3TEST".into(),
            password: "secret08".into(),
            system_type: "SUBMIT1".into(),
            interface_version: 0,
            range: Address { ton: 1, npi: 1, value: String::new() },
        };
        let frame = Frame { status: 0, sequence: 1, pdu: Pdu::Bind(Direction::Transmitter, bind) };
        assert_eq!(decode(&octets), Ok(frame.clone()));
        let mut written = Vec::new();
        encode(&frame, &mut written);
        assert_eq!(written, octets);
    }

    #[test]
    fn lengths_are_checked() {
        for (length, wanted) in [
            (15u32, Err(PduError::BadLength(15))),
            (16, Ok(Cut::Whole(16))),
            (17, Ok(Cut::More)),
            (PDU_MAX as u32 + 1, Err(PduError::BadLength(PDU_MAX as u32 + 1))),
            (u32::MAX, Err(PduError::BadLength(u32::MAX))),
        ] {
            let mut octets = length.to_be_bytes().to_vec();
            octets.extend_from_slice(&[0; 12]);
            assert_eq!(split(&octets), wanted);
        }
        // A failed submit has no body; a bind response neither.
        let mut octets = Vec::new();
        encode(&Frame { status: 0x58, sequence: 3, pdu: Pdu::SubmitResponse(String::new()) }, &mut octets);
        assert_eq!(octets.len(), HEADER);
        assert_eq!(decode(&octets).unwrap().pdu, Pdu::SubmitResponse(String::new()));
        // A name of sixteen characters has no room for its end.
        let mut long = 40u32.to_be_bytes().to_vec();
        long.extend_from_slice(&[0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1]);
        long.extend_from_slice(&[b'a'; 24]);
        assert_eq!(decode(&long), Err(PduError::TooLong("system_id")));
    }
}

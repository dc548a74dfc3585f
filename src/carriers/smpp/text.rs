//! Texts on the wire: data codings, user data headers, and how long texts are divided. Pure.
//!
//! 3GPP TS 23.040 §9.2.3.24 (headers), TS 23.038 §4 (codings), SMPP 3.4 §5.2.19 and §5.3.2.22–32.

use super::pdu::{Message, Tlvs, tag};
use crate::gsm7::{self, Encoding, Joint, Language, Shift};

/// esm_class: the text begins with a header.
const UDHI: u8 = 0x40;
/// data_coding of UTF-16.
const UCS2: u8 = 8;

/// What the other side takes data_coding 0 for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Alphabet {
    /// GSM 7 bit, a septet in each octet: what most do.
    #[default]
    Gsm7,
    /// GSM 7 bit, eight septets in seven octets.
    Gsm7Packed,
    /// ISO 8859-1.
    Latin1,
}

/// How a text of several segments goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LongMessages {
    /// A header with an 8 bit reference.
    #[default]
    Udh,
    /// A header with a 16 bit reference.
    Udh16,
    /// Optional parameters sar_*.
    Sar,
    /// Whole, in message_payload; the other side divides it.
    Payload,
}

/// How texts are written for one account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Style {
    /// Of data_coding 0.
    pub alphabet: Alphabet,
    /// For texts of several segments.
    pub long_messages: LongMessages,
    /// National tables that may be used.
    pub languages: Vec<Language>,
}

/// One submit's share of a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    /// Bits for esm_class.
    pub esm_class: u8,
    /// How it is coded.
    pub data_coding: u8,
    /// Header and text.
    pub body: Vec<u8>,
    /// message_payload or sar_*.
    pub tlvs: Tlvs,
}

/// Divides a text for the wire. `reference` ties the pieces of one text together.
pub fn divide(text: &str, style: &Style, reference: u16) -> Vec<Piece> {
    let joint = if style.long_messages == LongMessages::Udh16 { Joint::Long } else { Joint::Short };
    // Without a header of our own there is no place to name a national table.
    let headers = matches!(style.long_messages, LongMessages::Udh | LongMessages::Udh16);
    let languages: &[Language] =
        if headers && style.alphabet != Alphabet::Latin1 { &style.languages } else { &[] };
    let cost = gsm7::cost_with(text, joint, languages);
    let latin1 = style.alphabet == Alphabet::Latin1;
    let seven = cost.encoding == Encoding::Gsm7 && !(latin1 && text.chars().any(|c| u32::from(c) > 0xff));
    let cost = if seven || cost.encoding == Encoding::Ucs2 { cost } else { as_ucs2(cost) };
    let coding = if seven { 0 } else { UCS2 };
    if style.long_messages == LongMessages::Payload && cost.segment_count > 1 {
        let tlvs = Tlvs(vec![(tag::MESSAGE_PAYLOAD, octets(text, seven, cost.shift, style.alphabet, 0))]);
        return vec![Piece { data_coding: coding, tlvs, ..Piece::default() }];
    }
    let pieces = pieces_of(text, &cost);
    let total = u8::try_from(pieces.len()).unwrap_or(u8::MAX);
    let one = |(index, piece): (usize, &str)| {
        let number = u8::try_from(index + 1).unwrap_or(u8::MAX);
        let mut header = Vec::new();
        let mut tlvs = Tlvs::default();
        if total > 1 {
            match style.long_messages {
                LongMessages::Sar => tlvs = sar(reference, total, number),
                LongMessages::Udh16 => {
                    let [high, low] = reference.to_be_bytes();
                    header.extend_from_slice(&[0x08, 4, high, low, total, number]);
                }
                LongMessages::Udh | LongMessages::Payload => {
                    header.extend_from_slice(&[0x00, 3, reference.to_be_bytes()[1], total, number]);
                }
            }
        }
        if seven {
            header.extend(cost.shift.single.into_iter().flat_map(|l| [0x24, 1, l.number()]));
            header.extend(cost.shift.locking.into_iter().flat_map(|l| [0x25, 1, l.number()]));
        }
        let mut body = Vec::with_capacity(160);
        if !header.is_empty() {
            body.push(u8::try_from(header.len()).unwrap_or(u8::MAX));
            body.extend_from_slice(&header);
        }
        let fill = gsm7::fill_bits(body.len());
        let esm_class = if body.is_empty() { 0 } else { UDHI };
        body.extend(octets(piece, seven, cost.shift, style.alphabet, fill));
        Piece { esm_class, data_coding: coding, body, tlvs }
    };
    pieces.iter().copied().enumerate().map(one).collect()
}

fn as_ucs2(cost: gsm7::Cost) -> gsm7::Cost {
    // More than one segment, so that `pieces_of` looks at the borders.
    gsm7::Cost { encoding: Encoding::Ucs2, shift: Shift::NONE, segment_count: 2, ..cost }
}

fn pieces_of<'a>(text: &'a str, cost: &gsm7::Cost) -> Vec<&'a str> {
    let units = |c: char| cost.units_of(c).unwrap_or(1);
    if text.chars().map(units).sum::<u32>() <= cost.units_alone() {
        return vec![text];
    }
    gsm7::pieces(text, cost)
}

fn sar(reference: u16, total: u8, number: u8) -> Tlvs {
    Tlvs(vec![
        (tag::SAR_MSG_REF_NUM, reference.to_be_bytes().to_vec()),
        (tag::SAR_TOTAL_SEGMENTS, vec![total]),
        (tag::SAR_SEGMENT_SEQNUM, vec![number]),
    ])
}

fn octets(text: &str, seven: bool, shift: Shift, alphabet: Alphabet, fill: u32) -> Vec<u8> {
    if !seven {
        return text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    }
    match alphabet {
        Alphabet::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
        Alphabet::Gsm7 => shift.encode(text).unwrap_or_default(),
        Alphabet::Gsm7Packed => gsm7::pack(&shift.encode(text).unwrap_or_default(), fill),
    }
}

/// How the octets of an inbound part are read; kept with parts that wait for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Septets, one in each octet.
    Septets(Shift),
    /// ISO 8859-1.
    Latin1,
    /// UTF-16, high octet first.
    Utf16,
    /// Something else; read as UTF-8 when it is, else octet by octet.
    Other,
}

impl Coding {
    /// A number for the database.
    pub fn to_number(self) -> i32 {
        match self {
            Coding::Latin1 => 1,
            Coding::Utf16 => 2,
            Coding::Other => 3,
            Coding::Septets(shift) => {
                let number = |language: Option<Language>| language.map_or(0, |l| i32::from(l.number()));
                0x1_0000 | number(shift.locking) << 8 | number(shift.single)
            }
        }
    }

    /// Reads [`Coding::to_number`].
    pub fn from_number(number: i32) -> Coding {
        let language = |bits: i32| u8::try_from(bits & 0xff).ok().and_then(Language::from_number);
        match number {
            1 => Coding::Latin1,
            2 => Coding::Utf16,
            n if n & 0x1_0000 != 0 => {
                Coding::Septets(Shift { locking: language(n >> 8), single: language(n) })
            }
            _ => Coding::Other,
        }
    }

    /// The text of octets. A character that is cut between two parts is whole again when their octets are joined.
    pub fn read(self, octets: &[u8]) -> String {
        match self {
            Coding::Septets(shift) => shift.decode(octets),
            Coding::Latin1 => octets.iter().map(|b| char::from(*b)).collect(),
            Coding::Utf16 => {
                let units = octets.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
                char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            Coding::Other => match std::str::from_utf8(octets) {
                Ok(text) => text.to_owned(),
                Err(_) => octets.iter().map(|b| char::from(*b)).collect(),
            },
        }
    }
}

/// Where a part belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// What ties the parts together.
    pub reference: u16,
    /// How many there are, at least 2.
    pub total: u8,
    /// Which this is, from 1.
    pub number: u8,
}

/// What an inbound message carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Part of a longer text, when it is one.
    pub place: Option<Place>,
    /// How `octets` are read.
    pub coding: Coding,
    /// The text without its header, unpacked.
    pub octets: Vec<u8>,
    /// Not for a person: ports, pictures, settings.
    pub binary: bool,
}

#[derive(Debug, Default)]
struct Header {
    place: Option<Place>,
    shift: Shift,
    ports: bool,
}

/// Reads what a deliver_sm or data_sm carries. What cannot be understood is kept as well as can be: a text is never
/// lost because its coding is odd.
pub fn carried(message: &Message, alphabet: Alphabet) -> Carried {
    let payload = message.tlvs.get(tag::MESSAGE_PAYLOAD).filter(|_| message.body.is_empty());
    let whole = payload.unwrap_or(&message.body);
    let (header, rest) = match whole.split_first() {
        Some((length, rest)) if message.esm_class & UDHI != 0 => {
            rest.split_at_checked(usize::from(*length)).unwrap_or((&[], whole))
        }
        _ => (&[][..], whole),
    };
    let read = read_header(header);
    let (coding, binary) = coding_of(message.data_coding, alphabet, read.shift);
    let packed = alphabet == Alphabet::Gsm7Packed && matches!(coding, Coding::Septets(_));
    let octets = if packed {
        let before = if header.is_empty() { 0 } else { header.len() + 1 };
        gsm7::unpack(rest, gsm7::fill_bits(before))
    } else {
        rest.to_vec()
    };
    let place = read.place.or_else(|| sar_place(&message.tlvs));
    let place = place.filter(|p| p.total > 1 && (1..=p.total).contains(&p.number));
    Carried { place, coding, octets, binary: binary || read.ports }
}

fn read_header(mut elements: &[u8]) -> Header {
    let mut header = Header::default();
    while let [id, length, rest @ ..] = elements {
        let Some((value, after)) = rest.split_at_checked(usize::from(*length)) else { break };
        match (*id, value) {
            (0x00, [reference, total, number]) => {
                let reference = u16::from(*reference);
                header.place = Some(Place { reference, total: *total, number: *number });
            }
            (0x08, [high, low, total, number]) => {
                let reference = u16::from_be_bytes([*high, *low]);
                header.place = Some(Place { reference, total: *total, number: *number });
            }
            (0x24, [language]) => header.shift.single = Language::from_number(*language),
            (0x25, [language]) => header.shift.locking = Language::from_number(*language),
            (0x04 | 0x05, _) => header.ports = true,
            _ => {}
        }
        elements = after;
    }
    header
}

fn sar_place(tlvs: &Tlvs) -> Option<Place> {
    let byte = |tag| tlvs.number(tag).and_then(|n| u8::try_from(n).ok());
    Some(Place {
        reference: u16::try_from(tlvs.number(tag::SAR_MSG_REF_NUM)?).ok()?,
        total: byte(tag::SAR_TOTAL_SEGMENTS)?,
        number: byte(tag::SAR_SEGMENT_SEQNUM)?,
    })
}

/// The coding, and whether it says that this is no text.
fn coding_of(data_coding: u8, alphabet: Alphabet, shift: Shift) -> (Coding, bool) {
    let default = match alphabet {
        Alphabet::Latin1 => Coding::Latin1,
        Alphabet::Gsm7 | Alphabet::Gsm7Packed => Coding::Septets(shift),
    };
    match data_coding {
        0 => (default, false),
        1 => (Coding::Other, false),
        3 => (Coding::Latin1, false),
        2 | 4 => (Coding::Other, true),
        UCS2 => (Coding::Utf16, false),
        // TS 23.038 §4: message waiting in UCS-2; data coding and message class.
        0xe0..=0xef => (Coding::Utf16, false),
        0xf0..=0xff if data_coding & 0x04 != 0 => (Coding::Other, true),
        0xc0..=0xdf | 0xf0..=0xff => (default, false),
        0x10..=0x3f if data_coding & 0x0c == 0x08 => (Coding::Utf16, false),
        0x10..=0x3f if data_coding & 0x0c == 0x04 => (Coding::Other, true),
        0x10..=0x3f if data_coding & 0x0c == 0 => (default, false),
        _ => (Coding::Other, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn styles() -> Vec<Style> {
        let mut all = Vec::new();
        for alphabet in [Alphabet::Gsm7, Alphabet::Gsm7Packed, Alphabet::Latin1] {
            for long_messages in
                [LongMessages::Udh, LongMessages::Udh16, LongMessages::Sar, LongMessages::Payload]
            {
                for languages in [Vec::new(), Language::ALL.to_vec()] {
                    all.push(Style { alphabet, long_messages, languages });
                }
            }
        }
        all
    }

    fn deliver(piece: &Piece) -> Message {
        Message {
            esm_class: piece.esm_class,
            data_coding: piece.data_coding,
            body: piece.body.clone(),
            tlvs: piece.tlvs.clone(),
            ..Message::default()
        }
    }

    fn read_back(pieces: &[Piece], alphabet: Alphabet) -> String {
        let mut parts: Vec<Carried> = pieces.iter().map(|p| carried(&deliver(p), alphabet)).collect();
        parts.sort_by_key(|part| part.place.map(|place| place.number));
        assert!(parts.iter().all(|part| !part.binary && part.coding == parts[0].coding));
        let joined: Vec<u8> = parts.iter().flat_map(|part| part.octets.clone()).collect();
        parts[0].coding.read(&joined)
    }

    #[test]
    fn a_short_text_has_no_header() {
        let pieces = divide("Hi @ €", &Style::default(), 7);
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].body, [b'H', b'i', b' ', 0, b' ', 0x1b, 0x65]);
        assert_eq!((pieces[0].esm_class, pieces[0].data_coding), (0, 0));
        assert_eq!(divide("안녕", &Style::default(), 7)[0].data_coding, 8);
    }

    #[test]
    fn a_long_text_is_divided_as_counted() {
        let long = "a".repeat(161);
        let pieces = divide(&long, &Style::default(), 0x1234);
        assert_eq!(pieces.len(), 2);
        assert_eq!(pieces[0].body[..6], [5, 0, 3, 0x34, 2, 1]);
        assert_eq!((pieces[0].body.len(), pieces[0].esm_class), (6 + 153, 0x40));
        let style = Style { long_messages: LongMessages::Udh16, ..Style::default() };
        assert_eq!(divide(&long, &style, 0x1234)[1].body[..7], [6, 8, 4, 0x12, 0x34, 2, 2]);
        let style = Style { long_messages: LongMessages::Payload, ..Style::default() };
        let pieces = divide(&long, &style, 1);
        assert_eq!(pieces.len(), 1);
        assert!(pieces[0].body.is_empty());
        assert_eq!(pieces[0].tlvs.get(tag::MESSAGE_PAYLOAD).map(<[u8]>::len), Some(161));
        let style = Style { long_messages: LongMessages::Sar, ..Style::default() };
        let place = carried(&deliver(&divide(&long, &style, 9)[1]), Alphabet::Gsm7).place;
        assert_eq!(place, Some(Place { reference: 9, total: 2, number: 2 }));
        let style = Style { languages: vec![Language::Turkish], ..Style::default() };
        assert_eq!(divide("ğ".repeat(80).as_str(), &style, 1)[0].body[..4], [3, 0x25, 1, 1]);
    }

    #[test]
    fn odd_parts_are_kept_as_well_as_can_be() {
        let message = |data_coding, esm_class, body: &[u8]| Message {
            data_coding,
            esm_class,
            body: body.to_vec(),
            ..Message::default()
        };
        let text = |m: &Message| {
            let c = carried(m, Alphabet::Gsm7);
            (c.coding.read(&c.octets), c.binary)
        };
        assert_eq!(text(&message(1, 0, b"plain")), ("plain".to_owned(), false));
        assert_eq!(text(&message(3, 0, &[0xe9])), ("é".to_owned(), false));
        assert_eq!(text(&message(0xf0, 0, b"flash")), ("flash".to_owned(), false));
        assert_eq!(text(&message(0x18, 0, &[0xac, 0])), ("가".to_owned(), false));
        assert!(text(&message(4, 0, b"\x01\x02")).1);
        // A header that is longer than the text is no header.
        assert_eq!(text(&message(0, 0x40, b"\x20abc")).0.len(), 4);
        // Ports: not for a person.
        assert!(text(&message(0, 0x40, &[6, 5, 4, 0x0b, 0x84, 0x23, 0xf0, 1])).1);
        // Part 3 of 2 is no part.
        assert_eq!(carried(&message(0, 0x40, &[5, 0, 3, 1, 2, 3, b'x']), Alphabet::Gsm7).place, None);
    }

    fn any_text() -> impl Strategy<Value = String> {
        let mixed = prop_oneof![9 => proptest::char::range('a', 'z'), 1 => Just('€'), 1 => Just('é')];
        let wild = prop_oneof![9 => proptest::char::range('a', 'z'), 1 => Just('😀'), 1 => Just('ğ'), 1 => Just('ç')];
        prop_oneof![proptest::collection::vec(mixed, 1..500), proptest::collection::vec(wild, 1..400)]
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn what_is_divided_is_read_back(text in any_text(), which in any::<prop::sample::Index>(), reference in any::<u16>()) {
            let all = styles();
            let style = which.get(&all);
            let pieces = divide(&text, style, reference);
            prop_assert!(pieces.iter().all(|p| p.body.len() <= 254));
            prop_assert_eq!(read_back(&pieces, style.alphabet), text);
        }

        #[test]
        fn no_octets_break_the_reader(body in proptest::collection::vec(any::<u8>(), 0..255), esm_class in any::<u8>(), data_coding in any::<u8>()) {
            let message = Message { esm_class, data_coding, body, ..Message::default() };
            for alphabet in [Alphabet::Gsm7, Alphabet::Gsm7Packed, Alphabet::Latin1] {
                let found = carried(&message, alphabet);
                let _ = found.coding.read(&found.octets);
                prop_assert_eq!(Coding::from_number(found.coding.to_number()), found.coding);
            }
        }
    }
}

//! How many segments a text needs, and where it is cut (3GPP TS 23.040 §9.2.3.24): 140 octets a segment, less the
//! header. An escape pair and a surrogate pair never stand across a border. Counting is one pass without allocation.

use super::{Language, Shift};

/// Octets in one segment.
const OCTETS: u32 = 140;

/// How the characters travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Seven bits a character, a small alphabet.
    Gsm7,
    /// Sixteen bits, everything (UTF-16 in truth).
    Ucs2,
}

/// How the segments of a longer text are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Joint {
    /// A header with an 8 bit reference: what nearly everybody sends.
    #[default]
    Short,
    /// A header with a 16 bit reference.
    Long,
    /// No header: the other side joins them by other means.
    Outside,
}

impl Joint {
    /// Octets of the header element, without the header's own length octet.
    pub fn octets(self) -> u32 {
        match self {
            Joint::Short => 5,
            Joint::Long => 6,
            Joint::Outside => 0,
        }
    }
}

/// What a text costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// How it travels.
    pub encoding: Encoding,
    /// With which national tables, when seven-bit.
    pub shift: Shift,
    /// How its segments are joined, when there are several.
    pub joint: Joint,
    /// Septets (GSM-7) or UTF-16 units (UCS-2) of the whole text.
    pub units: u32,
    /// What the carrier bills; 1 for an empty text.
    pub segment_count: u16,
    /// Units that fit before another segment is billed.
    pub units_left: u32,
    /// The first character that GSM-7 cannot say without national tables.
    pub culprit: Option<char>,
}

impl Cost {
    /// Units that a message of one segment holds.
    pub fn units_alone(&self) -> u32 {
        room(self.encoding, self.shift, 0)
    }

    /// Units that each segment of a longer message holds; the rest is the header that joins them.
    pub fn units_joined(&self) -> u32 {
        room(self.encoding, self.shift, self.joint.octets())
    }

    /// The units of one character; `None` when this encoding cannot say it.
    pub fn units_of(&self, c: char) -> Option<u32> {
        match self.encoding {
            Encoding::Gsm7 => self.shift.septets(c),
            Encoding::Ucs2 => Some(utf16_units(c)),
        }
    }
}

/// Units of a segment whose header has `elements` octets besides those of the national tables.
fn room(encoding: Encoding, shift: Shift, elements: u32) -> u32 {
    let elements = elements + if encoding == Encoding::Gsm7 { shift.header_octets() } else { 0 };
    let header = if elements == 0 { 0 } else { elements + 1 };
    match encoding {
        Encoding::Gsm7 => (OCTETS - header) * 8 / 7,
        Encoding::Ucs2 => (OCTETS - header) / 2,
    }
}

/// Counts `text` with the tables that every handset has.
pub fn cost(text: &str, joint: Joint) -> Cost {
    let mut gsm7 = Counter::new(Encoding::Gsm7, Shift::NONE, joint);
    let mut ucs2 = Counter::new(Encoding::Ucs2, Shift::NONE, joint);
    let mut culprit = None;
    for c in text.chars() {
        ucs2.add(utf16_units(c));
        if culprit.is_none() {
            match Shift::NONE.septets(c) {
                Some(units) => gsm7.add(units),
                None => culprit = Some(c),
            }
        }
    }
    if culprit.is_some() { ucs2.finish(culprit) } else { gsm7.finish(None) }
}

/// Counts `text` in the cheapest way when the national tables of `languages` may be used too.
pub fn cost_with(text: &str, joint: Joint, languages: &[Language]) -> Cost {
    let mut best = cost(text, joint);
    if best.culprit.is_none() {
        return best;
    }
    for language in languages {
        let single = Shift { locking: None, single: Some(*language) };
        let locking = Shift { locking: language.locking().map(|_| *language), single: None };
        let both = Shift { single: Some(*language), ..locking };
        for shift in [single, locking, both] {
            let Some(other) = seven_bit(text, joint, shift, best.culprit) else { continue };
            // Of two equally dear ones the seven-bit one with fewer units: handsets show both alike.
            let cheaper = other.segment_count < best.segment_count
                || (other.segment_count == best.segment_count
                    && best.encoding == Encoding::Gsm7
                    && other.units + 8 * other.shift.header_octets()
                        < best.units + 8 * best.shift.header_octets());
            if cheaper {
                best = other;
            }
        }
    }
    best
}

fn seven_bit(text: &str, joint: Joint, shift: Shift, culprit: Option<char>) -> Option<Cost> {
    if shift == Shift::NONE {
        return None;
    }
    let mut counter = Counter::new(Encoding::Gsm7, shift, joint);
    for c in text.chars() {
        counter.add(shift.septets(c)?);
    }
    Some(counter.finish(culprit))
}

/// The text of each segment, in order; joined they are `text` again. One piece when it fits, also when it is empty.
pub fn pieces<'a>(text: &'a str, cost: &Cost) -> Vec<&'a str> {
    if cost.segment_count <= 1 {
        return vec![text];
    }
    let room = cost.units_joined();
    let mut pieces = Vec::with_capacity(usize::from(cost.segment_count));
    let (mut rest, mut at, mut used) = (text, 0, 0);
    for c in text.chars() {
        let units = cost.units_of(c).unwrap_or(1);
        if used + units > room {
            let (piece, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
            pieces.push(piece);
            (rest, at, used) = (after, 0, 0);
        }
        at += c.len_utf8();
        used += units;
    }
    pieces.push(rest);
    pieces
}

/// Fills segments of one encoding, both as if alone and as if joined, because one pass cannot know yet.
struct Counter {
    cost: Cost,
    joined: u32,
    /// Segments that are full, if the text turns out to be a joined one.
    full: u16,
    /// Units in the segment after them.
    used: u32,
}

impl Counter {
    fn new(encoding: Encoding, shift: Shift, joint: Joint) -> Self {
        let cost = Cost { encoding, shift, joint, units: 0, segment_count: 1, units_left: 0, culprit: None };
        let joined = cost.units_joined();
        Counter { cost, joined, full: 0, used: 0 }
    }

    fn add(&mut self, units: u32) {
        self.cost.units = self.cost.units.saturating_add(units);
        self.used += units;
        if self.used > self.joined {
            self.full = self.full.saturating_add(1);
            self.used = units;
        }
    }

    fn finish(self, culprit: Option<char>) -> Cost {
        let alone = self.cost.units_alone();
        let (segment_count, units_left) = if self.cost.units <= alone {
            (1, alone - self.cost.units)
        } else {
            (self.full.saturating_add(1), self.joined - self.used)
        };
        Cost { segment_count, units_left, culprit, ..self.cost }
    }
}

fn utf16_units(c: char) -> u32 {
    if c.len_utf16() == 2 { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_leave_what_the_standard_says() {
        let none = Shift::NONE;
        let one = Shift { locking: None, single: Some(Language::Turkish) };
        let two = Shift { locking: Some(Language::Turkish), single: Some(Language::Turkish) };
        let table = [
            (Encoding::Gsm7, none, 160, 153, 152),
            (Encoding::Gsm7, one, 155, 149, 148),
            (Encoding::Gsm7, two, 152, 146, 145),
            (Encoding::Ucs2, none, 70, 67, 66),
        ];
        for (encoding, shift, alone, short, long) in table {
            assert_eq!(room(encoding, shift, 0), alone);
            assert_eq!(room(encoding, shift, Joint::Short.octets()), short);
            assert_eq!(room(encoding, shift, Joint::Long.octets()), long);
        }
    }

    #[test]
    fn borders_are_exact() {
        let a = |n: usize| "a".repeat(n);
        let ga = |n: usize| "가".repeat(n);
        // text, units, segments, units left
        let table = [
            (String::new(), 0, 1, 160),
            (a(160), 160, 1, 0),
            (a(161), 161, 2, 145),
            (a(306), 306, 2, 0),
            (a(307), 307, 3, 152),
            (a(1530), 1530, 10, 0),
            (a(1531), 1531, 11, 152),
            (format!("{}€", a(158)), 160, 1, 0),
            (format!("{}€", a(159)), 161, 2, 145),
            // The escape pair would stand on the border at 153, so it moves and one unit stays unused.
            (format!("{}€{}", a(152), a(10)), 164, 2, 141),
            (format!("{}€{}", a(152), a(151)), 305, 2, 0),
            (format!("{}€{}", a(152), a(152)), 306, 3, 152),
            (ga(70), 70, 1, 0),
            (ga(71), 71, 2, 63),
            (ga(134), 134, 2, 0),
            (ga(135), 135, 3, 66),
            (ga(670), 670, 10, 0),
            (format!("{}😀", ga(68)), 70, 1, 0),
            (format!("{}😀", ga(69)), 71, 2, 63),
            (format!("{}😀{}", ga(66), ga(66)), 134, 3, 66),
            (format!("{}😀{}", ga(66), ga(65)), 133, 2, 0),
            (format!("{}가", a(69)), 70, 1, 0),
        ];
        for (text, units, segment_count, units_left) in table {
            let counted = cost(&text, Joint::Short);
            assert_eq!(
                (counted.units, counted.segment_count, counted.units_left),
                (units, segment_count, units_left),
                "{} characters",
                text.chars().count()
            );
        }
    }

    #[test]
    fn a_national_table_saves_segments_where_it_may_be_used() {
        let turkish =
            "İstanbul'da buluşalım, akşam yemeği için güzel bir yer buldum. Sen de gelirsin değil mi?";
        assert_eq!(cost(turkish, Joint::Short).segment_count, 2);
        let better = cost_with(turkish, Joint::Short, &Language::ALL);
        assert_eq!((better.encoding, better.segment_count), (Encoding::Gsm7, 1));
        assert_eq!(better.culprit, Some('İ'));
        let spanish = cost_with(&"Mañana jugarán más niños".repeat(4), Joint::Short, &[Language::Spanish]);
        assert_eq!(spanish.shift, Shift { locking: None, single: Some(Language::Spanish) });
        let plain = cost_with("Nothing to shift", Joint::Short, &Language::ALL);
        assert_eq!(plain.shift, Shift::NONE);
        let mixed = cost_with("ğ가", Joint::Short, &Language::ALL);
        assert_eq!(mixed.encoding, Encoding::Ucs2);
    }

    fn any_text() -> impl Strategy<Value = String> {
        let alphabet = prop_oneof![
            8 => proptest::char::range('a', 'z'),
            2 => Just('€'),
            1 => Just('\n'),
            1 => Just('😀'),
            1 => Just('가'),
        ];
        let gsm7_only = prop_oneof![6 => proptest::char::range(' ', 'Z'), 1 => Just('€'), 1 => Just('{')];
        let turkish =
            prop_oneof![6 => proptest::char::range('a', 'z'), 1 => Just('ğ'), 1 => Just('€'), 1 => Just('Ş')];
        let hindi =
            prop_oneof![6 => proptest::char::range('क', 'ह'), 1 => Just('।'), 1 => Just('A'), 1 => Just(' ')];
        prop_oneof![
            proptest::collection::vec(alphabet, 0..400),
            proptest::collection::vec(gsm7_only, 0..700),
            proptest::collection::vec(turkish, 0..700),
            proptest::collection::vec(hindi, 0..700),
            proptest::collection::vec(any::<char>(), 0..200),
        ]
        .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #[test]
        fn pieces_are_the_text_and_as_many_as_counted(
            text in any_text(),
            joint in prop_oneof![Just(Joint::Short), Just(Joint::Long), Just(Joint::Outside)],
            national in any::<bool>(),
        ) {
            let languages: &[Language] = if national { &Language::ALL } else { &[] };
            let counted = cost_with(&text, joint, languages);
            let pieces = pieces(&text, &counted);
            prop_assert_eq!(pieces.concat(), text.clone());
            prop_assert_eq!(pieces.len(), usize::from(counted.segment_count));
            let room = if pieces.len() == 1 { counted.units_alone() } else { counted.units_joined() };
            let units = |piece: &str| piece.chars().filter_map(|c| counted.units_of(c)).sum::<u32>();
            prop_assert!(pieces.iter().all(|piece| units(piece) <= room));
            prop_assert_eq!(pieces.iter().map(|piece| units(piece)).sum::<u32>(), counted.units);
            prop_assert_eq!(pieces.last().map(|last| room - units(last)), Some(counted.units_left));
            prop_assert!(counted.segment_count <= cost(&text, joint).segment_count);
        }

        #[test]
        fn every_segment_travels_and_comes_back(text in any_text()) {
            let counted = cost_with(&text, Joint::Short, &Language::ALL);
            let back: String = pieces(&text, &counted)
                .into_iter()
                .map(|piece| match counted.encoding {
                    Encoding::Gsm7 => counted.shift.decode(&counted.shift.encode(piece).unwrap()),
                    Encoding::Ucs2 => String::from_utf16(&piece.encode_utf16().collect::<Vec<u16>>()).unwrap(),
                })
                .collect();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn more_text_never_costs_less(text in any_text(), more in any::<char>()) {
            let longer = format!("{text}{more}");
            prop_assert!(cost(&longer, Joint::Short).segment_count >= cost(&text, Joint::Short).segment_count);
        }
    }
}

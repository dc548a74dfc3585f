//! The alphabets of SMS: GSM 7 bit with its national tables (3GPP TS 23.038), and UCS-2.
//!
//! A text is seven-bit when one [`Shift`] can say all of it. A national language costs a header in every segment
//! (TS 23.040 §9.2.3.24.15/16) and is understood only where carrier and handset do, so it is used only where an
//! operator has said so. Cutting into segments is in [`cut`].

mod cut;
#[rustfmt::skip]
mod tables;

pub use cut::{Cost, Encoding, Joint, cost, cost_with, pieces};

/// The escape to the extension table.
pub const ESCAPE: u8 = 0x1b;
/// What stands for a septet without a character when a foreign text is read.
const UNREADABLE: char = '\u{fffd}';

/// A language with tables of its own; the number is that of TS 23.038 §6.2.1.2.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// ğ, ı, ş …
    Turkish = 1,
    /// á, í, ó, ú; a single shift table only.
    Spanish = 2,
    /// ã, õ, ê …
    Portuguese = 3,
    /// Bengali and Assamese script.
    Bengali = 4,
    /// Gujarati script.
    Gujarati = 5,
    /// Devanagari.
    Hindi = 6,
    /// Kannada script.
    Kannada = 7,
    /// Malayalam script.
    Malayalam = 8,
    /// Oriya script.
    Oriya = 9,
    /// Gurmukhi.
    Punjabi = 10,
    /// Tamil script.
    Tamil = 11,
    /// Telugu script.
    Telugu = 12,
    /// Urdu, in Arabic script.
    Urdu = 13,
}

type Locking = [u16; 128];
type Extension = &'static [(u8, u16)];

impl Language {
    /// All of them, by number.
    pub const ALL: [Language; 13] = [
        Language::Turkish,
        Language::Spanish,
        Language::Portuguese,
        Language::Bengali,
        Language::Gujarati,
        Language::Hindi,
        Language::Kannada,
        Language::Malayalam,
        Language::Oriya,
        Language::Punjabi,
        Language::Tamil,
        Language::Telugu,
        Language::Urdu,
    ];

    /// The number in the header.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The language of a number in a header.
    pub fn from_number(number: u8) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.number() == number)
    }

    /// Its ISO 639-1 code, as operators write it.
    pub fn code(self) -> &'static str {
        match self {
            Language::Turkish => "tr",
            Language::Spanish => "es",
            Language::Portuguese => "pt",
            Language::Bengali => "bn",
            Language::Gujarati => "gu",
            Language::Hindi => "hi",
            Language::Kannada => "kn",
            Language::Malayalam => "ml",
            Language::Oriya => "or",
            Language::Punjabi => "pa",
            Language::Tamil => "ta",
            Language::Telugu => "te",
            Language::Urdu => "ur",
        }
    }

    /// Reads [`Language::code`].
    pub fn from_code(code: &str) -> Option<Language> {
        Language::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(code.trim()))
    }

    fn locking(self) -> Option<&'static Locking> {
        match self {
            Language::Turkish => Some(&tables::TURKISH),
            Language::Spanish => None,
            Language::Portuguese => Some(&tables::PORTUGUESE),
            Language::Bengali => Some(&tables::BENGALI),
            Language::Gujarati => Some(&tables::GUJARATI),
            Language::Hindi => Some(&tables::HINDI),
            Language::Kannada => Some(&tables::KANNADA),
            Language::Malayalam => Some(&tables::MALAYALAM),
            Language::Oriya => Some(&tables::ORIYA),
            Language::Punjabi => Some(&tables::PUNJABI),
            Language::Tamil => Some(&tables::TAMIL),
            Language::Telugu => Some(&tables::TELUGU),
            Language::Urdu => Some(&tables::URDU),
        }
    }

    fn extension(self) -> Extension {
        match self {
            Language::Turkish => tables::TURKISH_EXTENSION,
            Language::Spanish => tables::SPANISH_EXTENSION,
            Language::Portuguese => tables::PORTUGUESE_EXTENSION,
            Language::Bengali => tables::BENGALI_EXTENSION,
            Language::Gujarati => tables::GUJARATI_EXTENSION,
            Language::Hindi => tables::HINDI_EXTENSION,
            Language::Kannada => tables::KANNADA_EXTENSION,
            Language::Malayalam => tables::MALAYALAM_EXTENSION,
            Language::Oriya => tables::ORIYA_EXTENSION,
            Language::Punjabi => tables::PUNJABI_EXTENSION,
            Language::Tamil => tables::TAMIL_EXTENSION,
            Language::Telugu => tables::TELUGU_EXTENSION,
            Language::Urdu => tables::URDU_EXTENSION,
        }
    }
}

/// Which tables a seven-bit text uses. The default says: neither is shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shift {
    /// In place of the default alphabet.
    pub locking: Option<Language>,
    /// In place of the default extension.
    pub single: Option<Language>,
}

impl Shift {
    /// The tables that every handset has.
    pub const NONE: Shift = Shift { locking: None, single: None };

    /// Octets of header elements that announce the tables; the header's own length octet is not in it.
    pub fn header_octets(self) -> u32 {
        3 * (u32::from(self.locking.is_some()) + u32::from(self.single.is_some()))
    }

    fn alphabet(self) -> &'static Locking {
        self.locking.and_then(Language::locking).unwrap_or(&tables::DEFAULT)
    }

    fn extension(self) -> Extension {
        self.single.map_or(tables::DEFAULT_EXTENSION, Language::extension)
    }

    /// The septets of one character: 1, 2 with the escape, `None` when these tables cannot say it.
    pub fn septets(self, c: char) -> Option<u32> {
        if self == Shift::NONE {
            return default_septets(c);
        }
        self.code(c).map(|(escaped, _)| if escaped { 2 } else { 1 })
    }

    /// The code of a character, and whether the escape stands before it.
    fn code(self, c: char) -> Option<(bool, u8)> {
        let point = u16::try_from(u32::from(c)).ok().filter(|point| *point != 0)?;
        if let Some(place) = self.alphabet().iter().position(|known| *known == point) {
            return u8::try_from(place).ok().map(|code| (false, code));
        }
        let found = self.extension().iter().find(|(_, known)| *known == point);
        found.map(|(code, _)| (true, *code))
    }

    /// The text as septets, one in each octet; `None` when these tables cannot say it.
    pub fn encode(self, text: &str) -> Option<Vec<u8>> {
        let mut septets = Vec::with_capacity(text.len() + 8);
        for c in text.chars() {
            let (escaped, code) = self.code(c)?;
            if escaped {
                septets.push(ESCAPE);
            }
            septets.push(code);
        }
        Some(septets)
    }

    /// Reads septets, one in each octet. What follows an escape and is not in the extension is read from the alphabet
    /// (TS 23.038 §6.2.1.1, note 1), so nothing is lost that a handset would show.
    pub fn decode(self, septets: &[u8]) -> String {
        let mut text = String::with_capacity(septets.len());
        let mut escaped = false;
        for septet in septets {
            let code = septet & 0x7f;
            if code == ESCAPE {
                if escaped {
                    text.push(' ');
                }
                escaped = !escaped;
                continue;
            }
            let extended = self.extension().iter().find(|(known, _)| escaped && *known == code);
            let point = match extended {
                Some((_, point)) => *point,
                None => self.alphabet().get(usize::from(code)).copied().unwrap_or(0),
            };
            let c = char::from_u32(u32::from(point)).filter(|_| point != 0).unwrap_or(UNREADABLE);
            text.push(c);
            escaped = false;
        }
        text
    }
}

/// [`Shift::septets`] of the tables that every handset has, without a search.
fn default_septets(c: char) -> Option<u32> {
    match c {
        '\n' | '\r' | ' '..='Z' | '_' | 'a'..='z' => Some(1),
        '\u{c}' | '[' | '\\' | ']' | '^' | '{' | '|' | '}' | '~' | '€' => Some(2),
        '£' | '¥' | 'è' | 'é' | 'ù' | 'ì' | 'ò' | 'Ç' | 'Ø' | 'ø' | 'Å' | 'å' => Some(1),
        'Δ' | 'Φ' | 'Γ' | 'Λ' | 'Ω' | 'Π' | 'Ψ' | 'Σ' | 'Θ' | 'Ξ' => Some(1),
        'Æ' | 'æ' | 'ß' | 'É' | '¤' | '¡' | 'Ä' | 'Ö' | 'Ñ' | 'Ü' | '§' | '¿' => Some(1),
        'ä' | 'ö' | 'ñ' | 'ü' | 'à' => Some(1),
        _ => None,
    }
}

/// Bits that fill the octet of a header up, so that the text begins on a septet's border.
pub fn fill_bits(header_octets: usize) -> u32 {
    match u32::try_from(header_octets % 7) {
        Ok(0) | Err(_) => 0,
        Ok(rest) => 7 - (rest * 8) % 7,
    }
}

/// Packs septets into octets, eight into seven, lowest bits first (TS 23.038 §6.1.2.1), after `fill` empty bits.
pub fn pack(septets: &[u8], fill: u32) -> Vec<u8> {
    let mut octets = Vec::with_capacity(septets.len());
    let (mut bits, mut count) = (0u32, fill);
    for septet in septets {
        bits |= u32::from(septet & 0x7f) << count;
        count += 7;
        while count >= 8 {
            octets.push((bits & 0xff) as u8);
            bits >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        octets.push((bits & 0xff) as u8);
    }
    octets
}

/// Reads packed septets: as many as fit when nobody says how many. Seven zero bits at the end may be an `@` or nothing;
/// they are taken for nothing.
pub fn unpack(octets: &[u8], fill: u32) -> Vec<u8> {
    let mut septets = Vec::with_capacity(octets.len() + octets.len() / 7);
    let (mut bits, mut count, mut skip) = (0u32, 0u32, fill);
    for octet in octets {
        bits |= u32::from(*octet) << count;
        count += 8;
        if skip > 0 {
            bits >>= skip;
            count -= skip;
            skip = 0;
        }
        while count >= 7 {
            septets.push((bits & 0x7f) as u8);
            bits >>= 7;
            count -= 7;
        }
    }
    let filled = (octets.len() * 8).saturating_sub(fill as usize).is_multiple_of(7);
    if filled && septets.last() == Some(&0) {
        septets.pop();
    }
    septets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn every_shift() -> impl Iterator<Item = Shift> {
        let languages = || std::iter::once(None).chain(Language::ALL.into_iter().map(Some));
        languages().flat_map(move |locking| languages().map(move |single| Shift { locking, single }))
    }

    #[test]
    fn the_quick_table_is_the_standards() {
        let mut known = 0;
        for c in (0..=0xffffu32).filter_map(char::from_u32) {
            let slow = Shift::NONE.code(c).map(|(escaped, _)| if escaped { 2 } else { 1 });
            assert_eq!(default_septets(c), slow, "{c:?}");
            known += u32::from(slow.is_some());
        }
        assert_eq!(known, 137);
    }

    #[test]
    fn the_national_tables_hold_what_their_languages_need() {
        let table = [
            (Language::Turkish, "ĞğİıŞşç €"),
            (Language::Spanish, "áíóúÁÍÓÚç"),
            (Language::Portuguese, "ãõâêôáéíóúçÃÕÀ"),
            (Language::Hindi, "नमस्ते, कल मिलेंगे। १२३"),
            (Language::Bengali, "আমার, ০১২"),
            (Language::Gujarati, "ગુજરાતી, ૧૨"),
            (Language::Kannada, "ಕನ್ನಡ, ೧೨"),
            (Language::Malayalam, "മലയാളം, ൧൨"),
            (Language::Oriya, "ଓଡିଆ, ୧୨"),
            (Language::Punjabi, "ਪੰਜਾਬੀ, ੧੨"),
            (Language::Tamil, "தமிழ், ௧௨"),
            (Language::Telugu, "తెలుగు, ౧౨ €"),
            (Language::Urdu, "اردو, ۱۲ ۔"),
        ];
        for (language, text) in table {
            let shift = Shift { locking: language.locking().map(|_| language), single: Some(language) };
            let septets = shift.encode(text).unwrap_or_else(|| panic!("{language:?} cannot say {text}"));
            assert_eq!(shift.decode(&septets), text);
            assert_eq!(Language::from_number(language.number()), Some(language));
            assert_eq!(Language::from_code(language.code()), Some(language));
        }
    }

    #[test]
    fn no_table_says_a_character_twice_in_its_alphabet() {
        for shift in every_shift() {
            let mut points: Vec<u16> = shift.alphabet().iter().copied().filter(|p| *p != 0).collect();
            let count = points.len();
            points.sort_unstable();
            points.dedup();
            assert_eq!(points.len(), count, "{shift:?}");
            assert!(shift.extension().iter().all(|(code, _)| *code < 128 && *code != ESCAPE));
        }
    }

    #[test]
    fn packing_is_the_standards() {
        // TS 23.038 §6.1.2.1: "hellohello" is the customary example.
        let septets = Shift::NONE.encode("hellohello").unwrap();
        assert_eq!(pack(&septets, 0), [0xe8, 0x32, 0x9b, 0xfd, 0x46, 0x97, 0xd9, 0xec, 0x37]);
        assert_eq!(fill_bits(6), 1);
        assert_eq!(fill_bits(7), 0);
        assert_eq!(pack(&[0x7f], 1), [0xfe]);
    }

    #[test]
    fn an_unknown_extension_reads_as_the_alphabet_does() {
        assert_eq!(Shift::NONE.decode(&[ESCAPE, b'A', ESCAPE, 0x65, ESCAPE, ESCAPE]), "A€ ");
    }

    proptest! {
        #[test]
        fn what_can_be_said_is_read_back(codes in proptest::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..200), which in any::<prop::sample::Index>()) {
            let shifts: Vec<Shift> = every_shift().collect();
            let shift = *which.get(&shifts);
            let text: String = codes
                .iter()
                .filter_map(|(extended, index)| {
                    let point = if *extended { index.get(shift.extension()).1 } else { *index.get(shift.alphabet()) };
                    char::from_u32(u32::from(point)).filter(|_| point != 0)
                })
                .collect();
            let septets = shift.encode(&text).unwrap();
            prop_assert_eq!(shift.decode(&septets), text.clone());
            let units: u32 = text.chars().filter_map(|c| shift.septets(c)).sum();
            prop_assert_eq!(units as usize, septets.len());
        }

        #[test]
        fn packed_septets_are_read_back(septets in proptest::collection::vec(1u8..128, 0..170), fill in 0u32..7) {
            prop_assert_eq!(unpack(&pack(&septets, fill), fill), septets);
        }
    }
}

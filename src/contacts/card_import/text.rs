//! Bytes of a file into text: UTF-8 and UTF-16 by their marks, UTF-16 without one by its zeros, and Windows-1252 for what is
//! none of these, which is what old Outlooks write (Latin-1 is a part of it).

/// A text and what it was written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The text, without a mark.
    pub text: String,
    /// `utf-8`, `utf-16` or `windows-1252`.
    pub charset: &'static str,
}

/// Reads a file's bytes; never fails.
pub fn decode(bytes: &[u8]) -> Decoded {
    let utf_16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(unit);
        let text = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Decoded { text, charset: "utf-16" }
    };
    if let Some(rest) = bytes.strip_prefix(&[0xFF, 0xFE]) {
        return utf_16(rest, u16::from_le_bytes);
    }
    if let Some(rest) = bytes.strip_prefix(&[0xFE, 0xFF]) {
        return utf_16(rest, u16::from_be_bytes);
    }
    let rest = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    // Plain letters of UTF-16 have a zero in every other byte.
    let head = rest.get(..rest.len().min(512)).unwrap_or(rest);
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|b| **b == 0).count();
    if (zeros(0) + zeros(1)) * 4 > head.len() {
        return utf_16(rest, if zeros(1) >= zeros(0) { u16::from_le_bytes } else { u16::from_be_bytes });
    }
    match std::str::from_utf8(rest) {
        Ok(text) => Decoded { text: text.to_owned(), charset: "utf-8" },
        Err(_) => Decoded { text: rest.iter().map(|b| windows_1252(*b)).collect(), charset: "windows-1252" },
    }
}

/// The characters of 0x80 to 0x9F; the five that are not defined stay what they are in Latin-1.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}', '\u{90}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
];

fn windows_1252(byte: u8) -> char {
    match byte {
        0x80..=0x9F => HIGH.get(usize::from(byte - 0x80)).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
        byte => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_charset_says_the_same() {
        let text = "Name;Zoë € Müller\r\n";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let old = b"Name;Zo\xEB \x80 M\xFCller\r\n".to_vec();
        let marked = |mark: &[u8], rest: &[u8]| [mark, rest].concat();
        for (bytes, charset) in [
            (text.as_bytes().to_vec(), "utf-8"),
            (marked(&[0xEF, 0xBB, 0xBF], text.as_bytes()), "utf-8"),
            (marked(&[0xFF, 0xFE], &le), "utf-16"),
            (marked(&[0xFE, 0xFF], &be), "utf-16"),
            (le, "utf-16"),
            (be, "utf-16"),
            (old, "windows-1252"),
        ] {
            assert_eq!(decode(&bytes), Decoded { text: text.to_owned(), charset });
        }
        assert_eq!(decode(b"").text, "");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            decode(&bytes);
        }
    }
}

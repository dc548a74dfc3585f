//! How many SMS a text takes: 160 septets of the GSM alphabet alone or 153 in each of several, else 70 or 67 UTF-16
//! units (3GPP TS 23.038 and 23.040). A character never splits across two segments.

/// One septet each in the GSM 7-bit default alphabet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Two septets each: they follow an escape.
const EXTENDED: &str = "\u{c}^{}\\[~]|€";

/// The number of segments of `text`; an empty text is one.
pub fn count(text: &str) -> u32 {
    let septets: Option<Vec<usize>> = text.chars().map(septets).collect();
    match septets {
        Some(widths) => pack(&widths, 160, 153),
        None => pack(&text.chars().map(char::len_utf16).collect::<Vec<_>>(), 70, 67),
    }
}

fn septets(c: char) -> Option<usize> {
    if BASIC.contains(c) {
        Some(1)
    } else if EXTENDED.contains(c) {
        Some(2)
    } else {
        None
    }
}

fn pack(widths: &[usize], alone: usize, each: usize) -> u32 {
    if widths.iter().sum::<usize>() <= alone {
        return 1;
    }
    let (mut segments, mut used) = (1, 0);
    for width in widths {
        if used + width > each {
            segments += 1;
            used = 0;
        }
        used += width;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn borders_are_where_the_standard_puts_them() {
        let table = [
            (String::new(), 1),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            // 152 septets, then an escaped character that must move to the next segment as a whole.
            (format!("{}€{}", "a".repeat(152), "a".repeat(151)), 2),
            (format!("{}€{}", "a".repeat(152), "a".repeat(152)), 3),
            ("안".repeat(70), 1),
            ("안".repeat(71), 2),
            ("안".repeat(134), 2),
            ("안".repeat(135), 3),
            ("😀".repeat(35), 1),
            // 33 pairs fill 66 of 67 units; the 34th never splits.
            ("😀".repeat(36), 2),
            ("😀".repeat(67), 3),
            (format!("{}ç", "a".repeat(69)), 1),
            (format!("{}ç", "a".repeat(70)), 2),
        ];
        for (text, wanted) in table {
            assert_eq!(count(&text), wanted, "{} characters", text.chars().count());
        }
    }
}

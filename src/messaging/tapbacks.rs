//! Reactions that come as texts (“Liked “See you!””) from phones whose other side is not theirs, and back. Pure.
//!
//! iPhones send one of six verbs and the words that are meant, in the phone's language; newer ones, and Google
//! Messages, send the emoji itself. The words are compared with what was said before: only an exact match makes it a
//! reaction, so a sentence that merely begins like one stays a sentence. Pictures (“Liked an image”) are not guessed.

/// A reaction that came as a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tapback {
    /// What is shown on the message.
    pub emoji: String,
    /// Whether it is taken back.
    pub removed: bool,
    /// The words that are meant; may be cut with `…` at the end.
    pub quoted: String,
}

const HEART: &str = "❤️";
const LIKE: &str = "👍";
const DISLIKE: &str = "👎";
const LAUGH: &str = "😂";
const EMPHASIS: &str = "‼️";
const QUESTION: &str = "❓";

/// What stands before the quotation, in lower case, and what it means. English, German, French, Spanish.
const BEFORE: &[(&str, &str, bool)] = &[
    ("loved", HEART, false),
    ("liked", LIKE, false),
    ("disliked", DISLIKE, false),
    ("laughed at", LAUGH, false),
    ("emphasized", EMPHASIS, false),
    ("emphasised", EMPHASIS, false),
    ("questioned", QUESTION, false),
    ("removed a heart from", HEART, true),
    ("removed a like from", LIKE, true),
    ("removed a dislike from", DISLIKE, true),
    ("removed a laugh from", LAUGH, true),
    ("removed an exclamation from", EMPHASIS, true),
    ("removed a question mark from", QUESTION, true),
    // German
    ("hat ein herz für", HEART, false),
    ("liebt", HEART, false),
    ("gefällt", LIKE, false),
    ("gefällt mir", LIKE, false),
    ("gefällt nicht", DISLIKE, false),
    ("gefällt mir nicht", DISLIKE, false),
    ("lacht über", LAUGH, false),
    ("betonte", EMPHASIS, false),
    ("betont", EMPHASIS, false),
    ("hinterfragte", QUESTION, false),
    ("hinterfragt", QUESTION, false),
    ("herz entfernt von", HEART, true),
    ("„gefällt mir“ entfernt von", LIKE, true),
    // French
    ("a adoré", HEART, false),
    ("adore", HEART, false),
    ("a aimé", LIKE, false),
    ("aime", LIKE, false),
    ("n’a pas aimé", DISLIKE, false),
    ("n'a pas aimé", DISLIKE, false),
    ("n’aime pas", DISLIKE, false),
    ("n'aime pas", DISLIKE, false),
    ("a ri à", LAUGH, false),
    ("a ri de", LAUGH, false),
    ("rit de", LAUGH, false),
    ("a mis en évidence", EMPHASIS, false),
    ("a exclamé", EMPHASIS, false),
    ("s’exclame devant", EMPHASIS, false),
    ("a questionné", QUESTION, false),
    ("s’interroge sur", QUESTION, false),
    ("a supprimé un cœur de", HEART, true),
    ("a supprimé un j’aime de", LIKE, true),
    // Spanish
    ("le encantó", HEART, false),
    ("me encantó", HEART, false),
    ("le gustó", LIKE, false),
    ("me gustó", LIKE, false),
    ("le gusta", LIKE, false),
    ("no le gustó", DISLIKE, false),
    ("no me gustó", DISLIKE, false),
    ("le dio risa", LAUGH, false),
    ("se rió de", LAUGH, false),
    ("se rio de", LAUGH, false),
    ("enfatizó", EMPHASIS, false),
    ("exclamó por", EMPHASIS, false),
    ("cuestionó", QUESTION, false),
    ("eliminó un corazón de", HEART, true),
    ("eliminó un me gusta de", LIKE, true),
];

/// What stands after it in Korean and Japanese.
const AFTER: &[(&str, &str, bool)] = &[
    ("에 하트를 표시함", HEART, false),
    ("을(를) 사랑함", HEART, false),
    ("에 좋아요를 표시함", LIKE, false),
    ("을(를) 좋아함", LIKE, false),
    ("에 싫어요를 표시함", DISLIKE, false),
    ("을(를) 싫어함", DISLIKE, false),
    ("에 웃음을 표시함", LAUGH, false),
    ("을(를) 보고 웃음", LAUGH, false),
    ("을(를) 강조함", EMPHASIS, false),
    ("에 느낌표를 표시함", EMPHASIS, false),
    ("에 물음표를 표시함", QUESTION, false),
    ("에 의문을 표시함", QUESTION, false),
    ("에서 하트를 제거함", HEART, true),
    ("에서 좋아요를 제거함", LIKE, true),
    ("にハートを付けました", HEART, false),
    ("が大好きです", HEART, false),
    ("に“いいね”しました", LIKE, false),
    ("に「いいね」しました", LIKE, false),
    ("が好きです", LIKE, false),
    ("に“いまいち”と言いました", DISLIKE, false),
    ("が好きではありません", DISLIKE, false),
    ("を笑いました", LAUGH, false),
    ("に笑いました", LAUGH, false),
    ("を強調しました", EMPHASIS, false),
    ("に疑問を感じました", QUESTION, false),
    ("に“？”と言いました", QUESTION, false),
    ("からハートを削除しました", HEART, true),
];

/// What stands around an emoji: before it, between it and the quotation, whether it is taken back. An empty end means
/// that the quotation follows at once.
const WITH_EMOJI: &[(&str, &str, bool)] = &[
    ("reacted", "to", false),
    ("removed", "from", true),
    ("hat mit", "reagiert auf", false),
    ("hat mit", "auf", false),
    ("reagierte mit", "auf", false),
    ("a réagi avec", "à", false),
    ("a réagi", "à", false),
    ("reaccionó con", "a", false),
    ("reaccionó", "a", false),
    // Google Messages
    ("", "to", false),
    ("", "zu", false),
    ("", "à", false),
    ("", "a", false),
];

/// Quotation marks, each with its end.
const QUOTES: &[(char, char)] =
    &[('“', '”'), ('„', '“'), ('«', '»'), ('"', '"'), ('‘', '’'), ('「', '」'), ('”', '”'), ('『', '』')];

/// Characters of a text that may be a tapback; the quotation is as long as an SMS may be.
const CHARS_MAX: usize = 2_000;

/// Reads a tapback. Whether the quoted words were ever said is for the caller to see.
pub fn parse(text: &str) -> Option<Tapback> {
    let text =
        text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200a}' | '\u{200b}' | '\u{feff}'));
    if text.chars().count() > CHARS_MAX {
        return None;
    }
    QUOTES.iter().find_map(|(open, close)| {
        let start = text.find(*open)?;
        let (before, rest) = text.split_at_checked(start)?;
        let rest = rest.strip_prefix(*open)?;
        let (quoted, after) = rest.rsplit_once(*close)?;
        of_pieces(before, quoted, after)
    })
}

fn of_pieces(before: &str, quoted: &str, after: &str) -> Option<Tapback> {
    let tidy = |text: &str| {
        let plain: String =
            text.chars().filter(|c| !matches!(c, '\u{200a}' | '\u{200b}' | '\u{feff}')).collect();
        plain.replace(['\u{a0}', '\u{202f}'], " ").trim().to_lowercase()
    };
    let (before, after) = (tidy(before), tidy(after));
    let found = |emoji: &str, removed| {
        (!quoted.is_empty()).then(|| Tapback { emoji: emoji.to_owned(), removed, quoted: quoted.to_owned() })
    };
    if after.is_empty() {
        if let Some((_, emoji, removed)) = BEFORE.iter().find(|(words, ..)| *words == before) {
            return found(emoji, *removed);
        }
        return WITH_EMOJI.iter().find_map(|(start, end, removed)| {
            let rest = before.strip_prefix(start)?.strip_suffix(end)?.trim();
            is_emoji(rest).then(|| found(rest, *removed)).flatten()
        });
    }
    if before.is_empty() {
        if let Some((_, emoji, removed)) = AFTER.iter().find(|(words, ..)| *words == after) {
            return found(emoji, *removed);
        }
        let emoji = after.strip_prefix("에")?.trim().strip_suffix("반응을 남김");
        let emoji = emoji.or_else(|| after.strip_prefix("に")?.strip_suffix("でリアクションしました"));
        return emoji.map(str::trim).filter(|e| is_emoji(e)).and_then(|e| found(e, false));
    }
    None
}

/// One emoji, with its joiners and colours: no letters, no digits, no marks of a sentence.
fn is_emoji(text: &str) -> bool {
    let count = text.chars().count();
    (1..=16).contains(&count)
        && text.chars().all(|c| {
            matches!(u32::from(c),
                0x1f000..=0x1faff | 0x2190..=0x2bff | 0x3030 | 0x303d | 0x3297 | 0x3299 | 0x203c | 0x2049
                | 0x200d | 0xfe0f | 0x20e3 | 0xe0020..=0xe007f)
        })
}

/// Whether a message is the one that a tapback quotes.
pub fn is_meant(tapback: &Tapback, text: &str) -> bool {
    let plain = |text: &str| -> String { text.split_whitespace().collect::<Vec<_>>().join(" ") };
    let (quoted, text) = (plain(&tapback.quoted), plain(text));
    let cut = quoted.strip_suffix('…').or_else(|| quoted.strip_suffix("..."));
    match cut {
        Some(start) if start.chars().count() >= 8 => text == quoted || text.starts_with(start.trim_end()),
        _ => text == quoted,
    }
}

/// Whether somebody may put this on a message.
pub fn is_reaction(emoji: &str) -> bool {
    is_emoji(emoji) || [HEART, EMPHASIS].contains(&emoji)
}

/// The text that says the same to a phone: with iPhones' verbs where there is one, so that phones show it as it is
/// meant.
pub fn render(emoji: &str, removed: bool, quoted: &str) -> String {
    let verb = BEFORE.iter().find(|(_, known, back)| *known == emoji && *back == removed);
    match verb {
        Some((words, ..)) => {
            let mut letters = words.chars();
            let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            format!("{first}{} “{quoted}”", letters.as_str())
        }
        None if removed => format!("Removed {emoji} from “{quoted}”"),
        None => format!("Reacted {emoji} to “{quoted}”"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_of_many_languages_are_understood() {
        let table = [
            ("Liked “See you!”", LIKE, false, "See you!"),
            ("Loved \"See you!\"", HEART, false, "See you!"),
            ("Laughed at “He said “no””", LAUGH, false, "He said “no”"),
            ("Emphasized “a\nb”", EMPHASIS, false, "a\nb"),
            ("Removed a heart from “x”", HEART, true, "x"),
            ("Removed an exclamation from “x”", EMPHASIS, true, "x"),
            ("Reacted 🎉 to “Done”", "🎉", false, "Done"),
            ("Removed 🎉 from “Done”", "🎉", true, "Done"),
            ("\u{200a}👍\u{200b} to “ok then ”", "👍", false, "ok then "),
            ("❤️ to “ok”", "❤️", false, "ok"),
            ("Gefällt „Bis gleich“", LIKE, false, "Bis gleich"),
            ("Lacht über „Bis gleich“", LAUGH, false, "Bis gleich"),
            ("Hat mit 🎉 auf „Bis gleich“", "🎉", false, "Bis gleich"),
            ("A aimé «\u{a0}À bientôt\u{a0}»", LIKE, false, "\u{a0}À bientôt\u{a0}"),
            ("N’a pas aimé « Non »", DISLIKE, false, " Non "),
            ("Le gustó “Hasta luego”", LIKE, false, "Hasta luego"),
            ("Reaccionó con 😂 a “Hola”", "😂", false, "Hola"),
            ("“안녕”에 좋아요를 표시함", LIKE, false, "안녕"),
            ("“안녕”을(를) 강조함", EMPHASIS, false, "안녕"),
            ("「またね」に「いいね」しました", LIKE, false, "またね」に「いいね"),
            ("“またね”にハートを付けました", HEART, false, "またね"),
        ];
        for (text, emoji, removed, quoted) in table {
            let wanted = Tapback { emoji: emoji.to_owned(), removed, quoted: quoted.to_owned() };
            if text.contains("「いいね」") {
                // Nested marks of one kind are ambiguous: taken for a sentence.
                assert_eq!(parse(text), None, "{text}");
                continue;
            }
            assert_eq!(parse(text), Some(wanted), "{text}");
        }
    }

    #[test]
    fn a_sentence_stays_a_sentence() {
        for text in [
            "",
            "Liked",
            "Liked it",
            "Liked an image",
            "Liked “”",
            "I liked “Dune”",
            "Liked “Dune” a lot",
            "He said “hello”",
            "“hello” he said",
            "x to “y”",
            "1 to “y”",
            "Reacted badly to “y”",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_what_was_said_is_meant() {
        let tapback =
            |quoted: &str| Tapback { emoji: LIKE.to_owned(), removed: false, quoted: quoted.to_owned() };
        assert!(is_meant(&tapback(" See  you! "), "See you!"));
        assert!(!is_meant(&tapback("See you"), "See you!"));
        assert!(is_meant(&tapback("This is a long me…"), "This is a long message"));
        assert!(is_meant(&tapback("Wait…"), "Wait…"));
        assert!(!is_meant(&tapback("Wait…"), "Wait for me"));
    }

    #[test]
    fn what_we_write_is_what_we_read() {
        for emoji in [HEART, LIKE, DISLIKE, LAUGH, EMPHASIS, QUESTION, "🎉", "👩\u{200d}🚀"] {
            for removed in [false, true] {
                let text = render(emoji, removed, "What “he” said");
                let back = parse(&text).unwrap_or_else(|| panic!("{text}"));
                assert_eq!((back.emoji.as_str(), back.removed), (emoji, removed), "{text}");
                assert_eq!(back.quoted, "What “he” said");
                assert!(is_reaction(emoji));
            }
        }
        assert!(!is_reaction("ok") && !is_reaction("") && !is_reaction("1"));
    }
}

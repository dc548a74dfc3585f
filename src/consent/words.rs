//! The words by which people say that they want no more texts, want them again, or want help. Pure.
//!
//! The carriers' own lists in English (Twilio “Advanced Opt-Out”, Telnyx “Advanced Opt-In/Out”, AWS “Required opt-out
//! keywords”) and their kin in the languages of our people. A word counts only when it is all that was said: “please
//! stop teasing me” is for the friend.

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Nothing more from this number.
    Stop,
    /// Messages from this number again.
    Start,
    /// To know who this is and what can be done.
    Help,
}

impl Word {
    /// As stored and exported.
    pub fn as_str(self) -> &'static str {
        match self {
            Word::Stop => "stop",
            Word::Start => "start",
            Word::Help => "help",
        }
    }
}

/// Longer texts are no keyword.
const CHARS_MAX: usize = 30;

const STOP: &[&str] = &[
    "stop",
    "stopall",
    "stop all",
    "unsubscribe",
    "end",
    "quit",
    "cancel",
    "revoke",
    "optout",
    "opt-out",
    "opt out",
    "remove",
    "td",
    // Korean
    "수신거부",
    "수신 거부",
    "거부",
    "수신중지",
    "수신 중지",
    "중지",
    "해지",
    "그만",
    // German
    "stopp",
    "abmelden",
    "abbestellen",
    "austragen",
    "ende",
    // French
    "arret",
    "arrêt",
    "arreter",
    "arrêter",
    "stop sms",
    "desabonner",
    "désabonner",
    "desinscrire",
    "désinscrire",
    // Spanish
    "alto",
    "parar",
    "baja",
    "cancelar",
    "detener",
    "darse de baja",
    // Japanese
    "停止",
    "配信停止",
    "解除",
    "退会",
    "ストップ",
];

const START: &[&str] = &[
    "start",
    "unstop",
    "yes",
    "subscribe",
    "optin",
    "opt-in",
    "opt in",
    "join",
    "수신동의",
    "수신 동의",
    "동의",
    "시작",
    "재개",
    "starten",
    "anmelden",
    "reprendre",
    "demarrer",
    "démarrer",
    "commencer",
    "abonner",
    "iniciar",
    "comenzar",
    "alta",
    "empezar",
    "reanudar",
    "開始",
    "再開",
    "スタート",
    "登録",
];

const HELP: &[&str] =
    &["help", "info", "도움말", "도움", "안내", "hilfe", "aide", "ayuda", "ヘルプ", "助けて", "情報"];

/// The word, when a text is nothing but one. Case, spaces around it and marks at its end do not matter.
pub fn word(text: &str) -> Option<Word> {
    let marks: &[char] =
        &['.', '!', '。', '！', '"', '\'', '“', '”', '「', '」', ' ', '\n', '\t', '\u{3000}', '\u{a0}'];
    let bare = text.trim_matches(marks);
    if bare.is_empty() || bare.chars().count() > CHARS_MAX {
        return None;
    }
    let bare = bare.to_lowercase();
    let among = |list: &[&str]| list.contains(&bare.as_str());
    if among(STOP) {
        Some(Word::Stop)
    } else if among(START) {
        Some(Word::Start)
    } else if among(HELP) {
        Some(Word::Help)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_carriers_words_and_their_kin() {
        let table = [
            (
                Word::Stop,
                "STOP|stopall|Stop All|UNSUBSCRIBE|CANCEL|END|QUIT|REVOKE|OPTOUT|OPT-OUT|REMOVE|TD|Stop.|“Stop”| stop \n|수신거부|수신 거부|중지|STOPP|Abmelden|ARRÊT|Arret|Désabonner|BAJA|Alto!|停止|配信停止|ストップ。",
            ),
            (Word::Start, "START|Unstop|YES|수신동의|Starten|Reprendre|ALTA|再開"),
            (Word::Help, "HELP|info|도움말|Hilfe|AIDE|Ayuda|ヘルプ"),
        ];
        for (wanted, texts) in table {
            for text in texts.split('|') {
                assert_eq!(word(text), Some(wanted), "{text}");
            }
        }
    }

    #[test]
    fn what_is_said_to_a_friend_is_for_the_friend() {
        for text in [
            "",
            " ",
            "Stop it",
            "please stop",
            "STOP STOP",
            "help me",
            "Stop?",
            "yes please",
            "그만해",
            "🛑",
            "stop the bus at the corner please",
        ] {
            assert_eq!(word(text), None, "{text}");
        }
    }

    #[test]
    fn no_word_means_two_things() {
        let all: Vec<&&str> = STOP.iter().chain(START).chain(HELP).collect();
        for (index, one) in all.iter().enumerate() {
            assert!(!all[..index].contains(one), "{one}");
            assert_eq!(one.to_lowercase(), ***one, "{one}");
            assert!(one.chars().count() <= CHARS_MAX);
        }
    }
}

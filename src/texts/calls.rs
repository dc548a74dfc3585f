//! What a carrier's voice says to callers, and what is written about calls.

use super::{Locale, Short};

/// One text about calls, with what it needs to be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallText<'a> {
    /// Spoken to somebody whose phone is no user's.
    UnknownHandset,
    /// Spoken to a user who dialled a number that names no contact of his.
    UnknownNumber,
    /// Spoken to somebody who hides his number: who are you?
    HiddenNumber,
    /// Spoken when that was answered wrongly.
    WrongPin,
    /// Spoken to a caller who shall say who he is.
    SayYourName,
    /// Spoken to a telephone while somebody waits for the answer.
    RecordingConsent {
        /// Who wants to record the call.
        name: &'a str,
    },
    /// Spoken before the beep, when the account has written no greeting of its own.
    Greeting {
        /// Who does not answer.
        name: &'a str,
    },
    /// Spoken when no call can be taken at the moment.
    NotNow,
    /// SMS: somebody has left a message.
    VoicemailNotice {
        /// Who.
        name: &'a str,
        /// How long it is.
        seconds: i32,
    },
    /// Subject of [`CallText::VoicemailMailBody`].
    VoicemailMailSubject {
        /// Who left the message.
        name: &'a str,
    },
    /// Mail with a recording attached.
    VoicemailMailBody {
        /// Who left the message.
        name: &'a str,
        /// How long it is.
        seconds: i32,
    },
}

impl CallText<'_> {
    /// The text in a language.
    pub fn render(&self, locale: Locale) -> String {
        match locale {
            Locale::En => self.english(),
            Locale::Ko => self.korean(),
        }
    }

    fn english(&self) -> String {
        match *self {
            CallText::UnknownHandset => {
                "This number reaches a Meari member, but only from phones that are signed up. Goodbye."
                    .to_owned()
            }
            CallText::UnknownNumber => {
                "This number is none of your contacts. Please look at your Meari contacts. Goodbye."
                    .to_owned()
            }
            CallText::HiddenNumber => {
                "Your phone hides its number. Please enter your own mobile number with the \
                                       country code, then star, then your PIN, and finish with the hash key."
                    .to_owned()
            }
            CallText::WrongPin => "That is not right. Goodbye.".to_owned(),
            CallText::RecordingConsent { name } => {
                format!("{} would like to record this call. Press 1 to agree.", Short(name))
            }
            CallText::SayYourName => "Please say your name after the beep.".to_owned(),
            CallText::Greeting { name } => {
                format!("{} cannot answer right now. Please speak after the beep.", Short(name))
            }
            CallText::NotNow => {
                "Your call cannot be taken at the moment. Please try again. Goodbye.".to_owned()
            }
            CallText::VoicemailNotice { name, seconds } => {
                format!("Voicemail from {} ({seconds} s). Listen to it in Meari.", Short(name))
            }
            CallText::VoicemailMailSubject { name } => format!("Voicemail from {}", Short(name)),
            CallText::VoicemailMailBody { name, seconds } => format!(
                "Hello,\n\n{} called you and left a message of {seconds} seconds. It is attached; you can also listen \
                 to it in your conversation.\n\nMeari\n",
                Short(name)
            ),
        }
    }

    fn korean(&self) -> String {
        match *self {
            CallText::UnknownHandset => {
                "이 번호는 가입된 휴대전화에서만 연결되는 미아리 회원 번호입니다. 안녕히 계세요.".to_owned()
            }
            CallText::UnknownNumber => {
                "연락처에 없는 번호입니다. 미아리 연락처를 확인해 주세요. 안녕히 계세요.".to_owned()
            }
            CallText::HiddenNumber => {
                "발신 번호가 표시되지 않았습니다. 국가 번호를 포함한 휴대전화 번호, 별표, \
                                       비밀번호를 차례로 누르고 우물 정자를 눌러 주세요."
                    .to_owned()
            }
            CallText::WrongPin => "입력하신 정보가 올바르지 않습니다. 안녕히 계세요.".to_owned(),
            CallText::RecordingConsent { name } => {
                format!("{}님이 이 통화를 녹음하려고 합니다. 동의하시면 1번을 눌러 주세요.", Short(name))
            }
            CallText::SayYourName => "신호음 후에 이름을 말씀해 주세요.".to_owned(),
            CallText::Greeting { name } => {
                format!("{}님이 지금 전화를 받을 수 없습니다. 신호음 후에 말씀해 주세요.", Short(name))
            }
            CallText::NotNow => "지금은 전화를 연결할 수 없습니다. 잠시 후 다시 걸어 주세요.".to_owned(),
            CallText::VoicemailNotice { name, seconds } => {
                format!("[Meari] {}님이 음성 메시지({seconds}초)를 남겼습니다.", Short(name))
            }
            CallText::VoicemailMailSubject { name } => format!("{}님의 음성 메시지", Short(name)),
            CallText::VoicemailMailBody { name, seconds } => format!(
                "안녕하세요.\n\n{}님이 전화를 걸어 {seconds}초 길이의 음성 메시지를 남겼습니다. 첨부 파일이나 대화에서 \
                 들으실 수 있습니다.\n\nMeari 드림\n",
                Short(name)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lengths_are_filled_in_in_every_language() {
        for locale in Locale::ALL {
            let notice = CallText::VoicemailNotice { name: "Bob", seconds: 12 }.render(locale);
            assert!(notice.contains("Bob") && notice.contains("12"));
            assert!(CallText::Greeting { name: "Bob" }.render(locale).contains("Bob"));
        }
    }
}

//! What is asked when a text may be forged, and what numbers have become of.

use super::{Locale, Short};

/// SMS to a handset whose texts do not come as they always do, and what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardText<'a> {
    /// Who has a PIN is asked for it.
    AskPin,
    /// Who has an e-mail address got a code there.
    AskMailed,
    /// Who has neither gets the code here.
    AskCode {
        /// Six digits.
        code: &'a str,
    },
    /// The answer was not right.
    Wrong,
    /// Too many answers were not right.
    Locked {
        /// Where to sign in.
        service: &'a str,
    },
    /// Subject of [`GuardText::MailBody`].
    MailSubject,
    /// The letter with the code.
    MailBody {
        /// Six digits.
        code: &'a str,
    },
    /// The number that was written to is not in use any more.
    NumberChanged {
        /// Who had it.
        name: &'a str,
        /// The one he has now.
        number: &'a str,
    },
}

impl GuardText<'_> {
    /// The text in a language.
    pub fn render(&self, locale: Locale) -> String {
        match locale {
            Locale::En => self.english(),
            Locale::Ko => self.korean(),
        }
    }

    fn english(&self) -> String {
        match *self {
            GuardText::AskPin => {
                "Meari: a text came in your name in an unusual way and waits. Was it you? Reply with your PIN. If not, \
                 reply NO."
                    .to_owned()
            }
            GuardText::AskMailed => {
                "Meari: a text came in your name in an unusual way and waits. Was it you? Reply with the code in your \
                 mail. If not, reply NO."
                    .to_owned()
            }
            GuardText::AskCode { code } => format!(
                "Meari: a text came in your name in an unusual way and waits. Was it you? Reply {code}. If not, reply NO."
            ),
            GuardText::Wrong => "Meari: that was not right. Your texts wait on.".to_owned(),
            GuardText::Locked { service } => {
                format!("Meari: too many wrong answers. Your texts wait; sign in to send them: {service}")
            }
            GuardText::MailSubject => "Was it you who sent a text?".to_owned(),
            GuardText::MailBody { code } => format!(
                "Hello,\n\na text came in your name, but not in the way in which yours come. It has not been \
                 delivered.\n\nIf you wrote it, reply to our SMS with this code: {code}\n\nIf you did not, reply NO: the \
                 text is deleted, and you need not do anything else.\n\nMeari\n"
            ),
            GuardText::NumberChanged { name, number } => {
                format!("{} has a new number: {number}. Your text arrived; please use the new one.", Short(name))
            }
        }
    }

    fn korean(&self) -> String {
        match *self {
            GuardText::AskPin => {
                "[Meari] 평소와 다른 경로의 문자가 보류되었습니다. 본인이면 PIN을, 아니면 \"아니요\"를 답장해 주세요."
                    .to_owned()
            }
            GuardText::AskMailed => {
                "[Meari] 평소와 다른 경로의 문자가 보류되었습니다. 본인이면 메일의 번호를, 아니면 \"아니요\"를 답장해 주세요."
                    .to_owned()
            }
            GuardText::AskCode { code } => format!(
                "[Meari] 평소와 다른 경로의 문자가 보류되었습니다. 본인이면 {code}, 아니면 \"아니요\"를 답장해 주세요."
            ),
            GuardText::Wrong => "[Meari] 맞지 않습니다. 문자는 계속 보류됩니다.".to_owned(),
            GuardText::Locked { service } => {
                format!("[Meari] 입력 횟수를 초과했습니다. 로그인하여 보내 주세요: {service}")
            }
            GuardText::MailSubject => "본인이 보낸 문자인지 확인해 주세요".to_owned(),
            GuardText::MailBody { code } => format!(
                "안녕하세요.\n\n회원님의 이름으로 평소와 다른 경로의 문자가 도착하여 전달을 보류했습니다.\n\n본인이 \
                 보내셨다면 저희 문자에 다음 번호로 답장해 주세요: {code}\n\n아니라면 \"아니요\"라고 답장해 주세요. 문자는 \
                 삭제되며 더 하실 일은 없습니다.\n\nMeari 드림\n"
            ),
            GuardText::NumberChanged { name, number } => {
                format!("[Meari] 문자는 전달되었습니다. {}님의 새 번호: {number}", Short(name))
            }
        }
    }
}

//! Everything a person reads, in English and Korean, from one catalogue.
//!
//! A text is a variant of [`Text`]; [`Text::render`] matches on text and language together and has no catch-all, so a
//! missing translation does not compile. SMS texts are short: the English ones fit one GSM-7 segment, the Korean ones
//! aim at 70 UCS-2 units (`messaging::segments` tests both).

mod calls;
mod guard;

use serde::{Deserialize, Serialize};

pub use self::calls::CallText;
pub use self::guard::GuardText;

/// The longest name (characters) that we put into a text of ours; a longer one is cut.
const NAME_CHARS_MAX: usize = 24;

/// A language that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// English, for everybody whose language we do not speak.
    #[default]
    En,
    /// Korean.
    Ko,
}

impl Locale {
    /// All of them, for tests and lists of choice.
    pub const ALL: [Locale; 2] = [Locale::En, Locale::Ko];

    /// Reads a language tag (BCP 47: `ko`, `ko-KR`, `EN_us`); `None` for a language we do not speak.
    pub fn parse(tag: &str) -> Option<Self> {
        let language = tag.trim().split(['-', '_']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("en") {
            Some(Locale::En)
        } else if language.eq_ignore_ascii_case("ko") {
            Some(Locale::Ko)
        } else {
            None
        }
    }

    /// The short tag, as stored and as shown in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Locale::En => "en",
            Locale::Ko => "ko",
        }
    }
}

/// One text, with what it needs to be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text<'a> {
    /// SMS to a handset that is to be verified.
    VerificationCode {
        /// The digits to type in.
        code: &'a str,
    },
    /// SMS to a handset that was verified by texting us.
    VerifyByTextingConfirmed,
    /// SMS to a stranger who texted one of our numbers.
    UnknownHandset {
        /// Where to learn more, an address that phones make a link of (`https://meari.example.org`).
        service: &'a str,
    },
    /// SMS to a user who texted a number that names no contact of his.
    UnknownNumber,
    /// SMS to a user who texted the number of a contact that he has removed.
    ReleasedContact,
    /// What stands before the first SMS of a friend whose card is not on the phone yet. Ends with a space.
    Introduction {
        /// The friend's name.
        name: &'a str,
    },
    /// SMS: somebody asks to be a contact.
    RequestNotice {
        /// Who asks.
        name: &'a str,
    },
    /// Subject of [`Text::MobileVerifyMailBody`].
    MobileVerifyMailSubject,
    /// Mail that helps to verify a mobile number when no SMS arrives, and warns the owner when it was not he who asked.
    MobileVerifyMailBody {
        /// The number that is to be added, as people read it.
        number: &'a str,
        /// The page on which to type the code.
        link: &'a str,
        /// The code.
        code: &'a str,
    },
    /// Subject of [`Text::EmailVerificationBody`].
    EmailVerificationSubject,
    /// Mail that proves an address.
    EmailVerificationBody {
        /// One click does it.
        link: &'a str,
        /// Or typing this in.
        code: &'a str,
    },
    /// Subject of [`Text::AddressBookMailBody`].
    AddressBookMailSubject,
    /// Mail that explains how the numbers get into the phone.
    AddressBookMailBody {
        /// The page with the set-up for this phone.
        link: &'a str,
    },
    /// Subject of [`Text::AccountDeletionBody`].
    AccountDeletionSubject,
    /// Mail that asks to confirm that the account shall be deleted.
    AccountDeletionBody {
        /// Where to confirm.
        link: &'a str,
        /// What to type in.
        code: &'a str,
    },
    /// Subject of [`Text::AccountDeletedBody`].
    AccountDeletedSubject,
    /// Mail (or SMS when there is no address): it is done.
    AccountDeletedBody,
    /// What a configuration profile says it does.
    SetupProfileDescription,
    /// Heading of the page that sets a phone up.
    SetupPageTitle,
    /// The button for iPhones, iPads and Macs.
    SetupPageApple,
    /// The button for Android.
    SetupPageAndroid,
    /// What stands above the data to type in.
    SetupPageByHand,
    /// A label.
    SetupPageUsername,
    /// A label.
    SetupPagePassword,
    /// Button of the page that the link of [`Text::EmailVerificationBody`] opens.
    EmailConfirmButton,
    /// Page: the link of [`Text::EmailVerificationBody`] was good.
    EmailVerifiedPage,
    /// Page: the link of [`Text::EmailVerificationBody`] was not good.
    EmailLinkOverPage,
}

impl Text<'_> {
    /// The text in a language. Names are cut to 24 characters and lose line breaks, so that nobody writes our SMS
    /// with a long name.
    pub fn render(&self, locale: Locale) -> String {
        match locale {
            Locale::En => self.english(),
            Locale::Ko => self.korean(),
        }
    }

    fn english(&self) -> String {
        match *self {
            Text::VerificationCode { code } => {
                format!("{code} is your Meari code. Never tell it to anybody.")
            }
            Text::VerifyByTextingConfirmed => {
                "Thank you. This phone now belongs to your Meari account.".to_owned()
            }
            Text::UnknownHandset { service } => {
                format!("This number reaches a Meari member, but only from phones that are signed up. More: {service}")
            }
            Text::UnknownNumber => {
                "This number is none of your contacts, so nobody has received your text. See your Meari contacts."
                    .to_owned()
            }
            Text::ReleasedContact => {
                "This contact has been removed, so your text was not delivered. You can add it again in Meari."
                    .to_owned()
            }
            Text::Introduction { name } => format!("{} here (via Meari): ", Short(name)),
            Text::RequestNotice { name } => {
                format!("{} would like to write to you on Meari. Open Meari to accept or decline.", Short(name))
            }
            Text::MobileVerifyMailSubject => "Verify your mobile number".to_owned(),
            Text::MobileVerifyMailBody { number, link, code } => format!(
                "Hello,\n\nthe mobile number {number} is to be added to your Meari account.\n\nOpen this page and \
                 enter the code:\n{link}\n\nCode: {code}\n\nIf you did not ask for this, ignore this mail and \
                 change your password.\n\nMeari\n"
            ),
            Text::EmailVerificationSubject => "Verify your e-mail address".to_owned(),
            Text::EmailVerificationBody { link, code } => format!(
                "Hello,\n\nplease verify that this address is yours by opening this page:\n{link}\n\nor by entering \
                 this code: {code}\n\nIf you did not ask for this, ignore this mail: nothing happens.\n\nMeari\n"
            ),
            Text::AddressBookMailSubject => "Your Meari contacts on your phone".to_owned(),
            Text::AddressBookMailBody { link } => format!(
                "Hello,\n\nyour Meari contacts can appear in the address book of your phone, each with a number that \
                 you can text and call. Open this page on the phone and follow it:\n{link}\n\nIt works with the \
                 phone's own contacts app; there is nothing to install.\n\nMeari\n"
            ),
            Text::AccountDeletionSubject => "Confirm that your account shall be deleted".to_owned(),
            Text::AccountDeletionBody { link, code } => format!(
                "Hello,\n\nyou asked us to delete your Meari account with all contacts, numbers and messages. This \
                 cannot be undone.\n\nTo confirm, open this page:\n{link}\n\nor enter this code: {code}\n\nIf you did \
                 not ask for this, ignore this mail and change your password.\n\nMeari\n"
            ),
            Text::AccountDeletedSubject => "Your account has been deleted".to_owned(),
            Text::AccountDeletedBody => {
                "Your Meari account has been deleted. The numbers in your address book no longer work. Goodbye!"
                    .to_owned()
            }
            Text::SetupProfileDescription => {
                "Adds your Meari contacts to the address book of this device.".to_owned()
            }
            Text::SetupPageTitle => "Your contacts on this phone".to_owned(),
            Text::SetupPageApple => "iPhone, iPad, Mac: download the profile".to_owned(),
            Text::SetupPageAndroid => "Android: open DAVx⁵".to_owned(),
            Text::SetupPageByHand => "Any other program: add a CardDAV account with these data.".to_owned(),
            Text::SetupPageUsername => "User name".to_owned(),
            Text::SetupPagePassword => "Password".to_owned(),
            Text::EmailConfirmButton => "Verify".to_owned(),
            Text::EmailVerifiedPage => "Thank you. Your e-mail address is verified.".to_owned(),
            Text::EmailLinkOverPage => {
                "This link is no longer good. Ask for a new one in your account's settings.".to_owned()
            }
        }
    }

    fn korean(&self) -> String {
        match *self {
            Text::VerificationCode { code } => {
                format!("[Meari] 인증번호는 {code}입니다. 다른 사람에게 알려 주지 마세요.")
            }
            Text::VerifyByTextingConfirmed => {
                "[Meari] 인증이 완료되었습니다. 이제 이 휴대전화로 Meari를 이용하실 수 있습니다.".to_owned()
            }
            Text::UnknownHandset { service } => {
                format!("이 번호는 Meari 회원 전용 번호라 메시지가 전달되지 않았습니다. 안내: {service}")
            }
            Text::UnknownNumber => {
                "[Meari] 연락처에 없는 번호라 메시지가 전달되지 않았습니다. 연락처를 확인해 주세요."
                    .to_owned()
            }
            Text::ReleasedContact => {
                "[Meari] 삭제된 연락처라 메시지가 전달되지 않았습니다. Meari에서 다시 추가하실 수 있습니다."
                    .to_owned()
            }
            Text::Introduction { name } => format!("{}님이 Meari로 보낸 메시지: ", Short(name)),
            Text::RequestNotice { name } => {
                format!("[Meari] {}님이 대화를 요청했습니다. Meari에서 확인해 주세요.", Short(name))
            }
            Text::MobileVerifyMailSubject => "휴대전화 번호를 인증해 주세요".to_owned(),
            Text::MobileVerifyMailBody { number, link, code } => format!(
                "안녕하세요.\n\n회원님의 Meari 계정에 휴대전화 번호 {number} 등록이 요청되었습니다.\n\n아래 페이지를 \
                 열고 인증번호를 입력해 주세요.\n{link}\n\n인증번호: {code}\n\n본인이 요청하지 않으셨다면 이 메일을 \
                 무시하고 비밀번호를 변경해 주세요.\n\nMeari 드림\n"
            ),
            Text::EmailVerificationSubject => "이메일 주소를 인증해 주세요".to_owned(),
            Text::EmailVerificationBody { link, code } => format!(
                "안녕하세요.\n\n아래 페이지를 열어 본인의 이메일 주소임을 확인해 주세요.\n{link}\n\n또는 다음 \
                 인증번호를 입력해 주세요: {code}\n\n본인이 요청하지 않으셨다면 이 메일을 무시하셔도 됩니다.\n\n\
                 Meari 드림\n"
            ),
            Text::AddressBookMailSubject => "휴대전화에서 Meari 연락처를 사용해 보세요".to_owned(),
            Text::AddressBookMailBody { link } => format!(
                "안녕하세요.\n\nMeari 연락처를 휴대전화 주소록에 추가하실 수 있습니다. 연락처마다 문자와 통화가 \
                 가능한 번호가 표시됩니다. 휴대전화에서 아래 페이지를 열고 안내를 따라 주세요.\n{link}\n\n기본 \
                 연락처 앱을 그대로 사용하므로 따로 설치하실 것은 없습니다.\n\nMeari 드림\n"
            ),
            Text::AccountDeletionSubject => "계정 삭제를 확인해 주세요".to_owned(),
            Text::AccountDeletionBody { link, code } => format!(
                "안녕하세요.\n\nMeari 계정 삭제를 요청하셨습니다. 연락처, 번호, 메시지가 모두 삭제되며 되돌릴 수 \
                 없습니다.\n\n삭제하시려면 아래 페이지를 열어 주세요.\n{link}\n\n또는 다음 확인 번호를 입력해 주세요: \
                 {code}\n\n본인이 요청하지 않으셨다면 이 메일을 무시하고 비밀번호를 변경해 주세요.\n\nMeari 드림\n"
            ),
            Text::AccountDeletedSubject => "계정이 삭제되었습니다".to_owned(),
            Text::AccountDeletedBody => {
                "Meari 계정이 삭제되었습니다. 주소록의 Meari 번호는 더 이상 연결되지 않습니다. 감사합니다."
                    .to_owned()
            }
            Text::SetupProfileDescription => "이 기기의 주소록에 Meari 연락처를 추가합니다.".to_owned(),
            Text::SetupPageTitle => "이 휴대전화에서 연락처 사용하기".to_owned(),
            Text::SetupPageApple => "iPhone, iPad, Mac: 프로파일 내려받기".to_owned(),
            Text::SetupPageAndroid => "Android: DAVx⁵ 열기".to_owned(),
            Text::SetupPageByHand => {
                "다른 프로그램에서는 아래 정보로 CardDAV 계정을 추가해 주세요.".to_owned()
            }
            Text::SetupPageUsername => "사용자 이름".to_owned(),
            Text::SetupPagePassword => "비밀번호".to_owned(),
            Text::EmailConfirmButton => "인증하기".to_owned(),
            Text::EmailVerifiedPage => "감사합니다. 이메일 주소가 인증되었습니다.".to_owned(),
            Text::EmailLinkOverPage => {
                "더 이상 사용할 수 없는 링크입니다. 계정 설정에서 새 링크를 요청해 주세요.".to_owned()
            }
        }
    }
}

/// SMS that answers STOP, START or HELP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsentReply<'a> {
    /// No more texts.
    Stopped,
    /// Texts again.
    Started,
    /// What this is.
    Help {
        /// Where to learn more.
        service: &'a str,
    },
}

impl ConsentReply<'_> {
    /// The text in a language.
    pub fn render(&self, locale: Locale) -> String {
        match (self, locale) {
            (ConsentReply::Stopped, Locale::En) => {
                "You will get no more texts from this number. Text START to get them again.".to_owned()
            }
            (ConsentReply::Stopped, Locale::Ko) => {
                "[Meari] 이 번호의 문자 수신을 거부했습니다. 다시 받으려면 START를 보내 주세요.".to_owned()
            }
            (ConsentReply::Started, Locale::En) => {
                "You will get texts from this number again. Text STOP to end them.".to_owned()
            }
            (ConsentReply::Started, Locale::Ko) => {
                "[Meari] 이 번호의 문자를 다시 받습니다. 거부하려면 STOP을 보내 주세요.".to_owned()
            }
            (ConsentReply::Help { service }, Locale::En) => {
                format!(
                    "Your Meari contacts text you from numbers like this. Text STOP to end it. Help: {service}"
                )
            }
            (ConsentReply::Help { service }, Locale::Ko) => {
                format!("[Meari] 연락처의 문자가 오는 번호입니다. 거부: STOP. 안내: {service}")
            }
        }
    }
}

/// A name as it may stand inside a text of ours.
struct Short<'a>(&'a str);

impl std::fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::fmt::Write as _;
        let printable = self.0.trim().chars().filter(|c| !c.is_control());
        printable.take(NAME_CHARS_MAX).try_for_each(|c| f.write_char(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_tags_are_read_generously() {
        let table = [
            ("en", Some(Locale::En)),
            ("en-GB", Some(Locale::En)),
            ("ko", Some(Locale::Ko)),
            ("ko-KR", Some(Locale::Ko)),
            ("KO_kr", Some(Locale::Ko)),
            (" ko-Kore-KR ", Some(Locale::Ko)),
            ("kok", None),
            ("de-DE", None),
            ("", None),
        ];
        for (tag, wanted) in table {
            assert_eq!(Locale::parse(tag), wanted, "{tag:?}");
        }
        assert_eq!(Locale::default(), Locale::En);
    }

    #[test]
    fn locales_travel_as_short_words() {
        for locale in Locale::ALL {
            let json = serde_json::to_string(&locale).unwrap();
            assert_eq!(json, format!("\"{}\"", locale.as_str()));
            assert_eq!(serde_json::from_str::<Locale>(&json).unwrap(), locale);
        }
    }

    #[test]
    fn what_was_filled_in_can_be_read() {
        for locale in Locale::ALL {
            // Phones offer to fill in the code when no other digits stand beside it.
            let text = Text::VerificationCode { code: "482913" }.render(locale);
            assert_eq!(text.chars().filter(char::is_ascii_digit).collect::<String>(), "482913");
            let body =
                Text::EmailVerificationBody { link: "https://example.org/v", code: "777" }.render(locale);
            assert!(body.contains("https://example.org/v") && body.contains("777"));
            assert!(Text::UnknownHandset { service: "example.org" }.render(locale).contains("example.org"));
        }
        assert_eq!(Text::Introduction { name: "Bob" }.render(Locale::En), "Bob here (via Meari): ");
    }

    #[test]
    fn a_name_cannot_take_over_the_text() {
        let name = format!("Bob\r\nYour bank: {}", "x".repeat(500));
        let text = Text::Introduction { name: &name }.render(Locale::En);
        assert_eq!(text, "BobYour bank: xxxxxxxxxx here (via Meari): ");
    }
}

//! Sends one letter by SMTP (RFC 5321), over connections that are kept.

use std::fmt;
use std::time::Duration;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as Part, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::{self, PoolConfig};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::error::{Error, Result};

/// For each command and its answer.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(15);
/// For a letter from the first byte to the server's word that it has it.
const LETTER_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections at once; a mail server that is asked for more begins to refuse.
const CONNECTIONS_MAX: u32 = 8;
/// RFC 5321 §4.5.3.1.3 allows 254 octets in a path without its brackets.
const ADDRESS_BYTES_MAX: usize = 254;
/// Subjects of ours are short; a longer one is a mistake.
const SUBJECT_CHARS_MAX: usize = 200;
/// Text, page and attachments together: what common servers still take after base64.
const LETTER_BYTES_MAX: usize = 5 << 20;

/// A file that goes with a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The name the reader sees.
    pub name: String,
    /// Its media type (`text/vcard`).
    pub content_type: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// One letter to one person.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Letter {
    /// Names the letter: the same one sent twice is shown once. A random name when none is given.
    pub id: Option<String>,
    /// The address, without a name.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The letter as plain text.
    pub text: String,
    /// The same as a page.
    pub html: Option<String>,
    /// Files.
    pub attachments: Vec<Attachment>,
}

/// Letters hold codes and addresses, so the log sees only their size.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter").field("bytes", &self.size()).finish_non_exhaustive()
    }
}

impl Letter {
    fn size(&self) -> usize {
        let files = self.attachments.iter().map(|file| file.bytes.len()).sum::<usize>();
        self.text.len() + self.html.as_ref().map_or(0, String::len) + files
    }
}

/// Whether a text is an address that a mail server will take (a plain one, without a name).
pub fn is_address(text: &str) -> bool {
    text.len() <= ADDRESS_BYTES_MAX && text.parse::<Address>().is_ok()
}

/// The way out for letters. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Mailer(Option<Smtp>);

#[derive(Clone)]
struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("configured", &self.is_configured()).finish()
    }
}

impl Mailer {
    /// A mailer for a server (`smtps://user:password@mail.example.org`, `smtp://…?tls=required`, `smtp://127.0.0.1:25`)
    /// and a sender (`Meari <hello@example.org>`).
    ///
    /// # Errors
    /// `Invalid`, naming the setting and what is wrong with it, never the password.
    pub fn from_url(smtp_url: &str, mail_from: &str) -> Result<Mailer> {
        let from: Mailbox = mail_from.parse().map_err(|_| {
            Error::invalid(
                "mail_from",
                "not_an_address",
                "mail_from must look like Meari <hello@example.org>",
            )
        })?;
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(smtp_url).map_err(|error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let advice =
                "write smtps://user:password@host, smtp://user:password@host?tls=required or smtp://host:25";
            Error::invalid(
                "smtp_url",
                "not_a_mail_server",
                format!("smtp_url is not usable ({reason}); {advice}"),
            )
        })?;
        let transport = builder
            .timeout(Some(COMMAND_TIMEOUT))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS_MAX))
            .build();
        Ok(Mailer(Some(Smtp { transport, from })))
    }

    /// A mailer that refuses every letter, for installations without a mail server.
    pub fn none() -> Mailer {
        Mailer(None)
    }

    /// Whether letters can be sent at all.
    pub fn is_configured(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a letter and waits until the server has it.
    ///
    /// # Errors
    /// `Unavailable` when trying later helps (`mail_unavailable`) or no server is set (`mail_not_configured`),
    /// `Invalid` for an address or letter that cannot be sent, `Conflict` (`mail_refused`) when the server says never.
    pub async fn send(&self, letter: Letter) -> Result<()> {
        let smtp = self.smtp()?;
        let message = compose(&smtp.from, letter)?;
        match tokio::time::timeout(LETTER_TIMEOUT, smtp.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(judge(error)),
            Err(_) => Err(unavailable().context("the mail server took too long")),
        }
    }

    /// Asks the server whether it is there and takes our credentials.
    ///
    /// # Errors
    /// As [`Mailer::send`].
    pub async fn check(&self) -> Result<()> {
        let smtp = self.smtp()?;
        match tokio::time::timeout(COMMAND_TIMEOUT, smtp.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(unavailable().context("the mail server does not answer NOOP")),
            Ok(Err(error)) => Err(judge(error)),
            Err(_) => Err(unavailable().context("the mail server took too long")),
        }
    }

    fn smtp(&self) -> Result<&Smtp> {
        self.0.as_ref().ok_or_else(|| {
            Error::unavailable(
                "mail_not_configured",
                "This installation cannot send e-mail: smtp_url is not set.",
            )
        })
    }
}

fn unavailable() -> Error {
    Error::unavailable("mail_unavailable", "The mail server cannot be reached. Try again later.")
}

/// 4xx and broken connections pass; 5xx does not.
fn judge(error: smtp::Error) -> Error {
    if error.is_permanent() || error.is_client() {
        Error::conflict("mail_refused", "The mail server refuses this letter.").with_source(error)
    } else {
        unavailable().with_source(error)
    }
}

fn compose(from: &Mailbox, letter: Letter) -> Result<Message> {
    if letter.size() > LETTER_BYTES_MAX {
        return Err(Error::invalid("letter", "too_large", "The letter is larger than 5 MB."));
    }
    let not_an_address = || Error::invalid("address", "not_an_address", "This is not an e-mail address.");
    if letter.to.len() > ADDRESS_BYTES_MAX {
        return Err(not_an_address());
    }
    let to: Address = letter.to.parse().map_err(|_| not_an_address())?;
    let subject: String =
        letter.subject.chars().filter(|c| !c.is_control()).take(SUBJECT_CHARS_MAX).collect();
    let name = letter.id.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    let id = format!("<{name}@{}>", from.email.domain());
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(subject)
        .message_id(Some(id));
    // RFC 3834: nobody's out-of-office answer shall come back to us.
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    builder = builder.raw_header(HeaderValue::new(name, "auto-generated".to_owned()));
    let plain = SinglePart::plain(letter.text);
    let built = match (letter.html, letter.attachments.is_empty()) {
        (None, true) => builder.singlepart(plain),
        (Some(html), true) => {
            builder.multipart(MultiPart::alternative().singlepart(plain).singlepart(SinglePart::html(html)))
        }
        (html, false) => {
            let mut mixed = match html {
                None => MultiPart::mixed().singlepart(plain),
                Some(html) => {
                    let both = MultiPart::alternative().singlepart(plain).singlepart(SinglePart::html(html));
                    MultiPart::mixed().multipart(both)
                }
            };
            for file in letter.attachments {
                let kind = ContentType::parse(&file.content_type)
                    .map_err(|error| Error::caused("an attachment has no proper media type", error))?;
                mixed = mixed.singlepart(Part::new(file.name).body(file.bytes, kind));
            }
            builder.multipart(mixed)
        }
    };
    built.map_err(|error| Error::caused("composing a letter", error))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    use super::*;

    /// A mail server that answers `rcpt` to the recipient and hands over the letters it took.
    async fn serve(rcpt: &'static str) -> (String, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let (letters, taken) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, rcpt, letters.clone()));
            }
        });
        (url, taken)
    }

    async fn converse(
        stream: TcpStream,
        rcpt: &str,
        letters: mpsc::UnboundedSender<String>,
    ) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 mail.example.org\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            let answer = match line.split(' ').next().unwrap() {
                "RCPT" => rcpt,
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await?;
                    let mut letter = String::new();
                    while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                        letter += &(line + "\n");
                    }
                    letters.send(letter).unwrap();
                    "250 ok"
                }
                _ => "250 ok",
            };
            write.write_all(format!("{answer}\r\n").as_bytes()).await?;
        }
        Ok(())
    }

    fn letter(to: &str) -> Letter {
        Letter {
            to: to.to_owned(),
            subject: "인증".to_owned(),
            text: "code 123".to_owned(),
            ..Letter::default()
        }
    }

    #[tokio::test]
    async fn letters_arrive() {
        let (url, mut taken) = serve("250 ok").await;
        let mailer = Mailer::from_url(&url, "Meari <hello@example.org>").unwrap();
        mailer.send(letter("bob@example.org")).await.unwrap();
        let file =
            Attachment { name: "a.vcf".into(), content_type: "text/vcard".into(), bytes: b"BEGIN".to_vec() };
        let rich =
            Letter { html: Some("<p>hi</p>".into()), attachments: vec![file], ..letter("bob@example.org") };
        mailer.send(rich).await.unwrap();
        let letters = [taken.recv().await.unwrap(), taken.recv().await.unwrap()];
        assert!(
            letters[0].contains("To: bob@example.org") && letters[0].contains("code 123"),
            "{}",
            letters[0]
        );
        assert!(letters[0].contains("Auto-Submitted: auto-generated"));
        for wanted in ["multipart/mixed", "multipart/alternative", "text/html", "text/vcard", "a.vcf"] {
            assert!(letters[1].contains(wanted), "{wanted}: {}", letters[1]);
        }
    }

    #[tokio::test]
    async fn a_refusal_is_final_and_absence_is_not() {
        let (url, _taken) = serve("550 no such person").await;
        let mailer = Mailer::from_url(&url, "hello@example.org").unwrap();
        let error = mailer.send(letter("bob@example.org")).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("mail_refused", false));
        assert!(error.report().contains("no such person") && !error.to_string().contains("person"));

        let (url, _taken) = serve("451 later").await;
        let mailer = Mailer::from_url(&url, "hello@example.org").unwrap();
        let error = mailer.send(letter("bob@example.org")).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("mail_unavailable", true));

        let mailer = Mailer::from_url("smtp://127.0.0.1:1", "hello@example.org").unwrap();
        let error = mailer.send(letter("bob@example.org")).await.unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), ("mail_unavailable", true));
    }

    #[tokio::test]
    async fn without_a_server_everything_is_refused() {
        let error = Mailer::none().send(letter("bob@example.org")).await.unwrap_err();
        assert_eq!(error.code(), "mail_not_configured");
        assert!(!Mailer::none().is_configured());
    }

    #[tokio::test]
    async fn bad_addresses_never_reach_the_server() {
        let mailer = Mailer::from_url("smtp://127.0.0.1:1", "hello@example.org").unwrap();
        let long = format!("{}@example.org", "a".repeat(250));
        for to in ["", "bob", "bob@", "@example.org", "bob@example.org\r\nBcc: eve@example.org", &long] {
            let error = mailer.send(letter(to)).await.unwrap_err();
            assert_eq!(
                error.kind(),
                Error::invalid("address", "not_an_address", error.message().to_owned()).kind()
            );
            assert!(!is_address(to));
        }
        assert!(is_address("bob@example.org"));
    }

    #[test]
    fn settings_that_cannot_work_are_explained() {
        for (url, from, word) in [
            ("http://example.org", "a@example.org", "smtp_url"),
            ("mail.example.org", "a@example.org", "smtp_url"),
            ("smtp://user:geheim@example.org?tls=maybe", "a@example.org", "smtp_url"),
            ("smtp://example.org", "nobody", "mail_from"),
        ] {
            let error = Mailer::from_url(url, from).unwrap_err();
            assert!(error.message().contains(word), "{error}");
            assert!(!error.report().contains("geheim"), "{error:?}");
        }
    }
}

//! A friend whom the user wrote down himself: a card of his own that carries a messenger address, or an e-mail address
//! whose owner has consented to be found by it.
//!
//! Such a card is a wish. When the address is somebody's here, he is asked to be a friend, once; and as long as both
//! are friends the number stands on that same card. Nothing else of the card changes, and whoever takes the address
//! off the card ends the bond. It does nothing for addresses that nobody has, for those whom the user has blocked, and
//! beyond the limits, and the phone cannot tell these apart: a card is no way to find out who is a member.

use std::time::Duration;

use super::address::{ContactAddress, Network};
use super::roster::{self, Answer, Asked};
use super::store::{self, Person};
use super::vcard::{Card, Line, Version, fold_into};
use crate::accounts::emails;
use crate::accounts::limits::{self, Limit};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Kind, Result};
use crate::ids::{AccountId, ContactId};
use crate::phone::E164;

/// Cards with addresses that are looked at for one account. Each one counts before it is known whether it means
/// somebody: a directory is harvested by guesses that miss. What comes beyond is stored and means nobody.
const WISHES: Limit = Limit {
    name: "contact_wishes",
    code: "too_many_requests",
    max: 100,
    window: Duration::from_secs(24 * 3_600),
};

/// E-mail addresses of a card that are looked at.
const EMAILS_MAX: usize = 5;

/// The messenger's name, as it stands beside an address.
const SERVICE: &str = "meari";

/// What a card says of somebody who may be here: read once, before the write lane is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    address: Option<ContactAddress>,
    emails: Vec<String>,
    name: Option<String>,
    host: String,
}

impl Wish {
    /// Reads a card; `host` is this service's. `None` when it names nobody by any kind of address.
    pub fn on(card: &Card, host: &str) -> Option<Wish> {
        let (address, emails) = (address_on(card, host), emails_on(card));
        if address.is_none() && emails.is_empty() {
            return None;
        }
        let name = card.first("FN").map(Line::text_value).unwrap_or_default();
        let name = roster::parse_name(&name).ok().flatten();
        Some(Wish { address, emails, name, host: host.to_owned() })
    }

    /// How it stands to what the card said before.
    fn compared_with(&self, before: &Card) -> Compared {
        let Some(before) = Wish::on(before, &self.host) else { return Compared::Other };
        match (&self.address, &before.address) {
            // A messenger address goes before all others: what becomes of those changes nothing.
            (Some(address), Some(was)) if address == was => Compared::Same,
            (None, None) if self.emails == before.emails => Compared::Same,
            (None, None) => Compared::Emails,
            _ => Compared::Other,
        }
    }
}

enum Compared {
    Same,
    /// It goes by e-mail addresses, and they are others in part.
    Emails,
    Other,
}

/// The messenger address on a card: `IMPP:meari:bob`, what phones write when a service is typed in by hand
/// (`IMPP;X-SERVICE-TYPE=Meari:x-apple:bob`), or a Jabber address at our host (`X-JABBER:bob@host`, `IMPP:xmpp:bob@host`).
fn address_on(card: &Card, host: &str) -> Option<ContactAddress> {
    let on_line = |line: &Line| {
        let value = line.text_value();
        let value = value.trim();
        if value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("meari:")) {
            return ContactAddress::parse(value).ok();
        }
        if line.name == "X-MEARI" || line.has("X-SERVICE-TYPE", SERVICE) {
            return member(value.rsplit([':', '/']).next().unwrap_or(value));
        }
        let has_scheme = value.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("xmpp:"));
        let bare = if has_scheme { value.get(5..) } else { Some(value).filter(|_| line.name == "X-JABBER") };
        // What follows a slash or a question mark is a device, or what to do (RFC 5122 §2.2).
        let (local, domain) = bare?.split(['/', '?']).next()?.split_once('@')?;
        domain.eq_ignore_ascii_case(host).then(|| member(local)).flatten()
    };
    let kinds = ["IMPP", "X-MEARI", "X-JABBER"];
    card.lines.iter().filter(|l| kinds.contains(&l.name.as_str())).find_map(on_line)
}

fn member(handle: &str) -> Option<ContactAddress> {
    ContactAddress::parse(&format!("{}:{handle}", Network::Meari.as_str())).ok()
}

/// The e-mail addresses on a card, as accounts have them.
fn emails_on(card: &Card) -> Vec<String> {
    let addresses = card.named("EMAIL").filter_map(|line| emails::parse(&line.text_value()).ok());
    addresses.take(EMAILS_MAX).collect()
}

/// Whom a card means that is not bound to anybody yet; see [`person_on`].
pub fn wished(db: &mut Db, now: Timestamp, account: AccountId, wish: &Wish) -> Result<Option<Person>> {
    match limits::try_take(db, now, &WISHES, &account.to_string())? {
        None => person_on(db, account, wish),
        Some(_) => Ok(None),
    }
}

/// Whom a card means that is bound to a friend by what it said before.
pub fn still_wished(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    wish: &Wish,
    (before, friend): (&[u8], ContactId),
) -> Result<Option<Person>> {
    let compared = Card::parse(before).map_or(Compared::Other, |before| wish.compared_with(&before));
    if matches!(compared, Compared::Same) {
        return person_on(db, account, wish);
    }
    let found = wished(db, now, account, wish)?;
    if found.is_some() || !matches!(compared, Compared::Emails) {
        return Ok(found);
    }
    // Beyond the limit nobody else is looked for, but whoever it was stays it while his address is on the card.
    let peer = store::find(db, account, friend)?.and_then(|contact| contact.peer_account_id);
    let Some(peer) = peer else { return Ok(None) };
    let is_his = emails::holders(db, &wish.emails)?.iter().any(|(holder, _)| *holder == peer);
    if is_his && store::are_friends(db, account, peer)? { store::find_person(db, peer) } else { Ok(None) }
}

/// Whom a card means; none when it means nobody that can be asked. A messenger address goes before e-mail addresses.
fn person_on(db: &mut Db, account: AccountId, wish: &Wish) -> Result<Option<Person>> {
    if let Some(address) = &wish.address {
        return unless_refused(roster::resolve(db, account, address));
    }
    for (holder, findable) in emails::holders(db, &wish.emails)? {
        // Consent is for being found. Who is a friend by now stays it on the card, too, when it is taken back.
        if holder != account && (findable || store::are_friends(db, account, holder)?) {
            return store::find_person(db, holder);
        }
    }
    Ok(None)
}

/// Sees to it that the person on a card, who was looked up by [`wished`], is asked; the contact, when there is one that
/// is not blocked.
pub fn befriend(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    person: Person,
    wish: &Wish,
) -> Result<Option<ContactId>> {
    let custom_name = wish.name.clone();
    match unless_refused(roster::request(db, now, account, Asked { person, custom_name }))? {
        Some(Answer::Created(contact) | Answer::Already(contact)) => Ok(Some(contact)),
        Some(Answer::Blocked | Answer::Full) | None => Ok(None),
    }
}

/// What is refused does nothing to the card; what breaks is an error still.
fn unless_refused<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), Kind::Internal | Kind::Unavailable) => Err(error),
        Err(_) => Ok(None),
    }
}

/// The card with the friend's number on it; `before` is the number that we put there last. Everything else stays to
/// the byte as long as nothing has to be taken off.
pub fn with_number(body: &[u8], before: Option<&str>, number: Option<&E164>) -> Option<Vec<u8>> {
    let mut card = Card::parse(body).ok()?;
    let has = |card: &Card, wanted: &str| card.named("TEL").any(|l| digits(&l.value) == wanted);
    let stale = before.filter(|b| number.is_none_or(|n| n.as_str() != *b) && has(&card, b));
    let mut text = match stale {
        Some(old) => {
            card.lines.retain(|l| l.name != "TEL" || digits(&l.value) != old);
            card.render()
        }
        None => String::from_utf8(body.to_vec()).ok()?,
    };
    if let Some(number) = number.filter(|n| !has(&card, n.as_str())) {
        let end = text.to_ascii_uppercase().rfind("END:VCARD")?;
        let rest = text.split_off(end);
        fold_into(&mut text, &Line::new("TEL", number.as_str()).with("TYPE", "CELL").render(Version::V3));
        text.push_str(&rest);
    }
    Some(text.into_bytes())
}

fn digits(value: &str) -> String {
    let value = value.strip_prefix("tel:").unwrap_or(value);
    value.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(more: &str) -> String {
        format!("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:u\r\nFN:Bob\r\n{more}END:VCARD\r\n")
    }

    #[test]
    fn an_address_is_found_however_a_phone_writes_it() {
        for (line, found) in [
            ("IMPP:meari:bob", Some("meari:bob")),
            ("IMPP;TYPE=home:Meari:Bob", Some("meari:bob")),
            ("item1.IMPP;X-SERVICE-TYPE=Meari;type=pref:x-apple:bob", Some("meari:bob")),
            ("IMPP;X-SERVICE-TYPE=MEARI:bob", Some("meari:bob")),
            ("X-MEARI:bob", Some("meari:bob")),
            ("IMPP;X-SERVICE-TYPE=Jabber:xmpp:bob@example.com", None),
            ("IMPP;X-SERVICE-TYPE=Jabber:xmpp:bob@chat.example.org", Some("meari:bob")),
            ("X-JABBER:Bob@Chat.Example.org/phone", Some("meari:bob")),
            ("X-JABBER:bob@example.org", None),
            ("X-JABBER:bob", None),
            ("IMPP:meari:", None),
            ("NOTE:meari:bob", None),
        ] {
            let card = Card::parse(card(&format!("{line}\r\n")).as_bytes()).unwrap();
            assert_eq!(
                address_on(&card, "chat.example.org").map(|a| a.to_string()).as_deref(),
                found,
                "{line}"
            );
        }
    }

    #[test]
    fn the_number_comes_and_goes_and_the_rest_stays() {
        let own = card(
            "TEL;TYPE=HOME:+1 202-555-0101\r\nNOTE:a line that the client has folded\r\n  in its own way\r\n",
        );
        let number = E164::parse("+12025550123").unwrap();
        let text = |body: Vec<u8>| String::from_utf8(body).unwrap();
        let with = text(with_number(own.as_bytes(), None, Some(&number)).unwrap());
        assert_eq!(with, own.replace("END:", "TEL;TYPE=CELL:+12025550123\r\nEND:"));
        assert_eq!(text(with_number(with.as_bytes(), Some("+12025550123"), Some(&number)).unwrap()), with);
        let other = E164::parse("+12025550199").unwrap();
        let moved = text(with_number(with.as_bytes(), Some("+12025550123"), Some(&other)).unwrap());
        assert!(moved.contains("+12025550199") && !moved.contains("+12025550123"), "{moved}");
        assert!(moved.contains("TEL;TYPE=HOME:+1 202-555-0101"), "{moved}");
        let gone = text(with_number(moved.as_bytes(), Some("+12025550199"), None).unwrap());
        assert!(!gone.contains("+12025550199") && gone.contains("+1 202-555-0101"), "{gone}");
    }
}

//! Many contacts at once: each is answered for itself, or all of them or none.

use std::collections::HashMap;

use super::address::ContactAddress;
use super::roster::{self, Answer, Asked};
use super::store::{self, Person};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, FieldError, Kind, Result};
use crate::ids::{AccountId, ContactId};

/// Contacts in one import at most.
pub const IMPORT_MAX: usize = 10_000;
/// Contacts written in one transaction, unless all or none is wanted.
pub const CHUNK: usize = store::CHUNK;
/// Faults named in the answer to an import that wants all or none.
const FAULTS_MAX: usize = 100;

/// One contact of an import.
#[derive(Debug, Clone)]
pub struct Item {
    /// `meari:bob`
    pub address: String,
    /// What to call it.
    pub display_name: Option<String>,
}

/// Why an item cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A stable word.
    pub code: &'static str,
    /// A sentence.
    pub detail: String,
}

/// What an item asks for, or why it cannot be had.
pub type Checked = std::result::Result<Asked, Fault>;

/// What came of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The contact is there now.
    Created(ContactId),
    /// It was there before.
    Already(ContactId),
    /// It cannot be had.
    Invalid(Fault),
}

impl Fault {
    fn of(error: &Error) -> Self {
        let code = match error.kind() {
            Kind::Invalid(fields) => fields.first().map_or(error.code(), |f| f.code),
            _ => error.code(),
        };
        Fault { code, detail: error.message().to_owned() }
    }
}

/// Looks up whom the items mean; changes nothing. Reads as many people as there are, a thousand at a time.
pub fn check(db: &mut Db, me: AccountId, items: &[Item]) -> Result<Vec<Checked>> {
    let parsed: Vec<Result<(ContactAddress, Option<String>)>> = items.iter().map(parse).collect();
    let handles: Vec<&str> = parsed.iter().flatten().map(|(address, _)| address.address.as_str()).collect();
    let people = store::list_people(db, &handles)?;
    let people: HashMap<&str, &Person> = people.iter().map(|p| (p.handle.as_str(), p)).collect();
    let look_up = |parsed: Result<(ContactAddress, Option<String>)>| -> Result<Asked> {
        let (address, custom_name) = parsed?;
        let person = people.get(address.address.as_str()).ok_or_else(|| roster::no_such_address(&address))?;
        if person.id == me {
            return Err(roster::yourself());
        }
        Ok(Asked { person: (*person).clone(), custom_name })
    };
    Ok(parsed.into_iter().map(|one| look_up(one).map_err(|error| Fault::of(&error))).collect())
}

fn parse(item: &Item) -> Result<(ContactAddress, Option<String>)> {
    let address = ContactAddress::parse(&item.address)?;
    address.require_available()?;
    let name = item.display_name.as_deref().map(roster::parse_name).transpose()?.flatten();
    Ok((address, name))
}

/// How many of the items mean nobody: whoever guesses addresses is slowed down by it.
pub fn unknown_count(checked: &[Checked]) -> usize {
    checked.iter().filter(|c| c.as_ref().is_err_and(|fault| fault.code == "no_such_address")).count()
}

/// Asks for the items that can be had; answers all in their order.
pub fn write(db: &mut Db, now: Timestamp, me: AccountId, checked: &[Checked]) -> Result<Vec<Outcome>> {
    let mut answers = Vec::new();
    let asked: Vec<Asked> = checked.iter().flatten().cloned().collect();
    for chunk in asked.chunks(CHUNK) {
        answers.extend(roster::request_many(db, now, me, chunk)?);
    }
    let mut answers = answers.into_iter();
    let to_outcome = |one: &Checked| match one {
        Err(fault) => Ok(Outcome::Invalid(fault.clone())),
        Ok(_) => answers.next().map(outcome).ok_or_else(|| Error::internal("an import has too few answers")),
    };
    checked.iter().map(to_outcome).collect()
}

/// Like [`write`], but when one item cannot be had it answers an error, and the transaction changes nothing.
pub fn write_all_or_none(
    db: &mut Db,
    now: Timestamp,
    me: AccountId,
    checked: &[Checked],
) -> Result<Vec<Outcome>> {
    refuse_faults(checked.iter().map(|one| one.as_ref().err()))?;
    let outcomes = write(db, now, me, checked)?;
    let fault = |outcome: &'_ Outcome| match outcome {
        Outcome::Invalid(fault) => Some(fault.clone()),
        Outcome::Created(_) | Outcome::Already(_) => None,
    };
    let faults: Vec<Option<Fault>> = outcomes.iter().map(fault).collect();
    refuse_faults(faults.iter().map(Option::as_ref))?;
    Ok(outcomes)
}

fn refuse_faults<'a>(faults: impl Iterator<Item = Option<&'a Fault>>) -> Result<()> {
    let to_field = |(place, fault): (usize, Option<&Fault>)| {
        fault.map(|f| FieldError {
            field: format!("contacts.{place}.address").into(),
            code: f.code,
            detail: f.detail.clone().into(),
        })
    };
    let fields: Vec<FieldError> = faults.enumerate().filter_map(to_field).take(FAULTS_MAX).collect();
    if fields.is_empty() { Ok(()) } else { Err(Error::invalid_fields(fields)) }
}

fn outcome(answer: Answer) -> Outcome {
    let invalid = |code, detail: &str| Outcome::Invalid(Fault { code, detail: detail.to_owned() });
    match answer {
        Answer::Created(id) => Outcome::Created(id),
        Answer::Already(id) => Outcome::Already(id),
        Answer::Blocked => invalid("contact_blocked", "You have blocked this contact."),
        Answer::Full => invalid("too_many_contacts", "You have as many contacts as an account may have."),
    }
}

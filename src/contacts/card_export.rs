//! Cards as a plain file, for phones and programs without CardDAV: all, those that changed since a time, those of one
//! book, or a friend's alone. Read in parts, so that a long file leaves while it is read.

use std::collections::{HashSet, VecDeque};

use super::books::{self, AddressBook, NAMES_MAX, object_name};
use super::card_versions::in_version;
use super::vcard::{Card, Version};
use super::{book_store, sharing};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, AddressBookId, ContactId};

/// Which cards, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// In which version.
    pub version: Version,
    /// Only those that changed at or after this instant.
    pub since: Option<Timestamp>,
    /// Only those of one book.
    pub book: Option<AddressBookId>,
}

/// Some cards of one book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    reader: AccountId,
    owner: AccountId,
    book: AddressBookId,
    names: Vec<String>,
}

/// What a file will hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The name of the one book that was asked for.
    pub book_name: Option<String>,
    /// In their order.
    pub parts: VecDeque<Part>,
}

/// The cards of all books that the account may read, or of one. Each card once, as it is when its part is read.
pub fn list(db: &mut Db, account: AccountId, wanted: &Wanted) -> Result<Listing> {
    let books: Vec<AddressBook> = match wanted.book {
        Some(book) => {
            let owner = sharing::owner_of(db, account, book)?;
            book_store::find_book(db, owner, book)?.into_iter().collect()
        }
        None => {
            let shared = sharing::shared_with(db, account)?.into_iter().map(|with| with.book);
            books::list(db, account)?.into_iter().chain(shared).collect()
        }
    };
    let book_name = wanted.book.and(books.first()).map(|book| book.display_name.clone());
    let mut parts = VecDeque::new();
    for book in &books {
        let listed = books::list_objects(db, book.account_id, book.id)?;
        let names: Vec<String> = listed
            .into_iter()
            .filter(|listed| {
                let changed_at = listed.object.as_ref().map(|traits| traits.updated_at);
                wanted.since.is_none_or(|since| changed_at >= Some(since))
            })
            .map(|listed| listed.name)
            .collect();
        let to_part = |names: &[String]| Part {
            reader: account,
            owner: book.account_id,
            book: book.id,
            names: names.to_vec(),
        };
        parts.extend(names.chunks(NAMES_MAX).map(to_part));
    }
    Ok(Listing { book_name, parts })
}

/// The text of the first cards of a part, as many as one read brings, and the part that is left of it. Cards that are
/// gone meanwhile are left out. Access is asked for anew: a shared book may be closed while its file leaves.
pub fn read(db: &mut Db, part: Part, version: Version) -> Result<(Vec<u8>, Option<Part>)> {
    sharing::check_read(db, part.owner, part.book, part.reader)?;
    let names: Vec<&str> = part.names.iter().map(String::as_str).collect();
    let (mut found, complete) = books::find_some(db, part.owner, part.book, &names)?;
    found.sort_by_key(|object| object.seq);
    let mut out = Vec::new();
    for object in &found {
        out.extend_from_slice(&in_version(&object.body, version));
        if !out.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
    }
    if complete {
        return Ok((out, None));
    }
    let read: HashSet<String> = found.into_iter().map(|object| object.name).collect();
    let names = part.names.into_iter().filter(|name| !read.contains(name)).collect();
    Ok((out, Some(Part { names, ..part })))
}

/// A friend's card with the name on it.
pub fn friend(
    db: &mut Db,
    account: AccountId,
    contact: ContactId,
    version: Version,
) -> Result<(String, Vec<u8>)> {
    let missing = || Error::missing("no_card", "This contact has no card now: it has no number.");
    super::roster::load(db, account, contact)?;
    let book = books::list(db, account)?.into_iter().find(AddressBook::is_messenger).ok_or_else(missing)?;
    let object = books::find(db, account, book.id, &object_name(contact))?.ok_or_else(missing)?;
    let name = Card::parse(&object.body).ok().and_then(|c| c.first("FN").map(super::vcard::Line::text_value));
    Ok((name.unwrap_or_default(), in_version(&object.body, version)))
}

/// A name for a file on any system: letters, digits and a few signs, at most 60 characters.
pub fn file_stem(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { ' ' })
        .take(60)
        .collect();
    let stem = plain.split_whitespace().collect::<Vec<_>>().join("-");
    let stem = stem.trim_matches(['.', '-']).to_owned();
    if stem.is_empty() { "contacts".to_owned() } else { stem }
}

/// RFC 6266: the name as everybody reads it, and beside it the name with its own letters.
pub fn disposition(stem: &str) -> String {
    let ascii: String = stem.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let encoded = percent_encoding::utf8_percent_encode(stem, percent_encoding::NON_ALPHANUMERIC);
    match stem.is_ascii() {
        true => format!("attachment; filename=\"{ascii}.vcf\""),
        false => format!("attachment; filename=\"{ascii}.vcf\"; filename*=UTF-8''{encoded}.vcf"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_suit_every_system() {
        for (name, stem) in [
            ("Family", "Family"),
            ("Bob \"the/builder\"\r\n", "Bob-the-builder"),
            ("../../etc/passwd", "etc-passwd"),
            ("김 철수", "김-철수"),
            ("", "contacts"),
            ("...", "contacts"),
        ] {
            assert_eq!(file_stem(name), stem.trim_matches('-'), "{name}");
        }
        assert_eq!(disposition("Family"), "attachment; filename=\"Family.vcf\"");
        assert_eq!(disposition("é"), "attachment; filename=\"_.vcf\"; filename*=UTF-8''%C3%A9.vcf");
    }
}

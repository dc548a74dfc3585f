//! Sync tokens and CTags (RFC 6578 4): a URI that names the book and the state.

use crate::contacts::books::{AddressBook, SyncState};
use crate::ids::AddressBookId;

const SCHEME: &str = "data:,";

/// The token of a state of a book.
pub fn render(book: AddressBookId, state: SyncState) -> String {
    let id = book.0.simple();
    if state.seq == state.base {
        format!("{SCHEME}{id}-{}", state.seq)
    } else {
        format!("{SCHEME}{id}-{}-{}", state.seq, state.base)
    }
}

/// The state in a token; `None` when it is none of this book's, which is also how a book made anew forgets old tokens.
pub fn parse(book: AddressBookId, text: &str) -> Option<SyncState> {
    let rest = text.strip_prefix(SCHEME)?;
    let mut parts = rest.split('-');
    if parts.next()? != book.0.simple().to_string() {
        return None;
    }
    let number = |text: &str| text.parse::<i64>().ok().filter(|n| *n >= 0 && n.to_string() == text);
    let seq = number(parts.next()?)?;
    let base = match parts.next() {
        Some(text) => number(text).filter(|base| *base > seq)?,
        None => seq,
    };
    if parts.next().is_some() { None } else { Some(SyncState { seq, base }) }
}

/// The CTag: changes whenever anything in the book does.
pub fn ctag(book: &AddressBook) -> String {
    format!("{}-{}", book.id.0.simple(), book.seq)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn tokens_name_book_and_state() {
        let book = AddressBookId::new(Timestamp(1_760_000_000_000_000));
        for state in
            [SyncState { seq: 0, base: 0 }, SyncState { seq: 7, base: 7 }, SyncState { seq: 7, base: 90 }]
        {
            assert_eq!(parse(book, &render(book, state)), Some(state));
        }
        let other = AddressBookId::new(Timestamp(1_760_000_000_000_001));
        assert_eq!(parse(other, &render(book, SyncState { seq: 7, base: 7 })), None);
        for bad in ["", "http://example.org/ns/sync/5", "data:,x-1"] {
            assert_eq!(parse(book, bad), None);
        }
        let id = book.0.simple();
        for bad in ["", "-", "-x", "-1-", "-1-1", "-2-1", "--1", "-1-2-3", "-01", "-99999999999999999999"] {
            assert_eq!(parse(book, &format!("data:,{id}{bad}")), None, "{bad}");
        }
    }
}

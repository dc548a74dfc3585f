//! Files of cards into an address book: read, shown with their faults and duplicates, and written when the user says so.
//!
//! The preview holds every card of the file as it will be stored. Nothing is written into the book before `apply`, and
//! nothing is merged that the user has not said to merge. Applying goes in portions; each row is done once, whatever
//! happens between: what became of it is written in the transaction that wrote the card.

mod csv;
mod draft;
mod duplicates;
mod store;
mod text;
mod vcards;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::draft::{Draft, Fault};
use self::duplicates::{Index, merged};
use self::store::{CardImport, ImportRow};
use super::books::{self, AddressBook, PERSONAL, Put, Refusal, Written};
use super::card_friends::Wish;
use super::contact::words;
use super::vcard::{Card, Line, comparable_uid};
use super::{book_store, jobs, sharing, store as roster_store};
use crate::accounts;
use crate::accounts::limits::{self, Limit};
use crate::app::App;
use crate::clock::Timestamp;
use crate::dav::EntityCondition;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{AccountId, AddressBookId, CardImportId};
use crate::queue;
use crate::texts::Locale;

/// Bytes of a file at most: ten thousand cards, some with pictures.
pub const FILE_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Cards of a file at most.
pub const ROWS_MAX: usize = 10_000;
/// Imports of one account at most that wait or have just been done.
const OPEN_MAX: i64 = 5;
/// How long an import is kept.
pub const KEPT: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);
/// Rows written in one transaction.
const PORTION: i64 = 100;
/// Cards of the book read at once.
const PAGE: i64 = 500;

/// Files of one account.
const IMPORTS: Limit = Limit {
    name: "card_imports",
    code: "too_many_imports",
    max: 50,
    window: std::time::Duration::from_secs(24 * 3_600),
};

words! {
    /// How far an import has come.
    CardImportState {
        /// It can be looked at and applied.
        Ready = "ready",
        /// Its cards are being written.
        Applying = "applying",
        /// It is done.
        Done = "done",
    }
}

words! {
    /// What shall happen to a card of somebody who is in the book already.
    DuplicateChoice {
        /// Leave it out.
        Skip = "skip",
        /// Put what is new on it onto the card that is there.
        Merge = "merge",
        /// Write it beside the other one.
        KeepBoth = "keep_both",
    }
}

words! {
    /// What became of a row.
    RowOutcome {
        /// It is a new card.
        Created = "created",
        /// It was put onto a card that was there.
        Merged = "merged",
        /// It was left out as a duplicate.
        Skipped = "skipped",
        /// It was no card.
        Fault = "fault",
        /// The book did not take it.
        Refused = "refused",
    }
}

/// Which rows a list wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowsWanted {
    /// All of them.
    #[default]
    All,
    /// Those that are no cards.
    Problems,
    /// Those of people who are in the book already.
    Duplicates,
}

/// An import as clients see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CardImportView {
    /// `imp_…`
    #[schema(value_type = String)]
    pub id: CardImportId,
    /// The book it goes into.
    #[schema(value_type = String)]
    pub book_id: AddressBookId,
    /// `vcard`, `google` or `outlook`.
    pub format: String,
    /// What the file was written in: `utf-8`, `utf-16` or `windows-1252`.
    pub charset: String,
    /// The country whose numbers are meant where none is named (ISO 3166).
    pub region: String,
    /// How far it has come.
    pub state: CardImportState,
    /// Cards and faults together.
    pub rows: i64,
    /// Rows that are no cards.
    pub problems: i64,
    /// Cards of people who are in the book, or stand in the file before.
    pub duplicates: i64,
    /// Rows that are done; equals `rows` at the end.
    pub done: i64,
    /// New cards.
    pub created: i64,
    /// Cards put onto others.
    pub merged: i64,
    /// Duplicates left out.
    pub skipped: i64,
    /// Cards that the book did not take: it is full.
    pub refused: i64,
    /// When it was uploaded; a day later it is forgotten.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A row as clients see it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImportRowView {
    /// Its place in the file, from 0; names it in choices.
    pub row: i32,
    /// Its line in the file, from 1.
    pub line: i32,
    /// The name on it.
    pub name: String,
    /// Why it is no card: a stable word.
    #[schema(required)]
    pub code: Option<String>,
    /// Why it is no card: a sentence.
    #[schema(required)]
    pub detail: Option<String>,
    /// What speaks for its being in the book already: `uid`, `number`, `email`, `name`.
    pub duplicate_by: Vec<String>,
    /// The name on the card that is there.
    #[schema(required)]
    pub duplicate_name: Option<String>,
    /// The earlier row that it repeats.
    #[schema(required)]
    pub duplicate_row: Option<i32>,
    /// What the user has chosen for it.
    #[schema(required, value_type = Option<DuplicateChoice>)]
    pub choice: Option<DuplicateChoice>,
    /// What became of it.
    #[schema(required, value_type = Option<RowOutcome>)]
    pub outcome: Option<RowOutcome>,
}

/// A file, read.
pub struct Parsed {
    format: &'static str,
    charset: &'static str,
    drafts: Vec<Draft>,
}

/// Reads a file: cards when there is a card in it, else a table. No database, and no short work: off the event loop.
///
/// # Errors
/// `Invalid`: nothing that we know, or too many cards.
pub fn parse(bytes: &[u8], id: CardImportId) -> Result<Parsed> {
    let decoded = text::decode(bytes);
    let head: String = decoded.text.chars().take(1_000).collect();
    let (format, drafts) = if head.to_ascii_uppercase().contains("BEGIN:VCARD") {
        ("vcard", vcards::read(&decoded.text, id.as_bytes()))
    } else {
        match csv::read(&decoded.text, id.as_bytes()) {
            Some((csv::Table::Google, drafts)) => ("google", drafts),
            Some((csv::Table::Outlook, drafts)) => ("outlook", drafts),
            None => {
                return Err(Error::invalid(
                    "body",
                    "unknown_format",
                    "This is no vCard file and no table of Google's or Outlook's contacts (with English columns).",
                ));
            }
        }
    };
    if drafts.is_empty() {
        return Err(Error::invalid("body", "empty", "There are no contacts in this file."));
    }
    if drafts.len() > ROWS_MAX {
        return Err(Error::invalid(
            "body",
            "too_many",
            "A file has at most 10000 contacts. Cut it into parts.",
        ));
    }
    Ok(Parsed { format, charset: decoded.charset, drafts })
}

/// The country of an account's numbers: of its mobile, else of its language.
fn region_of(db: &mut Db, account: AccountId) -> Result<String> {
    if let Some(mobile) = roster_store::find_verified_mobile(db, account)? {
        return Ok(mobile.region());
    }
    Ok(match accounts::load(db, account)?.locale {
        Locale::En => "US".to_owned(),
        Locale::Ko => "KR".to_owned(),
    })
}

/// Keeps a read file as a preview for a book that the account may write in (its own first one when none is named).
pub async fn preview(
    app: &App,
    account: AccountId,
    id: CardImportId,
    parsed: Parsed,
    book: Option<AddressBookId>,
    region: Option<String>,
) -> Result<CardImportView> {
    let now = app.now();
    app.db.write(account, move |db| limits::take(db, now, &IMPORTS, &account.to_string())).await?;
    let begun = app.db.write(account, move |db| {
        prune(db, now, 100)?;
        if store::count(db, account)? >= OPEN_MAX {
            return Err(Error::conflict(
                "imports_open",
                "There are five imports already. Delete one of them.",
            ));
        }
        let book = target(db, now, account, book)?;
        sharing::check_write(db, book.account_id, book.id, account)?;
        Ok((book, region_of(db, account)?))
    });
    let (book, own_region) = begun.await?;
    let region = region.unwrap_or(own_region);
    let (rows, index_region) = (parsed.drafts, region.clone());
    let index = index_of(app, &book, &index_region).await?;
    let import = CardImport {
        account_id: account,
        id,
        owner_id: book.account_id,
        book_id: book.id,
        format: parsed.format.to_owned(),
        charset: parsed.charset.to_owned(),
        region,
        state: CardImportState::Ready,
        fallback: None,
        row_count: i64::try_from(rows.len()).unwrap_or(0),
        created_at: now,
    };
    let rows = to_rows(account, id, rows, index);
    app.db.write(account, move |db| store::insert(db, &import)).await?;
    for part in rows.chunks(500).map(<[ImportRow]>::to_vec) {
        app.db.write(account, move |db| store::insert_rows(db, &part)).await?;
    }
    app.db.read(move |db| view(db, account, id)).await
}

fn target(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    book: Option<AddressBookId>,
) -> Result<AddressBook> {
    let missing = || Error::not_found("address book");
    let book = match book {
        Some(book) => {
            let owner = sharing::owner_of(db, account, book)?;
            book_store::find_book(db, owner, book)?
        }
        None => books::list_or_open(db, now, account)?.into_iter().find(|b| b.slug == PERSONAL),
    };
    let book = book.ok_or_else(missing)?;
    if book.is_messenger() {
        return Err(Error::conflict("book_is_kept", "The messenger's own address book takes no imports."));
    }
    Ok(book)
}

/// All cards of a book, by what duplicates are found by.
async fn index_of(app: &App, book: &AddressBook, region: &str) -> Result<Index<Found>> {
    let mut index = Index::new(region);
    let (owner, id, mut after) = (book.account_id, book.id, -1);
    loop {
        let page = app.db.read(move |db| books::page(db, owner, id, after, PAGE)).await?;
        let Some(last) = page.last() else { return Ok(index) };
        after = last.seq;
        for object in &page {
            if let Ok(card) = Card::parse(&object.body) {
                index.add(&card, &Found::InBook(object.name.clone()));
            }
        }
    }
}

/// Where a duplicate was met.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// In the book: the object's name.
    InBook(String),
    /// Earlier in the file: the place.
    InFile(i32),
}

fn to_rows(
    account: AccountId,
    id: CardImportId,
    drafts: Vec<Draft>,
    mut index: Index<Found>,
) -> Vec<ImportRow> {
    let mut rows = Vec::with_capacity(drafts.len());
    for (place, draft) in (0i32..).zip(drafts) {
        let mut row = empty_row(account, id, place, draft.line);
        match draft.card {
            Err(Fault { code, detail }) => {
                row.fault_code = Some(code.to_owned());
                row.fault_detail = Some(detail.to_owned());
                row.outcome = Some(RowOutcome::Fault);
            }
            Ok(card) => {
                row.name =
                    card.first("FN").map(Line::text_value).unwrap_or_default().chars().take(200).collect();
                row.body = Some(card.render().into_bytes());
                if let Some((found, reasons)) = index.find(&card) {
                    row.reasons = reasons.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(",");
                    match found {
                        Found::InBook(name) => row.duplicate_of = Some(name),
                        Found::InFile(place) => row.duplicate_place = Some(place),
                    }
                }
                index.add(&card, &Found::InFile(place));
            }
        }
        rows.push(row);
    }
    rows
}

fn empty_row(account_id: AccountId, import_id: CardImportId, place: i32, line: i32) -> ImportRow {
    ImportRow {
        account_id,
        import_id,
        place,
        line,
        name: String::new(),
        fault_code: None,
        fault_detail: None,
        duplicate_of: None,
        duplicate_place: None,
        reasons: String::new(),
        choice: None,
        outcome: None,
        result_name: None,
        body: None,
    }
}

fn load(db: &mut Db, account: AccountId, id: CardImportId) -> Result<CardImport> {
    store::find(db, account, id)?.ok_or_else(|| Error::not_found("import"))
}

/// An import with how far it has come.
pub fn view(db: &mut Db, account: AccountId, id: CardImportId) -> Result<CardImportView> {
    let import = load(db, account, id)?;
    let tally = store::tally(db, account, id)?;
    let count = |wanted: Option<RowOutcome>| -> i64 {
        tally.iter().filter(|(outcome, ..)| *outcome == wanted).map(|(.., n)| n).sum()
    };
    Ok(CardImportView {
        id,
        book_id: import.book_id,
        format: import.format,
        charset: import.charset,
        region: import.region,
        state: import.state,
        rows: import.row_count,
        problems: count(Some(RowOutcome::Fault)),
        duplicates: tally.iter().filter(|(_, duplicate, _)| *duplicate).map(|(.., n)| n).sum(),
        done: import.row_count - count(None),
        created: count(Some(RowOutcome::Created)),
        merged: count(Some(RowOutcome::Merged)),
        skipped: count(Some(RowOutcome::Skipped)),
        refused: count(Some(RowOutcome::Refused)),
        created_at: import.created_at,
    })
}

/// A page of an import's rows after a place, in their order.
pub fn rows(
    db: &mut Db,
    account: AccountId,
    id: CardImportId,
    only: RowsWanted,
    after: i32,
    limit: i64,
) -> Result<Vec<ImportRowView>> {
    let import = load(db, account, id)?;
    let shown = store::list_rows(db, account, id, only, after, limit)?;
    let names: Vec<&str> = shown.iter().filter_map(|row| row.4.0.as_deref()).collect();
    let held = books::find_many(db, import.owner_id, import.book_id, &names)?;
    let name_of = |name: &str| {
        let object = held.iter().find(|o| o.name == name)?;
        Card::parse(&object.body).ok()?.first("FN").map(Line::text_value)
    };
    let to_view = |row: store::ShownRow| {
        let (place, line, name, (code, detail), (duplicate_of, duplicate_row, reasons), choice, outcome) =
            row;
        ImportRowView {
            row: place,
            line,
            name,
            code,
            detail,
            duplicate_by: reasons.split(',').filter(|r| !r.is_empty()).map(str::to_owned).collect(),
            duplicate_name: duplicate_of.as_deref().and_then(name_of),
            duplicate_row,
            choice,
            outcome,
        }
    };
    Ok(shown.into_iter().map(to_view).collect())
}

/// Lets an import be written: `fallback` for duplicates about which `choices` say nothing. Said twice, it is done once.
pub fn apply(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: CardImportId,
    fallback: DuplicateChoice,
    choices: &[(i32, DuplicateChoice)],
) -> Result<()> {
    let import = load(db, account, id)?;
    if import.state != CardImportState::Ready {
        return Ok(());
    }
    sharing::check_write(db, import.owner_id, import.book_id, account)?;
    for choice in [DuplicateChoice::Skip, DuplicateChoice::Merge, DuplicateChoice::KeepBoth] {
        let places: Vec<i32> =
            choices.iter().filter(|(_, c)| *c == choice).map(|(place, _)| *place).collect();
        if store::set_choice(db, account, id, &places, choice)? != places.len() {
            return Err(Error::invalid(
                "rows",
                "no_such_row",
                "A choice names a row that is not there, or names one twice.",
            ));
        }
    }
    store::set_state(db, account, id, CardImportState::Applying, Some(fallback))?;
    queue::enqueue(db, now, jobs::APPLY_IMPORT, Some(&id.to_string()), &jobs::ApplyImport { account, id })?;
    Ok(())
}

/// Writes what is left of an import, portion by portion. Can run twice.
pub async fn run(app: &App, account: AccountId, id: CardImportId) -> Result<()> {
    let Some(import) = app.db.read(move |db| store::find(db, account, id)).await? else { return Ok(()) };
    loop {
        let (now, owner) = (app.now(), import.owner_id);
        let settings = app.settings.clone();
        let portion = move |db: &mut Db| write_portion(db, now, account, id, settings.host());
        if app.db.write(owner, portion).await? == 0 {
            return Ok(());
        }
    }
}

fn write_portion(
    db: &mut Db,
    now: Timestamp,
    account: AccountId,
    id: CardImportId,
    host: &str,
) -> Result<usize> {
    let Some(import) = store::find(db, account, id)?.filter(|i| i.state == CardImportState::Applying) else {
        return Ok(0);
    };
    let rows = store::list_open(db, account, id, PORTION)?;
    if rows.is_empty() {
        store::set_state(db, account, id, CardImportState::Done, import.fallback)?;
        return Ok(0);
    }
    let may_write = sharing::check_write(db, import.owner_id, import.book_id, account).is_ok();
    for row in &rows {
        let (outcome, name) = match may_write {
            true => write_row(db, now, (&import, host), row)?,
            // The access was taken, or the book is gone, while it was under way.
            false => (RowOutcome::Refused, None),
        };
        store::set_outcome(db, row, outcome, name.as_deref())?;
    }
    Ok(rows.len())
}

fn write_row(
    db: &mut Db,
    now: Timestamp,
    (import, host): (&CardImport, &str),
    row: &ImportRow,
) -> Result<(RowOutcome, Option<String>)> {
    let Some(card) = row.body.as_deref().and_then(|body| Card::parse(body).ok()) else {
        return Ok((RowOutcome::Fault, None));
    };
    let there = match (&row.duplicate_of, row.duplicate_place) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(place)) => store::find_result(db, import.account_id, import.id, place)?,
        (None, None) => None,
    };
    let choice = row.choice.or(import.fallback).unwrap_or(DuplicateChoice::Skip);
    let existing = match &there {
        Some(name) => books::find(db, import.owner_id, import.book_id, name)?,
        None => None,
    };
    match (existing, choice) {
        (Some(object), DuplicateChoice::Skip) => Ok((RowOutcome::Skipped, Some(object.name))),
        (Some(object), DuplicateChoice::Merge) => {
            let Ok(held) = Card::parse(&object.body) else {
                return create(db, now, (import, host), row, card);
            };
            let whole = merged(&held, &card, &import.region);
            let taken = put(db, now, (import, host), &object.name, &whole)?;
            Ok((if taken { RowOutcome::Merged } else { RowOutcome::Refused }, Some(object.name)))
        }
        // Who was there when the file was read may be gone by now.
        (None, _) | (Some(_), DuplicateChoice::KeepBoth) => create(db, now, (import, host), row, card),
    }
}

/// A new card under a name that is the same however often it is tried; with another UID when its own is taken.
fn create(
    db: &mut Db,
    now: Timestamp,
    (import, host): (&CardImport, &str),
    row: &ImportRow,
    mut card: Card,
) -> Result<(RowOutcome, Option<String>)> {
    let place = usize::try_from(row.place).unwrap_or(0);
    let made = draft::made_uid(import.id.as_bytes(), place);
    let name = format!("{made}.vcf");
    let holder = book_store::find_holder(db, import.owner_id, import.book_id, &comparable_uid(&card.uid()))?;
    if holder.is_some_and(|holder| holder != name) {
        let again = draft::made_uid(import.id.as_bytes(), place + ROWS_MAX);
        card.lines.retain(|line| line.name != "UID");
        card.lines.push(Line::new("UID", again));
    }
    let taken = put(db, now, (import, host), &name, &card)?;
    Ok(if taken { (RowOutcome::Created, Some(name)) } else { (RowOutcome::Refused, None) })
}

fn put(
    db: &mut Db,
    now: Timestamp,
    (import, host): (&CardImport, &str),
    name: &str,
    card: &Card,
) -> Result<bool> {
    let body = card.render();
    let Ok(card) = Card::parse(body.as_bytes()) else { return Ok(false) };
    let (condition, etag, uid) = (EntityCondition::default(), books::etag_of(body.as_bytes()), card.uid());
    let wish = Wish::on(&card, host);
    let wish = wish.as_ref();
    let put = Put { name, body: body.as_bytes(), etag: &etag, uid: &uid, wish, condition: &condition };
    match books::put(db, now, import.owner_id, import.book_id, &put)? {
        Written::Done { .. } => Ok(true),
        Written::Refused(Refusal::Missing | Refusal::Full | Refusal::UidConflict { .. }) => Ok(false),
        Written::Refused(other) => {
            Err(Error::internal("an import was refused by its book").context(format!("{other:?}")))
        }
    }
}

/// Forgets an import; what it has written stays.
pub fn delete(db: &mut Db, account: AccountId, id: CardImportId) -> Result<()> {
    if load(db, account, id)?.state == CardImportState::Applying {
        return Err(Error::conflict(
            "import_applying",
            "This import is being written. Wait until it is done.",
        ));
    }
    store::delete(db, account, id)
}

/// Forgets imports of the day before, at most `limit`.
pub fn prune(db: &mut Db, now: Timestamp, limit: i64) -> Result<()> {
    for (account, id) in store::list_older(db, now.minus(KEPT), limit)? {
        store::delete(db, account, id)?;
    }
    Ok(())
}

/// Everything of a closing account.
pub fn erase(db: &mut Db, account: AccountId) -> Result<()> {
    store::delete_all(db, account)
}

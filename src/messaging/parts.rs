//! Pieces of long SMS that wait for the rest.
//!
//! A carrier that delivers pieces is told “we have it” for each one, so each is stored before that; waiting for the
//! whole would fill the carrier's window with pieces that wait for each other. When the last one comes the text is
//! put together. A group stays remembered for a while after that, so that a piece which is repeated is known. What
//! never becomes whole is handed over with its gaps: a text with a hole is better than none.

use std::time::Duration;

use diesel::prelude::*;

use crate::carriers::InboundSms;
use crate::carriers::link::InboundPart;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::each;
use crate::error::Result;
use crate::phone::{E164, RemoteParty};
use crate::schema::inbound_sms_parts as parts;

/// How long the missing pieces may take. Handsets send them within seconds, networks repeat for a day or two, and
/// people do not want to wait as long as that for nine tenths of a text.
pub const WAIT: Duration = Duration::from_secs(15 * 60);
/// How long a text that was handed over is remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// Groups handed over in one round.
const OVERDUE_MAX: i64 = 100;
/// Stands where a piece is missing.
const GAP: &str = "[…]";

/// What a piece brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// Others are missing, or are being stored at the same moment: look again with [`find_whole`].
    Waiting(Key),
    /// The text is whole; hand it over, then call [`done`].
    Whole(Box<Group>),
    /// It was handed over before.
    Repeated,
}

/// A text and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Which pieces.
    pub key: Key,
    /// The text, to be handed over.
    pub sms: InboundSms,
}

/// What the pieces of one text have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    carrier_id: String,
    sender: String,
    number: E164,
    reference: i32,
    total: i16,
}

#[derive(Queryable)]
struct Row {
    number: i16,
    coding: i32,
    octets: Vec<u8>,
    digest: Vec<u8>,
    first_at: Timestamp,
    is_done: bool,
}

/// Keeps a piece.
pub fn add(db: &mut Db, now: Timestamp, carrier_id: &str, part: &InboundPart) -> Result<Added> {
    let key = Key {
        carrier_id: carrier_id.to_owned(),
        sender: sender_text(&part.from),
        number: part.to.clone(),
        reference: i32::from(part.reference),
        total: i16::from(part.total),
    };
    let number = i16::from(part.number);
    let digest = blake3::hash(&part.octets).as_bytes().get(..16).unwrap_or_default().to_vec();
    let mut rows = load(db, &key)?;
    let same = rows.iter().find(|row| row.number == number).map(|row| row.digest == digest);
    match same {
        // The reference is only eight bits wide: after 256 texts it comes again, with other words.
        Some(false) => {
            forget(db, &key)?;
            rows.clear();
        }
        Some(true) if rows.iter().any(|row| row.is_done) => return Ok(Added::Repeated),
        Some(true) => {}
        None if rows.iter().any(|row| row.is_done) => {
            forget(db, &key)?;
            rows.clear();
        }
        None => {}
    }
    let first_at = rows.first().map_or(now, |row| row.first_at);
    if !rows.iter().any(|row| row.number == number) {
        each!(db, |c| diesel::insert_into(parts::table)
            .values((
                parts::carrier_id.eq(&key.carrier_id),
                parts::sender.eq(&key.sender),
                parts::to_number.eq(&key.number),
                parts::reference.eq(key.reference),
                parts::total.eq(key.total),
                parts::number.eq(number),
                parts::coding.eq(part.coding),
                parts::octets.eq(&part.octets),
                parts::digest.eq(&digest),
                parts::first_at.eq(first_at),
                parts::is_done.eq(false),
            ))
            .on_conflict_do_nothing()
            .execute(c))?;
        rows.push(Row {
            number,
            coding: part.coding,
            octets: part.octets.clone(),
            digest,
            first_at,
            is_done: false,
        });
        rows.sort_by_key(|row| row.number);
    }
    if rows.len() < usize::from(part.total) {
        return Ok(Added::Waiting(key));
    }
    Ok(Added::Whole(Box::new(join(key, &rows, part.read))))
}

/// The text of these pieces, when all are there and it was not handed over yet.
pub fn find_whole(db: &mut Db, key: Key, read: fn(i32, &[u8]) -> String) -> Result<Option<Group>> {
    let rows = load(db, &key)?;
    let is_whole = i16::try_from(rows.len()) == Ok(key.total) && rows.iter().all(|row| !row.is_done);
    Ok(is_whole.then(|| join(key, &rows, read)))
}

/// The text was handed over: its pieces are remembered, their words are not.
pub fn done(db: &mut Db, key: &Key) -> Result<()> {
    each!(db, |c| diesel::update(parts::table)
        .filter(parts::carrier_id.eq(&key.carrier_id))
        .filter(parts::sender.eq(&key.sender))
        .filter(parts::to_number.eq(&key.number))
        .filter(parts::reference.eq(key.reference))
        .filter(parts::total.eq(key.total))
        .set((parts::is_done.eq(true), parts::octets.eq(Vec::<u8>::new())))
        .execute(c))?;
    Ok(())
}

/// Texts of a carrier whose missing pieces are overdue, to be handed over with their gaps. Forgets what is old.
pub fn overdue(
    db: &mut Db,
    now: Timestamp,
    carrier_id: &str,
    read: fn(i32, &[u8]) -> String,
) -> Result<Vec<Group>> {
    each!(db, |c| diesel::delete(parts::table)
        .filter(parts::carrier_id.eq(carrier_id))
        .filter(parts::is_done.eq(true))
        .filter(parts::first_at.lt(now.minus(REMEMBERED)))
        .execute(c))?;
    type KeyRow = (String, E164, i32, i16);
    let late: Vec<KeyRow> = each!(db, |c| parts::table
        .filter(parts::carrier_id.eq(carrier_id))
        .filter(parts::is_done.eq(false))
        .filter(parts::first_at.lt(now.minus(WAIT)))
        .select((parts::sender, parts::to_number, parts::reference, parts::total))
        .distinct()
        .limit(OVERDUE_MAX)
        .load(c))?;
    let mut groups = Vec::new();
    for (sender, number, reference, total) in late {
        let key = Key { carrier_id: carrier_id.to_owned(), sender, number, reference, total };
        let rows = load(db, &key)?;
        groups.push(join(key, &rows, read));
    }
    Ok(groups)
}

fn load(db: &mut Db, key: &Key) -> Result<Vec<Row>> {
    Ok(each!(db, |c| parts::table
        .filter(parts::carrier_id.eq(&key.carrier_id))
        .filter(parts::sender.eq(&key.sender))
        .filter(parts::to_number.eq(&key.number))
        .filter(parts::reference.eq(key.reference))
        .filter(parts::total.eq(key.total))
        .select((parts::number, parts::coding, parts::octets, parts::digest, parts::first_at, parts::is_done))
        .order(parts::number.asc())
        .load(c))?)
}

fn forget(db: &mut Db, key: &Key) -> Result<()> {
    each!(db, |c| diesel::delete(parts::table)
        .filter(parts::carrier_id.eq(&key.carrier_id))
        .filter(parts::sender.eq(&key.sender))
        .filter(parts::to_number.eq(&key.number))
        .filter(parts::reference.eq(key.reference))
        .filter(parts::total.eq(key.total))
        .execute(c))?;
    Ok(())
}

/// Octets of neighbours with one coding are joined before they are read: a character may stand across the border.
fn join(key: Key, rows: &[Row], read: fn(i32, &[u8]) -> String) -> Group {
    let mut text = String::new();
    let mut run: Option<(i32, Vec<u8>)> = None;
    let flush = |run: &mut Option<(i32, Vec<u8>)>, text: &mut String| {
        if let Some((coding, octets)) = run.take() {
            text.push_str(&read(coding, &octets));
        }
    };
    for number in 1..=key.total {
        let Some(row) = rows.iter().find(|row| row.number == number) else {
            flush(&mut run, &mut text);
            text.push_str(GAP);
            continue;
        };
        match &mut run {
            Some((coding, octets)) if *coding == row.coding => octets.extend_from_slice(&row.octets),
            _ => {
                flush(&mut run, &mut text);
                run = Some((row.coding, row.octets.clone()));
            }
        }
    }
    flush(&mut run, &mut text);
    // The same pieces give the same id, whenever they are put together.
    let mut hasher = blake3::Hasher::new();
    for field in [key.sender.as_bytes(), key.number.as_str().as_bytes()] {
        hasher.update(field);
        hasher.update(&[0]);
    }
    hasher.update(&rows.first().map_or(0, |row| row.first_at.0).to_be_bytes());
    rows.iter().for_each(|row| {
        hasher.update(&row.digest);
    });
    let id: String = hasher.finalize().to_hex().chars().take(32).collect();
    let sms = InboundSms {
        carrier_message_id: format!("long.{id}"),
        from: RemoteParty::parse(&key.sender),
        to: key.number.clone(),
        text,
        media: Vec::new(),
        others: Vec::new(),
        consent: None,
        origin: crate::carriers::Origin::default(),
        segment_count: u16::try_from(key.total).unwrap_or(1),
    };
    Group { key, sms }
}

fn sender_text(from: &RemoteParty) -> String {
    match from {
        RemoteParty::Phone(number) => number.as_str().to_owned(),
        RemoteParty::ShortCode(text) | RemoteParty::Alphanumeric(text) => text.clone(),
        RemoteParty::Hidden => String::new(),
    }
}

//! Who lives in the database: phone users with twenty friends each, and the friends, who have messengers.

use std::fmt::Write as _;
use std::time::Duration;

use meari::clock::{Clock, Timestamp};
use meari::db::{Database, Engine, Options};
use meari::ids::{AccountId, SessionId};
use uuid::Uuid;

use crate::Result;
use crate::database::Place;

pub const FRIENDS_EACH: usize = 20;
/// Numbers in the pool; any account needs twenty of them.
pub const POOL: usize = 240;
/// Users whose rows make one transaction.
const CHUNK: usize = 100;

/// What an id is for; part of what makes it.
#[derive(Clone, Copy)]
pub enum Of {
    User = 1,
    Friend,
    Handset,
    Number,
    Assignment,
    UsersContact,
    FriendsContact,
    Conversation,
    Session,
    Other,
}

/// The people of a database, by their indexes.
#[derive(Debug, Clone, Copy)]
pub struct People {
    pub users: usize,
}

impl People {
    pub fn handset(self, user: usize) -> String {
        format!("+1555{:07}", 2_000_000 + user)
    }

    /// The number behind which a user reaches his n-th friend.
    pub fn number_of(self, user: usize, n: usize) -> String {
        number((user * 7 + n) % POOL)
    }

    /// As many messenger users as phone users.
    pub fn friend_of(self, user: usize, n: usize) -> usize {
        (user * FRIENDS_EACH + n) % self.users
    }

    /// All (user, n) whose n-th friend is `friend`.
    pub fn pairs_of(self, friend: usize) -> Vec<(usize, usize)> {
        (0..FRIENDS_EACH)
            .flat_map(|n| (0..FRIENDS_EACH).map(move |round| (n, round)))
            .filter_map(|(n, round)| {
                let whole = (round * self.users + friend).checked_sub(n)?;
                let user = whole / FRIENDS_EACH;
                (whole.is_multiple_of(FRIENDS_EACH) && user < self.users).then_some((user, n))
            })
            .collect()
    }

    pub fn friend(self, friend: usize) -> AccountId {
        AccountId(id(Of::Friend, friend))
    }

    pub fn session(self, friend: usize) -> SessionId {
        SessionId(id(Of::Session, friend))
    }
}

pub fn number(n: usize) -> String {
    format!("+1202555{n:04}")
}

/// The finaliser of SplitMix64.
pub fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A UUIDv7 as if the things had been made one a second.
pub fn id(of: Of, n: usize) -> Uuid {
    let millis = 1_760_000_000_000 + n as u64 * 1_000;
    let random = mix(((of as u64) << 48) ^ n as u64);
    let high = (millis << 16) | 0x7000 | (random >> 52);
    Uuid::from_u64_pair(high, (0b10 << 62) | (mix(random) >> 2))
}

/// An id as a literal of the engine's SQL.
pub fn literal(engine: Engine, id: Uuid) -> String {
    match engine {
        Engine::Sqlite => format!("x'{}'", id.simple()),
        Engine::Postgres => format!("'\\x{}'", id.simple()),
    }
}

/// Rows of one table that become one statement.
struct Rows {
    head: &'static str,
    values: String,
}

impl Rows {
    fn of(head: &'static str) -> Rows {
        Rows { head, values: String::new() }
    }

    fn add(&mut self, row: std::fmt::Arguments<'_>) {
        self.values.push_str(if self.values.is_empty() { "" } else { "," });
        let _ = write!(self.values, "({row})");
    }

    fn statement(self) -> String {
        if self.values.is_empty() {
            String::new()
        } else {
            format!("INSERT INTO {} VALUES {};", self.head, self.values)
        }
    }
}

/// Fills an empty database.
pub async fn seed(place: &Place, users: usize) -> Result<People> {
    let begun = std::time::Instant::now();
    meari::db::migrate_up(&place.url)?;
    let db = Database::open(&place.url, &Options { readers: 1, lanes: 1 })?;
    let (engine, now, people) = (db.engine(), Clock::system().now(), People { users });
    run(&db, pool_sql(engine, now, POOL)).await?;
    for first in (0..users).step_by(CHUNK) {
        run(&db, chunk_sql(engine, now, people, first..(first + CHUNK).min(users))).await?;
    }
    if engine == Engine::Postgres {
        run(&db, "ANALYZE;".to_owned()).await?;
    }
    println!("{:8} {users} users with {FRIENDS_EACH} friends each, in {:.1?}", place.name(), begun.elapsed());
    Ok(people)
}

pub async fn run(db: &Database, sql: String) -> Result<()> {
    Ok(db.write(meari::db::Lane::Any, move |db| db.execute_batch(&sql)).await?)
}

/// The pool of numbers.
pub fn pool_sql(engine: Engine, now: Timestamp, count: usize) -> String {
    let mut rows =
        Rows::of("numbers (id, number, region, area, carrier_id, capabilities, state, created_at)");
    for n in 0..count {
        let (id, number) = (literal(engine, id(Of::Number, n)), number(n));
        rows.add(format_args!(
            "{id}, '{number}', 'US', '202', '{}', 5, 'available', {}",
            crate::callbacks::CARRIER,
            now.0
        ));
    }
    rows.statement()
}

fn chunk_sql(engine: Engine, now: Timestamp, people: People, users: std::ops::Range<usize>) -> String {
    let lit = |of, n| literal(engine, id(of, n));
    let at = now.0;
    let later = now.plus(Duration::from_secs(30 * 24 * 3600)).0;
    let mut accounts =
        Rows::of("accounts (id, handle, display_name, password_hash, locale, time_zone, admin, created_at)");
    let mut counters = Rows::of("account_counters (account_id, seq, floor_seq, number_turn)");
    let mut handsets =
        Rows::of("handsets (account_id, id, number, region, state, code_attempts, created_at, verified_at)");
    let mut sessions = Rows::of(
        "sessions (account_id, id, generation, secret_hash, label, created_at, last_used_at, expires_at)",
    );
    let mut conversations = Rows::of("conversations (id, created_at)");
    let mut members =
        Rows::of("conversation_members (account_id, conversation_id, contact_id, unread_count)");
    let mut contacts = Rows::of(
        "contacts (account_id, id, network, address, peer_account_id, peer_contact_id, display_name, state, direction, \
         number_state, hidden_on_phone, conversation_id, created_at, updated_at)",
    );
    let mut assignments = Rows::of("assignments (account_id, id, number_id, contact_id, state, assigned_at)");
    for user in users {
        let me = lit(Of::User, user);
        accounts.add(format_args!("{me}, 'user{user}', 'User {user}', '-', 'en', 'UTC', FALSE, {at}"));
        counters.add(format_args!("{me}, 0, 0, 0"));
        let handset = people.handset(user);
        handsets.add(format_args!(
            "{me}, {}, '{handset}', 'US', 'verified', 0, {at}, {at}",
            lit(Of::Handset, user)
        ));
        let friend = lit(Of::Friend, user);
        accounts
            .add(format_args!("{friend}, 'friend{user}', 'Friend {user}', '-', 'en', 'UTC', FALSE, {at}"));
        counters.add(format_args!("{friend}, 0, 0, 0"));
        let session = lit(Of::Session, user);
        sessions.add(format_args!("{friend}, {session}, 0, {session}, '', {at}, {at}, {later}"));
        for n in 0..FRIENDS_EACH {
            let (pair, other) = (user * FRIENDS_EACH + n, people.friend_of(user, n));
            let (them, mine, theirs) =
                (lit(Of::Friend, other), lit(Of::UsersContact, pair), lit(Of::FriendsContact, pair));
            let talk = lit(Of::Conversation, pair);
            conversations.add(format_args!("{talk}, {at}"));
            members.add(format_args!("{me}, {talk}, {mine}, 0"));
            members.add(format_args!("{them}, {talk}, {theirs}, 0"));
            contacts.add(format_args!(
                "{me}, {mine}, 'meari', 'friend{other}', {them}, {theirs}, 'Friend {other}', 'accepted', 'outgoing', \
                 'assigned', FALSE, {talk}, {at}, {at}"
            ));
            contacts.add(format_args!(
                "{them}, {theirs}, 'meari', 'user{user}', {me}, {mine}, 'User {user}', 'accepted', 'incoming', \
                 'none', FALSE, {talk}, {at}, {at}"
            ));
            let number = lit(Of::Number, (user * 7 + n) % POOL);
            assignments
                .add(format_args!("{me}, {}, {number}, {mine}, 'active', {at}", lit(Of::Assignment, pair)));
        }
    }
    [accounts, counters, handsets, sessions, conversations, members, contacts, assignments]
        .into_iter()
        .map(Rows::statement)
        .collect()
}

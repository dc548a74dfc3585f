//! What most requests ask is whether something changed. The answer comes from memory: the books of an account as they
//! stand, read once and forgotten the moment a commit touches them. A card that is written is not forgotten over but
//! noted: the phone's next question is what has changed since.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web::Bytes;

use crate::accounts;
use crate::app::App;
use crate::clock::Timestamp;
use crate::contacts::books::{self, AddressBook, CardChanged, Change, KeptProperty};
use crate::contacts::sharing::{self, Access, Right};
use crate::db::{Database, Db, Signal, Topics};
use crate::error::Result;
use crate::ids::{AccountId, AddressBookId};
use crate::keys::Keys;

/// Shards: enough that requests hardly ever meet.
const SHARDS: usize = 64;
/// Accounts of one shard at most; a full shard starts anew.
const SHARD_MAX: usize = 500;
/// Answers kept with a shelf at most: an account's devices ask few different things.
const ANSWERS_MAX: usize = 16;
/// Bytes of an answer that is kept at most.
const ANSWER_BYTES_MAX: usize = 4 * 1024;
/// Cards that were written since a shelf was read and are remembered, at most; then the oldest is known no more.
const RECENT_MAX: usize = 8;
/// How long a shelf is believed: the longest that another node's change can stay unseen when its doorbell is lost.
const BELIEF: Duration = Duration::from_secs(60);

/// What was written into a book lately.
#[derive(Debug, Clone)]
struct Recent {
    book: AddressBookId,
    /// Every change since this counter is here.
    since: i64,
    /// In their order.
    changes: VecDeque<Arc<Change>>,
}

/// The books of one account.
#[derive(Debug)]
pub struct Shelf {
    /// In the order in which they came to be.
    pub books: Vec<Arc<AddressBook>>,
    around: Arc<Around>,
    /// Turns true when something has changed since: addresses hold still, states do not.
    stale: AtomicBool,
    recent: Vec<Recent>,
    answers: Mutex<HashMap<AnswerKey, Bytes>>,
}

/// What stays as it is when a card is written.
#[derive(Debug)]
struct Around {
    account: AccountId,
    /// Kept properties of the books themselves, beside each.
    kept: Vec<Vec<KeptProperty>>,
    /// Others' books: what the account may do there, and the owner's handle.
    shared: HashMap<AddressBookId, (Access, String)>,
    /// Who has access to the account's own books: book, handle, access.
    granted: Vec<(AddressBookId, String, Access)>,
    display_name: String,
    words: Arc<PushWords>,
    read_at: Timestamp,
}

/// What is told of pushes: the key that subscriptions are bound to, and how things are called.
#[derive(Debug)]
pub struct PushWords {
    /// The public key.
    pub public_key: String,
    /// For topics.
    pub keys: Keys,
}

/// What an answer depends on, beside the books: a hash of the request.
pub type AnswerKey = [u8; 32];

impl Shelf {
    fn read(
        db: &mut Db,
        now: Timestamp,
        account: AccountId,
        words: &Arc<PushWords>,
    ) -> Result<Option<Shelf>> {
        let mut books = books::list(db, account)?;
        if !books.iter().any(AddressBook::is_messenger) {
            return Ok(None);
        }
        let mut all = books::kept_properties_of_books(db, account)?;
        let granted = match books.iter().any(AddressBook::is_shared) {
            true => sharing::granted(db, account)?,
            false => Vec::new(),
        };
        let mut shared = HashMap::new();
        for with in sharing::shared_with(db, account)? {
            let (owner, id) = (with.book.account_id, with.book.id);
            all.extend(books::kept_properties(db, owner, id, Some(""))?.into_iter().map(|kept| (id, kept)));
            shared.insert(id, (with.access, with.owner));
            books.push(with.book);
        }
        let of = |book: &AddressBook| {
            all.iter().filter(|(id, _)| *id == book.id).map(|(_, kept)| kept.clone()).collect()
        };
        let kept = books.iter().map(of).collect();
        let display_name = accounts::load(db, account)?.display_name;
        let words = words.clone();
        let around = Around { account, kept, shared, granted, display_name, words, read_at: now };
        Ok(Some(Shelf {
            books: books.into_iter().map(Arc::new).collect(),
            around: Arc::new(around),
            stale: AtomicBool::new(false),
            recent: Vec::new(),
            answers: Mutex::default(),
        }))
    }

    /// The same after a card was written; none when something else was done to that book before.
    fn after(&self, card: &CardChanged) -> Option<Shelf> {
        let mut books = self.books.clone();
        let book = books.iter_mut().find(|b| b.id == card.book && b.seq == card.last)?;
        let book = Arc::make_mut(book);
        book.seq = card.change.seq;
        book.object_count += card.objects;
        book.size_bytes += card.bytes;
        let mut recent = self.recent.clone();
        if !recent.iter().any(|r| r.book == card.book) {
            recent.push(Recent { book: card.book, since: card.last, changes: VecDeque::new() });
        }
        let of_book = recent.iter_mut().find(|r| r.book == card.book)?;
        of_book.changes.push_back(card.change.clone());
        if of_book.changes.len() > RECENT_MAX {
            of_book.since = of_book.changes.pop_front().map_or(card.change.seq, |c| c.seq);
        }
        Some(Shelf {
            books,
            around: self.around.clone(),
            stale: AtomicBool::new(false),
            recent,
            answers: Mutex::default(),
        })
    }

    /// What changed in a book since a counter, oldest first and each object once; none when that is not known.
    pub fn changes_since(&self, book: AddressBookId, seq: i64) -> Option<Vec<&Change>> {
        let recent = self.recent.iter().find(|r| r.book == book && r.since <= seq)?;
        let mut seen = HashSet::new();
        let newest_first = recent.changes.iter().rev().filter(|c| c.seq > seq);
        let mut changes: Vec<&Change> =
            newest_first.map(Arc::as_ref).filter(|c| seen.insert(c.name.as_str())).collect();
        changes.reverse();
        Some(changes)
    }

    /// Whether this change is in here already.
    fn knows(&self, seq: i64) -> bool {
        self.recent.iter().any(|r| r.changes.back().is_some_and(|c| c.seq == seq))
    }

    /// Whose.
    pub fn account(&self) -> AccountId {
        self.around.account
    }

    /// The account's own name.
    pub fn display_name(&self) -> &str {
        &self.around.display_name
    }

    /// The names of what can be watched.
    pub fn words(&self) -> &PushWords {
        &self.around.words
    }

    /// The book with this address.
    pub fn book(&self, slug: &str) -> Option<&AddressBook> {
        self.books.iter().find(|b| b.slug == slug).map(Arc::as_ref)
    }

    /// The kept properties of that book.
    pub fn kept_of(&self, slug: &str) -> &[KeptProperty] {
        let at = self.books.iter().position(|b| b.slug == slug);
        at.and_then(|at| self.around.kept.get(at)).map_or(&[], Vec::as_slice)
    }

    /// Whether something has changed since it was read.
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// The answer to the same question, asked since anything changed.
    pub fn known_answer(&self, key: &AnswerKey) -> Option<Bytes> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Keeps an answer for whoever asks the same. It lives as long as the shelf: with the next change both go.
    pub fn keep_answer(&self, key: AnswerKey, body: Vec<u8>) -> Bytes {
        let body = Bytes::from(body);
        if body.len() <= ANSWER_BYTES_MAX {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.len() >= ANSWERS_MAX {
                answers.clear();
            }
            answers.insert(key, body.clone());
        }
        body
    }

    /// What the account may do in a book.
    pub fn right(&self, book: &AddressBook) -> Right {
        self.around.shared.get(&book.id).map_or(Right::Owner, |(access, _)| (*access).into())
    }

    /// The owner's handle of somebody else's book.
    pub fn owner(&self, book: &AddressBook) -> Option<&str> {
        self.around.shared.get(&book.id).map(|(_, owner)| owner.as_str())
    }

    /// Who else has access to a book of the account's own.
    pub fn members(&self, book: &AddressBook) -> impl Iterator<Item = (&str, Right)> {
        let id = book.id;
        self.around
            .granted
            .iter()
            .filter(move |(of, ..)| *of == id)
            .map(|(_, who, access)| (who.as_str(), (*access).into()))
    }

    /// Bytes of all books of the account's own.
    pub fn used_bytes(&self) -> i64 {
        self.books.iter().filter(|b| !self.around.shared.contains_key(&b.id)).map(|b| b.size_bytes).sum()
    }
}

#[derive(Default)]
struct Shard {
    shelves: HashMap<AccountId, Arc<Shelf>>,
    /// Counts what was forgotten, so that a reader who began before does not put back what is old.
    turn: u64,
}

/// The shelves of all accounts that asked lately.
pub struct Shelves {
    db: Database,
    words: Arc<PushWords>,
    shards: Vec<Mutex<Shard>>,
}

impl Shelves {
    /// Makes them; they hear of every commit from now on.
    pub fn open(app: &App) -> Arc<Shelves> {
        let words = PushWords { public_key: app.push.public_key().to_owned(), keys: app.keys.clone() };
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let shelves = Arc::new(Shelves { db: app.db.clone(), words: Arc::new(words), shards });
        let weak = Arc::downgrade(&shelves);
        app.on_signal(move |signal| {
            let Some(shelves) = weak.upgrade() else { return };
            match signal {
                Signal::Account { account, topics, .. } if topics.has(Topics::BOOKS) => {
                    shelves.forget(*account)
                }
                Signal::Account { account, topics, seq } if topics.has(Topics::CARDS) => {
                    shelves.forget_unless_known(*account, *seq);
                }
                Signal::News(news) => {
                    if let Some(card) = news.read() {
                        shelves.note(card);
                    }
                }
                _ => {}
            }
        });
        shelves
    }

    fn shard(&self, account: AccountId) -> Option<MutexGuard<'_, Shard>> {
        let index = account.as_bytes().last().map_or(0, |b| usize::from(*b)) % SHARDS;
        self.shards.get(index).map(|s| s.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn forget(&self, account: AccountId) {
        if let Some(mut shard) = self.shard(account) {
            if let Some(shelf) = shard.shelves.get(&account) {
                shelf.stale.store(true, Ordering::Release);
            }
            shard.turn += 1;
        }
    }

    fn forget_unless_known(&self, account: AccountId, seq: i64) {
        let is_known = self
            .shard(account)
            .is_some_and(|shard| shard.shelves.get(&account).is_some_and(|shelf| shelf.knows(seq)));
        if !is_known {
            self.forget(account);
        }
    }

    /// A card was written: the shelf is the one after it, if it was up to date.
    fn note(&self, card: &CardChanged) {
        let Some(mut shard) = self.shard(card.account) else { return };
        shard.turn += 1;
        let Some(shelf) = shard.shelves.get_mut(&card.account) else { return };
        let next = if shelf.is_stale() { None } else { shelf.after(card) };
        shelf.stale.store(true, Ordering::Release);
        if let Some(next) = next {
            *shelf = Arc::new(next);
        }
    }

    fn known(&self, now: Timestamp, account: AccountId) -> (Option<Arc<Shelf>>, u64) {
        let Some(shard) = self.shard(account) else { return (None, 0) };
        let shelf = shard.shelves.get(&account).filter(|s| now.since(s.around.read_at) < BELIEF).cloned();
        (shelf, shard.turn)
    }

    /// The books as they were a moment ago, which is enough to know where things are: whoever reads or writes there
    /// asks the database anyway, and comes back for a fresh one when nothing is there.
    pub async fn of_late(&self, now: Timestamp, account: AccountId) -> Result<Arc<Shelf>> {
        match self.known(now, account) {
            (Some(shelf), _) => Ok(shelf),
            (None, _) => self.of(now, account).await,
        }
    }

    fn keep(&self, account: AccountId, turn: u64, shelf: &Arc<Shelf>) {
        if let Some(mut shard) = self.shard(account)
            && shard.turn == turn
        {
            if shard.shelves.len() >= SHARD_MAX {
                shard.shelves.clear();
            }
            shard.shelves.insert(account, shelf.clone());
        }
    }

    /// The books read afresh, and what `body` reads in the same snapshot: one way to the database for both. None when
    /// the account has no books yet.
    pub async fn read_with<T: Send + 'static>(
        &self,
        now: Timestamp,
        account: AccountId,
        body: impl FnOnce(&mut Db, &Arc<Shelf>) -> Result<T> + Send + 'static,
    ) -> Result<Option<(Arc<Shelf>, T)>> {
        let (_, turn) = self.known(now, account);
        let words = self.words.clone();
        let read = move |db: &mut Db| {
            let Some(shelf) = Shelf::read(db, now, account, &words)? else { return Ok(None) };
            let shelf = Arc::new(shelf);
            let value = body(db, &shelf)?;
            Ok(Some((shelf, value)))
        };
        let found = self.db.read(move |db| db.snapshot(read)).await?;
        if let Some((shelf, _)) = &found {
            self.keep(account, turn, shelf);
        }
        Ok(found)
    }

    /// The books of an account; makes the first two when it has none yet.
    pub async fn of(&self, now: Timestamp, account: AccountId) -> Result<Arc<Shelf>> {
        loop {
            let (known, turn) = self.known(now, account);
            if let Some(shelf) = known.filter(|s| !s.is_stale()) {
                return Ok(shelf);
            }
            let words = self.words.clone();
            let read = move |db: &mut Db| db.snapshot(|db| Shelf::read(db, now, account, &words));
            let found = self.db.read(read).await?;
            if let Some(shelf) = found {
                let shelf = Arc::new(shelf);
                self.keep(account, turn, &shelf);
                return Ok(shelf);
            }
            self.db.write(account, move |db| books::list_or_open(db, now, account).map(|_| ())).await?;
        }
    }
}

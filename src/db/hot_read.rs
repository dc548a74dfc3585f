//! Hot reads: many questions of one kind, answered by one set-based function.
//!
//! Questions gather while a reader is on its way, and the next one takes them all. On PostgreSQL that makes one statement
//! of dozens. On SQLite the function loops, and all of them share what a reader would otherwise fetch anew for each: it
//! forgets its pages whenever the writer commits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Database, Db, Engine};
use crate::error::{Error, Result};

/// Questions handed to the function at once: bounds the arrays of one statement.
const ITEMS_MAX: usize = 256;

type Run<I, O> = fn(&mut Db, &[I]) -> Result<Vec<O>>;

struct Question<I, O> {
    item: I,
    reply: oneshot::Sender<Result<O>>,
}

struct Gathering<I, O> {
    waiting: VecDeque<Question<I, O>>,
    /// Readers on their way.
    sent: usize,
}

struct Shared<I, O> {
    database: Database,
    run: Run<I, O>,
    readers_max: usize,
    gathering: Mutex<Gathering<I, O>>,
}

impl<I, O> Shared<I, O> {
    fn lock(&self) -> MutexGuard<'_, Gathering<I, O>> {
        self.gathering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader on his way. However he ends, the next one may be sent; if he never begins, there is none to be had.
struct Errand<I: Send + 'static, O: Send + 'static> {
    shared: Arc<Shared<I, O>>,
    begun: bool,
}

impl<I: Send + 'static, O: Send + 'static> Drop for Errand<I, O> {
    fn drop(&mut self) {
        let more = {
            let mut gathering = self.shared.lock();
            gathering.sent = gathering.sent.saturating_sub(1);
            if !self.begun {
                gathering.waiting.clear();
            }
            !gathering.waiting.is_empty()
        };
        if more {
            // Those whom no reader can be had for are told so by their questions' end.
            let _ = send_reader(&self.shared);
        }
    }
}

/// A reading function over a slice of items, fed by single callers. One for each hot read.
pub struct HotRead<I, O>(Arc<Shared<I, O>>);

impl<I: Send + 'static, O: Send + 'static> HotRead<I, O> {
    /// `run` answers each item at its place. When it fails for several, each is asked alone.
    pub fn new(database: &Database, run: Run<I, O>) -> Self {
        let readers_max = match database.engine() {
            Engine::Sqlite => 1,
            Engine::Postgres => 2,
        };
        let gathering = Mutex::new(Gathering { waiting: VecDeque::new(), sent: 0 });
        HotRead(Arc::new(Shared { database: database.clone(), run, readers_max, gathering }))
    }

    /// Asks one question.
    pub async fn call(&self, item: I) -> Result<O> {
        let (reply, answer) = oneshot::channel();
        self.0.lock().waiting.push_back(Question { item, reply });
        send_reader(&self.0)?;
        answer.await.map_err(|_| Error::unavailable("busy", "Too much is waiting. Try again in a moment."))?
    }
}

/// Sends a reader to the questions unless enough are on their way. When none can be had, everybody who waits is answered
/// with `busy`.
fn send_reader<I: Send + 'static, O: Send + 'static>(shared: &Arc<Shared<I, O>>) -> Result<()> {
    {
        let mut gathering = shared.lock();
        if gathering.sent >= shared.readers_max {
            return Ok(());
        }
        gathering.sent += 1;
    }
    let mut errand = Errand { shared: shared.clone(), begun: false };
    let job = move |db: &mut Db| -> Box<dyn FnOnce() + Send> {
        let (items, replies): (Vec<I>, Vec<_>) = {
            errand.begun = true;
            let mut gathering = errand.shared.lock();
            let count = gathering.waiting.len().min(ITEMS_MAX);
            gathering.waiting.drain(..count).map(|question| (question.item, question.reply)).unzip()
        };
        let answers = answer_all(db, errand.shared.run, &items);
        drop(errand);
        Box::new(move || {
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _ = reply.send(answer);
            }
        })
    };
    shared.database.submit_read(Box::new(job))
}

fn answer_all<I, O>(db: &mut Db, run: Run<I, O>, items: &[I]) -> Vec<Result<O>> {
    match run(db, items) {
        Ok(answers) if answers.len() == items.len() => answers.into_iter().map(Ok).collect(),
        Ok(_) => items.iter().map(|_| Err(Error::internal("a hot read did not answer every item"))).collect(),
        Err(error) if items.len() == 1 => vec![Err(error)],
        Err(_) => items.iter().flat_map(|item| answer_all(db, run, std::slice::from_ref(item))).collect(),
    }
}

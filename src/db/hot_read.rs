//! Hot reads: many questions of one kind, answered by one set-based function.
//!
//! Questions gather while all readers are busy; a reader that comes by takes them all. On PostgreSQL that makes one
//! statement of dozens; on SQLite the function loops, which costs nothing there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{Database, Db};
use crate::error::{Error, Result};

/// Questions handed to the function at once: bounds the arrays of one statement.
const ITEMS_MAX: usize = 256;

type Run<I, O> = fn(&mut Db, &[I]) -> Result<Vec<O>>;

struct Question<I, O> {
    item: I,
    reply: oneshot::Sender<Result<O>>,
}

struct Shared<I, O> {
    database: Database,
    run: Run<I, O>,
    waiting: Mutex<VecDeque<Question<I, O>>>,
}

/// A reading function over a slice of items, fed by single callers. One for each hot read.
pub struct HotRead<I, O>(Arc<Shared<I, O>>);

impl<I: Send + 'static, O: Send + 'static> HotRead<I, O> {
    /// `run` answers each item at its place. When it fails for several, each is asked alone.
    pub fn new(database: &Database, run: Run<I, O>) -> Self {
        HotRead(Arc::new(Shared { database: database.clone(), run, waiting: Mutex::default() }))
    }

    /// Asks one question.
    pub async fn call(&self, item: I) -> Result<O> {
        let (reply, answer) = oneshot::channel();
        let was_empty = {
            let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push_back(Question { item, reply });
            waiting.len() == 1
        };
        if was_empty {
            send_reader(&self.0)?;
        }
        answer.await.map_err(|_| Error::unavailable("busy", "Too much is waiting. Try again in a moment."))?
    }
}

/// Sends a reader to the questions. When none can be had, everybody who waits is answered with `busy`.
fn send_reader<I: Send + 'static, O: Send + 'static>(shared: &Arc<Shared<I, O>>) -> Result<()> {
    let all = shared.clone();
    let job = move |db: &mut Db| -> Box<dyn FnOnce() + Send> {
        let (items, replies): (Vec<I>, Vec<_>) = {
            let mut waiting = all.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let count = waiting.len().min(ITEMS_MAX);
            let taken = waiting.drain(..count).map(|question| (question.item, question.reply)).unzip();
            // The next reader may begin before this one is done.
            let more = !waiting.is_empty();
            drop(waiting);
            if more {
                let _ = send_reader(&all);
            }
            taken
        };
        let answers = answer_all(db, all.run, &items);
        Box::new(move || {
            for (reply, answer) in replies.into_iter().zip(answers) {
                let _ = reply.send(answer);
            }
        })
    };
    shared.database.submit_read(Box::new(job)).inspect_err(|_| {
        shared.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    })
}

fn answer_all<I, O>(db: &mut Db, run: Run<I, O>, items: &[I]) -> Vec<Result<O>> {
    match run(db, items) {
        Ok(answers) if answers.len() == items.len() => answers.into_iter().map(Ok).collect(),
        Ok(_) => items.iter().map(|_| Err(Error::internal("a hot read did not answer every item"))).collect(),
        Err(error) if items.len() == 1 => vec![Err(error)],
        Err(_) => items.iter().flat_map(|item| answer_all(db, run, std::slice::from_ref(item))).collect(),
    }
}

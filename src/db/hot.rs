//! Hot operations: many requests of one kind, handed to one set-based function.
//!
//! Items gather while their lane is busy; when the lane comes to them it takes them all at once. On PostgreSQL that
//! makes one statement of hundreds of requests; on SQLite the function loops, which costs nothing there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::lanes::{Lane, WriteJob};
use super::{Database, Db};
use crate::error::{Error, Result};

/// Items handed to the function at once: bounds the arrays of one statement.
const ITEMS_MAX: usize = 256;

type Run<I, O> = fn(&mut Db, &[I]) -> Result<Vec<O>>;
type Waiting<I, O> = VecDeque<(I, oneshot::Sender<Result<O>>)>;

/// A function over a slice of items, fed by single callers. One for each hot operation, kept in the `App`.
pub struct HotOperation<I, O> {
    database: Database,
    run: Run<I, O>,
    lanes: Vec<Arc<Mutex<Waiting<I, O>>>>,
}

impl<I: Send + 'static, O: Send + 'static> HotOperation<I, O> {
    /// `run` answers each item at its place; an `Err` fails all of them (they are then tried one by one).
    pub fn new(database: &Database, run: Run<I, O>) -> Self {
        let lanes = (0..database.lane_count()).map(|_| Arc::default()).collect();
        HotOperation { database: database.clone(), run, lanes }
    }

    /// Hands in one item; answers after the commit.
    pub async fn call(&self, lane: impl Into<Lane>, item: I) -> Result<O> {
        self.hand_in(lane.into(), item)?.await.map_err(|_| {
            Error::unavailable("busy", "Too much is waiting to be stored. Try again in a moment.")
        })?
    }

    /// Hands in one item of which nobody needs to hear again.
    pub fn call_detached(&self, lane: impl Into<Lane>, item: I) -> Result<()> {
        self.hand_in(lane.into(), item).map(drop)
    }

    fn hand_in(&self, lane: Lane, item: I) -> Result<oneshot::Receiver<Result<O>>> {
        let (reply, answer) = oneshot::channel();
        let index = self.database.lane_index(lane);
        let waiting = self.lanes.get(index).ok_or_else(|| Error::internal("no such lane"))?;
        let was_empty = {
            let mut queue = lock(waiting);
            queue.push_back((item, reply));
            queue.len() == 1
        };
        if was_empty {
            self.knock(lane, waiting)?;
        }
        Ok(answer)
    }

    fn knock(&self, lane: Lane, waiting: &Arc<Mutex<Waiting<I, O>>>) -> Result<()> {
        let job = Gathered {
            database: self.database.clone(),
            lane,
            run: self.run,
            waiting: waiting.clone(),
            items: Vec::new(),
            replies: Vec::new(),
            outputs: Vec::new(),
        };
        self.database.submit(lane, Box::new(job)).inspect_err(|_| {
            // Nobody will come for them: dropping the senders answers everybody with `busy`.
            lock(waiting).clear();
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

struct Gathered<I, O> {
    database: Database,
    lane: Lane,
    run: Run<I, O>,
    waiting: Arc<Mutex<Waiting<I, O>>>,
    /// What was taken from the queue, and whom to answer, place by place.
    items: Vec<I>,
    replies: Vec<oneshot::Sender<Result<O>>>,
    outputs: Vec<O>,
}

impl<I: Send + 'static, O: Send + 'static> WriteJob for Gathered<I, O> {
    fn run(&mut self, db: &mut Db) -> Result<()> {
        if self.items.is_empty() {
            let mut queue = lock(&self.waiting);
            let count = queue.len().min(ITEMS_MAX);
            (self.items, self.replies) = queue.drain(..count).unzip();
            let more = !queue.is_empty();
            drop(queue);
            if more {
                let next = Gathered {
                    database: self.database.clone(),
                    lane: self.lane,
                    run: self.run,
                    waiting: self.waiting.clone(),
                    items: Vec::new(),
                    replies: Vec::new(),
                    outputs: Vec::new(),
                };
                if self.database.submit(self.lane, Box::new(next)).is_err() {
                    lock(&self.waiting).clear();
                }
            }
        }
        self.outputs = (self.run)(db, &self.items)?;
        if self.outputs.len() == self.items.len() {
            Ok(())
        } else {
            Err(Error::internal("a hot operation did not answer every item"))
        }
    }

    fn finish(self: Box<Self>, outcome: Result<()>) {
        let Gathered { database, lane, run, items, replies, outputs, .. } = *self;
        match outcome {
            Ok(()) => {
                for (reply, output) in replies.into_iter().zip(outputs) {
                    let _ = reply.send(Ok(output));
                }
            }
            Err(error) if items.len() == 1 => {
                for reply in replies {
                    let _ = reply
                        .send(Err(Error::unavailable("not_stored", "It could not be stored.")
                            .context(error.report())));
                }
            }
            // Somebody in here is guilty: each gets a transaction part of his own.
            Err(_) => {
                for (item, reply) in items.into_iter().zip(replies) {
                    let alone = Gathered {
                        database: database.clone(),
                        lane,
                        run,
                        waiting: Arc::default(),
                        items: vec![item],
                        replies: vec![reply],
                        outputs: Vec::new(),
                    };
                    let _ = database.submit(lane, Box::new(alone));
                }
            }
        }
    }
}

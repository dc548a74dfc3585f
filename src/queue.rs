//! Queued work, written in the transaction that causes it.

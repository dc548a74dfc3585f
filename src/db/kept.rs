//! Statements that are prepared once, although Diesel would prepare them each time.
//!
//! Diesel keeps no `UPDATE` and nothing with a literal of ours in its cache, because their text may differ from call to
//! call. Where it does not, preparing is waste: one more round trip on PostgreSQL. On SQLite this holds for statements
//! that answer rows; what only changes some is prepared anew all the same, unless it is [`written`](super::written) out.

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

/// A statement whose text is always the same.
#[derive(Debug, Clone, Copy)]
pub struct Kept<Q>(Q);

/// Has a statement kept.
pub trait Keep: Sized {
    /// To be said only of a statement whose text is the same at every call: no list whose length varies (on SQLite each
    /// value has a place of its own), no part that is sometimes left out. The cache has no end.
    fn kept(self) -> Kept<Self> {
        Kept(self)
    }
}

impl<T, U, V, R> Keep for diesel::query_builder::UpdateStatement<T, U, V, R> where T: QuerySource {}

impl<DB: Backend, Q: QueryFragment<DB>> QueryFragment<DB> for Kept<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }

    fn is_safe_to_cache_prepared(&self, _backend: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}

/// By its text: its type may say less than that.
impl<Q> QueryId for Kept<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q: Query> Query for Kept<Q> {
    type SqlType = Q::SqlType;
}

impl<Q, C> RunQueryDsl<C> for Kept<Q> {}

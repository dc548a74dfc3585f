//! What stands beside a message in tables of its own: files, reactions, a quote, a sender in a group, a note. Most
//! messages have nothing of it, and one look tells; without it every event on a socket costs five.

use diesel::backend::Backend;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, Binary, Bool};
use diesel::sqlite::Sqlite;

use crate::db::{Conn, Db};
use crate::error::Result;
use crate::ids::MessageId;

/// Which of the tables say anything of some messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable)]
pub(super) struct Extras {
    pub media: bool,
    pub reactions: bool,
    pub quotes: bool,
    pub group_senders: bool,
    pub notes: bool,
}

impl Extras {
    /// Each table has to be asked.
    const UNKNOWN: Extras =
        Extras { media: true, reactions: true, quotes: true, group_senders: true, notes: true };

    /// Looks for what there is beside these messages.
    pub fn of(db: &mut Db, ids: &[MessageId]) -> Result<Extras> {
        let found = match (db.conn(), ids) {
            (Conn::Pg(c), _) => {
                let ids = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
                FindExtras { ids: Many(ids) }.get_result(c)?
            }
            (Conn::Sqlite(c), [id]) => FindExtras { ids: One(id.as_bytes().to_vec()) }.get_result(c)?,
            // A list has no place of its own there, and a page of messages has something of everything.
            (Conn::Sqlite(_), _) => Extras::UNKNOWN,
        };
        Ok(found)
    }
}

struct Many(Vec<Vec<u8>>);

struct One(Vec<u8>);

/// How "is one of these" is written.
trait Among<DB: Backend> {
    fn walk<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()>;
}

impl Among<Pg> for Many {
    fn walk<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("ANY(");
        out.push_bind_param::<Array<Binary>, _>(&self.0)?;
        out.push_sql(")");
        Ok(())
    }
}

impl Among<Sqlite> for One {
    fn walk<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_bind_param::<Binary, _>(&self.0)
    }
}

struct FindExtras<I> {
    ids: I,
}

impl<I: 'static> QueryId for FindExtras<I> {
    type QueryId = FindExtras<I>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<DB: Backend, I: Among<DB>> QueryFragment<DB> for FindExtras<I> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let tables =
            ["attachments", "message_reactions", "message_replies", "group_senders", "message_notes"];
        for (place, table) in tables.into_iter().enumerate() {
            out.push_sql(if place == 0 {
                "SELECT EXISTS (SELECT 1 FROM "
            } else {
                ", EXISTS (SELECT 1 FROM "
            });
            out.push_sql(table);
            out.push_sql(" WHERE message_id = ");
            self.ids.walk(out.reborrow())?;
            out.push_sql(")");
        }
        Ok(())
    }
}

impl<I> Query for FindExtras<I> {
    type SqlType = (Bool, Bool, Bool, Bool, Bool);
}

impl<I, C> RunQueryDsl<C> for FindExtras<I> {}

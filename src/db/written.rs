//! Statements that are written out, for the few paths where putting one together costs as much as running it.
//!
//! Diesel writes a statement's text anew at each call to find it among the prepared ones, and on SQLite it prepares
//! every `UPDATE` anew, too: by the time it asks whether one may be kept, all it has is a reference, which does not pass
//! on what [`Kept`](super::kept::Kept) says. A statement declared here is found by its type.

/// Declares a statement by its pieces, each value behind the words that stand before it, and the words after the last.
/// The values are the fields; the text never changes.
///
/// ```ignore
/// written! {
///     /// Says what it is for.
///     struct Rename {
///         "UPDATE things SET name = " name: String => Text,
///         " WHERE id = " id: ThingId => Binary,
///     } ""
/// }
/// ```
///
/// One that answers rows says of which types: `struct NameOf -> (BigInt, Text) { … }`.
#[macro_export]
macro_rules! written {
    ($(#[$meta:meta])* struct $name:ident -> $row:ty { $($inside:tt)* } $end:literal) => {
        $crate::written! { $(#[$meta])* struct $name { $($inside)* } $end }

        impl diesel::query_builder::Query for $name {
            type SqlType = $row;
        }
    };
    ($(#[$meta:meta])* struct $name:ident { $($before:literal $field:ident : $type:ty => $sql_type:ty),* $(,)? } $end:literal) => {
        $(#[$meta])*
        #[derive(diesel::query_builder::QueryId)]
        struct $name {
            $($field: $type),*
        }

        impl<DB: diesel::backend::Backend> diesel::query_builder::QueryFragment<DB> for $name
        where
            $($type: diesel::serialize::ToSql<$sql_type, DB>, DB: diesel::sql_types::HasSqlType<$sql_type>,)*
        {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, DB>,
            ) -> diesel::QueryResult<()> {
                $(
                    out.push_sql($before);
                    out.push_bind_param::<$sql_type, _>(&self.$field)?;
                )*
                out.push_sql($end);
                Ok(())
            }
        }

        impl<C> diesel::RunQueryDsl<C> for $name {}
    };
}

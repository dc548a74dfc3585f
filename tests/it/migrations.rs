//! The schema: the same tables and columns on both databases and in `schema.rs`; up, down and up again.

use std::collections::BTreeSet;
use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use meari::db::{self, Database, Db, Engine, Options};

use crate::support::database::TestDatabase;

/// A column as both engines can tell it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
}

const ON_SQLITE: &str = "SELECT m.name AS table_name, p.name AS column_name, p.type AS kind, \
     p.\"notnull\" = 0 AS nullable FROM sqlite_master AS m, pragma_table_info(m.name) AS p \
     WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> '__diesel_schema_migrations'";

const ON_POSTGRES: &str = "SELECT table_name::text, column_name::text, data_type::text AS kind, \
     is_nullable = 'YES' AS nullable FROM information_schema.columns \
     WHERE table_schema = current_schema() AND table_name <> '__diesel_schema_migrations'";

/// The neutral name of a type, as `schema.rs` says it.
fn neutral(kind: &str) -> &'static str {
    match kind.to_ascii_uppercase().as_str() {
        "BLOB" | "BYTEA" => "Binary",
        "TEXT" => "Text",
        "SMALLINT" => "SmallInt",
        "INTEGER" => "Integer",
        "BIGINT" => "BigInt",
        "BOOLEAN" => "Bool",
        other => panic!("{other} is not one of our neutral types"),
    }
}

fn read(db: &mut Db) -> meari::error::Result<BTreeSet<Column>> {
    let sql = if db.engine() == Engine::Sqlite { ON_SQLITE } else { ON_POSTGRES };
    let rows: Vec<Column> = meari::each!(db, |c| diesel::sql_query(sql).load(c))?;
    Ok(rows.into_iter().map(|row| Column { kind: neutral(&row.kind).to_owned(), ..row }).collect())
}

async fn columns(url: &str) -> BTreeSet<Column> {
    let database = Database::open(url, &Options { readers: 1, lanes: 1 }).unwrap();
    database.read(read).await.unwrap()
}

/// What `schema.rs` says, read from its text.
fn declared() -> BTreeSet<Column> {
    let text = concat!(
        include_str!("../../src/schema.rs"),
        include_str!("../../src/schema/call_tables.rs"),
        include_str!("../../src/schema/texts.rs")
    );
    let mut found = BTreeSet::new();
    for table in text.split("diesel::table! {").skip(1) {
        let table_name = table.trim_start().split(' ').next().unwrap().to_owned();
        let mut renamed = None;
        for line in table.lines().map(str::trim).take_while(|line| *line != "}") {
            if let Some(name) = line.strip_prefix("#[sql_name = \"") {
                renamed = Some(name.trim_end_matches("\"]").to_owned());
            } else if let Some((name, kind)) = line.split_once(" -> ") {
                let kind = kind.trim_end_matches(',');
                let inner = kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>'));
                found.insert(Column {
                    table_name: table_name.clone(),
                    column_name: renamed.take().unwrap_or_else(|| name.to_owned()),
                    kind: inner.unwrap_or(kind).to_owned(),
                    nullable: inner.is_some(),
                });
            }
        }
    }
    found
}

#[track_caller]
fn same(left: (&str, &BTreeSet<Column>), right: (&str, &BTreeSet<Column>)) {
    let only = |a: &BTreeSet<Column>, b: &BTreeSet<Column>| -> Vec<String> {
        a.difference(b).map(|column| format!("{column:?}")).collect()
    };
    let (first, second) = (only(left.1, right.1), only(right.1, left.1));
    let nothing = first.is_empty() && second.is_empty();
    assert!(nothing, "only {}:\n{first:#?}\nonly {}:\n{second:#?}", left.0, right.0);
}

#[actix_web::test]
async fn both_databases_and_the_program_agree_on_every_column() {
    let (sqlite, postgres) = (TestDatabase::sqlite(), TestDatabase::postgres());
    let (on_sqlite, on_postgres) = (columns(&sqlite.url).await, columns(&postgres.url).await);
    assert!(on_sqlite.len() > 100, "the schema was read");
    same(("SQLite", &on_sqlite), ("PostgreSQL", &on_postgres));
    same(("SQLite", &on_sqlite), ("schema.rs", &declared()));
}

fn up_down_up(url: &str) {
    assert!(db::pending_migrations(url).unwrap());
    assert!(!db::migrate_up(url).unwrap().is_empty());
    assert!(!db::pending_migrations(url).unwrap());
    assert!(db::migrate_up(url).unwrap().is_empty(), "a second run changes nothing");
    db::migrate_down(url).unwrap();
    assert!(db::pending_migrations(url).unwrap());
    assert!(!db::migrate_up(url).unwrap().is_empty());
}

#[actix_web::test]
async fn the_way_down_leads_to_nothing_and_up_again() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = format!("sqlite://{}", folder.path().join("new.db").display());
    let postgres = TestDatabase::empty_postgres();
    for url in [sqlite.as_str(), postgres.url.as_str()] {
        up_down_up(url);
        db::migrate_down(url).unwrap();
        assert_eq!(columns(url).await, BTreeSet::new(), "{url}: nothing is left");
    }
}

#[test]
fn nodes_that_start_together_do_not_race() {
    let database = TestDatabase::empty_postgres();
    let nodes: Vec<_> = (0..4)
        .map(|_| {
            let url = database.url.clone();
            std::thread::spawn(move || db::migrate_up(&url).unwrap().len())
        })
        .collect();
    let ran: Vec<usize> = nodes.into_iter().map(|node| node.join().unwrap()).collect();
    assert_eq!(ran.iter().filter(|count| **count > 0).count(), 1, "one of them did it: {ran:?}");
}

#[test]
fn every_change_exists_for_both_databases() {
    let names = |engine: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
        let entries = std::fs::read_dir(folder).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

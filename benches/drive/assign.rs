//! Assigning numbers in bulk, while a million assignments exist.

use std::time::{Duration, Instant};

use meari::clock::Clock;
use meari::db::{Database, Engine};
use meari::ids::{AccountId, ContactId};
use meari::numbers::{self, Wanted};
use meari::phone::E164;

use crate::database::Place;
use crate::machine::Load;
use crate::population::{self, Of, id, literal};
use crate::report::{Report, Row, Times};
use crate::{Options, Result};

/// Wanted at least, a second.
const GOAL: f64 = 50_000.0;
/// Numbers in the pool: a thousand friends of one account need a thousand of them.
const POOL: usize = 2_000;
/// Contacts in one call.
const CONTACTS: usize = 1_000;
/// Assignments that exist before.
const EXISTING: usize = 1_000_000;
/// Accounts that share them.
const HOLDERS: usize = 50_000;

pub async fn run(options: &Options, place: &Place, report: &mut Report) -> Result<()> {
    meari::db::migrate_up(&place.url)?;
    let db = Database::open(&place.url, &meari::db::Options::default())?;
    let now = Clock::system().now();
    let begun = Instant::now();
    population::run(&db, population::pool_sql(db.engine(), now, POOL)).await?;
    let each = EXISTING / HOLDERS;
    for first in (0..HOLDERS).step_by(500) {
        population::run(&db, existing_sql(db.engine(), first..first + 500, each, now.0)).await?;
    }
    if db.engine() == Engine::Postgres {
        population::run(&db, "ANALYZE;".to_owned()).await?;
    }
    println!("{:8} {EXISTING} assignments made in {:.1?}", place.name(), begun.elapsed());

    let near = E164::parse("+12025550100")?;
    // Several at once, as bulk imports of several people would come: lanes and group commit are part of it.
    let pids: Vec<u32> = [Some(std::process::id()), place.server].into_iter().flatten().collect();
    let before = Load::now(&pids);
    let (begun, until) = (Instant::now(), options.time());
    let mut tasks = Vec::new();
    for task in 0..4usize {
        let (db, near) = (db.clone(), near.clone());
        tasks.push(tokio::spawn(async move {
            let (mut given, mut times) = (0usize, Times::default());
            for turn in 0.. {
                if begun.elapsed() > until {
                    break;
                }
                let account = AccountId(id(Of::Other, task + turn * 4));
                let sent = Instant::now();
                given += call(&db, account, &near).await?;
                times.add(sent.elapsed());
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((given, times))
        }));
    }
    let (mut given, mut times) = (0, Times::default());
    for task in tasks {
        let (count, more) = task.await??;
        given += count;
        times.merge(more);
    }
    let rate = given as f64 / begun.elapsed().as_secs_f64();
    let after = Load::now(&pids);
    let ceiling = bare_inserts(&db).await?;
    let wrong = ambiguous(&db).await?;
    report.add(Row {
        engine: place.name(),
        what: format!("assigning numbers, {CONTACTS} a call"),
        goal: format!("{GOAL:.0}/s"),
        measured: format!("{rate:.0}/s"),
        ceiling: format!("{ceiling:.0}/s ({:.3})", rate / ceiling),
        good: rate >= GOAL && wrong == 0,
        remark: format!(
            "{} a call; {given} given beside {EXISTING}, {wrong} ambiguous; others used {:.0} %",
            times.summary(),
            after.foreign_since(&before)
        ),
    });
    Ok(())
}

/// A new account gets numbers for a thousand contacts.
async fn call(db: &Database, account: AccountId, near: &E164) -> Result<usize> {
    let (now, near) = (Clock::system().now(), near.clone());
    let wanted: Vec<Wanted> = (0..CONTACTS)
        .map(|_| {
            let contact = ContactId::new(now);
            Wanted { contact, identity: *contact.as_bytes() }
        })
        .collect();
    let outcomes = db
        .write(account, move |db| {
            meari::events::open(db, account)?;
            numbers::assign(db, now, account, &near, &wanted)
        })
        .await?;
    Ok(outcomes.iter().filter(|outcome| outcome.number.is_some()).count())
}

fn existing_sql(engine: Engine, holders: std::ops::Range<usize>, each: usize, at: i64) -> String {
    let mut counters =
        String::from("INSERT INTO account_counters (account_id, seq, floor_seq, number_turn) VALUES ");
    let mut rows = String::from(
        "INSERT INTO assignments (account_id, id, number_id, contact_id, state, assigned_at) VALUES ",
    );
    for holder in holders {
        let account = literal(engine, id(Of::User, holder));
        counters.push_str(&format!("({account},0,0,0),"));
        for n in 0..each {
            let pair = holder * each + n;
            rows.push_str(&format!(
                "({account},{},{},{},'active',{at}),",
                literal(engine, id(Of::Assignment, pair)),
                literal(engine, id(Of::Number, (holder * 7 + n) % POOL)),
                literal(engine, id(Of::UsersContact, pair)),
            ));
        }
    }
    format!("{};{};", counters.trim_end_matches(','), rows.trim_end_matches(','))
}

/// The ceiling: rows of the same width a second into a table without choice, check or index, a thousand a transaction.
async fn bare_inserts(db: &Database) -> Result<f64> {
    let bytes = if db.engine() == Engine::Sqlite { "BLOB" } else { "BYTEA" };
    population::run(
        db,
        format!(
            "CREATE TABLE bare (account_id {bytes}, id {bytes}, number_id {bytes}, contact_id {bytes}, state TEXT, assigned_at BIGINT);"
        ),
    )
    .await?;
    let account = literal(db.engine(), id(Of::Other, 0));
    let row = format!("({account},{account},{account},{account},'active',1760000000000000)");
    let sql = match db.engine() {
        Engine::Sqlite => format!("INSERT INTO bare VALUES {};", vec![row; CONTACTS].join(",")),
        // Rows from the server itself: reading a long statement would be measured in place of storing.
        Engine::Postgres => {
            let row = row.trim_matches(['(', ')']).replace(&account, &format!("{account}::bytea"));
            format!("INSERT INTO bare SELECT {row} FROM generate_series(1, {CONTACTS});")
        }
    };
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(3) {
        population::run(db, sql.clone()).await?;
        count += CONTACTS;
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    population::run(db, "DROP TABLE bare;".to_owned()).await?;
    Ok(rate)
}

/// Pairs of account and number that mean more than one contact. The index forbids them; trust is good.
async fn ambiguous(db: &Database) -> Result<usize> {
    use diesel::prelude::*;
    use meari::schema::assignments;
    let body = |db: &mut meari::db::Db| {
        let pairs: Vec<(Vec<u8>, Vec<u8>)> = meari::each!(db, |c| assignments::table
            .filter(assignments::state.ne("past"))
            .group_by((assignments::account_id, assignments::number_id))
            .having(diesel::dsl::count_star().gt(1))
            .select((assignments::account_id, assignments::number_id))
            .load(c))?;
        Ok(pairs.len())
    };
    Ok(db.read(body).await?)
}

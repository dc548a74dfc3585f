//! What phones do all day, driven against one server: polls, deltas, first syncs, uploads, a thousand users.

use std::time::{Duration, Instant};

use crate::cards::{self, LIST, POLL, VCARD, XML};
use crate::http::{Connection, request};
use crate::machine::{Load, memory_of};
use crate::report::{Report, Row, Times};
use crate::target::{self, Person, Target};
use crate::{Failure, Result};

/// What is wanted of ours; the peers have no goals.
pub struct Goals {
    pub ours: bool,
}

/// What came of a closed loop.
pub struct Outcome {
    pub count: usize,
    pub times: Times,
    pub elapsed: Duration,
    /// Server's processor time.
    pub cpu: Duration,
    /// Which part of the machine others took, in per cent.
    pub foreign: f64,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.elapsed.as_secs_f64()
    }

    /// Microseconds of the server for one unit.
    pub fn each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.count.max(1) as f64
    }
}

/// What one connection sends next: whether it counts among the times, and the request.
type Next = Box<dyn FnMut(usize) -> (bool, Vec<u8>)>;

/// Every connection sends its next request as soon as the last one is answered.
async fn closed_loop(
    target: &Target,
    time: Duration,
    connections: usize,
    mut make: impl FnMut(usize) -> Next,
) -> Result<Outcome> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(target.address).await?);
    }
    let local = tokio::task::LocalSet::new();
    let mut tasks = Vec::new();
    let (before, begun) = (Load::now(&target.pids), Instant::now());
    for (n, mut connection) in open.into_iter().enumerate() {
        let mut next = make(n);
        tasks.push(local.spawn_local(async move {
            let (mut times, mut count) = (Times::default(), 0);
            while begun.elapsed() < time {
                let (timed, ask) = next(count);
                let sent = Instant::now();
                let status = connection.call(&ask).await?.status;
                if !(200..300).contains(&status) {
                    let head = String::from_utf8_lossy(&ask[..ask.len().min(60)]).into_owned();
                    return Err(format!("{status} for {head}").into());
                }
                if timed {
                    times.add(sent.elapsed());
                }
                count += 1;
            }
            Ok::<_, Failure>((times, count))
        }));
    }
    let gathered = local
        .run_until(async {
            let (mut times, mut count) = (Times::default(), 0);
            for task in tasks {
                let (more, n) = task.await??;
                times.merge(more);
                count += n;
            }
            Ok::<_, Failure>((times, count))
        })
        .await;
    let (times, count) = gathered?;
    let after = Load::now(&target.pids);
    let (cpu, foreign) = (after.served_since(&before), after.foreign_since(&before));
    Ok(Outcome { count, times, elapsed: begun.elapsed(), cpu, foreign })
}

fn poll(person: &Person) -> Vec<u8> {
    request("PROPFIND", &person.book, &person.auth, &format!("Depth: 0\r\n{XML}"), POLL.as_bytes())
}

fn report(person: &Person, body: &str) -> Vec<u8> {
    request("REPORT", &person.book, &person.auth, &format!("Depth: 0\r\n{XML}"), body.as_bytes())
}

async fn token_of(connection: &mut Connection, person: &Person) -> Result<String> {
    let ask = report(person, &cards::changes("", false));
    let answer = connection.call(&ask).await?;
    cards::token(answer.body).ok_or_else(|| format!("no sync token: {}", answer.status).into())
}

fn row(target: &Target, work: String, cpu: f64, figure: String) -> Row {
    Row { work, server: target.name.clone(), cpu: Some(cpu), figure, goal: String::new(), good: None }
}

fn judged(row: Row, goals: &Goals, goal: &str, good: bool) -> Row {
    if goals.ours { Row { goal: goal.to_owned(), good: Some(good), ..row } } else { row }
}

/// The poll of an unchanged book; answers p99 at eight connections in milliseconds.
pub async fn idle(
    target: &Target,
    size: &str,
    person: &Person,
    time: Duration,
    bare_p99: f64,
    goals: &Goals,
    report: &mut Report,
) -> Result<f64> {
    let ask = poll(person);
    let mut p99 = 0.0;
    for connections in [8, 1] {
        let mut out = closed_loop(target, time, connections, |_| {
            let ask = ask.clone();
            Box::new(move |_| (true, ask.clone()))
        })
        .await?;
        if connections == 8 {
            p99 = out.times.percentile(0.99);
        }
        let cpu = out.each();
        let figure =
            format!("{:.0}/s; {}; others {:.0} %", out.per_second(), out.times.summary(), out.foreign);
        let row = row(target, format!("idle poll, {connections} connections{size}"), cpu, figure);
        let good = cpu <= 15.0 && (connections == 1 || bare_p99 == 0.0 || p99 <= 3.0 * bare_p99);
        let goal = if connections == 8 { "≤ 15 µs; p99 ≤ 3 × bare" } else { "≤ 15 µs" };
        report.add(judged(row, goals, goal, good));
    }
    Ok(p99)
}

/// A delta with 1 and with 10 changes, asked again and again; and the first one after each change.
pub async fn delta(
    target: &Target,
    size: usize,
    person: &Person,
    time: Duration,
    goals: &Goals,
    rows: &mut Report,
) -> Result<()> {
    for (changed, goal) in [(1, 20.0), (10, 30.0)] {
        let mut connection = Connection::open(target.address).await?;
        let token = token_of(&mut connection, person).await?;
        for n in 0..changed {
            let ask = target::put(person, n, &format!("Changed {changed} {}", stamp()));
            connection.call(&ask).await?;
        }
        let ask = report(person, &cards::changes(&token, false));
        let found = cards::members(connection.call(&ask).await?.body, &person.book).len();
        if found != changed {
            return Err(format!("{}: a delta of {changed} had {found} changes", target.name).into());
        }
        let mut out = closed_loop(target, time, 4, |_| {
            let ask = ask.clone();
            Box::new(move |_| (true, ask.clone()))
        })
        .await?;
        let cpu = out.each();
        let figure = format!("{:.0}/s; {}", out.per_second(), out.times.summary());
        let row = row(target, format!("delta, {changed} changed of {size}"), cpu, figure);
        rows.add(judged(row, goals, &format!("≤ {goal:.0} µs"), cpu <= goal));
    }
    cycle(target, size, person, time, goals, rows).await
}

/// A change and what a phone asks right after it, on one connection: nothing can be known beforehand.
async fn cycle(
    target: &Target,
    size: usize,
    person: &Person,
    time: Duration,
    goals: &Goals,
    rows: &mut Report,
) -> Result<()> {
    let mut connection = Connection::open(target.address).await?;
    let mut token = token_of(&mut connection, person).await?;
    let mut times: [Times; 4] = Default::default();
    let (begun, mut round) = (Instant::now(), 0);
    while begun.elapsed() < time {
        let n = 20 + round % (size - 20);
        let change = target::put(person, n, &format!("Round {round} {}", stamp()));
        let href = format!("{}card-{n}.vcf", person.book);
        let asks = [
            change,
            report(person, &cards::changes(&token, false)),
            poll(person),
            report(person, &cards::multiget(std::iter::once(href.as_str()))),
        ];
        for (step, ask) in asks.iter().enumerate() {
            let sent = Instant::now();
            let answer = connection.call(ask).await?;
            times[step].add(sent.elapsed());
            match step {
                1 => token = cards::token(answer.body).ok_or("no token after a change")?,
                3 if cards::cards_in(answer.body) != 1 => return Err("a changed card was not read".into()),
                _ => {}
            }
        }
        round += 1;
    }
    let [put, delta, polled, got] = times.each_mut().map(|t| t.percentile(0.5));
    let figure =
        format!("delta p50 {delta:.3} ms (PUT {put:.2}, then poll {polled:.3}, multiget of it {got:.3} ms)");
    let row = row(target, format!("right after a PUT, {size}"), 0.0, figure);
    rows.add(judged(Row { cpu: None, ..row }, goals, "delta p50 ≤ 0.12 ms", delta <= 0.12));
    Ok(())
}

/// Makes names that no earlier run has used.
fn stamp() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos())
}

/// A phone's first sync, by multiget of 100 and with the cards inside the listing.
pub async fn first(
    target: &Target,
    size: usize,
    person: &Person,
    patience: Duration,
    goals: &Goals,
    rows: &mut Report,
) -> Result<()> {
    for inside in [false, true] {
        let mut times = Times::default();
        let mut list = Times::default();
        let (mut bytes, mut got) = (0, 0);
        let (before, begun) = (Load::now(&target.pids), Instant::now());
        while begun.elapsed() < patience && times.count() < 10 {
            let started = Instant::now();
            let (n, size) = once(target, person, inside, &mut list).await?;
            times.add(started.elapsed());
            (got, bytes) = (got + n, bytes + size);
            if n == 0 {
                break;
            }
        }
        let how = if inside { "inside the sync" } else { "multiget by 100" };
        let work = format!("first sync of {size}, {how}");
        if got != size * times.count() {
            let figure = format!("gave {} of {size} cards", got / times.count().max(1));
            rows.add(Row { cpu: None, ..row(target, work, 0.0, figure) });
            continue;
        }
        let cpu = Load::now(&target.pids).served_since(&before).as_secs_f64() * 1e6 / got as f64;
        let seconds = times.percentile(0.5) / 1e3;
        let fastest = times.percentile(0.0) / 1e3;
        let figure = format!(
            "{seconds:.3} s a phone (fastest {fastest:.3}), {:.1} MB, listing {:.1} ms",
            bytes as f64 / times.count() as f64 / 1e6,
            list.percentile(0.5)
        );
        let row = row(target, work, cpu, figure);
        let (most, goal) = if inside { (5.0, "≤ 5 µs") } else { (6.0, "≤ 6 µs; ≤ 0.15 s") };
        rows.add(judged(row, goals, goal, cpu <= most && (inside || seconds <= 0.15)));
    }
    Ok(())
}

async fn once(target: &Target, person: &Person, inside: bool, list: &mut Times) -> Result<(usize, usize)> {
    let mut connection = Connection::open(target.address).await?;
    let ask = report(person, &cards::changes("", inside));
    let started = Instant::now();
    let answer = connection.call(&ask).await?;
    if answer.status != 207 {
        return Err(format!("a listing was answered with {}", answer.status).into());
    }
    if inside {
        return Ok((cards::cards_in(answer.body), answer.body.len()));
    }
    list.add(started.elapsed());
    let mut bytes = answer.body.len();
    let members = cards::members(answer.body, &person.book);
    let hrefs: Vec<&str> = members.keys().map(String::as_str).collect();
    let mut got = 0;
    for part in hrefs.chunks(100) {
        let ask = report(person, &cards::multiget(part.iter().copied()));
        let answer = connection.call(&ask).await?;
        got += cards::cards_in(answer.body);
        bytes += answer.body.len();
    }
    Ok((got, bytes))
}

/// New cards, each answered when it is durable; every connection is a user of its own.
pub async fn upload(
    target: &Target,
    connections: usize,
    time: Duration,
    goals: &Goals,
    rows: &mut Report,
) -> Result<()> {
    let stamp = stamp();
    let mut out = closed_loop(target, time, connections, |c| {
        let many = target.many();
        let person = many[c % many.len()].clone();
        Box::new(move |n| {
            let uid = format!("new-{stamp}-{c}-{n}");
            let path = format!("{}{uid}.vcf", person.book);
            (true, request("PUT", &path, &person.auth, VCARD, cards::card(&uid, n, "New").as_bytes()))
        })
    })
    .await?;
    let (rate, p99, cpu) = (out.per_second(), out.times.percentile(0.99), out.each());
    let figure = format!("{rate:.0} cards/s; {}; others {:.0} %", out.times.summary(), out.foreign);
    let wanted = if connections > 8 { 10_000.0 } else { 5_000.0 };
    let row = row(target, format!("PUT, {connections} connections"), cpu, figure);
    rows.add(judged(row, goals, &format!("≥ {wanted:.0}/s, p99 ≤ 12 ms"), rate >= wanted && p99 <= 12.0));
    Ok(())
}

/// Many users polling, one in a hundred steps a change.
pub async fn users(target: &Target, time: Duration, goals: &Goals, rows: &mut Report) -> Result<()> {
    const CONNECTIONS: usize = 32;
    const CHANGE_EVERY: usize = 100;
    let many = target.many();
    let stamp = stamp();
    let mut out = closed_loop(target, time, CONNECTIONS, |c| {
        let people: Vec<Person> = many.to_vec();
        let polls: Vec<Vec<u8>> = people.iter().map(poll).collect();
        let mut state = c as u64 * 0x9e37_79b9 + 1;
        Box::new(move |n| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pick = (state >> 33) as usize % people.len();
            if n % CHANGE_EVERY == c % CHANGE_EVERY {
                (false, target::put(&people[pick], n % 10, &format!("Changed {stamp} {c} {n}")))
            } else {
                (true, polls[pick].clone())
            }
        })
    })
    .await?;
    let (cpu, p99) = (out.each(), out.times.percentile(0.99));
    let figure =
        format!("{:.0}/s; polls {}; others {:.0} %", out.per_second(), out.times.summary(), out.foreign);
    let row = row(target, format!("{} users polling, 1 % changes", many.len()), cpu, figure);
    rows.add(judged(row, goals, "≤ 20 µs; p99 ≤ 4 ms", cpu <= 20.0 && p99 <= 4.0));
    Ok(())
}

/// The poll on the bare server; answers its p99 at eight connections.
pub async fn bare(target: &Target, time: Duration, rows: &mut Report) -> Result<f64> {
    let p99 = idle(target, "", &target.people[0].clone(), time, 0.0, &Goals { ours: false }, rows).await?;
    upload(target, 8, time, &Goals { ours: false }, rows).await?;
    upload(target, 64, time, &Goals { ours: false }, rows).await?;
    Ok(p99)
}

/// Memory of a server that has just started, and after it has given one phone all of a book.
pub async fn memory(
    target: &Target,
    person: &Person,
    size: usize,
    goals: &Goals,
    rows: &mut Report,
) -> Result<()> {
    let of_all = |what: fn(crate::machine::Memory) -> u64| {
        target.pids.iter().flat_map(|pid| family(*pid)).map(|pid| what(memory_of(pid))).sum::<u64>() as f64
            / 1024.0
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = of_all(|m| m.pss);
    once(target, person, false, &mut Times::default()).await?;
    once(target, person, true, &mut Times::default()).await?;
    let after = of_all(|m| m.pss);
    let work = |text: &str| Row { cpu: None, ..row(target, text.to_owned(), 0.0, String::new()) };
    let idle_row = Row { figure: format!("{idle:.1} MiB (PSS)"), ..work("memory, idle") };
    rows.add(judged(idle_row, goals, "≤ 40 MiB", idle <= 40.0));
    let served = Row {
        figure: format!("{after:.1} MiB, {:.1} more", after - idle),
        ..work(&format!("memory, after giving {size} cards twice"))
    };
    rows.add(judged(served, goals, "≤ 40 MiB more", after - idle <= 40.0));
    Ok(())
}

/// A process and its children.
fn family(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut family: Vec<u32> = children.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    family.push(pid);
    family
}

/// Whether every card of a book can be listed: what was seeded is there.
pub async fn check(target: &Target, person: &Person, size: usize) -> Result<()> {
    let mut connection = Connection::open(target.address).await?;
    let ask = request("PROPFIND", &person.book, &person.auth, &format!("Depth: 1\r\n{XML}"), LIST.as_bytes());
    let answer = connection.call(&ask).await?;
    let found = cards::members(answer.body, &person.book).len();
    if found != size {
        return Err(format!("{}: {found} of {size} cards are there ({})", target.name, answer.status).into());
    }
    Ok(())
}

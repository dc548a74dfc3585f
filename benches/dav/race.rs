//! The race check: four writers put and delete, four syncers follow tokens; at the end every picture must equal a fresh
//! listing. A server that fails this is quick at being wrong.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::cards::{self, LIST, VCARD, XML};
use crate::http::{Connection, request};
use crate::report::{Report, Row};
use crate::target::{Person, Target};

const WRITERS: usize = 4;
const SYNCERS: usize = 4;
/// Names that all writers share.
const NAMES: usize = 60;

type Picture = BTreeMap<String, Option<String>>;

/// What was wrong in the pictures.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Wrong {
    stale: usize,
    missing: usize,
    ghosts: usize,
}

pub async fn run(target: &Target, runs: usize, time: Duration, report: &mut Report) -> Result<()> {
    let (mut wrong, mut sums) = (Wrong::default(), [0; 3]);
    for n in 0..runs {
        let person = &target.many()[n % target.many().len()];
        let (found, counts) = once(target, person, n, time).await?;
        wrong.stale += found.stale;
        wrong.missing += found.missing;
        wrong.ghosts += found.ghosts;
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [writes, refused, syncs] = sums;
    report.add(Row {
        work: "race check".to_owned(),
        server: target.name.clone(),
        cpu: None,
        figure: format!(
            "{runs} runs, {writes} writes ({refused} more refused), {syncs} syncs: {} stale, {} missing, {} ghosts",
            wrong.stale, wrong.missing, wrong.ghosts
        ),
        goal: "0, 0, 0".to_owned(),
        good: Some(wrong == Wrong::default()),
    });
    Ok(())
}

async fn once(target: &Target, person: &Person, run: usize, time: Duration) -> Result<(Wrong, [usize; 3])> {
    let over = Arc::new(AtomicBool::new(false));
    let syncs = Arc::new(AtomicUsize::new(0));
    let address = target.address;
    let syncers: Vec<_> = (0..SYNCERS)
        .map(|_| tokio::spawn(follow(address, person.clone(), over.clone(), syncs.clone())))
        .collect();
    let until = Instant::now() + time;
    let writers: Vec<_> = (0..WRITERS)
        .map(|w| tokio::spawn(write(address, person.clone(), run * WRITERS + w, until)))
        .collect();
    let (mut writes, mut refused) = (0, 0);
    for writer in writers {
        let (done, not) = writer.await??;
        (writes, refused) = (writes + done, refused + not);
    }
    over.store(true, Ordering::SeqCst);
    let mut pictures = Vec::new();
    for syncer in syncers {
        pictures.push(syncer.await??);
    }
    let mut connection = Connection::open(address).await?;
    let list =
        request("PROPFIND", &person.book, &person.auth, &format!("Depth: 1\r\n{XML}"), LIST.as_bytes());
    let answer = connection.call(&list).await?;
    let truth: Picture = cards::members(answer.body, &person.book);
    if truth.is_empty() {
        return Err("the race left nothing to compare".into());
    }
    let mut wrong = Wrong::default();
    for picture in pictures {
        for (href, tag) in &truth {
            match picture.get(href) {
                None => wrong.missing += 1,
                Some(known) if known != tag => wrong.stale += 1,
                Some(_) => {}
            }
        }
        wrong.ghosts += picture.keys().filter(|href| !truth.contains_key(*href)).count();
    }
    Ok((wrong, [writes, refused, syncs.load(Ordering::SeqCst)]))
}

/// Follows tokens until nobody writes any more, and once after that.
async fn follow(
    address: std::net::SocketAddr,
    person: Person,
    over: Arc<AtomicBool>,
    syncs: Arc<AtomicUsize>,
) -> Result<Picture> {
    let mut connection = Connection::open(address).await?;
    let (mut picture, mut token) = (Picture::new(), String::new());
    loop {
        let last = over.load(Ordering::SeqCst);
        let body = cards::changes(&token, false);
        let ask =
            request("REPORT", &person.book, &person.auth, &format!("Depth: 0\r\n{XML}"), body.as_bytes());
        let answer = connection.call(&ask).await?;
        if answer.status != 207 {
            return Err(format!("a sync was answered with {}", answer.status).into());
        }
        for (href, tag) in cards::members(answer.body, &person.book) {
            match tag {
                Some(tag) => picture.insert(href, Some(tag)),
                None => picture.remove(&href),
            };
        }
        token = cards::token(answer.body).ok_or("no token")?;
        syncs.fetch_add(1, Ordering::Relaxed);
        if last {
            return Ok(picture);
        }
    }
}

/// Puts and deletes until the time is over; answers how often that was done and how often refused.
async fn write(
    address: std::net::SocketAddr,
    person: Person,
    seed: usize,
    until: Instant,
) -> Result<(usize, usize)> {
    let mut connection = Connection::open(address).await?;
    let (mut done, mut state) = ((0, 0), seed as u64 * 7_919 + 1);
    while Instant::now() < until {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = (state >> 33) as usize;
        let n = pick % NAMES + 1;
        let uid = format!("race-{n}");
        let path = format!("{}{uid}.vcf", person.book);
        let ask = if (pick / NAMES).is_multiple_of(4) {
            request("DELETE", &path, &person.auth, "", b"")
        } else {
            let card = cards::card(&uid, n, &format!("Writer {seed} {}", done.0));
            request("PUT", &path, &person.auth, VCARD, card.as_bytes())
        };
        let status = connection.call(&ask).await?.status;
        match status {
            200 | 201 | 204 | 404 => done.0 += 1,
            // Two at once on the same card: some refuse the later one.
            409 | 412 | 423 | 500..=599 => done.1 += 1,
            _ => return Err(format!("a write was answered with {status}").into()),
        }
    }
    Ok(done)
}

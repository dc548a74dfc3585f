//! SMS on their way into the database: of some it is known already whom they mean, of others only the two numbers.
//!
//! Whom an unknown pair means is asked in the transaction that stores the SMS. That is one way to the database in place
//! of two, and on SQLite the writer has the pages at hand that a reader would have to fetch: it forgets all of its own
//! whenever the writer commits.

use super::guard::{self, Verdict};
use super::receive::{self, Arrived, Received};
use super::routes::{self, Route};
use crate::carriers::Origin;
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::Result;
use crate::phone::E164;

/// Whom an SMS means.
#[derive(Debug, Clone)]
pub enum Whom {
    /// Known from before.
    Known(Box<Route>),
    /// To be asked.
    Pair {
        /// The handset.
        from: E164,
        /// Our number.
        to: E164,
        /// What the network says of where it comes from.
        origin: Origin,
    },
}

/// An SMS as it came.
#[derive(Debug, Clone)]
pub struct Coming {
    /// When.
    pub now: Timestamp,
    /// Through which carrier.
    pub carrier_id: String,
    /// The carrier's id of it.
    pub carrier_message_id: String,
    /// For whom.
    pub whom: Whom,
    /// What it says, normalised.
    pub text: String,
    /// What it cost the sender, in segments.
    pub segment_count: i16,
}

impl Coming {
    /// The same, on its way.
    pub fn to(&self, route: Route) -> Arrived {
        Arrived {
            now: self.now,
            carrier_id: self.carrier_id.clone(),
            carrier_message_id: self.carrier_message_id.clone(),
            route,
            text: self.text.clone(),
            segment_count: self.segment_count,
        }
    }
}

/// What became of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It went the way that was known.
    Known(Received),
    /// It went the way that was found.
    Found(Received, Box<Route>),
    /// The pair means nobody, or what it means wants a closer look. Nothing was stored.
    NotPlain,
}

/// Takes many at once, each at its place.
pub fn take(db: &mut Db, items: &[Coming]) -> Result<Vec<Taken>> {
    let mut found = find_unknown(db, items)?.into_iter();
    // Of each whether its way is new; none has no way.
    let mut ways: Vec<Option<bool>> = Vec::with_capacity(items.len());
    let mut arrived: Vec<Arrived> = Vec::with_capacity(items.len());
    for item in items {
        let (route, is_new) = match &item.whom {
            Whom::Known(route) => (Some(route.as_ref().clone()), false),
            Whom::Pair { origin, .. } => {
                (found.next().flatten().filter(|route| is_plain(item, route, origin)), true)
            }
        };
        ways.push(route.is_some().then_some(is_new));
        arrived.extend(route.map(|route| item.to(route)));
    }
    let received = receive::receive(db, &arrived)?;
    let mut done = received.into_iter().zip(arrived);
    let answer = |way: Option<bool>| match way.and_then(|is_new| Some((is_new, done.next()?))) {
        None => Taken::NotPlain,
        Some((true, (received, arrived))) => Taken::Found(received, Box::new(arrived.route)),
        Some((false, (received, _))) => Taken::Known(received),
    };
    Ok(ways.into_iter().map(answer).collect())
}

/// The contacts that the unknown pairs reach, in their order.
fn find_unknown(db: &mut Db, items: &[Coming]) -> Result<Vec<Option<Route>>> {
    let pair = |item: &Coming| match &item.whom {
        Whom::Pair { from, to, .. } => Some((from.clone(), to.clone())),
        Whom::Known(_) => None,
    };
    let pairs: Vec<(E164, E164)> = items.iter().filter_map(pair).collect();
    if pairs.is_empty() { Ok(Vec::new()) } else { routes::find_contacts(db, &pairs) }
}

/// Whether a text goes straight to whom its pair means: a friend with a client, who wants to hear from him, and nothing
/// says that it may be forged.
fn is_plain(item: &Coming, route: &Route, origin: &Origin) -> bool {
    let is_answer = route.guard.is_asked(item.now) && guard::read_answer(&item.text).is_some();
    route.open
        && !route.retired
        && route.onward.is_none()
        && !is_answer
        && guard::judge(item.now, &route.guard, origin) == Verdict::Pass
}

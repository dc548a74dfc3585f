//! Choosing a number for a contact. Pure: the same input gives the same number, whoever asks.
//!
//! First the number that this pair had before. Then, among the numbers that are free for the account, those of the
//! handset's own area before the others, and within an area the order of *rendezvous hashing* by the contact's
//! identity: every account that has this contact prefers the same number for it, without any coordination, and a
//! number that joins or leaves the pool moves nobody else.

use crate::ids::NumberId;

/// A number that could be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The number.
    pub id: NumberId,
    /// Its area code, empty where the plan has none.
    pub area: String,
}

/// Who wants a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// What the contact is, the same for every account (a peer's account id, or a hash of the address).
    pub identity: [u8; 16],
    /// What this account knew the contact by before.
    pub previous: Option<NumberId>,
}

/// The numbers of a region that an account can still be given.
pub struct Choice<'a> {
    pool: &'a [Candidate],
    /// Those of the handset's own area, which come first.
    near: Free,
    far: Free,
}

/// Free numbers as two columns: the search for the best one runs over nothing but hashes, a thousand times in an import.
#[derive(Default)]
struct Free {
    hashes: Vec<u64>,
    places: Vec<usize>,
}

impl Free {
    /// Takes the number that this identity likes best.
    fn take_best(&mut self, identity: u64) -> Option<usize> {
        let mut best = (0, 0, usize::MAX);
        for (index, (hash, place)) in self.hashes.iter().zip(&self.places).enumerate() {
            let score = mix(identity ^ hash);
            if score > best.0 || (score == best.0 && *place >= best.1) {
                best = (score, *place, index);
            }
        }
        self.take(best.2)
    }

    fn take_place(&mut self, place: usize) -> Option<usize> {
        let index = self.places.iter().position(|other| *other == place)?;
        self.take(index)
    }

    fn take(&mut self, index: usize) -> Option<usize> {
        if index >= self.places.len() {
            return None;
        }
        self.hashes.swap_remove(index);
        Some(self.places.swap_remove(index))
    }
}

impl<'a> Choice<'a> {
    /// `taken` says for each candidate whether the account uses it or lets it rest; `area` is the handset's.
    pub fn new(pool: &'a [Candidate], area: Option<&str>, taken: impl Fn(NumberId) -> bool) -> Self {
        let (mut near, mut far) = (Free::default(), Free::default());
        for (place, candidate) in pool.iter().enumerate().filter(|(_, candidate)| !taken(candidate.id)) {
            let group = if area.is_some_and(|area| area == candidate.area) { &mut near } else { &mut far };
            group.hashes.push(fold(candidate.id.as_bytes()));
            group.places.push(place);
        }
        Choice { pool, near, far }
    }

    /// Takes the best free number for one contact; `None` when the pool has run out for this account.
    pub fn take(&mut self, want: &Want) -> Option<NumberId> {
        let place = match want.previous.and_then(|id| self.take_again(id)) {
            Some(place) => place,
            None => {
                let identity = fold(&want.identity);
                self.near.take_best(identity).or_else(|| self.far.take_best(identity))?
            }
        };
        self.pool.get(place).map(|c| c.id)
    }

    fn take_again(&mut self, id: NumberId) -> Option<usize> {
        let place = self.pool.iter().position(|c| c.id == id)?;
        self.near.take_place(place).or_else(|| self.far.take_place(place))
    }
}

fn fold(bytes: &[u8; 16]) -> u64 {
    let value = u128::from_be_bytes(*bytes);
    // Both halves are mixed before they meet: time stamps that differ by a little must not cancel out.
    let high = u64::try_from(value >> 64).unwrap_or(0);
    let low = u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
    mix(mix(high) ^ low)
}

/// The finaliser of SplitMix64: every input bit moves every output bit.
fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn pool(count: u128) -> Vec<Candidate> {
        (0..count)
            .map(|n| Candidate {
                id: NumberId(Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0000 + n)),
                area: if n % 2 == 0 { "202".to_owned() } else { "303".to_owned() },
            })
            .collect()
    }

    fn person(n: u64) -> [u8; 16] {
        *Uuid::from_u64_pair(0x0197_1111_2222_7000, n).as_bytes()
    }

    fn want(n: u64) -> Want {
        Want { identity: person(n), previous: None }
    }

    #[test]
    fn everybody_prefers_the_same_number_for_the_same_person() {
        let pool = pool(100);
        let mut mine = Choice::new(&pool, None, |_| false);
        let mut yours = Choice::new(&pool, None, |_| false);
        yours.take(&want(77));
        assert_eq!(mine.take(&want(5)), yours.take(&want(5)));
    }

    #[test]
    fn the_number_a_pair_had_before_comes_back() {
        let pool = pool(100);
        let before = pool[42].id;
        let mut choice = Choice::new(&pool, None, |_| false);
        assert_eq!(choice.take(&Want { identity: person(1), previous: Some(before) }), Some(before));
        // Taken by somebody else meanwhile: another one, not an error.
        assert_ne!(choice.take(&Want { identity: person(2), previous: Some(before) }), Some(before));
    }

    #[test]
    fn the_own_area_comes_first_and_then_the_rest() {
        let pool = pool(10);
        let mut choice = Choice::new(&pool, Some("303"), |_| false);
        let areas: Vec<String> = (0..10)
            .map(|n| choice.take(&want(n)).unwrap())
            .map(|id| pool.iter().find(|c| c.id == id).unwrap().area.clone())
            .collect();
        assert!(areas[..5].iter().all(|a| a == "303") && areas[5..].iter().all(|a| a == "202"));
        assert_eq!(choice.take(&want(99)), None);
    }

    #[test]
    fn a_number_that_leaves_the_pool_moves_nobody_else() {
        let whole = pool(50);
        let without: Vec<Candidate> = whole.iter().skip(1).cloned().collect();
        for n in 0..200 {
            let before = Choice::new(&whole, None, |_| false).take(&want(n));
            let after = Choice::new(&without, None, |_| false).take(&want(n));
            assert!(before == after || before == Some(whole[0].id));
        }
    }

    #[test]
    fn ten_thousand_accounts_share_240_numbers_without_an_ambiguous_pair() {
        let pool = pool(240);
        let mut holders: HashMap<(u64, NumberId), u64> = HashMap::new();
        for account in 0..10_000u64 {
            let mut choice = Choice::new(&pool, None, |_| false);
            for friend in 0..200u64 {
                let person = (account * 7 + friend * 131) % 40_000;
                let number = choice.take(&want(person)).unwrap();
                assert!(holders.insert((account, number), person).is_none(), "one pair, two people");
            }
        }
        assert_eq!(holders.len(), 2_000_000);
    }

    proptest! {
        #[test]
        fn nobody_is_given_a_number_twice(size in 1u128..60, asks in 0usize..90, used in proptest::collection::hash_set(0usize..60, 0..30)) {
            let pool = pool(size);
            let used: HashSet<NumberId> = used.into_iter().filter_map(|n| pool.get(n)).map(|c| c.id).collect();
            let mut choice = Choice::new(&pool, Some("202"), |id| used.contains(&id));
            let given: Vec<NumberId> = (0..asks as u64).filter_map(|n| choice.take(&want(n))).collect();
            let distinct: HashSet<NumberId> = given.iter().copied().collect();
            prop_assert_eq!(distinct.len(), given.len());
            prop_assert!(distinct.is_disjoint(&used));
            prop_assert_eq!(given.len(), asks.min(pool.len() - used.len()));
        }
    }
}

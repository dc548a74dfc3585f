//! How many numbers an operator needs. Pure.
//!
//! A number must be unique only among the numbers that one account may still dial, so what counts is the largest
//! holding of any account, active and resting pairs together, and not the number of accounts.

/// What the answer depends on.
#[derive(Debug, Clone, Copy)]
pub struct Demand {
    /// Contacts of the account with the most contacts.
    pub contacts_max: u32,
    /// Contacts such an account drops in the time a pair rests.
    pub resting_max: u32,
    /// Room for growth, in percent.
    pub headroom_percent: u32,
    /// SMS per second through all numbers in the busy hour.
    pub sms_per_second: f64,
    /// SMS per second that one number may send (a long code: one segment a second).
    pub sms_per_number: f64,
}

/// How many numbers one region needs, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// So that every account's pairs differ.
    pub for_contacts: u32,
    /// So that the carrier's rate limit is not met.
    pub for_traffic: u32,
    /// The larger of the two.
    pub numbers: u32,
}

/// The pool for one region: the larger of what identity and what traffic ask for.
pub fn plan(demand: &Demand) -> Plan {
    let pairs = u64::from(demand.contacts_max) + u64::from(demand.resting_max);
    let for_contacts = (pairs * (100 + u64::from(demand.headroom_percent))).div_ceil(100);
    let for_traffic = if demand.sms_per_number > 0.0 {
        (demand.sms_per_second / demand.sms_per_number).ceil()
    } else {
        0.0
    };
    let for_contacts = u32::try_from(for_contacts).unwrap_or(u32::MAX);
    // Saturates, which is what a plan of four billion numbers deserves.
    let for_traffic = for_traffic.clamp(0.0, f64::from(u32::MAX)) as u32;
    Plan { for_contacts, for_traffic, numbers: for_contacts.max(for_traffic) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_follows_the_largest_account_and_the_traffic() {
        let demand = Demand {
            contacts_max: 500,
            resting_max: 20,
            headroom_percent: 15,
            sms_per_second: 100.0,
            sms_per_number: 1.0,
        };
        assert_eq!(plan(&demand), Plan { for_contacts: 598, for_traffic: 100, numbers: 598 });
        let busy = Demand { sms_per_second: 5_000.5, ..demand };
        assert_eq!(plan(&busy).numbers, 5_001);
        let idle = Demand { sms_per_number: 0.0, ..demand };
        assert_eq!(plan(&idle).for_traffic, 0);
    }
}

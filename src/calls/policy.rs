//! Who rings, for how long, and what may be dialled at all. Pure but for [`plan`], which reads.

use std::time::Duration;

use phonenumber::Type;

use super::machine::State;
use super::settings::{CallSettings, ForwardWhen, RingOrder};
use super::{settings, store, voicemail};
use crate::accounts::{self, mobiles};
use crate::clock::Timestamp;
use crate::db::Db;
use crate::error::Result;
use crate::ids::{AccountId, ContactId};
use crate::messaging::routes;
use crate::numbers;
use crate::phone::E164;
use crate::presence;

/// When phones ring in order, clients ring alone for so long.
const CLIENTS_FIRST: Duration = Duration::from_secs(10);
/// What a forwarded call rings after the others have.
const FORWARD_RINGS: u16 = 30;
/// Phones that ring for one person at most.
const PHONES_MAX: usize = 4;

/// Why a number is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Help must be called from the phone itself, which knows where it is.
    Emergency,
    /// Somebody earns from the call.
    Premium,
    /// A country that the account has no verified phone in.
    Elsewhere,
    /// Not a number of a telephone.
    NotANumber,
}

impl Refused {
    /// A stable word.
    pub fn code(self) -> &'static str {
        match self {
            Refused::Emergency => "emergency_number",
            Refused::Premium => "premium_number",
            Refused::Elsewhere => "unexpected_destination",
            Refused::NotANumber => "not_a_phone_number",
        }
    }
}

/// Numbers that call for help, by the digits that are dialled; what is one anywhere is refused everywhere.
const EMERGENCY: &[&str] = &[
    "000", "061", "08", "100", "101", "102", "103", "104", "106", "107", "108", "110", "111", "112", "113",
    "114", "115", "116117", "117", "118", "119", "120", "122", "123", "125", "127", "128", "132", "133",
    "144", "155", "158", "166", "190", "191", "192", "193", "194", "197", "198", "199", "911", "988", "991",
    "992", "993", "994", "995", "997", "998", "999", "1669", "15", "17", "18",
];

/// Whether somebody dials for help: short, or with the country's code before it (`+1911`).
pub fn is_emergency(dialled: &str) -> bool {
    let digits: String = dialled.chars().filter(char::is_ascii_digit).collect();
    if EMERGENCY.contains(&digits.as_str()) {
        return true;
    }
    let international = dialled.trim_start().starts_with('+');
    // No telephone has so few digits after its country's code.
    international
        && digits.len() <= 6
        && (1..=3)
            .any(|code| digits.get(code..).is_some_and(|rest| rest.len() >= 3 && EMERGENCY.contains(&rest)))
}

/// Reads what a person typed as a number to be called, or says why it is not dialled. `homes` are the regions in which
/// the account has verified phones; a number elsewhere is not expected, and without a phone every number is elsewhere:
/// nobody shall earn from calls that we pay for to a country of his choice.
pub fn destination(typed: &str, homes: &[String]) -> Result<E164, Refused> {
    if is_emergency(typed) {
        return Err(Refused::Emergency);
    }
    let home = homes.first().map(String::as_str);
    let number = E164::parse_human(typed, home).map_err(|_| Refused::NotANumber)?;
    check_forward(&number, homes).map(|()| number)
}

/// Whether a number may be dialled at all, whoever asks for it.
pub fn check_destination(number: &E164) -> Result<(), Refused> {
    if is_emergency(number.as_str()) {
        return Err(Refused::Emergency);
    }
    if is_premium(number) {
        return Err(Refused::Premium);
    }
    Ok(())
}

/// Whether calls may be forwarded to a number by somebody who has phones in these regions.
fn check_forward(number: &E164, homes: &[String]) -> Result<(), Refused> {
    check_destination(number)?;
    if homes.contains(&number.region()) { Ok(()) } else { Err(Refused::Elsewhere) }
}

fn is_premium(number: &E164) -> bool {
    // Metadata knows no 976 exchange, and 900 only as a pattern that fictional numbers escape.
    if let Some(rest) = number.as_str().strip_prefix("+1").filter(|rest| rest.len() == 10) {
        let (area, exchange) = (rest.get(..3), rest.get(3..6));
        if area == Some("900") || exchange == Some("976") {
            return true;
        }
    }
    let Ok(parsed) = phonenumber::parse(None, number.as_str()) else { return true };
    matches!(
        parsed.number_type(&phonenumber::metadata::DATABASE),
        Type::PremiumRate | Type::SharedCost | Type::PersonalNumber | Type::Pager
    )
}

/// A phone that shall ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneToRing {
    /// Through which carrier.
    pub carrier_id: String,
    /// Our number, by which the callee's phone knows the caller.
    pub from: E164,
    /// The phone.
    pub to: E164,
    /// How long after the call began.
    pub after: Duration,
}

/// What a call does at the callee's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// His clients ring.
    pub clients: bool,
    /// These phones ring.
    pub phones: Vec<PhoneToRing>,
    /// For how long all in all.
    pub rings: Duration,
    /// Whether nobody's answering leads to voicemail.
    pub voicemail: bool,
    /// He is in another call.
    pub busy: bool,
    /// The caller says his name first.
    pub screening: bool,
}

/// What decides a plan.
#[derive(Debug, Clone)]
struct Situation {
    settings: CallSettings,
    /// Not now, whoever it is.
    quiet: bool,
    busy: bool,
    connected: bool,
    /// The callee's phones, and from which number they are called; none without such a number.
    line: Option<(String, E164)>,
    phones: Vec<E164>,
}

/// Decides who rings when `callee` is called by the one he knows as `contact`.
pub fn plan(db: &mut Db, now: Timestamp, callee: AccountId, contact: ContactId) -> Result<Plan> {
    let account = accounts::load(db, callee)?;
    let mut settings = settings::load(db, callee)?;
    let mobiles = mobiles::list_verified(db, callee)?;
    // Again at each call: the phones for which it was allowed may be gone.
    let homes: Vec<String> = mobiles.iter().map(|mobile| mobile.number.region()).collect();
    settings.forward_to = settings.forward_to.filter(|to| check_forward(to, &homes).is_ok());
    settings.voicemail.enabled = settings.voicemail.enabled && voicemail::has_room(db, callee)?;
    let minute = now.minute_of_day_in(&account.time_zone);
    let quiet = settings.do_not_disturb || account.quiet_hours.is_some_and(|hours| hours.contains(minute));
    let open = store::list_open(db, callee)?;
    let busy = open.iter().any(|call| matches!(call.machine().state, State::Connecting | State::InProgress));
    let connected = presence::connected_until(db, callee)?.is_some_and(|until| until > now);
    let number = numbers::numbers_of(db, callee, &[contact])?.into_iter().next().map(|(_, number)| number);
    let line = match number {
        Some(number) => numbers::find(db, &number)?.map(|found| (found.carrier_id, number)),
        None => None,
    };
    let phones = match &settings.also_ring {
        Some(chosen) => mobiles
            .into_iter()
            .filter(|mobile| chosen.contains(&mobile.id))
            .map(|mobile| mobile.number)
            .collect(),
        None => routes::sms_line(db, callee, contact)?.into_iter().map(|line| line.to).collect(),
    };
    Ok(decide(Situation { settings, quiet, busy, connected, line, phones }))
}

fn decide(situation: Situation) -> Plan {
    let Situation { settings, quiet, busy, connected, line, phones } = situation;
    let ring_seconds = settings.ring_seconds;
    let mut plan = Plan {
        clients: true,
        phones: Vec::new(),
        rings: Duration::from_secs(u64::from(ring_seconds)),
        voicemail: settings.voicemail.enabled,
        busy,
        screening: settings.screening,
    };
    let ring = |to: &E164, after: Duration| {
        let (carrier_id, from) = line.clone()?;
        Some(PhoneToRing { carrier_id, from, to: to.clone(), after })
    };
    if quiet {
        plan.clients = false;
        return plan;
    }
    let forward = settings.forward_to.as_ref();
    match (forward, settings.forward_when) {
        (Some(to), ForwardWhen::Always) => {
            plan.clients = false;
            plan.busy = false;
            plan.phones.extend(ring(to, Duration::ZERO));
            return plan;
        }
        (Some(to), ForwardWhen::Busy) if busy => {
            plan.clients = false;
            plan.busy = false;
            plan.phones.extend(ring(to, Duration::ZERO));
            return plan;
        }
        _ => {}
    }
    if busy {
        plan.clients = false;
        return plan;
    }
    let wait = match settings.ring {
        RingOrder::InOrder if connected => CLIENTS_FIRST,
        RingOrder::InOrder | RingOrder::Together => Duration::ZERO,
    };
    plan.phones.extend(phones.iter().take(PHONES_MAX).filter_map(|to| ring(to, wait)));
    if let (Some(to), ForwardWhen::NoAnswer) = (forward, settings.forward_when)
        && let Some(last) = ring(to, plan.rings)
    {
        plan.phones.push(last);
        plan.rings += Duration::from_secs(u64::from(FORWARD_RINGS));
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    #[test]
    fn help_and_premium_are_not_dialled() {
        let home = ["US".to_owned(), "KR".to_owned()];
        let table = [
            ("911", Err(Refused::Emergency)),
            ("9 1 1", Err(Refused::Emergency)),
            ("112", Err(Refused::Emergency)),
            ("119", Err(Refused::Emergency)),
            ("999", Err(Refused::Emergency)),
            ("000", Err(Refused::Emergency)),
            ("+1911", Err(Refused::Emergency)),
            ("+1 911", Err(Refused::Emergency)),
            ("+82 119", Err(Refused::Emergency)),
            ("+44 999", Err(Refused::Emergency)),
            ("+1 900 555 0123", Err(Refused::Premium)),
            ("(202) 976-0123", Err(Refused::Premium)),
            ("+44 909 879 0000", Err(Refused::Premium)),
            ("+82 60 700 1234", Err(Refused::Premium)),
            ("+44 7700 900123", Err(Refused::Elsewhere)),
            ("hello", Err(Refused::NotANumber)),
            ("", Err(Refused::NotANumber)),
            ("+1 202 555 0101", Ok(number("+12025550101"))),
            ("(202) 555-0101", Ok(number("+12025550101"))),
            ("+82 10 1234 5678", Ok(number("+821012345678"))),
        ];
        for (typed, wanted) in table {
            assert_eq!(destination(typed, &home), wanted, "{typed}");
        }
        // Who has proved no phone has no country that is his.
        assert_eq!(destination("+1 202 555 0101", &[]), Err(Refused::Elsewhere));
        assert!(!is_emergency("+12025550911") && !is_emergency("+82212345119"));
    }

    fn situation() -> Situation {
        Situation {
            settings: CallSettings::default(),
            quiet: false,
            busy: false,
            connected: true,
            line: Some(("sim".to_owned(), number("+12025550200"))),
            phones: vec![number("+12025550101")],
        }
    }

    #[test]
    fn who_rings_follows_the_settings() {
        let both = decide(situation());
        assert!(both.clients && both.voicemail && both.phones.len() == 1);
        assert_eq!(both.phones[0].after, Duration::ZERO);
        let quiet = decide(Situation { quiet: true, ..situation() });
        assert!(!quiet.clients && quiet.phones.is_empty() && quiet.voicemail);
        let busy = decide(Situation { busy: true, ..situation() });
        assert!(busy.busy && !busy.clients && busy.phones.is_empty());
        let mut ordered = situation();
        ordered.settings.ring = RingOrder::InOrder;
        assert_eq!(decide(ordered.clone()).phones[0].after, CLIENTS_FIRST);
        ordered.connected = false;
        assert_eq!(decide(ordered).phones[0].after, Duration::ZERO, "no client to wait for");
        let no_number = decide(Situation { line: None, ..situation() });
        assert!(no_number.clients && no_number.phones.is_empty());
    }

    #[test]
    fn forwarding_takes_the_place_or_comes_last() {
        let forwarded = |when, busy| {
            let mut situation = Situation { busy, ..situation() };
            situation.settings.forward_to = Some(number("+12025550109"));
            situation.settings.forward_when = when;
            decide(situation)
        };
        let always = forwarded(ForwardWhen::Always, false);
        assert!(!always.clients && always.phones.len() == 1);
        let late = forwarded(ForwardWhen::NoAnswer, false);
        assert!(late.clients && late.phones.len() == 2 && late.phones[1].after == Duration::from_secs(25));
        assert!(late.rings > late.phones[1].after);
        let on_busy = forwarded(ForwardWhen::Busy, true);
        assert!(!on_busy.busy && on_busy.phones.len() == 1);
        assert_eq!(forwarded(ForwardWhen::Busy, false).phones.len(), 1, "only his own phone");
    }
}

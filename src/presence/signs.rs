//! Who can be reached, and how: the decision, from what is known. Pure.
//!
//! The rule above all: who has a verified mobile is always reachable, because a text reaches his phone whether or not
//! he has ever opened a client. What else is known is said honestly beside it: when the phone was last heard from,
//! whether the network could not find it, whether it is night there.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;

/// How long a state that somebody has chosen holds after his last client has gone.
pub const CHOICE_LASTS: Duration = Duration::from_secs(12 * 3600);

/// Whether somebody can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PresenceState {
    /// Now.
    Available,
    /// Probably not at once.
    Away,
    /// Better not disturbed.
    Busy,
    /// Not now; what is sent waits.
    Offline,
}

impl PresenceState {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            PresenceState::Available => "available",
            PresenceState::Away => "away",
            PresenceState::Busy => "busy",
            PresenceState::Offline => "offline",
        }
    }

    /// Reads what is stored; an unknown word means nothing special.
    pub(super) fn from_stored(text: &str) -> Self {
        match text {
            "away" => PresenceState::Away,
            "busy" => PresenceState::Busy,
            "offline" => PresenceState::Offline,
            _ => PresenceState::Available,
        }
    }
}

/// The way that reaches somebody now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// A client is connected.
    Chat,
    /// His phone.
    Sms,
}

/// Who can be reached, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Presence {
    /// Whether he can be reached.
    pub state: PresenceState,
    /// How; null when he cannot.
    pub via: Option<Via>,
    /// What he says about it himself.
    pub note: Option<String>,
    /// When he was last active in a client or heard from by phone.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_active_at: Option<Timestamp>,
    /// Whether his quiet hours are on.
    pub quiet: bool,
}

impl Presence {
    /// Nothing is known, or nothing may be shown.
    pub const UNKNOWN: Presence =
        Presence { state: PresenceState::Offline, via: None, note: None, last_active_at: None, quiet: false };
}

/// What somebody has chosen to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The state. `Offline` hides his clients; it cannot hide that texts reach his phone.
    pub state: PresenceState,
    /// A few words.
    pub note: Option<String>,
}

/// What is known of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signs {
    /// What he has chosen, ever.
    pub choice: Option<Choice>,
    /// When a client of his was last active.
    pub active_at: Option<Timestamp>,
    /// Whether a client is connected.
    pub connected: bool,
    /// His phones, if any.
    pub phone: Option<Phone>,
    /// Whether his quiet hours are on.
    pub quiet: bool,
}

/// What is known of somebody's verified mobiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phone {
    /// When one was last heard from.
    pub heard_at: Option<Timestamp>,
    /// Whether the network could find none of them lately.
    pub absent: bool,
}

/// Decides what to show of somebody.
pub fn decide(now: Timestamp, signs: &Signs) -> Presence {
    let recent = signs.active_at.is_some_and(|at| now.since(at) < CHOICE_LASTS);
    let choice = signs.choice.as_ref().filter(|_| signs.connected || recent);
    let hidden = choice.is_some_and(|c| c.state == PresenceState::Offline);
    let chosen = choice.map_or(PresenceState::Available, |c| c.state);
    let note = choice.filter(|_| !hidden).and_then(|c| c.note.clone());
    let heard_at = signs.phone.and_then(|phone| phone.heard_at);
    // Who hides his clients does not want their activity seen either.
    let last_active_at = if hidden { heard_at } else { heard_at.max(signs.active_at) };

    if signs.connected && !hidden {
        return Presence { state: chosen, via: Some(Via::Chat), note, last_active_at, quiet: signs.quiet };
    }
    let Some(phone) = signs.phone else {
        return Presence {
            state: PresenceState::Offline,
            via: None,
            note,
            last_active_at,
            quiet: signs.quiet,
        };
    };
    let state = match (phone.absent, signs.quiet, chosen) {
        (true, _, _) => PresenceState::Away,
        (false, true, _) => PresenceState::Busy,
        (false, false, PresenceState::Offline) => PresenceState::Away,
        (false, false, chosen) => chosen,
    };
    Presence { state, via: Some(Via::Sms), note, last_active_at, quiet: signs.quiet }
}

/// Whether `minute` of the day lies in quiet hours that begin at `from` and end before `to`, perhaps after midnight.
pub fn is_quiet(minute: u16, from: u16, to: u16) -> bool {
    if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_760_000_000_000_000);

    fn ago(hours: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(hours * 3600))
    }

    fn choice(state: PresenceState) -> Option<Choice> {
        Some(Choice { state, note: Some("in a meeting".to_owned()) })
    }

    #[test]
    fn the_table() {
        use PresenceState::{Available, Away, Busy, Offline};
        let phone = Some(Phone { heard_at: Some(ago(30)), absent: false });
        let lost = Some(Phone { heard_at: Some(ago(30)), absent: true });
        let none = Signs::default();
        let table = [
            // What is known, what is shown: state, way, whether the note shows, last activity in hours.
            ("nobody", none.clone(), (Offline, None, false, None)),
            (
                "a phone never heard from",
                Signs { phone: Some(Phone::default()), ..none.clone() },
                (Available, Some(Via::Sms), false, None),
            ),
            ("a phone", Signs { phone, ..none.clone() }, (Available, Some(Via::Sms), false, Some(30))),
            (
                "a phone that is switched off",
                Signs { phone: lost, ..none.clone() },
                (Away, Some(Via::Sms), false, Some(30)),
            ),
            (
                "a phone at night",
                Signs { phone, quiet: true, ..none.clone() },
                (Busy, Some(Via::Sms), false, Some(30)),
            ),
            (
                "switched off at night",
                Signs { phone: lost, quiet: true, ..none.clone() },
                (Away, Some(Via::Sms), false, Some(30)),
            ),
            (
                "a client",
                Signs { connected: true, active_at: Some(NOW), ..none.clone() },
                (Available, Some(Via::Chat), false, Some(0)),
            ),
            (
                "client and phone, at night",
                Signs { connected: true, active_at: Some(NOW), phone, quiet: true, ..none.clone() },
                (Available, Some(Via::Chat), false, Some(0)),
            ),
            (
                "busy in a client",
                Signs { connected: true, active_at: Some(NOW), choice: choice(Busy), ..none.clone() },
                (Busy, Some(Via::Chat), true, Some(0)),
            ),
            (
                "busy, client closed an hour ago, has a phone",
                Signs { active_at: Some(ago(1)), choice: choice(Busy), phone, ..none.clone() },
                (Busy, Some(Via::Sms), true, Some(1)),
            ),
            (
                "busy, but yesterday",
                Signs { active_at: Some(ago(20)), choice: choice(Busy), phone, ..none.clone() },
                (Available, Some(Via::Sms), false, Some(20)),
            ),
            (
                "hides, without a phone",
                Signs { connected: true, active_at: Some(NOW), choice: choice(Offline), ..none.clone() },
                (Offline, None, false, None),
            ),
            (
                "hides, with a phone",
                Signs {
                    connected: true,
                    active_at: Some(NOW),
                    choice: choice(Offline),
                    phone,
                    ..none.clone()
                },
                (Away, Some(Via::Sms), false, Some(30)),
            ),
            ("client closed", Signs { active_at: Some(ago(2)), ..none }, (Offline, None, false, Some(2))),
        ];
        for (name, signs, (state, via, note, hours)) in table {
            let shown = decide(NOW, &signs);
            assert_eq!((shown.state, shown.via), (state, via), "{name}");
            assert_eq!(shown.note.is_some(), note, "{name}");
            assert_eq!(shown.last_active_at, hours.map(ago), "{name}");
            assert_eq!(shown.quiet, signs.quiet, "{name}");
        }
    }

    #[test]
    fn quiet_hours_may_pass_midnight() {
        let night = |minute| is_quiet(minute, 22 * 60, 7 * 60);
        assert!(night(23 * 60) && night(0) && night(6 * 60 + 59));
        assert!(!night(7 * 60) && !night(12 * 60) && !night(21 * 60 + 59));
        assert!(is_quiet(600, 540, 660) && !is_quiet(660, 540, 660));
        assert!(!is_quiet(0, 300, 300));
    }

    proptest! {
        #[test]
        fn who_has_a_phone_is_never_offline(
            connected: bool, quiet: bool, absent: bool, chosen in 0u8..5, hours in 0u64..48,
        ) {
            let state = match chosen {
                0 => Some(PresenceState::Available),
                1 => Some(PresenceState::Away),
                2 => Some(PresenceState::Busy),
                3 => Some(PresenceState::Offline),
                _ => None,
            };
            let signs = Signs {
                choice: state.map(|state| Choice { state, note: None }),
                active_at: Some(ago(hours)),
                connected,
                phone: Some(Phone { heard_at: None, absent }),
                quiet,
            };
            let shown = decide(NOW, &signs);
            prop_assert_ne!(shown.state, PresenceState::Offline);
            prop_assert!(shown.via.is_some());
        }
    }
}

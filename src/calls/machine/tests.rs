//! Tables and properties of the call machine.

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;

fn session() -> SessionId {
    SessionId::new(Timestamp(0))
}

fn leg() -> CallLegId {
    CallLegId::new(Timestamp(0))
}

fn ringing(phones: Vec<CallLegId>, voicemail: bool) -> Machine {
    Machine::ringing(Some(End::Client(session())), true, phones, voicemail)
}

/// Runs events that must all be taken; the last effects.
fn run(mut machine: Machine, events: &[Event]) -> (Machine, Vec<Effect>) {
    let mut last = Vec::new();
    for event in events {
        (machine, last) = machine.after(*event).unwrap_or_else(|why| panic!("{event:?}: {why:?}"));
    }
    (machine, last)
}

fn talking() -> Machine {
    let events = [Event::SoundUp(Side::Caller), Event::Accepts(session()), Event::SoundUp(Side::Callee)];
    run(ringing(Vec::new(), true), &events).0
}

#[test]
fn endings_are_as_the_table_says() {
    use EndReason::*;
    let accept = Event::Accepts(session());
    let (up, heard) = (Event::SoundUp(Side::Caller), Event::SoundUp(Side::Callee));
    type Row = (&'static str, bool, Vec<Event>, State, Option<EndReason>, bool);
    #[rustfmt::skip]
    let table: Vec<Row> = vec![
        ("talk, the callee ends", true, vec![up, accept, heard, Event::HangsUp(Side::Callee)], State::Ended, Some(HungUp), false),
        ("talk, the caller ends", true, vec![up, accept, heard, Event::HangsUp(Side::Caller)], State::Ended, Some(HungUp), false),
        ("the caller gives up", true, vec![up, Event::HangsUp(Side::Caller)], State::Ended, Some(Cancelled), true),
        ("gives up as it is taken", true, vec![up, accept, Event::HangsUp(Side::Caller)], State::Ended, Some(Cancelled), true),
        ("rings out", false, vec![Event::RingsOut], State::Ended, Some(NoAnswer), true),
        ("rings out to voicemail", true, vec![Event::RingsOut], State::Voicemail, None, false),
        ("a message is left", true, vec![Event::RingsOut, Event::MessageLeft], State::Ended, Some(Voicemail), true),
        ("no message is left", true, vec![Event::RingsOut, Event::HangsUp(Side::Caller)], State::Ended, Some(NoAnswer), true),
        ("declined", false, vec![Event::Declines(None)], State::Ended, Some(Declined), false),
        ("declined to voicemail", true, vec![Event::Declines(None)], State::Voicemail, None, false),
        ("declined for good", true, vec![Event::Declines(Some(false))], State::Ended, Some(Declined), false),
        ("no voicemail by wish where there is none", false, vec![Event::Declines(Some(true))], State::Ended, Some(Declined), false),
        ("picked up in the greeting", true, vec![up, Event::RingsOut, accept, heard], State::InProgress, None, false),
        ("the tab is closed", true, vec![up, accept, heard, Event::Loses(Side::Callee)], State::Ended, Some(Lost), false),
        ("the tab comes back", true, vec![up, accept, heard, Event::Wavers(Side::Callee, true), Event::Wavers(Side::Callee, false)], State::InProgress, None, false),
        ("the phone's socket breaks", true, vec![up, accept, heard, Event::Loses(Side::Caller)], State::Ended, Some(Lost), false),
        ("nobody cares for it", true, vec![Event::Swept(Lost)], State::Ended, Some(Lost), true),
        ("crash while they talk", true, vec![up, accept, heard, Event::Swept(Lost)], State::Ended, Some(Lost), false),
    ];
    for (what, voicemail, events, state, reason, missed) in table {
        let (machine, effects) = run(ringing(Vec::new(), voicemail), &events);
        assert_eq!((machine.state, machine.reason, machine.is_missed()), (state, reason, missed), "{what}");
        assert_eq!(effects.contains(&Effect::Close), state == State::Ended, "{what}");
    }
}

#[test]
fn the_first_to_accept_has_it() {
    let (first, second) = (session(), session());
    let (taken, _) = ringing(Vec::new(), true).after(Event::Accepts(first)).unwrap();
    assert_eq!(taken.callee.end, Some(End::Client(first)));
    assert_eq!(taken.after(Event::Accepts(second)), Err(Refusal::AnsweredElsewhere));
    assert_eq!(taken.after(Event::Declines(None)), Err(Refusal::NotNow), "too late to decline");
    let (over, _) = taken.after(Event::HangsUp(Side::Caller)).unwrap();
    assert_eq!(over.after(Event::Accepts(second)), Err(Refusal::Over));
}

#[test]
fn cancel_and_accept_meet() {
    let (cancelled, _) = ringing(Vec::new(), true).after(Event::HangsUp(Side::Caller)).unwrap();
    assert_eq!(cancelled.after(Event::Accepts(session())), Err(Refusal::Over));
    let late = leg();
    let (still, effects) = cancelled.after(Event::PhoneAnswers(late)).unwrap();
    assert_eq!((still.state, effects), (State::Ended, vec![Effect::StopPhone(late)]));
}

#[test]
fn phones_and_clients_ring_together_and_one_wins() {
    let (home, work) = (leg(), leg());
    let both = ringing(vec![home, work], true);
    let (by_phone, effects) = both.after(Event::PhoneAnswers(home)).unwrap();
    assert_eq!(effects, [Effect::StopPhones]);
    assert_eq!(by_phone.after(Event::Accepts(session())), Err(Refusal::AnsweredElsewhere));
    assert_eq!(by_phone.after(Event::PhoneAnswers(work)).unwrap().1, [Effect::StopPhone(work)]);
    assert_eq!(by_phone.after(Event::PhoneAnswers(home)).unwrap().1, [], "said twice");
    let (by_client, effects) = both.after(Event::Accepts(session())).unwrap();
    assert_eq!(effects, [Effect::StopPhones]);
    assert_eq!(by_client.after(Event::PhoneAnswers(home)).unwrap().1, [Effect::StopPhone(home)]);
}

#[test]
fn it_is_over_when_all_refuse() {
    let (home, work) = (leg(), leg());
    let phones_only = Machine { clients_ring: false, ..ringing(vec![home, work], false) };
    let (one, effects) = phones_only.after(Event::PhoneRefuses(home, EndReason::Busy)).unwrap();
    assert_eq!((one.state, effects), (State::Ringing, Vec::new()));
    let (both, _) = one.after(Event::PhoneRefuses(work, EndReason::NoAnswer)).unwrap();
    assert_eq!((both.state, both.reason), (State::Ended, Some(EndReason::NoAnswer)));
    let (rings_on, _) = ringing(vec![home], false).after(Event::PhoneRefuses(home, EndReason::Busy)).unwrap();
    assert_eq!(rings_on.state, State::Ringing, "the clients still ring");
    let (told_twice, effects) = rings_on.after(Event::PhoneRefuses(home, EndReason::Busy)).unwrap();
    assert_eq!((told_twice.state, effects), (State::Ringing, Vec::new()));
}

#[test]
fn the_carrier_ends_the_answered_phone() {
    let home = leg();
    let (machine, _) =
        run(ringing(vec![home], true), &[Event::SoundUp(Side::Caller), Event::PhoneAnswers(home)]);
    let (failed, _) = machine.after(Event::PhoneRefuses(home, EndReason::Failed)).unwrap();
    assert_eq!(failed.reason, Some(EndReason::Failed));
    let (talks, _) = machine.after(Event::SoundUp(Side::Callee)).unwrap();
    let (hung_up, _) = talks.after(Event::PhoneRefuses(home, EndReason::HungUp)).unwrap();
    assert_eq!(hung_up.reason, Some(EndReason::HungUp));
}

#[test]
fn a_failed_accept_rings_on() {
    let me = session();
    let (taken, _) = ringing(Vec::new(), true).after(Event::Accepts(me)).unwrap();
    assert_eq!(taken.after(Event::AcceptFails(session())), Err(Refusal::NotNow), "somebody else's failure");
    let (again, _) = taken.after(Event::AcceptFails(me)).unwrap();
    assert!(again.after(Event::Accepts(session())).is_ok());
}

#[test]
fn hold_is_of_both_sides() {
    let talk = talking();
    let heard = |machine: &Machine| (machine.hears(Side::Caller), machine.hears(Side::Callee));
    assert_eq!(heard(&talk), (Hears::TheOther, Hears::TheOther));
    let (held, _) = talk.after(Event::Holds(Side::Callee, true)).unwrap();
    assert_eq!(heard(&held), (Hears::HoldTone, Hears::Silence));
    let (twice, _) = held.after(Event::Holds(Side::Caller, true)).unwrap();
    let (one, _) = twice.after(Event::Holds(Side::Callee, false)).unwrap();
    assert_eq!(heard(&one), (Hears::Silence, Hears::HoldTone), "the other still holds");
    let (free, _) = one.after(Event::Holds(Side::Caller, false)).unwrap();
    assert_eq!((free.is_held(), heard(&free)), (false, (Hears::TheOther, Hears::TheOther)));
    assert_eq!(ringing(Vec::new(), true).after(Event::Holds(Side::Caller, true)), Err(Refusal::NotNow));
}

#[test]
fn another_device_takes_over() {
    let laptop = session();
    let (moved, _) = talking().after(Event::Moves(Side::Callee, laptop)).unwrap();
    assert_eq!((moved.callee.end, moved.callee.up), (Some(End::Client(laptop)), false));
    assert!(moved.after(Event::SoundUp(Side::Callee)).unwrap().0.callee.up);
}

#[test]
fn who_listens_in_is_not_heard_until_he_takes_the_call() {
    let (desk, laptop) = (session(), session());
    let (listen, heard) = (Event::Listens(desk), Event::SoundUp(Side::Callee));
    let up = [Event::SoundUp(Side::Caller), Event::RingsOut];
    let recorded = run(ringing(Vec::new(), true), &up).0;
    let hears = |machine: &Machine| (machine.hears(Side::Caller), machine.hears(Side::Callee));
    type Row = (&'static str, Vec<Event>, State, Option<SessionId>, (Hears, Hears), bool);
    #[rustfmt::skip]
    let table: Vec<Row> = vec![
        ("he listens", vec![listen, heard], State::Voicemail, Some(desk), (Hears::Greeting, Hears::TheOther), false),
        ("another device of his listens", vec![listen, Event::Listens(laptop)], State::Voicemail, Some(laptop), (Hears::Greeting, Hears::TheOther), true),
        ("he listens no longer", vec![listen, heard, Event::HangsUp(Side::Callee)], State::Voicemail, None, (Hears::Greeting, Hears::Silence), true),
        ("his page is closed", vec![listen, heard, Event::Loses(Side::Callee)], State::Voicemail, None, (Hears::Greeting, Hears::Silence), true),
        ("he takes the call", vec![listen, heard, Event::Accepts(desk)], State::Connecting, Some(desk), (Hears::Silence, Hears::Silence), true),
        ("and they talk", vec![listen, heard, Event::Accepts(desk), heard], State::InProgress, Some(desk), (Hears::TheOther, Hears::TheOther), false),
        ("his laptop takes it", vec![listen, heard, Event::Accepts(laptop), heard], State::InProgress, Some(laptop), (Hears::TheOther, Hears::TheOther), false),
        ("the message is left", vec![listen, heard, Event::MessageLeft], State::Ended, Some(desk), (Hears::Silence, Hears::Silence), false),
        ("the caller hangs up", vec![listen, Event::HangsUp(Side::Caller)], State::Ended, Some(desk), (Hears::Silence, Hears::Silence), false),
    ];
    for (what, events, state, client, sound, stops) in table {
        let (machine, effects) = run(recorded.clone(), &events);
        let end = client.map(End::Client);
        assert_eq!((machine.state, machine.callee.end, hears(&machine)), (state, end, sound), "{what}");
        assert_eq!(effects.contains(&Effect::StopListening), stops, "{what}");
    }
    assert_eq!(recorded.after(Event::HangsUp(Side::Callee)), Err(Refusal::NotNow), "nobody listens");
    assert_eq!(ringing(Vec::new(), true).after(listen), Err(Refusal::NotNow), "it rings");
    assert_eq!(talking().after(listen), Err(Refusal::NotNow), "they talk");
}

#[test]
fn who_was_let_in_and_finds_the_other_busy_hears_it() {
    let (phone, work) = (leg(), leg());
    let dialled =
        |caller| Machine { clients_ring: false, ..Machine::ringing(Some(caller), true, vec![work], false) };
    let (up, busy) = (Event::SoundUp(Side::Caller), Event::PhoneRefuses(work, EndReason::Busy));
    let (phone, client) = (End::Phone(phone), End::Client(session()));
    type Row = (&'static str, End, bool, Vec<Event>, State, Hears);
    #[rustfmt::skip]
    let table: Vec<Row> = vec![
        ("a phone whose line is up", phone, false, vec![up, busy], State::Ended, Hears::BusyTone),
        ("his own network says it", phone, false, vec![busy], State::Ended, Hears::Silence),
        ("a client shows it", client, false, vec![up, busy], State::Ended, Hears::Silence),
        ("there is voicemail", phone, true, vec![up, busy], State::Voicemail, Hears::Greeting),
        ("nobody answers", phone, false, vec![up, Event::PhoneRefuses(work, EndReason::NoAnswer)], State::Ended, Hears::Silence),
        ("they have talked", phone, false, vec![up, Event::PhoneAnswers(work), Event::SoundUp(Side::Callee), busy], State::Ended, Hears::Silence),
    ];
    for (what, caller, voicemail, events, state, hears) in table {
        let (machine, _) = run(Machine { voicemail, ..dialled(caller) }, &events);
        assert_eq!((machine.state, machine.hears(Side::Caller)), (state, hears), "{what}");
        assert_ne!(machine.hears(Side::Callee), Hears::BusyTone, "{what}");
    }
}

#[test]
fn recording_needs_both() {
    let (asked, _) = talking().after(Event::Records(Side::Caller, true)).unwrap();
    assert_eq!(asked.recording, Recording::Asked(Side::Caller));
    assert_eq!(asked.after(Event::Agrees(Side::Caller, true)), Err(Refusal::NotNow), "not his own consent");
    assert_eq!(asked.after(Event::Agrees(Side::Callee, false)).unwrap().0.recording, Recording::Off);
    let (on, _) = asked.after(Event::Agrees(Side::Callee, true)).unwrap();
    assert_eq!(on.recording, Recording::On(Side::Caller));
    assert_eq!(
        asked.after(Event::Records(Side::Callee, true)).unwrap().0.recording,
        on.recording,
        "both want it"
    );
    assert_eq!(on.after(Event::Records(Side::Callee, false)).unwrap().0.recording, Recording::Off);
    assert_eq!(on.after(Event::HangsUp(Side::Callee)).unwrap().0.recording, Recording::Off);
}

fn any_event(phones: [CallLegId; 2], sessions: [SessionId; 2]) -> impl Strategy<Value = Event> {
    let side = || prop_oneof![Just(Side::Caller), Just(Side::Callee)];
    let phone = proptest::sample::select(phones.to_vec());
    let client = proptest::sample::select(sessions.to_vec());
    let reason = proptest::sample::select(EndReason::ALL.to_vec());
    prop_oneof![
        client.clone().prop_map(Event::Accepts),
        client.clone().prop_map(Event::AcceptFails),
        client.clone().prop_map(Event::Listens),
        proptest::option::of(any::<bool>()).prop_map(Event::Declines),
        phone.clone().prop_map(Event::PhoneAnswers),
        (phone, reason.clone()).prop_map(|(leg, reason)| Event::PhoneRefuses(leg, reason)),
        Just(Event::RingsOut),
        side().prop_map(Event::SoundUp),
        side().prop_map(Event::HangsUp),
        side().prop_map(Event::Loses),
        (side(), any::<bool>()).prop_map(|(side, on)| Event::Wavers(side, on)),
        (side(), any::<bool>()).prop_map(|(side, on)| Event::Holds(side, on)),
        (side(), any::<bool>()).prop_map(|(side, on)| Event::Mutes(side, on)),
        (side(), client).prop_map(|(side, session)| Event::Moves(side, session)),
        (side(), any::<bool>()).prop_map(|(side, on)| Event::Records(side, on)),
        (side(), any::<bool>()).prop_map(|(side, on)| Event::Agrees(side, on)),
        Just(Event::MessageLeft),
        reason.prop_map(Event::Swept),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_call_ends_once_and_for_good(
        voicemail in any::<bool>(),
        (phones, events) in (Just([leg(), leg()]), Just([session(), session()]))
            .prop_flat_map(|(phones, sessions)| {
                (Just(phones), proptest::collection::vec(any_event(phones, sessions), 0..24))
            }),
    ) {
        let mut machine = ringing(phones.to_vec(), voicemail);
        let mut closed = 0;
        for event in events {
            let before = machine.clone();
            if let Ok((next, effects)) = machine.after(event) {
                closed += effects.iter().filter(|effect| **effect == Effect::Close).count();
                machine = next;
            }
            prop_assert_eq!(machine.state == State::Ended, machine.reason.is_some());
            prop_assert!(before.state != State::Ended || machine == before, "nothing happens after the end");
            prop_assert!(machine.state == State::Ringing || machine.phones.is_empty(), "no phone rings on");
            if machine.state == State::InProgress {
                prop_assert!(machine.talked);
                prop_assert!(machine.callee.end.is_some());
            }
            if machine.state == State::Voicemail {
                prop_assert_eq!(machine.hears(Side::Caller), Hears::Greeting, "whoever listens is not heard");
            }
            let text = serde_json::to_string(&machine).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Machine>(&text).unwrap(), &machine);
        }
        prop_assert_eq!(closed, usize::from(machine.state == State::Ended));
        // Whatever state is left, the sweep ends it.
        if let Ok((swept, _)) = machine.after(Event::Swept(EndReason::Lost)) {
            prop_assert_eq!(swept.state, State::Ended);
        }
    }
}

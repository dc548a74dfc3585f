//! What carriers say of calls, and what we answer. A call that comes in is answered with steps; every later question is
//! answered by where the call stands then, so that a question that is asked twice does no harm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::Duration;

use super::changes::{self, is_late};
use super::jobs::late;
use super::machine::{End, EndReason, Event, Hears, Recording, Side, State};
use super::place::{Caller, PhoneCaller, place};
use super::{Call, Leg, LegState, jobs, settings, store};
use crate::accounts::{self, limits, pins};
use crate::app::App;
use crate::carriers::voice::{
    CallEnd, CallEvent, CallNews, CallWord, IncomingCall, NextStep, Progress, Step,
};
use crate::clock::Timestamp;
use crate::db::{Db, Lane};
use crate::error::{Error, Result};
use crate::ids::CallLegId;
use crate::keys::{Keys, Purpose};
use crate::messaging::routes::{self, Meaning};
use crate::numbers;
use crate::phone::{E164, RemoteParty};
use crate::presence;
use crate::queue;
use crate::texts::{CallText, Locale};

/// How long a media socket may be opened with its key.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// Digits of a number, a star and a PIN.
const HIDDEN_DIGITS_MAX: u8 = 24;
/// Between two keys.
const HIDDEN_SECONDS: u8 = 8;
/// How long somebody may think about being recorded.
const CONSENT_SECONDS: u8 = 6;
/// Hidden callers who are asked, by the number that they dial.
const HIDDEN_LIMIT: limits::Limit = limits::Limit {
    name: "calls_hidden",
    code: "too_many_calls",
    max: 30,
    window: Duration::from_secs(3_600),
};

/// Callers who are only told something, each.
const STRANGER_LIMIT: limits::Limit = limits::Limit {
    name: "calls_stranger",
    code: "too_many_calls",
    max: 10,
    window: Duration::from_secs(3_600),
};
/// The same, all who dial one number: each such call is answered, and costs.
const STRANGERS_LIMIT: limits::Limit = limits::Limit {
    name: "calls_strangers",
    code: "too_many_calls",
    max: 60,
    window: Duration::from_secs(3_600),
};

/// A key for one media socket, and its hash as stored.
pub fn new_token(app: &App) -> (String, Vec<u8>) {
    let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
    let hash = token_hash(&app.keys, &token);
    (token, hash)
}

fn token_hash(keys: &Keys, token: &str) -> Vec<u8> {
    keys.hash(Purpose::Ticket, token.as_bytes()).to_vec()
}

/// Where a carrier opens the socket for sound.
pub fn media_url(app: &App, carrier_id: &str, token: &str) -> String {
    let base = &app.settings.public_url;
    let base = match base.strip_prefix("https://") {
        Some(rest) => format!("wss://{rest}"),
        None => base.replacen("http://", "ws://", 1),
    };
    format!("{base}/carriers/{carrier_id}/media/{token}")
}

/// Where a carrier asks what next.
pub fn next_url(app: &App, carrier_id: &str, leg: CallLegId) -> String {
    format!("{}/carriers/{carrier_id}/voice/{leg}/next", app.settings.public_url)
}

/// Where a caller who hides his number tells who he is.
fn hidden_url(app: &App, carrier_id: &str, to: &E164) -> String {
    format!("{}/carriers/{carrier_id}/voice/{}/hidden", app.settings.public_url, to.digits())
}

/// The number in such an address.
fn hidden_number(url: &str) -> Option<E164> {
    let digits = url.strip_suffix("/hidden")?.rsplit('/').next()?;
    E164::parse(&format!("+{digits}")).ok()
}

/// What an incoming call comes to.
enum Verdict {
    /// A leg of a call.
    Leg(Box<(Call, Leg)>),
    /// A few words, and the end.
    Words(CallText<'static>, Locale),
    /// Nothing at all.
    Reject(bool),
    /// Who are you?
    Ask(Locale),
}

/// In which language a stranger is spoken to.
fn locale_of(number: &E164) -> Locale {
    if number.region() == "KR" { Locale::Ko } else { Locale::En }
}

/// What we know of a call that comes in.
#[derive(Clone)]
struct Coming {
    carrier_id: String,
    carrier_call_id: String,
    from: RemoteParty,
    to: E164,
    attestation: Option<char>,
    /// Whether he was asked something before.
    answered: bool,
    node: String,
}

fn receive(db: &mut Db, now: Timestamp, coming: &Coming) -> Result<Verdict> {
    if let Some(leg) = store::find_leg_of_carrier(db, &coming.carrier_id, &coming.carrier_call_id)? {
        let call = store::find(db, leg.call)?.ok_or_else(|| Error::not_found("call"))?;
        return Ok(Verdict::Leg(Box::new((call, leg))));
    }
    let from = match &coming.from {
        RemoteParty::Phone(number) => number.clone(),
        RemoteParty::Hidden => {
            if numbers::find(db, &coming.to)?.is_none() {
                return Ok(Verdict::Reject(false));
            }
            if limits::try_take(db, now, &HIDDEN_LIMIT, coming.to.as_str())?.is_some() {
                return Ok(Verdict::Reject(true));
            }
            return Ok(Verdict::Ask(locale_of(&coming.to)));
        }
        RemoteParty::ShortCode(_) | RemoteParty::Alphanumeric(_) => return Ok(Verdict::Reject(false)),
    };
    let route = match routes::resolve(db, &from, &coming.to)? {
        // Who is blocked is not let in, and never comes to voicemail.
        Meaning::Contact(route) if !route.open => return Ok(Verdict::Reject(false)),
        Meaning::Contact(route) => route,
        Meaning::Nobody { locale, .. } => {
            let locale = Locale::parse(&locale).unwrap_or_default();
            return told(db, now, &from, &coming.to, Verdict::Words(CallText::UnknownNumber, locale));
        }
        Meaning::Stranger => {
            let words = Verdict::Words(CallText::UnknownHandset, locale_of(&coming.to));
            return told(db, now, &from, &coming.to, words);
        }
        Meaning::Ourselves | Meaning::NotOurs => return Ok(Verdict::Reject(false)),
    };
    presence::heard_from(db, now, route.account, route.handset)?;
    let caller = Caller {
        account: route.account,
        contact: route.contact,
        session: None,
        phone: Some(PhoneCaller {
            carrier_id: coming.carrier_id.clone(),
            carrier_call_id: coming.carrier_call_id.clone(),
            from,
            to: coming.to.clone(),
            attestation: coming.attestation,
            answered: coming.answered,
        }),
        node: coming.node.clone(),
    };
    match place(db, now, &caller) {
        Ok(placed) => Ok(Verdict::Leg(Box::new((placed.call, placed.leg)))),
        Err(error) if *error.kind() == crate::error::Kind::Internal => Err(error),
        Err(error) if error.is_retryable() && error.code() != "too_many_calls" => Err(error),
        Err(_) => Ok(Verdict::Reject(true)),
    }
}

/// Who is only told something is told it a few times, and turned away from then on.
fn told(db: &mut Db, now: Timestamp, from: &E164, to: &E164, words: Verdict) -> Result<Verdict> {
    let too_often = limits::try_take(db, now, &STRANGER_LIMIT, from.as_str())?.is_some()
        || limits::try_take(db, now, &STRANGERS_LIMIT, to.as_str())?.is_some();
    Ok(if too_often { Verdict::Reject(false) } else { words })
}

/// A carrier's word on a call; answers the steps for it.
pub async fn called(app: &App, node: &str, carrier_id: &str, event: CallEvent) -> Result<Vec<Step>> {
    match event {
        CallEvent::Incoming(call) => incoming(app, node, carrier_id, call).await,
        CallEvent::News(news) => {
            hear(app, carrier_id, news).await?;
            Ok(Vec::new())
        }
        CallEvent::Next(next_step) => match next_step.asked_at.as_deref().and_then(hidden_number) {
            Some(to) => hidden(app, node, carrier_id, &to, CallEvent::Next(next_step)).await,
            None => next(app, carrier_id, next_step).await,
        },
        CallEvent::Go { news, steps, .. } => {
            if let Some(news) = news {
                hear(app, carrier_id, news).await?;
            }
            Ok(steps)
        }
        CallEvent::Key { .. } | CallEvent::Nothing => Ok(Vec::new()),
    }
}

/// The leg of a call that is not over, by the carrier's name for it.
pub async fn leg_of_call(app: &App, carrier_id: &str, carrier_call_id: &str) -> Result<Option<Leg>> {
    let (carrier, call) = (carrier_id.to_owned(), carrier_call_id.to_owned());
    let leg = app.db.read(move |db| store::find_leg_of_carrier(db, &carrier, &call)).await?;
    Ok(leg.filter(|leg| leg.state != LegState::Ended))
}

async fn hear(app: &App, carrier_id: &str, news: CallNews) -> Result<()> {
    let (now, carrier) = (app.now(), carrier_id.to_owned());
    app.db.write(Lane::Any, move |db| heard(db, now, &carrier, &news)).await
}

async fn incoming(app: &App, node: &str, carrier_id: &str, call: IncomingCall) -> Result<Vec<Step>> {
    let coming = Coming {
        carrier_id: carrier_id.to_owned(),
        carrier_call_id: call.carrier_call_id,
        from: call.from,
        to: call.to,
        attestation: call.attestation,
        answered: false,
        node: node.to_owned(),
    };
    take_in(app, coming).await
}

async fn take_in(app: &App, coming: Coming) -> Result<Vec<Step>> {
    let (now, given) = (app.now(), coming.clone());
    let verdict = app.db.write(Lane::Any, move |db| receive(db, now, &given)).await?;
    Ok(match verdict {
        Verdict::Leg(found) if found.0.machine().hears(Side::Caller) == Hears::BusyTone => {
            return busy_tone(app, &coming.carrier_id, found.1.id).await;
        }
        // It was over before it began: his own network lets him hear why.
        Verdict::Leg(found) if found.0.machine().state == State::Ended => {
            vec![Step::Reject { busy: found.0.machine().reason == Some(EndReason::Busy) }]
        }
        Verdict::Leg(found) => return steps_for(app, &coming.carrier_id, found.1.id).await,
        Verdict::Words(text, locale) => vec![Step::Say { text: text.render(locale), locale }, Step::HangUp],
        Verdict::Reject(busy) => vec![Step::Reject { busy }],
        Verdict::Ask(locale) => vec![
            Step::Ask {
                text: CallText::HiddenNumber.render(locale),
                locale,
                url: hidden_url(app, &coming.carrier_id, &coming.to),
                digits_max: HIDDEN_DIGITS_MAX,
                seconds: HIDDEN_SECONDS,
            },
            Step::HangUp,
        ],
    })
}

/// Sound for a call that is over already: the busy tone, and the end.
async fn busy_tone(app: &App, carrier_id: &str, leg: CallLegId) -> Result<Vec<Step>> {
    let (token, hash) = new_token(app);
    let until = app.now().plus(TOKEN_LIFE);
    app.db.write(Lane::Any, move |db| store::set_token(db, leg, &hash, until)).await?;
    Ok(vec![Step::Sound { url: media_url(app, carrier_id, &token) }, Step::HangUp])
}

/// A caller who hides his number has typed who he is: `12025550101*1234`.
pub async fn hidden(
    app: &App,
    node: &str,
    carrier_id: &str,
    to: &E164,
    event: CallEvent,
) -> Result<Vec<Step>> {
    let CallEvent::Next(NextStep { carrier_call_id, digits, .. }) = event else {
        return Ok(vec![Step::HangUp]);
    };
    let locale = locale_of(to);
    let (now, keys) = (app.now(), app.keys.clone());
    let typed = digits.unwrap_or_default();
    let who = app.db.write(Lane::Any, move |db| identify(db, now, &keys, &typed)).await?;
    let Some(number) = who else {
        return Ok(vec![Step::Say { text: CallText::WrongPin.render(locale), locale }, Step::HangUp]);
    };
    let coming = Coming {
        carrier_id: carrier_id.to_owned(),
        carrier_call_id,
        from: RemoteParty::Phone(number),
        to: to.clone(),
        attestation: None,
        answered: true,
        node: node.to_owned(),
    };
    let mut steps = take_in(app, coming).await?;
    // It was answered already, so it can only be hung up.
    for step in &mut steps {
        if matches!(step, Step::Reject { .. }) {
            *step = Step::HangUp;
        }
    }
    Ok(steps)
}

fn identify(db: &mut Db, now: Timestamp, keys: &Keys, typed: &str) -> Result<Option<E164>> {
    let Some((number, pin)) = typed.trim_end_matches('#').split_once('*') else { return Ok(None) };
    let Ok(number) = E164::parse(&format!("+{number}")) else { return Ok(None) };
    let Some(account) = accounts::mobiles::holder_of(db, &number)? else { return Ok(None) };
    Ok(pins::check(db, now, keys, account, pin)?.then_some(number))
}

/// What the carrier shall do with a leg, as the call stands.
async fn steps_for(app: &App, carrier_id: &str, leg: CallLegId) -> Result<Vec<Step>> {
    let (token, hash) = new_token(app);
    let now = app.now();
    let answer = app.db.write(Lane::Any, move |db| look(db, now, leg, &hash)).await?;
    let sound = || {
        [
            Step::Sound { url: media_url(app, carrier_id, &token) },
            Step::GoTo { url: next_url(app, carrier_id, leg) },
        ]
    };
    Ok(match answer {
        Next::Over => vec![Step::HangUp],
        Next::Sound => sound().to_vec(),
        Next::Question(text, locale) => {
            let url = next_url(app, carrier_id, leg);
            let mut steps = vec![Step::Ask { text, locale, url, digits_max: 1, seconds: CONSENT_SECONDS }];
            steps.extend(sound());
            steps
        }
        Next::Words(text, locale) => {
            let mut steps = vec![Step::Say { text, locale }];
            steps.extend(sound());
            steps
        }
    })
}

/// What comes next for a leg.
enum Next {
    Over,
    Sound,
    Words(String, Locale),
    Question(String, Locale),
}

fn look(db: &mut Db, now: Timestamp, id: CallLegId, token: &[u8]) -> Result<Next> {
    let Some(leg) = store::find_leg(db, id)?.filter(|leg| leg.state != LegState::Ended) else {
        return Ok(Next::Over);
    };
    let Some(call) = store::find(db, leg.call)? else { return Ok(Next::Over) };
    if call.machine().state == State::Ended {
        return Ok(Next::Over);
    }
    store::set_token(db, id, token, now.plus(TOKEN_LIFE))?;
    if leg.side == Side::Caller && call.machine().hears(Side::Caller) == Hears::NamePrompt {
        let locale = accounts::load(db, call.caller)?.locale;
        return Ok(Next::Words(CallText::SayYourName.render(locale), locale));
    }
    if call.machine().recording == Recording::Asked(leg.side.other()) && !call.facts.consent_asked {
        return ask_consent(db, now, &call, leg.side);
    }
    let greets = leg.side == Side::Caller && call.machine().hears(Side::Caller) == Hears::Greeting;
    if !greets || call.facts.greeted || settings::greeting(db, call.callee)?.is_some() {
        return Ok(Next::Sound);
    }
    let settings = settings::load(db, call.callee)?;
    let account = accounts::load(db, call.callee)?;
    changes::change(db, now, call.id, |call| {
        call.facts.greeted = true;
        Ok(Vec::new())
    })?;
    let written = settings.voicemail.greeting_text;
    let text = match written.trim() {
        "" => CallText::Greeting { name: &account.display_name }.render(account.locale),
        text => text.to_owned(),
    };
    Ok(Next::Words(text, account.locale))
}

/// A telephone is asked whether the call may be recorded.
fn ask_consent(db: &mut Db, now: Timestamp, call: &Call, side: Side) -> Result<Next> {
    changes::change(db, now, call.id, |call| {
        call.facts.consent_asked = true;
        Ok(Vec::new())
    })?;
    let (me, other) = match side {
        Side::Caller => (call.caller, call.callee),
        Side::Callee => (call.callee, call.caller),
    };
    let locale = accounts::load(db, me)?.locale;
    let name = accounts::load(db, other)?.display_name;
    Ok(Next::Question(CallText::RecordingConsent { name: &name }.render(locale), locale))
}

/// What a telephone has answered to that; silence is no consent.
pub(super) fn answer_consent(db: &mut Db, now: Timestamp, leg: &Leg, agree: bool) -> Result<()> {
    let Some(call) = store::find(db, leg.call)?.filter(|call| call.facts.consent_asked) else {
        return Ok(());
    };
    if call.machine().recording == Recording::Asked(leg.side.other()) {
        late(changes::apply(db, now, call.id, Event::Agrees(leg.side, agree)).map(drop))?;
    }
    late(
        changes::change(db, now, call.id, |call| {
            call.facts.consent_asked = false;
            Ok(Vec::new())
        })
        .map(drop),
    )
}

async fn next(app: &App, carrier_id: &str, step: NextStep) -> Result<Vec<Step>> {
    let carrier = carrier_id.to_owned();
    let NextStep { carrier_call_id, reference, digits, .. } = step;
    let find = move |db: &mut Db| leg_of(db, &carrier, &carrier_call_id, reference);
    let leg = app.db.write(Lane::Any, find).await?;
    if let (Some(leg), Some(digits)) = (leg.clone(), digits) {
        let now = app.now();
        app.db.write(Lane::Any, move |db| answer_consent(db, now, &leg, digits == "1")).await?;
    }
    match leg {
        Some(leg) => steps_for(app, carrier_id, leg.id).await,
        None => Ok(vec![Step::HangUp]),
    }
}

/// The leg of a carrier's call, by the carrier's name for it or by ours, which is known before.
fn leg_of(
    db: &mut Db,
    carrier_id: &str,
    carrier_call_id: &str,
    reference: Option<CallLegId>,
) -> Result<Option<Leg>> {
    let known = store::find_leg_of_carrier(db, carrier_id, carrier_call_id)?;
    let (None, Some(reference)) = (&known, reference) else { return Ok(known) };
    let named = store::find_leg(db, reference)?;
    let Some(leg) = named.filter(|leg| leg.carrier_id.as_deref() == Some(carrier_id)) else {
        return Ok(None);
    };
    store::correct_carrier_call(db, leg.id, carrier_call_id)?;
    Ok(Some(Leg { carrier_call_id: Some(carrier_call_id.to_owned()), ..leg }))
}

/// News of a carrier's call, in whatever order they come.
fn heard(db: &mut Db, now: Timestamp, carrier_id: &str, news: &CallNews) -> Result<()> {
    let Some(leg) = leg_of(db, carrier_id, &news.carrier_call_id, news.reference)? else { return Ok(()) };
    if let Some(sequence) = news.sequence
        && !store::advance_sequence(db, leg.id, sequence)?
        && matches!(news.what, CallWord::Progress(_))
    {
        // An older word; that it is over counts whenever it comes.
        return Ok(());
    }
    match news.what {
        CallWord::Progress(Progress::Dialling) => Ok(()),
        CallWord::Progress(Progress::Ringing) if leg.side == Side::Callee => {
            if leg.state == LegState::Dialling {
                store::set_leg_state(db, leg.id, LegState::Ringing, now)?;
            }
            Ok(())
        }
        CallWord::Progress(Progress::Answered) if leg.side == Side::Callee => {
            picked_up(db, now, &leg).map(drop)
        }
        CallWord::Progress(_) => Ok(()),
        CallWord::Ended(end) => ended(db, now, &leg, end),
    }
}

/// A phone of the callee was picked up: the first end has the call, others are stopped.
pub(super) fn picked_up(db: &mut Db, now: Timestamp, leg: &Leg) -> Result<Call> {
    let call = changes::apply(db, now, leg.call, Event::PhoneAnswers(leg.id))?;
    let has_it = call.machine().callee.end == Some(End::Phone(leg.id));
    if has_it && leg.state != LegState::Up && store::set_leg_state(db, leg.id, LegState::Up, now)? {
        let due = now.plus(jobs::SOUND_PATIENCE);
        queue::enqueue_at(db, now, due, jobs::SOUND_DUE, None, &jobs::OfLeg { leg: leg.id })?;
    }
    Ok(call)
}

fn ended(db: &mut Db, now: Timestamp, leg: &Leg, end: CallEnd) -> Result<()> {
    let (cause, reason) = match end {
        CallEnd::Completed => ("hung_up", EndReason::HungUp),
        CallEnd::Busy => ("busy", EndReason::Busy),
        CallEnd::NoAnswer => ("no_answer", EndReason::NoAnswer),
        CallEnd::Cancelled => ("cancelled", EndReason::NoAnswer),
        CallEnd::Failed => ("failed", EndReason::Failed),
    };
    let Some(call) = store::find(db, leg.call)? else { return Ok(()) };
    let machine = call.machine();
    let heard_busy = leg.side == Side::Caller && machine.hears(Side::Caller) == Hears::BusyTone;
    let cause = if heard_busy { "busy" } else { cause };
    if leg.side == Side::Caller && machine.caller.end != Some(End::Phone(leg.id)) {
        // He talks on with a client that has taken the call over.
        return store::end_leg(db, leg.id, cause, now).map(drop);
    }
    // Without sound there is nothing that he could have said.
    if machine.state == State::Voicemail && leg.side == Side::Caller && leg.state == LegState::Up {
        // What he has said comes with the end of his sound, if there is any, and that ends the call.
        let gone = |call: &mut Call| {
            call.facts.caller_gone = true;
            Ok(Vec::new())
        };
        return late(changes::change(db, now, leg.call, gone).map(drop));
    }
    let event = match leg.side {
        Side::Caller => Event::HangsUp(Side::Caller),
        Side::Callee => Event::PhoneRefuses(leg.id, reason),
    };
    // The call first: closing it ends all legs, and this one's own cause must be there before.
    store::end_leg(db, leg.id, cause, now)?;
    match changes::apply(db, now, leg.call, event) {
        Err(error) if is_late(&error) => Ok(()),
        other => late(other.map(drop)),
    }
}

/// Spends the key of a media socket; answers whose leg it is. Once, in time, and only at the carrier it was made for.
pub fn open_socket(
    db: &mut Db,
    now: Timestamp,
    keys: &Keys,
    carrier_id: &str,
    token: &str,
) -> Result<Option<Leg>> {
    let hash = token_hash(keys, token);
    match store::spend_token(db, carrier_id, &hash, now)? {
        Some(id) => store::find_leg(db, id),
        None => Ok(None),
    }
}

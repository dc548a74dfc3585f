/**
 * Where calls come together in one tab: what rings, the one call that one is in, and what the server and this browser's
 * other tabs say about them. What one sees of it is `call-ring` and `call-panel`, what one hears `call-line`.
 */
import { api, uuid } from './api.js';
import { barsOf } from './call-figures.js';
import { CallLine, microphone } from './call-line.js';
import { Ring } from './call-ring.js';
import { outcome } from './calls.js';
import { el } from './dom.js';
import { explain, t } from './i18n.js';
import { attempt, nameOf, toast } from './parts.js';
import { hearOfCall } from './session.js';
import { sessionName } from './storage.js';
import { now, set, watch } from './store.js';
import './call-look.js';
import './call-panel.js';

const REPORT_MS = 5_000;
const LINGER_MS = 6_000;
/** How far a call has come; what is heard late never turns it back. */
const RANK = { ringing: 0, connecting: 1, in_progress: 2, held: 2, voicemail: 2, ended: 3 };

/** @type {Map<string, Ring>} */
const rings = new Map();
/** Calls that were put aside here: they are not shown again. */
const aside = new Set();
/**
 * The call of this tab: `phase` is `placing` until the server knows it, then `on`, then `over`.
 * @type {any}
 */
let current = null;
let panel = null;
let lingering = 0;
/** This browser's session, once a call has told it: events go to all sessions and say only which of them talks. */
let ownSession = null;
/** Set in the guided demo: whose mouth and ear this browser is. */
let stage = null;

/** The microphone; in the guided demo something that sounds where there is none. */
const speak = () => microphone().catch(error => (stage ? stage.voice() : Promise.reject(error)));

const tabs = 'BroadcastChannel' in globalThis ? new BroadcastChannel(`${sessionName}:calls`) : null;
tabs?.addEventListener('message', ({ data }) => {
  if (data?.quiet) silence(data.quiet);
  if (data?.moved && data.moved === current?.call?.id && current.phase === 'on') {
    leave(current);
    current = null;
    closePanel();
  }
});
if (new URLSearchParams(location.search).has('as')) import('./call-stage.js').then(loaded => { stage = loaded.stage(() => current?.line); }, () => {});

addEventListener('pagehide', () => current?.line?.close());
watch(({ phase }) => phase, phase => phase === 'signed-out' && leaveAll());

/** What the server says of a call. */
export function take(call) {
  if (call.here) ownSession = call.session_id;
  if (current?.phase === 'placing' && !current.call && call.direction === 'outgoing' && call.contact?.id === current.contact?.id && call.state !== 'ended') current.call = call;
  if (current?.call?.id === call.id) {
    follow(call);
    return;
  }
  const comes = call.state === 'ringing' && call.direction === 'incoming' && Date.parse(call.expires_at ?? '') > Date.now();
  if (comes && !aside.has(call.id)) ringFor(call);
  else silence(call.id);
  if (current && current.phase !== 'over') return;
  if (call.state === 'ended') {
    if (panel?.call === call.id) closePanel();
  } else if (!aside.has(call.id)) offerAway(call);
}

/** Calls a friend. */
export async function dial(contact) {
  if (current && current.phase !== 'over') {
    toast(t('call.one_at_a_time'));
    return;
  }
  const mine = begin(contact, null);
  await connect(mine, offer => api.post('/v1/calls', { contact_id: contact.id, offer }, mine.key));
}

// What rings.

function ringFor(call) {
  const known = rings.get(call.id);
  if (known) {
    known.update(call);
    return;
  }
  rings.set(call.id, new Ring(call, {
    accept: () => accept(call),
    decline: toVoicemail => decline(call, toVoicemail),
    over: () => silence(call.id),
  }));
  set({ ringing: nameOf(call.contact) });
}

/** It rings no more, here and for what reason ever. */
function silence(id) {
  const ring = rings.get(id);
  if (!ring) return;
  rings.delete(id);
  ring.end();
  const [next] = rings.keys();
  set({ ringing: next ? nameOf(now().calls[next]?.contact) : null });
}

function silenceAll(id) {
  tabs?.postMessage({ quiet: id });
  silence(id);
}

function decline(call, toVoicemail) {
  aside.add(call.id);
  silenceAll(call.id);
  attempt(() => api.post(`/v1/calls/${call.id}/decline`, toVoicemail ? { to_voicemail: true } : {}).catch(error => {
    // It is over already: that is what was wished for.
    if (error.status !== 409 && error.status !== 404) throw error;
  }));
}

/** The microphone comes first: who has none, or refuses it, hears why while it still rings. */
async function accept(call) {
  const ring = rings.get(call.id);
  let stream;
  try {
    stream = await speak();
  } catch (error) {
    ring?.fail(explain(error));
    return;
  }
  if (!rings.has(call.id)) {
    stop(stream);
    return;
  }
  silenceAll(call.id);
  if (current) await hangUp();
  const mine = begin(call.contact, call);
  await connect(mine, offer => api.post(`/v1/calls/${call.id}/accept`, { offer }), stream);
}

// The call that one is in.

function begin(contact, call, listens = false) {
  clearTimeout(lingering);
  current = {
    listens,
    contact, call, key: uuid(), phase: 'placing', line: null, seen: null, wavering: false, muted: false, held: false, holding: false, error: '', blocked: null, let: null,
  };
  openPanel(true);
  return current;
}

/** Brings up the line: `send(offer)` answers `{ call, answer }`. */
async function connect(mine, send, stream = null) {
  try {
    if (!mine.listens) stream ??= await speak();
    if (mine.phase === 'over') {
      if (stream) stop(stream);
      return;
    }
    mine.line = new CallLine(stream, {
      restart: async offer => (await api.post(`/v1/calls/${mine.call.id}/restart`, { offer })).answer,
      state: state => lineIs(mine, state),
      look: seen => { mine.seen = seen; draw(); },
      blocked: play => { mine.blocked = play; draw(); },
    });
    stage?.join(mine.line);
    const { call, answer } = await send(await mine.line.offer());
    if (mine.phase === 'over') {
      // Hung up before the server knew of it.
      if (call.state !== 'ended') await api.post(`/v1/calls/${call.id}/hang-up`).catch(() => {});
      return;
    }
    mine.phase = 'on';
    if (call.here) ownSession = call.session_id;
    mine.call = later(mine.call, call);
    // Who listens does not have the call: any other tab may take it.
    if (!mine.listens) holdLock(mine);
    if (mine.muted) tellMuted(mine);
    await mine.line.answer(answer);
    mine.reports = setInterval(() => report(mine), REPORT_MS);
    if (mine.call.state === 'ended') finish(mine);
    else draw();
  } catch (error) {
    if (stream && !mine.line) stop(stream);
    if (mine.phase === 'over') return;
    mine.error = explain(error);
    finish(mine);
  }
}

function later(known, call) {
  return known && RANK[known.state] > RANK[call.state] ? known : call;
}

function follow(call) {
  const mine = current;
  mine.call = later(mine.call, call);
  // `held` is true for both; who did it knows, and only there the sound stops: the other hears that it waits.
  if (mine.held && !mine.call.held && !mine.holding) turnHold(mine, false);
  if (mine.phase === 'over') {
    draw();
    return;
  }
  if (mine.call.state === 'ended' && mine.phase === 'on') finish(mine);
  else if (mine.phase === 'on' && ownSession && call.session_id && call.session_id !== ownSession) {
    // Another of one's devices has it now.
    letGo(mine);
  } else draw();
}

/** The call is no longer of this tab; what can still be done with it is offered. */
function letGo(mine) {
  leave(mine);
  current = null;
  offerAway(mine.call);
}

function lineIs(mine, state) {
  mine.wavering = state === 'wavering';
  if (state === 'lost' && mine.phase === 'on') {
    mine.error = t('call.line_lost');
    hangUp();
  } else draw();
}

async function report(mine) {
  const figures = await mine.line?.report().catch(() => null);
  if (figures && mine.call) await api.post(`/v1/calls/${mine.call.id}/quality`, figures).catch(() => {});
}

/** Lets go of the line; what it has seen is told before it is gone. */
async function leave(mine) {
  if (mine.left) return;
  mine.left = true;
  clearInterval(mine.reports);
  mine.line?.mute(true);
  await report(mine);
  mine.line?.close();
  mine.let?.();
}

function finish(mine) {
  mine.phase = 'over';
  leave(mine);
  draw();
  clearTimeout(lingering);
  lingering = setTimeout(() => current === mine && closePanel(), mine.error ? 2 * LINGER_MS : LINGER_MS);
}

async function hangUp() {
  const mine = current;
  if (!mine || mine.phase === 'over') return;
  const { call } = mine;
  finish(mine);
  if (call) await api.post(`/v1/calls/${call.id}/hang-up`).catch(() => {});
}

/** While this lock is held, this browser's other tabs know that the call is here. */
function holdLock(mine) {
  navigator.locks?.request(lockOf(mine.call), () => new Promise(done => { mine.let = () => done(null); })).catch(() => {});
}

const lockOf = call => `${sessionName}:call:${call.id}`;

// A call that goes on somewhere else.

async function offerAway(call) {
  const talking = call.answered_at && ['in_progress', 'held'].includes(call.state);
  const mailbox = call.state === 'voicemail' && call.direction === 'incoming';
  if (!talking && !mailbox) {
    if (panel?.call === call.id) closePanel();
    return;
  }
  const { held } = await navigator.locks?.query() ?? { held: [] };
  if (held.some(({ name }) => name === lockOf(call)) || (current && current.phase !== 'over')) return;
  current = null;
  openPanel(false);
  panel.call = call.id;
  panel.show({ kind: mailbox ? 'mailbox' : 'away', name: nameOf(call.contact), status: t(mailbox ? 'call.leaves_message' : call.here || (ownSession && call.session_id === ownSession) ? 'call.was_here' : 'call.on_other_device'), since: mailbox ? null : Date.parse(call.answered_at) });
  const join = path => {
    const mine = begin(call.contact, call);
    if (path === 'move') tabs?.postMessage({ moved: call.id });
    return connect(mine, offer => api.post(`/v1/calls/${call.id}/${path}`, { offer }).then(said => ({ call: now().calls[call.id] ?? call, ...said })));
  };
  Object.assign(panel.act, {
    move: () => join('move'), take: () => join('accept'), listen: () => listen(call),
    close: () => {
      aside.add(call.id);
      closePanel();
    },
  });
}

// A message that is being left: one hears it, unheard, and may take the call.

function listen(call) {
  return connect(begin(call.contact, call, true), offer => api.post(`/v1/calls/${call.id}/listen`, { offer }));
}

/** Who has no microphone, or refuses it, goes on listening and hears why. */
async function takeOver(mine) {
  const stream = await speak().catch(error => toast(explain(error)));
  if (!stream) return;
  if (current !== mine || mine.phase !== 'on') {
    stop(stream);
    return;
  }
  leave(mine);
  await connect(begin(mine.contact, mine.call), offer => api.post(`/v1/calls/${mine.call.id}/accept`, { offer }), stream);
}

async function stopListening(mine) {
  const { call } = mine;
  mine.phase = 'over';
  leave(mine);
  current = null;
  await api.post(`/v1/calls/${call.id}/hang-up`).catch(() => {});
  const known = now().calls[call.id] ?? call;
  if (known.state === 'voicemail') offerAway(known);
  else closePanel();
}

// The panel.

function openPanel(mine) {
  if (!panel?.isConnected) {
    panel = el('m-call', {});
    panel.back = document.activeElement;
    document.body.prepend(panel);
  }
  panel.call = null;
  if (!mine) return;
  Object.assign(panel.act, {
    mute: () => {
      current.muted = !current.muted;
      current.line?.mute(current.muted);
      draw();
      tellMuted(current);
    },
    hold: () => hold(!current.held),
    digit: digits => attempt(() => api.post(`/v1/calls/${current.call.id}/digits`, { digits })),
    record: () => askToRecord(),
    agree: agree => attempt(() => api.post(`/v1/calls/${current.call.id}/recording/answer`, { agree }).then(heard)),
    play: () => {
      current.blocked?.();
      current.blocked = null;
      draw();
    },
    hangUp: () => (current?.listens ? stopListening(current) : hangUp()),
    take: () => takeOver(current),
    close: () => closePanel(),
  });
  draw();
  (panel.querySelector('.call-act.bad, .call-act.good') ?? panel.querySelector('button')).focus({ preventScroll: true });
}

function closePanel() {
  const back = panel?.contains(document.activeElement) ? panel.back : null;
  panel?.remove();
  panel = null;
  if (current?.phase === 'over') current = null;
  if (back?.isConnected) back.focus({ preventScroll: true });
}

/** Being mute is one's own affair and holds whatever the server says; it is told for one's other devices. */
function tellMuted(mine) {
  if (mine.call && mine.phase === 'on') api.post(`/v1/calls/${mine.call.id}/mute`, { on: mine.muted }).catch(() => {});
}

function turnHold(mine, on) {
  mine.held = on;
  mine.line?.hold(on);
  draw();
}

/** Works here at once; the server is told, and its refusal turns it back. */
async function hold(on) {
  const mine = current;
  turnHold(mine, on);
  mine.holding = true;
  try {
    heard(await api.post(`/v1/calls/${mine.call.id}/hold`, { on }));
  } catch (error) {
    toast(explain(error));
    turnHold(mine, !on);
  } finally {
    mine.holding = false;
  }
}

function askToRecord() {
  const on = current.call.recording === 'off';
  return attempt(() => api.post(`/v1/calls/${current.call.id}/recording`, { on }).then(heard));
}

/** Some answers are the call as it is now. */
function heard(answer) {
  if (answer?.id) hearOfCall(answer);
}

function draw() {
  if (!current || !panel) return;
  const { contact, call, phase, seen, wavering, error, blocked } = current;
  const talking = phase === 'on' && ['in_progress', 'held'].includes(call.state);
  const over = phase === 'over';
  panel.show({
    kind: over ? 'over' : current.listens ? 'listens' : 'mine', name: nameOf(contact), photo: null, talking,
    status: statusOf(current, talking), since: talking ? Date.parse(call.answered_at) : null,
    muted: current.muted, held: current.held, recording: call?.recording ?? 'off', asksMe: Boolean(call?.recording_asked_of_me),
    bars: over ? (call?.quality?.mos ? barsOf(call.quality.mos) : seen?.bars) : talking ? seen?.bars : null,
    blocked: Boolean(blocked) && !over, ...hintOf(current, talking, { wavering, error }),
  });
}

function statusOf({ phase, call, line, listens }, talking) {
  if (listens && phase !== 'placing') return t(phase === 'over' ? 'call.message_over' : 'call.listens');
  if (phase === 'over') return !call ? t('call.not_made') : outcome({ ...call, state: 'ended', seconds: secondsOf(call) }, call.direction === 'outgoing');
  if (!line && !listens) return t('call.microphone');
  if (call?.recording === 'on' && talking) return t('call.recorded');
  if (current.held) return t('call.held');
  if (call?.held) return t('call.waits', { name: nameOf(call.contact) });
  if (talking) return t('call.talking');
  return t({ ringing: 'call.ringing', voicemail: 'call.speaks_to_voicemail' }[call?.direction === 'outgoing' ? call.state : ''] ?? 'call.connecting');
}

function hintOf({ contact, call, seen, muted }, talking, { wavering, error }) {
  const name = nameOf(contact);
  if (error) return { hint: error, alert: true };
  if (wavering) return { hint: t('call.wavering'), alert: true };
  if (!talking) return {};
  if (seen?.unheard || call.wavering) return { hint: t('call.unheard', { name }), alert: true };
  if (seen?.unsaid) return { hint: t('call.unsaid', { name }), alert: true };
  if (muted) return { hint: t('call.muted', { name }) };
  if (call.recording === 'asked' && !call.recording_asked_of_me) return { hint: t('call.record_asked', { name }) };
  return {};
}

function secondsOf({ answered_at: from, ended_at: to }) {
  return from ? Math.round((Date.parse(to ?? new Date().toISOString()) - Date.parse(from)) / 1000) : null;
}

function leaveAll() {
  for (const id of [...rings.keys()]) silence(id);
  if (current) leave(current);
  current = null;
  closePanel();
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}

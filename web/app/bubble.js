/** One message as a bubble, and the rows of a thread around it: day lines, the line above what is new. */
import { callButton, lastLine } from './calls.js';
import { apply, el, fill, setText } from './dom.js';
import { clock, dayLine, fullTime } from './format.js';
import { has, t } from './i18n.js';
import { icon } from './icons.js';
import { linked } from './links.js';
import { button, nameOf } from './parts.js';
import { showMedia, signOf } from './pictures.js';
import { showQuote } from './quote.js';
import { showReactions } from './reactions.js';

/** Messages of one person closer than this stand together. */
const TOGETHER_MS = 5 * 60_000;

/**
 * The rows of a thread: `{ key, kind: 'day' | 'new' | 'message', … }`. `newAfter` is the last message read before.
 * @param {(Message & { retried?: boolean, key?: string })[]} messages
 * @param {string | null | undefined} newAfter
 */
export function rows(messages, newAfter) {
  const result = [];
  const newest = messages.findLastIndex(({ mine }) => mine);
  let marked = newAfter === undefined;
  let passed = newAfter === null;
  messages.forEach((message, index) => {
    const before = messages[index - 1];
    const after = messages[index + 1];
    const newDay = !before || dayOf(before) !== dayOf(message);
    if (newDay) result.push({ key: `day:${message.sent_at.slice(0, 10)}:${message.key ?? message.id ?? message.client_id}`, kind: 'day', at: message.sent_at });
    if (!marked && passed && !message.mine) {
      marked = true;
      result.push({ key: 'new', kind: 'new' });
    }
    if (message.id === newAfter) passed = true;
    result.push({
      key: message.client_id ?? message.id, kind: 'message', message,
      first: newDay || !together(before, message), last: !after || !together(message, after),
      newest: index === newest, end: index === messages.length - 1,
    });
  });
  return result;
}

const days = new WeakMap();

/** The day of a message on the calendar of this browser; worked out once, for there are many. */
function dayOf(message) {
  if (!days.has(message)) days.set(message, new Date(message.sent_at).toDateString());
  return days.get(message);
}

function together(a, b) {
  return a.mine === b.mine && a.group_sender?.number === b.group_sender?.number && a.via === b.via && Date.parse(b.sent_at) - Date.parse(a.sent_at) < TOGETHER_MS;
}

/** An element for a row. */
export function rowNode({ kind }) {
  if (kind === 'day') return el('div', { class: 'day-line' }, el('span', {}));
  if (kind === 'new') return el('div', { class: 'new-line' }, el('span', {}, t('thread.new')));
  return el('div', { class: 'row' },
    el('div', { class: 'bubble-line' }, el('div', { class: 'bubble', tabindex: '-1' }, el('span', { class: 'who' }), el('button', { type: 'button', class: 'quote', hidden: true }), el('div', { class: 'media' }), el('p', { class: 'text', dir: 'auto' }), el('span', { class: 'meta' })), el('span', { class: 'react-slot' })),
    el('div', { class: 'reactions' }), el('div', { class: 'under' }));
}

/** Brings a row's element up to date. `actions` is `{ retry(message), discard(message), answer(message), jump(id) }`. */
export function showRow(node, row, { contact, actions }) {
  if (row.kind === 'day') setText(node.firstChild, dayLine(row.at));
  if (row.kind !== 'message') return;
  const { message, first, last, newest, end } = row;
  showReactions(node, message, end, contact?.state === 'accepted' && !contact.group ? actions.answer : null);
  showQuote(node.querySelector('.quote'), message, contact, actions.jump);
  const sign = [message.state, message.error?.code, message.via, message.sent_at, first, last, newest, nameOf(contact), message.retried, signOf(message), contact?.state, JSON.stringify(message.call ?? message.voicemail ?? null)].join('|');
  if (node.sign === sign && node.text === message.text) return;
  apply(node, { class: `row ${message.mine ? 'mine' : 'theirs'}${first ? ' first' : ''}${last ? ' last' : ''}`, dataset: { state: message.state, via: viaOf(message), message: message.id ?? '' } });
  const who = node.querySelector('.who');
  const writer = message.mine ? null : message.group_sender;
  setText(who, `${message.mine ? t('thread.you') : writer?.name ?? nameOf(contact)}: `);
  // In a group one sees who writes.
  who.classList.toggle('unseen', !writer || !first);
  if (message.kind === 'call' || message.kind === 'voicemail') showCall(node, message, contact);
  else if (node.text !== message.text) {
    const words = message.text ? linked(message.text) : message.media?.length ? [] : [t('message.media')];
    node.querySelector('.text').replaceChildren(...words);
  }
  if (node.media !== signOf(message)) showMedia(node.querySelector('.media'), message);
  node.media = signOf(message);
  showMeta(node.querySelector('.meta'), message, newest);
  showUnder(node.querySelector('.under'), message, actions);
  node.sign = sign;
  node.text = message.text;
}

/** A call stands among the words: what became of it, or the voice that was left. */
function showCall(node, message, contact) {
  const place = node.querySelector('.text');
  node.classList.add('of-call');
  node.classList.toggle('missed', Boolean(message.call?.missed) && !message.mine);
  if (message.kind === 'voicemail') {
    import('./voice-player.js').catch(() => {});
    const player = place.querySelector('m-voice') ?? el('m-voice', {});
    if (!player.isConnected) fill(place, el('span', { class: 'unseen' }, t('call.voicemail')), player);
    player.voicemail = message.voicemail;
    return;
  }
  const glyph = message.call?.missed && !message.mine ? 'missed' : 'call';
  fill(place, icon(glyph), el('span', {}, lastLine(message)), contact?.state === 'accepted' ? callButton(contact, { bare: false, kind: 'link', words: t('call.back') }) : null,
    message.call?.recording ? recordingOf(message.call.id, message.call.recording) : null);
}

/** A player for what was recorded of a call. */
export function recordingOf(id, { url, seconds }) {
  import('./voice-player.js').catch(() => {});
  const player = el('m-voice', { class: 'recording' });
  // What is played is played like a voicemail; nobody waits to be told that it was.
  player.voicemail = { id, url, seconds, listened: true };
  return el('span', { class: 'recorded' }, el('span', {}, t('call.recorded')), player);
}

/** How it travels; a message that is not sent yet has no say. */
function viaOf(message) {
  return message.via ?? '';
}

function showMeta(node, message, newest) {
  const parts = [];
  const said = !lastLine(message);
  if (message.via === 'sms' && said) parts.push(el('span', { class: 'by-sms', title: t('message.by_sms') }, icon('sms'), el('span', {}, t('message.sms')), el('span', { class: 'unseen' }, `${t('message.by_sms')}, `)));
  parts.push(el('time', { datetime: message.sent_at, title: fullTime(message.sent_at) }, clock(message.sent_at)));
  if (message.mine && said) {
    const words = t(`state.${message.state}`);
    parts.push(el('span', { class: 'state', title: words }, icon(glyph(message.state)), el('span', { class: newest ? '' : 'unseen' }, words)));
  }
  node.replaceChildren(...parts);
}

function glyph(state) {
  return state === 'undelivered' ? 'failed' : state === 'received' ? 'sent' : state;
}

/** What can be said and done about a message that did not arrive for certain. */
function showUnder(node, message, actions) {
  const trouble = message.mine && ['failed', 'undelivered', 'unknown'].includes(message.state);
  if (!trouble) {
    node.replaceChildren();
    return;
  }
  // Files go with one message only.
  const retry = message.retried || (message.id && message.media?.length) ? null : button(message.state === 'unknown' ? t('message.send_again') : t('message.retry'), { kind: 'link', onclick: () => actions.retry(message) });
  const discard = message.id ? null : button(t('message.discard'), { kind: 'link', onclick: () => actions.discard(message) });
  node.replaceChildren(el('p', { class: 'reason' }, reason(message)), ...[retry, discard].filter(Boolean));
}

function reason({ state, error }) {
  if (state === 'unknown') return t('message.unknown_reason');
  for (const key of [`failure.${error?.code}`, `error.${error?.code}`]) if (has(key)) return t(key);
  return error?.detail || t(`message.${state}_reason`);
}

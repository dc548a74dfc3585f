/** Calls, as far as every start needs them: what rings or runs brings the rest of the code with it, and so does a press. */
import { api } from './api.js';
import { t } from './i18n.js';
import { attempt, button, nameOf } from './parts.js';
import { hearOfCall } from './session.js';
import { now, put, watch } from './store.js';

/** As many calls as can ring or run when a page comes back. */
const LOOK_BACK = 30;
const OVER = ['ended'];

/** Set once the code for calls is there. */
let desk = null;
const openDesk = () => import('./call-desk.js').then(loaded => (desk = loaded));

/** Follows what is told of calls, and looks for what rings or runs whenever a connection begins. */
export function startCalls() {
  document.addEventListener('meari-call', ({ detail }) => {
    if (desk) desk.take(detail);
    else if (!OVER.includes(detail.state)) openDesk().then(loaded => loaded.take(now().calls[detail.id] ?? detail), () => {});
  });
  watch(({ phase, ready, connection }) => phase === 'signed-in' && ready && connection === 'online', on => on && catchUp());
}

async function catchUp() {
  const { items } = await api.get(`/v1/calls?limit=${LOOK_BACK}`).catch(() => ({ items: [] }));
  for (const call of items) if (desk || !OVER.includes(call.state)) hearOfCall(call);
  // Those that were missed are counted.
  put('calls', items.filter(call => call.missed));
}

/** Calls a contact. */
export function dial(contact) {
  return attempt(async () => (desk ?? await openDesk()).dial(contact));
}

/** A button that calls a friend. */
export function callButton(contact, { bare = true, kind = '', words = '' } = {}) {
  const label = t('call.call_who', { name: nameOf(contact) });
  return button(words || label, { glyph: words && kind === 'link' ? '' : 'call', bare, kind, ...(words ? { 'aria-label': `${words}: ${nameOf(contact)}` } : {}), onclick: () => dial(now().contacts[contact.id] ?? contact) });
}

/** `3:05`, or `1:02:05`. */
export function length(seconds) {
  const two = number => String(number).padStart(2, '0');
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/**
 * What became of a call, in words. `mine`: it went out from here.
 * @param {{ state?: string, seconds?: number | null, missed?: boolean, end_reason?: string | null }} call
 */
export function outcome({ state = 'ended', seconds, missed, end_reason: reason }, mine) {
  if (!OVER.includes(state)) return t('call.now');
  if (missed && !mine) return t('call.missed');
  if (seconds) return t('call.took', { time: length(seconds) });
  return t({ declined: 'call.declined', no_answer: 'call.no_answer', busy: 'call.busy', cancelled: 'call.cancelled', failed: 'call.failed', voicemail: 'call.to_voicemail', answered_elsewhere: 'call.elsewhere' }[reason] ?? 'call.ended');
}

/** The last line of a conversation that ends with a call or a voicemail; null for words. */
export function lastLine(message) {
  if (message?.kind === 'call') return outcome(message.call ?? {}, message.mine);
  if (message?.kind === 'voicemail') return t('call.voicemail_line', { time: length(message.voicemail?.seconds ?? 0) });
  return null;
}


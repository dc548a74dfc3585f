/** What keeps the state true: signing in, first loads, events, the outbox, marking as read. */
import { adopt, all, api, hasSession, onSignedOut, open, uuid } from './api.js';
import { currentLanguage, preferredLanguage, useLanguage } from './i18n.js';
import { Live } from './live.js';
import { forgetSnapshot, keepSnapshots, recallSnapshot } from './snapshot.js';
import { keep, onKept, recall } from './storage.js';
import * as store from './store.js';
import { showTyping } from './typing.js';

const PAGE = 40;
const RETRY_MS = 5_000;
/** As many contacts as an account can have. */
const CONTACTS_MAX = 20_000;

const live = new Live({ onHello: hello, onEvent: event, onState: connection => store.set({ connection }) });
/** Events of a connection wait here while its snapshot is being loaded. */
let waiting = null;
let loads = 0;
let flushing = false;
let retry = null;

onSignedOut(() => {
  live.stop();
  waiting = null;
  store.reset({ phase: 'signed-out' });
  forgetSnapshot();
});
keepSnapshots();
// Other tabs write and send too; what they keep is what there is.
onKept('drafts', drafts => store.set({ drafts: drafts ?? {} }));
onKept('outbox', outbox => store.set({ outbox: outbox ?? {} }));

/** Goes on with the session of this browser, or shows the door. */
export async function start() {
  if (!hasSession()) {
    store.set({ phase: 'signed-out' });
    return;
  }
  const kept = await recallSnapshot();
  if (kept?.account.id === recall('account')) {
    // What was there the last time is shown at once; the connection brings it up to date, or ends the session.
    store.set({ conversations: kept.conversations, contacts: kept.contacts, threads: kept.threads, ready: true });
    await enter(kept.account);
    return;
  }
  try {
    await enter(await api.get('/v1/me'));
  } catch (error) {
    if (error.status === 401) return;
    store.set({ connection: 'offline' });
    setTimeout(start, RETRY_MS);
  }
}

/** Signs in; `login` is a handle or an e-mail address. */
export async function signIn(login, password) {
  await forgetSnapshot();
  await enter(adopt(await open.post('/v1/sessions', { login, password })));
}

/** Creates an account and signs in. */
export async function signUp(details) {
  await forgetSnapshot();
  await enter(adopt(await open.post('/v1/accounts', details)));
}

async function enter(account) {
  await speak(account.locale);
  store.set({ phase: 'signed-in', account, drafts: recall('drafts', {}), outbox: recall('outbox', {}) });
  live.start();
}

/** Shows everything in a language; one that the address asks for (`?lang=`) goes before the account's. */
export async function speak(locale) {
  const asked = new URLSearchParams(location.search).get('lang');
  await useLanguage(asked ?? locale ?? preferredLanguage());
  store.set({ language: currentLanguage() });
}

/** A connection begins. When it goes on where the last one ended, nothing needs to be loaded. */
function hello(seq, resumed) {
  if (resumed && waiting === null) {
    flush();
    return;
  }
  waiting = [];
  load(++loads);
}

async function load(turn) {
  try {
    const everybody = all('/v1/contacts', CONTACTS_MAX, some => turn === loads && early(some));
    everybody.catch(() => {});
    const [account, conversations] = await Promise.all([api.get('/v1/me'), all('/v1/conversations')]);
    if (turn !== loads) return;
    // Who has thousands of contacts does not wait for them to see the conversations.
    store.set({ account, ready: true });
    store.replace('conversations', conversations);
    const contacts = await everybody;
    // Who has jumped to the past stays there; what is new is loaded on the way back.
    const opened = Object.keys(store.now().threads).filter(id => !store.now().threads[id].newer);
    const threads = await Promise.all(opened.map(id => page(id)));
    if (turn !== loads) return;
    store.replace('contacts', contacts);
    opened.forEach((id, index) => refresh(id, threads[index]));
  } catch (error) {
    if (turn === loads && error.status !== 401) setTimeout(() => turn === loads && load(turn), RETRY_MS);
    return;
  }
  const late = waiting ?? [];
  waiting = null;
  late.forEach(apply);
  flush();
}

/** The newest page of a thread that is open. Where it meets what is there, what is there stays; else there is a gap. */
function refresh(conversation, newest) {
  const known = new Set(store.now().threads[conversation]?.messages.map(({ id }) => id));
  if (newest.items.some(({ id }) => known.has(id))) {
    store.mergeMessages(conversation, newest.items, { state: 'ready' });
    return;
  }
  const { [conversation]: _, ...threads } = store.now().threads;
  store.set({ threads });
  show(conversation, newest);
}

/** What is there already is shown while the rest is on its way. */
function early(contacts) {
  store.put('contacts', contacts);
}

function event(frame) {
  if (waiting) waiting.push(frame);
  else apply(frame);
}

/**
 * What an event does to the state. Its data is the whole thing, so that applying it again changes nothing.
 */
function apply({ type, data }) {
  switch (type) {
    case 'message.created':
    case 'message.updated':
      if (store.now().threads[data.conversation_id]) store.mergeMessages(data.conversation_id, [data]);
      else store.settle([data]);
      if (type === 'message.created' && !data.mine) {
        showTyping({ conversation_id: data.conversation_id, typing: false });
        document.dispatchEvent(new CustomEvent('meari-message', { detail: data }));
      }
      inConversation(data, type === 'message.created');
      return;
    case 'conversation.updated':
      store.put('conversations', [data]);
      return;
    case 'contact.created':
    case 'contact.updated':
      store.put('contacts', [{ presence: store.now().contacts[data.id]?.presence, ...data }]);
      return;
    case 'contact.deleted':
      store.drop('contacts', data.id);
      return;
    case 'typing.changed':
      showTyping(data);
      return;
    case 'call.changed':
      hearOfCall(data);
      return;
    case 'presence.changed':
      presence(data);
      return;
    case 'account.updated':
      store.set({ account: data });
      speak(data.locale);
      return;
    default:
  }
}

/** Keeps a call and tells who shows calls. */
export function hearOfCall(call) {
  store.put('calls', [call]);
  document.dispatchEvent(new CustomEvent('meari-call', { detail: call }));
}

function presence({ contact_id: id, presence }) {
  const contact = store.now().contacts[id];
  if (contact) store.put('contacts', [{ ...contact, presence }]);
}

/**
 * Keeps the list right: the last line, and how much is unread.
 * @param {Message} message
 */
function inConversation(message, isNew = false) {
  const conversation = store.now().conversations[message.conversation_id];
  if (!conversation) {
    refreshConversations();
    return;
  }
  const last = conversation.last_message;
  if (last && last.id !== message.id && last.sent_at > message.sent_at) return;
  // What the list already knew when it was loaded is counted already.
  const counts = isNew && !message.mine && last?.id !== message.id;
  const unread = (conversation.unread ?? 0) + (counts ? 1 : 0);
  store.put('conversations', [{ ...conversation, last_message: message, unread }]);
}

let refreshing = null;

/** Loads the list again: a conversation has begun that we have not seen. */
export function refreshConversations() {
  refreshing ??= all('/v1/conversations')
    .then(items => store.put('conversations', items))
    .catch(() => {})
    .finally(() => {
      refreshing = null;
    });
  return refreshing;
}

function page(conversation, after, from) {
  const query = new URLSearchParams({ limit: String(PAGE), ...(after ? { after } : {}), ...(from ? { from } : {}) });
  return api.get(`/v1/conversations/${encodeURIComponent(conversation)}/messages?${query}`);
}

function show(conversation, { items, next }) {
  store.mergeMessages(conversation, items, { next, state: 'ready' });
}

/** Opens a thread: its newest page, once. */
export async function openThread(conversation) {
  const { threads } = store.now();
  if (['ready', 'loading'].includes(threads[conversation]?.state)) return;
  store.mergeMessages(conversation, [], { state: 'loading' });
  try {
    const newest = await page(conversation);
    // Somebody may have jumped elsewhere meanwhile.
    if (store.now().threads[conversation]?.state === 'loading') show(conversation, newest);
  } catch {
    store.mergeMessages(conversation, [], { state: 'failed' });
  }
}

const olderLoads = new Map();

/** The page before the oldest message shown. Answers whether there was one. */
export function loadOlder(conversation) {
  const thread = store.now().threads[conversation];
  if (!thread?.next) return Promise.resolve(false);
  if (!olderLoads.has(conversation)) {
    olderLoads.set(conversation, page(conversation, thread.next)
      .then(older => {
        if (store.now().threads[conversation]?.next === thread.next) show(conversation, older);
        return true;
      })
      .finally(() => olderLoads.delete(conversation)));
  }
  return olderLoads.get(conversation);
}

/** Puts other messages of a conversation in place of those that are there. */
function turnTo(conversation, messages, next, newer) {
  store.set({ threads: { ...store.now().threads, [conversation]: { messages: [], next, newer, state: 'loading' } } });
  store.mergeMessages(conversation, messages, { newer, state: 'ready' });
}

/** Sees to it that a message and its neighbours are there, however long ago it was. */
export async function openAround(conversation, id) {
  if (store.now().threads[conversation]?.messages.some(message => message.id === id)) return;
  const [older, newer] = await Promise.all([page(conversation, id), page(conversation, null, id)]);
  turnTo(conversation, [...older.items, ...newer.items], older.next, newer.next);
}

/** Back from the past: the newest messages. */
export async function openNewest(conversation) {
  if (!store.now().threads[conversation]?.newer) return;
  const { items, next } = await page(conversation);
  turnTo(conversation, items, next, null);
}

/** The page after the newest message shown, where that is not the newest there is. */
export function loadNewer(conversation) {
  const thread = store.now().threads[conversation];
  const name = `${conversation}>`;
  if (!thread?.newer) return Promise.resolve(false);
  if (!olderLoads.has(name)) {
    olderLoads.set(name, page(conversation, null, thread.newer)
      .then(({ items, next }) => {
        if (store.now().threads[conversation]?.newer === thread.newer) store.mergeMessages(conversation, items, { newer: next });
        return true;
      })
      .finally(() => olderLoads.delete(name)));
  }
  return olderLoads.get(name);
}

/**
 * Shows a message at once and sends it as soon as the server can be reached; it is never sent twice.
 * `media` are uploads, `reply_to` is what it answers, both as the server shows them.
 * @param {{ conversationId?: string | null, contactId?: string | null, text: string, media?: any[], reply_to?: any }} what
 */
export function sendMessage({ conversationId, contactId, text, media = [], reply_to = null }) {
  /** @type {Waiting} */
  const message = {
    client_id: uuid(), conversation_id: conversationId ?? null, contact_id: contactId ?? null,
    text, mine: true, state: 'sending', sent_at: new Date().toISOString(), media, reply_to,
  };
  putOutbox(message);
  flush();
  return message.client_id;
}

/** Sends a message again that the server never took. */
export function resend(clientId) {
  const message = store.now().outbox[clientId];
  if (!message) return;
  putOutbox({ ...message, state: 'sending', error: null });
  flush();
}

/** Gives up a message that the server never took. */
export function discard(clientId) {
  const { [clientId]: _, ...outbox } = store.now().outbox;
  store.set({ outbox });
  keep('outbox', outbox);
}

function putOutbox(message) {
  if (store.now().phase !== 'signed-in') return;
  const outbox = { ...store.now().outbox, [message.client_id]: message };
  store.set({ outbox });
  keep('outbox', outbox);
}

/** Sends what waits, one after the other, in the order in which it was written. */
async function flush() {
  if (flushing) return;
  flushing = true;
  clearTimeout(retry);
  try {
    for (;;) {
      const message = Object.values(store.now().outbox).find(item => item.state === 'sending');
      if (!message) break;
      await deliver(message);
    }
  } catch (error) {
    if (error.status === 0) live.doubt();
    retry = setTimeout(flush, RETRY_MS);
  } finally {
    flushing = false;
  }
}

async function deliver(message) {
  const path = message.conversation_id
    ? `/v1/conversations/${encodeURIComponent(message.conversation_id)}/messages`
    : `/v1/contacts/${encodeURIComponent(message.contact_id)}/messages`;
  try {
    const body = { text: message.text, client_id: message.client_id, media: (message.media ?? []).map(({ id }) => id), reply_to: message.reply_to?.id };
    const taken = await api.post(path, body, message.client_id);
    if (store.now().threads[taken.conversation_id]) store.mergeMessages(taken.conversation_id, [taken]);
    store.settle([{ ...taken, client_id: message.client_id }]);
    inConversation(taken);
    keep('outbox', store.now().outbox);
  } catch (error) {
    if (error.passing) throw error;
    const failed = { code: error.code, detail: error.message };
    putOutbox({ ...message, state: 'failed', error: failed });
  }
}

const readTold = new Map();

/** Tells that everything up to this message was read, once. */
export async function markRead(conversation, message) {
  if (readTold.get(conversation) === message) return;
  readTold.set(conversation, message);
  const known = store.now().conversations[conversation];
  if (known) store.put('conversations', [{ ...known, unread: 0, read_up_to: message }]);
  try {
    await api.post(`/v1/conversations/${encodeURIComponent(conversation)}/read`, { up_to: message });
  } catch (error) {
    readTold.delete(conversation);
    if (error.passing) setTimeout(() => store.now().phase === 'signed-in' && !readTold.has(conversation) && markRead(conversation, message), RETRY_MS);
  }
}

/** Keeps what was typed and not sent. */
export function keepDraft(place, text) {
  // Who has signed out leaves nothing behind.
  if (store.now().phase !== 'signed-in') return;
  const drafts = { ...store.now().drafts };
  if (text.trim()) drafts[place] = text;
  else delete drafts[place];
  store.set({ drafts });
  keep('drafts', drafts);
}

/** The one state of the page. It is replaced, never changed in place, so that watchers can compare by identity. */

/** Progress of an outgoing message; a late or repeated event never turns it back. */
const PROGRESS = { sending: 0, queued: 1, unknown: 2, sent: 3, delivered: 4, undelivered: 4, failed: 4, read: 5, received: 1 };

/** @type {State} */
const EMPTY = Object.freeze({
  /** starting | signed-out | signed-in */
  phase: 'starting',
  account: null,
  /** One's own photo as an address for `<img>`. */
  photo: null,
  /** What the page is written in. */
  language: null,
  /** connecting | online | offline */
  connection: 'connecting',
  /** Whether conversations and contacts have been loaded once. */
  ready: false,
  conversations: Object.freeze({}),
  contacts: Object.freeze({}),
  /** By conversation: { messages (oldest first), next, newer, state: 'loading' | 'ready' | 'failed' }. `newer` is set where
   * one has jumped back: the newest messages are not among these. */
  threads: Object.freeze({}),
  drafts: Object.freeze({}),
  /** Conversations whose other side is typing. */
  typing: Object.freeze({}),
  /** Calls that we have heard of, by id. */
  calls: Object.freeze({}),
  /** Who is ringing, for the title of the page. */
  ringing: null,
  /** Messages that the server has not taken yet, by client_id. */
  outbox: Object.freeze({}),
});

/** @type {State} */
let state = EMPTY;
const watchers = new Set();
let scheduled = false;

/** The state now. */
export function now() {
  return state;
}

/**
 * Replaces slices of the state.
 * @param {Partial<State>} patch
 */
export function set(patch) {
  state = { ...state, ...patch };
  if (scheduled) return;
  scheduled = true;
  queueMicrotask(() => {
    scheduled = false;
    for (const watcher of [...watchers]) watcher.check();
  });
}

/** Back to nothing, for signing out. */
export function reset(patch = {}) {
  set({ ...EMPTY, ...patch });
}

/**
 * Calls `fn(value)` now and whenever what `select(state)` answers changes. Answers a function that ends it.
 * @template T
 * @param {(state: State) => T} select
 * @param {(value: T) => void} fn
 * @returns {() => void}
 */
export function watch(select, fn) {
  const watcher = {
    // Nothing that can be selected, so that the first look always counts.
    /** @type {unknown} */
    seen: watchers,
    check() {
      const value = select(state);
      if (same(value, this.seen)) return;
      this.seen = value;
      fn(value);
    },
  };
  watchers.add(watcher);
  watcher.check();
  return () => watchers.delete(watcher);
}

/** Arrays of slices are compared item by item, so that `watch` can select several at once. */
function same(a, b) {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, index) => item === b[index]);
  return a === b;
}

/** Puts things with ids into a slice. */
export function put(slice, items) {
  const next = { ...state[slice] };
  for (const item of items) next[item.id] = item;
  set({ [slice]: next });
}

/** Takes one out of a slice. */
export function drop(slice, id) {
  if (!(id in state[slice])) return;
  const { [id]: _, ...rest } = state[slice];
  set({ [slice]: rest });
}

/** Replaces a slice by these things. */
export function replace(slice, items) {
  set({ [slice]: Object.fromEntries(items.map(item => [item.id, item])) });
}

/**
 * Merges messages into a loaded thread, by id or client_id, in order of time.
 * @param {string} conversation
 * @param {Message[]} messages
 * @param {Partial<Thread>} patch
 */
export function mergeMessages(conversation, messages, patch = {}) {
  const thread = state.threads[conversation] ?? { messages: [], next: null, state: 'loading' };
  const byId = new Map(thread.messages.map(message => [message.id, message]));
  // What comes in while one looks at the past would leave a gap; it is loaded when one comes there.
  const end = thread.newer && !('newer' in patch) ? thread.messages.at(-1)?.id ?? '' : null;
  for (const message of messages) if (end === null || byId.has(message.id) || message.id < end) byId.set(message.id, newer(byId.get(message.id), message));
  const sorted = [...byId.values()].sort(byTime);
  set({ threads: { ...state.threads, [conversation]: { ...thread, messages: sorted, ...patch } } });
  settle(messages);
}

/** Messages that the server has now leave the outbox. */
export function settle(messages) {
  const taken = messages.filter(message => message.client_id && message.client_id in state.outbox);
  if (!taken.length) return;
  const outbox = { ...state.outbox };
  for (const message of taken) delete outbox[message.client_id];
  set({ outbox });
}

function newer(known, message) {
  if (!known) return message;
  return (PROGRESS[message.state] ?? 0) >= (PROGRESS[known.state] ?? 0) ? message : known;
}

function byTime(a, b) {
  if (a.sent_at !== b.sent_at) return a.sent_at < b.sent_at ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** Conversations, the latest first. */
export function sortedConversations(conversations) {
  const at = conversation => conversation.last_message?.sent_at ?? conversation.updated_at ?? '';
  return Object.values(conversations).sort((a, b) => (at(a) < at(b) ? 1 : at(a) > at(b) ? -1 : 0));
}

/** Groups as if they were somebody, each made once for each look it has. */
const groups = new WeakMap();

/** A group of phones stands where a contact would: with the names of all. It has no presence, no number and no card. */
function groupOf(conversation) {
  if (!groups.has(conversation)) groups.set(conversation, { id: conversation.id, conversation_id: conversation.id, display_name: conversation.contact?.display_name, state: 'accepted', group: conversation.group });
  return groups.get(conversation);
}

/**
 * The contact on the other side of a conversation, with what is known of it.
 * @param {Conversation | undefined} conversation
 * @param {Record<string, Contact>} contacts
 * @returns {any}
 */
export function contactOf(conversation, contacts) {
  if (conversation?.group) return groupOf(conversation);
  return contacts[conversation?.contact?.id] ?? conversation?.contact ?? null;
}

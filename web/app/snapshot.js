/** What was there the last time, kept in this browser: the client starts with it at once, also without a connection. */
import { sessionName } from './storage.js';
import * as store from './store.js';

const STORE = 'parts';
/** Changes come in crowds; one write for all of them. */
const PAUSE_MS = 2_000;
const THREADS_MAX = 20;
const MESSAGES_MAX = 40;
const PARTS = ['account', 'conversations', 'contacts', 'threads'];

let timer = null;
let written = {};
let opened = null;

function database() {
  opened ??= new Promise((done, fail) => {
    const request = indexedDB.open(`${sessionName}:snapshot`, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
  return opened;
}

async function run(mode, work) {
  const transaction = (await database()).transaction(STORE, mode);
  const answer = work(transaction.objectStore(STORE));
  return new Promise((done, fail) => {
    transaction.oncomplete = () => done(answer);
    transaction.onerror = transaction.onabort = () => fail(transaction.error);
  });
}

/**
 * The state as it was kept, or null.
 * @returns {Promise<Pick<State, 'account' | 'conversations' | 'contacts' | 'threads'> | null>}
 */
export async function recallSnapshot() {
  try {
    const requests = await run('readonly', kept => PARTS.map(part => [part, kept.get(part)]));
    /** @type {any} */
    const state = Object.fromEntries(requests.map(([part, { result }]) => [part, result]));
    return state.account && state.conversations && state.contacts ? { ...state, threads: state.threads ?? {} } : null;
  } catch {
    return null;
  }
}

/** Keeps the state from now on. A browser that keeps nothing is none the worse. */
export function keepSnapshots() {
  const soon = () => {
    timer ??= setTimeout(() => write().catch(() => {}), PAUSE_MS);
  };
  store.watch(({ account, conversations, contacts, threads, ready }) => [account, conversations, contacts, threads, ready], soon);
  addEventListener('pagehide', () => timer && write().catch(() => {}));
}

async function write() {
  clearTimeout(timer);
  timer = null;
  const { phase, ready, account, conversations, contacts, threads } = store.now();
  if (phase !== 'signed-in' || !ready) return;
  const now = { account, conversations, contacts, threads };
  const changed = PARTS.filter(part => now[part] !== written[part]);
  await run('readwrite', kept => changed.forEach(part => kept.put(part === 'threads' ? shortened(threads, conversations) : now[part], part)));
  written = now;
}

/** The ends of the liveliest conversations; older messages are asked for again when somebody scrolls to them. */
function shortened(threads, conversations) {
  return Object.fromEntries(store.sortedConversations(conversations).map(({ id }) => id).filter(id => threads[id]?.state === 'ready' && !threads[id].newer).slice(0, THREADS_MAX).map(id => {
    const { messages, next } = threads[id];
    const last = messages.slice(-MESSAGES_MAX);
    return [id, { messages: last, next: messages.length > last.length ? last[0].id : next, state: 'ready' }];
  }));
}

/** Forgets everything: whoever uses this browser next finds nothing. */
export async function forgetSnapshot() {
  clearTimeout(timer);
  timer = null;
  written = {};
  try {
    await run('readwrite', kept => kept.clear());
  } catch { /* nothing was kept */ }
}

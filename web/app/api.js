/** Calls the REST API: bearer tokens that renew themselves, problem+json as errors, idempotency keys, time-outs. */
import { forgetSession, keep, onKept, recall, sessionName } from './storage.js';

const CALL_TIMEOUT_MS = 20_000;
const FILE_TIMEOUT_MS = 600_000;
/** A token is renewed this long before it ends, so that a slow call does not outlive it. */
const RENEW_EARLY_MS = 20_000;

/** An answer that is not 2xx, or none at all (`status` 0, code `offline`). */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {{ title?: string, detail?: string, code?: string, fields?: { field: string, code: string, detail: string }[], request_id?: string, retryAfter?: number }} problem
   */
  constructor(status, problem = {}) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.name = 'ApiError';
    this.status = status;
    this.code = problem.code || (status === 0 ? 'offline' : `http_${status}`);
    this.fields = problem.fields || [];
    this.requestId = problem.request_id || null;
    this.retryAfter = problem.retryAfter || null;
  }

  /** Whether the very same call may work later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

let access = null;
let expiresAt = 0;
let renewing = null;
/** Whose session this page goes on with. */
let mine = recall('account');
const signedOutListeners = new Set();
const tabs = 'BroadcastChannel' in globalThis ? new BroadcastChannel(sessionName) : null;
tabs?.addEventListener('message', ({ data }) => {
  if (data?.account === mine) [access, expiresAt] = [data.access, data.expiresAt];
  // Somebody has signed in in another tab: from now on this browser is theirs.
  else location.reload();
});
onKept('refresh', value => {
  if (value === null && access) signedOut(true);
});

/** Whether there is a session to go on with. */
export function hasSession() {
  return recall('refresh') !== null;
}

/** Calls `fn` when the session is over, in whichever tab it ended. */
export function onSignedOut(fn) {
  signedOutListeners.add(fn);
}

/** Whoever ended it has forgotten it already, and may have begun another one. */
function signedOut(elsewhere = false) {
  access = mine = null;
  if (!elsewhere) forgetSession();
  for (const fn of signedOutListeners) fn();
}

/** Keeps the tokens of a sign-in and tells the other tabs. Returns the account. */
export function adopt(tokens) {
  const before = recall('account');
  if (before && before !== tokens.account.id) forgetSession(false);
  access = tokens.access_token;
  expiresAt = Date.now() + (tokens.expires_in || 300) * 1000;
  keep('refresh', tokens.refresh_token);
  keep('attempt', null);
  keep('account', mine = tokens.account.id);
  tabs?.postMessage({ access, expiresAt, account: mine });
  return tokens.account;
}

/** A secret kept until the answer is here: the page may be left, or the network gone, before it arrives. */
function attempt() {
  const secret = recall('attempt') ?? uuid();
  keep('attempt', secret);
  return secret;
}

/** One renewal at a time in all tabs: a refresh token works once, and its second use would end the session. */
function renew() {
  renewing ??= locked(async () => {
    // Another tab may have renewed while this one waited for the lock.
    if (access && expiresAt - Date.now() > RENEW_EARLY_MS) return;
    const refresh = recall('refresh');
    if (!refresh) throw new ApiError(401, { code: 'signed_out' });
    try {
      adopt(await send('POST', '/v1/sessions/refresh', { body: { refresh_token: refresh, attempt: attempt() } }));
    } catch (error) {
      if (error.status === 401 || error.status === 400 || error.status === 422) signedOut();
      throw error;
    }
  }).finally(() => {
    renewing = null;
  });
  return renewing;
}

function locked(fn) {
  return navigator.locks ? navigator.locks.request(sessionName, fn) : fn();
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{ body?: any, headers?: Record<string, string>, signal?: AbortSignal, cache?: RequestCache }} options
 */
async function send(method, path, { body, headers = {}, signal, cache = 'no-store' } = {}) {
  /** @type {RequestInit & { headers: Record<string, string> }} */
  const init = { method, headers: { Accept: 'application/json', ...headers }, cache, credentials: 'omit' };
  if (body instanceof Blob) init.body = body;
  else if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers['Content-Type'] = 'application/json';
  }
  const deadline = new AbortController();
  // A file takes as long as it takes, in either direction.
  const timer = setTimeout(() => deadline.abort(), body instanceof Blob ? FILE_TIMEOUT_MS : CALL_TIMEOUT_MS);
  init.signal = signal ? AbortSignal.any([signal, deadline.signal]) : deadline.signal;
  let answer;
  try {
    answer = await fetch(path, init);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0);
  }
  if (!answer.headers.get('Content-Type')?.includes('json')) clearTimeout(timer);
  if (answer.ok) return parsed(answer);
  const problem = await answer.json().catch(() => ({}));
  problem.retryAfter = Number(answer.headers.get('Retry-After')) || null;
  throw new ApiError(answer.status, problem);
}

function parsed(answer) {
  const type = answer.headers.get('Content-Type') || '';
  if (answer.status === 204 || answer.headers.get('Content-Length') === '0') return null;
  return type.includes('json') ? answer.json() : answer.blob();
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{ key?: string, body?: any, headers?: Record<string, string>, signal?: AbortSignal, cache?: RequestCache }} options
 */
async function call(method, path, { key, ...options } = {}) {
  if (!access || expiresAt - Date.now() < RENEW_EARLY_MS) await renew();
  const authorized = () => send(method, path, {
    ...options,
    headers: { ...options.headers, Authorization: `Bearer ${access}`, ...(key ? { 'Idempotency-Key': key } : {}) },
  });
  const used = access;
  try {
    return await authorized();
  } catch (error) {
    if (error.status !== 401) throw error;
    if (access === used) expiresAt = 0;
    await renew();
    return authorized();
  }
}

/** A token that is good for a while, for what is not sent by `fetch`. */
export async function token() {
  if (!access || expiresAt - Date.now() < RENEW_EARLY_MS) await renew();
  return access;
}

/** Calls without a session. */
export const open = {
  post: (path, body) => send('POST', path, { body }),
  get: path => send('GET', path),
};

/** Calls with the session. Unsafe ones carry a key, so that a repeated send is answered like the first. */
export const api = {
  get: (path, options) => call('GET', path, options),
  post: (path, body, key = uuid()) => call('POST', path, { body, key }),
  put: (path, body) => call('PUT', path, { body, key: uuid() }),
  patch: (path, body) => call('PATCH', path, { body, key: uuid() }),
  delete: (path, body) => call('DELETE', path, { body, key: uuid() }),
  /** Puts a file there; its type is the blob's. */
  upload: (path, blob) => call('PUT', path, { body: blob }),
  /** Something that is not JSON, as a blob; `cache` as `fetch` has it. */
  file: (path, cache) => call('GET', path, { headers: { Accept: '*/*' }, cache }).then(
    data => (data instanceof Blob ? data : new Blob([JSON.stringify(data, null, 2)], { type: 'application/json' }))),
};

/** Every page of a list, up to `max` items; `onPage(items)` sees each page as it comes. */
export async function all(path, max = 2000, onPage = null) {
  const items = [];
  let after = null;
  do {
    const query = new URLSearchParams({ limit: '200', ...(after ? { after } : {}) });
    const page = await api.get(`${path}${path.includes('?') ? '&' : '?'}${query}`);
    items.push(...page.items);
    onPage?.(page.items);
    after = page.next;
  } while (after && items.length < max);
  return items;
}

/** Ends the session here and on the server. */
export async function signOut() {
  await api.delete('/v1/sessions/current').catch(() => {});
  signedOut();
}

/** A random UUID, also where the page is not a secure context and `randomUUID` is missing. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

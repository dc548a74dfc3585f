/** What this browser keeps: small JSON values under our own prefix. Never fails: a full or forbidden store is an empty one. */

/** `?as=bob` and pages that say so (the guided demo) keep a session of their own beside the visitor's. */
const space = new URLSearchParams(location.search).get('as') ?? document.documentElement.dataset.as;
const prefix = space ? `meari:as-${space}:` : 'meari:';

/** The value kept under `key`, or `fallback`. */
export function recall(key, fallback = null) {
  try {
    const text = localStorage.getItem(prefix + key);
    return text === null ? fallback : JSON.parse(text);
  } catch {
    return fallback;
  }
}

/** Keeps a value; `null` forgets it. */
export function keep(key, value) {
  try {
    if (value === null) localStorage.removeItem(prefix + key);
    else localStorage.setItem(prefix + key, JSON.stringify(value));
  } catch { /* a private window without storage: the session lasts as long as the page */ }
}

/** Forgets everything that belongs to the session, or only what was written in it; what belongs to the device stays. */
export function forgetSession(whole = true) {
  for (const key of ['attempt', 'retried', 'drafts', 'outbox', 'presence', 'pushed', 'calls-seen', ...(whole ? ['account', 'refresh'] : [])]) keep(key, null);
}

/** Calls `fn(value)` when another tab changed `key`. */
export function onKept(key, fn) {
  addEventListener('storage', event => {
    if (event.key !== prefix + key) return;
    try {
      fn(event.newValue === null ? null : JSON.parse(event.newValue));
    } catch { /* not ours */ }
  });
}

/** A name for locks and channels that tabs of the same session share. */
export const sessionName = prefix + 'session';

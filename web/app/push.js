/** Web Push (RFC 8030): the server wakes this browser when no page of ours is open. Without content unless it is asked for. */
import { api } from './api.js';
import { keep, recall } from './storage.js';

/** The server forgets who has not come back for long; once a day is often. */
const RENEW_MS = 24 * 3_600_000;

/** Whether this browser can be woken at all. */
export function canPush() {
  return 'serviceWorker' in navigator && 'PushManager' in globalThis;
}

/** Has the server wake this browser; `content`: the push says who wrote, and what. */
export async function subscribe(content) {
  const { public_key: key } = await api.get('/v1/me/push-key');
  const worker = await navigator.serviceWorker.ready;
  const made = await worker.pushManager.getSubscription() ?? await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  const { endpoint, keys } = made.toJSON();
  await api.post('/v1/me/push-subscriptions', { endpoint, keys, show_content: content });
  keep('pushed', { at: Date.now(), content });
}

/** Lets this browser sleep again. */
export async function unsubscribe() {
  keep('pushed', null);
  const worker = await navigator.serviceWorker.getRegistration();
  await (await worker?.pushManager.getSubscription())?.unsubscribe();
  const { items } = await api.get('/v1/me/push-subscriptions');
  for (const { id } of items.filter(({ current }) => current)) await api.delete(`/v1/me/push-subscriptions/${encodeURIComponent(id)}`);
}

/** Whether pushes to this browser have content. */
export function pushHasContent() {
  return recall('pushed')?.content ?? false;
}

/** Says now and then that this browser is still there; the server forgets it with the session. */
export function renewPush(wanted) {
  const kept = recall('pushed');
  if (canPush() && (kept ? Date.now() - kept.at > RENEW_MS : wanted)) subscribe(kept?.content ?? false).catch(() => {});
}

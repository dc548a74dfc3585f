/** The page's side of the service worker: registers it and tells it what a start needs. */
import { go } from './router.js';

/** By then everything that is loaded later has been loaded. */
const TELL_MS = 4_000;

/** Makes the client start without a connection. In a frame (the demo) it is left alone. */
export async function workOffline() {
  if (!('serviceWorker' in navigator) || window.parent !== window) return;
  navigator.serviceWorker.addEventListener('message', ({ data }) => {
    if (typeof data?.open === 'string') go(data.open.replace(/^\//, ''));
  });
  try {
    await navigator.serviceWorker.register('/sw.js');
  } catch {
    return;
  }
  setTimeout(async () => {
    const { active } = await navigator.serviceWorker.ready;
    const loaded = performance.getEntriesByType('resource').map(({ name }) => new URL(name)).filter(({ origin }) => origin === location.origin);
    active.postMessage({ keep: ['/', '/phone', '/manifest.webmanifest', ...new Set(loaded.map(({ pathname }) => pathname))] });
  }, TELL_MS);
}

/** Keeps the client's files so that it starts without a connection, and shows what is pushed. New files go first: the
 * network is asked, and what is kept answers when it cannot, or takes too long. */

const CACHE = 'meari-files';
const OURS = /^\/(?:$|phone$|app\/|style\/|i18n\/|icons\/|icon\.svg$|manifest\.webmanifest$)/;
const PATIENCE_MS = 3_000;

addEventListener('install', () => skipWaiting());
addEventListener('activate', event => event.waitUntil(clients.claim()));

addEventListener('fetch', event => {
  const { pathname, origin } = new URL(event.request.url);
  if (event.request.method === 'GET' && origin === location.origin && OURS.test(pathname)) event.respondWith(answer(event.request, pathname));
});

/** Whether the page that was opened last is a kept one; its files then are, too, so that old and new do not meet. */
let old = false;

async function answer(request, pathname) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(pathname);
  const page = request.mode === 'navigate';
  if (old && kept && !page) return kept;
  const fresh = fetch(request).then(found => {
    if (found.ok) cache.put(pathname, found.clone());
    // What stands before a server that restarts answers, too.
    return found.ok || !kept ? found : kept;
  });
  if (!kept) return fresh;
  const patience = new Promise(done => setTimeout(done, page ? PATIENCE_MS : 4 * PATIENCE_MS, kept));
  const given = await Promise.race([fresh.catch(() => kept), patience]);
  if (page) old = given === kept;
  return given;
}

/** The page says what it has loaded before we were there. */
addEventListener('message', ({ data }) => {
  if (!Array.isArray(data?.keep)) return;
  caches.open(CACHE).then(async cache => {
    for (const path of data.keep.filter(path => OURS.test(path))) {
      if (!await cache.match(path)) await cache.add(path).catch(() => {});
    }
  });
});

/** What the newest is about, in the reader's language. */
const WORDS = {
  call: ['Missed call', '부재중 전화'],
  voicemail: ['New voicemail', '새 음성 메시지'],
  ringing: ['Incoming call', '전화가 왔습니다'],
};

/** Somebody calls: a notice until it is answered or it has rung out; the same one as an open page would show. */
async function rings(said, korean) {
  if (Date.parse(said.expires_at) < Date.now()) return;
  await registration.showNotification(said.sender ?? 'Meari', {
    body: WORDS.ringing[Number(korean)], icon: '/icon.svg', badge: '/icon.svg', tag: said.call_id, renotify: true, requireInteraction: true,
    vibrate: [400, 200, 400, 200, 400], data: { address: '/#/calls', rings: true },
  });
}

/** A push says that somebody calls or how much there is to read; who it is, and what, only when its owner asked for that. */
addEventListener('push', event => event.waitUntil((async () => {
  const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true });
  // Who looks at it already needs no notice.
  if (pages.some(page => page.focused)) return;
  let said = {};
  try {
    said = event.data?.json() ?? {};
  } catch { /* a push without content */ }
  const korean = (navigator.language || '').startsWith('ko');
  if (said.type === 'call') {
    await rings(said, korean);
    return;
  }
  for (const shown of await registration.getNotifications()) if (shown.data?.rings) shown.close();
  const count = Number(said.unread) || 0;
  const known = WORDS[said.kind]?.[Number(korean)];
  const words = count < 2 && known ? known : count > 1 ? (korean ? `읽지 않은 메시지 ${count}개` : `${count} unread messages`) : korean ? '새 메시지' : 'New message';
  if (count) navigator.setAppBadge?.(count).catch(() => {});
  await registration.showNotification(said.sender ?? 'Meari', {
    body: said.text ?? words, icon: '/icon.svg', badge: '/icon.svg', tag: said.conversation_id ?? 'news', renotify: true,
    data: { address: said.conversation_id ? `/#/c/${encodeURIComponent(said.conversation_id)}` : '/' },
  });
})()));

addEventListener('notificationclick', event => {
  event.notification.close();
  const address = event.notification.data?.address ?? '/';
  event.waitUntil((async () => {
    const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true });
    const page = pages.find(({ url }) => new URL(url).pathname === '/');
    if (!page) {
      await clients.openWindow(address);
      return;
    }
    await page.focus();
    page.postMessage({ open: address });
  })());
});

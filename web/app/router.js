/** Where one is, as the part of the address after `#`: the back button works and a reload comes back to the same place. */

const listeners = new Set();

/** `{ name, id }` of an address such as `#/c/cnv_1` or `#/contacts/add`; `at` is a message: `#/c/cnv_1/msg_1`. */
export function parse(hash) {
  const [name = '', id = '', at = ''] = hash.replace(/^#\/?/, '').split('/').map(decodeURIComponent);
  if (name === 'c' && id) return { name: 'thread', id, at };
  if (name === 'new' && id) return { name: 'new', id };
  if (name === 'contacts') return { name, id };
  if (['phone', 'settings', 'calls', 'call-settings'].includes(name)) return { name, id: '' };
  return { name: 'chats', id: '' };
}

/** The route now. */
export function route() {
  return parse(location.hash);
}

/** Goes to an address, e.g. `#/contacts`. */
export function go(hash, { replace = false } = {}) {
  if (replace) {
    history.replaceState(null, '', hash);
    tell();
  } else location.hash = hash;
}

/** Calls `fn(route)` on every change. Answers a function that ends it. */
export function onRoute(fn) {
  listeners.add(fn);
  return () => listeners.delete(fn);
}

function tell() {
  for (const fn of [...listeners]) fn(route());
}

addEventListener('hashchange', tell);

/** The address of a thread with a contact, whether or not it has begun. */
export function threadAddress(contact) {
  return contact.conversation_id ? `#/c/${encodeURIComponent(contact.conversation_id)}` : `#/new/${encodeURIComponent(contact.id)}`;
}

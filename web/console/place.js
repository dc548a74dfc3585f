/** Where one is in the console: `#/messages/ID?state=unknown`. The address holds all of it, so that it can be sent around. */

/** `{ name, id, query }` of the address now. */
export function place() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const [name = '', id = ''] = path.split('/').map(decodeURIComponent);
  return { name: name || 'overview', id, query: new URLSearchParams(query) };
}

/** The address of a place. Values that are empty are left out. */
export function address(name, query = {}, id = '') {
  const text = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#/${name === 'overview' ? '' : name}${id ? `/${encodeURIComponent(id)}` : ''}${text ? `?${text}` : ''}`;
}

/** Changes a part of the query; the step back leads to before it, unless `replace`. */
export function ask(name, value, { replace = false } = {}) {
  const now = place();
  const query = { ...Object.fromEntries(now.query), [name]: value };
  const hash = address(now.name, query, now.id);
  if (replace) {
    history.replaceState(null, '', hash);
    dispatchEvent(new HashChangeEvent('hashchange'));
  } else location.hash = hash;
}

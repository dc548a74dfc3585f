/** Faces of friends: their photo where there is one, else their initials. A photo is asked for once and then kept. */
import { api } from './api.js';
import { avatar, nameOf } from './parts.js';

/** Photos in this page; the browser has the others. */
const KEPT_MAX = 300;
const kept = new Map();

function load(address) {
  if (!kept.has(address)) {
    if (kept.size >= KEPT_MAX) {
      const [oldest, url] = kept.entries().next().value;
      kept.delete(oldest);
      url.then(URL.revokeObjectURL, () => {});
    }
    // Another photo has another address; the server says how long this one may be kept.
    const url = api.file(address, 'default').then(URL.createObjectURL);
    url.catch(() => kept.delete(address));
    kept.set(address, url);
  }
  return kept.get(address);
}

/** Shows a contact's face in a node, once for each look it has. */
export function showFace(node, contact, size = '') {
  const [name, photo] = [nameOf(contact), contact?.photo_url ?? ''];
  const sign = `${name}|${photo}`;
  if (node.dataset.face === sign) return node;
  node.dataset.face = sign;
  node.replaceChildren(avatar(name, { size }));
  if (photo) load(photo).then(url => node.dataset.face === sign && node.replaceChildren(avatar(name, { size, photo: url })), () => {});
  return node;
}

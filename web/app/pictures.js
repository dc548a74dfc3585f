/** The pictures and files of a message: small copies in the bubble, the whole thing when it is asked for. */
import { api } from './api.js';
import { el } from './dom.js';
import { t } from './i18n.js';
import { attempt, button } from './parts.js';

/** Small copies that are kept while one scrolls. */
const KEPT_MAX = 200;
const kept = new Map();

/** What a message's pictures look like, as a word: it changes when they do. */
export function signOf({ media = [] }) {
  return media.map(({ id, state }) => `${id}${state}`).join();
}

/** Shows the pictures and files of a message. */
export function showMedia(node, { media = [] }) {
  node.replaceChildren(...media.map(item => (item.thumbnail_url ? pictureNode(item) : fileNode(item))));
}

function pictureNode(item) {
  const image = el('img', { alt: item.name ?? t('message.picture'), width: item.width, height: item.height, loading: 'lazy' });
  small(item).then(url => { image.src = url; }, () => image.classList.add('missing'));
  return el('button', { type: 'button', class: 'picture', title: t('message.open'), onclick: () => attempt(() => open(item)) }, image);
}

function fileNode(item) {
  if (item.state !== 'ready') return el('p', { class: 'hint' }, t(item.state === 'pending' ? 'message.media_pending' : 'message.media_failed'));
  return button(item.name ?? t('message.media'), { kind: 'link', onclick: () => attempt(() => open(item)) });
}

/** The address of a small copy in this page. */
function small(item) {
  if (!kept.has(item.id)) {
    if (kept.size >= KEPT_MAX) {
      const [oldest, address] = kept.entries().next().value;
      kept.delete(oldest);
      address.then(URL.revokeObjectURL, () => {});
    }
    const address = api.file(item.thumbnail_url).then(URL.createObjectURL);
    address.catch(() => kept.delete(item.id));
    kept.set(item.id, address);
  }
  return kept.get(item.id);
}

/** The whole thing, in a new tab where the browser can show it, else as a download. */
async function open(item) {
  const url = URL.createObjectURL(await api.file(item.url));
  const shown = /^(image|audio|video)\//.test(item.type);
  const link = el('a', shown ? { href: url, target: '_blank', rel: 'noopener' } : { href: url, download: item.name ?? item.id });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

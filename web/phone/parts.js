/** Small parts of the simulated phone. Data becomes text and attributes only, never markup. */

/** Makes an element: `on…` are listeners, `class` the class, booleans toggle attributes, null is skipped. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.className = value;
    else if (typeof value === 'boolean' && !name.startsWith('aria-')) node.toggleAttribute(name, value);
    else node.setAttribute(name, String(value));
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

/** Writes text only where it changed, so that live regions stay quiet. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Replaces the items of a list and keeps the focus on the item with the same `data-key`. */
export function replaceItems(list, items) {
  const focused = list.getRootNode().activeElement;
  const key = list.contains(focused) ? focused.dataset.key : undefined;
  list.replaceChildren(...items);
  if (key !== undefined) list.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

/** A round picture: the photo, else the initials on a colour that belongs to the name. */
export function avatar(name, photo) {
  const letters = [...name.replace(/[^\p{L}\p{N} ]/gu, '').trim()];
  const first = letters[0] ?? '#';
  const second = /\p{Script=Hangul}/u.test(first) ? '' : name.trim().split(/\s+/).slice(1).map(word => [...word][0]).at(-1) ?? '';
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 6, 0);
  const round = el('span', { class: 'avatar', 'data-hue': hue, 'aria-hidden': 'true' });
  if (photo) round.append(el('img', { src: photo, alt: '', loading: 'lazy' }));
  else round.textContent = /\p{L}/u.test(first) ? (first + second).toUpperCase() : '#';
  return round;
}

/** North American numbers with their usual dashes, others as they are. */
export function shownNumber(number) {
  return number.replace(/^\+1(\d{3})(\d{3})(\d{4})$/, '+1 $1-$2-$3');
}

/** The time of day, with the date when it is another day's. */
export function shownTime(at, language) {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  /** @type {Intl.DateTimeFormatOptions} */
  const style = today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' };
  return new Intl.DateTimeFormat(language, style).format(date);
}

/** `3 sec. ago`, `now`. */
export function ago(at, language) {
  const seconds = Math.max(0, Math.round((Date.now() - new Date(at).getTime()) / 1000));
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  if (seconds < 60) return format.format(-seconds, 'second');
  if (seconds < 3600) return format.format(-Math.floor(seconds / 60), 'minute');
  return format.format(-Math.floor(seconds / 3600), 'hour');
}

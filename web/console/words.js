/** Small things that several places of the console show. */
import { el } from '../app/dom.js';
import { currentLanguage, has, t } from '../app/i18n.js';
import { ago, fullTime } from '../app/format.js';

/** A state as a word with its colour. */
export function state(name) {
  const key = `console.state.${name}`;
  return el('span', { class: `tag tag-${name}` }, has(key) ? t(key) : name);
}

/** An instant: how long ago, with the whole of it on demand. */
export function when(at) {
  return at ? el('time', { datetime: at, title: fullTime(at) }, ago(at)) : '–';
}

/** An instant to the second, for what happened one after the other. */
export function exact(at) {
  return new Intl.DateTimeFormat(currentLanguage(), { dateStyle: 'medium', timeStyle: 'medium' }).format(new Date(at));
}

/** A figure that stands for itself: `[label, value, href, kind]`. */
export function tiles(items) {
  return el('ul', { class: 'tiles' }, items.map(([label, value, href, kind = '']) => el('li', { class: `tile ${kind}` },
    el(href ? 'a' : 'div', href ? { href } : {}, el('span', { class: 'tile-value' }, value), el('span', { class: 'tile-label' }, label)))));
}

/** A heading with what stands under it. */
export function part(title, ...children) {
  return el('section', { class: 'part' }, el('h2', {}, title), children);
}

/** What our charts share: scales with round ticks, axes, legends, and the figures for those who do not see the picture. */
import { el, svg } from '../app/dom.js';
import { currentLanguage, t } from '../app/i18n.js';

/** Drawn for the width that there is, so that the words in the picture stay readable. */
export const WIDTH = matchMedia('(max-width: 859.9px)').matches ? 380 : 720;
export const HEIGHT = 220;
export const LEFT = 44;
export const BOTTOM = 24;
export const TOP = 10;

/** Round numbers from zero to at least `top`, at most five; `least` is the finest step that means something. */
export function ticks(top, least = 1) {
  const rough = Math.max(top, least) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough));
  return Array.from({ length: Math.floor(Math.max(top, least) / step + 0.999) + 1 }, (_, index) => index * step);
}

/** How far up a value stands. The axis begins at zero, always: anything else would lie. */
export function scale(marks) {
  const top = marks.at(-1);
  return value => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
}

/** A number in the reader's language. */
export function figure(value) {
  return new Intl.NumberFormat(currentLanguage()).format(value);
}

/** Lines and numbers of the upright axis. */
export function upright(marks, y, show = figure) {
  return marks.flatMap(mark => [
    svg('line', { x1: LEFT, x2: WIDTH, y1: y(mark), y2: y(mark), class: mark ? 'grid' : 'axis' }),
    svg('text', { x: LEFT - 8, y: y(mark) + 4, class: 'tick', 'text-anchor': 'end' }, show(mark))]);
}

/** Words under the axis: `[x, text]`. */
export function along(labels) {
  return labels.map(([x, text]) => svg('text', { x, y: HEIGHT - 6, class: 'tick', 'text-anchor': 'middle' }, text));
}

/** The whole: picture, legend, and the same figures as a table. `rows` begins with the headings. */
export function chart({ title, shapes, legend, rows }) {
  const picture = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'chart', role: 'img', 'aria-label': title }, ...shapes);
  return el('figure', { class: 'figure' }, el('figcaption', {}, title),
    el('ul', { class: 'legend' }, legend.map(([kind, words]) => el('li', {}, el('span', { class: `swatch fill-${kind}`, 'aria-hidden': 'true' }), words))),
    picture, el('details', {}, el('summary', {}, t('console.figures')), el('div', { class: 'table-scroll', tabindex: '0', role: 'region', 'aria-label': title }, el('table', {},
      el('thead', {}, el('tr', {}, rows[0].map(cell => el('th', { scope: 'col' }, cell)))),
      el('tbody', {}, rows.slice(1).map(row => el('tr', {}, row.map((cell, index) => el('td', { class: index ? 'number' : '' }, typeof cell === 'number' ? figure(cell) : cell)))))))));
}

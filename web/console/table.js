/** A table of the console: filters that stand in the address, more on demand, and all of it as CSV. */
import { el, fill, onceAFrame } from '../app/dom.js';
import { explain, t } from '../app/i18n.js';
import { button, toast } from '../app/parts.js';
import { csv } from './csv.js';
import { ask, place } from './place.js';

/** A search or an export looks at no more than that. */
const ROWS_MAX = 20_000;

/**
 * `columns`: `{ name, title, value(row) → text for CSV and search, cell(row) → node or text, number }`;
 * `filters`: `{ name, label, options: [[value, label]] }`; `load(query, after)` → `{ items, next }`.
 */
export function table({ name, columns, filters = [], load, empty }) {
  let rows = [];
  let next = null;
  let turn = 0;
  let asked = null;
  const body = el('tbody', {});
  const note = el('p', { class: 'table-note', role: 'status' });
  const more = button(t('console.more'), { onclick: () => grow() });
  const search = el('input', { class: 'input', type: 'search', 'aria-label': t('console.filter'), placeholder: t('console.filter'), autocomplete: 'off', spellcheck: 'false' });
  search.addEventListener('input', onceAFrame(() => ask('q', search.value, { replace: true })));
  const selects = filters.map(({ name: key, label, options }) => el('label', { class: 'filter' }, el('span', {}, label),
    el('select', { class: 'input', dataset: { filter: key }, onchange: event => ask(key, event.target.value) }, [['', t('console.all')], ...options].map(([value, text]) => el('option', { value }, text)))));
  const head = el('tr', {}, columns.map(({ title, number }) => el('th', { scope: 'col', class: number ? 'number' : '' }, title)));
  const scroll = el('div', { class: 'table-scroll', tabindex: '0', role: 'region', 'aria-label': t(`console.${name}`) }, el('table', {}, el('thead', {}, head), body));
  const node = el('div', { class: 'table-frame' },
    el('div', { class: 'filters' }, search, selects, button(t('console.csv'), { glyph: 'download', kind: 'small', onclick: () => save() })), scroll, note, more);

  const matching = () => {
    const wanted = search.value.trim().toLowerCase();
    return wanted ? rows.filter(row => columns.some(({ value }) => String(value(row) ?? '').toLowerCase().includes(wanted))) : rows;
  };

  const draw = () => {
    const shown = matching();
    fill(body, shown.map(row => el('tr', {}, columns.map(({ cell, value, number }) => el('td', { class: number ? 'number' : '' }, cell ? cell(row) : String(value(row) ?? ''))))));
    more.hidden = !next;
    note.textContent = shown.length ? t(next ? 'console.rows_some' : 'console.rows', { n: shown.length }) : search.value.trim() ? t('list.nothing', { query: search.value.trim() }) : empty ?? t('console.nothing');
    scroll.hidden = !shown.length;
  };

  const query = () => Object.fromEntries(filters.map(({ name: key }) => [key, place().query.get(key) ?? '']));

  const grow = async () => {
    const mine = turn;
    try {
      const page = await load(query(), next);
      if (mine !== turn) return false;
      rows = rows.concat(page.items);
      next = page.next;
      draw();
      return true;
    } catch (error) {
      toast(explain(error));
      return false;
    }
  };

  const everything = async () => {
    while (next && rows.length < ROWS_MAX && await grow());
  };

  node.follow = async () => {
    const now = place().query;
    for (const select of node.querySelectorAll('[data-filter]')) select.value = now.get(select.dataset.filter) ?? '';
    if (document.activeElement !== search) search.value = now.get('q') ?? '';
    const sign = JSON.stringify(query());
    if (sign !== asked) {
      asked = sign;
      turn += 1;
      rows = [];
      next = null;
      await grow();
    }
    if (search.value.trim() && next) await everything();
    draw();
  };

  const save = async () => {
    await everything();
    const text = csv([columns.map(({ title }) => title), ...matching().map(row => columns.map(({ value }) => value(row)))]);
    const link = el('a', { href: URL.createObjectURL(new Blob(['\ufeff', text], { type: 'text/csv' })), download: `meari-${name}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  node.reload = () => {
    asked = null;
    return node.follow();
  };
  return node;
}

/** A view whose only moving part is a table. */
export async function tableView(title, setup, ...above) {
  const list = table(setup);
  const view = el('div', { class: 'view' }, el('h1', { tabindex: '-1' }, title), above, list);
  view.follow = () => list.follow();
  view.reload = () => list.reload();
  await list.follow();
  return view;
}

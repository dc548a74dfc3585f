/** A table of the console: filters that stand in the address, more on demand, and all of it as CSV. */
import { el, fill, onceAFrame, setText } from '../app/dom.js';
import { clock } from '../app/format.js';
import { explain, t } from '../app/i18n.js';
import { button, toast } from '../app/parts.js';
import { csv } from './csv.js';
import { ask, place } from './place.js';

/** A search or an export looks at no more than that. */
const ROWS_MAX = 20_000;

/**
 * `columns`: `{ name, title, value(row) → text for CSV and search, cell(row) → node or text, number }`;
 * `filters`: `{ name, label, options: [[value, label]], rest: what it is called without }`; `load(query, after)` → `{ items, next }`.
 */
export function table({ name, columns, filters = [], load, empty }) {
  let rows = [];
  let next = null;
  let turn = 0;
  let asked = null;
  let fault = null;
  const body = el('tbody', {});
  const note = el('p', { class: 'table-note', role: 'status' });
  const at = el('p', { class: 'table-note' });
  const more = button(t('console.more'), { onclick: () => grow(rows.length + 1, !next) });
  const search = el('input', { class: 'input', type: 'search', 'aria-label': t('console.filter'), placeholder: t('console.filter'), autocomplete: 'off', spellcheck: 'false' });
  search.addEventListener('input', onceAFrame(() => ask('q', search.value, { replace: true })));
  const selects = filters.map(({ name: key, label, options, rest }) => el('label', { class: 'filter' }, el('span', {}, label),
    el('select', { class: 'input', dataset: { filter: key }, onchange: event => ask(key, event.target.value) }, [['', rest ?? t('console.all')], ...options].map(([value, text]) => el('option', { value }, text)))));
  const head = el('tr', {}, columns.map(({ title, number }) => el('th', { scope: 'col', class: number ? 'number' : '' }, title)));
  const scroll = el('div', { class: 'table-scroll', tabindex: '0', role: 'region', 'aria-label': t(`console.${name}`) }, el('table', {}, el('thead', {}, head), body));
  const node = el('div', { class: 'table-frame' },
    el('div', { class: 'filters' }, search, selects, button(t('console.csv'), { glyph: 'download', kind: 'small', onclick: () => save() })), scroll, note, at, more);

  const matching = () => {
    const wanted = search.value.trim().toLowerCase();
    return wanted ? rows.filter(row => columns.some(({ value }) => String(value(row) ?? '').toLowerCase().includes(wanted))) : rows;
  };

  const draw = () => {
    const shown = matching();
    // Who stands on a row stays there.
    const controls = row => [...row?.querySelectorAll('button, a') ?? []];
    const stood = [...body.rows].findIndex(row => row.contains(document.activeElement));
    const which = controls(body.rows[stood]).indexOf(document.activeElement);
    fill(body, shown.map(row => el('tr', {}, columns.map(({ cell, value, number }) => el('td', { class: number ? 'number' : '' }, cell ? cell(row) : String(value(row) ?? ''))))));
    more.hidden = !next && !fault;
    setText(more.lastChild, t(fault ? 'common.try_again' : 'console.more'));
    const words = search.value.trim();
    const none = words ? t('list.nothing', { query: words }) : Object.values(query()).some(Boolean) ? t('console.nothing') : empty ?? t('console.nothing');
    // A list that could not be read is not an empty one.
    note.textContent = fault ? explain(fault) : shown.length ? t(next ? 'console.rows_some' : 'console.rows', { n: shown.length }) : none;
    setText(at, t('console.as_of', { at: clock(new Date()) }));
    scroll.hidden = !shown.length;
    if (stood < 0) return;
    const left = controls(body.rows[Math.min(stood, shown.length - 1)]);
    (left[which] ?? left[0] ?? search).focus();
  };

  const query = () => Object.fromEntries(filters.map(({ name: key }) => [key, place().query.get(key) ?? '']));

  /** Reads on until there are `wanted` rows; shows them once, however many pages they take. */
  const grow = async (wanted, anew = false) => {
    const mine = turn += 1;
    let [found, after] = anew ? [[], null] : [rows, next];
    let broken = null;
    try {
      do {
        const page = await load(query(), after);
        found = found.concat(page.items);
        after = page.next;
      } while (after && mine === turn && found.length < Math.min(wanted, ROWS_MAX));
    } catch (error) {
      broken = error;
    }
    if (mine !== turn) return;
    [rows, next, fault] = broken && anew ? [rows, next, broken] : [found, after, broken];
    draw();
  };

  node.follow = async () => {
    const now = place().query;
    for (const select of node.querySelectorAll('[data-filter]')) select.value = now.get(select.dataset.filter) ?? '';
    if (document.activeElement !== search) search.value = now.get('q') ?? '';
    const sign = JSON.stringify(query());
    if (sign !== asked) {
      asked = sign;
      rows = [];
      await grow(1, true);
    }
    if (search.value.trim() && next) await grow(ROWS_MAX);
    else draw();
  };

  const save = async () => {
    if (next) await grow(ROWS_MAX);
    // Half a table that looks like a whole one is worse than none.
    if (fault || next) {
      toast(fault ? explain(fault) : t('console.csv_max', { n: ROWS_MAX }));
      return;
    }
    const text = csv([columns.map(({ title }) => title), ...matching().map(row => columns.map(({ value }) => value(row)))]);
    const link = el('a', { href: URL.createObjectURL(new Blob(['\ufeff', text], { type: 'text/csv' })), download: `meari-${name}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  };

  /** Reads it anew, as far as it was read. */
  node.reload = () => grow(rows.length, true);
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

/** The columns that many tables have, and the doors that their rows come from. A column is called `console.NAME`. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { number } from '../app/format.js';
import { t } from '../app/i18n.js';
import { state, when } from './words.js';

const mono = (text, title = null) => el('span', { class: 'mono', title }, text);

/** What stands there as it is; `more` adds to the column or takes the place of a part. */
export const plain = (name, key = name, more = {}) => ({ title: t(`console.${name}`), value: row => row[key] ?? '', ...more });

/** A figure. */
export const figures = (name, key = name) => plain(name, key, { number: true });

/** An instant. */
export const moment = (name, key = name) => plain(name, key, { cell: row => when(row[key]) });

/** A telephone number. */
export const phone = (name, key = name) => plain(name, key, { cell: row => mono(number(row[key])) });

/** What only machines read, as it is. */
export const raw = (name, key = name) => plain(name, key, { cell: row => mono(row[key]) });

/** A long id by its end. */
export const short = (name, key = 'id') => plain(name, key, { cell: row => mono(`…${row[key].slice(-8)}`, row[key]) });

/** A state. */
export const states = () => plain('state', 'state', { cell: row => state(row.state) });

/** Reads a list page by page; filters that are empty are left out. */
export const pages = (path, limit = 100, fixed = {}) => (query, after) => api.get(
  `${path}?${new URLSearchParams(Object.entries({ limit, ...query, ...fixed, after }).filter(([, value]) => value))}`);

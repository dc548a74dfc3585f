/** Numbers that were ordered, for the reserve or by hand, or would have been; and a form to order one. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { number } from '../app/format.js';
import { t } from '../app/i18n.js';
import { shop } from './number-shop.js';
import { address } from './place.js';
import { figures, moment, plain, short, states } from './columns.js';
import { tableView } from './table.js';

const STATES = ['planned', 'pending', 'unknown', 'done', 'refused'];

export async function orders() {
  const { items } = await api.get('/v1/admin/numbers/orders');
  const all = name => [...new Set(items.map(item => item[name]))].sort().map(value => [value, value]);
  const counter = await shop(() => view.reload());
  const view = await tableView(t('console.orders'), {
    name: 'orders', empty: t('console.orders_none'),
    filters: [{ name: 'state', label: t('console.state'), options: STATES.map(name => [name, t(`console.state.${name}`)]) },
      { name: 'carrier', label: t('console.carrier'), options: all('carrier') }, { name: 'region', label: t('console.region'), options: all('region') }],
    columns: [
      plain('number', 'number', { cell: row => el(row.state === 'done' ? 'a' : 'span', { class: 'mono', href: row.state === 'done' ? address('numbers', { q: row.number }) : null }, number(row.number)) }),
      plain('region'), plain('carrier'), figures('cost'), states(), short('reference', 'reference'), moment('since', 'created_at'),
    ],
    load: async wanted => {
      const page = await api.get('/v1/admin/numbers/orders');
      return { next: null, items: page.items.filter(row => ['state', 'carrier', 'region'].every(name => !wanted[name] || row[name] === wanted[name])) };
    },
  }, el('p', { class: 'muted' }, t('console.orders_text')), counter);
  return view;
}

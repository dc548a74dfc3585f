/** Numbers that were ordered, for the reserve or by hand, or would have been; and a form to order one. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { number } from '../app/format.js';
import { t } from '../app/i18n.js';
import { shop } from './number-shop.js';
import { address } from './place.js';
import { tableView } from './table.js';
import { state, when } from './words.js';

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
      { title: t('console.number'), value: row => row.number, cell: row => (row.state === 'done' ? el('a', { class: 'mono', href: address('numbers', { q: row.number }) }, number(row.number)) : el('span', { class: 'mono' }, number(row.number))) },
      { title: t('console.region'), value: row => row.region },
      { title: t('console.carrier'), value: row => row.carrier },
      { title: t('console.cost'), value: row => row.cost, number: true },
      { title: t('console.state'), value: row => row.state, cell: row => state(row.state) },
      { title: t('console.reference'), value: row => row.reference, cell: row => el('span', { class: 'mono', title: row.reference }, `…${row.reference.slice(-8)}`) },
      { title: t('console.since'), value: row => row.created_at, cell: row => when(row.created_at) },
    ],
    load: async wanted => {
      const page = await api.get('/v1/admin/numbers/orders');
      return { next: null, items: page.items.filter(row => ['state', 'carrier', 'region'].every(name => !wanted[name] || row[name] === wanted[name])) };
    },
  }, el('p', { class: 'muted' }, t('console.orders_text')), counter);
  return view;
}

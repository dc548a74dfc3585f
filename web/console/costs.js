/** What SMS cost over time: what each carrier has taken, times the price that is set for it now. */
import { api } from '../app/api.js';
import { el, fill } from '../app/dom.js';
import { currentLanguage, t } from '../app/i18n.js';
import { bars } from './bars.js';
import { figure } from './chart.js';
import { address, place } from './place.js';
import { table } from './table.js';
import { loadTraffic, span, spans, stepsOf } from './traffic.js';
import { tiles } from './words.js';

/** Carriers with a colour of their own; those beyond share the last one. */
const COLOURS = 5;

/** An amount in its own money. */
function money(amount, currency) {
  return new Intl.NumberFormat(currentLanguage(), { style: 'currency', currency, maximumFractionDigits: amount && amount < 1 ? 4 : 2 }).format(amount);
}

export async function costs() {
  const carriers = await api.get('/v1/admin/carriers');
  const top = el('div', { class: 'part' });
  const names = carriers.items.map(({ id }) => id);
  let known = null;
  const load = async () => {
    if (known?.span !== span()) known = { span: span(), rows: rowsOf(await loadTraffic()) };
    return known.rows;
  };
  const list = table({
    name: 'costs', empty: t('console.costs_none'),
    filters: [{ name: 'carrier', label: t('console.carrier'), options: names.map(id => [id, id]) }],
    columns: [
      { title: t('console.time'), value: row => row.label },
      { title: t('console.carrier'), value: row => row.carrier, cell: row => el('a', { href: address('messages', { carrier: row.carrier }) }, row.carrier) },
      { title: t('console.sms'), value: row => row.count, cell: row => figure(row.count), number: true },
      { title: t('console.segments'), value: row => row.segments, cell: row => figure(row.segments), number: true },
      { title: t('console.cost'), value: row => (row.currency ? row.amount.toFixed(6) : ''), cell: row => (row.currency ? money(row.amount, row.currency) : t('console.no_price')), number: true },
      { title: t('console.currency'), value: row => row.currency },
    ],
    load: async ({ carrier }) => ({ next: null, items: (await load()).filter(row => !carrier || row.carrier === carrier) }),
  });
  const view = el('div', { class: 'view' }, el('h1', { tabindex: '-1' }, t('console.costs')), el('p', { class: 'muted' }, t('console.costs_text')), top, list);
  view.follow = async () => {
    const wanted = place().query.get('carrier');
    const fresh = known && known.span !== span();
    const rows = (await load()).filter(row => !wanted || row.carrier === wanted);
    fill(top, spans('costs'), summary(rows), charts(rows, names));
    await (fresh ? list.reload() : list.follow());
  };
  await view.follow();
  return view;
}

/** One row for each step of time and carrier, the newest first. */
function rowsOf({ items }) {
  const { steps, key } = stepsOf();
  const at = new Map(steps.map((step, index) => [step.key, index]));
  const rows = new Map();
  for (const { at: when, carrier, count, segments, cost } of items) {
    const index = at.get(key(when));
    if (!carrier || index === undefined) continue;
    const name = `${index}/${carrier}`;
    const row = rows.get(name) ?? { index, label: steps[index].label, carrier, count: 0, segments: 0, amount: 0, currency: '' };
    row.count += count;
    row.segments += segments;
    if (cost) {
      row.amount += Number(cost.amount);
      row.currency = cost.currency;
    }
    rows.set(name, row);
  }
  return [...rows.values()].sort((a, b) => b.index - a.index || (a.carrier < b.carrier ? -1 : 1));
}

const currencies = rows => [...new Set(rows.map(({ currency }) => currency).filter(Boolean))];

function summary(rows) {
  return tiles(currencies(rows).map(currency => {
    const own = rows.filter(row => row.currency === currency);
    const sum = own.reduce((total, { amount }) => total + amount, 0);
    return [t('console.cost_in', { currency }), money(sum, currency)];
  }));
}

function charts(rows, carriers) {
  const kinds = carriers.map((id, index) => [`c${Math.min(index, COLOURS - 1)}-${id}`, id, `c${Math.min(index, COLOURS - 1)}`]);
  return currencies(rows).map(currency => {
    const { steps } = stepsOf();
    for (const row of rows.filter(row => row.currency === currency)) {
      const [kind] = kinds.find(([, id]) => id === row.carrier) ?? kinds[0];
      steps[row.index].parts[kind] = (steps[row.index].parts[kind] ?? 0) + row.amount;
    }
    return bars({ title: t('console.cost_over_time', { currency }), steps, kinds, first: t('console.time'), least: 0.01, show: amount => money(amount, currency) });
  });
}

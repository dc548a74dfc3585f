/** The pools: how full they are, how long they will do, and every number. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { currentLanguage, t } from '../app/i18n.js';
import { number } from '../app/format.js';
import { figure } from './chart.js';
import { growth } from './growth.js';
import { attempt, button, confirmDialog } from '../app/parts.js';
import { moment, pages, phone, plain, states } from './columns.js';
import { table } from './table.js';
import { part } from './words.js';

export async function numbers() {
  const [usage, forecast, carriers] = await Promise.all([api.get('/v1/admin/numbers/usage'), api.get('/v1/admin/numbers/forecast'), api.get('/v1/admin/carriers')]);
  const list = table({
    name: 'numbers', empty: t('console.numbers_none'),
    filters: [{ name: 'state', label: t('console.state'), options: ['available', 'suspended', 'retired'].map(name => [name, t(`console.state.${name}`)]) },
      { name: 'carrier', label: t('console.carrier'), options: carriers.items.map(({ id }) => [id, id]) }],
    columns: [
      phone('number'), plain('region'), plain('carrier'), { title: t('console.can'), value: row => row.capabilities.join(' ') }, states(), moment('since', 'created_at'),
      { title: t('console.decision'), value: () => '', cell: row => (row.state === 'retired' ? '' : acts(row, carriers.items, () => list.reload())) },
    ],
    load: filtered,
  });
  const view = el('div', { class: 'view' }, el('h1', { tabindex: '-1' }, t('console.numbers')),
    usage.waiting ? el('p', { class: 'notice bad' }, t('console.waiting', { n: usage.waiting })) : null,
    forecast.items.length ? part(t('console.pools'), el('p', { class: 'muted' }, t('console.pools_text')), el('div', { class: 'pools' }, forecast.items.map(pool))) : null,
    part(t('console.every_number'), list));
  view.follow = () => list.follow();
  view.reload = () => list.reload();
  await list.follow();
  return view;
}

/** What can be done about a number: it rests, serves again, moves to another carrier, or goes for good. */
function acts(row, carriers, done) {
  const path = `/v1/admin/numbers/${encodeURIComponent(row.id)}`;
  const shown = number(row.number);
  const act = (label, what) => button(t(label), { kind: 'small', 'aria-label': `${t(label)}: ${shown}`, onclick: async () => {
    if (await what() === false) return;
    await done();
  } });
  const rests = row.state === 'suspended';
  const others = carriers.filter(({ id }) => id !== row.carrier);
  return el('span', { class: 'row-acts' },
    act(rests ? 'console.serve' : 'console.suspend', () => attempt(() => api.patch(path, { state: rests ? 'available' : 'suspended' }))),
    others.length ? act('console.port', async () => {
      const choice = el('select', { class: 'input', 'aria-label': t('console.carrier') }, others.map(({ id }) => el('option', { value: id }, id)));
      if (!await confirmDialog({ title: t('console.port_title', { number: shown }), text: t('console.port_text'), yes: t('console.port'), body: choice })) return false;
      return attempt(() => api.post(`${path}/port`, { carrier: choice.value }));
    }) : null,
    act('console.retire', async () => {
      if (!await confirmDialog({ title: t('console.retire_title', { number: shown }), text: t('console.retire_text'), yes: t('console.retire'), danger: true })) return false;
      return attempt(() => api.delete(path));
    }));
}

const all = pages('/v1/admin/numbers', 200);

/** The server lists all numbers; what is filtered here is what was asked for in the address. */
async function filtered({ state: wanted, carrier }, after) {
  const page = await all({}, after);
  return { next: page.next, items: page.items.filter(row => (!wanted || row.state === wanted) && (!carrier || row.carrier === carrier)) };
}

function pool({ region, numbers: count, days, full_in_days: fullIn }) {
  const held = days.at(-1)?.held ?? 0;
  const share = count ? Math.round((held / count) * 100) : 0;
  const level = share >= 90 ? 'bad' : share >= 75 || (fullIn !== null && fullIn < 14) ? 'warn' : '';
  const name = region ? `${region} · ${new Intl.DisplayNames(currentLanguage(), { type: 'region' }).of(region)}` : t('console.no_region');
  const day = new Intl.DateTimeFormat(currentLanguage(), { month: 'short', day: 'numeric' });
  const words = t('console.pool_used', { held: figure(held), count: figure(count), share });
  return el('article', { class: `pool ${level}` }, el('h3', {}, name),
    el('meter', { class: 'pool-meter', min: '0', max: String(count), high: String(count * 0.75), optimum: '0', value: String(Math.min(held, count)), 'aria-label': words }),
    el('p', {}, words), el('p', { class: 'muted' }, fullIn === 0 ? t('console.full_now') : fullIn === null ? t('console.full_never') : t('console.full_in', { n: fullIn })),
    growth({
      title: t('console.pool_growth', { region: name }), ceiling: count, fullIn,
      days: days.map(({ at, held: value }) => ({ label: day.format(new Date(at)), held: value })),
      labels: { first: day.format(new Date(days[0].at)), now: t('day.today'), last: day.format(new Date(Date.now() + 30 * 86_400_000)) },
      words: { held: t('console.held'), ahead: t('console.ahead'), ceiling: t('console.ceiling'), first: t('console.day') },
    }));
}

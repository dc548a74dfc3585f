/** The carriers: whether they are well, and what goes through them. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { figure } from './chart.js';
import { address } from './place.js';
import { loadTraffic, spans, trafficChart } from './traffic.js';
import { state, tiles, when } from './words.js';

/** Fewer than that say nothing about a carrier. */
const ENOUGH = 10;
const TROUBLE_SHARE = 0.2;

export async function carriers() {
  const [list, traffic] = await Promise.all([api.get('/v1/admin/carriers'), loadTraffic()]);
  return el('div', { class: 'view' }, el('h1', { tabindex: '-1' }, t('console.carriers')), spans('carriers'),
    list.items.length ? list.items.map(item => carrier(item, traffic)) : el('p', { class: 'notice' }, t('console.carriers_none')));
}

function carrier({ id, kind, last_callback_at: last, in_flight: flying }, traffic) {
  const own = traffic.items.filter(item => item.carrier === id);
  const sum = (...states) => own.filter(item => states.includes(item.state)).reduce((total, { count }) => total + count, 0);
  const segments = own.reduce((total, item) => total + item.segments, 0);
  const decided = sum('delivered', 'read', 'undelivered', 'failed');
  const failed = sum('undelivered', 'failed');
  const unknown = flying.find(item => item.state === 'unknown')?.count ?? 0;
  const health = decided >= ENOUGH && failed / decided > TROUBLE_SHARE ? 'trouble' : unknown ? 'watch' : own.length || last ? 'well' : 'quiet';
  return el('section', { class: 'part' }, el('h2', {}, id, ' ', state(health)), el('p', { class: 'muted' }, t('console.carrier_kind', { kind }), ' · ', t('console.last_call'), ' ', when(last)),
    tiles([
      [t('console.state.queued'), figure(flying.filter(item => item.state !== 'unknown').reduce((total, { count }) => total + count, 0)), address('messages', { carrier: id, state: 'queued,sending' })],
      [t('console.state.unknown'), figure(unknown), address('messages', { carrier: id, state: 'unknown' }), unknown ? 'warn' : ''],
      [t('console.delivered_share'), decided ? `${Math.round(((decided - failed) / decided) * 100)} %` : '–', address('messages', { carrier: id })],
      [t('console.segments'), figure(segments)],
    ]),
    trafficChart(traffic, { carrier: id, title: t('console.traffic_of', { carrier: id }) }));
}

/** The carriers: whether they are well, and what goes through them. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { attempt, button, confirmDialog } from '../app/parts.js';
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

function carrier(item, traffic) {
  const { id, kind, last_callback_at: last, in_flight: flying } = item;
  const own = traffic.items.filter(item => item.carrier === id);
  const sum = (...states) => own.filter(item => states.includes(item.state)).reduce((total, { count }) => total + count, 0);
  const segments = own.reduce((total, item) => total + item.segments, 0);
  const decided = sum('delivered', 'read', 'undelivered', 'failed');
  const failed = sum('undelivered', 'failed');
  const unknown = flying.find(item => item.state === 'unknown')?.count ?? 0;
  const seen = decided >= ENOUGH && failed / decided > TROUBLE_SHARE ? 'trouble' : unknown ? 'watch' : own.length || last ? 'well' : 'quiet';
  const health = item.dead_since ? 'written_off' : item.state === 'well' ? seen : item.state;
  return el('section', { class: 'part' }, el('h2', {}, id, ' ', state(health)), el('p', { class: 'muted' }, t('console.carrier_kind', { kind }), ' · ', t('console.last_call'), ' ', when(last)),
    item.why ? el('p', { class: 'notice' }, item.why, ' · ', t('console.since'), ' ', when(item.since)) : null,
    item.last_loop ? el('p', { class: 'muted' }, t(item.last_loop.arrived_at ? 'console.loop_arrived' : 'console.loop_away'), ' ', when(item.last_loop.arrived_at ?? item.last_loop.sent_at)) : null,
    tiles([
      [t('console.state.queued'), figure(flying.filter(item => item.state !== 'unknown').reduce((total, { count }) => total + count, 0)), address('messages', { carrier: id, state: 'queued,sending' })],
      [t('console.state.unknown'), figure(unknown), address('messages', { carrier: id, state: 'unknown' }), unknown ? 'warn' : ''],
      [t('console.delivered_share'), decided ? `${Math.round(((decided - failed) / decided) * 100)} %` : '–', address('messages', { carrier: id })],
      [t('console.segments'), figure(segments)],
      [t('console.turn_waiting'), figure(item.waiting), address('jobs', { state: 'parked' }), item.waiting ? 'warn' : ''],
    ]),
    trafficChart(traffic, { carrier: id, title: t('console.traffic_of', { carrier: id }) }),
    button(t(item.dead_since ? 'console.take_on' : 'console.write_off'), { kind: item.dead_since ? 'small' : 'small danger', onclick: () => decide(item) }));
}

/** Writes a carrier off, or takes it on again. */
async function decide({ id, dead_since: dead }) {
  const what = dead ? 'take_on' : 'write_off';
  if (!await confirmDialog({ title: t(`console.${what}_title`, { carrier: id }), text: t(`console.${what}_text`), yes: t(`console.${what}`), danger: !dead })) return;
  await attempt(() => api.patch(`/v1/admin/carriers/${encodeURIComponent(id)}`, { dead: !dead }));
  dispatchEvent(new Event('console:again'));
}

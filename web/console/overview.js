/** How things are, on one screen. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { figure } from './chart.js';
import { address } from './place.js';
import { loadTraffic, spans, trafficChart } from './traffic.js';
import { part, tiles } from './words.js';

export async function overview() {
  const [traffic, carriers, usage, forecast, dead, alarms] = await Promise.all([loadTraffic(), api.get('/v1/admin/carriers'),
    api.get('/v1/admin/numbers/usage'), api.get('/v1/admin/numbers/forecast'), api.get('/v1/admin/jobs?state=dead&limit=200'), api.get('/v1/admin/alarms?limit=200')]);
  const flying = state => carriers.items.flatMap(item => item.in_flight).filter(item => item.state === state).reduce((sum, { count }) => sum + count, 0);
  const soonest = forecast.items.filter(item => item.full_in_days !== null).sort((a, b) => a.full_in_days - b.full_in_days)[0];
  const unknown = flying('unknown');
  return el('div', { class: 'view' }, el('h1', { tabindex: '-1' }, t('console.overview')),
    tiles([
      [t('console.tile.alarms'), alarms.next ? `${figure(200)}+` : figure(alarms.items.length), address('alarms'), alarms.items.length ? 'bad' : ''],
      [t('console.tile.queued'), figure(flying('queued') + flying('sending')), address('messages', { state: 'queued,sending' })],
      [t('console.tile.unknown'), figure(unknown), address('undecided'), unknown ? 'warn' : ''],
      [t('console.tile.waiting'), figure(usage.waiting), address('numbers'), usage.waiting ? 'bad' : ''],
      [t('console.tile.dead'), dead.next ? `${figure(200)}+` : figure(dead.items.length), address('jobs', { state: 'dead' }), dead.items.length ? 'warn' : ''],
      [t('console.tile.full'), soonest ? t('console.days', { n: soonest.full_in_days }) : t('console.never'), address('numbers'), soonest && soonest.full_in_days < 14 ? 'warn' : ''],
    ]),
    part(t('console.traffic'), spans('overview'), trafficChart(traffic, { title: t('console.traffic_all') })));
}

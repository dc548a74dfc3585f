/** Calls, one row for each end: those of this moment, and what is left of the others. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { tableView } from './table.js';
import { when } from './words.js';

export function calls() {
  return tableView(t('console.calls'), {
    name: 'calls', empty: t('console.calls_none'),
    filters: [{ name: 'state', label: t('console.state'), options: [['open', t('console.calls_open')]] }],
    columns: [
      { title: t('console.call'), value: row => row.call_id, cell: row => el('span', { class: 'mono', title: row.call_id }, `…${row.call_id.slice(-8)}`) },
      { title: t('console.at'), value: row => row.started_at, cell: row => when(row.started_at) },
      { title: t('console.end'), value: row => t(`console.${row.side}`) },
      { title: t('console.carrier'), value: row => row.route },
      { title: t('console.from'), value: row => row.from ?? '' },
      { title: t('console.to'), value: row => row.to ?? '' },
      { title: t('console.seconds'), value: row => row.seconds ?? '', number: true },
      { title: t('console.cause'), value: row => row.cause ?? '' },
      { title: 'MOS', value: row => row.quality?.mos?.toFixed(1) ?? '', number: true },
    ],
    load: ({ state }, after) => api.get(`/v1/admin/call-records?${new URLSearchParams({ limit: '100', ...(state ? { state } : {}), ...(after ? { after } : {}) })}`),
  }, el('p', { class: 'muted' }, t('console.calls_text')));
}

/** Work that waits, runs, or was given up. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { tableView } from './table.js';
import { state, when } from './words.js';

export function jobs() {
  return tableView(t('console.jobs'), {
    name: 'jobs', empty: t('console.jobs_none'),
    filters: [{ name: 'state', label: t('console.state'), options: ['ready', 'running', 'parked', 'dead'].map(name => [name, t(`console.state.${name}`)]) }],
    columns: [
      { title: t('console.job'), value: row => row.id, cell: row => el('span', { class: 'mono', title: row.id }, `…${row.id.slice(-8)}`) },
      { title: t('console.kind'), value: row => row.kind },
      { title: t('console.state'), value: row => row.state, cell: row => state(row.state) },
      { title: t('console.attempts'), value: row => row.attempts, number: true },
      { title: t('console.due'), value: row => row.run_at, cell: row => when(row.run_at) },
      { title: t('console.error'), value: row => row.last_error ?? '' },
      { title: t('console.since'), value: row => row.created_at, cell: row => when(row.created_at) },
    ],
    load: ({ state: wanted }, after) => api.get(`/v1/admin/jobs?${new URLSearchParams({ limit: '100', ...(wanted ? { state: wanted } : {}), ...(after ? { after } : {}) })}`),
  }, el('p', { class: 'muted' }, t('console.jobs_text')));
}

/** Work that waits, runs, or was given up. */
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { figures, moment, pages, plain, short, states } from './columns.js';
import { tableView } from './table.js';

export function jobs() {
  return tableView(t('console.jobs'), {
    name: 'jobs', empty: t('console.jobs_none'),
    filters: [{ name: 'state', label: t('console.state'), options: ['ready', 'running', 'parked', 'dead'].map(name => [name, t(`console.state.${name}`)]) }],
    columns: [short('job'), plain('kind'), states(), figures('attempts'), moment('due', 'run_at'), plain('error', 'last_error'), moment('since', 'created_at')],
    load: pages('/v1/admin/jobs'),
  }, el('p', { class: 'muted' }, t('console.jobs_text')));
}

/** Calls, one row for each end: those of this moment, and what is left of the others. */
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { figures, moment, pages, plain, short } from './columns.js';
import { tableView } from './table.js';

export function calls() {
  return tableView(t('console.calls'), {
    name: 'calls', empty: t('console.calls_none'),
    filters: [{ name: 'state', label: t('console.state'), options: [['open', t('console.calls_open')]], rest: t('console.calls_over') }],
    columns: [
      short('call', 'call_id'), moment('at', 'started_at'), plain('end', 'side', { cell: row => t(`console.${row.side}`) }), plain('carrier', 'route'),
      plain('from'), plain('to'), figures('seconds'), plain('cause'), { title: 'MOS', value: row => row.quality?.mos?.toFixed(1) ?? '', number: true },
    ],
    load: pages('/v1/admin/call-records'),
  }, el('p', { class: 'muted' }, t('console.calls_text')));
}

/** What an operator should look at, until he says that he has seen it. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { has, t } from '../app/i18n.js';
import { attempt, button } from '../app/parts.js';
import { figures, moment, pages, plain, raw } from './columns.js';
import { tableView } from './table.js';
import { when } from './words.js';

const named = kind => (has(`console.alarm.${kind}`) ? t(`console.alarm.${kind}`) : kind);

export async function alarms() {
  const view = await tableView(t('console.alarms'), {
    name: 'alarms', empty: t('console.alarms_none'),
    filters: [{ name: 'state', label: t('console.state'), options: ['open', 'all'].map(name => [name, t(`console.alarms_${name}`)]) }],
    columns: [
      plain('kind', 'kind', { cell: row => named(row.kind) }),
      raw('about', 'subject'), plain('detail'), figures('times', 'count'), moment('first', 'first_at'), moment('last', 'last_at'),
      plain('decision', 'acknowledged_at', { cell: row => (row.acknowledged_at ? when(row.acknowledged_at) : button(t('console.seen'), { kind: 'small', onclick: () => acknowledge(row) })) }),
    ],
    load: pages('/v1/admin/alarms'),
  }, el('p', { class: 'muted' }, t('console.alarms_text')));
  const acknowledge = async row => {
    await attempt(() => api.post(`/v1/admin/alarms/${encodeURIComponent(row.id)}/acknowledge`, {}));
    await view.reload();
  };
  return view;
}

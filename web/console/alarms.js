/** What an operator should look at, until he says that he has seen it. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { has, t } from '../app/i18n.js';
import { attempt, button } from '../app/parts.js';
import { tableView } from './table.js';
import { when } from './words.js';

const named = kind => (has(`console.alarm.${kind}`) ? t(`console.alarm.${kind}`) : kind);

export async function alarms() {
  const view = await tableView(t('console.alarms'), {
    name: 'alarms', empty: t('console.alarms_none'),
    filters: [{ name: 'state', label: t('console.state'), options: ['open', 'all'].map(name => [name, t(`console.alarms_${name}`)]) }],
    columns: [
      { title: t('console.kind'), value: row => row.kind, cell: row => named(row.kind) },
      { title: t('console.about'), value: row => row.subject, cell: row => el('span', { class: 'mono' }, row.subject) },
      { title: t('console.detail'), value: row => row.detail },
      { title: t('console.times'), value: row => row.count, number: true },
      { title: t('console.first'), value: row => row.first_at, cell: row => when(row.first_at) },
      { title: t('console.last'), value: row => row.last_at, cell: row => when(row.last_at) },
      { title: t('console.decision'), value: row => row.acknowledged_at ?? '', cell: row => (row.acknowledged_at ? when(row.acknowledged_at) : button(t('console.seen'), { kind: 'small', onclick: () => acknowledge(row) })) },
    ],
    load: ({ state }, after) => api.get(`/v1/admin/alarms?${new URLSearchParams({ limit: '100', ...(state ? { state } : {}), ...(after ? { after } : {}) })}`),
  }, el('p', { class: 'muted' }, t('console.alarms_text')));
  const acknowledge = async row => {
    await attempt(() => api.post(`/v1/admin/alarms/${encodeURIComponent(row.id)}/acknowledge`, {}));
    await view.reload();
  };
  return view;
}

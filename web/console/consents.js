/** What people have said about being written to by SMS. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { number } from '../app/format.js';
import { tableView } from './table.js';
import { when } from './words.js';

export function consents() {
  return tableView(t('console.optouts'), {
    name: 'optouts', empty: t('console.optouts_none'),
    filters: [{ name: 'word', label: t('console.word'), options: ['stop', 'start', 'help'].map(word => [word, t(`console.word.${word}`)]) }],
    columns: [
      { title: t('console.at'), value: row => row.at, cell: row => when(row.at) },
      { title: t('console.word'), value: row => row.word, cell: row => el('span', { class: `tag tag-${row.word === 'stop' ? 'dead' : row.word === 'start' ? 'well' : ''}` }, t(`console.word.${row.word}`)) },
      { title: t('console.handset'), value: row => row.handset, cell: row => el('span', { class: 'mono' }, number(row.handset)) },
      { title: t('console.number'), value: row => row.number, cell: row => el('span', { class: 'mono' }, number(row.number)) },
      { title: t('console.carrier'), value: row => row.carrier },
      { title: t('console.source'), value: row => row.source, cell: row => t(`console.source.${row.source}`) },
      { title: t('console.keyword'), value: row => row.keyword ?? '' },
    ],
    load: async ({ word }, after) => {
      const page = await api.get(`/v1/admin/consents?${new URLSearchParams({ limit: '200', ...(after ? { after } : {}) })}`);
      return { next: page.next, items: page.items.filter(row => !word || row.word === word) };
    },
  }, el('p', { class: 'muted' }, t('console.optouts_text')));
}

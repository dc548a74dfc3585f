/** What people have said about being written to by SMS. */
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { moment, pages, phone, plain } from './columns.js';
import { tableView } from './table.js';

const all = pages('/v1/admin/consents', 200);

export function consents() {
  return tableView(t('console.optouts'), {
    name: 'optouts', empty: t('console.optouts_none'),
    filters: [{ name: 'word', label: t('console.word'), options: ['stop', 'start', 'help'].map(word => [word, t(`console.word.${word}`)]) }],
    columns: [
      moment('at'),
      plain('word', 'word', { cell: row => el('span', { class: `tag tag-${row.word === 'stop' ? 'dead' : row.word === 'start' ? 'well' : ''}` }, t(`console.word.${row.word}`)) }),
      phone('handset'), phone('number'), plain('carrier'),
      plain('source', 'source', { cell: row => t(`console.source.${row.source}`) }), plain('keyword'),
    ],
    load: async ({ word }, after) => {
      const page = await all({}, after);
      return { next: page.next, items: page.items.filter(row => !word || row.word === word) };
    },
  }, el('p', { class: 'muted' }, t('console.optouts_text')));
}

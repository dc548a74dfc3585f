/** The people who use the service. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { attempt, button, copyable } from '../app/parts.js';
import { moment, pages } from './columns.js';
import { tableView } from './table.js';
import { exact } from './words.js';

export async function accounts() {
  const fresh = el('div', { 'aria-live': 'polite' });
  const invite = button(t('console.invite'), { glyph: 'plus', onclick: () => attempt(async () => {
    const { invite: code, expires_at: at } = await api.post('/v1/admin/invites');
    fresh.replaceChildren(el('div', { class: 'fresh' }, copyable(t('door.invite'), code), el('p', { class: 'hint' }, t('console.invite_until', { at: exact(at) }))));
  }) });
  return tableView(t('console.accounts'), {
    name: 'accounts', empty: t('console.accounts_none'), filters: [],
    columns: [
      { title: t('door.handle'), value: row => row.handle, cell: row => el('strong', {}, row.handle) },
      { title: t('door.display_name'), value: row => row.display_name },
      { title: t('console.phones'), value: row => row.mobiles.filter(({ state }) => state === 'verified').length, number: true },
      { title: t('emails.title'), value: row => row.emails.filter(({ state }) => state === 'verified').length, number: true },
      { title: t('settings.locale'), value: row => row.locale },
      { title: t('console.role'), value: row => (row.admin ? t('console.operator') : '') },
      moment('since', 'created_at'),
    ],
    load: pages('/v1/admin/accounts'),
  }, el('div', { class: 'form-actions' }, invite), fresh);
}

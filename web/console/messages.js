/** SMS: on their way, and undecided. Never what they say. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { t } from '../app/i18n.js';
import { attempt, button, confirmDialog, toast } from '../app/parts.js';
import { figures, moment, pages, phone, plain, raw, states } from './columns.js';
import { address, place } from './place.js';
import { tableView } from './table.js';

const STATES = ['queued,sending', 'unknown', 'sent', 'delivered', 'undelivered,failed'];

const COLUMNS = () => [
  { title: t('console.sms'), value: row => row.id, cell: row => el('a', { class: 'mono', href: address('messages', {}, row.id), title: row.id }, `…${row.id.slice(-8)}`) },
  moment('queued_at', 'created_at'), plain('carrier'), phone('from'), raw('to'), plain('purpose', 'purpose', { cell: row => t(`console.purpose.${row.purpose}`) }),
  states(), plain('error'), figures('segments'), figures('attempts'),
];

const DOOR = '/v1/admin/messages';

async function carrierFilter() {
  const { items } = await api.get('/v1/admin/carriers');
  return { name: 'carrier', label: t('console.carrier'), options: items.map(({ id }) => [id, id]) };
}

/** All SMS that leave or have left. */
export async function messages() {
  return tableView(t('console.messages'), {
    name: 'messages', columns: COLUMNS(), load: pages(DOOR), empty: t('console.messages_none'),
    filters: [
      { name: 'state', label: t('console.state'), options: STATES.map(name => [name, t(`console.states.${name.split(',')[0]}`)]) },
      await carrierFilter(),
      { name: 'purpose', label: t('console.purpose'), options: ['message', 'verification', 'notice'].map(name => [name, t(`console.purpose.${name}`)]) },
    ],
  }, el('p', { class: 'muted' }, t('console.messages_text')));
}

/** Those that may have gone out or not, with the decision. */
export async function undecided() {
  const columns = COLUMNS().filter(({ title }) => title !== t('console.state'));
  columns.splice(2, 0, { title: t('console.decision'), value: () => '', cell: row => el('div', { class: 'decide' },
    button(t('console.went_out'), { kind: 'small', onclick: () => decide(row, 'sent') }), button(t('console.did_not'), { kind: 'small danger', onclick: () => decide(row, 'failed') })) });
  const view = await tableView(t('console.undecided'), { name: 'undecided', columns, load: pages(DOOR, 100, { state: 'unknown' }), filters: [await carrierFilter()], empty: t('console.undecided_none') },
    el('p', { class: 'muted' }, t('console.undecided_text')), el('div', { class: 'form-actions' },
      button(t('console.all_went_out'), { onclick: () => decideAll('sent') }), button(t('console.all_did_not'), { kind: 'danger', onclick: () => decideAll('failed') })));
  const sure = (to, text) => confirmDialog({ title: t(`console.decide_${to}_title`), text, yes: t(to === 'sent' ? 'console.went_out' : 'console.did_not'), danger: to === 'failed' });
  const decide = async (row, to) => {
    if (!await sure(to, t(`console.decide_${to}`, { to: row.to }))) return;
    if (await attempt(() => api.post(`${DOOR}/${encodeURIComponent(row.id)}/decide`, { state: to }))) toast(t('console.decided'));
    await view.reload();
  };
  /** After a bad hour of a carrier nobody decides on thousands one by one. What is queued meanwhile is not meant. */
  const decideAll = async to => {
    const carrier = place().query.get('carrier') || undefined;
    const until = new Date().toISOString();
    if (!await sure(to, t('console.decide_all', { carrier: carrier ?? t('console.all') }))) return;
    let n = 0;
    await attempt(async () => {
      let answer;
      do {
        answer = await api.post(`${DOOR}/decide`, { state: to, carrier, until, limit: 500 });
        n += answer.count;
      } while (answer.more && answer.count);
    });
    toast(t('console.decided_many', { n }));
    await view.reload();
  };
  return view;
}

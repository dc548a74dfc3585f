/** Looks for numbers at a carrier and orders one that an operator has chosen. Asked for twice, it is ordered once. */
import { api } from '../app/api.js';
import { el, fill } from '../app/dom.js';
import { number } from '../app/format.js';
import { t } from '../app/i18n.js';
import { attempt, button, confirmDialog, field, form } from '../app/parts.js';
import { state } from './words.js';

/** The form with what it finds; `ordered` is called after each order. */
export async function shop(ordered) {
  const { items: carriers } = await api.get('/v1/admin/carriers');
  if (!carriers.length) return null;
  const carrier = field(t('console.carrier'), { name: 'carrier', control: el('select', { class: 'input' }, carriers.map(({ id }) => el('option', { value: id }, id))) });
  const region = field(t('console.region'), { name: 'region', value: 'US', maxlength: '2', required: true, autocomplete: 'off', autocapitalize: 'characters', spellcheck: 'false' });
  const area = field(t('console.shop_area'), { name: 'area', inputmode: 'numeric', maxlength: '10', autocomplete: 'off' });
  const contains = field(t('console.shop_contains'), { name: 'contains', inputmode: 'numeric', maxlength: '10', autocomplete: 'off' });
  const found = el('div', { role: 'status' });
  const asking = form({ fields: [carrier, region, area, contains], label: t('console.shop_search'), kind: '', submit: async values => {
    const asked = new URLSearchParams(Object.entries(values).filter(([name, value]) => name !== 'carrier' && value.trim()).map(([name, value]) => [name, value.trim()]));
    const { items } = await api.get(`/v1/admin/carriers/${encodeURIComponent(values.carrier)}/available-numbers?${asked}`);
    fill(found, items.length ? el('ul', { class: 'plain-list' }, items.map(offer => offerLine(values.carrier, offer, ordered))) : el('p', {}, t('console.shop_none')));
  } });
  return el('details', { class: 'shop' }, el('summary', {}, t('console.shop')), asking, found);
}

function offerLine(carrier, offer, ordered) {
  const outcome = el('span', { role: 'status' });
  const order = button(t('console.shop_order'), { kind: 'small', 'aria-label': `${t('console.shop_order')}: ${number(offer.number)}`, onclick: async () => {
    const what = { number: number(offer.number), carrier, cost: offer.cost ?? t('console.shop_no_price') };
    if (!await confirmDialog({ title: t('console.shop_sure', what), text: t('console.shop_sure_text', what), yes: t('console.shop_order') })) return;
    await attempt(async () => {
      const made = await api.post('/v1/admin/numbers/orders', { carrier, number: offer.number, capabilities: offer.capabilities, cost: offer.cost });
      fill(outcome, state(made.state), made.problem ? el('span', { class: 'hint mono' }, ` ${made.problem}`) : null);
      // An answer that is still to come can be asked for again.
      order.hidden = made.state === 'done';
      ordered();
    });
  } });
  return el('li', { class: 'line' }, el('strong', { class: 'mono' }, number(offer.number)), el('span', {}, offer.place ?? ''), el('span', { class: 'muted' }, offer.capabilities.join(', ')), el('span', {}, offer.cost ?? t('console.shop_no_price')), outcome, order);
}

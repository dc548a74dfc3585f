/** One SMS on its way, step by step. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { has, t } from '../app/i18n.js';
import { number } from '../app/format.js';
import { address } from './place.js';
import { exact, part, state } from './words.js';

export async function trace(id) {
  const { sms, steps, carrier_message_id: carrierId } = await api.get(`/v1/admin/messages/${encodeURIComponent(id)}`);
  const fact = (label, value) => (value === null || value === '' ? null : [el('dt', {}, label), el('dd', {}, value)]);
  return el('div', { class: 'view' }, el('p', {}, el('a', { href: address('messages') }, t('console.messages'))),
    el('h1', { tabindex: '-1' }, t('console.trace'), ' ', state(sms.state)),
    el('dl', { class: 'facts' }, fact(t('console.sms'), el('span', { class: 'mono' }, sms.id)), fact(t('console.carrier'), sms.carrier), fact(t('console.carrier_id'), carrierId),
      fact(t('console.from'), number(sms.from)), fact(t('console.to'), sms.to), fact(t('console.purpose'), t(`console.purpose.${sms.purpose}`)),
      fact(t('console.segments'), String(sms.segments)), fact(t('console.attempts'), String(sms.attempts)), fact(t('console.error'), sms.error)),
    part(t('console.way'), el('ol', { class: 'way-steps' }, steps.map(({ step, at }, index) => {
      const key = has(`console.step.${step}`) ? `console.step.${step}` : `console.state.${step}`;
      const wait = index ? Date.parse(at) - Date.parse(steps[index - 1].at) : null;
      return el('li', { class: `way-step step-${step}` }, el('strong', {}, has(key) ? t(key) : step), el('time', { datetime: at }, exact(at)), wait === null ? null : el('span', { class: 'muted' }, took(wait)));
    }))));
}

function took(ms) {
  const words = ms < 1_000 ? `${ms} ms` : ms < 60_000 ? `${(ms / 1_000).toFixed(1)} s` : ms < 3_600_000 ? `${Math.round(ms / 60_000)} min` : `${(ms / 3_600_000).toFixed(1)} h`;
  return `+ ${words}`;
}

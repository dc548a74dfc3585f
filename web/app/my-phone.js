/**
 * "My phone": prove a mobile number, bring the contacts into the phone's own address book, see that they arrived,
 * and decide about texts that may not be one's own.
 */
import { el } from './dom.js';
import { t } from './i18n.js';
import { View } from './view.js';
import './handsets.js';
import './phone-proof.js';
import './phone-setup.js';
import './text-guard.js';

const STEPS = [['number', 'm-handsets'], ['book', 'm-phone-setup'], ['proof', 'm-phone-proof']];

class MyPhone extends View {
  connectedCallback() {
    this.replaceChildren(el('div', { class: 'page' }, el('h1', {}, t('nav.phone')), el('p', { class: 'lead' }, t('phone.lead')),
      STEPS.map(([name, tag], index) => el('section', { class: 'card', 'aria-labelledby': `phone-${name}` },
        el('h2', { id: `phone-${name}` }, el('span', { class: 'step-number', 'aria-hidden': 'true' }, String(index + 1)), t(`phone.${name}_title`)),
        el('p', {}, t(`phone.${name}_text`)), el(tag))),
      el('section', { class: 'card', 'aria-labelledby': 'phone-guard', hidden: true }, el('h2', { id: 'phone-guard' }, t('guard.title')), el('p', {}, t('guard.text')), el('m-text-guard'))));
  }
}

customElements.define('m-my-phone', MyPhone);

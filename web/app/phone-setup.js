/** Brings the contacts into a phone or program: what is it, then the steps with everything filled in. */
import { api } from './api.js';
import { el, fill } from './dom.js';
import { t } from './i18n.js';
import { button, field, form } from './parts.js';
import { WAYS, fileWay, likelyWay, steps } from './phone-ways.js';
import { View } from './view.js';

class PhoneSetup extends View {
  #way = likelyWay();
  #body = el('div', { class: 'stack', 'aria-live': 'polite' });

  connectedCallback() {
    const choice = el('fieldset', { class: 'choices' }, el('legend', {}, t('way.legend')),
      WAYS.map(way => el('label', { class: 'choice' }, el('input', { type: 'radio', name: 'way', value: way, checked: way === this.#way }), el('span', {}, t(`way.${way}`)))));
    choice.addEventListener('change', event => {
      this.#way = event.target.value;
      this.#offer();
    });
    fill(this, choice, this.#body);
    this.#offer();
  }

  #offer() {
    if (this.#way === 'file') {
      fill(this.#body, fileWay());
      return;
    }
    const label = field(t('phone.label'), { name: 'label', value: t(`way.${this.#way}.label`), maxlength: '64', autocomplete: 'off', hint: t('phone.label_hint'), required: true });
    fill(this.#body, form({ fields: [label], label: t('phone.make'), submit: async values => {
      const login = await api.post('/v1/me/app-passwords', { label: values.label.trim() });
      this.#show(login);
      document.dispatchEvent(new CustomEvent('meari-devices'));
    } }));
  }

  /** Shown once, with every value in its place. */
  #show(login) {
    const fresh = el('div', { class: 'fresh', tabindex: '-1' }, el('p', { class: 'notice' }, t('phone.once')), steps(this.#way, login),
      el('div', { class: 'form-actions' }, button(t('way.another'), { onclick: () => this.#offer() })));
    fill(this.#body, fresh);
    fresh.focus();
  }
}

customElements.define('m-phone-setup', PhoneSetup);

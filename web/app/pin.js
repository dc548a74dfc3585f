/** The PIN that proves who one is on a phone: for calls that hide their number and for texts that may be forged. */
import { api } from './api.js';
import { el, fill } from './dom.js';
import { addTexts, t } from './i18n.js';
import { attempt, button, confirmDialog, field, form, toast } from './parts.js';
import { View } from './view.js';

await addTexts('calls');

class Pin extends View {
  connectedCallback() {
    api.get('/v1/me/call-settings').then(({ pin_set: isSet }) => this.#show(isSet), () => fill(this, el('p', { role: 'alert' }, t('error.offline'))));
  }

  #show(isSet) {
    const pin = field(t('callset.pin_new'), { name: 'pin', inputmode: 'numeric', autocomplete: 'off', pattern: '[0-9]*', minlength: '4', maxlength: '8', required: true, hint: t(isSet ? 'callset.pin_set' : 'callset.pin_hint') });
    const drop = isSet ? button(t('callset.pin_drop'), { kind: 'link', onclick: () => this.#drop() }) : null;
    fill(this, form({ fields: [pin], label: t('common.save'), kind: '', extra: drop ? [drop] : [], submit: async ({ pin: digits }) => {
      await this.#put(digits.trim());
    } }));
  }

  async #put(pin) {
    await api.put('/v1/me/call-settings/pin', { pin });
    this.#show(pin !== null);
    this.querySelector('input').focus();
    toast(t('common.saved'));
  }

  async #drop() {
    if (await confirmDialog({ title: t('callset.pin_drop_title'), text: t('callset.pin_drop_text'), yes: t('callset.pin_drop'), danger: true })) await attempt(() => this.#put(null));
  }
}

customElements.define('m-pin', Pin);

/** One's mobile numbers: added, proved by a code or by texting us, taken away. */
import { api } from './api.js';
import { el, fill } from './dom.js';
import { number } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, confirmDialog, copyable, field, form, toast } from './parts.js';
import { now, set } from './store.js';
import { View } from './view.js';

/** Words to text instead of typing a code, by the mobile's id. The server says them once. */
const words = new Map();

class Handsets extends View {
  #proved = new Set();

  connectedCallback() {
    this.watch(({ account }) => account?.mobiles, () => this.#changed());
  }

  #changed() {
    const mobiles = now().account?.mobiles ?? [];
    const proved = mobiles.filter(({ id, state }) => state === 'verified' && words.has(id) && !this.#proved.has(id));
    for (const { id } of proved) {
      this.#proved.add(id);
      words.delete(id);
      toast(t('phone.verified_toast'));
    }
    const typing = this.contains(document.activeElement) && document.activeElement.value;
    if (!typing || proved.length) this.#show();
  }

  #show() {
    const mobiles = now().account?.mobiles ?? [];
    fill(this, mobiles.length ? el('ul', { class: 'plain-list' }, mobiles.map(mobile => this.#mobile(mobile))) : null,
      mobiles.length ? el('details', {}, el('summary', {}, t('phone.another')), this.#add()) : this.#add());
  }

  #mobile(mobile) {
    const verified = mobile.state === 'verified';
    const shown = number(mobile.number);
    const line = el('div', { class: 'line' }, el('strong', { class: 'mono' }, shown),
      el('span', { class: `state-word ${mobile.state}` }, icon(verified ? 'check' : 'queued'), t(`phone.${mobile.state}`)),
      button(t('phone.remove'), { kind: 'link', 'aria-label': t('phone.remove_what', { what: shown }), onclick: () => this.#remove(mobile) }));
    return el('li', {}, line, verified ? null : this.#code(mobile, shown), verified ? null : textUs(words.get(mobile.id)));
  }

  #code(mobile, shown) {
    const code = field(t('phone.code'), { name: 'code', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: '8', hint: t('phone.code_hint', { number: shown }), required: true });
    const again = button(t('phone.again'), { kind: 'link', onclick: () => attempt(() => this.#ask(mobile.number)) });
    return form({ fields: [code], label: t('phone.verify'), extra: [again], submit: async values => {
      await api.post(`/v1/me/mobiles/${encodeURIComponent(mobile.id)}/verify`, { code: values.code.replace(/\D/g, '') });
      code.input.value = '';
      // The toast comes with the change, whichever way the number was proved.
      if (!words.has(mobile.id)) words.set(mobile.id, null);
      await refresh();
    } });
  }

  #add() {
    const tel = field(t('phone.number'), { name: 'number', type: 'tel', autocomplete: 'tel', hint: t('phone.number_hint'), maxlength: '24', required: true });
    return form({ fields: [tel], label: t('phone.send_code'), submit: async values => {
      await this.#ask(values.number.replace(/[\s().-]/g, ''));
      this.querySelector('input[name=code]')?.focus();
    } });
  }

  async #ask(asked) {
    const { id, text_to: to } = await api.post('/v1/me/mobiles', { number: asked });
    words.set(id, to ?? null);
    await refresh();
    this.#show();
  }

  async #remove(mobile) {
    const what = number(mobile.number);
    if (!await confirmDialog({ title: t('phone.remove_title', { what }), text: t('phone.remove_text'), yes: t('phone.remove'), danger: true })) return;
    await attempt(async () => {
      await api.delete(`/v1/me/mobiles/${encodeURIComponent(mobile.id)}`);
      await refresh();
    });
  }
}

/** The other way: the owner texts us. On the phone itself a link fills everything in. */
function textUs(to) {
  if (!to) return null;
  return el('div', { class: 'text-us' }, el('h3', {}, t('phone.text_title')), el('p', { class: 'hint' }, t('phone.text_text')),
    copyable(t('phone.text_to'), number(to.number), { copy: to.number }), copyable(t('phone.text_words'), to.text),
    el('a', { class: 'button on-touch', href: `sms:${to.number}?&body=${encodeURIComponent(to.text)}` }, icon('sms'), t('phone.text_open')));
}

async function refresh() {
  set({ account: await api.get('/v1/me') });
}

customElements.define('m-handsets', Handsets);

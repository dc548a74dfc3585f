/** "My phone": prove a mobile number, and bring the contacts into the phone's own address book. */
import { all, api } from './api.js';
import { el } from './dom.js';
import { ago, number } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, confirmDialog, copyable, field, form, toast } from './parts.js';
import { now, set } from './store.js';
import { View } from './view.js';

class MyPhone extends View {
  #mobiles = el('div', {});
  #fresh = el('div', { 'aria-live': 'polite' });
  #passwords = el('div', {});

  connectedCallback() {
    this.replaceChildren(el('div', { class: 'page' }, el('h1', {}, t('nav.phone')), el('p', { class: 'lead' }, t('phone.lead')),
      el('section', { class: 'card' }, el('h2', {}, el('span', { class: 'step-number', 'aria-hidden': 'true' }, '1'), t('phone.number_title')), el('p', {}, t('phone.number_text')), this.#mobiles),
      el('section', { class: 'card' }, el('h2', {}, el('span', { class: 'step-number', 'aria-hidden': 'true' }, '2'), t('phone.book_title')), el('p', {}, t('phone.book_text')),
        this.#passwordForm(), this.#fresh, this.#passwords)));
    this.watch(({ account }) => account?.mobiles, () => this.#showMobiles());
    this.#loadPasswords();
  }

  #showMobiles() {
    const mobiles = now().account?.mobiles ?? [];
    if (this.#mobiles.contains(document.activeElement) && document.activeElement.value) return;
    this.#mobiles.replaceChildren(
      el('ul', { class: 'plain-list' }, mobiles.map(mobile => this.#mobile(mobile))),
      mobiles.length ? el('details', {}, el('summary', {}, t('phone.another')), this.#addForm()) : this.#addForm());
  }

  #mobile(mobile) {
    const verified = mobile.state === 'verified';
    const remove = button(t('phone.remove'), { kind: 'link', 'aria-label': t('phone.remove_what', { what: number(mobile.number) }), onclick: () => this.#remove(mobile) });
    const state = el('span', { class: `state-word ${mobile.state}` }, icon(verified ? 'check' : 'queued'), t(`phone.${mobile.state}`));
    const line = el('div', { class: 'line' }, el('strong', { class: 'mono' }, number(mobile.number)), state, remove);
    if (verified) return el('li', {}, line);
    const code = field(t('phone.code'), { name: 'code', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: '8', hint: t('phone.code_hint', { number: number(mobile.number) }), required: true });
    return el('li', {}, line, form({ fields: [code], label: t('phone.verify'), submit: async values => {
      await api.post(`/v1/me/mobiles/${encodeURIComponent(mobile.id)}/verify`, { code: values.code.replace(/\D/g, '') });
      code.input.value = '';
      await refreshAccount();
      this.#showMobiles();
      toast(t('phone.verified_toast'));
    } }));
  }

  #addForm() {
    const tel = field(t('phone.number'), { name: 'number', type: 'tel', autocomplete: 'tel', hint: t('phone.number_hint'), maxlength: '24', required: true });
    return form({ fields: [tel], label: t('phone.send_code'), submit: async values => {
      await api.post('/v1/me/mobiles', { number: values.number.replace(/[\s().-]/g, '') });
      tel.input.value = '';
      await refreshAccount();
      this.#showMobiles();
      this.#mobiles.querySelector('input[name=code]')?.focus();
    } });
  }

  async #remove(mobile) {
    const what = number(mobile.number);
    if (!await confirmDialog({ title: t('phone.remove_title', { what }), text: t('phone.remove_text'), yes: t('phone.remove'), danger: true })) return;
    await attempt(async () => {
      await api.delete(`/v1/me/mobiles/${encodeURIComponent(mobile.id)}`);
      await refreshAccount();
    });
  }

  #passwordForm() {
    const label = field(t('phone.label'), { name: 'label', value: t('phone.label_value'), maxlength: '64', autocomplete: 'off', required: true });
    return form({ fields: [label], label: t('phone.make'), submit: async values => {
      const made = await api.post('/v1/me/app-passwords', { label: values.label.trim() });
      this.#showFresh(made);
      this.#loadPasswords();
    } });
  }

  /** Shown once, with every way to get it into a phone. */
  #showFresh({ username, password, carddav_url: url, mobileconfig_url: profile, qr_svg_url: qr }) {
    const picture = qr ? localPath(qr) : null;
    this.#fresh.replaceChildren(el('div', { class: 'fresh', tabindex: '-1' },
      el('p', { class: 'notice' }, t('phone.once')),
      copyable(t('phone.server'), url), copyable(t('phone.username'), username), copyable(t('door.password'), password),
      el('div', { class: 'ways' },
        profile ? el('div', { class: 'way' }, el('h3', {}, t('phone.iphone')), el('p', {}, t('phone.iphone_text')), el('a', { class: 'button', href: profile }, icon('download'), t('phone.profile'))) : null,
        picture ? el('div', { class: 'way' }, el('h3', {}, t('phone.qr')), el('p', {}, t('phone.qr_text')), el('img', { class: 'qr', src: picture, alt: t('phone.qr_alt'), width: '200', height: '200' })) : null,
        el('div', { class: 'way' }, el('h3', {}, t('phone.android')), el('p', {}, t('phone.android_text'))))));
    this.#fresh.firstChild.focus();
  }

  async #loadPasswords() {
    let items;
    try {
      items = await all('/v1/me/app-passwords', 100);
    } catch {
      return;
    }
    this.#passwords.replaceChildren(items.length ? el('h3', {}, t('phone.devices')) : '', el('ul', { class: 'plain-list' }, items.map(item => el('li', { class: 'line' },
      icon('key'), el('strong', {}, item.label),
      el('span', { class: 'muted' }, item.last_used_at ? t('phone.used', { ago: ago(item.last_used_at) }) : t('phone.unused')),
      button(t('phone.revoke'), { kind: 'link', 'aria-label': t('phone.revoke_what', { what: item.label }), onclick: () => this.#revoke(item) })))));
  }

  async #revoke(item) {
    if (!await confirmDialog({ title: t('phone.revoke_title', { what: item.label }), text: t('phone.revoke_text'), yes: t('phone.revoke'), danger: true })) return;
    await attempt(() => api.delete(`/v1/me/app-passwords/${encodeURIComponent(item.id)}`));
    this.#loadPasswords();
  }
}

async function refreshAccount() {
  set({ account: await api.get('/v1/me') });
}

/** The same thing by the address under which this page was reached, which may not be the public one. */
function localPath(address) {
  const url = new URL(address, location.href);
  return url.pathname + url.search;
}

customElements.define('m-my-phone', MyPhone);

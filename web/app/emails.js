/** One's e-mail addresses: added, proved by the link or the code in a letter, taken away. */
import { api } from './api.js';
import { el, fill } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, confirmDialog, field, form, toast } from './parts.js';
import { now, set } from './store.js';
import { View } from './view.js';

class Emails extends View {
  connectedCallback() {
    this.watch(({ account }) => account?.emails, () => this.#show());
  }

  #show() {
    const emails = now().account?.emails ?? [];
    // What is being typed is not pulled away by an event.
    const typing = this.contains(document.activeElement) && document.activeElement.value;
    if (typing && this.querySelectorAll('li').length === emails.length && !emails.some(({ id, state }) => state === 'verified' && this.querySelector(`[data-email="${CSS.escape(id)}"] form`))) return;
    fill(this, el('p', {}, t('emails.text')),
      emails.length ? el('ul', { class: 'plain-list' }, emails.map(email => this.#email(email))) : null,
      emails.length ? el('details', {}, el('summary', {}, t('emails.another')), this.#add()) : this.#add());
  }

  #email({ id, address, state, findable }) {
    const verified = state === 'verified';
    const line = el('div', { class: 'line' }, el('strong', { class: 'break' }, address),
      el('span', { class: `state-word ${state}` }, icon(verified ? 'check' : 'queued'), t(verified ? 'phone.verified' : 'emails.pending')),
      button(t('phone.remove'), { kind: 'link', 'aria-label': t('phone.remove_what', { what: address }), onclick: () => this.#remove(id, address) }));
    if (verified) return el('li', { dataset: { email: id } }, line, this.#consent(id, findable));
    const code = field(t('emails.code'), { name: 'code', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: '8', hint: t('emails.code_hint', { address }), required: true });
    return el('li', { dataset: { email: id } }, line, form({
      fields: [code], label: t('phone.verify'),
      extra: [button(t('emails.again'), { kind: 'link', onclick: () => attempt(async () => {
        await api.post('/v1/me/emails', { address });
        toast(t('emails.sent', { address }));
      }) })],
      submit: async values => {
        await api.post(`/v1/me/emails/${encodeURIComponent(id)}/verify`, { code: values.code.replace(/\D/g, '') });
        code.input.value = '';
        await refresh();
        toast(t('emails.verified_toast'));
      } }));
  }

  /** Whether friends who have the address on a card in their phone may find one by it. */
  #consent(id, findable) {
    const box = el('input', { type: 'checkbox', id: `findable-${id}`, checked: findable, onchange: () => attempt(async () => {
      await api.patch(`/v1/me/emails/${encodeURIComponent(id)}`, { findable: box.checked });
      await refresh();
    }) });
    return el('div', { class: 'check' }, box, el('label', { for: box.id }, t('emails.findable')));
  }

  #add() {
    const address = field(t('emails.address'), { name: 'address', type: 'email', autocomplete: 'email', autocapitalize: 'none', spellcheck: 'false', maxlength: '254', required: true });
    return form({ fields: [address], label: t('emails.add'), kind: '', submit: async values => {
      const wanted = values.address.trim();
      await api.post('/v1/me/emails', { address: wanted });
      address.input.value = '';
      await refresh();
      this.querySelector('input[name=code]')?.focus();
      toast(t('emails.sent', { address: wanted }));
    } });
  }

  async #remove(id, address) {
    if (!await confirmDialog({ title: t('phone.remove_title', { what: address }), text: t('emails.remove_text'), yes: t('phone.remove'), danger: true })) return;
    await attempt(async () => {
      await api.delete(`/v1/me/emails/${encodeURIComponent(id)}`);
      await refresh();
    });
  }
}

async function refresh() {
  set({ account: await api.get('/v1/me') });
}

customElements.define('m-emails', Emails);

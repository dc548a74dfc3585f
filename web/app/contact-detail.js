/** One contact: who it is, the number that reaches them from a plain phone, what one can do; or the form to add one. */
import { callButton } from './calls.js';
import { actOn, addContact, removeContact, renameContact } from './contact-actions.js';
import { el, fill } from './dom.js';
import { showFace } from './faces.js';
import { number } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, confirmDialog, copyable, field, form, nameOf, presenceMark, showPresence, toast } from './parts.js';
import { go, threadAddress } from './router.js';
import { now } from './store.js';
import { View } from './view.js';

class ContactDetail extends View {
  #presence = presenceMark();
  #shown = '';

  connectedCallback() {
    const id = this.getAttribute('contact');
    if (id === 'add') {
      this.#showAdd();
      return;
    }
    this.watch(({ contacts, ready, account }) => [contacts[id], ready, account?.mobiles], ([, ready, mobiles]) => {
      const contact = now().contacts[id];
      const inside = this.contains(document.activeElement);
      const sign = JSON.stringify([contact && { ...contact, presence: null }, ready, mobiles]);
      if (contact) showPresence(this.#presence, contact.state === 'accepted' ? contact.presence : null, { note: true });
      // A name that is being edited is not pulled away by an event.
      if (sign === this.#shown || (contact && inside && document.activeElement.matches('input'))) return;
      this.#shown = sign;
      if (contact) this.#show(contact);
      else this.#showNone(ready);
      if (inside) this.querySelector('h1').focus();
    });
  }

  #page(...children) {
    fill(this, el('div', { class: 'page' },
      el('a', { class: 'button bare back', href: '#/contacts', title: t('common.back') }, icon('back'), el('span', { class: 'unseen' }, t('common.back'))), ...children));
  }

  #showAdd() {
    const fields = [
      field(t('contacts.address'), { name: 'address', hint: t('contacts.address_hint'), autocapitalize: 'none', autocomplete: 'off', spellcheck: 'false', maxlength: '320', required: true }),
      field(t('contacts.name'), { name: 'display_name', hint: t('contacts.name_hint'), autocomplete: 'off', maxlength: '100' }),
    ];
    this.#page(el('h1', {}, t('contacts.add')), el('p', { class: 'lead' }, t('contacts.add_lead')),
      form({ fields, label: t('contacts.ask'), submit: async ({ address, display_name: name }) => {
        const contact = await addContact({ address: fullAddress(address), ...(name.trim() ? { display_name: name.trim() } : {}) });
        toast(t(contact.state === 'accepted' ? 'contacts.added' : 'contacts.asked', { name: nameOf(contact) }));
        go(`#/contacts/${encodeURIComponent(contact.id)}`);
      } }));
    this.querySelector('input').focus();
  }

  #showNone(ready) {
    this.#page(el('h1', { tabindex: '-1' }, ready ? t('contacts.gone') : t('list.loading')));
  }

  #show(contact) {
    const name = nameOf(contact);
    this.#page(
      el('header', { class: 'person' }, showFace(el('span', {}), contact, 'large'),
        el('div', {}, el('h1', { tabindex: '-1' }, name), el('p', { class: 'muted' }, contact.address), this.#presence)),
      this.#standing(contact, name), this.#actions(contact),
      contact.state === 'accepted' ? this.#number(contact, name) : null,
      contact.state === 'accepted' ? this.#rename(contact) : null,
      this.#last(contact, name));
  }

  #standing(contact, name) {
    if (contact.state === 'accepted') return null;
    const key = contact.state === 'blocked' ? 'thread.blocked' : contact.direction === 'incoming' ? 'thread.asks' : 'thread.asked';
    return el('p', { class: 'notice' }, t(key, { name }));
  }

  #actions(contact) {
    const act = (label, verb, kind) => button(label, { kind, onclick: () => attempt(() => actOn(contact.id, verb)) });
    const row = [];
    if (contact.state === 'accepted') row.push(el('a', { class: 'button primary', href: threadAddress(contact) }, icon('chats'), t('contacts.write')), callButton(contact, { bare: false, words: t('call.call') }));
    if (contact.state === 'requested' && contact.direction === 'incoming') row.push(act(t('contacts.accept'), 'accept', 'primary'), this.#remove(contact, t('contacts.decline')));
    if (contact.state === 'blocked') row.push(act(t('contacts.unblock'), 'unblock', 'primary'));
    return row.length ? el('div', { class: 'form-actions' }, row) : null;
  }

  /** The number under which this contact stands in one's phone. */
  #number(contact, name) {
    const verified = (now().account?.mobiles ?? []).some(({ state }) => state === 'verified');
    const body = contact.number
      ? [copyable(t('contacts.number'), number(contact.number)), el('p', { class: 'hint' }, t('contacts.number_hint', { name }))]
      : contact.number_state === 'waiting'
        ? [el('p', {}, t('contacts.number_waiting'))]
        : [el('p', {}, t('contacts.number_none', { name })), verified ? null : el('a', { class: 'button', href: '#/phone' }, icon('phone'), t('empty.phone'))];
    return el('section', { class: 'card' }, el('h2', {}, t('contacts.from_phone')), ...body);
  }

  #rename(contact) {
    const name = field(t('contacts.name'), { name: 'display_name', value: contact.display_name, autocomplete: 'off', maxlength: '100', required: true });
    return el('section', { class: 'card' }, form({ fields: [name], label: t('common.save'), kind: '', submit: async values => {
      const next = values.display_name.trim();
      name.input.blur();
      this.#show(await renameContact(contact.id, next));
      toast(t('common.saved'));
    } }));
  }

  #last(contact, name) {
    const row = [];
    if (contact.state !== 'blocked') {
      row.push(button(t('contacts.block'), { glyph: 'block', onclick: async () => {
        if (await confirmDialog({ title: t('contacts.block_title', { name }), text: t('contacts.block_text'), yes: t('contacts.block'), danger: true })) await attempt(() => actOn(contact.id, 'block'));
      } }));
    }
    if (contact.state !== 'requested' || contact.direction !== 'incoming') row.push(this.#remove(contact, t('contacts.remove')));
    return el('div', { class: 'form-actions page-end' }, row);
  }

  #remove(contact, label) {
    const name = nameOf(contact);
    return button(label, { onclick: async () => {
      const asked = contact.state === 'requested' && contact.direction === 'incoming';
      if (!asked && !await confirmDialog({ title: t('contacts.remove_title', { name }), text: t('contacts.remove_text'), yes: t('contacts.remove'), danger: true })) return;
      if (await attempt(() => removeContact(contact.id))) go('#/contacts');
    } });
  }
}

/** A bare handle is somebody here; `@bob` too. Anything with a network before it is taken as it is. */
function fullAddress(text) {
  const address = text.trim();
  return /^[a-z0-9]+:/i.test(address) ? address : `meari:${address.replace(/^@/, '').toLowerCase()}`;
}

customElements.define('m-contact', ContactDetail);

/** The list of contacts: who asks, who is asked, friends and the blocked. */
import { actOn, removeContact } from './contact-actions.js';
import { apply, el, keyed, onceAFrame, setText } from './dom.js';
import { number } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, avatar, button, nameOf, presenceMark, showPresence, toast } from './parts.js';
import { onRoute, route } from './router.js';
import { now } from './store.js';
import { View } from './view.js';

/** The groups, in the order in which they are shown. */
const GROUPS = [
  ['incoming', ({ state, direction }) => state === 'requested' && direction === 'incoming'],
  ['outgoing', ({ state, direction }) => state === 'requested' && direction !== 'incoming'],
  ['accepted', ({ state }) => state === 'accepted'],
  ['blocked', ({ state }) => state === 'blocked'],
];

class Contacts extends View {
  #search = el('input', { type: 'search', class: 'input search', autocomplete: 'off', spellcheck: 'false' });
  #groups = el('div', { class: 'groups' });
  #note = el('div', { class: 'list-note', role: 'status' });

  connectedCallback() {
    apply(this.#search, { placeholder: t('contacts.search'), 'aria-label': t('contacts.search') });
    this.replaceChildren(
      el('header', { class: 'list-head' }, el('h1', {}, t('nav.contacts')),
        el('a', { class: 'button bare', href: '#/contacts/add', title: t('contacts.add') }, icon('plus'), el('span', { class: 'unseen' }, t('contacts.add')))),
      el('div', { class: 'search-box', role: 'search' }, icon('search'), this.#search), this.#groups, this.#note);
    const draw = onceAFrame(() => this.#draw());
    this.watch(({ contacts, ready }) => [contacts, ready], draw);
    this.atEnd(onRoute(draw));
    this.#search.addEventListener('input', draw);
  }

  #draw() {
    const { contacts, ready } = now();
    const wanted = this.#search.value.trim().toLowerCase();
    const items = Object.values(contacts)
      .filter(contact => !wanted || [contact.display_name, contact.address, contact.number].some(text => text?.toLowerCase().includes(wanted)))
      .sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
    const groups = GROUPS.map(([name, belongs]) => ({ name, items: items.filter(belongs) })).filter(group => group.items.length);
    keyed(this.#groups, groups, ({ name }) => name, groupNode, (node, group) => {
      keyed(node.querySelector('ul'), group.items, ({ id }) => id, contact => rowNode(contact, group.name), showRow);
    });
    setText(this.#note, items.length ? '' : !ready ? t('list.loading') : wanted ? t('list.nothing', { query: this.#search.value.trim() }) : t('contacts.empty'));
  }
}

function groupNode({ name }) {
  return el('section', { class: 'group' }, el('h2', {}, t(`contacts.group.${name}`)), el('ul', { class: 'items' }));
}

function rowNode(contact, group) {
  const text = el('span', { class: 'item-body' },
    el('span', { class: 'item-line' }, el('span', { class: 'item-name' }), presenceMark()),
    el('span', { class: 'item-line' }, el('span', { class: 'item-text' })));
  const node = el('li', {}, el('a', { class: 'item', href: `#/contacts/${encodeURIComponent(contact.id)}` }, el('span', { class: 'item-face' }, avatar(nameOf(contact))), text));
  if (group === 'incoming') {
    const name = nameOf(contact);
    node.append(el('div', { class: 'item-actions' },
      button(t('contacts.accept'), { kind: 'primary small', 'aria-label': t('contacts.accept_who', { name }), onclick: () => attempt(() => actOn(contact.id, 'accept')) }),
      button(t('contacts.decline'), { kind: 'small', 'aria-label': t('contacts.decline_who', { name }), onclick: () => attempt(async () => {
        await removeContact(contact.id);
        toast(t('contacts.declined', { name }));
      }) })));
  }
  return node;
}

function showRow(node, contact) {
  apply(node.firstChild, { 'aria-current': contact.id === route().id ? 'page' : 'false' });
  setText(node.querySelector('.item-name'), nameOf(contact));
  setText(node.querySelector('.item-text'), contact.number ? number(contact.number) : contact.address);
  showPresence(node.querySelector('.presence'), contact.state === 'accepted' ? contact.presence : null, { short: true });
}

customElements.define('m-contacts', Contacts);

/** The list of contacts: who asks, who is asked, friends and the blocked. Ten thousand are as quick as ten. */
import { actOn, removeContact } from './contact-actions.js';
import { apply, el, onceAFrame, setText } from './dom.js';
import { showFace } from './faces.js';
import { compareNames, fold, foldedContact } from './folded.js';
import { number } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, nameOf, presenceMark, showPresence, toast } from './parts.js';
import { go, onRoute, route } from './router.js';
import { now } from './store.js';
import { View } from './view.js';
import { VirtualList } from './virtual-list.js';

/**
 * The groups, in the order in which they are shown.
 * @type {[string, (contact: Contact) => boolean][]}
 */
const GROUPS = [
  ['incoming', ({ state, direction }) => state === 'requested' && direction === 'incoming'],
  ['outgoing', ({ state, direction }) => state === 'requested' && direction !== 'incoming'],
  ['accepted', ({ state }) => state === 'accepted'],
  ['blocked', ({ state }) => state === 'blocked'],
];
/** Heights of rows, as the style sheet has them. */
const HEIGHTS = { heading: 38, contact: 68, incoming: 122 };

class Contacts extends View {
  #search = el('input', { type: 'search', class: 'input search', autocomplete: 'off', spellcheck: 'false', enterkeyhint: 'search' });
  #list = el('ul', { class: 'items' });
  #scroller = el('div', { class: 'groups' }, this.#list);
  #note = el('div', { class: 'list-note', role: 'status' });
  #rows = new VirtualList(this.#scroller, this.#list, {
    key: row => row.key, height: row => HEIGHTS[row.kind], create: rowNode, update: showRow,
  });
  #sorted = { of: null, items: [] };

  connectedCallback() {
    apply(this.#search, { placeholder: t('contacts.search'), 'aria-label': t('contacts.search') });
    this.replaceChildren(
      el('header', { class: 'list-head' }, el('h1', {}, t('nav.contacts')),
        el('a', { class: 'button bare', href: '#/contacts/add', title: t('contacts.add') }, icon('plus'), el('span', { class: 'unseen' }, t('contacts.add')))),
      el('div', { class: 'search-box', role: 'search' }, icon('search'), this.#search), this.#scroller, this.#note);
    const draw = onceAFrame(() => this.isConnected && this.#draw());
    this.watch(({ contacts, ready }) => [contacts, ready], draw);
    this.atEnd(onRoute(draw));
    this.#search.addEventListener('input', () => {
      this.#scroller.scrollTop = 0;
      draw();
    });
    this.addEventListener('keydown', event => this.#keys(event));
  }

  /** Contacts in order; sorted again only when one of them has changed. */
  #inOrder() {
    const { contacts } = now();
    if (this.#sorted.of !== contacts) this.#sorted = { of: contacts, items: Object.values(contacts).sort((a, b) => compareNames(nameOf(a), nameOf(b))) };
    return this.#sorted.items;
  }

  #draw() {
    const { ready } = now();
    const wanted = fold(this.#search.value);
    const found = this.#inOrder().filter(contact => !wanted || foldedContact(contact).includes(wanted));
    this.#rows.items = GROUPS.flatMap(([name, belongs]) => {
      const members = found.filter(belongs);
      if (!members.length) return [];
      return [{ key: `group:${name}`, kind: 'heading', name, count: members.length }, ...members.map(contact => rowOf(contact, name))];
    });
    setText(this.#note, found.length ? '' : !ready ? t('list.loading') : wanted ? t('list.nothing', { query: this.#search.value.trim() }) : t('contacts.empty'));
  }

  #keys(event) {
    if (event.isComposing) return;
    const rows = this.#rows.items;
    const contacts = rows.map((row, index) => (row.contact ? index : -1)).filter(index => index >= 0);
    if (event.target === this.#search && event.key === 'Enter' && contacts.length) go(addressOf(rows[contacts[0]].contact));
    else if (event.target === this.#search && event.key === 'Escape' && this.#search.value) {
      event.preventDefault();
      this.#search.value = '';
      this.#draw();
    } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const key = event.target.closest?.('li')?.dataset.key;
      const at = contacts.findIndex(index => rows[index].key === key);
      const next = event.key === 'ArrowDown' ? at + 1 : at - 1;
      if ((at < 0 && event.target !== this.#search) || next >= contacts.length || (event.key === 'ArrowUp' && at < 0)) return;
      event.preventDefault();
      if (next < 0) this.#search.focus();
      else this.#rows.reveal(contacts[next])?.querySelector('a').focus();
    }
  }
}

const rowsOf = new WeakMap();

/** The same contact has the same row, so that the list can tell what has changed. */
function rowOf(contact, group) {
  if (!rowsOf.has(contact)) rowsOf.set(contact, { key: contact.id, kind: group === 'incoming' ? 'incoming' : 'contact', contact });
  return rowsOf.get(contact);
}

const addressOf = ({ id }) => `#/contacts/${encodeURIComponent(id)}`;

function rowNode(row) {
  if (row.kind === 'heading') return el('li', { class: 'group-heading' }, el('h2', {}));
  const { contact } = row;
  const text = el('span', { class: 'item-body' },
    el('span', { class: 'item-line' }, el('span', { class: 'item-name' }), presenceMark()),
    el('span', { class: 'item-line' }, el('span', { class: 'item-text' })));
  const node = el('li', { dataset: { key: contact.id, kind: row.kind } }, el('a', { class: 'item', href: addressOf(contact) }, el('span', { class: 'item-face' }), text));
  if (row.kind === 'incoming') node.append(answers(contact));
  return node;
}

function answers(contact) {
  const name = nameOf(contact);
  return el('div', { class: 'item-actions' },
    button(t('contacts.accept'), { kind: 'primary small', 'aria-label': t('contacts.accept_who', { name }), onclick: () => attempt(() => actOn(contact.id, 'accept')) }),
    button(t('contacts.decline'), { kind: 'small', 'aria-label': t('contacts.decline_who', { name }), onclick: () => attempt(async () => {
      await removeContact(contact.id);
      toast(t('contacts.declined', { name }));
    }) }));
}

function showRow(node, row) {
  if (row.kind === 'heading') {
    setText(node.firstChild, t(`contacts.group.${row.name}`));
    return;
  }
  const { contact } = row;
  // A friend's row and a request's are built differently.
  if (node.dataset.kind !== row.kind) {
    node.dataset.kind = row.kind;
    node.querySelector('.item-actions')?.remove();
    if (row.kind === 'incoming') node.append(answers(contact));
  }
  apply(node.firstChild, { 'aria-current': contact.id === route().id ? 'page' : 'false' });
  if (node.shown === contact) return;
  node.shown = contact;
  const name = nameOf(contact);
  const face = node.querySelector('.item-face');
  showFace(face, contact);
  setText(node.querySelector('.item-name'), name);
  setText(node.querySelector('.item-text'), contact.number ? number(contact.number) : contact.address);
  showPresence(node.querySelector('.presence'), contact.state === 'accepted' ? contact.presence : null, { short: true });
}

customElements.define('m-contacts', Contacts);

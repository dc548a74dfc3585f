/** The list of conversations: search, presence, last line, time, unread. */
import { lastLine } from './calls.js';
import { apply, el, onceAFrame, setText } from './dom.js';
import { showFace } from './faces.js';
import { fold, foldedContact } from './folded.js';
import { shortTime } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { nameOf, presenceMark, showPresence } from './parts.js';
import { go, onRoute, route, threadAddress } from './router.js';
import { contactOf, sortedConversations } from './store.js';
import { View } from './view.js';
import { VirtualList } from './virtual-list.js';

const MINUTE_MS = 60_000;
/** Height of a row, as the style sheet has it. */
const ROW_PX = 68;

class Conversations extends View {
  #search = el('input', { type: 'search', class: 'input search', autocomplete: 'off', spellcheck: 'false', enterkeyhint: 'search' });
  #list = el('ul', { class: 'items' });
  #scroller = el('div', { class: 'groups' }, this.#list);
  #shared = { drafts: {}, waiting: {}, current: '' };
  #rows = new VirtualList(this.#scroller, this.#list, {
    key: ({ id }) => id, height: () => ROW_PX, create: row, update: (node, item) => showRow(node, item, this.#shared),
  });
  #note = el('div', { class: 'list-note' });
  /** What was said, found by its words; comes with the first search. */
  #found = null;
  #requests = el('a', { class: 'requests', href: '#/contacts', hidden: true });
  #state = [];

  connectedCallback() {
    apply(this.#search, { placeholder: t('list.search'), 'aria-label': t('list.search') });
    this.replaceChildren(
      el('header', { class: 'list-head' }, el('h1', {}, t('nav.chats')),
        el('a', { class: 'button bare', href: '#/contacts/add', title: t('contacts.add') }, icon('plus'), el('span', { class: 'unseen' }, t('contacts.add')))),
      el('div', { class: 'search-box', role: 'search' }, icon('search'), this.#search, el('kbd', { 'aria-hidden': 'true' }, /Mac|iP/.test(navigator.platform) ? '⌘K' : 'Ctrl K')),
      this.#requests, this.#scroller, this.#note);
    this.#found = null;
    const draw = onceAFrame(() => this.#draw());
    this.watch(({ conversations, contacts, drafts, outbox, ready }) => [conversations, contacts, drafts, outbox, ready], state => {
      this.#state = state;
      draw();
    });
    this.atEnd(onRoute(draw));
    this.#search.addEventListener('input', () => {
      this.#lookBack();
      this.#scroller.scrollTop = 0;
      draw();
    });
    this.addEventListener('keydown', event => this.#keys(event));
    const tick = setInterval(draw, MINUTE_MS);
    this.atEnd(() => clearInterval(tick));
  }

  #draw() {
    const [conversations, contacts, drafts, outbox, ready] = this.#state;
    const wanted = fold(this.#search.value);
    const items = sortedConversations(conversations)
      .map(conversation => ({ id: conversation.id, conversation, contact: contactOf(conversation, contacts) }))
      .filter(item => matches(item, wanted));
    if (wanted) items.push(...strangers(contacts, conversations, wanted));
    this.#shared = { drafts, waiting: lastWaiting(outbox), current: route().id };
    this.#rows.items = items;
    this.#showNote(items.length, wanted, ready);
    const asking = Object.values(contacts).filter(({ state, direction }) => state === 'requested' && direction === 'incoming').length;
    this.#requests.hidden = asking === 0;
    setText(this.#requests, t('list.requests', { n: asking }));
  }

  /** Words are looked for in what was said, too; a single Latin letter finds too much. */
  async #lookBack() {
    const query = this.#search.value.trim();
    const wanted = query.length > 1 || /[^\x00-\x7f]/.test(query) ? query : '';
    if (!this.#found && !wanted) return;
    if (!this.#found) {
      await import('./found.js').catch(() => {});
      if (!this.#found) this.append(this.#found = el('m-found', { hidden: true }));
      this.#lookBack();
      return;
    }
    this.classList.toggle('searching', Boolean(wanted));
    this.#found.ask?.(wanted);
    this.#draw();
  }

  #showNote(count, wanted, ready) {
    const text = count || (this.#found && !this.#found.hidden) ? '' : !ready ? t('list.loading') : wanted ? t('list.nothing', { query: this.#search.value.trim() }) : t('list.empty');
    if (this.#note.textContent !== text) this.#note.replaceChildren(text ? el('p', {}, text) : '');
    this.#note.setAttribute('role', wanted ? 'status' : 'note');
  }

  #keys(event) {
    const links = [...this.#list.querySelectorAll('a'), ...(this.#found?.querySelectorAll('a') ?? [])];
    const at = links.indexOf(document.activeElement);
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const next = event.key === 'ArrowDown' ? links[at + 1] : at <= 0 ? this.#search : links[at - 1];
      if (!next || (at < 0 && event.key === 'ArrowUp')) return;
      event.preventDefault();
      next.focus();
    } else if (event.target === this.#search && event.key === 'Enter' && links.length && !event.isComposing) {
      go(links[0].getAttribute('href'));
      this.#clear();
    } else if (event.target === this.#search && event.key === 'Escape' && this.#search.value) {
      event.preventDefault();
      this.#clear();
    }
  }

  #clear() {
    this.#search.value = '';
    this.#search.dispatchEvent(new Event('input'));
  }
}

function matches({ conversation, contact }, wanted) {
  if (!wanted) return true;
  return (contact && foldedContact(contact).includes(wanted)) || fold(conversation.last_message?.text).includes(wanted);
}

/** Friends one has not written with yet are found too. */
function strangers(contacts, conversations, wanted) {
  const known = new Set(Object.values(conversations).filter(({ group }) => !group).map(({ contact }) => contact?.id));
  return Object.values(contacts)
    .filter(contact => contact.state === 'accepted' && !known.has(contact.id))
    .filter(contact => foldedContact(contact).includes(wanted))
    .map(contact => ({ id: contact.id, conversation: null, contact }));
}

function lastWaiting(outbox) {
  return Object.fromEntries(Object.values(outbox).map(message => [message.conversation_id ?? message.contact_id, message]));
}

function row() {
  const node = el('li', {}, el('a', { class: 'item' },
    el('span', { class: 'item-face' }),
    el('span', { class: 'item-body' },
      el('span', { class: 'item-line' }, el('span', { class: 'item-name' }), presenceMark(), el('time', { class: 'item-time' })),
      el('span', { class: 'item-line' }, el('span', { class: 'item-text' }), el('span', { class: 'badge', hidden: true })))));
  return node;
}

function showRow(node, { id, conversation, contact }, { drafts, waiting, current }) {
  const link = node.firstChild;
  const name = nameOf(contact);
  link.setAttribute('href', conversation ? `#/c/${encodeURIComponent(id)}` : threadAddress(contact));
  apply(link, { 'aria-current': id === current ? 'page' : 'false' });
  const face = node.querySelector('.item-face');
  showFace(face, contact);
  setText(node.querySelector('.item-name'), name);
  showPresence(node.querySelector('.presence'), contact?.presence, { short: true });
  const last = waiting[id] ?? conversation?.last_message;
  const time = node.querySelector('time');
  setText(time, last ? shortTime(last.sent_at) : '');
  if (last) time.dateTime = last.sent_at;
  showLast(node.querySelector('.item-text'), last, drafts[id], contact);
  const unread = conversation?.unread ?? 0;
  link.classList.toggle('unread', unread > 0);
  const badge = node.querySelector('.badge');
  badge.hidden = unread === 0;
  if (badge.dataset.unread !== String(unread)) {
    badge.dataset.unread = String(unread);
    badge.replaceChildren(el('span', { 'aria-hidden': 'true' }, unread > 99 ? '99+' : String(unread)), el('span', { class: 'unseen' }, t('list.unread', { n: unread })));
  }
}

function showLast(node, last, draft, contact) {
  const state = last?.mine && ['failed', 'undelivered'].includes(last.state) ? 'failed' : last?.state === 'sending' ? 'sending' : '';
  const text = draft ? draft : last ? lastLine(last) || last.text || t('message.media') : contact?.address ?? '';
  const lead = draft ? t('list.draft') : state === 'failed' ? t('state.failed') : last?.mine && !lastLine(last) ? t('list.you') : '';
  const sign = `${lead}|${text}|${last?.via}|${state}`;
  if (node.dataset.sign === sign) return;
  node.dataset.sign = sign;
  node.replaceChildren(
    draft ? '' : lastLine(last) ? icon(last.call?.missed && !last.mine ? 'missed' : 'call') : last?.via === 'sms' ? icon('sms') : '',
    lead ? el('span', { class: draft ? 'lead draft' : state === 'failed' ? 'lead failed' : 'lead' }, `${lead} `) : '',
    text.replace(/\s+/g, ' '));
}

customElements.define('m-conversations', Conversations);

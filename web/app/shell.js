/** The frame of the client: who is signed in decides what is shown, the route decides where. */
import { apply, el, fill, setText } from './dom.js';
import { t } from './i18n.js';
import { icon, mark } from './icons.js';
import { lastLine } from './calls.js';
import { callsAreSeen, missedCalls } from './missed.js';
import { avatar, nameOf } from './parts.js';
import { go, onRoute, route } from './router.js';
import { contactOf, now } from './store.js';
import { View } from './view.js';
import './conversations.js';
import './sign-in.js';
import './thread.js';

const PLACES = [['chats', '#/'], ['calls', '#/calls'], ['contacts', '#/contacts'], ['phone', '#/phone'], ['settings', '#/settings']];
const OFFLINE_NOTICE_MS = 2_500;
/** Views that come when they are wanted; all of them soon after the start, so that they are there without a connection. */
const LATER = {
  contacts: () => Promise.all([import('./contacts.js'), import('./contact-detail.js')]),
  phone: () => import('./my-phone.js'),
  settings: () => import('./settings.js'),
  calls: () => import('./call-history.js'),
  'call-settings': () => import('./call-settings.js'),
};
const LATER_MS = 1_500;
/** What comes with a call, a page of calls or a voicemail, and not before. */
const WITH_CALLS = ['calls', 'call-settings'];

class Shell extends View {
  #nav = null;
  #list = null;
  #detail = null;
  #listName = null;
  #detailKey = null;

  connectedCallback() {
    this.watch(({ phase, account, language }) => [phase, account?.id ?? null, language], ([phase]) => this.#frame(phase));
    this.watch(({ conversations }) => unreadOf(conversations), unread => this.#showUnread(unread));
    this.watch(missedCalls, missed => this.#showMissed(missed));
    this.watch(({ connection }) => connection, connection => this.#showConnection(connection));
    this.watch(({ ringing }) => ringing, () => this.dataset.phase === 'signed-in' && this.#title());
    this.watch(({ account, photo }) => [account?.display_name, photo], () => this.#showMe());
    this.atEnd(onRoute(() => this.#place(true)));
    this.listen(document, 'keydown', event => this.#keys(event));
    this.listen(document, 'meari-message', ({ detail }) => this.#speak(detail));
  }

  #frame(phase) {
    this.#listName = this.#detailKey = null;
    this.dataset.phase = phase;
    if (phase === 'starting') {
      this.replaceChildren(el('main', { class: 'splash' }, el('h1', { class: 'unseen' }, t('app.name')), mark(), el('p', { role: 'status' }, t('app.starting'))));
    } else if (phase === 'signed-out') {
      document.title = t('app.name');
      this.replaceChildren(el('m-sign-in'));
    } else this.#build();
  }

  #build() {
    this.#nav = el('nav', { class: 'rail', 'aria-label': t('nav.label') },
      el('span', { class: 'rail-mark' }, mark()),
      PLACES.map(([name, href]) => el('a', { href, dataset: { place: name } }, icon(name === 'calls' ? 'call' : name),
        el('span', { class: 'rail-words' }, t(`nav.${name}`)), name === 'chats' || name === 'calls' ? el('span', { class: 'badge', hidden: true }) : null)),
      el('a', { class: 'rail-me', href: '#/settings', tabindex: '-1', 'aria-hidden': 'true' }));
    this.#showMe();
    this.#list = el('section', { class: 'list-pane' });
    this.#detail = el('section', { class: 'detail-pane', id: 'detail', tabindex: '-1' });
    const skip = el('a', { class: 'skip', href: '#detail' }, t('nav.skip'));
    skip.addEventListener('click', event => {
      event.preventDefault();
      (this.#detail.querySelector('textarea, h1, h2') ?? this.#detail).focus();
      if (!this.#detail.contains(document.activeElement)) this.#detail.focus();
    });
    this.replaceChildren(skip, this.#nav, el('main', { class: 'panes' }, this.#list, this.#detail),
      el('p', { class: 'connection', role: 'status' }), el('p', { class: 'unseen spoken', role: 'status' }));
    setTimeout(() => Object.entries(LATER).forEach(([name, load]) => WITH_CALLS.includes(name) || load().catch(() => {})), LATER_MS);
    this.#place(false);
    this.#showUnread(unreadOf(now().conversations));
    this.#showMissed(missedCalls(now()));
    this.#showConnection(now().connection);
  }

  #showMe() {
    const { account, photo } = now();
    if (account) this.#nav?.querySelector('.rail-me').replaceChildren(avatar(nameOf(account), { photo }));
  }

  /** Shows the route's list and detail; what stays the same is left alone. */
  #place(moveFocus) {
    if (this.dataset.phase !== 'signed-in') return;
    const { name, id } = route();
    const place = name === 'thread' || name === 'new' ? 'chats' : name === 'call-settings' ? 'settings' : name;
    this.dataset.route = name === 'contacts' && id ? 'contact' : name;
    this.dataset.pane = name === 'chats' || (name === 'contacts' && !id) ? 'list' : 'detail';
    for (const link of this.#nav.querySelectorAll('[data-place]')) {
      apply(link, { 'aria-current': link.dataset.place === place ? 'page' : 'false' });
    }
    if (name === 'calls') callsAreSeen();
    this.#showList(place);
    this.#showDetail(name, id, moveFocus);
    this.#title();
  }

  #showList(place) {
    const wanted = place === 'chats' || place === 'contacts' ? place : null;
    this.#list.hidden = wanted === null;
    if (wanted === null || wanted === this.#listName) return;
    this.#listName = wanted;
    this.#list.setAttribute('aria-label', t(`nav.${wanted}`));
    LATER[wanted]?.();
    this.#list.replaceChildren(el(wanted === 'chats' ? 'm-conversations' : 'm-contacts'));
  }

  #showDetail(name, id, moveFocus) {
    const key = `${name}/${id}`;
    if (key === this.#detailKey) return;
    const first = this.#detailKey === null;
    this.#detailKey = key;
    const node = {
      thread: () => el('m-thread', { conversation: id }),
      new: () => el('m-thread', { contact: id }),
      contacts: () => (id ? el('m-contact', { contact: id }) : el('m-placeholder', { place: 'contacts' })),
      phone: () => el('m-my-phone'),
      settings: () => el('m-settings'),
      calls: () => el('m-calls'),
      'call-settings': () => el('m-call-settings'),
    }[name]?.() ?? el('m-placeholder', { place: 'chats' });
    this.#detail.replaceChildren(node);
    const loaded = LATER[name]?.();
    if (!moveFocus || first) return;
    if (loaded) loaded.then(() => key === this.#detailKey && this.#focusDetail(name)).catch(() => {});
    else this.#focusDetail(name);
  }

  /** A new place announces itself: the focus goes to what one does there, or to its heading. */
  #focusDetail(name) {
    const touch = matchMedia('(pointer: coarse)').matches;
    const pane = this.dataset.pane === 'list' ? this.#list : this.#detail;
    const target = (name === 'thread' || name === 'new') && !touch ? pane.querySelector('textarea') : null;
    const heading = target ?? pane.querySelector('h1');
    if (heading && !heading.matches('textarea')) heading.setAttribute('tabindex', '-1');
    (heading ?? pane).focus({ preventScroll: true });
  }

  #title() {
    const { name, id } = route();
    const { conversations, contacts, ringing } = now();
    if (ringing) {
      document.title = `☎ ${t('call.rings', { name: ringing })} – ${t('app.name')}`;
      return;
    }
    const contact = name === 'thread' ? contactOf(conversations[id], contacts) : name === 'contacts' || name === 'new' ? contacts[id] : null;
    const unread = unreadOf(conversations);
    const place = contact ? nameOf(contact) : name === 'chats' || name === 'thread' || name === 'new' ? '' : t(`nav.${name === 'call-settings' ? 'settings' : name}`);
    document.title = `${unread ? `(${unread}) ` : ''}${place ? `${place} – ` : ''}${t('app.name')}`;
  }

  #showUnread(unread) {
    const badge = this.#nav?.querySelector('[data-place=chats] .badge');
    if (!badge) return;
    badge.hidden = unread === 0;
    badge.replaceChildren(el('span', { 'aria-hidden': 'true' }, unread > 99 ? '99+' : String(unread)),
      el('span', { class: 'unseen' }, t('list.unread', { n: unread })));
    this.#title();
  }

  /** Missed calls that nobody has seen; whoever looks at the calls has seen them. */
  #showMissed(missed) {
    const badge = this.#nav?.querySelector('[data-place=calls] .badge');
    if (!badge) return;
    if (missed && route().name === 'calls' && !document.hidden) {
      callsAreSeen();
      return;
    }
    badge.hidden = missed === 0;
    badge.replaceChildren(el('span', { 'aria-hidden': 'true' }, missed > 99 ? '99+' : String(missed)), el('span', { class: 'unseen' }, t('calls.missed_count', { n: missed })));
  }

  /** A new message is read out: what it says where it is looked at, elsewhere whose it is. */
  #speak(message) {
    const { conversations, contacts } = now();
    const line = this.querySelector('.spoken');
    const open = route().name === 'thread' && route().id === message.conversation_id;
    const name = message.group_sender?.name ?? nameOf(contactOf(conversations[message.conversation_id], contacts));
    // A node of its own, so that the same words are read out again.
    if (line) fill(line, el('span', {}, `${name}: ${open && (message.text || lastLine(message)) || t('notify.message')}`));
  }

  #showConnection(connection) {
    clearTimeout(this.patience);
    const line = this.querySelector('.connection');
    if (!line) return;
    if (connection === 'online') setText(line, '');
    else this.patience = setTimeout(() => setText(line, t('connection.offline')), OFFLINE_NOTICE_MS);
  }

  #keys(event) {
    if (this.dataset.phase !== 'signed-in' || document.querySelector('dialog[open]')) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      if (this.#list.hidden || this.dataset.pane === 'detail' && !wide()) go('#/');
      requestAnimationFrame(() => this.#list.querySelector('input[type=search]')?.select());
      return;
    }
    if (event.key === 'Escape' && !event.defaultPrevented && !event.isComposing) this.#leave();
  }

  /** Escape goes one step out: from a detail to its list. */
  #leave() {
    const { name, id } = route();
    const current = this.#list.querySelector('[aria-current=page]');
    if (name === 'thread' || name === 'new') {
      if (!wide()) go('#/');
      (current ?? this.#list.querySelector('a, input'))?.focus();
    } else if (name === 'contacts' && id) go('#/contacts');
  }
}

function wide() {
  return matchMedia('(min-width: 720px)').matches;
}

function unreadOf(conversations) {
  return Object.values(conversations).reduce((sum, { unread }) => sum + (unread || 0), 0);
}

/** What stands in the detail pane while nothing is chosen. */
class Placeholder extends View {
  connectedCallback() {
    const place = this.getAttribute('place');
    const key = /Mac|iP/.test(navigator.platform) ? '⌘K' : 'Ctrl K';
    this.watch(({ account, conversations, ready }) => [needsPhone(account), Object.keys(conversations).length === 0, ready],
      ([phoneless, empty, ready]) => {
        fill(this, mark(), el('h2', {}, t(`empty.${place}.title`)),
          el('p', {}, t(`empty.${place}.text`)),
          place === 'chats' ? el('p', { class: 'hint' }, el('kbd', {}, key), ' ', t('empty.search')) : null,
          ready && empty && place === 'chats' ? el('a', { class: 'button primary', href: '#/contacts/add' }, icon('plus'), t('contacts.add')) : null,
          ready && phoneless && place === 'chats' ? el('a', { class: 'button', href: '#/phone' }, icon('phone'), t('empty.phone')) : null);
      });
  }
}

function needsPhone(account) {
  return !(account?.mobiles ?? []).some(({ state }) => state === 'verified');
}

customElements.define('m-shell', Shell);
customElements.define('m-placeholder', Placeholder);

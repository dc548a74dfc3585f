/** A conversation: who it is with, what was said, and a place to answer. */
import { rowNode, rows, showRow } from './bubble.js';
import { callButton } from './calls.js';
import { actOn } from './contact-actions.js';
import { el, fill, keyed, onceAFrame, setText } from './dom.js';
import { showFace } from './faces.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, nameOf, presenceMark, showPresence, toast } from './parts.js';
import { quoteOf, swipeToAnswer } from './quote.js';
import { go, onRoute, route, threadAddress } from './router.js';
import { discard, loadNewer, loadOlder, markRead, openAround, openNewest, openThread, resend, sendMessage } from './session.js';
import { keep, recall } from './storage.js';
import { contactOf, now } from './store.js';
import { ThreadWindow } from './thread-window.js';
import { View } from './view.js';
import './composer.js';

const NEAR_END_PX = 80;
const NEAR_START_PX = 600;
const FAR_SCREENS = 4;
/** Messages that were sent again: once is enough. */
const retried = new Set(recall('retried', []));
const RETRIED_MAX = 100;

class Thread extends View {
  #conversation = null;
  #contact = null;
  #newAfter = undefined;
  #stuck = true;
  #placed = false;
  /** The message that one wants to see. */
  #goal = null;
  #window = new ThreadWindow();
  #above = el('div', { class: 'log-space', 'aria-hidden': 'true' });
  #below = el('div', { class: 'log-space', 'aria-hidden': 'true' });
  #draws = onceAFrame(() => this.isConnected && this.#draw());
  #width = 0;
  #head = el('header', { class: 'thread-head' });
  #log = el('div', { class: 'log', role: 'log', 'aria-live': 'off', tabindex: '0' });
  #inner = el('div', { class: 'log-inner' });
  #note = el('div', { class: 'thread-note' });
  #composer = el('m-composer');
  #down = null;
  #face = el('span', { class: 'thread-face' });
  #name = el('h1', {});
  #presence = presenceMark();
  #acts = el('span', { class: 'thread-acts' });

  connectedCallback() {
    this.#conversation = this.getAttribute('conversation');
    this.#contact = this.getAttribute('contact');
    this.#down = button(t('thread.newest'), { glyph: 'down', bare: true, kind: 'to-newest', hidden: true, onclick: () => this.#toEnd(true) });
    this.#head.replaceChildren(
      el('a', { class: 'button bare back', href: '#/', title: t('common.back') }, icon('back'), el('span', { class: 'unseen' }, t('common.back'))),
      el('a', { class: 'thread-who' }, this.#face, el('span', { class: 'thread-names' }, this.#name, this.#presence)), this.#acts);
    this.#log.append(this.#inner);
    this.replaceChildren(this.#head, el('div', { class: 'log-frame', dataset: { drop: t('upload.drop') } }, this.#log, this.#down), this.#note, this.#composer);
    this.#watch();
    this.#log.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    this.#composer.addEventListener('sent', () => this.#toEnd(false));
    this.#composer.addEventListener('earlier', ({ detail }) => this.#answerOther(detail));
    this.#composer.addEventListener('quoted', ({ detail }) => this.#jump(detail));
    this.#takeDrops();
    swipeToAnswer(this.#log, id => this.#answer(this.#find(id)));
    this.atEnd(onRoute(({ name, id, at }) => name === 'thread' && id === this.#conversation && at && this.#visit(at)));
    for (const type of ['focus', 'visibilitychange']) this.listen(type === 'focus' ? window : document, type, () => this.#read());
    const sizes = new ResizeObserver(() => {
      if (this.#width !== this.#log.clientWidth) {
        this.#width = this.#log.clientWidth;
        this.#window.forget();
      }
      if (this.#stuck) this.#toEnd(false);
    });
    sizes.observe(this.#log);
    sizes.observe(this.#inner);
    this.atEnd(() => sizes.disconnect());
  }

  #watch() {
    if (this.#conversation) {
      const known = now().conversations[this.#conversation];
      if (known?.unread) this.#newAfter = known.read_up_to;
      if (route().at) this.#visit(route().at);
      else openThread(this.#conversation);
    }
    const who = this.#conversation ?? this.#contact;
    this.#composer.open({ conversationId: this.#conversation, contactId: this.#conversation ? null : this.#contact, name: nameOf(this.#other()), contact: this.#other()?.id });
    const draw = this.#draws;
    this.watch(({ threads, outbox, conversations }) => [threads[who], outbox, conversations[who]?.unread], draw);
    this.watch(({ contacts, conversations, ready, typing }) => [this.#other(), conversations[who]?.id, ready, contacts, typing[who]], () => {
      this.#showHead();
      draw();
    });
  }

  #other() {
    const { conversations, contacts } = now();
    if (!this.#conversation) return contacts[this.#contact] ?? null;
    // Where nothing was said yet, the conversation may not be in the list.
    return contactOf(conversations[this.#conversation], contacts) ?? Object.values(contacts).find(({ conversation_id: id }) => id === this.#conversation) ?? null;
  }

  #showHead() {
    const contact = this.#other();
    // The first answer or the first word gives a new thread its conversation, and with it its address.
    if (!this.#conversation && contact?.conversation_id) {
      go(threadAddress(contact), { replace: true });
      return;
    }
    const name = nameOf(contact);
    showFace(this.#face, contact);
    if (this.#log.dataset.name !== name) {
      this.#log.dataset.name = name;
      this.#log.setAttribute('aria-label', t('thread.label', { name }));
    }
    setText(this.#name, name);
    const typing = this.#conversation && now().typing[this.#conversation];
    showPresence(this.#presence, contact?.presence, { note: true, instead: typing ? t('thread.typing') : '' });
    if (contact && !contact.group) this.#head.querySelector('.thread-who').setAttribute('href', `#/contacts/${encodeURIComponent(contact.id)}`);
    if (this.#acts.dataset.who !== `${contact?.state}/${name}`) {
      this.#acts.dataset.who = `${contact?.state}/${name}`;
      fill(this.#acts, this.#conversation ? button(t('found.in_thread'), { glyph: 'search', bare: true, onclick: () => this.#search() }) : null,
        contact?.state === 'accepted' && !contact.group ? callButton(contact) : null);
    }
    this.#showNote(contact);
  }

  /** What keeps one from writing stands where one would write. */
  #showNote(contact) {
    const state = contact?.state ?? 'accepted';
    const stopped = state === 'accepted' && contact?.texts_stopped;
    const onPhone = contact?.group?.reply === 'none';
    const sign = `${state}/${contact?.direction}/${stopped}/${onPhone}`;
    this.#composer.hidden = state !== 'accepted' || onPhone;
    if (this.#note.dataset.sign === sign) return;
    this.#note.dataset.sign = sign;
    const act = (label, verb, kind) => button(label, { kind, onclick: () => attempt(() => actOn(contact.id, verb)) });
    const name = nameOf(contact);
    if (state === 'blocked') this.#note.replaceChildren(el('p', {}, t('thread.blocked', { name })), act(t('contacts.unblock'), 'unblock', ''));
    else if (state === 'requested' && contact.direction === 'incoming') {
      this.#note.replaceChildren(el('p', {}, t('thread.asks', { name })), act(t('contacts.accept'), 'accept', 'primary'), act(t('contacts.block'), 'block', ''));
    } else if (state === 'requested') this.#note.replaceChildren(el('p', {}, t('thread.asked', { name })));
    else if (stopped) this.#note.replaceChildren(el('p', {}, t('thread.stopped', { name })));
    else if (onPhone) this.#note.replaceChildren(el('p', {}, t('group.on_phone')));
    else this.#note.replaceChildren();
  }

  #draw() {
    const { threads, outbox, conversations } = now();
    const thread = this.#conversation ? threads[this.#conversation] : { messages: [], state: 'ready', next: null, newer: null };
    const waiting = thread?.newer ? [] : Object.values(outbox).filter(message => (this.#conversation && message.conversation_id === this.#conversation)
      || (message.contact_id && message.contact_id === this.#other()?.id));
    const settled = (thread?.messages ?? []).map(message => (retried.has(message.id) ? { ...message, retried: true } : message));
    const messages = [...settled, ...waiting];
    const hold = this.#hold();
    this.#log.setAttribute('aria-busy', String(thread?.state === 'loading'));
    const all = this.#around(rows(messages, this.#newAfter), thread, messages.length);
    const { from, to, above, below } = this.#window.choose(all, { ...this.#seen(), atEnd: this.#stuck, anchor: this.#goalKey(all) ?? hold?.node.rowKey });
    this.#above.style.height = `${above}px`;
    this.#below.style.height = `${below}px`;
    const shared = { contact: this.#other(), actions: this.#actions() };
    keyed(this.#inner, [{ key: 'above', node: () => this.#above }, ...all.slice(from, to), { key: 'below', node: () => this.#below }],
      ({ key }) => key, item => Object.assign(item.node?.() ?? rowNode(item), { rowKey: item.key }), (node, item) => item.node || showRow(node, item, shared));
    this.#composer.group = this.#other()?.group ?? null;
    this.#composer.sms = this.#toPhone(settled);
    this.#settle(hold, thread, messages.length);
    if (conversations[this.#conversation]?.unread || messages.length) this.#read();
  }

  #seen() {
    return { top: this.#log.scrollTop, height: this.#log.clientHeight, whole: this.#log.scrollHeight };
  }

  /** A row with the space above it, as it stands now. */
  #measure() {
    const tops = [...this.#inner.keyedChildren].map(([key, node]) => [key, node.getBoundingClientRect().top]).sort((a, b) => a[1] - b[1]);
    this.#window.measured(tops.slice(0, -1).map(([key, top], index) => [key, tops[index + 1][1] - top]).filter(([key]) => key !== 'above' && key !== 'below'));
  }

  /** Adds what stands above the first message: loading, a failure to load, or the beginning of the conversation. */
  #around(list, thread, count) {
    const state = thread?.state ?? 'loading';
    const above = kind => ({ key: kind, kind, node: this.#aboves()[kind] });
    if (state === 'failed') return [above('failed'), ...list];
    if (state === 'loading' || thread.next) return [above('loading'), ...list];
    // Whose conversation it is may be known only after it is open.
    return count ? list : [{ ...above('empty'), key: `empty ${nameOf(this.#other())}` }];
  }

  #aboves() {
    return {
      loading: () => el('p', { class: 'log-note' }, t('thread.loading')),
      empty: () => el('div', { class: 'log-empty' }, showFace(el('span', {}), this.#other(), 'large'), el('p', {}, t('thread.empty', { name: nameOf(this.#other()) }))),
      failed: () => el('div', { class: 'log-note' }, el('p', {}, t('thread.load_failed')), button(t('common.try_again'), { onclick: () => openThread(this.#conversation) })),
    };
  }

  /** The other side is a phone when it says so, or when the last words came or went that way. */
  #toPhone(messages) {
    if (this.#other()?.group) return true;
    const via = this.#other()?.presence?.via ?? messages.at(-1)?.via;
    return via === 'sms';
  }

  #actions() {
    return {
      answer: message => this.#answer(message),
      jump: id => this.#jump(id),
      retry: message => {
        if (!message.id) {
          resend(message.client_id);
          return;
        }
        retried.add(message.id);
        keep('retried', [...retried].slice(-RETRIED_MAX));
        sendMessage({ conversationId: this.#conversation, text: message.text, reply_to: message.reply_to });
        this.#toEnd(false);
      },
      discard: message => {
        discard(message.client_id);
        toast(t('message.discarded'));
      },
    };
  }

  /** Remembers what stands where, before rows are added above it. */
  #hold() {
    if (this.#stuck) return null;
    const top = this.#log.getBoundingClientRect().top;
    const node = [...this.#inner.children].find(child => child.matches('.row') && child.getBoundingClientRect().bottom > top);
    return node ? { node, top: node.getBoundingClientRect().top } : null;
  }

  #settle(hold, thread, count) {
    const goal = this.#goal && this.#inner.querySelector(`.row[data-message="${CSS.escape(this.#goal)}"]`);
    if (goal) {
      this.#placed = true;
      this.#stuck = false;
      this.#goal = null;
      this.#point(goal);
    } else if (!this.#placed && thread?.state === 'ready' && count) {
      this.#placed = true;
      const line = this.#inner.querySelector('.new-line');
      if (line) {
        line.scrollIntoView({ block: 'center' });
        this.#stuck = this.#nearEnd();
      } else this.#toEnd(false);
    } else if (this.#stuck) this.#toEnd(false);
    else if (hold?.node.isConnected) this.#log.scrollTop += hold.node.getBoundingClientRect().top - hold.top;
    if (this.#inner.children.length > 40) this.#measure();
    this.#showDown();
    if (this.#placed) this.#older();
  }

  /** Shows where one has come to: in the middle, lit for a moment, and read out. */
  #point(row) {
    row.scrollIntoView({ block: 'center' });
    row.classList.remove('lit');
    void row.offsetWidth;
    row.classList.add('lit');
    row.querySelector('.bubble').focus({ preventScroll: true });
  }

  #goalKey(all) {
    return this.#goal ? all.find(({ message }) => message?.id === this.#goal)?.key : undefined;
  }

  /** The message that an address names; then the address is the conversation's again. */
  async #visit(id) {
    go(`#/c/${encodeURIComponent(this.#conversation)}`, { replace: true });
    if (!await this.#jump(id)) openThread(this.#conversation);
  }

  /** Goes to a message, however long ago it was. */
  #jump(id) {
    return attempt(async () => {
      await openAround(this.#conversation, id);
      this.#goal = id;
      this.#stuck = false;
      this.#draws();
    });
  }

  /** Opens the search in this conversation. */
  async #search() {
    await import('./found.js').catch(() => {});
    let bar = this.querySelector('m-thread-search');
    if (!bar) {
      bar = el('m-thread-search', { conversation: this.#conversation });
      bar.addEventListener('closed', () => this.#acts.querySelector('button')?.focus());
      this.#head.after(bar);
    }
    bar.hidden = false;
    bar.querySelector('input')?.select();
  }

  /** Files that are dropped anywhere on the conversation go along with the next message. */
  #takeDrops() {
    const has = event => !this.#composer.hidden && event.dataTransfer?.types.includes('Files');
    this.addEventListener('dragover', event => {
      if (!has(event)) return;
      event.preventDefault();
      this.classList.add('dropping');
    });
    this.addEventListener('dragleave', ({ relatedTarget }) => this.contains(/** @type {Node} */ (relatedTarget)) || this.classList.remove('dropping'));
    this.addEventListener('drop', event => {
      this.classList.remove('dropping');
      if (!has(event)) return;
      event.preventDefault();
      this.#composer.take([...event.dataTransfer.files]);
    });
  }

  #find(id) {
    return now().threads[this.#conversation]?.messages.find(message => message.id === id);
  }

  #answer(message) {
    if (message && !this.#composer.hidden) this.#composer.quote = quoteOf(message);
  }

  /** From the message that is answered to the one before or after it, by keys. */
  #answerOther(by) {
    const all = now().threads[this.#conversation]?.messages ?? [];
    const at = all.findIndex(({ id }) => id === this.#composer.quote?.id);
    const next = all[at < 0 ? all.length + Math.min(by, 0) : at + by];
    if (next) this.#answer(next);
    else if (by > 0) this.#composer.quote = null;
  }

  #past() {
    return Boolean(this.#conversation && now().threads[this.#conversation]?.newer);
  }

  #nearEnd() {
    return !this.#past() && this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR_END_PX;
  }

  #toEnd(smooth) {
    if (this.#past()) {
      attempt(async () => {
        await openNewest(this.#conversation);
        this.#stuck = true;
        this.#draws();
      });
      return;
    }
    this.#stuck = true;
    const { top, height, whole } = this.#seen();
    // From far away one does not fly past thousands of rows that are not even there.
    if (smooth && whole - top > FAR_SCREENS * height) {
      this.#draw();
      return;
    }
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.#log.scrollTo({ top: this.#log.scrollHeight, behavior: smooth && !calm ? 'smooth' : 'instant' });
  }

  #scrolled() {
    this.#stuck = this.#nearEnd();
    this.#showDown();
    this.#read();
    this.#older();
    if (this.#window.isTight(this.#seen())) this.#draws();
  }

  #showDown() {
    this.#down.hidden = this.#stuck;
  }

  async #older() {
    const { top, height, whole } = this.#seen();
    if (this.#past() && whole - top - height < NEAR_START_PX) loadNewer(this.#conversation).catch(() => {});
    if (!this.#conversation || this.#log.scrollTop > NEAR_START_PX || !now().threads[this.#conversation]?.next) return;
    try {
      await loadOlder(this.#conversation);
    } catch {
      /* the next scroll tries again */
    }
  }

  /** Read is what was on the screen of somebody who looks. */
  #read() {
    const framed = window.parent !== window;
    if (!this.#conversation || document.hidden || (!document.hasFocus() && !framed) || !this.#nearEnd()) return;
    const newest = now().threads[this.#conversation]?.messages.findLast(({ mine }) => !mine);
    const known = now().conversations[this.#conversation];
    if (newest && known?.unread > 0) markRead(this.#conversation, newest.id);
  }
}

customElements.define('m-thread', Thread);

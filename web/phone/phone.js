/**
 * `<sim-phone base="/simulator" number="+12025550101" name="Alice">`: one simulated phone.
 *
 * Shows the address book that the phone has synced, its threads and their messages, live, and lets one write and call.
 * `speakWith('mic' | 'tune')` and `hear(on)` say whose mouth and ear its calls have. Speaks English or Korean by the
 * `lang` around it. Tells `sim-phone-message` (bubbling, `detail: {number, party, name, message}`)
 * for every message that appears, so that a page can follow a story.
 */
import { PhoneCalls } from './calls.js';
import { Line } from './line.js';
import { ago, avatar, el, replaceItems, setText, shownNumber, shownTime } from './parts.js';
import { languageOf, texts } from './texts.js';

const STYLE = new URL('phone.css', import.meta.url).href;
/** Rows that are shown at once; a longer book is searched. */
const ROWS_MAX = 300;

class SimPhone extends HTMLElement {
  static observedAttributes = ['base', 'number', 'name', 'lang'];

  #line = null;
  #view = null;
  #unread = new Map();
  #open = null;
  #bubbles = new Map();
  #drafts = new Map();
  #tab = 'messages';
  /** @type {Record<string, any>} */
  #parts = {};
  #clock = 0;
  #calls = new PhoneCalls({
    text: () => this.#text, line: () => this.#line, language: () => languageOf(this), name: () => this.#name,
    who: number => this.#who(number), full: typed => this.#full(typed), attempt: act => this.#attempt(act),
    covered: yes => { this.#covered = yes; this.#showPower(); },
  });
  #covered = false;
  #language = new MutationObserver(() => this.#build());

  connectedCallback() {
    if (!this.shadowRoot) this.attachShadow({ mode: 'open' });
    this.#language.observe(document.documentElement, { attributes: true, attributeFilter: ['lang'] });
    this.#clock = setInterval(() => {
      this.#showSync();
      this.#calls.tick();
    }, 1000);
    this.#connect();
  }

  disconnectedCallback() {
    this.#language.disconnect();
    clearInterval(this.#clock);
    this.#line?.close();
    this.#line = null;
    this.#calls.close();
  }

  attributeChangedCallback(name, before, after) {
    if (!this.isConnected || !this.shadowRoot || before === after) return;
    if (name === 'base' || name === 'number') this.#connect();
    else this.#build();
  }

  /** Opens the conversation with a number. */
  open(party) {
    this.#show(party);
  }

  /** Calls a number. */
  dial(number) {
    return this.#calls.dial(number);
  }

  /** What the phone's calls are spoken with: `mic`, or a `tune`. */
  speakWith(voice) {
    return this.#calls.speakWith(voice);
  }

  /** Whether the phone's earpiece is heard in the room. */
  hear(on) {
    this.#calls.hear(on);
  }

  get #text() {
    return texts(languageOf(this));
  }

  get #name() {
    return this.getAttribute('name') || this.#view?.name || shownNumber(this.getAttribute('number') ?? '');
  }

  #connect() {
    this.#line?.close();
    this.#view = null;
    this.#open = null;
    this.#unread.clear();
    this.#build();
    const number = this.getAttribute('number');
    if (!number) return;
    this.#line = new Line(this.getAttribute('base') ?? '', number, {
      view: view => this.#take(view),
      message: thread => this.#arrive(thread),
      synced: data => this.#synced(data),
      power: power => this.#power(power),
      call: call => this.#calls.take(call),
      lost: status => this.#lost(status),
    });
  }

  #take(view) {
    // A simulator that was started anew counts from the beginning again.
    if (view.last_event < (this.#view?.last_event ?? 0)) {
      this.#bubbles.clear();
      this.#parts.log.replaceChildren();
    }
    this.#view = view;
    this.#notice('');
    this.#showAll();
    this.#calls.takeAll(view.calls);
  }

  #lost(status) {
    this.#notice(status === 404 ? this.#text.gone : this.#text.lost);
  }

  #synced({ sync, contact_count: count }) {
    if (!this.#view) return;
    Object.assign(this.#view, { sync, contact_count: count });
    this.#showSync();
  }

  #power(power) {
    if (!this.#view) return;
    this.#view.power = power;
    this.#showPower();
  }

  /** A message is new, or came further. */
  #arrive({ party, name, contact_id, messages: [message] }) {
    if (!this.#view) return;
    let thread = this.#view.threads.find(known => known.party === party);
    if (!thread) this.#view.threads.push(thread = { party, messages: [] });
    Object.assign(thread, { name, contact_id });
    const at = thread.messages.findIndex(known => known.id === message.id);
    if (at >= 0) thread.messages[at] = message;
    else {
      thread.messages.push(message);
      if (!message.mine && this.#open !== party) this.#unread.set(party, (this.#unread.get(party) ?? 0) + 1);
      const detail = { number: this.#view.number, party, name, message };
      this.dispatchEvent(new CustomEvent('sim-phone-message', { bubbles: true, composed: true, detail }));
    }
    this.#showThreads();
    if (this.#open === party) this.#showConversation();
  }

  // The frame: made once, and again when the language changes.

  #build() {
    if (!this.shadowRoot) return;
    const text = this.#text;
    /** @type {Record<string, any>} */
    const p = {};
    this.#parts = p;
    this.#bubbles.clear();
    p.who = el('strong', { class: 'who' });
    p.number = el('span', { class: 'number' }, shownNumber(this.getAttribute('number') ?? ''));
    p.power = el('button', { class: 'power', type: 'button', role: 'switch', 'aria-checked': 'true', 'aria-label': text.power, title: text.power, onclick: () => this.#switch() }, el('span', { class: 'knob' }));
    p.notice = el('p', { class: 'notice', role: 'status' }, this.#view ? '' : text.connecting);
    p.alert = el('p', { class: 'alert', role: 'alert' });
    p.sync = el('span', { class: 'sync-text' });
    p.syncNow = el('button', { class: 'quiet', type: 'button', onclick: () => this.#sync() }, text.sync);
    p.off = el('div', { class: 'off', hidden: true }, el('strong', {}, text.off), el('span', {}, text.off_hint));
    p.home = this.#buildHome();
    p.talk = this.#buildConversation();
    p.screen = el('div', { class: 'screen' }, p.home, p.talk);
    p.calls = this.#calls.build();
    p.panels.calls.append(...p.calls.panel);
    p.frame = el('section', { class: 'phone', 'aria-label': text.phone(this.#name) },
      el('header', { class: 'bar' }, el('div', {}, p.who, p.number), p.power),
      p.notice, p.screen, p.calls.screen, p.off, p.alert,
      el('footer', { class: 'sync' }, p.sync, p.syncNow));
    const style = el('link', { rel: 'stylesheet', href: STYLE });
    // Without its style the phone would flash as a heap of lists.
    p.frame.hidden = true;
    style.addEventListener('load', () => { p.frame.hidden = false; });
    this.shadowRoot.replaceChildren(style, p.frame);
    this.#showAll();
  }

  #buildHome() {
    const text = this.#text;
    const p = this.#parts;
    const tab = key => el('button', { class: 'tab', type: 'button', role: 'tab', id: `tab-${key}`, 'aria-controls': `panel-${key}`, onclick: () => this.#choose(key) }, text[key]);
    p.tabs = { messages: tab('messages'), contacts: tab('contacts'), calls: tab('calls') };
    p.threads = el('ul', { class: 'rows' });
    p.noThreads = el('p', { class: 'hint' }, text.no_threads);
    p.find = el('input', { class: 'find', type: 'search', autocomplete: 'off', placeholder: text.find, 'aria-label': text.find, oninput: () => this.#showContacts(), onkeydown: event => this.#enter(event) });
    p.contacts = el('ul', { class: 'rows' });
    p.noContacts = el('p', { class: 'hint' });
    p.panels = {
      messages: el('div', { class: 'panel', role: 'tabpanel', id: 'panel-messages', 'aria-labelledby': 'tab-messages' }, p.noThreads, p.threads),
      contacts: el('div', { class: 'panel', role: 'tabpanel', id: 'panel-contacts', 'aria-labelledby': 'tab-contacts' }, p.find, p.noContacts, p.contacts),
      calls: el('div', { class: 'panel', role: 'tabpanel', id: 'panel-calls', 'aria-labelledby': 'tab-calls' }),
    };
    const tabs = el('div', { class: 'tabs', role: 'tablist', 'aria-label': text.screens, onkeydown: event => this.#moveTab(event) }, ...Object.values(p.tabs));
    return el('div', { class: 'home' }, tabs, ...Object.values(p.panels));
  }

  #buildConversation() {
    const text = this.#text;
    const p = this.#parts;
    p.back = el('button', { class: 'back', type: 'button', 'aria-label': text.back, title: text.back, onclick: () => this.#close() }, '‹');
    p.party = el('div', { class: 'party' });
    p.call = el('button', { class: 'quiet call', type: 'button', onclick: () => this.dial(this.#open) }, text.call);
    p.empty = el('p', { class: 'hint' }, text.empty);
    p.log = el('div', { class: 'log', role: 'log', tabindex: '0' });
    p.field = el('textarea', { class: 'field', rows: '1', maxlength: '1600', placeholder: text.compose, 'aria-label': text.compose, oninput: () => this.#drafts.set(this.#open, p.field.value), onkeydown: event => this.#typed(event) });
    p.send = el('button', { class: 'send', type: 'submit' }, text.send);
    p.form = el('form', { class: 'compose', onsubmit: event => { event.preventDefault(); this.#send(); } }, p.field, p.send);
    return el('div', { class: 'talk', hidden: true, onkeydown: event => { if (event.key === 'Escape' && !event.isComposing) this.#close(); } },
      el('div', { class: 'talk-head' }, p.back, p.party, p.call), el('div', { class: 'log-frame' }, p.empty, p.log), p.form);
  }

  // What is shown.

  #showAll() {
    const p = this.#parts;
    setText(p.who, this.#name);
    p.frame.setAttribute('aria-label', this.#text.phone(this.#name));
    p.frame.toggleAttribute('aria-busy', !this.#view);
    this.#choose(this.#tab, false);
    this.#showThreads();
    this.#showContacts();
    this.#showConversation();
    this.#showPower();
    this.#showSync();
  }

  #notice(text) {
    setText(this.#parts.notice, text);
  }

  #showPower() {
    const p = this.#parts;
    const off = this.#view?.power === 'off';
    p.power.setAttribute('aria-checked', String(!off));
    p.power.disabled = !this.#view;
    p.off.hidden = !off;
    p.screen.inert = off || this.#covered;
  }

  #showSync() {
    const p = this.#parts;
    if (!p.sync || !this.#view) return;
    const text = this.#text;
    const { carddav, sync, contacts } = this.#view;
    p.syncNow.hidden = !carddav;
    if (!carddav) setText(p.sync, text.no_book);
    else if (sync.error) setText(p.sync, sync.error);
    else if (!sync.synced_at) setText(p.sync, text.not_synced);
    else setText(p.sync, text.synced(this.#view.contact_count ?? contacts.length, ago(sync.synced_at, languageOf(this))));
    p.sync.classList.toggle('bad', Boolean(sync.error));
  }

  #contact(id) {
    return this.#view?.contacts.find(contact => contact.id === id);
  }

  #row(key, name, contact, second, extra, act) {
    const photo = contact?.has_photo ? this.#line.photo(contact) : null;
    return el('li', {}, el('button', { class: 'row', type: 'button', 'data-key': key, onclick: act },
      avatar(name, photo), el('span', { class: 'row-text' }, el('span', { class: 'row-name', dir: 'auto' }, name), el('span', { class: 'row-second', dir: 'auto' }, second)), extra));
  }

  #showThreads() {
    const p = this.#parts;
    const language = languageOf(this);
    const threads = (this.#view?.threads ?? []).filter(thread => thread.messages.length)
      .sort((a, b) => (a.messages.at(-1).at < b.messages.at(-1).at ? 1 : -1));
    p.noThreads.hidden = threads.length > 0 || !this.#view;
    replaceItems(p.threads, threads.slice(0, ROWS_MAX).map(thread => {
      const last = thread.messages.at(-1);
      const unread = this.#unread.get(thread.party) ?? 0;
      const extra = el('span', { class: 'row-end' }, el('time', { datetime: last.at }, shownTime(last.at, language)),
        unread ? el('span', { class: 'badge', title: this.#text.unread(unread), 'aria-label': this.#text.unread(unread) }, String(unread)) : null);
      const said = last.mine ? `${this.#text.you}: ${last.text}` : last.text;
      return this.#row(thread.party, thread.name ?? shownNumber(thread.party), this.#contact(thread.contact_id), said, extra, () => this.#show(thread.party));
    }));
  }

  #showContacts() {
    const p = this.#parts;
    const text = this.#text;
    const query = p.find.value.trim();
    const digits = query.replace(/[^\d]/g, '');
    const all = this.#view?.contacts ?? [];
    const found = all.filter(contact => !query || contact.name.toLowerCase().includes(query.toLowerCase()) || (digits && contact.numbers.some(number => number.replace(/[^\d]/g, '').includes(digits))));
    const rows = found.slice(0, ROWS_MAX).flatMap(contact => (contact.numbers.length ? contact.numbers : [null]).map(number => {
      const groups = contact.categories.length ? el('span', { class: 'row-end tag' }, contact.categories[0]) : null;
      return this.#row(`${contact.id} ${number}`, contact.name, contact, number ? shownNumber(number) : '', groups, () => number && this.#show(number));
    }));
    if (/^\+?[\d ()-]{3,}$/.test(query)) rows.push(this.#row('typed', text.write_to(query), null, '', null, () => this.#dial(query)));
    p.noContacts.hidden = rows.length > 0 || !this.#view;
    setText(p.noContacts, all.length ? text.no_match : text.no_contacts);
    replaceItems(p.contacts, rows);
  }

  #showConversation() {
    const p = this.#parts;
    const party = this.#open;
    p.home.hidden = party !== null;
    p.talk.hidden = party === null;
    if (party === null) return;
    const thread = this.#view?.threads.find(known => known.party === party);
    const contact = this.#contact(thread?.contact_id) ?? this.#view?.contacts.find(known => known.numbers.includes(party));
    const name = contact?.name ?? shownNumber(party);
    p.party.replaceChildren(avatar(name, contact?.has_photo ? this.#line.photo(contact) : null),
      el('span', { class: 'row-text' }, el('strong', { class: 'row-name', dir: 'auto' }, name), contact ? el('span', { class: 'row-second' }, shownNumber(party)) : null));
    p.log.setAttribute('aria-label', this.#text.conversation(name));
    const messages = thread?.messages ?? [];
    p.empty.hidden = messages.length > 0;
    const stuck = p.log.scrollHeight - p.log.scrollTop - p.log.clientHeight < 48;
    // Bubbles are added and changed one by one, so that a screen reader says only what is new.
    for (const message of messages) {
      const known = this.#bubbles.get(message.id);
      if (known) this.#fill(known, message);
      else {
        const bubble = this.#fill(this.#bubble(message), message);
        this.#bubbles.set(message.id, bubble);
        p.log.append(bubble);
      }
    }
    if (stuck) p.log.scrollTop = p.log.scrollHeight;
  }

  #bubble(message) {
    const files = message.media.map(file => el('a', { class: 'file', href: file.url, target: '_blank', rel: 'noopener noreferrer' }, this.#text.attachment));
    return el('div', { class: message.mine ? 'bubble mine' : 'bubble' },
      el('p', { class: 'said', dir: 'auto' }, message.text), ...files,
      el('span', { class: 'meta' }, el('time', { datetime: message.at }, shownTime(message.at, languageOf(this))), el('span', { class: 'state' })));
  }

  #fill(bubble, message) {
    bubble.dataset.state = message.state;
    setText(bubble.querySelector('.state'), message.mine ? this.#text[message.state] ?? '' : '');
    return bubble;
  }

  // What one does.

  #choose(key, focus = true) {
    this.#tab = key;
    for (const [name, tab] of Object.entries(this.#parts.tabs)) {
      tab.setAttribute('aria-selected', String(name === key));
      tab.tabIndex = name === key ? 0 : -1;
      this.#parts.panels[name].hidden = name !== key;
    }
    if (focus) this.#parts.tabs[key].focus();
  }

  #moveTab(event) {
    if (['ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(event.key)) {
      event.preventDefault();
      const names = Object.keys(this.#parts.tabs);
      const at = names.indexOf(this.#tab) + (event.key === 'ArrowRight' ? 1 : -1);
      this.#choose(event.key === 'Home' ? names[0] : event.key === 'End' ? names.at(-1) : names.at(at % names.length));
    }
  }

  #show(party) {
    this.#open = party;
    this.#unread.delete(party);
    this.#bubbles.clear();
    this.#parts.log.replaceChildren();
    this.#parts.field.value = this.#drafts.get(party) ?? '';
    this.#showThreads();
    this.#showConversation();
    this.#parts.log.scrollTop = this.#parts.log.scrollHeight;
    this.#parts.field.focus({ preventScroll: true });
  }

  #close() {
    const party = this.#open;
    this.#open = null;
    this.#showConversation();
    const list = { messages: this.#parts.threads, contacts: this.#parts.contacts }[this.#tab] ?? this.#parts.calls.recent;
    const row = [...list.querySelectorAll('.row')].find(button => button.dataset.key.includes(party));
    (row ?? this.#parts.tabs[this.#tab]).focus({ preventScroll: true });
  }

  /** A number as typed: to the phone it is one of its own country. */
  #full(typed) {
    const digits = typed.replace(/[^\d+*#]/g, '');
    const own = this.getAttribute('number') ?? '';
    return digits.startsWith('+') ? digits : own.startsWith('+1') && digits.length === 10 ? `+1${digits}` : digits;
  }

  #dial(typed) {
    this.#parts.find.value = '';
    this.#showContacts();
    this.#show(this.#full(typed));
  }

  /** Who stands behind a number in the phone's book. */
  #who(number) {
    const contact = this.#view?.contacts.find(known => known.numbers.includes(number));
    return { name: contact?.name ?? shownNumber(number), photo: contact?.has_photo ? this.#line.photo(contact) : null, known: Boolean(contact) };
  }

  #enter(event) {
    if (event.key !== 'Enter' || event.isComposing) return;
    event.preventDefault();
    this.#parts.contacts.querySelector('.row')?.click();
  }

  #typed(event) {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#send();
  }

  async #send() {
    const p = this.#parts;
    const [party, text] = [this.#open, p.field.value];
    if (party === null || !text.trim() || !this.#line) return;
    p.field.value = '';
    this.#drafts.delete(party);
    await this.#attempt(() => this.#line.send(party, text), () => {
      this.#drafts.set(party, text);
      if (this.#open === party && !p.field.value) p.field.value = text;
    });
  }

  #switch() {
    return this.#attempt(() => this.#line.setPower(this.#view?.power === 'off'));
  }

  async #sync() {
    this.#parts.syncNow.disabled = true;
    await this.#attempt(() => this.#line.sync());
    this.#parts.syncNow.disabled = false;
  }

  async #attempt(act, undo) {
    setText(this.#parts.alert, '');
    try {
      return await act();
    } catch (error) {
      undo?.();
      setText(this.#parts.alert, error.message || this.#text.not_taken);
      return undefined;
    }
  }
}

customElements.define('sim-phone', SimPhone);

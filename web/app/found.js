/** Old messages that are found by their words: `<m-found>` is a list of them, `<m-thread-search>` the search in one thread. */
import { api } from './api.js';
import { el, fill, setText } from './dom.js';
import { fold } from './folded.js';
import { fullTime, shortTime } from './format.js';
import { explain, t } from './i18n.js';
import { icon } from './icons.js';
import { button, nameOf } from './parts.js';
import { contactOf, now } from './store.js';

const PAUSE_MS = 300;
const PAGE = 20;
/** A request reads a part of a long past; so many are asked by themselves before one is asked whether to go on. */
const ROUNDS_MAX = 6;
/** Letters shown before the first word that was looked for. */
const BEFORE = 28;
const SHOWN = 140;

/** Where the words of a search stand in a text: `[[from, to]]`, in order and apart from each other. */
export function hits(text, query) {
  const words = query.split(/\s+/).map(fold).filter(Boolean);
  const folded = [];
  let at = 0;
  // Each letter is folded for itself, so that one knows where it stood.
  for (const letter of text) {
    for (const part of fold(letter) || (/\s/.test(letter) ? ' ' : '')) folded.push([part, at, at + letter.length]);
    at += letter.length;
  }
  const plain = folded.map(([part]) => part).join('');
  const found = [];
  for (const word of words) {
    for (let from = plain.indexOf(word); from >= 0; from = plain.indexOf(word, from + word.length)) {
      found.push([folded[from][1], folded[from + word.length - 1][2]]);
    }
  }
  const apart = [];
  for (const [from, to] of found.sort((a, b) => a[0] - b[0])) {
    const last = apart.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else apart.push([from, to]);
  }
  return apart;
}

/** The part of a text around what was found, with the words marked. */
function excerpt(text, query) {
  const line = text.replace(/\s+/g, ' ');
  const marks = hits(line, query);
  const from = Math.max(0, (marks[0]?.[0] ?? 0) - BEFORE);
  const parts = [from ? '…' : ''];
  let at = from;
  for (const [begin, end] of marks.filter(([, end]) => end <= from + SHOWN)) {
    parts.push(line.slice(at, begin), el('mark', {}, line.slice(begin, end)));
    at = end;
  }
  parts.push(line.slice(at, from + SHOWN), line.length > from + SHOWN ? '…' : '');
  return parts;
}

class Found extends HTMLElement {
  #list = el('ul', { class: 'found-list' });
  #note = el('p', { class: 'list-note', role: 'status' });
  #more = null;
  #timer = null;
  #turn = 0;
  #query = '';
  #conversation = null;
  #next = null;
  #count = 0;

  connectedCallback() {
    this.#more = button(t('found.more'), { kind: 'link', hidden: true, onclick: () => this.#load(this.#turn) });
    this.replaceChildren(el('h2', { class: 'found-title' }, t('found.title')), this.#list, this.#note, this.#more);
  }

  disconnectedCallback() {
    this.#turn += 1;
    clearTimeout(this.#timer);
  }

  /** Looks for words, in one conversation or in all; an empty text looks for nothing. */
  ask(query, conversation = null) {
    const asked = query.trim();
    if (asked === this.#query && conversation === this.#conversation) return;
    [this.#query, this.#conversation] = [asked, conversation];
    const turn = this.#turn += 1;
    clearTimeout(this.#timer);
    this.hidden = !asked;
    this.#next = null;
    this.#count = 0;
    this.#more.hidden = true;
    if (!asked) {
      fill(this.#list);
      setText(this.#note, '');
      return;
    }
    this.#timer = setTimeout(() => {
      fill(this.#list);
      setText(this.#note, t('found.looking'));
      this.#load(turn);
    }, PAUSE_MS);
  }

  async #load(turn) {
    this.#more.hidden = true;
    const before = this.#count;
    try {
      for (let round = 0; round < ROUNDS_MAX; round += 1) {
        const page = await api.get(`/v1/messages/search?${new URLSearchParams({ q: this.#query, limit: String(PAGE),
          ...(this.#conversation ? { conversation_id: this.#conversation } : {}), ...(this.#next ? { after: this.#next } : {}) })}`);
        if (turn !== this.#turn) return;
        this.#next = page.next;
        this.#count += page.items.length;
        this.#list.append(...page.items.map(message => this.#row(message)));
        if (!page.next || this.#count - before >= PAGE / 2) break;
      }
      setText(this.#note, this.#count ? t('found.count', { n: this.#count }) : t(this.#next ? 'found.none_yet' : 'found.none', { query: this.#query }));
    } catch (error) {
      if (turn === this.#turn) setText(this.#note, explain(error));
    }
    this.#more.hidden = !this.#next;
  }

  /** @param {Message} message */
  #row(message) {
    const { conversations, contacts } = now();
    const name = nameOf(contactOf(conversations[message.conversation_id], contacts));
    return el('li', {}, el('a', { class: 'found', href: `#/c/${encodeURIComponent(message.conversation_id)}/${encodeURIComponent(message.id)}` },
      el('span', { class: 'item-line' }, el('span', { class: 'item-name' }, this.#conversation && message.mine ? t('thread.you') : name),
        el('time', { class: 'item-time', datetime: message.sent_at, title: fullTime(message.sent_at) }, shortTime(message.sent_at))),
      el('span', { class: 'found-text', dir: 'auto' }, !this.#conversation && message.mine ? `${t('list.you')} ` : '', excerpt(message.text, this.#query))));
  }
}

class ThreadSearch extends HTMLElement {
  connectedCallback() {
    const conversation = this.getAttribute('conversation');
    const found = /** @type {any} */ (el('m-found', { hidden: true }));
    const input = el('input', { type: 'search', class: 'input search', autocomplete: 'off', spellcheck: 'false', enterkeyhint: 'search', maxlength: '100', 'aria-label': t('found.in_thread'), placeholder: t('found.in_thread') });
    const close = () => {
      this.hidden = true;
      input.value = '';
      found.ask('');
      this.dispatchEvent(new CustomEvent('closed'));
    };
    input.addEventListener('input', () => found.ask(input.value, conversation));
    this.addEventListener('keydown', event => {
      if (event.key === 'Escape' && !event.isComposing) {
        event.preventDefault();
        event.stopPropagation();
        close();
        return;
      }
      if (event.isComposing || !['ArrowDown', 'ArrowUp', 'Enter'].includes(event.key)) return;
      const links = [...found.querySelectorAll('a')];
      const at = links.indexOf(document.activeElement);
      if (event.key === 'Enter') {
        if (event.target === input) links[0]?.click();
        return;
      }
      const next = event.key === 'ArrowDown' ? links[at + 1] : at <= 0 ? input : links[at - 1];
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
    this.setAttribute('role', 'search');
    this.setAttribute('aria-label', t('found.in_thread'));
    this.replaceChildren(el('div', { class: 'search-box' }, icon('search'), input, button(t('found.close'), { glyph: 'close', bare: true, onclick: close })), found);
  }
}

customElements.define('m-found', Found);
customElements.define('m-thread-search', ThreadSearch);

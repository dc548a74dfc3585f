/** Where one writes: grows with the text, keeps a draft, counts SMS segments when the words go to a phone. */
import { api } from './api.js';
import { apply, el, setText } from './dom.js';
import { t } from './i18n.js';
import { button } from './parts.js';
import { countSegments } from './segments.js';
import { keepDraft, sendMessage } from './session.js';
import { now, watch } from './store.js';
import { tellTyping, typingIsOver } from './typing.js';

/** As many characters as the server takes. */
const TEXT_MAX = 4000;
const COUNT_FROM = 1;
const DRAFT_PAUSE_MS = 300;
const PRICE_PAUSE_MS = 400;

export class Composer extends HTMLElement {
  #text = el('textarea', { rows: '1', maxlength: String(TEXT_MAX), enterkeyhint: 'send', dir: 'auto' });
  #count = el('p', { class: 'count' });
  #spoken = el('p', { class: 'unseen', role: 'status' });
  #send = null;
  #pause = null;
  #sms = false;
  /** @type {{ conversationId?: string | null, contactId?: string | null, name?: string, contact?: string }} */
  #where = {};
  #end = null;
  #asking = 0;

  connectedCallback() {
    this.#send = button(t('composer.send'), { glyph: 'send', bare: true, kind: 'primary send', onclick: () => this.#submit() });
    this.replaceChildren(this.#count, this.#spoken, el('div', { class: 'composer-row' }, this.#text, this.#send));
    this.#text.addEventListener('input', () => this.#typed());
    this.#text.addEventListener('keydown', event => this.#keys(event));
  }

  disconnectedCallback() {
    this.#end?.();
    this.#keepDraft();
  }

  /** Says where the words go: `{ conversationId, contactId, name, contact }`. Brings the draft of that place. */
  open(where) {
    this.#where = where;
    apply(this.#text, { 'aria-label': t('composer.label', { name: where.name }), placeholder: t('composer.placeholder') });
    this.#end?.();
    // A draft that another tab goes on with is followed, unless one is writing here.
    this.#end = watch(({ drafts }) => drafts[this.#place()] ?? '', draft => {
      if (this.#text === document.activeElement && this.#text.value) return;
      this.#text.value = draft;
      this.#typed(false);
    });
  }

  /** Whether the other side is a phone. */
  set sms(sms) {
    if (this.#sms === sms) return;
    this.#sms = sms;
    this.#typed(false);
  }

  #place() {
    return this.#where.conversationId ?? this.#where.contactId;
  }

  #typed(draft = true) {
    this.#send.setAttribute('aria-disabled', String(!this.#text.value.trim()));
    this.#text.style.height = 'auto';
    this.#text.style.height = `${this.#text.scrollHeight}px`;
    this.#showCount();
    if (!draft) return;
    if (!this.#sms) tellTyping(this.#where.conversationId, Boolean(this.#text.value.trim()));
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.#keepDraft(), DRAFT_PAUSE_MS);
  }

  #showCount() {
    const { segments, left, unicode } = countSegments(this.#text.value);
    const shown = this.#sms && this.#text.value.length >= COUNT_FROM;
    this.#count.hidden = !shown;
    if (!shown) return;
    const words = t('composer.segments', { n: segments });
    setText(this.#count, `${words} · ${t('composer.left', { left })}${unicode ? ` · ${t('composer.unicode')}` : ''}`);
    this.#askPrice();
    // Spoken only when a message more is needed, not with every letter.
    if (segments > 1) setText(this.#spoken, words);
    else setText(this.#spoken, '');
  }

  /** The server knows what it costs, and whether it saves something by plainer characters. */
  #askPrice() {
    clearTimeout(this.#asking);
    const text = this.#text.value;
    this.#asking = setTimeout(async () => {
      const known = await api.post('/v1/messages/preview', { text, ...(this.#where.contact ? { contact_id: this.#where.contact } : {}) }).catch(() => null);
      if (!known || text !== this.#text.value) return;
      const parts = [t('composer.segments', { n: known.segments }), t('composer.left', { left: known.units_left })];
      if (known.price) parts.push(t('composer.price', known.price));
      if (known.replaced?.length) parts.push(t('composer.replaced'));
      else if (known.culprit) parts.push(t('composer.unicode'));
      setText(this.#count, parts.join(' · '));
      if (known.segments > 1) setText(this.#spoken, parts[0]);
    }, PRICE_PAUSE_MS);
  }

  #keepDraft() {
    clearTimeout(this.#pause);
    if (this.#place() && (now().drafts[this.#place()] ?? '') !== this.#text.value) keepDraft(this.#place(), this.#text.value);
  }

  #keys(event) {
    // A Korean syllable that is still being composed ends with Enter too.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (matchMedia('(pointer: coarse)').matches) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.#text.value.trim();
    if (!text) return;
    sendMessage({ ...this.#where, text });
    typingIsOver();
    this.#text.value = '';
    this.#typed(false);
    this.#keepDraft();
    this.#text.focus();
    this.dispatchEvent(new CustomEvent('sent'));
  }
}

customElements.define('m-composer', Composer);

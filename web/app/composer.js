/** Where one writes: grows with the text, keeps a draft, holds what is answered and what goes along, counts SMS segments when
 * the words go to a phone. */
import { api } from './api.js';
import { apply, el, fill, setText } from './dom.js';
import { t } from './i18n.js';
import { attempt, button } from './parts.js';
import { quoteParts } from './quote.js';
import { countSegments } from './segments.js';
import { keepDraft, sendMessage } from './session.js';
import { contactOf, now, watch } from './store.js';
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
  #attach = null;
  #quote = null;
  #quoted = el('div', { class: 'quoting', hidden: true });
  /** What goes along; comes when it is wanted. */
  #tray = null;
  #pause = null;
  #sms = false;
  /** @type {{ conversationId?: string | null, contactId?: string | null, name?: string, contact?: string }} */
  #where = {};
  /** @type {{ sms: number } | null} */
  #group = null;
  #end = null;
  #asking = 0;

  connectedCallback() {
    this.#send = button(t('composer.send'), { glyph: 'send', bare: true, kind: 'primary send', onclick: () => this.#submit() });
    const file = el('input', { type: 'file', multiple: true, class: 'unseen', tabindex: '-1', 'aria-label': t('upload.choose') });
    file.addEventListener('change', () => {
      this.take([...file.files]);
      file.value = '';
    });
    this.#attach = button(t('upload.choose'), { glyph: 'attach', bare: true, kind: 'attach', title: t('upload.hint'), onclick: () => file.click() });
    this.replaceChildren(this.#count, this.#spoken, this.#quoted, el('div', { class: 'composer-row' }, this.#attach, file, this.#text, this.#send));
    this.#text.addEventListener('paste', event => {
      const files = [...event.clipboardData?.files ?? []];
      if (!files.length) return;
      event.preventDefault();
      this.take(files);
    });
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
      if (document.hasFocus() && this.#text === document.activeElement && this.#text.value) return;
      this.#text.value = draft;
      this.#typed(false);
    });
  }

  /** The message that is answered, as `reply_to` has it; null for none. */
  get quote() {
    return this.#quote;
  }

  set quote(quote) {
    this.#quote = quote;
    this.#quoted.hidden = !quote;
    if (quote) {
      const { conversations, contacts } = now();
      const other = contactOf(conversations[this.#where.conversationId], contacts);
      fill(this.#quoted, el('button', { type: 'button', class: 'quote', onclick: () => this.dispatchEvent(new CustomEvent('quoted', { detail: quote.id })) },
        el('span', { class: 'unseen' }, `${t('reply.to')} `), ...quoteParts(quote, other)),
        button(t('reply.cancel'), { glyph: 'close', bare: true, onclick: () => { this.quote = null; } }));
      setText(this.#spoken, `${t('reply.to')} ${quote.text}`);
    }
    this.#text.focus();
    this.#showCount();
  }

  /** Takes pictures and files that are to go along. */
  take(files) {
    if (!files.length || this.#group) return;
    attempt(async () => {
      await import('./uploads.js');
      if (!this.#tray) {
        this.#tray = el('m-uploads', {});
        this.#tray.addEventListener('changed', () => this.#typed(false));
        this.#quoted.after(this.#tray);
      }
      this.#tray.add(files);
      this.#text.focus();
    });
  }

  /** The group of phones that it goes to: every phone's part counts, and only words go. */
  set group(group) {
    if (this.#group === group) return;
    this.#group = group;
    this.#attach.hidden = Boolean(group);
    this.#showCount();
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
    this.#send.setAttribute('aria-disabled', String(!this.#ready()));
    this.#text.style.height = 'auto';
    this.#text.style.height = `${this.#text.scrollHeight}px`;
    this.#showCount();
    if (!draft) return;
    if (!this.#sms) tellTyping(this.#where.conversationId, Boolean(this.#text.value.trim()));
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.#keepDraft(), DRAFT_PAUSE_MS);
  }

  #ready() {
    return !this.#tray?.busy && Boolean(this.#text.value.trim() || this.#tray?.media.length);
  }

  #showCount() {
    const { segments, left, unicode } = countSegments(this.#text.value);
    const along = Boolean(this.#tray?.media.length);
    const shown = this.#sms && (along || this.#text.value.length >= COUNT_FROM);
    this.#count.hidden = !shown;
    if (!shown) return;
    const phones = this.#group?.sms ?? 1;
    const words = segmentWords(segments * phones, phones);
    if (!along) setText(this.#count, `${words} · ${t('composer.left', { left })}${unicode ? ` · ${t('composer.unicode')}` : ''}`);
    else setText(this.#count, t('upload.to_phone'));
    // Spoken only when a message more is needed, not with every letter.
    this.#askPrice();
    if (segments > 1 || phones > 1) setText(this.#spoken, words);
    else if (!this.#quote) setText(this.#spoken, '');
  }

  /** The server knows what it costs, and whether it saves something by plainer characters. */
  #askPrice() {
    clearTimeout(this.#asking);
    const [text, quote, media] = [this.#text.value, this.#quote, (this.#tray?.media ?? []).map(({ id }) => id)];
    this.#asking = setTimeout(async () => {
      const body = { text, media, ...(this.#group ? { conversation_id: this.#where.conversationId } : this.#where.contact ? { contact_id: this.#where.contact } : {}), ...(quote ? { reply_to: quote.id } : {}) };
      const known = await api.post('/v1/messages/preview', body).catch(() => null);
      if (!known || text !== this.#text.value || quote !== this.#quote) return;
      if (media.length) {
        this.#tray?.ways(known.media);
        return;
      }
      const parts = known.goes_as === 'group_mms' ? [t('composer.group_mms', { n: known.phones })] : [segmentWords(known.segments, known.phones), t('composer.left', { left: known.units_left })];
      if (known.price) parts.push(t('composer.price', known.price));
      if (known.replaced?.length) parts.push(t('composer.replaced'));
      else if (known.culprit) parts.push(t('composer.unicode'));
      if (quote) parts.push(t(known.text.includes('> ') ? 'reply.on_phone' : 'reply.not_on_phone'));
      setText(this.#count, parts.join(' · '));
      if (known.segments > 1) setText(this.#spoken, parts[0]);
    }, PRICE_PAUSE_MS);
  }

  #keepDraft() {
    clearTimeout(this.#pause);
    if (this.#place() && (now().drafts[this.#place()] ?? '') !== this.#text.value) keepDraft(this.#place(), this.#text.value);
  }

  #keys(event) {
    if (event.key === 'Escape' && this.#quote && !event.isComposing) {
      event.preventDefault();
      event.stopPropagation();
      this.quote = null;
      return;
    }
    if ((event.ctrlKey || event.metaKey) && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
      event.preventDefault();
      this.dispatchEvent(new CustomEvent('earlier', { detail: event.key === 'ArrowUp' ? -1 : 1 }));
      return;
    }
    // A Korean syllable that is still being composed ends with Enter too.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    if (matchMedia('(pointer: coarse)').matches) return;
    event.preventDefault();
    this.#submit();
  }

  #submit() {
    const text = this.#text.value.trim();
    if (!this.#ready()) return;
    sendMessage({ ...this.#where, text, media: this.#tray?.media ?? [], reply_to: this.#quote });
    this.#tray?.clear();
    typingIsOver();
    this.#text.value = '';
    if (this.#quote) this.quote = null;
    this.#typed(false);
    this.#keepDraft();
    this.#text.focus();
    this.dispatchEvent(new CustomEvent('sent'));
  }
}

/** To a group, every phone's part counts. */
function segmentWords(n, phones) {
  const words = t('composer.segments', { n });
  return phones > 1 ? `${words} · ${t('composer.phones', { n: phones })}` : words;
}

customElements.define('m-composer', Composer);

/** `<m-uploads>`: pictures and files that are to go with a message: what they look like, how far they are, taken away again. */
import { token, uuid } from './api.js';
import { el, fill, setText } from './dom.js';
import { explain, t } from './i18n.js';
import { icon } from './icons.js';
import { button, toast } from './parts.js';

/** As the server has it: bytes of a file, and files of a message. */
const BYTES_MAX = 8 << 20;
const COUNT_MAX = 10;
/** Kinds that a browser can show before they are sent. */
const SHOWN = /^image\/(jpeg|png|gif|webp)$/;

class Uploads extends HTMLElement {
  /** @type {{ file: File, node: any, bar: any, how: any, media: any, request: XMLHttpRequest | null, failed: boolean }[]} */
  #items = [];
  #list = el('ul', { class: 'upload-list' });
  #hint = el('p', { class: 'hint' });
  #spoken = el('p', { class: 'unseen', role: 'status' });

  connectedCallback() {
    setText(this.#hint, t('upload.hint'));
    this.replaceChildren(this.#list, this.#hint, this.#spoken);
    this.hidden = !this.#items.length;
  }

  disconnectedCallback() {
    this.clear();
  }

  /** What the server has of them. */
  get media() {
    return this.#items.map(({ media }) => media).filter(Boolean);
  }

  /** Whether some are not there yet, or cannot be. */
  get busy() {
    return this.#items.some(({ media }) => !media);
  }

  /** Takes files as they were chosen, dropped or pasted. */
  add(files) {
    for (const file of files) {
      if (this.#items.length >= COUNT_MAX) {
        toast(t('upload.too_many'));
        break;
      }
      if (file.size > BYTES_MAX) toast(t('upload.too_large', { name: file.name }));
      else if (file.size) this.#begin(file);
    }
    this.#changed();
  }

  /** Takes all of them away. */
  clear() {
    for (const item of [...this.#items]) this.#drop(item, false);
    this.#changed();
  }

  /** Says how each reaches a phone: `[{ id, goes_as }]`. */
  ways(list) {
    for (const item of this.#items) {
      const way = list.find(({ id }) => id === item.media?.id)?.goes_as;
      if (item.media) setText(item.how, way ? t(`upload.goes_${way}`) : '');
    }
  }

  #begin(file) {
    const bar = el('progress', { max: '1', value: '0', 'aria-label': t('upload.progress', { name: file.name }) });
    const how = el('span', { class: 'upload-how' }, t('upload.sending'));
    const shown = SHOWN.test(file.type) ? el('img', { src: URL.createObjectURL(file), alt: '' }) : icon('attach');
    const item = { file, bar, how, media: null, request: null, failed: false, node: null };
    item.node = el('li', { class: 'upload' }, el('span', { class: 'upload-face' }, shown),
      el('span', { class: 'upload-words' }, el('span', { class: 'upload-name' }, file.name), how, bar),
      button(t('upload.remove', { name: file.name }), { glyph: 'close', bare: true, onclick: () => this.#drop(item) }));
    this.#items.push(item);
    this.#list.append(item.node);
    this.#send(item);
  }

  async #send(item) {
    item.failed = false;
    item.bar.hidden = false;
    setText(item.how, t('upload.sending'));
    try {
      item.media = await this.#post(item, await token());
      setText(item.how, '');
      setText(this.#spoken, t('upload.done', { name: item.file.name }));
    } catch (error) {
      if (!this.#items.includes(item)) return;
      item.failed = true;
      fill(item.how, explain(error), ' ', button(t('common.try_again'), { kind: 'link', onclick: () => this.#send(item) }));
      setText(this.#spoken, t('upload.failed', { name: item.file.name }));
    }
    item.bar.hidden = true;
    this.#changed();
  }

  /** `fetch` does not tell how much has left. */
  #post(item, bearer) {
    return new Promise((done, fail) => {
      const request = new XMLHttpRequest();
      item.request = request;
      request.open('POST', `/v1/media?${new URLSearchParams({ name: item.file.name })}`);
      request.setRequestHeader('Authorization', `Bearer ${bearer}`);
      request.setRequestHeader('Idempotency-Key', uuid());
      request.setRequestHeader('Content-Type', item.file.type || 'application/octet-stream');
      request.upload.onprogress = ({ loaded, total }) => { item.bar.value = total ? loaded / total : 0; };
      request.onerror = () => fail(Object.assign(new Error(t('error.offline')), { status: 0, code: 'offline' }));
      request.onload = () => {
        let body = {};
        try {
          body = JSON.parse(request.responseText);
        } catch { /* no answer of ours */ }
        if (request.status === 201) done(body);
        else fail(Object.assign(new Error(body.detail ?? ''), { status: request.status, code: body.fields?.[0]?.code ?? body.code }));
      };
      request.send(item.file);
    });
  }

  #drop(item, focus = true) {
    this.#items = this.#items.filter(other => other !== item);
    item.request?.abort();
    const image = item.node.querySelector('img');
    if (image) URL.revokeObjectURL(image.src);
    item.node.remove();
    if (focus) {
      this.#changed();
      (this.#list.querySelector('button') ?? this.parentNode.querySelector('textarea'))?.focus();
    }
  }

  #changed() {
    this.hidden = !this.#items.length;
    this.dispatchEvent(new CustomEvent('changed'));
  }
}

customElements.define('m-uploads', Uploads);

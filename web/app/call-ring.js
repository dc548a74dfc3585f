/** Somebody calls: a sheet over everything, a sound in one tab of this browser, a notice, and the keys Enter and Escape. */
import { el, setText } from './dom.js';
import { t } from './i18n.js';
import { notice } from './notify.js';
import { api } from './api.js';
import { showFace } from './faces.js';
import { attempt, button, nameOf } from './parts.js';
import { ring as sound } from './call-sound.js';
import { threadAddress } from './router.js';
import { recall, sessionName } from './storage.js';
import { now } from './store.js';
import './call-icons.js';

/** Who was in the middle of a line does not answer with the Enter that was meant for it. */
const TOO_SOON_MS = 800;

export class Ring {
  #call;
  #act;
  #began = Date.now();
  #quiet = null;
  #expiry = 0;
  #dialog;
  #problem = el('p', { class: 'form-error', role: 'alert', hidden: true });
  #said = el('div', { class: 'ring-said' });
  #accept;
  #closeNotice = () => {};

  /** @param {{ accept: () => void, decline: (toVoicemail: boolean) => void, over: () => void }} act */
  constructor(call, act) {
    this.#call = call;
    this.#act = act;
    this.#build();
    document.body.append(this.#dialog);
    this.#dialog.showModal();
    this.#dialog.querySelector(typing() ? 'h2' : '.ring-accept').focus();
    this.#sound();
    this.#notice();
    this.update(call);
  }

  /** The same call, with more known of it. */
  update(call) {
    this.#call = call;
    clearTimeout(this.#expiry);
    // No word that it is over may ever come: it ends by itself.
    if (call.expires_at) this.#expiry = setTimeout(() => this.#act.over(), Math.max(0, Date.parse(call.expires_at) - Date.now()));
    const said = call.screening?.said_url;
    if (said && this.#said.dataset.url !== said) {
      this.#said.dataset.url = said;
      this.#said.replaceChildren(button(t('ring.said'), { glyph: 'play', kind: 'small', onclick: () => attempt(() => hear(said)) }));
    }
  }

  /** Says why it could not be answered; it goes on ringing, without the sound. */
  fail(text) {
    this.#quiet?.();
    setText(this.#problem, text);
    this.#problem.hidden = false;
    this.#accept.removeAttribute('aria-disabled');
  }

  end() {
    clearTimeout(this.#expiry);
    this.#quiet?.();
    this.#closeNotice();
    this.#dialog.close();
    this.#dialog.remove();
  }

  #build() {
    const { contact } = this.#call;
    const name = nameOf(contact);
    const known = now().contacts[contact?.id];
    this.#accept = button(t('ring.accept'), { glyph: 'call', kind: 'ring-accept', onclick: () => this.#answer() });
    const decline = button(t('ring.decline'), { glyph: 'hangup', kind: 'ring-decline', onclick: () => this.#act.decline(false) });
    const trust = { A: 'ring.attested', C: 'ring.unattested' }[this.#call.attestation];
    this.#dialog = el('dialog', { class: 'dialog ring', role: 'alertdialog', 'aria-labelledby': 'ring-who', 'aria-describedby': 'ring-how' },
      el('span', { class: 'ring-face' }, showFace(el('span', {}), known ?? contact, 'large')),
      el('h2', { id: 'ring-who', tabindex: '-1' }, name),
      el('p', { id: 'ring-how', class: 'muted', role: 'status' }, t(this.#call.via === 'phone' ? 'ring.from_phone' : 'ring.from_chat')),
      trust ? el('p', { class: 'hint' }, t(trust)) : null,
      this.#said, this.#problem,
      el('div', { class: 'ring-acts' }, decline, this.#accept),
      el('div', { class: 'ring-more' },
        button(t('ring.to_voicemail'), { kind: 'link', onclick: () => this.#act.decline(true) }),
        known ? button(t('ring.write'), { kind: 'link', onclick: () => {
          this.#act.decline(false);
          location.hash = threadAddress(known);
        } }) : null));
    this.#dialog.addEventListener('cancel', event => {
      event.preventDefault();
      this.#act.decline(false);
    });
    this.#dialog.addEventListener('keydown', event => {
      if (event.key !== 'Enter' && event.key !== ' ') return;
      if (Date.now() - this.#began < TOO_SOON_MS || event.repeat) event.preventDefault();
      else if (event.key === 'Enter' && !event.target.closest('button')) this.#answer();
    });
  }

  #answer() {
    if (this.#accept.getAttribute('aria-disabled') === 'true') return;
    this.#accept.setAttribute('aria-disabled', 'true');
    this.#problem.hidden = true;
    this.#act.accept();
  }

  /** One tab rings: the one that has the lock. One that may not make a sound gives it on. */
  #sound() {
    if (!recall('ring', true)) return;
    let ended = () => {};
    const over = new Promise(done => { ended = () => done(null); });
    const leave = new AbortController();
    this.#quiet = () => {
      leave.abort();
      ended();
    };
    const play = async () => {
      const stop = await sound();
      if (stop) await over;
      stop?.();
    };
    if (navigator.locks) navigator.locks.request(`${sessionName}:ring:${this.#call.id}`, { signal: leave.signal }, play).catch(() => {});
    else play();
  }

  #notice() {
    const { contact, id } = this.#call;
    if (!document.hidden && document.hasFocus()) return;
    notice(nameOf(contact), { body: t('ring.notice'), icon: '/icon.svg', tag: id, requireInteraction: true, data: { address: '/#/calls' } })
      .then(close => { this.#closeNotice = close; }, () => {});
  }
}

function typing() {
  const at = document.activeElement;
  return at?.matches('textarea, input') && Boolean(at.value);
}

/** What the caller said as a name. */
async function hear(path) {
  const url = URL.createObjectURL(await api.file(path));
  const audio = new Audio(url);
  audio.addEventListener('ended', () => URL.revokeObjectURL(url));
  await audio.play();
}

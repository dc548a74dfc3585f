/** The call that one is in: a bar above everything else, on a narrow page a screen of its own that can be made a bar. */
import { barsNode } from './call-figures.js';
import { press } from './call-sound.js';
import { length } from './calls.js';
import { el, fill, setText } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { avatar, button } from './parts.js';
import { View } from './view.js';
import './call-icons.js';

const DIGITS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#'];
const LETTERS = { 2: 'ABC', 3: 'DEF', 4: 'GHI', 5: 'JKL', 6: 'MNO', 7: 'PQRS', 8: 'TUV', 9: 'WXYZ', 0: '+' };

/**
 * What the panel shows: `kind` says what one can do in it. `since` is when the two began to talk.
 * @typedef {{ kind: 'mine' | 'away' | 'mailbox' | 'listens' | 'over', name: string, photo?: string | null, status: string, since?: number | null,
 *   muted?: boolean, held?: boolean, recording?: 'off' | 'asked' | 'on', asksMe?: boolean, bars?: number | null, hint?: string,
 *   alert?: boolean, talking?: boolean, blocked?: boolean }} CallShown
 */

class CallPanel extends View {
  /** @type {Record<string, (value?: any) => void>} */
  act = {};
  /** @type {CallShown | null} */
  #shown = null;
  #dialled = '';
  /** @type {Record<string, any>} */
  #parts = {};

  connectedCallback() {
    const p = this.#parts;
    p.face = el('span', { class: 'call-face' });
    p.name = el('strong', { class: 'call-name' });
    p.status = el('span', { role: 'status' });
    p.time = el('span', { class: 'call-time mono', role: 'timer' });
    p.bars = el('span', { class: 'call-bars' });
    p.hint = el('p', { class: 'call-hint', role: 'status' });
    p.ask = el('div', { class: 'call-ask', role: 'alert' });
    p.acts = el('div', { class: 'call-acts' });
    p.dialled = el('output', { class: 'keys-dialled mono', 'aria-label': t('call.dialled') });
    p.keys = el('div', { class: 'call-keys', role: 'group', 'aria-label': t('call.keypad'), hidden: true }, p.dialled, DIGITS.map(digit => el('button', {
      type: 'button', class: 'key', onclick: () => this.#press(digit) }, digit, el('small', { 'aria-hidden': 'true' }, LETTERS[digit] ?? ''))));
    p.fold = button(t('call.fold'), { glyph: 'fold', bare: true, kind: 'call-fold', onclick: () => this.#unfold(!this.hasAttribute('whole')) });
    const who = el('div', { class: 'call-who' }, p.face, el('div', { class: 'call-words' }, p.name, el('span', { class: 'call-state' }, p.status, p.time, p.bars)));
    who.addEventListener('click', () => this.#unfold(true));
    p.section = el('section', { class: 'call' }, p.fold, who, p.hint, p.ask, p.keys, p.acts);
    this.replaceChildren(p.section);
    this.addEventListener('keydown', event => this.#keys(event));
    const tick = setInterval(() => this.#tick(), 500);
    this.atEnd(() => clearInterval(tick));
    this.#unfold(true);
  }

  /** @param {CallShown} shown */
  show(shown) {
    const before = this.#shown;
    this.#shown = shown;
    const p = this.#parts;
    if (before?.name !== shown.name || before?.photo !== shown.photo) {
      p.face.replaceChildren(avatar(shown.name, { photo: shown.photo }));
      p.section.setAttribute('aria-label', t('call.with', { name: shown.name }));
      setText(p.name, shown.name);
    }
    p.section.dataset.kind = shown.kind;
    p.section.dataset.held = String(Boolean(shown.held));
    setText(p.status, shown.status);
    setText(p.hint, shown.hint ?? '');
    p.hint.classList.toggle('alarm', Boolean(shown.alert));
    if (before?.bars !== shown.bars) fill(p.bars, shown.bars ? barsNode(shown.bars) : null);
    this.#showAsk(before, shown);
    this.#showActs(before, shown);
    this.#tick();
  }

  /** The other side would like to record; it is asked once, and only an answer takes the question away. */
  #showAsk(before, shown) {
    const sign = shown.blocked ? 'play' : shown.asksMe ? 'record' : '';
    const p = this.#parts;
    if (p.ask.dataset.sign === sign) return;
    p.ask.dataset.sign = sign;
    if (sign === 'play') fill(p.ask, el('span', {}, t('call.blocked')), button(t('call.listen'), { kind: 'small', onclick: () => this.act.play() }));
    else if (sign === 'record') {
      fill(p.ask, el('span', {}, t('call.record_asks', { name: shown.name })),
        button(t('call.agree'), { kind: 'small', onclick: () => this.act.agree(true) }),
        button(t('call.refuse'), { kind: 'small', onclick: () => this.act.agree(false) }));
    } else fill(p.ask);
  }

  #showActs(before, shown) {
    const { acts, keys } = this.#parts;
    const sign = `${shown.kind}/${shown.talking}`;
    if (acts.dataset.sign !== sign) {
      const focused = acts.querySelector(':focus')?.dataset.act;
      acts.dataset.sign = sign;
      fill(acts, this.#actsFor(shown));
      if (!shown.talking) keys.hidden = true;
      if (focused) (acts.querySelector(`[data-act="${focused}"]`) ?? acts.querySelector('button')).focus();
    }
    this.#turn('mute', shown.muted, shown.muted ? 'nomic' : 'mic', shown.muted ? 'call.unmute' : 'call.mute');
    this.#turn('hold', shown.held, shown.held ? 'play' : 'pause', shown.held ? 'call.resume' : 'call.hold');
    const records = shown.recording === 'on' || (shown.recording === 'asked' && !shown.asksMe);
    this.#turn('record', records, 'record', records ? 'call.record_stop' : 'call.record');
    this.#turn('keypad', !keys.hidden, 'keypad', 'call.keypad');
  }

  #actsFor({ kind, talking }) {
    const one = (name, glyph, label, act, extra = '') => el('button', { type: 'button', class: `call-act ${extra}`, dataset: { act: name }, onclick: act }, icon(glyph), el('span', {}, t(label)));
    const close = one('close', 'close', 'call.close', () => this.act.close());
    if (kind === 'over') return [close];
    if (kind === 'away') return [one('move', 'call', 'call.move', () => this.act.move(), 'good wide'), close];
    const take = one('take', 'call', 'call.take', () => this.act.take(), 'good wide');
    if (kind === 'mailbox') return [one('listen', 'play', 'call.listen', () => this.act.listen()), take, close];
    if (kind === 'listens') return [take, one('hang-up', 'close', 'call.listen_stop', () => this.act.hangUp())];
    const hangUp = one('hang-up', 'hangup', 'call.hang_up', () => this.act.hangUp(), 'bad wide');
    const mute = one('mute', 'mic', 'call.mute', () => this.act.mute());
    if (!talking) return [mute, hangUp];
    return [mute, one('hold', 'pause', 'call.hold', () => this.act.hold()), one('keypad', 'keypad', 'call.keypad', () => this.#toggleKeys()),
      one('record', 'record', 'call.record', () => this.act.record()), hangUp];
  }

  /** Shows which way a switch stands: its words say what a press would do. */
  #turn(name, on, glyph, label) {
    const node = this.#parts.acts.querySelector(`[data-act="${name}"]`);
    const sign = `${on}/${glyph}/${label}`;
    if (!node || node.sign === sign) return;
    node.sign = sign;
    node.dataset.on = String(Boolean(on));
    if (name === 'keypad') node.setAttribute('aria-expanded', String(Boolean(on)));
    node.replaceChildren(icon(glyph), el('span', {}, t(label)));
  }

  #tick() {
    const since = this.#shown?.since;
    setText(this.#parts.time, since ? length(Math.max(0, (Date.now() - since) / 1000)) : '');
  }

  #toggleKeys() {
    const { keys } = this.#parts;
    keys.hidden = !keys.hidden;
    this.show(this.#shown);
    if (!keys.hidden) keys.querySelector('button').focus();
  }

  #press(digit) {
    press(digit);
    this.#dialled = (this.#dialled + digit).slice(-24);
    setText(this.#parts.dialled, this.#dialled);
    this.act.digit(digit);
  }

  /** With the keypad open, the keys of the keyboard are its keys. */
  #keys(event) {
    const { keys, acts } = this.#parts;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!keys.hidden && DIGITS.includes(event.key)) {
      event.preventDefault();
      this.#press(event.key);
    } else if (event.key === 'Escape') {
      event.preventDefault();
      if (!keys.hidden) {
        this.#toggleKeys();
        acts.querySelector('[data-act="keypad"]')?.focus();
      } else this.#unfold(false);
    }
  }

  /** On a narrow page: a screen of its own, or a bar that leaves room for the rest. */
  #unfold(whole) {
    this.toggleAttribute('whole', whole);
    this.#parts.fold.setAttribute('aria-expanded', String(whole));
  }
}

customElements.define('m-call', CallPanel);

/** Calls on a simulated phone: a keypad with what was dialled before, and the screen of the call that rings or runs. */
import { avatar, el, replaceItems, setText, shownNumber, shownTime } from './parts.js';
import { bell, PhoneSound } from './sound.js';

const DIGITS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#'];
const LETTERS = { 2: 'ABC', 3: 'DEF', 4: 'GHI', 5: 'JKL', 6: 'MNO', 7: 'PQRS', 8: 'TUV', 9: 'WXYZ', 0: '+' };
const LINGER_MS = 2_500;
const RECENT_MAX = 20;

export class PhoneCalls {
  #host;
  #calls = new Map();
  #current = null;
  #sound = null;
  #quiet = null;
  #since = 0;
  #timer = 0;
  #voice = 'mic';
  #ear = true;
  /** @type {Record<string, any>} */
  #parts = {};

  /**
   * @param {{ text: () => any, line: () => any, who: (number: string) => { name: string, photo: string | null, known: boolean },
   *   full: (typed: string) => string, attempt: (act: () => Promise<any>) => Promise<any>, language: () => string,
   *   name: () => string, covered: (yes: boolean) => void }} host the phone
   */
  constructor(host) {
    this.#host = host;
  }

  /** Makes the keypad's panel and the call's screen, anew for each language. */
  build() {
    const text = this.#host.text();
    /** @type {Record<string, any>} */
    const p = {};
    this.#parts = p;
    const key = (digit, act) => el('button', { class: 'key', type: 'button', onclick: () => act(digit) }, digit, el('small', { 'aria-hidden': 'true' }, LETTERS[digit] ?? ''));
    p.typed = el('input', { class: 'typed', type: 'tel', autocomplete: 'off', 'aria-label': text.number, oninput: () => this.#showTyped(), onkeydown: event => event.key === 'Enter' && this.#dialTyped() });
    p.match = el('p', { class: 'match', role: 'status' });
    p.dial = el('button', { class: 'round good', type: 'button', onclick: () => this.#dialTyped() }, text.call);
    p.recent = el('ul', { class: 'rows' });
    p.panel = [p.typed, p.match, el('div', { class: 'keys' }, ...DIGITS.map(digit => key(digit, one => {
      p.typed.value += one;
      this.#showTyped();
    }))), p.dial, p.recent];
    p.face = el('div', { class: 'face' });
    p.name = el('strong', { class: 'call-name', dir: 'auto' });
    p.number = el('span', { class: 'number' });
    p.state = el('span', { class: 'call-state', role: 'status' });
    p.time = el('span', { class: 'call-time', role: 'timer' });
    p.said = el('p', { class: 'said', role: 'status' });
    p.meter = el('div', { class: 'meter', 'aria-hidden': 'true' }, el('i', {}), el('i', {}), el('i', {}), el('i', {}), el('i', {}));
    p.voice = el('select', { class: 'voice', 'aria-label': text.voice, onchange: () => this.speakWith(p.voice.value) }, el('option', { value: 'mic' }, text.voice_mic), el('option', { value: 'tune' }, text.voice_tune));
    p.keys = el('div', { class: 'keys', hidden: true, role: 'group', 'aria-label': text.keypad }, ...DIGITS.map(digit => key(digit, one => this.#digit(one))));
    p.more = el('button', { class: 'round', type: 'button', 'aria-expanded': 'false', onclick: () => this.#toggleKeys() }, text.keypad);
    p.answer = el('button', { class: 'round good', type: 'button', onclick: () => this.#answer() }, text.answer);
    p.end = el('button', { class: 'round bad', type: 'button', onclick: () => this.#hangUp() });
    p.screen = el('section', { class: 'calling', hidden: true, 'aria-label': text.call_screen },
      p.face, p.name, p.number, p.state, p.time, p.meter, p.said, p.keys, p.voice, el('div', { class: 'call-acts' }, p.more, p.end, p.answer));
    this.show();
    return p;
  }

  /** All calls of the phone, as it was read. */
  takeAll(calls = []) {
    this.#calls = new Map(calls.map(call => [call.id, call]));
    const live = calls.find(({ state }) => state !== 'ended');
    if (live) this.take(live);
    else if (this.#current && !this.#calls.has(this.#current.id)) this.#over(null);
    this.show();
  }

  /** One call is new, or came further. */
  take(call) {
    this.#calls.set(call.id, { ...this.#calls.get(call.id), ...call });
    if (call.state === 'ended') {
      if (this.#current?.id === call.id) this.#over(call);
    } else if (!this.#current || this.#current.id === call.id || this.#current.state === 'ended') {
      this.#begin(call);
    }
    this.show();
  }

  /** Dials a number. */
  async dial(number) {
    if (this.#current && this.#current.state !== 'ended') return;
    const to = this.#host.full(number);
    // The press that dials is what allows the sound.
    this.#openSound();
    const made = await this.#host.attempt(() => this.#host.line().dial(to));
    if (!made) {
      this.#closeSound();
      return;
    }
    this.#parts.typed.value = '';
    this.take({ id: made.id, direction: 'outgoing', with: to, state: 'dialling', since: new Date().toISOString(), ...this.#calls.get(made.id), ...made });
  }

  /** What the phone speaks with, `mic` or `tune`. */
  async speakWith(voice) {
    this.#voice = voice;
    this.#parts.voice.value = voice;
    await this.#host.attempt(() => this.#sound?.speakWith(voice, this.#host.name().toLowerCase()).catch(error => {
      this.#parts.voice.value = this.#voice = 'tune';
      return this.#sound?.speakWith('tune', this.#host.name().toLowerCase()).finally(() => {
        throw Object.assign(error, { message: this.#host.text().no_mic });
      });
    }));
  }

  /** Whether one hears what the phone hears. */
  hear(on) {
    this.#ear = on;
    this.#sound?.hear(on);
  }

  /** Ends what sounds. */
  close() {
    clearTimeout(this.#timer);
    this.#closeSound();
    this.#quiet?.();
    this.#quiet = this.#current = null;
  }

  show() {
    const p = this.#parts;
    if (!p.screen) return;
    this.#showTyped();
    const call = this.#current;
    const was = !p.screen.hidden;
    p.screen.hidden = !call;
    this.#host.covered(Boolean(call));
    if (!call) return;
    const text = this.#host.text();
    const { name, photo, known } = this.#who(call);
    if (p.face.dataset.name !== name) {
      p.face.dataset.name = name;
      p.face.replaceChildren(avatar(name, photo));
    }
    setText(p.name, name);
    setText(p.number, known ? shownNumber(call.with) : '');
    p.screen.dataset.state = call.state;
    const comes = call.direction === 'incoming' && call.state === 'ringing';
    setText(p.state, call.state === 'ended' ? text.reasons[call.reason?.replace('-', '_')] ?? text.over : comes ? text.comes : text[`call_${call.state}`] ?? '');
    // What the carrier's own voice says: the simulator has none, so it is read.
    setText(p.said, call.spoken?.at(-1) ?? '');
    p.answer.hidden = !comes;
    setText(p.end, comes ? text.decline : text.hang_up);
    p.end.disabled = call.state === 'ended';
    p.more.hidden = p.voice.hidden = p.meter.hidden = call.state !== 'talking';
    if (call.state !== 'talking') p.keys.hidden = true;
    p.voice.value = this.#voice;
    this.tick();
    if (!was && !p.screen.hidden) (comes ? p.answer : p.end).focus({ preventScroll: true });
  }

  /** The clock of a call goes on. */
  tick() {
    const talking = this.#current?.state === 'talking' && this.#since;
    const seconds = talking ? Math.max(0, Math.floor((Date.now() - this.#since) / 1000)) : 0;
    setText(this.#parts.time, talking ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}` : '');
  }

  #who(call) {
    const found = this.#host.who(call.with);
    return call.name && !found.known ? { ...found, name: call.name, known: true } : found;
  }

  #begin(call) {
    const before = this.#current;
    this.#current = this.#calls.get(call.id);
    clearTimeout(this.#timer);
    if (call.state === 'talking' && before?.state !== 'talking') this.#since = Date.now();
    const rings = call.direction === 'incoming' && call.state === 'ringing';
    if (rings && !this.#quiet) this.#quiet = bell();
    if (!rings) {
      this.#quiet?.();
      this.#quiet = null;
      this.#openSound();
      this.#connect(call);
    }
  }

  #over(call) {
    this.#closeSound();
    this.#quiet?.();
    this.#quiet = null;
    this.#current = call ? this.#calls.get(call.id) : null;
    this.#timer = setTimeout(() => {
      this.#current = null;
      this.show();
    }, LINGER_MS);
  }

  #openSound() {
    if (this.#sound) return;
    const bars = this.#parts.meter.children;
    this.#sound = new PhoneSound(level => {
      const lit = Math.round(Math.min(1, level * 3) * bars.length);
      [...bars].forEach((bar, index) => bar.classList.toggle('on', index < lit));
    });
    this.#sound.hear(this.#ear);
    this.speakWith(this.#voice);
  }

  #connect(call) {
    if (this.#sound.url) return;
    this.#sound.url = this.#host.line().audio(call.id);
    this.#host.attempt(() => this.#sound.open(this.#sound.url));
  }

  #closeSound() {
    this.#sound?.close();
    this.#sound = null;
  }

  #answer() {
    this.#openSound();
    const { id } = this.#current;
    return this.#host.attempt(() => this.#host.line().answer(id));
  }

  #hangUp() {
    const call = this.#current;
    if (!call || call.state === 'ended') return undefined;
    return this.#host.attempt(() => this.#host.line().hangUp(call.id));
  }

  #digit(digit) {
    return this.#host.attempt(() => this.#host.line().digits(this.#current.id, digit));
  }

  #toggleKeys() {
    const { keys, more } = this.#parts;
    keys.hidden = !keys.hidden;
    more.setAttribute('aria-expanded', String(!keys.hidden));
  }

  #dialTyped() {
    const { value } = this.#parts.typed;
    if (value.trim()) this.dial(value);
  }

  #showTyped() {
    const p = this.#parts;
    const found = p.typed.value.trim() ? this.#host.who(this.#host.full(p.typed.value)) : null;
    setText(p.match, found?.known ? found.name : '');
    p.dial.disabled = !p.typed.value.trim();
    const text = this.#host.text();
    const calls = [...this.#calls.values()].filter(({ state }) => state === 'ended').sort((a, b) => (a.since < b.since ? 1 : -1)).slice(0, RECENT_MAX);
    replaceItems(p.recent, calls.map(call => {
      const { name, photo } = this.#who(call);
      const how = call.direction === 'incoming' ? text.call_in : text.call_out;
      return el('li', {}, el('button', { class: 'row', type: 'button', 'data-key': call.id, onclick: () => this.dial(call.with) }, avatar(name, photo),
        el('span', { class: 'row-text' }, el('span', { class: 'row-name', dir: 'auto' }, name), el('span', { class: 'row-second' }, how)),
        el('span', { class: 'row-end' }, el('time', { datetime: call.since }, shownTime(call.since, this.#host.language())))));
    }));
  }
}

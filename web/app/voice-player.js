/** `<m-voice>`: a voicemail to hear: play, pause, where one is, how long it takes. What was heard is told once. */
import { length } from './calls.js';
import { api } from './api.js';
import { el, setText } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, toast } from './parts.js';
import { View } from './view.js';
import './call-icons.js';
import './call-look.js';

/** One voice at a time. */
let speaking = null;

class VoicePlayer extends View {
  /** @type {{ id: string, seconds: number, url: string, listened: boolean } | null} */
  #voicemail = null;
  #audio = null;
  #place = el('input', { type: 'range', class: 'voice-place', min: '0', step: '0.1', value: '0' });
  #time = el('span', { class: 'voice-time mono' });
  #button = el('button', { type: 'button', class: 'voice-play', onclick: () => this.#turn() });

  connectedCallback() {
    // What was said to the element before this module was there.
    if (Object.hasOwn(this, 'voicemail')) {
      const { voicemail } = this;
      delete this.voicemail;
      this.voicemail = voicemail;
    }
    this.#place.setAttribute('aria-label', t('player.place'));
    this.#place.addEventListener('input', () => attempt(async () => {
      await this.#load();
      this.#audio.currentTime = Number(this.#place.value);
    }));
    this.replaceChildren(this.#button, this.#place, this.#time);
    this.#show();
    this.atEnd(() => this.#audio?.pause());
  }

  set voicemail(voicemail) {
    if (this.#voicemail?.id !== voicemail.id) this.#audio = null;
    this.#voicemail = voicemail;
    this.#show();
  }

  async #load() {
    if (this.#audio) return;
    const blob = await api.file(this.#voicemail.url).catch(error => {
      throw Object.assign(error, error.status === 404 ? { code: 'voicemail_gone' } : {});
    });
    const audio = new Audio(URL.createObjectURL(blob));
    await new Promise((done, fail) => {
      audio.onloadedmetadata = done;
      audio.onerror = () => fail(Object.assign(new Error('unreadable'), { code: 'voicemail_unreadable', status: 400 }));
    });
    for (const type of ['play', 'pause', 'ended', 'timeupdate', 'seeked']) audio.addEventListener(type, () => this.#show());
    this.atEnd(() => URL.revokeObjectURL(audio.src));
    this.#audio = audio;
  }

  #turn() {
    if (this.#audio && !this.#audio.paused) {
      this.#audio.pause();
      return;
    }
    attempt(async () => {
      await this.#load();
      if (speaking !== this.#audio) speaking?.pause();
      speaking = this.#audio;
      await this.#audio.play();
      this.#heard();
    });
  }

  #heard() {
    if (this.#voicemail.listened) return;
    this.#voicemail = { ...this.#voicemail, listened: true };
    api.post(`/v1/voicemails/${encodeURIComponent(this.#voicemail.id)}/listened`).catch(() => {});
  }

  #show() {
    if (!this.#voicemail) return;
    const total = this.#audio && Number.isFinite(this.#audio.duration) ? this.#audio.duration : this.#voicemail.seconds;
    const at = this.#audio?.currentTime ?? 0;
    const plays = Boolean(this.#audio && !this.#audio.paused);
    this.#place.max = String(total || 1);
    if (this.#place !== document.activeElement || plays) this.#place.value = String(at);
    this.#place.setAttribute('aria-valuetext', `${length(at)} / ${length(total)}`);
    this.#place.style.setProperty('--part', `${total ? at / total * 100 : 0}%`);
    setText(this.#time, plays || at ? `${length(at)} / ${length(total)}` : length(total));
    const words = t(plays ? 'player.pause' : 'player.play');
    if (this.#button.title === words) return;
    this.#button.title = words;
    this.#button.replaceChildren(icon(plays ? 'pause' : 'play'), el('span', { class: 'unseen' }, words));
  }
}

/** Takes a voicemail away for good. */
export async function removeVoicemail(id) {
  await api.delete(`/v1/voicemails/${encodeURIComponent(id)}`);
  toast(t('player.deleted'));
}

customElements.define('m-voice', VoicePlayer);

/** All calls, the newest first: who, which way, what became of it, how well one heard; voicemails to play, and calling back. */
import { api } from './api.js';
import { barsNode, barsOf } from './call-figures.js';
import { recordingOf } from './bubble.js';
import { callButton, outcome } from './calls.js';
import { el, fill, keyed, onceAFrame, setText } from './dom.js';
import { showFace } from './faces.js';
import { fullTime, shortTime } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, nameOf } from './parts.js';
import { now, put } from './store.js';
import { View } from './view.js';
import { removeVoicemail } from './voice-player.js';
import './call-icons.js';
import './call-look.js';

const PAGE = 30;
const FILTERS = { all: () => true, missed: call => call.missed, voicemail: call => Boolean(call.voicemail) };

class CallHistory extends View {
  #calls = new Map();
  #next = null;
  #filter = 'all';
  #loaded = false;
  #list = el('ul', { class: 'call-list' });
  #note = el('p', { class: 'list-note', role: 'status' });
  #more = null;

  connectedCallback() {
    this.#more = button(t('calls.more'), { hidden: true, onclick: () => attempt(() => this.#load(this.#next)) });
    const filters = el('fieldset', { class: 'choices' }, el('legend', { class: 'unseen' }, t('calls.list')),
      Object.keys(FILTERS).map(name => el('label', { class: 'choice' },
        el('input', { type: 'radio', name: 'calls', value: name, checked: name === this.#filter, onchange: () => { this.#filter = name; this.#draw(); } }),
        el('span', {}, t(name === 'all' ? 'calls.all' : `calls.only_${name}`)))));
    this.replaceChildren(el('div', { class: 'page' },
      el('header', { class: 'calls-head' }, el('h1', {}, t('nav.calls')), el('a', { class: 'button', href: '#/call-settings' }, icon('settings'), t('calls.settings'))),
      filters, this.#list, this.#note, this.#more));
    const draw = onceAFrame(() => this.isConnected && this.#draw());
    this.watch(({ calls, contacts }) => [calls, contacts], draw);
    this.watch(({ connection }) => connection, connection => connection === 'online' && this.#load(null).catch(() => {}));
    this.#draw();
  }

  async #load(after) {
    const { items, next } = await api.get(`/v1/calls?${new URLSearchParams({ limit: String(PAGE), ...(after ? { after } : {}) })}`);
    for (const call of items) this.#calls.set(call.id, call);
    if (after || !this.#loaded) this.#next = next;
    this.#loaded = true;
    this.#draw();
  }

  #draw() {
    // What has been heard since it was loaded is newer.
    for (const call of Object.values(now().calls)) this.#calls.set(call.id, call);
    const shown = [...this.#calls.values()].filter(FILTERS[this.#filter]).sort((a, b) => (a.started_at < b.started_at ? 1 : -1));
    keyed(this.#list, shown, ({ id }) => id, () => el('li', { class: 'call-row' }), (node, call) => this.#showRow(node, call));
    this.#more.hidden = !this.#next;
    setText(this.#note, shown.length ? '' : !this.#loaded ? t('list.loading') : this.#calls.size ? t('calls.none_here') : t('calls.empty'));
  }

  #showRow(node, call) {
    const contact = now().contacts[call.contact?.id] ?? call.contact;
    const sign = JSON.stringify([call, nameOf(contact), contact?.state, shortTime(call.started_at)]);
    if (node.sign === sign) return;
    node.sign = sign;
    const mine = call.direction === 'outgoing';
    const missed = call.missed && !mine;
    node.classList.toggle('missed', missed);
    const seconds = call.answered_at ? Math.round((Date.parse(call.ended_at ?? new Date().toISOString()) - Date.parse(call.answered_at)) / 1000) : null;
    const way = el('span', { class: 'call-way', title: t(mine ? 'calls.outgoing' : 'calls.incoming') }, icon(missed ? 'missed' : call.direction), el('span', { class: 'unseen' }, `${t(mine ? 'calls.outgoing' : 'calls.incoming')}: `));
    const { mos, loss, rtt_ms: rtt } = call.quality ?? {};
    const bars = mos ? barsNode(barsOf(mos)) : null;
    if (bars) bars.title += ` · ${t('quality.figures', { mos: mos.toFixed(1), loss: (100 * (loss ?? 0)).toFixed(1), rtt: Math.round(rtt ?? 0) })}`;
    fill(node, showFace(el('span', {}), contact),
      el('div', { class: 'call-row-words' },
        el('p', { class: 'call-row-name' }, nameOf(contact)),
        el('p', { class: 'call-row-how' }, way, el('span', {}, outcome({ ...call, seconds }, mine)), el('span', { class: 'muted' }, t(call.via === 'phone' ? 'calls.by_phone' : 'calls.by_chat')), bars),
        call.recorded ? recordingOf(call.id, call.recorded) : null,
        call.voicemail ? this.#voicemail(call) : null),
      el('time', { class: 'muted', datetime: call.started_at, title: fullTime(call.started_at) }, shortTime(call.started_at)),
      contact?.state === 'accepted' ? callButton(contact) : el('span', {}));
  }

  #voicemail(call) {
    const player = el('m-voice', {});
    player.voicemail = call.voicemail;
    return el('div', { class: 'call-row-voice' }, player, button(t('player.delete'), { glyph: 'bin', bare: true, onclick: () => attempt(async () => {
      await removeVoicemail(call.voicemail.id);
      put('calls', [{ ...call, voicemail: null }]);
    }) }));
  }
}

customElements.define('m-calls', CallHistory);

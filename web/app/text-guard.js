/** Texts in one's name that wait because they may be forged, which texts one is asked about, and the PIN for the answer. */
import { api } from './api.js';
import { el, fill } from './dom.js';
import { fullTime, number, shortTime } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, confirmDialog, nameOf, toast } from './parts.js';
import { now } from './store.js';
import { View } from './view.js';
import './pin.js';

class TextGuard extends View {
  #body = el('div', { class: 'stack' });
  #drawn = '';

  connectedCallback() {
    fill(this, el('div', { class: 'stack' }, this.#body, el('h3', {}, t('callset.pin')), el('m-pin')));
    // Told whenever something begins to wait.
    this.watch(({ account, connection }) => [account, connection], () => this.#look());
  }

  async #look() {
    const proved = (now().account?.mobiles ?? []).some(({ state }) => state === 'verified');
    this.closest('section').hidden = !proved;
    if (!proved) return;
    try {
      this.#show(await api.get('/v1/me/text-guard'));
    } catch {
      if (!this.#drawn) fill(this.#body, el('p', { role: 'alert' }, t('error.offline')));
    }
  }

  /** @param {{ mobiles: any[], held: any[] }} guard */
  #show(guard) {
    const drawn = JSON.stringify(guard);
    if (drawn === this.#drawn) return;
    const focused = this.#body.contains(document.activeElement) ? document.activeElement.id : '';
    this.#drawn = drawn;
    fill(this.#body, el('ul', { class: 'plain-list' }, guard.mobiles.map(mobile => this.#mobile(mobile, guard.held.filter(({ mobile_id: id }) => id === mobile.id)))));
    if (focused) (document.getElementById(focused) ?? this.#body.querySelector('input'))?.focus();
  }

  #mobile({ id, number: e164, ask, asked }, held) {
    const shown = number(e164);
    const box = el('input', { type: 'checkbox', id: `guard-${id}`, checked: ask === 'always', onchange: () => attempt(async () => {
      this.#show(await api.put(`/v1/me/text-guard/${encodeURIComponent(id)}`, { ask: box.checked ? 'always' : 'in_doubt' }));
      toast(t('common.saved'));
    }).then(well => { if (!well) box.checked = !box.checked; }) });
    return el('li', {}, el('div', { class: 'line' }, el('strong', { class: 'mono' }, shown),
      asked ? el('span', { class: 'state-word pending' }, icon('queued'), t('guard.asked')) : null),
    el('div', { class: 'check' }, box, el('label', { for: box.id }, t('guard.always'), el('span', { class: 'unseen' }, ` ${shown}`))),
    held.length ? this.#held(id, held) : el('p', { class: 'hint' }, t('guard.none')));
  }

  #held(id, held) {
    const decide = mine => attempt(async () => {
      const { count } = await api.post('/v1/me/text-guard/decide', { mobile_id: id, mine });
      toast(t(mine ? 'guard.sent' : 'guard.dropped', { n: count }));
      await this.#look();
    });
    const drop = async () => {
      if (await confirmDialog({ title: t('guard.drop_title', { n: held.length }), text: t('guard.drop_text'), yes: t('guard.drop'), danger: true })) await decide(false);
    };
    return el('div', { class: 'stack', role: 'group', 'aria-label': t('guard.held', { n: held.length }) }, el('p', {}, t('guard.held', { n: held.length })),
      el('ul', { class: 'plain-list held-texts' }, held.map(text => el('li', { class: 'held-text' },
        el('p', { class: 'hint' }, t('guard.to', { name: nameOfNumber(text.to) }), ' ', el('time', { datetime: text.at, title: fullTime(text.at) }, shortTime(text.at))),
        el('p', { class: 'break', dir: 'auto' }, text.text), text.media ? el('p', { class: 'hint' }, t('guard.media', { n: text.media })) : null))),
      el('div', { class: 'form-actions' }, button(t('guard.mine'), { id: `mine-${id}`, kind: 'primary', onclick: () => decide(true) }), button(t('guard.drop'), { kind: 'danger', id: `drop-${id}`, onclick: drop })));
  }
}

function nameOfNumber(e164) {
  const contact = Object.values(now().contacts).find(known => known.number === e164);
  return contact ? nameOf(contact) : number(e164);
}

customElements.define('m-text-guard', TextGuard);

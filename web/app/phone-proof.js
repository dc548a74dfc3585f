/** Proof that it works: what each phone has fetched, as it happens, and a friend to text. */
import { api } from './api.js';
import { el, fill, keyed, setText } from './dom.js';
import { ago, number } from './format.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, avatar, button, confirmDialog, copyable, nameOf } from './parts.js';
import { threadAddress } from './router.js';
import { now } from './store.js';
import { View } from './view.js';

/** While somebody looks, so often. One row a device: cheap. */
const LOOK_MS = 3_000;
const TICK_MS = 1_000;

class PhoneProof extends View {
  #devices = null;
  #list = el('ul', { class: 'plain-list devices' });
  #spoken = el('p', { class: 'unseen', role: 'status' });
  #none = el('p', { class: 'hint' });
  #test = el('div', { class: 'test-contact' });
  #tested = '';
  #fetched = new Map();
  #began = new Date().toISOString();

  connectedCallback() {
    fill(this, this.#list, this.#none, this.#spoken, this.#test);
    const look = setInterval(() => document.hidden || this.#look(), LOOK_MS);
    const tick = setInterval(() => this.#show(), TICK_MS);
    this.atEnd(() => clearInterval(look));
    this.atEnd(() => clearInterval(tick));
    this.listen(document, 'meari-devices', () => this.#look());
    this.watch(({ contacts, account, ready, conversations }) => [contacts, account?.mobiles, ready, conversations], () => this.#showTest());
    this.#look();
  }

  async #look() {
    try {
      this.#devices = await api.get('/v1/me/devices');
    } catch {
      return;
    }
    this.#say();
    this.#show();
  }

  /** A fetch that happens while one looks is told. */
  #say() {
    for (const { app_password_id: id, label, last_fetched_at: at, contacts_current: n } of this.#devices.items) {
      const before = this.#fetched.get(id);
      this.#fetched.set(id, at);
      if (before !== undefined && at && at !== before) setText(this.#spoken, t('proof.fetched_now', { label, n }));
    }
  }

  #show() {
    if (!this.#devices) return;
    const { items, contacts } = this.#devices;
    setText(this.#none, items.length ? '' : t('proof.none'));
    this.#none.hidden = items.length > 0;
    keyed(this.#list, items, ({ app_password_id: id }) => id, item => this.#row(item), (node, item) => showDevice(node, item, contacts));
  }

  #row(item) {
    return el('li', { class: 'device' }, el('span', { class: 'device-face' }, icon('phone')),
      el('div', { class: 'device-words' }, el('strong', {}), el('p', { class: 'device-state' }), el('p', { class: 'hint device-agent' })),
      button(t('phone.revoke'), { kind: 'link', 'aria-label': t('phone.revoke_what', { what: item.label }), onclick: () => this.#revoke(item) }));
  }

  async #revoke({ app_password_id: id, label }) {
    if (!await confirmDialog({ title: t('phone.revoke_title', { what: label }), text: t('phone.revoke_text'), yes: t('phone.revoke'), danger: true })) return;
    await attempt(() => api.delete(`/v1/me/app-passwords/${encodeURIComponent(id)}`));
    this.#look();
  }

  /** A friend with a number, to be texted from the phone; the page notices when it has arrived. */
  #showTest() {
    const { contacts, account, ready } = now();
    const verified = (account?.mobiles ?? []).some(({ state }) => state === 'verified');
    const friend = Object.values(contacts).filter(({ number: own }) => own).sort((a, b) => nameOf(a).localeCompare(nameOf(b)))[0];
    const waiting = Object.values(contacts).some(({ number_state: state }) => state === 'waiting');
    const last = now().conversations[friend?.conversation_id]?.last_message;
    const arrived = last?.mine && last.via === 'sms' && last.sent_at > this.#began;
    const sign = [ready, verified, friend?.number, friend && nameOf(friend), waiting, arrived].join();
    if (sign === this.#tested) return;
    this.#tested = sign;
    const title = el('h3', {}, t('proof.test_title'));
    if (!ready) fill(this.#test);
    else if (!verified) fill(this.#test, title, el('p', {}, t('proof.test_unverified')));
    else if (friend) this.#showFriend(title, friend, arrived);
    else if (waiting) fill(this.#test, title, el('p', {}, t('proof.test_waiting')));
    else fill(this.#test, title, el('p', {}, t('proof.test_nobody')), el('a', { class: 'button', href: '#/contacts/add' }, icon('plus'), t('contacts.add')));
  }

  #showFriend(title, friend, arrived) {
    const name = nameOf(friend);
    fill(this.#test, title, el('p', {}, t('proof.test_text', { name })),
      el('div', { class: 'test-row' }, avatar(name), copyable(name, number(friend.number), { copy: friend.number })),
      el('p', { class: arrived ? 'state-word verified' : 'hint', role: 'status' }, arrived ? [icon('check'), t('proof.test_arrived', { name })] : t('proof.test_waits')),
      el('div', { class: 'form-actions' },
        el('a', { class: 'button on-touch', href: `sms:${friend.number}` }, icon('sms'), t('phone.text_open')),
        arrived ? el('a', { class: 'button', href: threadAddress(friend) }, icon('chats'), t('proof.test_open')) : null));
  }
}

function showDevice(node, { label, user_agent: agent, last_fetched_at: at, last_seen_at: seen, contacts_current: n }, contacts) {
  setText(node.querySelector('strong'), label);
  const state = node.querySelector('.device-state');
  const words = at ? t('proof.fetched', { n, ago: agoExactly(at) }) + (n < contacts ? ` ${t('proof.behind', { missing: contacts - n })}` : '')
    : seen ? t('proof.seen', { ago: ago(seen) }) : t('proof.never');
  setText(state, words);
  state.classList.toggle('good', Boolean(at) && n >= contacts);
  setText(node.querySelector('.device-agent'), agent ?? '');
}

/** To the second while it is fresh: that is what one waits for. */
function agoExactly(at) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(at)) / 1000));
  return seconds < 60 ? t('ago.seconds', { n: seconds }) : ago(at);
}

customElements.define('m-phone-proof', PhoneProof);

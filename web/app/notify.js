/** Tells of messages while nobody looks: a notification, a sound, a number on the icon. Each only when it was asked for. */
import { el } from './dom.js';
import { t } from './i18n.js';
import { nameOf, toast } from './parts.js';
import { canPush, pushHasContent, renewPush, subscribe, unsubscribe } from './push.js';
import { route } from './router.js';
import { keep, recall, sessionName } from './storage.js';
import { contactOf, now, watch } from './store.js';

const VOLUME = 0.06;

/** What is switched on: `{ show, sound }`. */
export function wishes() {
  const kept = recall('notify', { show: false, sound: false });
  return { ...kept, show: kept.show && globalThis.Notification?.permission === 'granted' };
}

/** Starts telling. */
export function startNotifying() {
  watch(({ phase }) => phase, phase => phase === 'signed-in' && renewPush(wishes().show));
  document.addEventListener('meari-message', ({ detail }) => tell(detail));
  for (const type of ['focus', 'blur', 'visibilitychange']) addEventListener(type, lookUp, true);
  lookUp();
  let before = 0;
  watch(({ conversations }) => Object.values(conversations).reduce((sum, { unread }) => sum + (unread || 0), 0), unread => {
    if (unread) navigator.setAppBadge?.(unread).catch(() => {});
    else navigator.clearAppBadge?.().catch(() => {});
    if (unread < before) closeRead();
    before = unread;
  });
}

const LOOKS = `${sessionName}:looks`;
const TOLD_MS = 5_000;
let lookAway = null;

const isLookedAt = () => !document.hidden && document.hasFocus();

/** The tab that is looked at holds a lock, which ends with the tab whatever becomes of it. */
function lookUp() {
  if (isLookedAt() === Boolean(lookAway)) return;
  if (lookAway) {
    lookAway();
    lookAway = null;
  } else {
    const over = new Promise(done => { lookAway = done; });
    navigator.locks?.request(LOOKS, { mode: 'shared' }, () => over);
  }
}

/** Whether it is for this tab to tell: none is looked at, and no other one has begun. */
async function isOurs(id) {
  if (isLookedAt() || !navigator.locks) return true;
  const { held } = await navigator.locks.query();
  if (held.some(({ name }) => name === LOOKS)) return false;
  return new Promise(done => navigator.locks.request(`${sessionName}:${id}`, { ifAvailable: true }, lock => {
    done(Boolean(lock));
    return lock && new Promise(over => setTimeout(over, TOLD_MS));
  }));
}

/** What was read, here or on another device, needs no notice any more. */
async function closeRead() {
  const worker = await navigator.serviceWorker?.getRegistration();
  for (const shown of await worker?.getNotifications() ?? []) if (now().conversations[shown.tag]?.unread === 0) shown.close();
}

async function tell(message) {
  const { conversations, contacts } = now();
  const seen = isLookedAt() && route().name === 'thread' && route().id === message.conversation_id;
  if (seen || !await isOurs(message.id)) return;
  const { show, sound } = wishes();
  if (sound) ring();
  if (!show || isLookedAt()) return;
  // The first message of a conversation comes before the conversation is known.
  const contact = contactOf(conversations[message.conversation_id], contacts) ?? Object.values(contacts).find(({ address }) => address === message.sender);
  // Who it is, never what: a notice stands on screens that others see. One for each conversation, until it is read.
  const options = { body: t('notify.message'), icon: '/icon.svg', tag: message.conversation_id, renotify: true, data: { address: `/#/c/${encodeURIComponent(message.conversation_id)}` } };
  notice(nameOf(contact), options).catch(() => {});
}

/** Shows a notice where they are wished for. Answers what takes it away again. */
export async function notice(title, options) {
  if (!wishes().show) return () => {};
  const worker = await navigator.serviceWorker?.getRegistration();
  if (worker) {
    await worker.showNotification(title, options);
    return () => worker.getNotifications({ tag: options.tag }).then(shown => shown.forEach(one => one.close()), () => {});
  }
  const shown = new Notification(title, options);
  shown.onclick = () => {
    focus();
    location.hash = options.data.address.slice(1);
    shown.close();
  };
  return () => shown.close();
}

let audio = null;

/** Two soft notes, the second an echo of the first. */
function ring() {
  try {
    audio ??= new AudioContext();
    const begin = audio.currentTime;
    for (const [at, height, volume] of [[0, 660, VOLUME], [0.16, 880, VOLUME / 2]]) {
      const tone = audio.createOscillator();
      const gain = audio.createGain();
      tone.frequency.value = height;
      gain.gain.setValueAtTime(volume, begin + at);
      gain.gain.exponentialRampToValueAtTime(0.0001, begin + at + 0.22);
      tone.connect(gain).connect(audio.destination);
      tone.start(begin + at);
      tone.stop(begin + at + 0.24);
    }
  } catch { /* a browser that plays nothing */ }
}

/** The switches for the settings. */
export function notifySwitches() {
  const kept = wishes();
  const line = (name, checked, change) => {
    const input = el('input', { type: 'checkbox', id: `notify-${name}`, checked, onchange: () => change(input) });
    return el('div', { class: 'check' }, input, el('label', { for: `notify-${name}` }, t(`notify.${name}`)));
  };
  const save = patch => keep('notify', { ...recall('notify', { show: false, sound: false }), ...patch });
  const content = canPush() ? line('content', pushHasContent(), input => push(true, input.checked)) : null;
  if (content) content.hidden = !kept.show;
  const push = (on, withContent = pushHasContent()) => (on ? subscribe(withContent) : unsubscribe()).catch(() => on && toast(t('notify.no_push')));
  return el('div', { class: 'stack' },
    'Notification' in globalThis ? line('show', kept.show, async input => {
      if (input.checked && await Notification.requestPermission() !== 'granted') {
        input.checked = false;
        toast(t('notify.refused'));
      }
      save({ show: input.checked });
      if (!content) return;
      content.hidden = !input.checked;
      await push(input.checked);
    }) : null,
    content,
    line('sound', kept.sound, input => {
      save({ sound: input.checked });
      if (input.checked) ring();
    }), el('p', { class: 'hint' }, t('notify.hint')));
}

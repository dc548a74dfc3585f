/** Small things that several views show: avatars, presence, buttons, fields, dialogs, toasts. */
import { el, freshId, setText } from './dom.js';
import { ago, initials, tint } from './format.js';
import { explain, explainField, t } from './i18n.js';
import { icon } from './icons.js';

const TOAST_MS = 6_000;

/** Name of a contact or conversation partner. */
export function nameOf(contact) {
  return contact?.display_name || contact?.address?.replace(/^[a-z]+:/, '') || t('contact.unnamed');
}

/** A round picture: a photo where there is one, else initials. */
export function avatar(name, { size = '', photo = null } = {}) {
  if (photo) return el('img', { class: `avatar ${size}`, src: photo, alt: '' });
  return el('span', { class: `avatar tint-${tint(name)} ${size}`, 'aria-hidden': 'true' }, initials(name));
}

/** Presence in words. Someone on a plain phone is reachable by SMS, whatever the hour. */
export function presenceWords(presence, short = false) {
  if (!presence) return '';
  if (presence.quiet) return t('presence.quiet');
  if (presence.via === 'sms') return t(short ? 'presence.sms_short' : 'presence.sms');
  if (presence.state === 'offline' && presence.last_active_at && !short) return t('presence.last', { ago: ago(presence.last_active_at) });
  return t(`presence.${presence.state ?? 'offline'}`);
}

/** The word that names the shape of the dot. */
function presenceShape(presence) {
  if (!presence) return 'none';
  return presence.via === 'sms' && presence.state !== 'busy' ? 'sms' : presence.state ?? 'offline';
}

/** A dot and a text; the dot differs by shape as well as by colour. */
export function presenceMark() {
  const text = el('span', { class: 'presence-text' });
  return el('span', { class: 'presence' }, el('span', { class: 'dot', 'aria-hidden': 'true' }), text);
}

/** Shows a presence in a mark. `note` adds what the person wrote; `instead` stands for the words while it matters more. */
export function showPresence(markNode, presence, { note = false, short = false, instead = '' } = {}) {
  markNode.dataset.presence = presenceShape(presence);
  markNode.classList.toggle('live', Boolean(instead));
  const words = instead || presenceWords(presence, short);
  setText(markNode.querySelector('.presence-text'), note && !instead && presence?.note ? `${words} · ${presence.note}` : words);
  markNode.hidden = !words;
}

/**
 * A button with words; with `glyph` an icon before them, with `bare` only the icon to see.
 * @param {string} label
 * @param {{ glyph?: string, bare?: boolean, kind?: string, type?: string, [attribute: string]: any }} options
 */
export function button(label, { glyph, bare = false, kind = '', type = 'button', ...rest } = {}) {
  const words = el('span', { class: bare ? 'unseen' : '' }, label);
  return el('button', { type, class: `button ${kind} ${bare ? 'bare' : ''}`.trim(), title: bare ? label : null, ...rest },
    glyph ? icon(glyph) : null, words);
}

/**
 * A labelled input with room for a hint and an error. `.input` is the control.
 * @param {string} label
 * @param {{ name?: string, hint?: string, control?: HTMLElement, [attribute: string]: any }} options
 */
export function field(label, { name, hint, control, ...attributes } = {}) {
  const id = freshId('field');
  const input = control ?? el('input', { class: 'input' });
  for (const [key, value] of Object.entries({ id, name, ...attributes })) {
    if (key === 'value') input.value = value ?? '';
    else if (typeof value === 'boolean') input.toggleAttribute(key, value);
    else if (value !== null && value !== undefined) input.setAttribute(key, value);
  }
  const error = el('p', { class: 'field-error', id: `${id}-error`, hidden: true });
  const note = hint ? el('p', { class: 'hint', id: `${id}-hint` }, hint) : null;
  if (hint) input.setAttribute('aria-describedby', `${id}-hint`);
  const node = el('div', { class: 'field', dataset: { field: name ?? '' } }, el('label', { for: id }, label), input, error, note);
  node.input = input;
  return node;
}

/** Shows an error below a field; an empty text takes it away. */
export function showFieldError(node, text) {
  const error = node.querySelector('.field-error');
  setText(error, text);
  error.hidden = !text;
  node.input.setAttribute('aria-invalid', String(Boolean(text)));
  const ids = [node.querySelector('.hint')?.id, text ? error.id : null].filter(Boolean).join(' ');
  if (ids) node.input.setAttribute('aria-describedby', ids);
  else node.input.removeAttribute('aria-describedby');
}

/**
 * A form that talks to the server: `submit(values)` is awaited, the button waits with it, errors of fields stand below
 * their fields and get the focus, all others stand above the button.
 */
export function form({ fields, label, submit, kind = 'primary', extra = [] }) {
  const problem = el('p', { class: 'form-error', role: 'alert', hidden: true });
  const send = button(label, { type: 'submit', kind });
  const node = el('form', { class: 'form', novalidate: true }, fields, problem, el('div', { class: 'form-actions' }, send, extra));
  const say = text => {
    setText(problem, text);
    problem.hidden = !text;
  };
  node.addEventListener('submit', async event => {
    event.preventDefault();
    if (send.getAttribute('aria-disabled') === 'true') return;
    say('');
    fields.forEach(item => item.input && showFieldError(item, ''));
    if (!filled(fields)) return;
    send.setAttribute('aria-disabled', 'true');
    try {
      await submit(Object.fromEntries(new FormData(node)), node);
    } catch (error) {
      if (!showFieldErrors(fields, error)) say(explain(error));
    } finally {
      send.removeAttribute('aria-disabled');
    }
  });
  return node;
}

/** What is required has to be there before anything is sent. */
function filled(fields) {
  const empty = fields.filter(item => !item.hidden && item.input?.required && !item.input.value.trim());
  for (const item of empty) showFieldError(item, t('error.required'));
  empty[0]?.input.focus();
  return empty.length === 0;
}

function showFieldErrors(fields, error) {
  const hits = (error.fields ?? [])
    .map(problem => [fields.find(item => item.dataset?.field === problem.field), problem])
    .filter(([item]) => item);
  for (const [item, problem] of hits) showFieldError(item, explainField(problem));
  hits[0]?.[0].input.focus();
  return hits.length > 0;
}

/**
 * A short message at the edge, read out by screen readers. `action` adds a button.
 * @param {string} text
 * @param {{ action?: string, run?: () => void }} options
 */
export function toast(text, { action, run } = {}) {
  let shelf = document.querySelector('.toasts');
  if (!shelf) {
    shelf = el('div', { class: 'toasts', role: 'status' });
    document.body.append(shelf);
  }
  const node = el('div', { class: 'toast' }, el('span', {}, text));
  if (action) node.append(button(action, { kind: 'link', onclick: () => { node.remove(); run(); } }));
  shelf.append(node);
  setTimeout(() => node.remove(), TOAST_MS);
}

/** Asks before something that cannot be taken back. Answers what was chosen. `body` may hold controls. */
export function confirmDialog({ title, text, yes, danger = false, body = null, check = () => true }) {
  return new Promise(done => {
    const heading = freshId('dialog');
    const agree = button(yes, { type: 'submit', kind: danger ? 'danger' : 'primary' });
    const dialog = el('dialog', { class: 'dialog', 'aria-labelledby': heading },
      el('form', { method: 'dialog', class: 'form' }, el('h2', { id: heading }, title), text ? el('p', {}, text) : null, body,
        el('div', { class: 'form-actions end' }, button(t('common.cancel'), { onclick: () => dialog.close('') }), agree)));
    dialog.querySelector('form').addEventListener('submit', event => {
      event.preventDefault();
      if (check()) dialog.close('yes');
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      done(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A value that can be copied with one press; `copy` is what is copied when that differs from what is shown. */
export function copyable(label, value, { copy = value } = {}) {
  return el('div', { class: 'copyable' }, el('span', { class: 'copy-label' }, label), el('span', { class: 'copy-value mono' }, value),
    button(t('common.copy_what', { what: label }), { glyph: 'copy', bare: true, onclick: () => copyText(copy) }));
}

/** Puts a text on the clipboard and says so. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t('common.copied'));
  } catch {
    toast(t('common.copy_failed'));
  }
}

/** Runs something that a press started; what goes wrong is told in a toast. Answers whether it went well. */
export async function attempt(work) {
  try {
    await work();
    return true;
  } catch (error) {
    toast(explain(error));
    return false;
  }
}

/** What to do on each kind of phone and program, with one's own values filled in. */
import { all } from './api.js';
import { el } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { attempt, button, copyable } from './parts.js';
import { cards } from './vcard.js';

/** The kinds, in the order in which they are offered. `file` needs no app password. */
export const WAYS = ['apple', 'android', 'thunderbird', 'evolution', 'other', 'file'];

/** What this device most likely is. */
export function likelyWay() {
  const agent = navigator.userAgent;
  if (/iPhone|iPad|Macintosh/.test(agent)) return 'apple';
  if (/Android/.test(agent)) return 'android';
  return 'apple';
}

/** The steps for a way. `login` is the answer that made the app password. */
export function steps(way, login) {
  return { apple, android, thunderbird, evolution, other }[way](login);
}

function apple(login) {
  return [
    list('apple', 3),
    el('div', { class: 'ways' },
      el('div', { class: 'way' }, el('h3', {}, t('way.apple.here')), el('a', { class: 'button primary', href: login.mobileconfig_url }, icon('download'), t('phone.profile'))),
      code(login, t('way.apple.there'))),
    typed(login),
  ];
}

function android(login) {
  return [
    list('android', 3),
    el('div', { class: 'ways' },
      el('div', { class: 'way' }, el('h3', {}, t('way.android.here')), el('a', { class: 'button primary', href: davx5(login) }, icon('phone'), t('way.android.open'))),
      code(login, t('way.android.there'))),
    typed(login),
  ];
}

function thunderbird(login) {
  return [list('thunderbird', 4), values(login)];
}

function evolution(login) {
  return [list('evolution', 4), values(login)];
}

function other(login) {
  return [el('p', {}, t('way.other.text')), values(login), el('p', { class: 'hint' }, t('way.other.hint'))];
}

/** The contacts as a file: no password, and no news after that. */
export function fileWay() {
  return [el('p', {}, t('way.file.text')), el('p', { class: 'hint' }, t('way.file.hint')),
    button(t('way.file.get'), { glyph: 'download', kind: 'primary', onclick: () => attempt(download) })];
}

async function download() {
  const contacts = (await all('/v1/contacts?state=accepted', 10_000)).filter(({ number }) => number);
  if (!contacts.length) throw Object.assign(new Error(t('way.file.none')), { status: 404, code: 'no_numbers_yet' });
  const link = el('a', { href: URL.createObjectURL(new Blob([cards(contacts)], { type: 'text/vcard' })), download: 'meari.vcf' });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function list(way, count) {
  return el('ol', { class: 'steps' }, Array.from({ length: count }, (_, index) => el('li', {}, t(`way.${way}.${index + 1}`))));
}

function values({ carddav_url: url, username, password }) {
  return el('div', { class: 'values' }, copyable(t('phone.server'), url), copyable(t('phone.username'), username), copyable(t('door.password'), password));
}

function typed(login) {
  return el('details', {}, el('summary', {}, t('way.by_hand')), values(login));
}

function code({ qr_svg_url: qr }, title) {
  return el('div', { class: 'way' }, el('h3', {}, title), el('p', {}, t('phone.qr_text')),
    el('img', { class: 'qr', src: localPath(qr), alt: t('phone.qr_alt'), width: '200', height: '200' }));
}

/** The link that opens DAVx⁵ with everything filled in (its manual's "Integrations"); without TLS the plain scheme. */
export function davx5({ carddav_url: url, username, password }) {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol === 'https:' ? 'davx5' : 'carddav'}://${encodeURIComponent(username)}:${encodeURIComponent(password)}@${host}${pathname}`;
}

/** The same thing by the address under which this page was reached, which may not be the public one. */
function localPath(address) {
  const url = new URL(address, location.href);
  return url.pathname + url.search;
}

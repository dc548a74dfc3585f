/** Shows times and numbers the way people write them. */
import { currentLanguage, t } from './i18n.js';

const formats = new Map();

function format(options) {
  const key = currentLanguage() + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(currentLanguage(), options));
  return formats.get(key);
}

function dayOf(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

/** Days between two instants on the calendar of this browser. */
export function daysBetween(earlier, later) {
  return Math.round((dayOf(later) - dayOf(earlier)) / 86_400_000);
}

/** The hour and minute. */
export function clock(at) {
  return format({ hour: 'numeric', minute: '2-digit' }).format(new Date(at));
}

/** Everything, for titles and screen readers. */
export function fullTime(at) {
  return format({ dateStyle: 'long', timeStyle: 'short' }).format(new Date(at));
}

/** Short: the time today, the weekday this week, else the date. */
export function shortTime(at, now = new Date()) {
  const date = new Date(at);
  const days = daysBetween(date, now);
  if (days <= 0) return clock(at);
  if (days === 1) return t('day.yesterday');
  if (days < 7) return format({ weekday: 'short' }).format(date);
  if (date.getFullYear() === now.getFullYear()) return format({ month: 'short', day: 'numeric' }).format(date);
  return format({ dateStyle: 'short' }).format(date);
}

/** The heading of a day in a thread. */
export function dayLine(at, now = new Date()) {
  const date = new Date(at);
  const days = daysBetween(date, now);
  if (days <= 0) return t('day.today');
  if (days === 1) return t('day.yesterday');
  const year = date.getFullYear() === now.getFullYear() ? {} : { year: 'numeric' };
  return format({ weekday: 'long', month: 'long', day: 'numeric', ...year }).format(date);
}

/** How long ago, in words. */
export function ago(at, now = new Date()) {
  const minutes = Math.round((now.getTime() - Date.parse(at)) / 60_000);
  if (minutes < 1) return t('ago.now');
  const words = new Intl.RelativeTimeFormat(currentLanguage(), { numeric: 'auto' });
  if (minutes < 60) return words.format(-minutes, 'minute');
  if (minutes < 60 * 24) return words.format(-Math.round(minutes / 60), 'hour');
  return words.format(-daysBetween(new Date(at), now), 'day');
}

/** An E.164 number in groups; North American ones the way they are written there, Korean ones likewise. */
export function number(e164) {
  if (!e164) return '';
  let match = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(e164);
  if (match) return `+1 ${match[1]}-${match[2]}-${match[3]}`;
  match = /^\+82(10|2|\d{2})(\d{3,4})(\d{4})$/.exec(e164);
  if (match) return `+82 ${match[1]}-${match[2]}-${match[3]}`;
  match = /^\+(\d{2})(\d+)$/.exec(e164);
  return match ? `+${match[1]} ${match[2].replace(/(\d{3})(?=\d{2})/g, '$1 ')}` : e164;
}

/** The first letters of a name, for its avatar. */
export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const first = word => [...word][0] ?? '';
  return (words.length > 1 ? first(words[0]) + first(words[words.length - 1]) : first(words[0] ?? '?')).toUpperCase();
}

/** One of eight tints, always the same for the same name. */
export function tint(text) {
  let hash = 7;
  for (const char of text) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return hash % 8;
}

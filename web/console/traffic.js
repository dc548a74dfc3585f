/** SMS over time: by hour for a day, by day for longer. */
import { api } from '../app/api.js';
import { el } from '../app/dom.js';
import { currentLanguage, t } from '../app/i18n.js';
import { bars } from './bars.js';
import { address, place } from './place.js';

const HOUR_MS = 3_600_000;
const SPANS = { day: 24, week: 168, month: 720 };
const KINDS = ['received', 'delivered', 'sent', 'queued', 'unknown', 'failed'];
/** States that are shown as one. */
const AS = { undelivered: 'failed', sending: 'queued', read: 'delivered' };

/** The span that the address asks for. */
export function span() {
  const asked = place().query.get('span');
  return asked in SPANS ? asked : 'day';
}

/** What left and came, `{ items, since }`. */
export function loadTraffic(asked = span()) {
  return api.get(`/v1/admin/traffic?hours=${SPANS[asked]}`);
}

/** Links that choose the span; it stands in the address. */
export function spans(name) {
  return el('div', { class: 'spans', role: 'group', 'aria-label': t('console.span') }, Object.keys(SPANS).map(key => el('a', { href: address(name, { span: key }), 'aria-current': key === span() ? 'true' : 'false' }, t(`console.span.${key}`))));
}

/** The steps of time that are shown, and how an instant finds its own: `{ steps: [{ key, label, parts }], key(at) }`. */
export function stepsOf(asked = span()) {
  const byDay = asked !== 'day';
  const key = at => (byDay ? new Date(at).toDateString() : Math.floor(Date.parse(at) / HOUR_MS));
  const step = byDay ? 24 : 1;
  const count = SPANS[asked] / step;
  const format = new Intl.DateTimeFormat(currentLanguage(), byDay ? { month: 'numeric', day: 'numeric' } : { hour: 'numeric', minute: '2-digit' });
  const now = Date.now();
  const steps = Array.from({ length: count }, (_, index) => {
    const at = new Date(now - (count - 1 - index) * step * HOUR_MS);
    if (!byDay) at.setMinutes(0, 0, 0);
    return { key: key(at), label: format.format(at), parts: {} };
  });
  return { steps, key };
}

/** The chart of all, or of one carrier. */
export function trafficChart({ items }, { carrier = null, asked = span(), title }) {
  const { steps, key } = stepsOf(asked);
  const known = new Map(steps.map(item => [item.key, item]));
  for (const { at, carrier: by, state, count: n } of items) {
    const place = known.get(key(at));
    if (!place || (carrier !== null && by !== carrier)) continue;
    const kind = AS[state] ?? state;
    place.parts[kind] = (place.parts[kind] ?? 0) + n;
  }
  return bars({ title, steps, first: t('console.time'), kinds: KINDS.map(kind => [kind, t(`console.state.${kind}`)]) });
}

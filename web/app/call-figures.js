/** How well a call sounds: the E-model (ITU-T G.107, reduced to what one can measure), and bars to show it. */
import { el, svg } from './dom.js';
import { t } from './i18n.js';

/** The way through the telephone network, which nobody can measure from here, in milliseconds. */
const BEYOND_MS = 80;
const FRAME_MS = 20;
/** From so many points of 4.4 on a call has four, three, two bars. */
const STEPS = [4, 3.6, 3.1];

/** The mean opinion score, 1 to 4.4, of a loss (0 to 1), a jitter buffer and a round trip in milliseconds. */
export function mosOf({ loss, buffer, rtt }) {
  const delay = FRAME_MS + buffer + rtt / 2 + BEYOND_MS;
  const late = 0.024 * delay + 0.11 * Math.max(0, delay - 177.3);
  const percent = loss * 100;
  const r = 93.2 - late - 95 * percent / (percent + 25.1);
  return r <= 0 ? 1 : Math.max(1, 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r));
}

/** One to four bars. */
export function barsOf(mos) {
  const below = STEPS.findIndex(least => mos >= least);
  return below < 0 ? 1 : 4 - below;
}

/** The bars as a picture with its word; null draws none. */
export function barsNode(bars) {
  const word = t(`quality.${bars ?? 0}`);
  return el('span', { class: 'bars', title: word, dataset: { bars: String(bars ?? 0) } },
    svg('svg', { viewBox: '0 0 22 16', 'aria-hidden': 'true' },
      ...[1, 2, 3, 4].map(n => svg('rect', { x: (n - 1) * 6, y: 16 - n * 4, width: 4, height: n * 4, rx: 1, class: n <= (bars ?? 0) ? 'bar on' : 'bar' }))),
    el('span', { class: 'unseen' }, word));
}

/** The weather of calls: from clear to stormy, each with a colour, a picture and a word, so that none stands alone. */
import { svg } from '../app/dom.js';

/** From the best down, with the least mean opinion score (ITU-T P.8) for each. */
export const WEATHER = [
  { name: 'clear', least: 4.2 },
  { name: 'fair', least: 4 },
  { name: 'cloudy', least: 3.6 },
  { name: 'rain', least: 3.1 },
  { name: 'storm', least: 0 },
];

const CLOUD = 'M7 17.5a4 4 0 0 1 .3-8 5.2 5.2 0 0 1 9.9-.4A4.3 4.3 0 0 1 17 17.5z';
const HIGH_CLOUD = 'M7 14.5a3.6 3.6 0 0 1 .3-7.2 5 5 0 0 1 9.5-.3 3.9 3.9 0 0 1 .2 7.5z';
const DRAWN = {
  clear: ['M12 16.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9z', 'M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M18.7 5.3l-1.4 1.4M6.7 17.3l-1.4 1.4'],
  fair: ['M8.5 19a3.3 3.3 0 0 1 .2-6.6 4.5 4.5 0 0 1 8.6-.2A3.5 3.5 0 0 1 17.5 19z', 'M6 11a4 4 0 0 1 7-3.4M9.5 2v1.5M3.7 4.4l1 1M2 10h1.5M14.4 5.2l1-1'],
  cloudy: [CLOUD],
  rain: [HIGH_CLOUD, 'M8.5 17.5l-1 3M12.5 17.5l-1 3M16.5 17.5l-1 3'],
  storm: [HIGH_CLOUD, 'M12.5 14l-2.5 4h3.5L11 22'],
};

/** What weather a score is. */
export function weatherOf(mos) {
  return WEATHER.find(({ least }) => mos >= least) ?? WEATHER.at(-1);
}

/** Its picture, on 24 × 24. */
export function weatherGlyph(name, attributes = {}) {
  return svg('svg', { viewBox: '0 0 24 24', class: 'weather', 'aria-hidden': 'true', ...attributes }, ...DRAWN[name].map(d => svg('path', { d })));
}

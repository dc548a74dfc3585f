/** The call-quality map, for everybody: how calls sounded lately, as weather over the countries, and the same in figures. */
import { el, fill, svg } from '../app/dom.js';
import { currentLanguage, has, preferredLanguage, t, useLanguage } from '../app/i18n.js';
import { mark } from '../app/icons.js';
import { keep, recall } from '../app/storage.js';
import { applyTheme } from '../app/theme.js';
import { WEATHER, weatherGlyph, weatherOf } from './weather.js';
import { COLUMNS, LINES, TILES } from './world.js';

const TILE = 40;
const GAP = 4;

applyTheme();
await useLanguage(recall('language') ?? preferredLanguage(), ['quality']);
let shown = null;
let wrong = false;
build();
try {
  shown = await fetch('/v1/call-quality', { headers: { Accept: 'application/json' } }).then(answer => (answer.ok ? answer.json() : Promise.reject(new Error('no answer'))));
} catch {
  wrong = true;
}
build();
addEventListener('hashchange', choose);

function build() {
  document.title = `${t('quality.title')} – ${t('app.name')}`;
  const regions = shown ? regionsOf(shown.networks) : [];
  fill(document.body, head(), el('main', { class: 'quality' },
    wrong ? el('p', { class: 'note', role: 'alert' }, t('quality.away')) : !shown ? el('p', { class: 'note', role: 'status' }, t('app.starting')) : null,
    shown && !regions.length ? empty() : null,
    el('div', { class: 'map-frame' }, map(regions), legend()),
    regions.length ? el('div', { class: 'regions' }, regions.map(card)) : null,
    regions.length ? table(regions) : null),
  el('footer', { class: 'foot' }, el('p', {}, t('quality.how', { n: shown?.minimum_calls ?? '…', people: shown?.minimum_people ?? '…' })),
    el('p', {}, el('a', { href: '/v1/call-quality' }, t('quality.json')))));
  choose();
}

function head() {
  const other = currentLanguage() === 'en' ? ['ko', '한국어'] : ['en', 'English'];
  return el('header', { class: 'quality-head' }, mark(),
    el('div', {}, el('h1', {}, t('quality.title')), el('p', { class: 'muted' }, shown ? t('quality.lead', { from: day(shown.from), to: day(shown.to) }) : t('quality.lead_short'))),
    el('button', { type: 'button', class: 'button link', lang: other[0], onclick: async () => {
      keep('language', other[0]);
      await useLanguage(other[0], ['quality']);
      build();
    } }, other[1]));
}

function day(at) {
  return new Intl.DateTimeFormat(currentLanguage(), { dateStyle: 'medium' }).format(new Date(at));
}

/** The countries, the most called first; their score is that of all their calls together. */
function regionsOf(networks) {
  const byCode = new Map();
  for (const network of networks) {
    const region = byCode.get(network.region) ?? { code: network.region, calls: 0, sum: 0, networks: [] };
    region.calls += network.calls;
    region.sum += network.mos * network.calls;
    region.networks.push(network);
    byCode.set(network.region, region);
  }
  return [...byCode.values()].map(region => ({ ...region, name: nameOf(region.code), mos: region.sum / region.calls, networks: region.networks.sort((a, b) => b.mos - a.mos) }))
    .sort((a, b) => b.calls - a.calls);
}

function nameOf(code) {
  try {
    return (code && new Intl.DisplayNames(currentLanguage(), { type: 'region' }).of(code)) || t('quality.unknown');
  } catch {
    return code;
  }
}

/** Kinds of network have words; carriers have names. */
function networkName({ network }) {
  const key = `network.${network || 'unknown'}`;
  return has(key) ? t(key) : network;
}

function score(mos) {
  return new Intl.NumberFormat(currentLanguage(), { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(mos);
}

function percent(share) {
  return new Intl.NumberFormat(currentLanguage(), { style: 'percent', maximumFractionDigits: 1 }).format(share);
}

function count(calls) {
  return new Intl.NumberFormat(currentLanguage()).format(calls);
}

function map(regions) {
  const known = new Map(regions.map(region => [region.code, region]));
  const picture = svg('svg', { viewBox: `0 0 ${COLUMNS * (TILE + GAP)} ${LINES * (TILE + GAP)}`, class: 'map', role: 'group', 'aria-label': t('quality.map', { n: regions.length }) });
  for (const { code, x, y } of TILES) {
    const place = `translate(${x * (TILE + GAP)} ${y * (TILE + GAP)})`;
    const region = known.get(code);
    if (region) picture.append(tile(region, place), above(region, place));
    else picture.append(svg('g', { transform: place, class: 'tile none', 'aria-hidden': 'true' }, square(), label(code, 25)));
  }
  return picture;
}

function square() {
  return svg('rect', { width: TILE, height: TILE, rx: 9 });
}

function label(code, y) {
  const text = svg('text', { x: TILE / 2, y, 'text-anchor': 'middle' });
  text.textContent = code;
  return text;
}

/** A country with calls: a link to its figures. */
function tile(region, place) {
  const { name } = weatherOf(region.mos);
  const words = `${region.name} (${region.code}): ${t(`weather.${name}`)}, ${score(region.mos)}`;
  const title = svg('title', { id: `title-${region.code}` });
  title.textContent = words;
  return svg('a', { href: `#${region.code}`, transform: place, class: 'tile', 'data-weather': name, 'aria-labelledby': title.id }, title, square());
}

/** What is seen on a tile; who hears the page has heard its name already. */
function above(region, place) {
  const { name } = weatherOf(region.mos);
  return svg('g', { transform: place, class: 'above', 'data-weather': name, 'aria-hidden': 'true' }, weatherGlyph(name, { x: 9, y: 3, width: 22, height: 22 }), label(region.code, 35));
}

function legend() {
  return el('ul', { class: 'legend', 'aria-label': t('quality.legend') }, WEATHER.map(({ name, least }, index) => el('li', {},
    el('span', { class: 'swatch', dataset: { weather: name } }, weatherGlyph(name)),
    el('span', {}, el('strong', {}, t(`weather.${name}`)), el('small', {}, index === WEATHER.length - 1 ? t('quality.below', { mos: score(WEATHER[index - 1].least) }) : t('quality.from', { mos: score(least) }))))));
}

function card(region) {
  const { name } = weatherOf(region.mos);
  return el('section', { class: 'region', id: region.code, tabindex: '-1', 'aria-labelledby': `name-${region.code}` },
    el('header', {}, el('span', { class: 'swatch large', dataset: { weather: name } }, weatherGlyph(name)),
      el('div', {}, el('h2', { id: `name-${region.code}` }, region.name), el('p', { class: 'muted' }, `${t(`weather.${name}`)} · ${score(region.mos)} · ${t('quality.calls', { n: region.calls, count: count(region.calls) })}`))),
    el('ul', { class: 'networks' }, region.networks.map(network => el('li', {},
      el('span', { class: 'network-name' }, networkName(network)),
      bar(network),
      el('span', { class: 'network-figures mono' }, score(network.mos)),
      el('span', { class: 'network-more muted' }, t('quality.more', { loss: percent(network.loss), jitter: Math.round(network.jitter_ms), n: network.calls, count: count(network.calls) }))))));
}

/** 1 to 4.5 on a line: where the score stands. */
function bar({ mos }) {
  const part = Math.max(2, Math.min(100, (mos - 1) / 3.5 * 100));
  return svg('svg', { viewBox: '0 0 100 8', preserveAspectRatio: 'none', class: 'score', 'aria-hidden': 'true', 'data-weather': weatherOf(mos).name },
    svg('rect', { width: 100, height: 8, class: 'track' }), svg('rect', { width: part, height: 8, class: 'value' }));
}

function table(regions) {
  const columns = ['region', 'network', 'calls_column', 'mos', 'loss', 'jitter'];
  return el('details', { class: 'figures' }, el('summary', {}, t('quality.table')),
    el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': t('quality.table') }, el('table', {},
      el('thead', {}, el('tr', {}, columns.map(name => el('th', { scope: 'col' }, t(`quality.${name}`))))),
      el('tbody', {}, regions.flatMap(region => region.networks.map(network => el('tr', {},
        el('th', { scope: 'row' }, region.name), el('td', {}, networkName(network)), el('td', {}, count(network.calls)),
        el('td', {}, score(network.mos)), el('td', {}, percent(network.loss)), el('td', {}, `${Math.round(network.jitter_ms)} ms`))))))));
}

function empty() {
  return el('p', { class: 'note' }, weatherGlyph('fair'), el('span', {}, t('quality.empty', { n: shown.minimum_calls })));
}

/** The country of the address is the one that is looked at. */
function choose() {
  const code = location.hash.slice(1);
  for (const node of document.querySelectorAll('.tile, .region')) node.classList.toggle('chosen', Boolean(code) && (node.id === code || node.getAttribute('href') === `#${code}`));
  const region = code ? document.getElementById(code) : null;
  region?.focus({ preventScroll: true });
  region?.scrollIntoView({ block: 'nearest', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'instant' : 'smooth' });
}

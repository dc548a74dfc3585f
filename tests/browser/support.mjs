/** What the journeys share: a browser, pages of people, checks that count, axe, screenshots. */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export const base = (process.env.BASE_URL ?? 'http://127.0.0.1:8080').replace(/\/$/, '');
const artefacts = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../test-artefacts');
const axeSource = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const only = process.argv[2] ?? '';

let passed = 0;
let failed = 0;
let browser = null;
const faults = [];

export const WIDE = { width: 1280, height: 800 };
export const NARROW = { width: 390, height: 844 };

/** Handles of this run: it can be repeated against the same server. */
const run = Date.now().toString(36).slice(-6);
export const handle = name => `${name}-${run}`;
export const PASSWORD = 'correct horse battery';

/** Opens the browser, with a microphone that is not there. */
export async function begin(extra = []) {
  fs.mkdirSync(artefacts, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required', ...extra],
  });
}

/** Closes it, prints the sum and ends with it. */
export async function end() {
  await browser.close();
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

/** A page of its own browser profile. Errors in the page fail the journey that is running. */
export async function newPage(options = {}) {
  const context = await browser.newContext({ viewport: WIDE, locale: 'en-US', bypassCSP: options.bypassCSP ?? false, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(Number(process.env.PATIENCE ?? 10_000));
  page.on('pageerror', error => faults.push(`error in the page: ${error.message}`));
  page.on('console', message => {
    if (message.type() === 'error' && /Content Security Policy|Refused to/.test(message.text())) faults.push(message.text());
  });
  return page;
}

/** One journey: a name and what happens. */
export async function journey(name, steps) {
  if (only && !name.includes(only)) return;
  faults.length = 0;
  const started = Date.now();
  try {
    await steps();
    if (faults.length) throw new Error(faults.join('; '));
    passed += 1;
    console.log(`ok    ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}\n      ${String(error.message).split('\n').slice(0, 12).join('\n      ')}`);
    await everyPage((page, index) => page.screenshot({ path: path.join(artefacts, `failed-${name.replace(/\W+/g, '-').slice(0, 60)}-${index}.png`) }).catch(() => {}));
  } finally {
    for (const context of browser.contexts()) await context.close();
  }
}

async function everyPage(fn) {
  for (const [index, page] of browser.contexts().flatMap(context => context.pages()).entries()) await fn(page, index);
}

/** Fails with a sentence. */
export function check(truth, sentence) {
  if (!truth) throw new Error(sentence);
}

/** Waits until a condition over a page holds. */
export async function until(sentence, condition, patience = 10_000) {
  const deadline = Date.now() + patience;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain: ${sentence}`);
    await new Promise(done => setTimeout(done, 50));
  }
}

/** No violation of WCAG 2.2 A and AA nor of the best practices that axe knows. */
export async function accessible(page, view) {
  await page.evaluate(() => Promise.all(document.getAnimations().filter(animation => animation.effect.getComputedTiming().iterations !== Infinity).map(animation => animation.finished.catch(() => {}))));
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, {
    iframes: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target, failureSummary }) => `${target} (${failureSummary.split('\n')[1]?.trim()})`).join(', ')}`);
  check(!violations.length, `${view} has ${violations.length} violations\n${told.join('\n')}`);
}

let keys = null;

/** No key of a text is shown instead of the text. */
export async function worded(page, view) {
  keys ??= new Set((await Promise.all(['en', 'console-en', 'calls-en', 'quality-en'].map(name => fetch(`${base}/i18n/${name}.json`).then(answer => answer.json())))).flatMap(Object.keys).filter(Boolean));
  const text = await page.evaluate(() => document.body.innerText);
  const key = text.split(/\s+/).find(word => word.includes('.') && (keys.has(word) || keys.has(`${word}.other`)));
  check(!key, `${view} shows a key: ${key}`);
}

/** A picture for people to look at. */
export async function picture(page, name, { whole = false } = {}) {
  const file = path.join(artefacts, `${name}.png`);
  if (!whole) return page.screenshot({ path: file });
  // What scrolls inside of the page is seen whole on a taller one.
  const size = page.viewportSize();
  const height = await page.evaluate(() => Math.max(...[...document.querySelectorAll('main, main *')].map(node => (getComputedStyle(node).overflowY === 'auto' ? node.scrollHeight : 0)), innerHeight));
  await page.setViewportSize({ width: size.width, height: Math.min(height + 140, 4000) });
  await page.screenshot({ path: file });
  return page.setViewportSize(size);
}

/** Signs up through the form and waits for the messenger. */
export async function signUp(page, name, shown) {
  await page.goto(`${base}/`);
  await page.locator('.door-switch button').click();
  await page.fill('[name=display_name]', shown);
  await page.fill('[name=handle]', handle(name));
  await page.fill('[name=password]', PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('m-shell[data-phase=signed-in]');
}

/** Two people who have accepted each other, each in an own browser. */
export async function friends(one, other, options = [{}, {}]) {
  const [a, b] = [await newPage(options[0]), await newPage(options[1])];
  await signUp(a, one, capital(one));
  await signUp(b, other, capital(other));
  await a.goto(`${base}/#/contacts/add`);
  await a.fill('[name=address]', handle(other));
  await a.keyboard.press('Enter');
  await b.locator('.requests').click();
  await b.locator('.item-actions .button.primary').click();
  await a.waitForSelector('.page a.button.primary');
  return [a, b];
}

export function capital(name) {
  return name[0].toUpperCase() + name.slice(1);
}

/** Opens the thread with somebody from wherever the page is. */
export async function openThread(page, shown) {
  await page.goto(`${base}/#/contacts`);
  await page.locator('m-contacts .item', { hasText: shown }).click();
  await page.locator('.page a.button.primary').click();
  await page.waitForSelector('m-composer textarea');
}

/** Writes and sends. */
export async function say(page, text) {
  await page.locator('m-composer textarea').fill(text);
  await page.locator('m-composer .send').click();
}

/** How often a text stands in the thread. */
export function times(page, text) {
  return page.locator('.row .text', { hasText: text }).count();
}

/** What the demo publishes, or null where there is no demo. */
export async function demoSheet() {
  const answer = await fetch(`${base}/demo.json`);
  return answer.ok ? answer.json() : null;
}

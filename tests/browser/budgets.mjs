/**
 * What the web client may cost, over an installation with 100,000 messages and 10,000 contacts (seed.py). Times are the
 * best of several tries: they say what the code needs, not what else the machine was doing. BUDGET_FACTOR stretches them.
 */
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';
import { fileURLToPath } from 'node:url';
import { PASSWORD, base, begin, check, end, journey, newPage, picture, until } from './support.mjs';

const web = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../web');
const factor = Number(process.env.BUDGET_FACTOR ?? 1);
const TRIES = 5;
/** So often at most, while the best is not good enough: a machine can be slow for seconds, the code is the same. */
const TRIES_MAX = 20;
const SIZE_MAX = 150 * 1024;
const START_SIZE_MAX = 64 * 1024;
const PAINT_MS = 300;
const INTERACTIVE_MS = 500;
const OPEN_MS = 250;
const KEY_MS = 60;
const FRAME_MS = 50;

const files = fs.readdirSync(web, { recursive: true, withFileTypes: true }).filter(file => file.isFile()).map(file => path.join(file.parentPath ?? file.path, file.name));
/** The pages' own addresses; `demo.html` is only there in a demo. */
const PAGES = { 'index.html': '/', 'console.html': '/admin', 'quality.html': '/quality' };
/** What a browser loads of a file, in bytes: as the server sends it to one that takes Brotli. */
const packed = file => new Promise((done, fail) => {
  const name = path.relative(web, file);
  if (name === 'demo.html') {
    done(zlib.brotliCompressSync(fs.readFileSync(file)).length);
    return;
  }
  http.get(`${base}${PAGES[name] ?? `/${name}`}`, { headers: { 'Accept-Encoding': 'br, gzip' } }, answer => {
    let sum = 0;
    answer.on('data', part => { sum += part.length; });
    answer.on('end', () => (answer.statusCode === 200 ? done(sum) : fail(new Error(`${name}: ${answer.statusCode}`))));
  }).on('error', fail);
});
const sumOf = async list => {
  let sum = 0;
  for (const file of list) sum += await packed(file);
  return sum;
};
const within = (what, took, most) => {
  console.log(`      ${what}: ${Math.round(took)} of ${Math.round(most * factor)} ms`);
  check(took <= most * factor, `${what} took ${Math.round(took)} ms, ${most * factor} are allowed`);
};

async function best(measure, enough = Infinity) {
  let least = Infinity;
  for (let n = 0; n < TRIES || (n < TRIES_MAX && least > enough * factor); n += 1) least = Math.min(least, await measure());
  return least;
}

async function signIn(name) {
  const page = await newPage();
  await page.goto(`${base}/`);
  await page.fill('[name=login]', name);
  await page.fill('[name=password]', PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('m-shell[data-phase=signed-in]');
  return page;
}

await begin();

await journey('budget: all of it, compressed', async () => {
  const sum = await sumOf(files);
  console.log(`      ${(sum / 1024).toFixed(1)} KiB of ${SIZE_MAX / 1024} in ${files.length} files`);
  check(sum < SIZE_MAX, `web/ has ${sum} bytes compressed`);
});

await journey('budget: what the messenger loads, and from where', async () => {
  const page = await newPage();
  const loaded = [];
  page.on('request', request => loaded.push(request.url()));
  await page.goto(`${base}/`);
  await page.waitForSelector('m-sign-in form');
  check(loaded.every(url => url.startsWith(`${base}/`)), `nothing comes from other hosts: ${loaded.find(url => !url.startsWith(base))}`);
  const local = loaded.map(url => path.join(web, new URL(url).pathname)).filter(file => fs.existsSync(file) && fs.statSync(file).isFile());
  const sum = await sumOf([path.join(web, 'index.html'), ...local]);
  check(!local.some(file => /call-|voice-/.test(file)), 'what only calls need comes with a call');
  console.log(`      ${(sum / 1024).toFixed(1)} KiB of ${START_SIZE_MAX / 1024} in ${loaded.length} requests`);
  check(sum < START_SIZE_MAX, `the messenger loads ${sum} bytes`);
});

await journey('budget: first paint and interactive', async () => {
  const page = await newPage();
  const paints = [];
  const ready = await best(async () => {
    await page.goto('about:blank');
    await page.goto(`${base}/`, { waitUntil: 'commit' });
    await page.waitForSelector('m-sign-in form');
    const [paint, usable] = await page.evaluate(() => [performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Infinity, performance.now()]);
    paints.push(paint);
    return usable;
  }, INTERACTIVE_MS);
  within('first paint', Math.min(...paints), PAINT_MS);
  within('interactive', ready, INTERACTIVE_MS);
});

await journey('budget: who is signed in, with 10,000 contacts, starts as quickly', async () => {
  const page = await signIn('lee');
  await page.goto(`${base}/#/contacts`);
  await until('all are there', async () => (await page.locator('m-contacts li[aria-setsize]').first().getAttribute('aria-setsize')) === '10001', 60_000);
  const ready = await best(async () => {
    await page.goto('about:blank');
    await page.goto(`${base}/`, { waitUntil: 'commit' });
    await page.waitForSelector('m-conversations .item');
    return page.evaluate(() => performance.now());
  }, INTERACTIVE_MS);
  within('the conversations are there', ready, INTERACTIVE_MS);
});

await journey('budget: a conversation of 100,000 messages opens like any other and scrolls without a jump', async () => {
  const page = await signIn('lee');
  await page.locator('m-conversations .item', { hasText: 'Moe' }).waitFor();
  const took = await best(async () => {
    await page.evaluate(() => { location.hash = '#/contacts'; });
    await page.waitForSelector('m-contacts');
    return page.evaluate(() => new Promise(done => {
      const began = performance.now();
      location.hash = '#/';
      const open = () => document.querySelector('m-conversations .item')?.click();
      const look = () => (document.querySelector('.row .text') ? done(performance.now() - began) : (open(), requestAnimationFrame(look)));
      requestAnimationFrame(look);
    }));
  }, 3);
  within('opening', took, OPEN_MS);
  await until('the newest is there', async () => (await page.locator('.row .text').last().textContent()).startsWith('100000:'));
  let jumps = 0;
  for (let n = 0; n < 30; n += 1) {
    const before = await page.evaluate(() => {
      const log = document.querySelector('.log');
      log.scrollTop = Math.max(0, log.scrollTop - 900);
      return null;
    });
    check(before === null, 'it scrolls');
    await page.waitForTimeout(60);
    // Whatever comes in above, what is seen stays where it is.
    jumps += await page.evaluate(async () => {
      const top = document.querySelector('.log').getBoundingClientRect().top;
      const seen = [...document.querySelectorAll('.row')].find(row => row.getBoundingClientRect().bottom > top);
      const at = seen.getBoundingClientRect().top;
      await new Promise(done => setTimeout(done, 120));
      return seen.isConnected && Math.abs(seen.getBoundingClientRect().top - at) < 2 ? 0 : 1;
    });
  }
  check(jumps === 0, `what was seen jumped ${jumps} times`);
  const rows = await page.locator('.row').count();
  check(rows < 200, `only what is seen is there: ${rows} rows`);
  const order = (await page.locator('.row .text').allTextContents()).map(text => Number(text.split(':')[0]));
  check(order.every((number, index) => !index || number === order[index - 1] + 1), 'in order, none missing, none double');
  check(order[0] < 99_800, `far enough back: ${order[0]}`);
  await picture(page, 'far-back');
  await page.locator('.to-newest').click();
  await until('the newest is there again', async () => (await page.locator('.row .text').last().textContent()).startsWith('100000:'));
});

await journey('budget: a word that was said 100,000 messages ago is found, and shown where it was said', async () => {
  const page = await signIn('lee');
  await page.locator('m-conversations .item', { hasText: 'Moe' }).waitFor();
  const began = performance.now();
  await page.locator('m-conversations input[type=search]').fill('zanzibar');
  await page.locator('m-found .found').waitFor({ timeout: 60_000 });
  console.log(`      ${Math.round(performance.now() - began)} ms back through everything`);
  await page.locator('m-found .found').click();
  await until('it is looked at', () => page.evaluate(() => document.activeElement?.closest('.row')?.textContent.includes('Zanzibar')));
  await picture(page, 'found-far-back');
});

await journey('budget: 10,000 contacts scroll and search without a dropped frame', async () => {
  const page = await signIn('lee');
  await page.goto(`${base}/#/contacts`);
  await until('all are there', async () => (await page.locator('m-contacts li[aria-setsize]').first().getAttribute('aria-setsize')) === '10001', 60_000);
  check(await page.locator('m-contacts li').count() < 80, 'only what is seen is there');
  const slowest = await best(() => page.evaluate(() => new Promise(done => {
    const list = document.querySelector('m-contacts .groups');
    let before = performance.now();
    let most = 0;
    let n = 0;
    const step = now => {
      if (n > 1) most = Math.max(most, now - before);
      before = now;
      n += 1;
      list.scrollTop = n * 1_733;
      if (n < 60) requestAnimationFrame(step);
      else done(most);
    };
    list.scrollTop = 0;
    requestAnimationFrame(step);
  })));
  within('the slowest frame while scrolling', slowest, FRAME_MS);
  const key = await best(() => page.evaluate(() => new Promise(done => {
    const search = document.querySelector('m-contacts input[type=search]');
    const letters = ['e', 'er', 'eri', 'erik', 'eriks'];
    let most = 0;
    const type = index => {
      if (index === letters.length) {
        search.value = '';
        search.dispatchEvent(new Event('input'));
        requestAnimationFrame(() => requestAnimationFrame(() => done(most)));
        return;
      }
      const began = performance.now();
      search.value = letters[index];
      search.dispatchEvent(new Event('input'));
      requestAnimationFrame(() => setTimeout(() => {
        most = Math.max(most, performance.now() - began);
        type(index + 1);
      }));
    };
    type(0);
  })));
  within('the slowest letter of a search', key, KEY_MS);
  await page.locator('m-contacts input[type=search]').fill('eriksen 0');
  await until('they are found', async () => (await page.locator('m-contacts .item-name').allTextContents()).every(name => name.includes('Eriksen')));
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  check(await page.evaluate(() => document.activeElement.matches('m-contacts a.item')), 'the arrows lead into the list');
});

await end();

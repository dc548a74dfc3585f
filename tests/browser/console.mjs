/** The journeys of operators through the console, over an installation with a month behind it (seed.py). */
import fs from 'node:fs';
import { NARROW, PASSWORD, WIDE, accessible, base, begin, check, end, journey, newPage, picture, signUp, until, worded } from './support.mjs';

const PLACES = ['', 'alarms', 'numbers', 'orders', 'carriers', 'costs', 'messages', 'undecided', 'calls', 'optouts', 'accounts', 'jobs'];

async function operate(options = {}, path = '/admin') {
  const page = await newPage(options);
  await page.goto(base + path);
  await page.fill('[name=login]', 'olga');
  await page.fill('[name=password]', PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.console');
  return page;
}

const settled = page => page.waitForFunction(() => document.querySelector('.desk .view') && !document.querySelector('.desk [role=status]')?.textContent.includes('…'));

await begin();

await journey('who is no operator sees nothing', async () => {
  const page = await newPage({ bypassCSP: true });
  await page.goto(`${base}/admin`);
  await page.fill('[name=login]', 'olga');
  await page.fill('[name=password]', 'not the password');
  await page.keyboard.press('Enter');
  await page.locator('[role=alert]:visible').waitFor();
  await accessible(page, 'the door of the console');
  await signUp(page, 'nosy', 'Nosy');
  await page.goto(`${base}/admin`);
  await page.getByText('This is for operators').waitFor();
  await accessible(page, 'not an operator');
  check(await page.locator('.console').count() === 0, 'there is no console');
});

for (const [slug, options, lang] of [
  ['desktop', { viewport: { width: 1360, height: 860 }, colorScheme: 'light', bypassCSP: true }, ''],
  ['phone', { viewport: NARROW, colorScheme: 'dark', locale: 'ko-KR', bypassCSP: true }, '?lang=ko'],
]) {
  await journey(`every place of the console is accessible and worded: ${slug}`, async () => {
    const page = await operate(options, `/admin${lang}`);
    for (const place of PLACES) {
      await page.goto(`${base}/admin${lang}#/${place}`);
      await settled(page);
      await page.waitForTimeout(300);
      await accessible(page, `console, ${place || 'overview'}`);
      await worded(page, `console, ${place || 'overview'}`);
      await page.screenshot({ path: new URL(`../../test-artefacts/console-${place || 'overview'}-${slug}.png`, import.meta.url).pathname, fullPage: true });
    }
    await page.goto(`${base}/admin${lang}#/messages`);
    await page.locator('tbody a').first().click();
    await page.locator('.way-step').first().waitFor();
    await accessible(page, 'console, trace');
    await worded(page, 'console, trace');
    await picture(page, `console-trace-${slug}`);
  });
}

await journey('a number is looked for and ordered by hand, by keyboard alone', async () => {
  const page = await operate({ viewport: WIDE, bypassCSP: true });
  await page.goto(`${base}/admin#/orders`);
  const shop = page.locator('.shop');
  await shop.locator('summary').press('Enter');
  await shop.locator('[name=region]').fill('USA');
  check(await shop.locator('[name=region]').inputValue() === 'US', 'two letters');
  await shop.locator('[name=area]').fill('2o2');
  await page.keyboard.press('Enter');
  await shop.locator('.field-error:visible').waitFor();
  await shop.locator('[name=area]').fill('');
  await shop.locator('[name=contains]').fill('55');
  await page.keyboard.press('Enter');
  await shop.locator('li').first().waitFor();
  const wanted = (await shop.locator('li strong').first().textContent()).replace(/[^+\d]/g, '');
  check(wanted.includes('55'), `what was asked for: ${wanted}`);
  await accessible(page, 'console, numbers offered');
  await worded(page, 'console, numbers offered');
  await picture(page, 'console-shop');
  await shop.locator('li button').first().press('Enter');
  await accessible(page, 'console, a number to be ordered');
  await page.locator('dialog .button.primary').press('Enter');
  await shop.locator('.tag-done').waitFor();
  await page.locator('tbody tr', { hasText: wanted.slice(-4) }).first().waitFor();
  await page.goto(`${base}/admin#/numbers?q=${encodeURIComponent(wanted)}`);
  await page.locator('tbody tr', { hasText: wanted.slice(-4) }).first().waitFor();
});

await journey('filters stand in the address and survive it, rows become CSV', async () => {
  const page = await operate({ viewport: WIDE });
  await page.goto(`${base}/admin#/messages`);
  await page.selectOption('[data-filter=state]', 'undelivered,failed');
  await until('the address has it', () => page.url().includes('state=undelivered'));
  await until('only those are there', async () => (await page.locator('tbody .tag').allTextContents()).every(text => /failed|not delivered/.test(text)) && await page.locator('tbody tr').count() > 0);
  await page.locator('.filters input').fill('absent');
  await until('the search is in the address', () => page.url().includes('q=absent'));
  await page.reload();
  await page.waitForSelector('tbody tr');
  check(await page.locator('.filters input').inputValue() === 'absent' && await page.locator('[data-filter=state]').inputValue() === 'undelivered,failed', 'the address brings them back');
  await until('all rows have it', async () => (await page.locator('tbody tr').allTextContents()).every(text => text.includes('handset_absent')));
  const shown = await page.locator('tbody tr').count();
  const [file] = await Promise.all([page.waitForEvent('download'), page.locator('.filters button').click()]);
  const lines = fs.readFileSync(await file.path(), 'utf8').trim().split('\r\n');
  check(lines.length >= shown + 1 && lines.slice(1).every(line => line.includes('handset_absent')), `the file has the rows that were asked for: ${lines.length}`);
  check(!lines.join().includes('(seed)'), 'nobody reads what was written');
  await page.goBack();
});

await journey('numbers are put to rest and retired, costs are counted and taken along', async () => {
  const page = await operate();
  await page.goto(`${base}/admin#/numbers?state=available`);
  const first = page.locator('.table-frame tbody tr').first();
  await first.waitFor();
  const shown = await first.locator('td').first().textContent();
  await first.getByRole('button', { name: /^Suspend/ }).click();
  await page.goto(`${base}/admin#/numbers?state=suspended`);
  await page.locator('.table-frame tbody tr', { hasText: shown }).waitFor();
  await page.locator('.table-frame tbody tr', { hasText: shown }).getByRole('button', { name: /^Back into service/ }).click();
  await until('it serves again', async () => await page.locator('.table-frame tbody tr', { hasText: shown }).count() === 0);
  await page.goto(`${base}/admin#/numbers?state=available`);
  await page.locator('.table-frame tbody tr', { hasText: shown }).getByRole('button', { name: /^Retire/ }).click();
  await page.locator('dialog').waitFor();
  await accessible(page, 'retiring a number');
  await page.keyboard.press('Escape');
  await page.goto(`${base}/admin#/costs?span=month&carrier=main`);
  await until('thirty days are shown', async () => await page.locator('.chart rect').count() > 20);
  check((await page.locator('.tile-value').first().textContent()).startsWith('$'), 'the sum is in its money');
  const rows = await page.locator('.table-frame tbody tr').count();
  const [file] = await Promise.all([page.waitForEvent('download'), page.locator('.filters button').click()]);
  const lines = fs.readFileSync(await file.path(), 'utf8').trim().split('\r\n');
  check(lines.length > 20 && lines[1].endsWith(',USD') && rows > 20, `the costs are taken along: ${lines[1]}`);
});

await journey('a list that cannot be read is no empty list, and what stands there is what is', async () => {
  const page = await operate();
  await page.clock.install();
  let broken = true;
  let asked = 0;
  await page.route(/\/v1\/admin\/messages\?.*unknown/, route => {
    asked += 1;
    return broken ? route.fulfill({ status: 500, contentType: 'application/problem+json', body: JSON.stringify({ title: 'Broken', status: 500, code: 'internal' }) }) : route.continue();
  });
  await page.goto(`${base}/admin#/undecided`);
  // So that the page lives by the clock of the test from its beginning.
  await page.reload();
  const again = page.getByRole('button', { name: 'Try again' });
  await again.waitFor();
  check(!(await page.locator('.table-note').first().textContent()).includes('decided'), 'it does not say that there is nothing');
  await accessible(page, 'a list that cannot be read');
  broken = false;
  await again.click();
  await page.waitForSelector('tbody tr');
  const seen = page.locator('tbody tr').first().getByRole('button', { name: 'It did not' });
  await seen.focus();
  const before = asked;
  await page.clock.runFor(31_000);
  await until('it is read again by itself', () => asked > before);
  await until('who stands on a row stays there', () => page.evaluate(() => document.activeElement.closest('tbody') !== null));
  await page.goto(`${base}/admin#/messages`);
  await page.waitForSelector('tbody tr');
  const more = page.getByRole('button', { name: 'More' });
  const first = await page.locator('tbody tr').count();
  await more.click();
  await until('more rows', async () => await page.locator('tbody tr').count() > first);
  const all = await page.locator('tbody tr').count();
  await page.clock.runFor(31_000);
  check(await page.locator('tbody tr').count() >= all, 'what was loaded stays loaded');
  await page.route(/\/v1\/admin\/messages\?.*after=/, route => route.abort());
  let saved = false;
  page.on('download', () => { saved = true; });
  await page.locator('.filters button').click();
  await page.locator('.toast').first().waitFor();
  check(!saved, 'half a table is not saved as a whole one');
});

await journey('an undecided SMS is decided, by keyboard', async () => {
  const page = await operate();
  await page.goto(`${base}/admin#/undecided`);
  await page.waitForSelector('tbody tr');
  const before = await page.locator('tbody tr').count();
  await page.locator('tbody tr').first().getByRole('button', { name: 'It did not' }).focus();
  await page.keyboard.press('Enter');
  await page.locator('dialog').waitFor();
  await page.keyboard.press('Escape');
  check(await page.locator('tbody tr').count() === before, 'Escape decides nothing');
  await page.locator('tbody tr').first().getByRole('button', { name: 'It went out' }).focus();
  await page.keyboard.press('Enter');
  await page.locator('dialog .button.primary').focus();
  await page.keyboard.press('Enter');
  await until('it is gone from the list', async () => await page.locator('tbody tr').count() === before - 1);
  await page.locator('.toast').first().waitFor();
  await page.getByRole('button', { name: 'None went out' }).focus();
  await page.keyboard.press('Enter');
  await page.locator('dialog .button.danger').focus();
  await page.keyboard.press('Enter');
  await until('the rest is decided at once', async () => await page.locator('tbody tr').count() === 0);
  await page.locator('.toast', { hasText: `${before - 1} decided` }).waitFor();
});

await journey('the overview leads on, the span is in the address, an invitation is made', async () => {
  const page = await operate();
  await page.locator('.spans a').last().click();
  await until('thirty days are asked for', () => page.url().includes('span=month'));
  await until('and shown', async () => await page.locator('.chart rect').count() > 40);
  await page.locator('.tile a[href*=undecided]').click();
  await until('a figure leads to what it counts', () => page.url().includes('undecided'));
  await page.goto(`${base}/admin#/accounts`);
  await page.getByRole('button', { name: 'Make an invitation' }).click();
  await page.locator('.fresh .copy-value').waitFor();
});

await end();

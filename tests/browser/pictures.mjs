/** Takes the README's pictures of an installation with a month behind it: `node pictures.mjs FOLDER`. Run by scripts/picture. */
import path from 'node:path';
import { PASSWORD, base, begin, end, friends, journey, newPage, openThread, say, times, until } from './support.mjs';

const folder = path.resolve(process.argv[3] ?? 'docs/images');
const shot = (page, name) => page.screenshot({ path: path.join(folder, `${name}.png`) }).then(() => console.log(`took ${name}.png`));
const SIZE = { viewport: { width: 1280, height: 800 } };

await begin();

await journey('picture: the messenger', async () => {
  const [mina, jonas] = await friends('mina', 'jonas', [{ ...SIZE, colorScheme: 'dark' }, {}]);
  await openThread(mina, 'Jonas');
  await openThread(jonas, 'Mina');
  for (const [who, other, text] of [
    [jonas, mina, 'Is the market still on this Saturday?'], [mina, jonas, 'Yes, from eight. I take the early tram.'],
    [jonas, mina, 'Good. Then I bring the coffee and you bring the bread, as always.'], [mina, jonas, 'As always. Here is the way: https://example.org/map'],
    [jonas, mina, 'See you there!'],
  ]) {
    await say(who, text);
    await until('it arrives', async () => await times(other, text) === 1);
  }
  await mina.locator('.toast').waitFor({ state: 'detached' });
  await shot(mina, 'messenger');
});

await journey('picture: my phone', async () => {
  const page = await newPage({ viewport: { width: 1280, height: 860 }, colorScheme: 'light' });
  await page.goto(`${base}/`);
  await page.fill('[name=login]', 'moe');
  await page.fill('[name=password]', PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('m-shell[data-phase=signed-in]');
  await page.goto(`${base}/phone`);
  await page.waitForSelector('m-phone-setup form');
  await page.locator('m-phone-setup form button[type=submit]').click();
  await page.locator('.fresh .qr').waitFor();
  await page.locator('m-phone-setup').evaluate(node => node.closest('.card').scrollIntoView());
  await page.waitForTimeout(500);
  await shot(page, 'my-phone');
});

await journey('picture: the console', async () => {
  const page = await newPage({ viewport: { width: 1280, height: 800 }, colorScheme: 'light' });
  await page.goto(`${base}/admin#/?span=month`);
  await page.fill('[name=login]', 'olga');
  await page.fill('[name=password]', PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('.chart rect').first().waitFor();
  await shot(page, 'console');
});

await end();

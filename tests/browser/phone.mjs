/** The journeys of who brings a plain phone: numbers, letters, the address book, proof that it works. */
import fs from 'node:fs';
import path from 'node:path';
import {
  NARROW, WIDE, accessible, base, begin, capital, check, end, friends, journey, newPage, picture, signUp, until, worded,
} from './support.mjs';

const simulator = process.env.SIMULATOR_URL;
const KOREAN = { viewport: NARROW, locale: 'ko-KR', colorScheme: 'dark', bypassCSP: true };
const ENGLISH = { viewport: WIDE, locale: 'en-US', colorScheme: 'light', bypassCSP: true };

const json = (method, body) => ({ method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });

/** A new phone at the simulated carrier. */
async function phone(number, name) {
  await fetch(`${simulator}/phones`, json('POST', { number, name }));
  const at = `${simulator}/phones/${encodeURIComponent(number)}`;
  return {
    number,
    text: (to, text) => fetch(`${at}/messages`, json('POST', { to, text })),
    view: () => fetch(at).then(answer => answer.json()),
    syncWith: account => fetch(`${at}/carddav`, json('PUT', account)),
    sync: () => fetch(`${at}/sync`, { method: 'POST' }),
    async code() {
      let found = null;
      await until('the code arrives', async () => {
        found = /\b(\d{6})\b/.exec((await this.view()).threads?.[0]?.messages?.findLast(({ text }) => /\d{6}/.test(text))?.text ?? '')?.[1];
        return Boolean(found);
      });
      return found;
    },
  };
}

/** The newest letter to an address, as plain text. */
async function letter(address) {
  let text = null;
  await until('the letter comes', () => {
    for (const name of fs.readdirSync(process.env.MAIL_DIR).sort().reverse()) {
      const raw = fs.readFileSync(path.join(process.env.MAIL_DIR, name), 'utf8');
      if (raw.includes(`To: ${address}`)) {
        const [head, ...rest] = raw.split('\r\n\r\n');
        const body = rest.join('\r\n\r\n');
        text = /base64/i.test(head) ? Buffer.from(body, 'base64').toString('utf8') : body.replace(/=\r\n/g, '').replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
        return true;
      }
    }
    return false;
  });
  return text;
}

const view = async (page, name, slug) => {
  await accessible(page, name);
  await worded(page, name);
  await picture(page, `${name.replace(/\W+/g, '-')}-${slug}`, { whole: true });
};

await begin();

await journey('e-mail: a wrong code is told, the right one proves the address', async () => {
  const page = await newPage(ENGLISH);
  await signUp(page, 'emma', 'Emma');
  await page.goto(`${base}/#/settings`);
  await page.locator('m-emails input[name=address]').fill('not an address');
  await page.keyboard.press('Enter');
  await page.locator('m-emails .field-error:visible').waitFor();
  await page.locator('m-emails input[name=address]').fill('emma@example.org');
  await page.keyboard.press('Enter');
  await page.locator('m-emails input[name=code]').waitFor();
  await view(page, 'e-mail to prove', 'desktop');
  const code = /\b(\d{6})\b/.exec(await letter('emma@example.org'))[1];
  await page.fill('m-emails input[name=code]', code === '111111' ? '222222' : '111111');
  await page.keyboard.press('Enter');
  await page.locator('m-emails .form-error:visible, m-emails .field-error:visible').first().waitFor();
  await page.fill('m-emails input[name=code]', code);
  await page.keyboard.press('Enter');
  await page.locator('m-emails .state-word.verified').waitFor();
});

for (const [slug, options] of [['desktop', ENGLISH], ['phone', KOREAN]]) {
  await journey(`e-mail: the link in the letter opens a page and the settings notice: ${slug}`, async () => {
    const page = await newPage(options);
    const name = `finn-${slug}`;
    await signUp(page, name, capital(name));
    await page.goto(`${base}/#/settings`);
    await page.locator('m-emails input[name=address]').fill(`${name}@example.org`);
    await page.keyboard.press('Enter');
    await page.locator('m-emails input[name=code]').waitFor();
    const link = /http\S+\/verify\/\S+/.exec(await letter(`${name}@example.org`))[0];
    const landing = await page.context().newPage();
    await landing.goto(link);
    await landing.locator('form button').click({ timeout: 1_000 }).catch(() => {});
    await page.locator('m-emails .state-word.verified').waitFor();
  });
}

await journey('photo: chosen, shown, taken away', async () => {
  const page = await newPage(ENGLISH);
  await signUp(page, 'gwen', 'Gwen');
  await page.goto(`${base}/#/settings`);
  await page.waitForSelector('m-photo input');
  await page.locator('m-photo input').setInputFiles({ name: 'broken.png', mimeType: 'image/png', buffer: Buffer.from('no picture at all') });
  await page.locator('.toast').first().waitFor();
  const picked = await page.evaluate(() => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 1600, height: 900 });
    const context = canvas.getContext('2d');
    for (const [index, colour] of ['#f2b705', '#d94f30', '#2f6690', '#3a7d44'].entries()) {
      context.fillStyle = colour;
      context.fillRect(index * 400, 0, 400, 900);
    }
    return canvas.toDataURL('image/png').split(',')[1];
  });
  await page.locator('m-photo input').setInputFiles({ name: 'me.png', mimeType: 'image/png', buffer: Buffer.from(picked, 'base64') });
  await page.locator('m-photo img.avatar').waitFor();
  await until('the picture is small and square', () => page.locator('m-photo img').evaluate(image => image.naturalWidth === 512 && image.naturalHeight === 512));
  await view(page, 'settings with a photo', 'desktop');
  await page.reload();
  await page.locator('m-photo img.avatar').waitFor();
  await page.getByRole('button', { name: 'Remove the photo' }).click();
  await until('the initials are back', async () => await page.locator('m-photo img').count() === 0);
});

await journey('my phone: a wrong code is told, the right one proves the number', async () => {
  const wanda = await phone('+12025550121', 'Wanda');
  const page = await newPage(ENGLISH);
  await signUp(page, 'wanda', 'Wanda');
  await page.goto(`${base}/phone`);
  await page.fill('[name=number]', 'hello');
  await page.keyboard.press('Enter');
  await page.locator('m-handsets .field-error:visible').waitFor();
  await page.fill('[name=number]', wanda.number);
  await page.keyboard.press('Enter');
  await page.waitForSelector('[name=code]');
  const code = await wanda.code();
  await page.fill('[name=code]', code === '000000' ? '000001' : '000000');
  await page.keyboard.press('Enter');
  await page.locator('.form-error:visible, .field-error:visible').first().waitFor();
  await page.fill('[name=code]', code);
  await page.keyboard.press('Enter');
  await page.locator('.state-word.verified').waitFor();
});

await journey('my phone: the number is proved by texting us', async () => {
  const xaver = await phone('+12025550122', 'Xaver');
  const page = await newPage(KOREAN);
  await signUp(page, 'xaver', 'Xaver');
  await page.goto(`${base}/phone`);
  await page.fill('[name=number]', xaver.number);
  await page.keyboard.press('Enter');
  await page.locator('.text-us').waitFor();
  await view(page, 'my phone, to be proved', 'phone');
  const [to, words] = await page.locator('.text-us .copy-value').allTextContents();
  await xaver.text(to.replace(/[^+\d]/g, ''), words);
  await page.locator('.state-word.verified').waitFor();
  await page.locator('.toast').first().waitFor();
  check(await page.locator('.text-us').count() === 0, 'what is done is gone');
});

await journey('my phone: by keyboard alone', async () => {
  const handset = await phone('+12025550125', 'Kaya');
  const page = await newPage(ENGLISH);
  await signUp(page, 'kaya', 'Kaya');
  await page.goto(`${base}/phone`);
  await page.waitForSelector('[name=number]');
  const tabTo = async (selector, most = 30) => {
    for (let n = 0; n < most; n += 1) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(wanted => document.activeElement.matches(wanted), selector)) return;
    }
    throw new Error(`Tab never came to ${selector}`);
  };
  await tabTo('[name=number]');
  await page.keyboard.type(handset.number);
  await page.keyboard.press('Enter');
  await until('the focus is where the code goes', () => page.evaluate(() => document.activeElement.name === 'code'));
  await page.keyboard.type(await handset.code());
  await page.keyboard.press('Enter');
  await page.locator('.state-word.verified').waitFor();
  await tabTo('[name=way]');
  await page.keyboard.press('ArrowRight');
  check(await page.locator('[name=way][value=android]').isChecked(), 'the arrows choose');
  await tabTo('m-phone-setup form button');
  await page.keyboard.press('Enter');
  await until('the focus is on what was made', () => page.evaluate(() => document.activeElement.matches('.fresh')));
  await tabTo('.fresh a.primary');
  await tabTo('.fresh summary');
  await page.keyboard.press('Enter');
  check(await page.locator('.fresh .copyable').first().isVisible(), 'the values for typing are shown');
});

for (const [slug, options, name, number] of [['desktop', ENGLISH, 'gina', '+12025550126'], ['phone', KOREAN, 'gino', '+12025550127']]) {
  await journey(`texts in one's name: asked, thrown away, sent, and the PIN: ${slug}`, async () => {
    const handset = await phone(number, capital(name));
    const friend = `hank-${slug}`;
    const [page, other] = await friends(name, friend, [options, {}]);
    await page.goto(`${base}/phone`);
    await page.waitForSelector('[name=number]');
    const guard = page.locator('m-text-guard');
    check(!await guard.isVisible(), 'without a phone there is nothing to guard');
    await page.fill('[name=number]', number);
    await page.keyboard.press('Enter');
    await page.fill('[name=code]', await handset.code());
    await page.keyboard.press('Enter');
    await guard.locator('[type=checkbox]').waitFor();
    await view(page, 'my phone, nothing waits', slug);
    await guard.locator('[type=checkbox]').press('Space');
    await page.locator('.toast').first().waitFor();
    await guard.locator('[name=pin]').fill('12');
    await page.keyboard.press('Enter');
    await guard.locator('.field-error:visible, .form-error:visible').first().waitFor();
    await guard.locator('[name=pin]').fill('24680');
    await page.keyboard.press('Enter');
    await guard.locator('m-pin button.link').waitFor();
    let to = null;
    await until('the friend has a number', async () => (to = await page.evaluate(async () => Object.values((await import('/app/store.js')).now().contacts)[0]?.number)));
    await handset.text(to, 'This was somebody else');
    await guard.locator('.held-text', { hasText: 'somebody else' }).waitFor();
    check((await guard.locator('.held-text').textContent()).includes(capital(friend)), 'the page says for whom it is');
    await view(page, 'my phone, a text waits', slug);
    await guard.locator('button.danger').press('Enter');
    await page.locator('dialog .button.danger').press('Enter');
    await until('it is gone', async () => await guard.locator('.held-text').count() === 0);
    await handset.text(to, 'This is me');
    await guard.locator('.held-text', { hasText: 'This is me' }).waitFor();
    await guard.locator('button.primary').press('Enter');
    await until('nothing waits', async () => await guard.locator('.held-text').count() === 0);
    await other.goto(`${base}/#/`);
    await other.locator('m-conversations .item.unread', { hasText: 'This is me' }).click();
    await other.locator('m-thread', { hasText: 'This is me' }).waitFor();
    check(!(await other.locator('m-thread').textContent()).includes('somebody else'), 'what was thrown away never came');
    await guard.locator('m-pin button.link').press('Enter');
    await page.locator('dialog .button.danger').press('Enter');
    await until('there is no PIN', async () => await guard.locator('m-pin button.link').count() === 0);
  });
}

for (const [slug, options, name, number] of [['desktop', ENGLISH, 'yara', '+12025550123'], ['phone', KOREAN, 'yuri', '+12025550124']]) {
  await journey(`my phone: set up, synced and tried: ${slug}`, async () => {
    const handset = await phone(number, capital(name));
    const friend = `zoe-${slug}`;
    const [page, other] = await friends(name, friend, [options, {}]);
    await page.goto(`${base}/phone`);
    await page.locator('m-phone-proof .test-contact h3').waitFor();
    await view(page, 'my phone, empty', slug);
    await page.fill('[name=number]', number);
    await page.keyboard.press('Enter');
    await page.fill('[name=code]', await handset.code());
    await page.keyboard.press('Enter');
    await page.locator('.state-word.verified').waitFor();
    for (const way of ['apple', 'android', 'thunderbird', 'evolution', 'other']) {
      await page.locator(`[name=way][value=${way}]`).check({ force: true });
      await page.locator('m-phone-setup form button[type=submit]').click();
      await page.locator('.fresh').waitFor();
      if (way === 'apple') {
        await until('the QR code is a picture', () => page.locator('.qr').evaluate(image => image.naturalWidth > 0));
        const profile = await page.locator('.fresh a.primary').getAttribute('href');
        check((await (await fetch(profile)).text()).includes('com.apple.carddav.account'), 'the profile is one');
        const setup = await page.context().newPage();
        await setup.goto(profile.replace(/\/meari\.mobileconfig$/, ''));
        await view(setup, 'the page behind the code', slug);
        await setup.close();
      }
      if (way === 'android') check(/^carddav:\/\/.+:.+@127\.0\.0\.1:\d+\/dav\/$/.test(await page.locator('.fresh a.primary').getAttribute('href')), 'the link has all in it');
      if (way !== 'thunderbird') await view(page, `my phone, ${way}`, slug);
    }
    const [url, username, password] = await page.locator('.fresh .copy-value').allTextContents();
    await handset.syncWith({ url: url.replace(/dav\/$/, ''), username, password });
    await handset.sync();
    await page.locator('.device-state.good').waitFor();
    check(/1/.test(await page.locator('.device-state.good').textContent()), 'the page says how many contacts were fetched');
    const bobs = (await handset.view()).contacts[0].numbers[0];
    await handset.text(bobs, 'Is anybody there?');
    await page.locator('.test-contact .state-word.verified').waitFor();
    await view(page, 'my phone, proved', slug);
    await other.goto(`${base}/#/`);
    await other.locator('m-conversations .item.unread', { hasText: 'Is anybody there?' }).waitFor();
    await page.locator('[name=way][value=file]').check({ force: true });
    const [file] = await Promise.all([page.waitForEvent('download'), page.locator('m-phone-setup .button.primary').click()]);
    const cards = fs.readFileSync(await file.path(), 'utf8');
    check(cards.includes(`FN:${capital(friend)}\r\n`) && cards.includes(`TEL;TYPE=CELL:${bobs}\r\n`), 'the file has the friend with the number');
    const devices = await page.locator('.device').count();
    await page.locator('.device').first().getByRole('button').click();
    await page.locator('dialog .button.danger').click();
    await until('the device is gone', async () => await page.locator('.device').count() === devices - 1);
  });
}

await end();

/**
 * The journeys of people through the web client. Run: `BASE_URL=http://127.0.0.1:8080 node journeys.mjs [part of a name]`.
 * A whole run signs up about twenty people, as many as a server takes from one address in an hour: give it a fresh demo.
 */
import {
  NARROW, WIDE, accessible, base, begin, capital, check, demoSheet, end, friends, journey, newPage, openThread, picture, say, signUp, times, until, worded,
} from './support.mjs';

await begin();

await journey('signing up: errors stand at their fields, then it works', async () => {
  const page = await newPage();
  await page.goto(`${base}/`);
  await page.locator('.door-switch button').click();
  await page.keyboard.press('Enter');
  await page.locator('.form .button').click();
  check(await page.locator('.field-error:visible').count() === 3, 'every empty field says so');
  await page.fill('[name=display_name]', 'Nadia');
  await page.fill('[name=handle]', 'No Spaces!');
  await page.fill('[name=password]', 'short');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('[aria-invalid=true]'));
  check(await page.evaluate(() => document.activeElement.getAttribute('aria-invalid')) === 'true', 'the focus is at the wrong field');
  await signUp(page, 'nadia', 'Nadia');
  await page.reload();
  await page.waitForSelector('m-shell[data-phase=signed-in]');
});

await journey('signing in with a wrong password says so', async () => {
  const page = await newPage();
  await page.goto(`${base}/`);
  await page.fill('[name=login]', 'nobody-here');
  await page.fill('[name=password]', 'wrong password');
  await page.keyboard.press('Enter');
  await page.locator('[role=alert]:visible').waitFor();
  await worded(page, 'the door');
});

await journey('two people become friends and write, live', async () => {
  const [hana, igor] = await friends('hana', 'igor');
  await openThread(hana, 'Igor');
  await say(hana, 'Hello Igor, see https://example.org/map.');
  await igor.goto(`${base}/#/`);
  await igor.locator('m-conversations .item.unread', { hasText: 'Hello Igor' }).click();
  check(await igor.locator('.row .text a').getAttribute('href') === 'https://example.org/map', 'the address is a link without the full stop');
  await say(igor, 'Found it <b>at once</b>');
  await until('the answer comes', async () => await times(hana, 'Found it <b>at once</b>') === 1);
  check(await hana.locator('.row b').count() === 0, 'markup stays text');
  await until('the first message is shown as read', async () => (await hana.locator('.row.mine').first().getAttribute('data-state')) === 'read');
  await picture(hana, 'thread-desktop');
});

await journey('what is written without a connection is sent once, later', async () => {
  const [jun, kim] = await friends('jun', 'kim');
  await openThread(jun, 'Kim');
  await say(jun, 'before the tunnel');
  await openThread(kim, 'Jun');
  await jun.context().setOffline(true);
  await say(jun, 'inside the tunnel');
  await jun.locator('.row[data-state=sending]').waitFor();
  await say(kim, 'are you there?');
  await jun.reload().catch(() => {});
  await jun.context().setOffline(false);
  await jun.goto(`${base}/`);
  await until('it arrives', async () => await times(kim, 'inside the tunnel') === 1, 20_000);
  await jun.locator('m-conversations .item', { hasText: 'Kim' }).click();
  await until('both sides agree', async () => await times(jun, 'inside the tunnel') === 1 && await times(jun, 'are you there?') === 1);
  await kim.waitForTimeout(1_000);
  check(await times(kim, 'inside the tunnel') === 1, 'it is there once');
});

await journey('drafts are kept, older messages load without a jump', async () => {
  const [lena, milo] = await friends('lena', 'milo');
  await openThread(lena, 'Milo');
  for (let n = 1; n <= 60; n += 1) {
    await lena.locator('m-composer textarea').fill(`line ${n} of many`);
    await lena.keyboard.press('Enter');
  }
  await until('all are sent', async () => await lena.locator('.row[data-state=sending]').count() === 0, 30_000);
  await lena.locator('m-composer textarea').fill('not finished yet');
  await lena.waitForTimeout(500);
  await milo.goto(`${base}/#/`);
  await milo.locator('m-conversations .item', { hasText: 'Lena' }).click();
  await milo.locator('.row').first().waitFor();
  const seen = milo.locator('.row .text', { hasText: 'line 25 of many' });
  await milo.locator('.log').evaluate(log => log.scrollTo(0, 0));
  await until('the older page comes', async () => await times(milo, 'line 1 of many') === 1);
  check(await seen.count() === 1, 'nothing is double');
  const order = await milo.locator('.row .text').allTextContents();
  check(order.join() === Array.from({ length: 60 }, (_, index) => `line ${index + 1} of many`).join(), 'all are there, in order');
  await lena.reload();
  await lena.waitForSelector('m-composer textarea');
  check(await lena.locator('m-composer textarea').inputValue() === 'not finished yet', 'the draft is there');
});

await journey('by keyboard alone', async () => {
  const [olga, piet] = await friends('olga', 'piet');
  await openThread(olga, 'Piet');
  await say(olga, 'for the list');
  await olga.goto(`${base}/#/`);
  await olga.reload();
  await olga.waitForSelector('m-conversations .item');
  await olga.keyboard.press('Tab');
  check(await olga.evaluate(() => document.activeElement.className) === 'skip', 'the first stop is the skip link');
  await olga.keyboard.press('Control+k');
  await until('the search has the focus', () => olga.evaluate(() => document.activeElement.type === 'search'));
  await olga.keyboard.type('pie');
  await olga.keyboard.press('Enter');
  await until('the composer has the focus', () => olga.evaluate(() => document.activeElement.tagName === 'TEXTAREA'));
  await olga.keyboard.type('no mouse here');
  await olga.keyboard.press('Shift+Enter');
  await olga.keyboard.type('second line');
  await olga.keyboard.press('Enter');
  await until('it is sent', async () => await times(olga, 'no mouse here') === 1);
  await olga.keyboard.press('Escape');
  await until('Escape leads to the list', () => olga.evaluate(() => document.activeElement.matches('m-conversations a')));
  await openThread(piet, 'Olga');
  await until('it arrives', async () => await times(piet, 'no mouse here') === 1);
});

await journey('blocking, unblocking, removing', async () => {
  const [quinn, rosa] = await friends('quinn', 'rosa');
  await quinn.goto(`${base}/#/contacts`);
  await quinn.locator('m-contacts .item', { hasText: 'Rosa' }).click();
  await quinn.getByRole('button', { name: 'Block', exact: true }).click();
  await quinn.locator('dialog .button.danger').click();
  await quinn.getByRole('button', { name: 'Unblock' }).click();
  await quinn.locator('.page a.button.primary').waitFor();
  await quinn.getByRole('button', { name: 'Remove contact' }).click();
  await quinn.keyboard.press('Escape');
  await quinn.getByRole('button', { name: 'Remove contact' }).click();
  await quinn.locator('dialog .button.danger').click();
  await until('the list is empty', async () => await quinn.locator('m-contacts .item').count() === 0);
  check(await rosa.locator('m-shell').count() === 1, 'the other side is well');
});

await journey('settings: language, theme, quiet hours, sign out', async () => {
  const page = await newPage();
  await signUp(page, 'sora', 'Sora');
  await page.goto(`${base}/#/settings`);
  await page.selectOption('[name=locale]', 'ko');
  await page.locator('.card', { has: page.locator('[name=locale]') }).locator('button[type=submit]').click();
  await until('the page is Korean', () => page.evaluate(() => document.documentElement.lang === 'ko'));
  await page.getByText('설정').first().waitFor();
  await page.locator('[name=theme][value=dark]').check({ force: true });
  check(await page.evaluate(() => getComputedStyle(document.body).colorScheme || document.documentElement.dataset.theme) !== 'light', 'it is dark');
  await page.locator('#quiet-on').check();
  await page.locator('.card', { has: page.locator('#quiet-on') }).locator('button[type=submit]').click();
  await page.locator('.toast').first().waitFor();
  await page.reload();
  await page.waitForSelector('#quiet-on');
  check(await page.locator('#quiet-on').isChecked(), 'quiet hours are kept');
  await worded(page, 'settings in Korean');
  await page.locator('.page > .page-end button').click();
  await page.waitForSelector('m-sign-in');
  await page.reload();
  await page.waitForSelector('m-sign-in');
});

await journey('a second tab ends with the first', async () => {
  const page = await newPage();
  await signUp(page, 'tomo', 'Tomo');
  const second = await page.context().newPage();
  await second.goto(`${base}/`);
  await second.waitForSelector('m-shell[data-phase=signed-in]');
  await page.reload();
  await page.waitForSelector('m-shell[data-phase=signed-in]');
  await page.goto(`${base}/#/settings`);
  await page.locator('.page > .page-end button').click();
  await second.waitForSelector('m-sign-in');
});

for (const [tag, options] of [
  ['desktop, English, light', { viewport: WIDE, locale: 'en-US', colorScheme: 'light' }],
  ['phone, Korean, dark', { viewport: NARROW, locale: 'ko-KR', colorScheme: 'dark' }],
]) {
  await journey(`every view is accessible: ${tag}`, async () => {
    const slug = tag.split(',')[0];
    const door = await newPage({ ...options, bypassCSP: true });
    await door.goto(`${base}/`);
    await door.waitForSelector('m-sign-in');
    const view = async (page, name) => {
      await accessible(page, name);
      await worded(page, name);
      await picture(page, `${name.replace(/\W+/g, '-')}-${slug}`);
    };
    await view(door, 'sign in');
    await door.locator('.door-switch button').click();
    await view(door, 'sign up');
    const [una, vito] = await friends(`una-${slug}`, `vito-${slug}`, [{ ...options, bypassCSP: true }, {}]);
    await openThread(una, capital(`vito-${slug}`));
    await view(una, 'thread, empty');
    await say(una, 'Hello there');
    await openThread(vito, capital(`una-${slug}`));
    await say(vito, 'Hello yourself');
    await una.locator('.row.theirs').waitFor();
    await view(una, 'thread');
    for (const [name, address] of [['chats', '#/'], ['contacts', '#/contacts'], ['add a contact', '#/contacts/add'], ['my phone', '#/phone'], ['settings', '#/settings']]) {
      await una.goto(`${base}/${address}`);
      await una.waitForTimeout(300);
      await view(una, name);
    }
    await una.goto(`${base}/#/contacts`);
    await una.locator('m-contacts .item').first().click();
    await una.waitForSelector('m-contact .person');
    await view(una, 'contact');
  });
}

for (const [tag, viewport, locale] of [['desktop', { width: 1440, height: 900 }, 'en-US'], ['phone', NARROW, 'ko-KR']]) {
  await journey(`the demo: Alice's phone texts Bob and Bob answers: ${tag}`, async () => {
    const sheet = await demoSheet();
    if (!sheet) return;
    const page = await newPage({ viewport, locale, bypassCSP: true });
    await page.goto(`${base}/demo`);
    await page.waitForSelector('.tour-stage');
    const current = () => page.locator('.tour-step[aria-current=step]').getAttribute('data-step');
    const act = () => page.locator('.tour-step[aria-current=step] .button').click();
    await until('Alice has Bob in her phone', async () => await current() === 'text', 20_000);
    await picture(page, `demo-begin-${tag}`);
    await accessible(page, 'the demo');
    await worded(page, 'the demo');
    await act();
    await until('the text is in the messenger', async () => await current() === 'answer', 20_000);
    const messenger = page.frameLocator('.tour-messenger');
    await messenger.locator('.row.theirs').last().waitFor();
    if (tag === 'phone') await page.locator('[data-tab=bob]').click();
    await messenger.locator('m-composer textarea').fill('Answered in the browser');
    await messenger.locator('m-composer .send').click();
    await until('it is on the phone as an SMS', async () => await current() === 'call', 20_000);
    await messenger.locator('.row.mine[data-state=delivered]').last().waitFor({ state: 'attached' });
    await page.waitForTimeout(1_500);
    await act();
    await messenger.locator('dialog.ring').waitFor({ state: 'attached' });
    if (tag === 'phone') await page.locator('[data-tab=bob]').click();
    await messenger.locator('.ring-accept').click();
    const next = sheet.phones.length > 1 ? 'stranger' : null;
    await until('they talk', async () => (await page.locator('.tour-step[aria-current=step]').count() ? await current() : null) === next, 20_000);
    // On a phone it stands below the edge of the page, in a frame that a test cannot scroll.
    await messenger.locator('m-call [data-act=hang-up]').evaluate(button => button.click());
    if (sheet.phones.length > 1) {
      await page.waitForTimeout(1_500);
      await act();
      await until('the tour is finished', () => page.evaluate(() => document.body.classList.contains('tour-finished')), 20_000);
      check(await messenger.locator('.row .text', { hasText: /Who is this|누구시죠/ }).count() === 0, 'Bob sees nothing of the stranger');
    }
    await page.waitForTimeout(1_500);
    await picture(page, `demo-end-${tag}`);
  });
}

await journey('files: validators, HEAD, policy', async () => {
  for (const path of ['/', '/app/main.js', '/style/base.css', '/icon.svg', '/manifest.webmanifest', '/i18n/ko.json']) {
    const first = await fetch(base + path);
    check(first.ok && first.headers.get('etag'), `${path} has a validator`);
    const again = await fetch(base + path, { headers: { 'If-None-Match': first.headers.get('etag') } });
    check(again.status === 304, `${path} is revalidated`);
    const head = await fetch(base + path, { method: 'HEAD' });
    check(head.ok && (await head.text()) === '', `${path} answers HEAD`);
    check(first.headers.get('content-security-policy')?.includes("default-src 'self'"), `${path} has a policy`);
  }
});

await end();

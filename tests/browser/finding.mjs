/** Answering a message, finding old ones, faces, and what goes along with words. */
import {
  NARROW, accessible, base, begin, check, demoSheet, end, friends, journey, newPage, openThread, picture, say, times, until, worded,
} from './support.mjs';

const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==', 'base64');
const row = (page, text) => page.locator('.row', { has: page.locator('.text', { hasText: text }) });

/** Whether a message is in the middle of what one sees, and has the focus. */
const looksAt = (page, text) => page.evaluate(text => {
  const row = document.activeElement?.closest('.row');
  const { top, bottom } = row?.getBoundingClientRect() ?? { top: -1, bottom: -1 };
  return Boolean(row?.querySelector('.text').textContent.includes(text)) && top > 0 && bottom < innerHeight;
}, text);

/** A picture that is large enough to look at. */
const drawn = page => page.evaluate(async () => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 600, height: 400 });
  const context = canvas.getContext('2d');
  const light = context.createLinearGradient(0, 0, 600, 400);
  light.addColorStop(0, '#f6b73c');
  light.addColorStop(1, '#0d6a5b');
  context.fillStyle = light;
  context.fillRect(0, 0, 600, 400);
  const blob = await new Promise(done => canvas.toBlob(done, 'image/jpeg', 0.9));
  return [...new Uint8Array(await blob.arrayBuffer())];
}).then(bytes => Buffer.from(bytes));

await begin();

await journey('a message is answered by mouse, by keys and by touch, and the quote leads back', async () => {
  const [ruth, sam] = await friends('ruth', 'sam', [{}, { viewport: NARROW, hasTouch: true }]);
  await openThread(ruth, 'Sam');
  await openThread(sam, 'Ruth');
  await say(ruth, 'Shall we meet at eight?');
  for (let n = 1; n <= 45; n += 1) await say(ruth, `in between ${n}`);
  await until('all are sent', async () => await ruth.locator('.row[data-state=sending]').count() === 0, 30_000);
  await until('they are there', async () => await times(sam, 'in between 45') === 1);

  await row(ruth, 'in between 45').hover();
  await row(ruth, 'in between 45').locator('.react', { hasText: 'Reply' }).click();
  check((await ruth.locator('.quoting').textContent()).includes('in between 45'), 'one sees what one answers');
  check(await ruth.evaluate(() => document.activeElement.tagName) === 'TEXTAREA', 'and can write at once');
  await accessible(ruth, 'an answer being written');
  await picture(ruth, 'reply-composer');
  await ruth.keyboard.press('Escape');
  check(await ruth.locator('.quoting').isHidden(), 'Escape takes it back');
  await ruth.keyboard.press('Control+ArrowUp');
  await ruth.keyboard.press('Control+ArrowUp');
  check((await ruth.locator('.quoting').textContent()).includes('in between 44'), 'keys go from message to message');
  await ruth.keyboard.type('By keys');
  await ruth.keyboard.press('Enter');
  await until('the quote stands above the words', async () => (await row(sam, 'By keys').locator('.quote').textContent()).includes('in between 44'));

  // A finger draws the message to the side.
  await row(sam, 'By keys').evaluate(node => {
    const { left, top } = node.getBoundingClientRect();
    const touch = x => ({ bubbles: true, cancelable: true, touches: x === null ? [] : [new Touch({ identifier: 1, target: node, clientX: x, clientY: top + 8 })] });
    node.dispatchEvent(new TouchEvent('touchstart', touch(left + 20)));
    node.dispatchEvent(new TouchEvent('touchmove', touch(left + 60)));
    node.dispatchEvent(new TouchEvent('touchmove', touch(left + 100)));
    node.dispatchEvent(new TouchEvent('touchend', touch(null)));
  });
  check((await sam.locator('.quoting').textContent()).includes('By keys'), 'a finger answers, too');
  await picture(sam, 'reply-phone');
  await say(sam, 'By touch');
  await until('it comes', async () => (await row(ruth, 'By touch').locator('.quote').textContent()).includes('By keys'));

  // The first message is not among those that are loaded: answer it through the API, then jump.
  await ruth.locator('.log').evaluate(log => log.scrollTo(0, 0));
  await until('the beginning is there', async () => await times(ruth, 'Shall we meet') === 1);
  await row(ruth, 'Shall we meet').hover();
  await row(ruth, 'Shall we meet').locator('.react', { hasText: 'Reply' }).click();
  await say(ruth, 'About the beginning');
  await until('it comes', async () => await times(sam, 'About the beginning') === 1);
  await sam.reload();
  await row(sam, 'About the beginning').waitFor();
  check(await times(sam, 'Shall we meet') === 0, 'the first message is far away');
  await row(sam, 'About the beginning').locator('.quote').click();
  await until('the quoted message is looked at', () => looksAt(sam, 'Shall we meet'));
  await picture(sam, 'reply-jumped');
  await accessible(sam, 'a thread in the past');
  await say(ruth, 'said meanwhile');
  await sam.locator('.to-newest').click();
  await until('the newest is there again, once', async () => await times(sam, 'said meanwhile') === 1 && await times(sam, 'About the beginning') === 1);
  const order = (await sam.locator('.row .text').allTextContents()).filter(text => text.startsWith('in between')).map(text => Number(text.split(' ').at(-1)));
  check(order.every((number, index) => !index || number === order[index - 1] + 1), `in order and none missing: ${order}`);
});

await journey('old messages are found in the list and in a thread, by keys, and a press leads there', async () => {
  const [tilda, uwe] = await friends('tilda', 'uwe');
  await openThread(tilda, 'Uwe');
  await say(tilda, 'The CAFÉ by the river, 안녕하세요');
  for (let n = 1; n <= 90; n += 1) await say(tilda, `talk ${n}`);
  await until('all are sent', async () => await tilda.locator('.row[data-state=sending]').count() === 0, 45_000);
  await uwe.goto(`${base}/#/`);
  const search = uwe.locator('m-conversations input[type=search]');
  await search.fill('cafe');
  await uwe.locator('m-found .found').waitFor();
  check(await uwe.locator('m-found mark').textContent() === 'CAFÉ', 'the word is lit');
  await accessible(uwe, 'a search in all messages');
  await picture(uwe, 'found-list');
  await search.press('ArrowDown');
  check(await uwe.evaluate(() => document.activeElement.className) === 'found', 'the arrow leads to it');
  await uwe.keyboard.press('Enter');
  await until('it is looked at', () => looksAt(uwe, 'CAFÉ'));
  check(await times(uwe, 'talk 1') >= 1, 'with what was said after it');
  await search.fill('녕하');
  await until('inside of a Korean word', async () => await uwe.locator('m-found mark').textContent().catch(() => '') === '녕하');
  await search.fill('nowhere to be found');
  await uwe.locator('m-found .list-note', { hasText: 'No message' }).waitFor();
  await worded(uwe, 'a search without a hit');
  await picture(uwe, 'found-nothing');
  await search.fill('');
  check(await uwe.locator('m-found').isHidden(), 'nothing is looked for any more');

  await tilda.locator('.thread-acts .button').first().click();
  await tilda.locator('m-thread-search input').fill('talk 39');
  await until('in this thread', async () => await tilda.locator('m-thread-search .found').count() === 1);
  await accessible(tilda, 'a search in a thread');
  await picture(tilda, 'found-thread');
  await tilda.keyboard.press('ArrowDown');
  await tilda.keyboard.press('Enter');
  await until('it is looked at', () => looksAt(tilda, 'talk 39'));
  await tilda.locator('m-thread-search input').press('Escape');
  check(await tilda.locator('m-thread-search').isHidden(), 'Escape closes the search');

  const dark = await newPage({ viewport: NARROW, colorScheme: 'dark', locale: 'ko-KR', storageState: await uwe.context().storageState() });
  await dark.goto(`${base}/?lang=ko#/`);
  await dark.locator('m-conversations input[type=search]').fill('안녕');
  await dark.locator('m-found .found').waitFor();
  await accessible(dark, 'a search on a phone, dark, Korean');
  await worded(dark, 'a search in Korean');
  await picture(dark, 'found-phone-ko-dark');
});

await journey('a friend\'s photo is seen by friends, wherever he stands', async () => {
  const [vera, walt] = await friends('vera', 'walt');
  await openThread(vera, 'Walt');
  await say(vera, 'Look at me');
  check(await walt.locator('img.avatar').count() === 0, 'initials as long as there is none');
  await vera.goto(`${base}/#/settings`);
  await vera.locator('m-photo input[type=file]').setInputFiles({ name: 'me.jpg', mimeType: 'image/jpeg', buffer: await drawn(vera) });
  await walt.goto(`${base}/#/`);
  await until('the list shows it', async () => await walt.locator('m-conversations .item img.avatar').count() === 1);
  await walt.locator('m-conversations .item').click();
  await walt.locator('.thread-head img.avatar').waitFor();
  await walt.goto(`${base}/#/contacts`);
  await walt.locator('m-contacts .item img.avatar').waitFor();
  await walt.locator('m-contacts .item').click();
  await walt.locator('.person img.avatar').waitFor();
  await picture(walt, 'photo-of-a-friend');
  await accessible(walt, 'a contact with a photo');
});

await journey('pictures and files are chosen, pasted and dropped, seen, taken away, and sent', async () => {
  const [xena, yuri] = await friends('xena', 'yuri', [{}, { viewport: NARROW }]);
  await openThread(xena, 'Yuri');
  await openThread(yuri, 'Xena');
  const photo = await drawn(xena);
  const input = xena.locator('m-composer input[type=file]');
  await input.setInputFiles([{ name: 'river.jpg', mimeType: 'image/jpeg', buffer: photo }, { name: 'plan.txt', mimeType: 'text/plain', buffer: Buffer.from('At eight.\n') }]);
  await until('both are uploaded', async () => await xena.locator('.upload').count() === 2 && await xena.locator('.upload progress:visible').count() === 0);
  await accessible(xena, 'files before they are sent');
  await picture(xena, 'uploads');
  await xena.locator('.upload', { hasText: 'plan.txt' }).locator('button').click();
  check(await xena.locator('.upload').count() === 1, 'one is taken away');
  await say(xena, 'By the river');
  check(await xena.locator('m-uploads').isHidden(), 'the tray is empty again');
  await until('the picture comes', async () => await row(yuri, 'By the river').locator('.picture img').count() === 1);
  await until('and is seen', () => yuri.evaluate(() => document.querySelector('.picture img')?.naturalWidth > 0));
  await picture(yuri, 'upload-received');

  const hand = (type, name, kind, bytes) => xena.evaluate(async ([type, name, kind, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name, { type: kind }));
    const target = document.querySelector(type === 'paste' ? 'm-composer textarea' : 'm-thread .log');
    if (type === 'paste') target.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
    else for (const name of ['dragover', 'drop']) target.dispatchEvent(new DragEvent(name, { dataTransfer: data, bubbles: true, cancelable: true }));
  }, [type, name, kind, [...bytes]]);
  await hand('paste', 'pasted.png', 'image/png', PNG);
  await hand('drop', 'dropped.jpg', 'image/jpeg', photo);
  await until('both are there', async () => await xena.locator('.upload').count() === 2 && await xena.locator('.upload progress:visible').count() === 0);
  await xena.locator('m-composer .send').click();
  await until('they come without a word', async () => await yuri.locator('.row').last().locator('.picture img').count() === 2);

  await hand('drop', 'program.exe', 'application/octet-stream', Buffer.from('MZ\u0000\u0001\u0002\u0003rubbish'));
  await xena.locator('.upload-how', { hasText: /kind/ }).waitFor();
  check(await xena.locator('m-composer .send').getAttribute('aria-disabled') === 'true', 'what cannot go holds the message up');
  await xena.locator('.upload button[title^="Remove"]').click();
  await input.setInputFiles({ name: 'film.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc((8 << 20) + 1) });
  await xena.locator('.toast', { hasText: '8 MiB' }).waitFor();
  check(await xena.locator('.upload').count() === 0, 'what is too large is not even tried');
});

await journey('a call that was missed is counted until one has looked, a recorded one is played', async () => {
  const [zoe, abe] = await friends('zoe', 'abe');
  await openThread(zoe, 'Abe');
  const call = async () => {
    await zoe.locator('.thread-acts .button').last().click();
    await abe.locator('dialog.ring').waitFor();
  };
  await call();
  await zoe.locator('m-call [data-act=hang-up]').click();
  const badge = abe.locator('.rail [data-place=calls] .badge');
  await badge.waitFor();
  check((await badge.textContent()).startsWith('1'), 'one was missed');
  await until('the title says it', async () => (await abe.title()).startsWith('(1)'));
  await accessible(abe, 'a missed call');
  await picture(abe, 'missed-call');
  await abe.locator('.rail [data-place=calls]').click();
  await until('whoever looks has seen it', () => badge.isHidden());
  await abe.reload();
  await abe.waitForSelector('.call-row');
  check(await badge.isHidden(), 'and it stays seen');

  await zoe.locator('m-call').waitFor({ state: 'detached', timeout: 20_000 }).catch(() => {});
  await call();
  await abe.locator('.ring-accept').click();
  await zoe.locator('m-call [data-act=record]').click();
  await abe.locator('.call-ask .button').first().click();
  await zoe.waitForTimeout(2_500);
  await zoe.locator('m-call [data-act=hang-up]').click();
  await abe.locator('.call-row m-voice.recording').waitFor({ timeout: 20_000 });
  await picture(abe, 'recorded-calls');
  await zoe.locator('.row m-voice.recording').waitFor();
  await zoe.locator('.row m-voice.recording .voice-play').click();
  await until('it plays', async () => /0:0\d \//.test(await zoe.locator('.row m-voice.recording .voice-time').textContent()));
  await accessible(zoe, 'a recording in a conversation');
  await picture(zoe, 'recorded-call');
});

const sheet = await demoSheet();
if (sheet) await journey('what a phone will get is told before it is sent', async () => {
  const bob = await newPage();
  await bob.goto(`${base}/?as=bob`);
  await bob.waitForSelector('m-shell[data-phase=signed-in]');
  await bob.locator('.rail [data-place=contacts]').click();
  await bob.locator('m-contacts .item', { hasText: 'Alice' }).click();
  await bob.locator('.page a.button.primary').click();
  await bob.waitForSelector('m-composer textarea');
  await say(bob, 'Shall we?');
  const phone = sheet.phones.find(({ name }) => name === 'Alice');
  check(phone, 'the demo has her phone');
  await row(bob, 'Shall we?').hover();
  await row(bob, 'Shall we?').locator('.react', { hasText: 'Reply' }).click();
  await bob.locator('m-composer textarea').fill('Yes, at eight');
  await bob.locator('.count', { hasText: 'a line of what you answer' }).waitFor();
  await picture(bob, 'reply-to-phone');
  await bob.locator('m-composer textarea').fill('x'.repeat(155));
  await bob.locator('.count', { hasText: 'without the quoted line' }).waitFor();
  await bob.locator('m-composer textarea').fill('');
  await bob.locator('m-composer input[type=file]').setInputFiles({ name: 'river.jpg', mimeType: 'image/jpeg', buffer: await drawn(bob) });
  await bob.locator('.upload-how', { hasText: /MMS|link/ }).waitFor();
  await accessible(bob, 'a picture for a phone');
  await picture(bob, 'upload-to-phone');
});

await end();

/** Calls on the simulated phones: the keypad, the call screen, and sound both ways through the audio thread. */
import { decoded, pitchOf, toneFrames } from './mulaw.mjs';
import { accessible, base, begin, check, demoSheet, end, journey, newPage, picture, until } from './support.mjs';

/** Stands in for the simulator's events and the calls of its phones: tells the page what the journey says. */
function told() {
  const sources = [];
  globalThis.EventSource = class extends EventTarget {
    static CLOSED = 2;
    readyState = 1;
    constructor(url) {
      super();
      this.url = url;
      sources.push(this);
    }
    close() {
      this.readyState = 2;
    }
  };
  globalThis.tellPhone = (number, type, data) => sources.filter(({ url }) => url.includes(encodeURIComponent(number)))
    .forEach(source => source.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data), lastEventId: '9999' })));
}

await begin();
const sheet = await demoSheet();
const { number } = sheet.phones[0];

/**
 * Alice's phone on the simulator's page; `heard` collects what it says on the line. Where pictures are taken the policy of
 * the page is off: a picture of a shadow tree brings a style of its own.
 */
async function phone(options = {}) {
  const page = await newPage({ viewport: { width: 900, height: 900 }, ...options });
  const posts = [];
  const heard = [];
  let line = null;
  await page.addInitScript(told);
  await page.routeWebSocket(/\/calls\/.+\/audio$/, socket => {
    line = socket;
    socket.onMessage(frame => heard.push(frame));
  });
  await page.route(/\/phones\/[^/]+\/calls/, route => {
    if (route.request().method() === 'GET') return route.fulfill({ contentType: 'application/json', body: '{"items":[]}' });
    posts.push({ path: new URL(route.request().url()).pathname, body: route.request().postDataJSON() });
    return route.fulfill({ contentType: 'application/json', body: JSON.stringify({ id: 'c1' }) });
  });
  await page.goto(`${base}${sheet.simulator}/`);
  const own = page.locator(`sim-phone[number="${number}"]`);
  await own.locator('.sync-text', { hasText: /contact|연락처/ }).waitFor();
  const tell = call => page.evaluate(([which, data]) => globalThis.tellPhone(which, 'call', data), [number, { id: 'c1', direction: 'outgoing', with: '+12025550150', name: null, since: new Date().toISOString(), ...call }]);
  return { page, own, posts, heard, tell, play: frame => line.send(frame) };
}

await journey('a phone dials: keypad, sound both ways, keys in the call, hanging up', async () => {
  const { page, own, posts, heard, tell, play } = await phone({ bypassCSP: true });
  await own.locator('.tab', { hasText: 'Calls' }).click();
  for (const digit of '2025550150') await own.locator('#panel-calls .key', { hasText: digit }).first().click();
  await picture(page, 'phone-keypad');
  await accessible(page, 'the keypad of a phone');
  await own.locator('#panel-calls .round.good').click();
  await until('it is dialled as a number of its country', () => posts[0]?.body.to === '+12025550150');
  await own.locator('.calling .call-state', { hasText: 'Calling' }).waitFor();
  await tell({ state: 'ringing' });
  await own.locator('.calling .call-state', { hasText: 'Ringing' }).waitFor();
  await tell({ state: 'talking' });
  await own.locator('.calling .call-time', { hasText: '0:0' }).waitFor();
  await own.locator('.voice').selectOption('tune');
  await until('it speaks', () => heard.length > 100);
  check(heard.every(frame => frame.length === 160), 'in frames of 20 ms');
  const samples = heard.slice(-80).flatMap(decoded);
  check(Math.max(...samples.map(Math.abs)) > 1_000, 'the melody is on the line');
  for (const frame of toneFrames(440, 60)) play(Buffer.from(frame));
  await until('what comes is shown', async () => await own.locator('.meter i.on').count() > 2);
  await picture(page, 'phone-talks');
  await accessible(page, 'a call on a phone');
  await own.locator('.call-acts .round', { hasText: 'Keypad' }).click();
  await own.locator('.calling .key', { hasText: '5' }).click();
  await until('the key is sent', () => posts.some(({ path, body }) => path.endsWith('/digits') && body.digits === '5'));
  await own.locator('.calling .bad').click();
  await until('it hangs up', () => posts.some(({ path }) => path.endsWith('/hang-up')));
  await tell({ state: 'ended', reason: 'hung_up' });
  await own.locator('.calling').waitFor({ state: 'hidden' });
  check(await own.locator('#panel-calls .row').count() === 1, 'it stands among the calls');
});

await journey('a phone rings with the name of its address book and answers by keyboard', async () => {
  const { page, own, posts, heard, tell } = await phone({ colorScheme: 'dark', bypassCSP: true });
  const bob = await page.evaluate(async ([simulator, which]) => (await (await fetch(`${simulator}/phones/${encodeURIComponent(which)}`)).json()).contacts.find(({ name }) => name.startsWith('Bob')), [sheet.simulator, number]);
  await tell({ direction: 'incoming', with: bob.numbers[0], state: 'ringing' });
  await own.locator('.calling .call-name', { hasText: 'Bob' }).waitFor();
  await picture(page, 'phone-rings');
  await accessible(page, 'a ringing phone');
  await page.keyboard.press('Enter');
  await until('it answers', () => posts.some(({ path }) => path.endsWith('/answer')));
  await tell({ direction: 'incoming', with: bob.numbers[0], state: 'talking' });
  await until('the microphone is on the line', () => heard.length > 50 && heard.slice(-50).flatMap(decoded).some(sample => Math.abs(sample) > 300), 15_000);
  await tell({ direction: 'incoming', with: bob.numbers[0], state: 'ended', reason: 'hung_up' });
  await own.locator('.calling').waitFor({ state: 'hidden' });
});

await journey('a known tone passes the audio thread of a phone unharmed', async () => {
  const { page, own, heard, tell } = await phone();
  await page.evaluate(() => {
    navigator.mediaDevices.getUserMedia = async () => {
      const context = new AudioContext();
      const tone = context.createOscillator();
      const out = context.createMediaStreamDestination();
      tone.frequency.value = 1000;
      tone.connect(out);
      tone.start();
      return out.stream;
    };
  });
  await tell({ direction: 'incoming', state: 'ringing' });
  await own.locator('.calling .good').click();
  await tell({ direction: 'incoming', state: 'talking' });
  await until('it speaks', () => heard.length > 120);
  const { pitch, share } = pitchOf(heard.slice(-50).flatMap(decoded));
  check(Math.abs(pitch - 1000) < 15 && share > 0.9, `a tone of 1000 Hz arrives as ${pitch} Hz, ${share}`);
});

await end();

/** Calls as one sees and hears them in the messenger: what rings, the call one is in, history, voicemail, settings, the map. */
import { CallMock, ears, peerPage, pitchHeard } from './call-mock.mjs';
import {
  NARROW, accessible, base, begin, check, end, friends, handle, journey, newPage, openThread, picture, until, worded,
} from './support.mjs';

const near = (heard, wanted) => Math.abs(heard - wanted) < 40;
const soon = seconds => new Date(Date.now() + seconds * 1000).toISOString();

/** A person with a friend, whose calls are answered by the mock. */
async function caller(one, other, { pitch = 700, options = {} } = {}) {
  const [page, theirs] = await friends(one, other, [options, {}]);
  await theirs.context().close();
  await page.addInitScript(ears, pitch);
  const peer = await peerPage(page.context(), 440);
  const mock = await CallMock.over(page, peer);
  await page.goto(`${base}/#/contacts`);
  await page.reload();
  await page.waitForSelector('m-shell[data-phase=signed-in]');
  await page.locator('m-contacts .item').waitFor();
  const contact = await page.evaluate(async () => Object.values((await import('/app/store.js')).now().contacts)[0]);
  mock.dialled = { id: contact.id, display_name: contact.display_name, address: contact.address };
  await until('the events come', async () => (await page.evaluate(async () => (await import('/app/store.js')).now().connection)) === 'online');
  await page.bringToFront();
  return { page, peer, mock, contact: mock.dialled };
}

await begin();

await journey('calls: it rings over everything, Enter accepts, both hear each other, hanging up tells the quality', async () => {
  const { page, peer, mock, contact } = await caller('anna', 'bela');
  mock.tell({ id: 'call_1', contact, via: 'phone', attestation: 'A' });
  const sheet = page.locator('dialog.ring');
  await sheet.waitFor();
  const rang = Date.now();
  await until('the title says who calls', async () => (await page.title()).includes('Bela is calling'));
  check(await page.evaluate(() => document.activeElement.classList.contains('ring-accept')), 'the focus is at Accept');
  await picture(page, 'call-rings');
  await accessible(page, 'a ringing call');
  await worded(page, 'a ringing call');
  await until('it has rung for longer than the Enter of a line takes', () => Date.now() - rang > 1_000);
  await page.keyboard.press('Enter');
  const panel = page.locator('m-call');
  await panel.locator('[data-act=hold]').waitFor();
  check(await sheet.count() === 0, 'it rings no more');
  check(await page.evaluate(() => document.activeElement.dataset.act) === 'hang-up', 'the focus is in the panel');
  await until('a tone comes from the other side', async () => near(await pitchHeard(page), 440), 15_000);
  await until('and one arrives there', async () => near(await pitchHeard(peer), 700), 15_000);
  mock.tell({ id: 'call_1', state: 'in_progress', session_id: 'ses_here', answered_at: soon(-65), expires_at: null });
  await until('the quality is seen', async () => await panel.locator('.bars').count() === 1);
  await picture(page, 'call-panel');
  await accessible(page, 'a call');
  await until('the quality is told', () => mock.posted('/quality').length > 0);
  const told = mock.posted('/quality')[0].body;
  check(told.packets_received > 50 && told.samples > 0 && told.candidate_type, `figures are told: ${JSON.stringify(told)}`);
  const offered = mock.posted('/accept')[0].body.offer;
  check(/PCMU\/8000/.test(offered) && /opus/.test(offered) && !/G722|red\/48000/.test(offered), 'only what is of use is offered');
  await panel.locator('[data-act=hang-up]').press('Enter');
  await until('it is told', () => mock.posted('/hang-up').length === 1);
  mock.tell({ id: 'call_1', state: 'ended', end_reason: 'hung_up', ended_at: soon(0), quality: { mos: 4.3, loss: 0, jitter_ms: 3, rtt_ms: 12 } });
  await panel.locator('[role=status]', { hasText: /1:0\d/ }).waitFor();
  await picture(page, 'call-over');
  await panel.locator('[data-act=close]').click();
  check(await panel.count() === 0, 'the panel is gone');
});

await journey('calls: mute, hold, keypad and recording; what is not heard is said', async () => {
  const { page, peer, mock, contact } = await caller('carl', 'dora');
  await openThread(page, 'Dora');
  await picture(page, 'call-button');
  await page.locator('.thread-acts button:last-child').click();
  const panel = page.locator('m-call');
  await panel.locator('[role=status]', { hasText: 'Ringing' }).waitFor();
  await picture(page, 'call-dialling');
  mock.tell({ id: 'call_dialled', state: 'in_progress', session_id: 'ses_here', answered_at: soon(0), expires_at: null });
  await until('it is heard there', async () => near(await pitchHeard(peer), 700), 15_000);
  await panel.locator('[data-act=mute]').click();
  await until('muted is silent', async () => await pitchHeard(peer) === 0);
  check(mock.posted('/mute')[0].body.on === true, 'it is told');
  await panel.locator('.call-hint', { hasText: 'muted' }).waitFor();
  await picture(page, 'call-muted');
  await panel.locator('[data-act=mute]').click();
  await until('and back', async () => near(await pitchHeard(peer), 700));
  await panel.locator('[data-act=hold]').click();
  await until('on hold nothing is said', async () => await pitchHeard(peer) === 0);
  await panel.locator('[data-act=hold]').click();
  await panel.locator('[data-act=keypad]').click();
  for (const key of ['4', '#']) await page.keyboard.press(key);
  await panel.locator('.key', { hasText: '7' }).click();
  await until('each key is sent once', () => mock.posted('/digits').map(({ body }) => body.digits).join('') === '4#7');
  await picture(page, 'call-keypad');
  await accessible(page, 'the keypad');
  await page.keyboard.press('Escape');
  await panel.locator('[data-act=record]').click();
  mock.tell({ id: 'call_dialled', recording: 'asked' });
  await panel.locator('.call-hint', { hasText: 'agrees' }).waitFor();
  mock.tell({ id: 'call_dialled', recording: 'on' });
  await panel.locator('[role=status]', { hasText: 'recorded' }).waitFor();
  mock.tell({ id: 'call_dialled', recording: 'off' });
  await until('off again', async () => (await panel.locator('[data-act=record]').textContent()) === 'Record');
  mock.tell({ id: 'call_dialled', recording: 'asked', recording_asked_of_me: true });
  await panel.locator('.call-ask button', { hasText: 'Refuse' }).waitFor();
  await picture(page, 'call-record-asked');
  await accessible(page, 'a question to record');
  await panel.locator('.call-ask button', { hasText: 'Refuse' }).click();
  check(mock.posted('/recording/answer')[0].body.agree === false, 'the answer is told');
  mock.tell({ id: 'call_dialled', recording: 'off', recording_asked_of_me: false });
  await peer.evaluate(() => globalThis.line.getSenders()[0].replaceTrack(null));
  await peer.evaluate(() => { globalThis.line.getTransceivers()[0].direction = 'recvonly'; });
  await peer.evaluate(() => globalThis.line.close());
  await panel.locator('.call-hint.alarm').waitFor({ timeout: 20_000 });
  await picture(page, 'call-unheard');
  mock.tell({ id: 'call_dialled', state: 'ended', end_reason: 'lost', ended_at: soon(0) });
  await panel.locator('[data-act=close]').waitFor();
});

await journey('calls: one listens while a message is left, by keyboard alone, and takes the call', async () => {
  const { page, peer, mock, contact } = await caller('sven', 'tilda');
  mock.tell({ id: 'call_1', contact, state: 'voicemail', expires_at: null });
  const panel = page.locator('m-call');
  const act = name => panel.locator(`[data-act=${name}]`);
  await panel.locator('[role=status]', { hasText: 'leaving a message' }).waitFor();
  await picture(page, 'call-mailbox');
  await accessible(page, 'a message being left');
  await worded(page, 'a message being left');
  await act('listen').press('Enter');
  await panel.locator('[role=status]', { hasText: 'Nobody hears you' }).waitFor();
  await until('he is heard', async () => near(await pitchHeard(page), 440), 15_000);
  check(/a=recvonly/.test(mock.posted('/listen')[0].body.offer), 'no microphone is offered');
  check(await page.evaluate(() => document.activeElement.dataset.act) === 'take', 'the focus is at Take the call');
  await picture(page, 'call-listens');
  await accessible(page, 'listening in');
  await act('hang-up').press('Enter');
  await act('listen').waitFor();
  check(mock.posted('/hang-up').length === 1, 'it is told');
  await act('listen').press('Enter');
  await panel.locator('[role=status]', { hasText: 'Nobody hears you' }).waitFor();
  await act('take').press('Enter');
  await act('hold').waitFor();
  await until('now both hear each other', async () => near(await pitchHeard(peer), 700) && near(await pitchHeard(page), 440), 15_000);
  check(mock.posted('/accept').length === 1, 'it is taken once');
  mock.tell({ id: 'call_1', state: 'ended', end_reason: 'hung_up', session_id: 'ses_here', ended_at: soon(0) });
  await act('close').waitFor();
});

await journey('calls: the network changes and the call goes on', async () => {
  const { page, peer, mock, contact } = await caller('emil', 'fee');
  mock.tell({ id: 'call_1', contact });
  await page.locator('.ring-accept').click();
  await until('it is heard', async () => near(await pitchHeard(page), 440), 15_000);
  await page.evaluate(() => dispatchEvent(new Event('online')));
  await until('the line is offered anew', () => mock.posted('/restart').length === 1, 15_000);
  check(/a=ice-ufrag/.test(mock.posted('/restart')[0].body.offer), 'with a new offer');
  check(mock.posted('/restart')[0].body.offer.match(/ice-ufrag:(\S+)/)[1] !== mock.posted('/accept')[0].body.offer.match(/ice-ufrag:(\S+)/)[1], 'and new credentials');
  check(await peer.evaluate(() => Boolean(globalThis.line)), 'the other side is there');
});

await journey('calls: Escape declines, an expired or elsewhere answered call stops, and tabs ring once', async () => {
  const { page, mock, contact } = await caller('greta', 'hugo');
  const sheet = page.locator('dialog.ring');
  mock.tell({ id: 'call_1', contact });
  await sheet.waitFor();
  await page.keyboard.press('Escape');
  await sheet.waitFor({ state: 'detached' });
  await until('it is told', () => mock.posted('call_1/decline').length === 1);
  mock.tell({ id: 'call_1', state: 'ringing' });
  await page.waitForTimeout(300);
  check(await sheet.count() === 0, 'what was declined does not ring again');
  mock.tell({ id: 'call_2', contact });
  await sheet.waitFor();
  mock.tell({ id: 'call_2', state: 'in_progress', answered_at: soon(0), expires_at: null });
  await sheet.waitFor({ state: 'detached' });
  await page.locator('m-call [data-act=move]').waitFor();
  await picture(page, 'call-elsewhere');
  await accessible(page, 'a call on another device');
  mock.tell({ id: 'call_2', state: 'ended', end_reason: 'answered_elsewhere', ended_at: soon(0) });
  await page.locator('m-call').waitFor({ state: 'detached' });
  mock.tell({ id: 'call_3', contact, expires_at: soon(1.5) });
  await sheet.waitFor();
  await sheet.waitFor({ state: 'detached', timeout: 4_000 });
  mock.tell({ id: 'call_4', contact });
  await sheet.waitFor();
  await page.evaluate(async () => {
    const { sessionName } = await import('/app/storage.js');
    new BroadcastChannel(`${sessionName}:calls`).postMessage({ quiet: 'call_4' });
  });
  await sheet.waitFor({ state: 'detached' });
  mock.tell({ id: 'call_5', contact });
  await sheet.waitFor();
  const { held, pending } = await page.evaluate(async () => {
    await new Promise(done => setTimeout(done, 600));
    const names = list => list.filter(({ name }) => name.includes(':ring:call_5')).length;
    const locks = await navigator.locks.query();
    return { held: names(locks.held), pending: names(locks.pending) };
  });
  check(held === 1 && pending === 0, `one tab has the bell: ${held}, ${pending} wait`);
  await page.locator('.ring-more button').first().click();
  await until('it goes to voicemail', () => mock.posted('call_5/decline')[0]?.body.to_voicemail === true);
});

await journey('calls: no microphone, a refused one, and a call that somebody else has answered are told in words', async () => {
  const { page, mock, contact } = await caller('ines', 'jakob');
  const deny = name => page.evaluate(kind => {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', kind));
  }, name);
  await deny('NotFoundError');
  mock.tell({ id: 'call_1', contact });
  await page.locator('.ring-accept').click();
  await page.locator('dialog.ring .form-error', { hasText: 'No microphone was found' }).waitFor();
  await picture(page, 'call-no-microphone');
  await accessible(page, 'a call without a microphone');
  await deny('NotAllowedError');
  await page.locator('.ring-accept').click();
  await page.locator('dialog.ring .form-error', { hasText: 'not allowed' }).waitFor();
  await page.locator('.ring-decline').click();
  await openThread(page, 'Jakob');
  await page.locator('.thread-acts button:last-child').click();
  await page.locator('m-call .call-hint.alarm', { hasText: 'not allowed' }).waitFor();
  await accessible(page, 'a call that was not made');
  await page.locator('m-call [data-act=close]').click();
  await page.reload();
  await page.waitForSelector('m-shell[data-phase=signed-in]');
  mock.refusals = { '/accept': 'answered_elsewhere' };
  await until('the events come', async () => (await page.evaluate(async () => (await import('/app/store.js')).now().connection)) === 'online');
  mock.tell({ id: 'call_2', contact });
  await page.locator('.ring-accept').click();
  await page.locator('m-call .call-hint', { hasText: 'another of your devices' }).waitFor();
});

await journey('calls: who is writing is not made to answer by the Enter of a line', async () => {
  const { page, mock, contact } = await caller('kaja', 'linus');
  await openThread(page, 'Linus');
  await page.locator('m-composer textarea').fill('in the middle of');
  mock.tell({ id: 'call_1', contact });
  await page.locator('dialog.ring').waitFor();
  await page.keyboard.press('Enter');
  await page.waitForTimeout(300);
  check(await page.locator('dialog.ring').count() === 1 && mock.posted('/accept').length === 0, 'it rings on');
  await page.waitForTimeout(700);
  await page.keyboard.press('Enter');
  await until('now it is meant', () => mock.posted('/accept').length === 1);
});

await journey('calls: history, voicemail and calls in the conversation', async () => {
  const { page, mock, contact } = await caller('mara', 'nils');
  const past = minutes => new Date(Date.now() - minutes * 60_000).toISOString();
  const ended = { contact, state: 'ended', expires_at: null };
  mock.calls.clear();
  for (const call of [
    { id: 'a', direction: 'incoming', missed: true, end_reason: 'no_answer', started_at: past(3), ended_at: past(2) },
    { id: 'b', direction: 'outgoing', end_reason: 'hung_up', started_at: past(70), answered_at: past(70), ended_at: past(62), quality: { mos: 4.3, loss: 0.004, jitter_ms: 3, rtt_ms: 22 } },
    { id: 'c', direction: 'incoming', via: 'chat', end_reason: 'hung_up', started_at: past(1500), answered_at: past(1500), ended_at: past(1492), quality: { mos: 3.2, loss: 0.06, jitter_ms: 40, rtt_ms: 240 } },
    { id: 'd', direction: 'incoming', missed: true, end_reason: 'voicemail', started_at: past(3000), ended_at: past(2999), voicemail: { id: 'vm_1', seconds: 2, url: '/v1/voicemails/vm_1/audio', listened: false } },
    { id: 'e', direction: 'outgoing', end_reason: 'busy', started_at: past(6000), ended_at: past(5999) },
  ]) mock.tell({ ...ended, ...call });
  await page.locator('.rail [data-place=calls]').click();
  await until('all are there', async () => await page.locator('.call-row').count() === 5);
  await picture(page, 'call-history');
  await accessible(page, 'the list of calls');
  await worded(page, 'the list of calls');
  await page.locator('.voice-play').press('Enter');
  await until('it plays', async () => Number(await page.locator('.voice-place').inputValue()) > 0.2);
  await until('that it was heard is told', () => mock.posted('vm_1/listened').length === 1);
  await page.locator('.voice-place').focus();
  await page.keyboard.press('End');
  await until('to its end', async () => (await page.locator('.voice-play').textContent()) === 'Play');
  await page.locator('.choice', { hasText: 'Missed' }).click();
  await until('only missed ones', async () => await page.locator('.call-row').count() === 2);
  const conversation = 'cnv_calls';
  const message = (id, minutes, more) => ({ id, conversation_id: conversation, sender: contact.address, mine: false, direction: 'inbound', via: 'sms', text: '', media: [], reactions: [], state: 'received', sent_at: past(minutes), ...more });
  await page.evaluate(async ({ contact: { id }, conversation: name }) => {
    const { now, put, mergeMessages } = await import('/app/store.js');
    put('contacts', [{ ...now().contacts[id], conversation_id: name }]);
    put('conversations', [{ id: name, contact: now().contacts[id], last_message: null, unread: 0, updated_at: new Date().toISOString() }]);
    mergeMessages(name, [], { state: 'ready' });
  }, { contact, conversation });
  await page.goto(`${base}/#/c/${conversation}`);
  await page.waitForSelector('m-thread');
  for (const one of [
    message('m1', 30, { text: 'I will call you in a minute.' }),
    message('m2', 29, { kind: 'call', call: { id: 'a', state: 'ended', seconds: null, missed: true, end_reason: 'voicemail' } }),
    message('m3', 28, { kind: 'voicemail', voicemail: { id: 'vm_1', seconds: 2, url: '/v1/voicemails/vm_1/audio', listened: false } }),
    message('m4', 5, { kind: 'call', mine: true, sender: 'meari:me', direction: 'outbound', state: 'sent', call: { id: 'b', state: 'ended', seconds: 484, missed: false, end_reason: 'hung_up' } }),
  ]) mock.event('message.created', one);
  await until('they stand in the conversation', async () => await page.locator('.row.of-call').count() === 3);
  await page.locator('.row m-voice .voice-play').waitFor();
  check(await page.locator('m-conversations .item-text').first().textContent().then(text => text.includes('8:04')), 'the list says how long');
  await picture(page, 'call-thread');
  await accessible(page, 'calls in a conversation');
  await page.locator('.row.of-call.missed .text button').click();
  await page.locator('m-call [role=status]', { hasText: 'Ringing' }).waitFor();
});

await journey('calls: settings are kept, a greeting is recorded as telephones play it', async () => {
  const { page, mock } = await caller('olaf', 'petra');
  await page.goto(`${base}/#/settings`);
  await page.locator('a[href="#/call-settings"]').click();
  await page.locator('m-call-settings form').first().waitFor();
  await picture(page, 'call-settings', { whole: true });
  await accessible(page, 'the settings of calls');
  await worded(page, 'the settings of calls');
  await page.locator('[name=do_not_disturb]').check();
  await page.locator('[name=ring_seconds]').selectOption('40');
  await page.locator('m-call-settings form').first().locator('[type=submit]').click();
  await until('it is kept', () => mock.settings.do_not_disturb === true && mock.settings.ring_seconds === 40);
  await page.locator('[name=forward_to]').fill('+1 202-555-0142');
  await page.locator('[name=forward_when]').selectOption('busy');
  await page.locator('m-call-settings form').nth(1).locator('[type=submit]').click();
  await until('the number is sent bare', () => mock.settings.forward_to === '+12025550142' && mock.settings.forward_when === 'busy');
  await page.locator('[name=greeting_text]').fill('Please leave a word.');
  await page.locator('m-call-settings form').nth(2).locator('[type=submit]').click();
  await until('the greeting is kept', () => mock.settings.voicemail.greeting_text === 'Please leave a word.' && mock.settings.voicemail.by_mail === true);
  await page.getByRole('button', { name: 'Record a greeting' }).click();
  await page.waitForTimeout(900);
  await page.getByRole('button', { name: 'Stop recording' }).click();
  await page.getByRole('button', { name: 'Use this greeting' }).click();
  await until('the greeting is sent', () => mock.posts.some(({ path, type }) => path.endsWith('/greeting') && type === 'audio/wav'));
  await page.locator('[name=pin]').fill('2580');
  await page.locator('m-call-settings form').nth(3).locator('[type=submit]').click();
  await until('the PIN is set', () => mock.posts.some(({ path, body }) => path.endsWith('/pin') && body.pin === '2580'));
});

await journey('calls: on a phone, in Korean, dark', async () => {
  const { page, mock, contact } = await caller('queen', 'rudi', { options: { viewport: NARROW, hasTouch: true, colorScheme: 'dark' } });
  await page.goto(`${base}/?lang=ko#/contacts`);
  await page.locator('m-contacts .item').waitFor();
  await until('the events come', async () => (await page.evaluate(async () => (await import('/app/store.js')).now().connection)) === 'online');
  mock.tell({ id: 'call_1', contact });
  await page.locator('dialog.ring').waitFor();
  await picture(page, 'call-rings-narrow');
  await accessible(page, 'a ringing call, narrow');
  await page.locator('.ring-accept').click();
  await page.locator('m-call [data-act=hold]').waitFor();
  await picture(page, 'call-panel-narrow');
  await accessible(page, 'a call, narrow');
  await page.locator('m-call [data-act=keypad]').click();
  await picture(page, 'call-keypad-narrow');
  await page.locator('.call-fold').click();
  await page.locator('.rail [data-place=calls]').click();
  await page.locator('m-calls h1').waitFor();
  await picture(page, 'call-bar-narrow');
  await accessible(page, 'a call as a bar, narrow');
  await page.locator('.call-fold').click();
  await page.locator('m-call [data-act=hang-up]').click();
});

await journey('the call-quality map: a picture, the same in a table, and an honest empty one', async () => {
  const page = await newPage();
  const networks = [
    ['US', 'Northern Mobile', 1810, 4.31, 0.002, 4], ['US', 'Prairie Cellular', 640, 4.12, 0.008, 9], ['US', 'Coastline', 212, 3.7, 0.03, 21], ['KR', 'Han River Telecom', 930, 4.36, 0.001, 3], ['KR', 'Jeju Mobile', 120, 4.25, 0.003, 5],
    ['DE', 'Rheinfunk', 420, 4.05, 0.01, 12], ['FR', 'Loire Mobile', 300, 3.9, 0.02, 18], ['GB', 'Albion', 500, 4.22, 0.004, 6], ['BR', 'Rio Celular', 260, 3.4, 0.05, 34], ['IN', 'Ganga', 700, 3.2, 0.06, 44],
    ['NG', 'Lagos Net', 90, 2.8, 0.11, 80], ['AU', 'Southern Cross', 150, 4.1, 0.008, 10], ['JP', 'Fuji Line', 610, 4.37, 0.001, 2], ['MX', 'Azteca', 180, 3.65, 0.03, 22], ['ZA', 'Cape', 75, 3.0, 0.09, 60], ['CA', 'Maple', 330, 4.24, 0.003, 5],
  ].map(([region, network, calls, mos, loss, jitter]) => ({ region, network, calls, mos, loss, jitter_ms: jitter }));
  let answer = { from: '2026-10-22T00:00:00Z', to: '2026-11-21T00:00:00Z', minimum_calls: 20, networks };
  await page.route('**/v1/call-quality', route => route.fulfill({ contentType: 'application/json', body: JSON.stringify(answer) }));
  await page.goto(`${base}/quality`);
  await page.locator('a.tile').first().waitFor();
  await picture(page, 'quality-map', { whole: true });
  await page.screenshot({ path: new URL('../../test-artefacts/quality-map-whole.png', import.meta.url).pathname, fullPage: true });
  await accessible(page, 'the map');
  await worded(page, 'the map');
  check(await page.locator('a.tile').count() === 13, 'a tile for each country');
  await page.locator('a.tile[href="#IN"]').focus();
  await page.keyboard.press('Enter');
  await until('its figures are shown', async () => await page.evaluate(() => document.activeElement.id) === 'IN');
  await page.locator('.figures summary').click();
  check(await page.locator('tbody tr').count() === networks.length, 'the table has them all');
  await accessible(page, 'the map with its table');
  await page.setViewportSize(NARROW);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.locator('.quality-head button').click();
  await page.locator('h1', { hasText: '통화 품질 지도' }).waitFor();
  await page.screenshot({ path: new URL('../../test-artefacts/quality-map-narrow.png', import.meta.url).pathname, fullPage: true });
  await accessible(page, 'the map, narrow');
  answer = { ...answer, networks: [] };
  await page.reload();
  await page.locator('.note').waitFor();
  await accessible(page, 'the empty map');
  await page.screenshot({ path: new URL('../../test-artefacts/quality-map-empty.png', import.meta.url).pathname, fullPage: true });
});

await end();

/** The messenger under hard conditions: cut connections, several tabs, long conversations. */
import net from 'node:net';
import {
  NARROW, PASSWORD, accessible, base, begin, check, end, friends, handle, journey, newPage, openThread, picture, say, signUp, times, until, worded,
} from './support.mjs';

/** A wire between a browser and the server that can be cut: what is open dies, and nothing new gets through. */
async function wire() {
  const { hostname, port } = new URL(base);
  const open = new Set();
  let whole = true;
  const server = net.createServer(socket => {
    if (!whole) {
      socket.destroy();
      return;
    }
    const onward = net.connect(Number(port), hostname);
    for (const end of [socket, onward]) {
      open.add(end);
      end.on('error', () => {});
      end.on('close', () => {
        open.delete(end);
        socket.destroy();
        onward.destroy();
      });
    }
    socket.pipe(onward).pipe(socket);
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    cut() {
      whole = false;
      for (const end of open) end.destroy();
    },
    mend() {
      whole = true;
    },
    end: () => {
      for (const end of open) end.destroy();
      server.close();
    },
  };
}

async function signIn(page, at, name) {
  await page.goto(`${at}/`);
  await page.fill('[name=login]', handle(name));
  await page.fill('[name=password]', PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('m-shell[data-phase=signed-in]');
}

/** Somebody on a page of his own; who is there from an earlier journey signs in, since an address may not sign up for ever. */
async function comes(name) {
  const page = await newPage();
  const answer = await fetch(`${base}/v1/sessions`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ login: handle(name), password: PASSWORD }) });
  if (answer.ok) await signIn(page, base, name);
  else await signUp(page, name, name[0].toUpperCase() + name.slice(1));
  return page;
}

const texts = page => page.locator('.row .text').allTextContents();

await begin();

await journey('a live socket is cut again and again: no gap, no double, on both sides', async () => {
  const [ada, bert] = await friends('ada', 'bert');
  const line = await wire();
  const away = await newPage();
  await signIn(away, line.base, 'ada');
  await away.locator('.rail [data-place=contacts]').click();
  await away.locator('m-contacts .item', { hasText: 'Bert' }).click();
  await away.locator('.page a.button.primary').click();
  await openThread(bert, 'Ada');
  const said = [];
  const bertSays = async text => {
    said.push(text);
    await say(bert, text);
  };
  for (let round = 1; round <= 3; round += 1) {
    await bertSays(`round ${round}, connected`);
    await until('it comes over the socket', async () => await times(away, `round ${round}, connected`) === 1);
    line.cut();
    for (let n = 1; n <= 4; n += 1) await bertSays(`round ${round}, cut ${n}`);
    await say(away, `from the tunnel ${round}`);
    await away.locator('.row[data-state=sending]').waitFor();
    if (round === 1) {
      await away.locator('.connection', { hasText: /\S/ }).waitFor();
      await picture(away, 'connection-cut');
    }
    line.mend();
    await until('what was written in the tunnel arrives', async () => await times(bert, `from the tunnel ${round}`) === 1, 45_000);
    await until('everything that was missed is there', async () => await times(away, `round ${round}, cut 4`) === 1, 45_000);
  }
  const bertsOwn = (await texts(away)).filter(text => text.startsWith('round'));
  check(bertsOwn.join() === said.join(), `all once and in order: ${bertsOwn.join(' / ')}`);
  for (const page of [away, bert]) {
    const tunnel = (await texts(page)).filter(text => text.startsWith('from'));
    check(tunnel.join() === [1, 2, 3].map(n => `from the tunnel ${n}`).join(), `what was sent in the tunnel is there once: ${tunnel}`);
  }
  check(await away.locator('.connection').textContent() === '', 'nobody says that there is no connection');
  await openThread(ada, 'Bert');
  await until('another device of hers agrees', async () => (await texts(ada)).sort().join() === (await texts(away)).sort().join());
  line.end();
});

await journey('without a connection it starts, shows what there was, and sends later', async () => {
  const [, dirk] = await friends('cora', 'dirk');
  const line = await wire();
  const cora = await newPage();
  await signIn(cora, line.base, 'cora');
  await openThread(dirk, 'Cora');
  await say(dirk, 'Remember this');
  await cora.locator('m-conversations .item', { hasText: 'Remember this' }).click();
  await cora.locator('.row', { hasText: 'Remember this' }).waitFor();
  await until('the files are kept', () => cora.evaluate(async () => Boolean(await caches.match('/app/main.js') && await caches.match('/') && await caches.match('/app/settings.js'))), 20_000);
  await cora.waitForTimeout(2_500);
  line.cut();
  await cora.reload();
  await cora.locator('.row', { hasText: 'Remember this' }).waitFor();
  await say(cora, 'Written without a net');
  await cora.locator('.row[data-state=sending]').waitFor();
  await cora.locator('.connection', { hasText: /\S/ }).waitFor();
  await picture(cora, 'started-offline');
  await cora.locator('.rail [data-place=settings]').click();
  await cora.waitForSelector('m-settings .card');
  await cora.reload();
  await cora.waitForSelector('m-shell[data-phase=signed-in]');
  line.mend();
  await until('it is sent', async () => await times(dirk, 'Written without a net') === 1, 45_000);
  await cora.locator('.rail [data-place=chats]').click();
  await cora.locator('m-conversations .item', { hasText: 'Dirk' }).click();
  await until('and stands there once', async () => await times(cora, 'Written without a net') === 1 && await cora.locator('.row[data-state=sending]').count() === 0);
  await cora.locator('.rail [data-place=settings]').click();
  await cora.locator('.page > .page-end button').click();
  await cora.waitForSelector('m-sign-in');
  check(await cora.evaluate(async () => {
    const [{ name }] = await indexedDB.databases();
    return new Promise(done => {
      indexedDB.open(name).onsuccess = ({ target }) => {
        const count = target.result.transaction('parts').objectStore('parts').count();
        count.onsuccess = () => done(count.result === 0);
      };
    });
  }), 'signing out leaves nothing behind');
  line.end();
});

await journey('a page is left while it renews its session: it stays signed in', async () => {
  const page = await comes('ada');
  const asked = [];
  await page.route('**/v1/sessions/refresh', async route => {
    asked.push(route.request().postDataJSON());
    if (asked.length > 2) return route.continue();
    await route.fetch();
    return route.abort();
  });
  await page.reload();
  await until('the answer was lost twice', () => asked.length >= 2);
  await page.reload();
  await page.waitForSelector('m-shell[data-phase=signed-in]');
  await until('the next try is answered', () => asked.length >= 3);
  const [first, ...later] = asked;
  check(later.every(one => one.attempt === first.attempt && one.refresh_token === first.refresh_token), 'the same attempt with the same token');
  await page.reload();
  await page.waitForSelector('m-shell[data-phase=signed-in]');
  await until('the session goes on', () => asked.length >= 4);
  check(asked.at(-1).refresh_token !== first.refresh_token && asked.at(-1).attempt !== first.attempt, 'the next token by an attempt of its own');
});

await journey('several tabs are in step: drafts, what is read, what waits', async () => {
  const [edda, fritz] = await friends('edda', 'fritz');
  await openThread(edda, 'Fritz');
  const second = await edda.context().newPage();
  await second.goto(edda.url());
  await second.waitForSelector('m-composer textarea');
  await edda.locator('m-composer textarea').fill('half a thought');
  await until('the draft is in the other tab', async () => await second.locator('m-composer textarea').inputValue() === 'half a thought');
  await edda.locator('m-composer textarea').press('Enter');
  await until('it is sent and gone', async () => await times(second, 'half a thought') === 1 && await second.locator('m-composer textarea').inputValue() === '');
  const third = await edda.context().newPage();
  await third.goto(`${base}/#/contacts`);
  await openThread(fritz, 'Edda');
  await say(fritz, 'Are you both there?');
  for (const page of [edda, second]) await until('each tab has it once', async () => await times(page, 'Are you both there?') === 1);
  await edda.bringToFront();
  await until('what one tab has read is read in all', async () => await third.locator('.rail .badge:visible').count() === 0);
});

await journey('a message is told while nobody looks: who, never what', async () => {
  const [gina, hank] = await friends('gina', 'hank', [{ permissions: ['notifications'] }, {}]);
  await gina.goto(`${base}/#/settings`);
  await gina.locator('#notify-show').check();
  await gina.goto(`${base}/#/contacts`);
  const second = await gina.context().newPage();
  await second.goto(`${base}/#/contacts`);
  await second.waitForSelector('m-contacts .item');
  // A browser without a screen believes that every page of it is looked at.
  const looksAt = (page, looks) => page.evaluate(looks => {
    globalThis.told ??= [];
    const keep = (title, options) => globalThis.told.push({ title, ...options });
    ServiceWorkerRegistration.prototype.showNotification = async (title, options) => keep(title, options);
    ServiceWorkerRegistration.prototype.getNotifications = async () => globalThis.told.map(one => ({ ...one, close: () => { one.closed = true; } }));
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => !looks });
    document.hasFocus = () => looks;
    dispatchEvent(new Event(looks ? 'focus' : 'blur'));
  }, looks);
  const told = async () => (await Promise.all([gina, second].map(page => page.evaluate(() => globalThis.told)))).flat();
  await looksAt(gina, false);
  await looksAt(second, false);
  await openThread(hank, 'Gina');
  await say(hank, 'A secret');
  await until('it is told', async () => (await told()).length);
  const [first] = await told();
  check(first.title === 'Hank' && !JSON.stringify(first).includes('secret') && first.data.address.includes('#/c/'), JSON.stringify(first));
  await until('the title counts it', async () => (await gina.title()).startsWith('(1)') && (await second.title()).startsWith('(1)'));
  await say(hank, 'Another one');
  await until('the next one, too', async () => (await told()).length >= 2 && (await gina.title()).startsWith('(2)') && (await second.title()).startsWith('(2)'));
  check((await told()).length === 2, 'one of the two tabs tells');
  await looksAt(second, true);
  await openThread(second, 'Hank');
  await until('what is read needs no notice', async () => (await told()).every(({ closed }) => closed));
  await say(hank, 'Do you see this?');
  await second.locator('.row .text', { hasText: 'Do you see this?' }).waitFor();
  await until('who looks hears it read out', async () => (await second.locator('.spoken').textContent()) === 'Hank: Do you see this?');
  await until('the other tab says whose it is', async () => (await gina.locator('.spoken').textContent()) === 'Hank: New message');
  check((await told()).length === 2, 'while one tab is looked at no other one tells');
});

await journey('a line that has died without a word is noticed, and nothing is missed', async () => {
  const [ada, bert] = [await comes('ada'), await comes('bert')];
  await openThread(bert, 'Ada');
  const sockets = [];
  const page = await ada.context().newPage();
  await page.clock.install();
  await page.routeWebSocket(/\/v1\/events/, socket => {
    const line = { dead: false, asked: 0, answered: 0 };
    sockets.push(line);
    const server = socket.connectToServer();
    socket.onMessage(said => {
      if (said === 'beat') line.asked += 1;
      if (!line.dead) server.send(said);
    });
    server.onMessage(told => {
      if (line.dead) return;
      socket.send(told);
      if (told === '{"type":"beat"}') line.answered += 1;
    });
  });
  await page.goto(`${base}/#/`);
  await openThread(page, 'Bert');
  await until('it is connected', () => sockets.length === 1);
  for (let n = 0; n < 8; n += 1) {
    await page.clock.runFor(10_000);
    await until('what is asked is answered', () => sockets[0].answered === sockets[0].asked);
    await page.evaluate(() => {});
  }
  check(sockets.length === 1 && sockets[0].asked > 1, `it asks whether anybody is there, and a line that answers stays: ${sockets.length} ${sockets[0].asked}`);
  sockets[0].dead = true;
  await say(bert, 'Into the void');
  for (let n = 0; n < 8 && sockets.length === 1; n += 1) await page.clock.runFor(10_000);
  await until('there is another line', () => sockets.length === 2);
  await page.clock.runFor(2_000);
  await until('what was said meanwhile is there', async () => await times(page, 'Into the void') === 1);
});

await journey('another account in another tab: this one becomes theirs, and nothing of the first stays', async () => {
  const page = await comes('gina');
  await comes('hank');
  const other = await page.context().newPage();
  await page.goto(`${base}/#/settings`);
  await page.locator('button', { hasText: 'Sign out' }).click();
  await page.waitForSelector('m-sign-in form');
  await other.goto(`${base}/`);
  await other.waitForSelector('m-sign-in form');
  await signIn(page, base, 'gina');
  await other.waitForSelector('m-shell[data-phase=signed-in]');
  // Both doors were open; now somebody else signs in behind the first one's back.
  const anew = other.waitForEvent('load');
  await page.evaluate(async ([login, password]) => {
    const { adopt, open } = await import('/app/api.js');
    adopt(await open.post('/v1/sessions', { login, password }));
  }, [handle('hank'), PASSWORD]);
  await anew;
  await other.waitForSelector('m-shell[data-phase=signed-in]');
  await other.goto(`${base}/#/settings`);
  await until('the other tab is theirs', async () => await other.locator('m-settings [name=display_name]').inputValue().catch(() => '') === 'Hank');
});

for (const [slug, options] of [['desktop', { bypassCSP: true }], ['phone', { bypassCSP: true, viewport: NARROW, colorScheme: 'dark', locale: 'ko-KR', reducedMotion: 'reduce' }]]) {
  await journey(`a refused message tells why and is tried again; every state on the way is accessible: ${slug}`, async () => {
    const [lars, mona] = [await newPage(options), await newPage()];
    await signUp(lars, `lars-${slug}`, 'Lars');
    await signUp(mona, `mona-${slug}`, 'Mona');
    const state = async name => {
      await accessible(lars, name);
      await worded(lars, name);
      await picture(lars, `${name.replace(/\W+/g, '-')}-${slug}`);
    };
    await mona.goto(`${base}/#/contacts/add`);
    await mona.fill('[name=address]', handle(`lars-${slug}`));
    await mona.keyboard.press('Enter');
    await lars.locator('.requests').waitFor();
    await state('a request is announced');
    await lars.locator('.requests').click();
    await lars.locator('.item-actions .button.primary').waitFor();
    await state('a request in the list');
    await lars.locator('m-contacts .item').click();
    await lars.locator('m-contact .notice').waitFor();
    await state('a request looked at');
    await lars.locator('m-contact .form-actions .primary').click();
    await lars.locator('m-contact a.button.primary').click();
    await lars.waitForSelector('m-composer textarea');
    const refuse = route => route.fulfill({ status: 422, contentType: 'application/problem+json', body: JSON.stringify({ title: 'Refused', status: 422, code: 'message_too_long', detail: 'Too long.' }) });
    await lars.context().route(/\/messages$/, refuse);
    await say(lars, 'Refused at first');
    await lars.locator('.row[data-state=failed] .reason').waitFor();
    await state('a message that was refused');
    await lars.context().unroute(/\/messages$/, refuse);
    await lars.locator('.row[data-state=failed] .under button').first().click();
    await until('it is sent', async () => await lars.locator('.row[data-state=failed]').count() === 0 && await times(lars, 'Refused at first') === 1);
    await lars.goto(`${base}/#/contacts`);
    await lars.locator('m-contacts .item').click();
    await lars.locator('.page-end .button').first().click();
    await lars.locator('dialog').waitFor();
    await state('before blocking');
    await lars.locator('dialog .danger').click();
    await lars.locator('m-contact .notice').waitFor();
    await state('blocked');
    await lars.goto(`${base}/#/nowhere/at-all`);
    await lars.locator('.rail').waitFor({ state: 'attached' });
    await lars.context().setOffline(true);
    await lars.locator('.connection', { hasText: /\S/ }).waitFor();
    await state('no connection');
  });
}

const { paths } = await fetch(`${base}/openapi.json`).then(answer => answer.json());

if (paths['/v1/conversations/{id}/typing']) {
  await journey('who types is shown while it lasts', async () => {
    const [iris, joel] = await friends('iris', 'joel');
    await openThread(iris, 'Joel');
    await say(iris, 'Hello');
    await openThread(joel, 'Iris');
    await joel.locator('.row.theirs').waitFor();
    await joel.locator('m-composer textarea').pressSequentially('I am wri');
    await iris.locator('.thread-names .presence.live', { hasText: 'typing' }).waitFor();
    await picture(iris, 'typing');
    await joel.locator('m-composer textarea').fill('');
    await until('it is over when the words are taken back', async () => await iris.locator('.presence.live').count() === 0);
    await joel.locator('m-composer textarea').pressSequentially('Hi');
    await iris.locator('.presence.live').first().waitFor();
    await joel.keyboard.press('Enter');
    await until('and when they have come', async () => await times(iris, 'Hi') === 1 && await iris.locator('.presence.live').count() === 0);
  });
}

await journey('a push wakes the browser: without content, unless there is some', async () => {
  const page = await newPage({ permissions: ['notifications'] });
  await page.goto(`${base}/`);
  await page.waitForSelector('m-sign-in');
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
  const devtools = await page.context().newCDPSession(page);
  let registration = null;
  devtools.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
    registration = registrations.find(({ scopeURL }) => scopeURL.startsWith(base))?.registrationId ?? registration;
  });
  await devtools.send('ServiceWorker.enable');
  await until('the worker is known', () => registration !== null);
  const [worker] = page.context().serviceWorkers();
  await worker.evaluate(() => {
    globalThis.told = [];
    // Every page of a browser without a screen believes that it has the focus.
    clients.matchAll = async () => [];
    registration.showNotification = async (title, { body, data }) => globalThis.told.push({ title, body, address: data.address });
  });
  const push = data => devtools.send('ServiceWorker.deliverPushMessage', { origin: base, registrationId: registration, data });
  const shown = () => worker.evaluate(() => globalThis.told);
  await push(JSON.stringify({ type: 'messages', unread: 3 }));
  await until('a notice without content', async () => (await shown()).some(({ title, body }) => title === 'Meari' && body.includes('3')));
  await push(JSON.stringify({ type: 'messages', unread: 4, sender: 'Bob', text: 'Soup?', conversation_id: 'cnv_1' }));
  await push(JSON.stringify({ type: 'call', call_id: 'call_1', expires_at: new Date(Date.now() + 20_000).toISOString() }));
  await until('somebody calls, and nobody else sees who', async () => (await shown()).some(({ title, body, address }) => title === 'Meari' && body === 'Incoming call' && address === '/#/calls'));
  await push(JSON.stringify({ type: 'call', call_id: 'call_2', sender: 'Eve', expires_at: new Date(Date.now() - 1_000).toISOString() }));
  await push(JSON.stringify({ type: 'messages', unread: 1, kind: 'call' }));
  await until('a call was missed', async () => (await shown()).some(({ body }) => body === 'Missed call'));
  check((await shown()).every(({ title }) => title !== 'Eve'), 'what has rung out is not shown any more');
  await until('a notice with content', async () => (await shown()).some(({ title, body, address }) => title === 'Bob' && body === 'Soup?' && address === '/#/c/cnv_1'));
});

if (paths['/v1/messages/{id}/reaction']) {
  await journey('an emoji on a message: by mouse, by keyboard, seen by both, taken back', async () => {
    const [nils, oona] = await friends('nils', 'oona', [{ bypassCSP: true }, {}]);
    await openThread(nils, 'Oona');
    await say(nils, 'I have found the keys');
    await openThread(oona, 'Nils');
    await oona.locator('.row.theirs').hover();
    await oona.locator('.row.theirs .react[aria-expanded]').click();
    await oona.locator('.reaction-choice').nth(1).click();
    await nils.locator('.row.mine .reaction', { hasText: '👍' }).waitFor();
    await oona.locator('.row.theirs .reaction.own').waitFor();
    await nils.locator('.row.mine .react[aria-expanded]').focus();
    await nils.keyboard.press('Enter');
    await nils.locator('.reaction-menu').waitFor();
    await accessible(nils, 'choosing an emoji');
    await picture(nils, 'reactions');
    await nils.keyboard.press('ArrowRight');
    await nils.keyboard.press('ArrowRight');
    await nils.keyboard.press('ArrowRight');
    await nils.keyboard.press('Enter');
    await oona.locator('.reaction', { hasText: '😂' }).waitFor();
    await oona.locator('.reaction.own').click();
    await until('it is taken back', async () => await nils.locator('.reaction', { hasText: '👍' }).count() === 0);
    check(await nils.locator('.reaction.own', { hasText: '😂' }).count() === 1, 'the other stays');
  });
}

if (paths['/v1/me/push-subscriptions']) {
  await journey('the browser is registered for pushes when notifications are switched on, and no longer after', async () => {
    const page = await newPage({ permissions: ['notifications'] });
    await signUp(page, 'kira', 'Kira');
    await page.evaluate(() => {
      // No push service can be reached here: the browser's part is played, with a real key.
      let made = null;
      PushManager.prototype.getSubscription = async () => made;
      PushManager.prototype.subscribe = async () => {
        const pair = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']);
        const text = bytes => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
        const keys = { p256dh: text(await crypto.subtle.exportKey('raw', pair.publicKey)), auth: text(crypto.getRandomValues(new Uint8Array(16))) };
        made = { toJSON: () => ({ endpoint: 'https://push.example.net/send/abc', keys }), unsubscribe: async () => { made = null; } };
        return made;
      };
    });
    await page.locator('.rail [data-place=settings]').click();
    const [answer] = await Promise.all([page.waitForResponse(/push-subscriptions/), page.locator('#notify-show').check()]);
    check(answer.status() === 201 && (await answer.json()).show_content === false, `registered without content: ${answer.status()}`);
    const [again] = await Promise.all([page.waitForResponse(/push-subscriptions/), page.locator('#notify-content').check()]);
    check((await again.json()).show_content === true, 'with content when it is asked for');
    const [gone] = await Promise.all([page.waitForResponse(response => response.request().method() === 'DELETE' && /push-subscriptions/.test(response.url())), page.locator('#notify-show').uncheck()]);
    check(gone.status() === 204, 'taken back');
  });
}

await journey('a group of phones: who writes is seen, and what an answer costs is said before', async () => {
  const [page, other] = await friends('gabi', 'hans', [{ bypassCSP: true }, {}]);
  await openThread(other, 'Gabi');
  await say(other, 'Dinner at eight?');
  await say(other, 'Or nine?');
  const people = [['+12025550101', 'Hans', false], ['+12025550177', '+12025550177', false], ['+12025550150', 'Gabi', true]]
    .map(([number, name, you]) => ({ number, name, contact_id: null, you }));
  const group = { participants: people, reply: 'phones', sms: 2 };
  let preview = { encoding: 'gsm7', segments: 2, phones: 2, goes_as: 'sms', units_left: 154, culprit: null, text: 'Gladly', replaced: [], media: [], price: { amount: '0.0158', currency: 'USD' } };
  const asked = [];
  // What the server tells live knows nothing of this group.
  await page.routeWebSocket(/\/v1\/events/, socket => {
    socket.connectToServer().onMessage(told => /"(conversation|message)\./.test(String(told)) || socket.send(told));
  });
  await page.route(/\/v1\/(conversations|messages\/preview)/, async route => {
    if (route.request().url().endsWith('/preview')) {
      asked.push(route.request().postDataJSON());
      await route.fulfill({ contentType: 'application/json', body: JSON.stringify(preview) });
      return;
    }
    const answer = await route.fetch();
    const body = await answer.json().catch(() => null);
    for (const item of body?.items ?? []) {
      if (item.contact) Object.assign(item, { group, contact: { ...item.contact, display_name: 'Hans, +12025550177' } });
      else if (item.text) item.group_sender = people[item.text.startsWith('Or') ? 1 : 0];
    }
    await route.fulfill({ response: answer, body: JSON.stringify(body) });
  });
  await page.goto(`${base}/#/`);
  await page.reload();
  await page.locator('m-conversations .item', { hasText: 'Hans, +12025550177' }).click();
  await page.locator('.who:not(.unseen)', { hasText: 'Hans' }).waitFor();
  await page.locator('.who:not(.unseen)', { hasText: '+12025550177' }).waitFor();
  check(await page.locator('.thread-acts .icon-call').count() === 0, 'nobody calls a group');
  check(!await page.locator('m-composer .attach').isVisible(), 'only words go');
  await page.fill('m-composer textarea', 'Gladly');
  await page.locator('m-composer .count', { hasText: 'to 2 phones' }).waitFor();
  await page.locator('m-composer .count', { hasText: '0.0158 USD' }).waitFor();
  check(asked.at(-1).conversation_id?.startsWith('cnv_') && !asked.at(-1).contact_id, 'the whole group is asked about');
  await accessible(page, 'a group');
  await worded(page, 'a group');
  await picture(page, 'group');
  preview = { ...preview, goes_as: 'group_mms', price: null };
  await page.fill('m-composer textarea', 'Gladly!');
  await page.locator('m-composer .count', { hasText: 'one group MMS to 2 phones' }).waitFor();
  group.reply = 'none';
  await page.reload();
  await page.locator('.thread-note', { hasText: 'on your phone' }).waitFor();
  check(!await page.locator('m-composer').isVisible(), 'who wrote it on the phone writes on there');
});

await end();

/** The messenger under hard conditions: cut connections, several tabs, long conversations. */
import net from 'node:net';
import { base, begin, check, end, friends, handle, journey, newPage, openThread, PASSWORD, picture, say, times, until } from './support.mjs';

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

await end();

/**
 * Runs a command against an installation of its own: `node installation.mjs COMMAND…`. A real `meari serve` with a pool
 * of numbers, the carrier simulator beside it and a mailbox for its letters. The command finds them in BASE_URL,
 * SIMULATOR_URL, MAIL_DIR, DATABASE, MEARI and CONFIG.
 */
import { spawn, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const binary = execFileSync(path.join(root, 'scripts/binary'), { encoding: 'utf8' }).trim();
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'meari-installation-'));
const children = [];
const PATIENCE_MS = 15_000;

function freePort() {
  return new Promise(done => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

/** A server that takes every letter and keeps it as a file (RFC 5321, as much as is needed). */
function mailbox() {
  const letters = path.join(folder, 'mail');
  fs.mkdirSync(letters);
  let count = 0;
  const server = net.createServer(socket => {
    let text = '';
    let body = null;
    socket.on('error', () => {});
    socket.write('220 test ESMTP\r\n');
    socket.on('data', data => {
      text += data.toString('utf8');
      for (;;) {
        const end = body === null ? text.indexOf('\r\n') : text.indexOf('\r\n.\r\n');
        if (end < 0) return;
        const part = text.slice(0, end);
        text = text.slice(end + (body === null ? 2 : 5));
        if (body !== null) {
          count += 1;
          fs.writeFileSync(path.join(letters, `${String(count).padStart(4, '0')}.eml`), part);
          body = null;
          socket.write('250 kept\r\n');
        } else if (/^DATA/i.test(part)) {
          body = '';
          socket.write('354 go on\r\n');
        } else if (/^QUIT/i.test(part)) socket.end('221 bye\r\n');
        else socket.write('250 fine\r\n');
      }
    });
  });
  return new Promise(done => server.listen(0, '127.0.0.1', () => done({ port: server.address().port, letters, server })));
}

function start(name, args) {
  const log = fs.openSync(path.join(folder, `${name}.log`), 'w');
  const child = spawn(binary, args, { stdio: ['ignore', log, log], cwd: folder });
  children.push(child);
  return child;
}

async function answers(url) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    if (await fetch(url).then(answer => answer.ok, () => false)) return;
    if (Date.now() > deadline) throw new Error(`${url} does not answer; the logs are in ${folder}`);
    await new Promise(done => setTimeout(done, 50));
  }
}

async function main() {
  const [port, carrierPort, mail] = await Promise.all([freePort(), freePort(), mailbox()]);
  const base = `http://127.0.0.1:${port}`;
  const carrier = `http://127.0.0.1:${carrierPort}`;
  const config = path.join(folder, 'meari.toml');
  const database = path.join(folder, 'meari.db');
  start('simulator', ['simulator', '--listen', `127.0.0.1:${carrierPort}`, '--callback', `${base}/carriers/main`]);
  await answers(`${carrier}/phones`);
  const words = fs.readFileSync(path.join(folder, 'simulator.log'), 'utf8');
  const said = key => new RegExp(`${key} = "(.+)"`).exec(words)[1];
  fs.writeFileSync(config, `
listen = "127.0.0.1:${port}"
public_url = "${base}"
database_url = "sqlite://${database}"
secret_file = "${path.join(folder, 'secret.key')}"
media_dir = "${path.join(folder, 'media')}"
smtp_url = "smtp://127.0.0.1:${mail.port}"
mail_from = "Meari <noreply@example.org>"
log_level = "warn"
[[carriers]]
id = "main"
kind = "simulator"
api_base = "${carrier}"
account_sid = "${said('account_sid')}"
auth_token = "${said('auth_token')}"
price_per_segment = "0.0079 USD"
`);
  fs.writeFileSync(path.join(folder, 'pool.csv'), ['e164,carrier,capabilities',
    ...Array.from({ length: 50 }, (_, index) => `+12025550${150 + index},main,sms+voice`)].join('\n'));
  const meari = (...args) => execFileSync(binary, [...args, '--config', config], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  meari('migrate');
  meari('numbers', 'import', path.join(folder, 'pool.csv'));
  if (process.env.SEED) execFileSync('python3', [path.join(root, 'tests/browser', process.env.SEED), binary, config, database], { stdio: ['ignore', 'inherit', 'inherit'] });
  start('serve', ['serve', '--config', config]);
  await answers(`${base}/readyz`);
  const [command, ...args] = process.argv.slice(2);
  const env = { ...process.env, BASE_URL: base, SIMULATOR_URL: carrier, MAIL_DIR: mail.letters, DATABASE: database, CONFIG: config, MEARI: binary };
  const child = spawn(command, args, { stdio: 'inherit', env });
  const code = await new Promise(done => child.on('exit', done));
  mail.server.close();
  return code ?? 1;
}

let code = 1;
try {
  code = await main();
} catch (error) {
  console.error(`installation: ${error.stderr?.toString() || error.message}`);
} finally {
  const ended = children.map(child => new Promise(done => (child.exitCode === null ? child.on('exit', done) : done())));
  for (const child of children) child.kill('SIGINT');
  await Promise.all(ended);
  if (code === 0) fs.rmSync(folder, { recursive: true, force: true });
  else console.error(`installation: the logs are in ${folder}`);
}
process.exit(code);

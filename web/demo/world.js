/** The demo's world as the guide sees it: the phones at the carrier simulator, and Bob's conversation with Alice. */
import { all, api, uuid } from '../app/api.js';
import { enterDemo } from '../app/demo-session.js';
import { Live } from '../app/live.js';

const RETRY_MS = 3_000;

/** Reads everything once and keeps it true. `onChange(world)` is called after each change. */
export async function openWorld(onChange) {
  const sheet = await fetch('/demo.json').then(answer => (answer.ok ? answer.json() : Promise.reject(new Error('no demo'))));
  const world = { sheet, simulator: sheet.simulator ?? '/simulator', phones: {}, calls: {}, chat: { address: null, messages: [] } };
  await Promise.all((sheet.phones ?? []).map(phone => followPhone(world, phone.number, onChange).catch(() => {})));
  await followBob(world, onChange);
  return world;
}

/** The phone of that person, as the simulator shows it. */
export function phoneOf(world, name) {
  const entry = (world.sheet.phones ?? []).find(phone => phone.name.toLowerCase().startsWith(name));
  return entry ? world.phones[entry.number] ?? { number: entry.number, threads: [], contacts: [] } : null;
}

/** The number under which Alice's phone knows Bob. */
export function bobsNumber(world) {
  return phoneOf(world, 'alice')?.contacts.find(({ name }) => name.toLowerCase().startsWith('bob'))?.numbers[0] ?? null;
}

/** The messages that a phone has with a number. */
export function threadOf(phone, number) {
  return phone?.threads.find(({ party }) => party === number)?.messages ?? [];
}

/** Writes a text on a phone, as if its owner had typed it. */
export async function text(world, phone, to, words) {
  const answer = await fetch(`${phoneAddress(world, phone.number)}/messages`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ to, text: words }) });
  if (!answer.ok) throw new Error(`the phone answered ${answer.status}`);
}

/** Has Alice's phone call Bob, on the phone that one sees. */
export async function callAsAlice(world) {
  const { number } = phoneOf(world, 'alice');
  await /** @type {any} */ (document.querySelector(`sim-phone[number="${CSS.escape(number)}"]`)).dial(bobsNumber(world));
}

/** How often Alice and Bob have talked. */
export function talked(world) {
  return Object.values(world.calls).filter(({ answered_at: at }) => at).length;
}

/** Whether Bob has a call that rings or runs. */
export function inCall(world) {
  return Object.values(world?.calls ?? {}).some(({ state }) => state !== 'ended');
}

/** Lets a phone fetch its address book now. */
export function sync(world, phone) {
  return fetch(`${phoneAddress(world, phone.number)}/sync`, { method: 'POST' });
}

function phoneAddress(world, number) {
  return `${world.simulator}/phones/${encodeURIComponent(number)}`;
}

async function followPhone(world, number, onChange) {
  const read = async () => {
    const answer = await fetch(phoneAddress(world, number), { cache: 'no-store' });
    if (!answer.ok) return;
    const calls = await fetch(`${phoneAddress(world, number)}/calls`, { cache: 'no-store' }).then(said => (said.ok ? said.json() : null), () => null);
    world.phones[number] = { ...await answer.json(), calls: calls?.items };
    onChange(world);
  };
  await read();
  const events = new EventSource(`${phoneAddress(world, number)}/events`);
  for (const kind of ['message', 'synced', 'power', 'phone', 'call', 'reset']) events.addEventListener(kind, () => read().catch(() => {}));
}

async function followBob(world, onChange) {
  await enterDemo('bob');
  const contacts = await all('/v1/contacts');
  const alice = contacts.find(({ address }) => address === 'meari:alice');
  world.chat.alice = alice ?? null;
  world.chat.address = alice?.conversation_id ? `#/c/${alice.conversation_id}` : alice ? `#/new/${alice.id}` : '#/';
  const load = async () => {
    if (!world.chat.alice) return;
    const { conversation_id: id } = await api.get(`/v1/contacts/${world.chat.alice.id}`);
    if (id) world.chat.messages = (await api.get(`/v1/conversations/${id}/messages?limit=50`)).items;
    onChange(world);
  };
  await load().catch(() => {});
  const keep = message => {
    // Bob's friends on the net write too; the guide looks at what goes by SMS.
    if (message.via !== 'sms') return;
    world.chat.messages = [message, ...world.chat.messages.filter(({ id }) => id !== message.id)];
    onChange(world);
  };
  new Live({
    onHello: (_, resumed) => resumed || load().catch(() => setTimeout(load, RETRY_MS)),
    onEvent: ({ type, data }) => {
      if (type === 'message.created' || type === 'message.updated') keep(data);
      if (type !== 'call.changed') return;
      world.calls[data.id] = data;
      onChange(world);
    },
    onState: () => {},
  }).start();
}

/** Answers Alice as Bob. */
export async function answerAsBob(world, words) {
  const id = uuid();
  await api.post(`/v1/contacts/${world.chat.alice.id}/messages`, { text: words, client_id: id }, id);
}

/** The steps of the tour: when one is done, and how the guide does it for those who only want to look. */
import { answerAsBob, bobsNumber, callAsAlice, talked, phoneOf, sync, text, threadOf } from './world.js';
import { t } from '../app/i18n.js';

/** Each: `id` (its texts are `demo.step.<id>.…`), `device` to look at, `done(world, start)`, `act(world)`. */
export const STEPS = [
  {
    id: 'book', device: 'alice',
    done: world => bobsNumber(world) !== null,
    act: world => sync(world, phoneOf(world, 'alice')),
  },
  {
    id: 'text', device: 'alice', follow: 'bob',
    done: (world, start) => inbound(world) > start.inbound,
    act: world => text(world, phoneOf(world, 'alice'), bobsNumber(world), t('demo.words.alice')),
  },
  {
    id: 'answer', device: 'bob', follow: 'alice',
    done: (world, start) => outbound(world) > start.outbound,
    act: world => answerAsBob(world, t('demo.words.bob')),
  },
  {
    id: 'arrive', device: 'alice',
    done: (world, start) => received(world) > start.received,
    act: null,
  },
  {
    id: 'call', device: 'alice', follow: 'bob',
    needs: world => phoneOf(world, 'alice')?.calls !== undefined,
    done: (world, start) => talked(world) > start.talked,
    act: world => callAsAlice(world),
  },
  {
    id: 'stranger', device: 'dave',
    needs: world => phoneOf(world, 'dave') !== null,
    done: (world, start) => tried(world) > start.tried,
    act: world => text(world, phoneOf(world, 'dave'), bobsNumber(world), t('demo.words.dave')),
  },
];

/** What there was before the visitor came; only what is new ticks a step off. */
export function count(world) {
  return { inbound: inbound(world), outbound: outbound(world), received: received(world), tried: tried(world), talked: talked(world) };
}

function inbound(world) {
  return world.chat.messages.filter(({ direction, mine }) => direction === 'inbound' && !mine).length;
}

function outbound(world) {
  return world.chat.messages.filter(({ direction, mine }) => direction === 'outbound' && mine).length;
}

function received(world) {
  const number = bobsNumber(world);
  return threadOf(phoneOf(world, 'alice'), number).filter(({ mine }) => !mine).length;
}

function tried(world) {
  const number = bobsNumber(world);
  return threadOf(phoneOf(world, 'dave'), number).filter(({ mine, state }) => mine && state !== 'sending').length;
}

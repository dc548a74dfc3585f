/** Missed calls that nobody has seen yet: until one looks at the list of calls, or reads the conversation. */
import { keep, onKept, recall } from './storage.js';
import { now, set } from './store.js';

/** A browser that is new here does not begin with what was missed long ago. */
const NEW_MS = 7 * 86_400_000;

// Another tab may have looked at them.
onKept('calls-seen', () => set({ calls: { ...now().calls } }));

/**
 * How many there are.
 * @param {Pick<State, 'calls' | 'conversations'>} state
 */
export function missedCalls({ calls, conversations }) {
  const since = recall('calls-seen', new Date(Date.now() - NEW_MS).toISOString());
  const missed = Object.values(calls).filter(call => call.missed && call.direction === 'incoming' && call.started_at > since);
  if (!missed.length) return 0;
  const read = new Set(Object.values(conversations).filter(({ unread }) => !unread).map(({ contact }) => contact?.id));
  return missed.filter(({ contact }) => !read.has(contact?.id)).length;
}

/** One has looked at the list of calls. */
export function callsAreSeen() {
  keep('calls-seen', new Date().toISOString());
  set({ calls: { ...now().calls } });
}

/** Who is typing: told while one types, shown while the other does. Nothing of it is kept. */
import { api } from './api.js';
import { now, set } from './store.js';

/** Said again so often while one goes on. */
const AGAIN_MS = 5_000;
/** What is told lasts so long when the server does not say. */
const LASTS_S = 8;

let said = { conversation: null, at: 0 };
const ends = new Map();

/** One types in a conversation, or has stopped without sending. */
export function tellTyping(conversation, typing) {
  if (!conversation || now().connection !== 'online') return;
  const fresh = said.conversation === conversation && Date.now() - said.at < AGAIN_MS;
  if (typing === fresh) return;
  said = typing ? { conversation, at: Date.now() } : { conversation: null, at: 0 };
  api.post(`/v1/conversations/${encodeURIComponent(conversation)}/typing`, { typing }).catch(() => {});
}

/** What was written has been sent: the message itself says that the typing is over. */
export function typingIsOver() {
  said = { conversation: null, at: 0 };
}

/** The other side types, or does not any more. */
export function showTyping({ conversation_id: id, typing, expires_in: seconds = LASTS_S }) {
  clearTimeout(ends.get(id));
  const typists = { ...now().typing };
  if (typing) {
    typists[id] = true;
    ends.set(id, setTimeout(showTyping, seconds * 1_000, { conversation_id: id, typing: false }));
  } else delete typists[id];
  set({ typing: typists });
}

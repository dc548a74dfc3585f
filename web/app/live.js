/** The event socket: a ticket, then `/v1/events`, resumed by cursor after every break. No event is lost, none counts twice. */
import { api } from './api.js';

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
const HELLO_TIMEOUT_MS = 15_000;
/** A clock that looks this often and finds more than twice as much gone was asleep, and its socket may be dead. */
const LOOK_MS = 10_000;
/** The server's pings are not for a page to see: after so long without a word it asks whether anybody is there. */
const QUIET_MS = 25_000;

/**
 * Keeps one socket alive. Callbacks: `onHello(seq, resumed)` before any event of a connection, `onEvent(event)` once
 * for each event in order, `onState('connecting' | 'online' | 'offline')`.
 */
export class Live {
  #socket = null;
  #cursor = null;
  #failures = 0;
  #timer = null;
  #running = false;
  #looked = Date.now();
  #heard = 0;
  #asked = 0;
  #callbacks;

  constructor(callbacks) {
    this.#callbacks = callbacks;
    addEventListener('online', () => this.#hurry());
    addEventListener('offline', () => this.doubt());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#hurry();
    });
    setInterval(() => this.#look(), LOOK_MS);
  }

  /** Connects; from the newest event on when there is no cursor yet. */
  start() {
    if (this.#running) return;
    this.#running = true;
    this.#connect();
  }

  /** Closes and forgets the cursor. */
  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = null;
    this.#cursor = null;
    this.#failures = 0;
  }

  async #connect() {
    this.#timer = null;
    this.#callbacks.onState('connecting');
    let ticket;
    try {
      ({ ticket } = await api.post('/v1/events/tickets'));
    } catch {
      this.#again();
      return;
    }
    if (!this.#running) return;
    const url = new URL('/v1/events', location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.searchParams.set('ticket', ticket);
    if (this.#cursor !== null) url.searchParams.set('after', this.#cursor);
    this.#open(new WebSocket(url));
  }

  #open(socket) {
    this.#socket = socket;
    let greeted = false;
    const patience = setTimeout(() => socket.close(), HELLO_TIMEOUT_MS);
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#heard = Date.now();
      const frame = read(data);
      if (!frame) return;
      if (frame.type === 'hello' || frame.type === 'resync') {
        greeted = true;
        clearTimeout(patience);
        this.#hello(frame);
      } else if (greeted) this.#event(frame);
    };
    socket.onclose = () => {
      clearTimeout(patience);
      if (socket !== this.#socket) return;
      this.#socket = null;
      this.#again();
    };
  }

  #hello({ type, seq }) {
    this.#failures = 0;
    // `resync`: what lies between is forgotten. A newest event older than our cursor: the server is a restored one.
    const fits = type === 'hello' && this.#cursor !== null && seq >= this.#cursor;
    if (!fits) this.#cursor = seq;
    this.#callbacks.onHello(seq, fits);
    this.#callbacks.onState('online');
  }

  #event(event) {
    // Somebody types: it is not in the log, stands at the place of the last event and is told at once or never.
    if (event.type === 'typing.changed') {
      this.#callbacks.onEvent(event);
      return;
    }
    if (typeof event.seq !== 'number' || event.seq <= this.#cursor) return;
    this.#cursor = event.seq;
    this.#callbacks.onEvent(event);
  }

  #again() {
    if (!this.#running || this.#timer) return;
    this.#callbacks.onState('offline');
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failures);
    this.#failures += 1;
    // Full jitter: after a restart of the server its clients do not come back in one wave.
    this.#timer = setTimeout(() => this.#connect(), ceiling / 4 + Math.random() * ceiling * 0.75);
  }

  /** After sleep, or without an answer, the socket is made anew; the cursor makes that cost nothing. */
  #look() {
    const now = Date.now();
    const slept = now - this.#looked > 2 * LOOK_MS;
    const unanswered = this.#asked > this.#heard && now - this.#asked >= LOOK_MS;
    this.#looked = now;
    if ((slept && !document.hidden) || unanswered) this.doubt();
    else if (this.#socket?.readyState === WebSocket.OPEN && now - this.#heard > QUIET_MS && this.#asked <= this.#heard) {
      this.#asked = now;
      this.#socket.send('beat');
    }
  }

  /** Something else could not reach the server: the socket may be dead without knowing it. */
  doubt() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    // Not waited for: a dead connection may take minutes to close.
    this.#socket = null;
    socket.close();
    this.#again();
  }

  #hurry() {
    if (!this.#timer) return;
    clearTimeout(this.#timer);
    this.#failures = 0;
    this.#connect();
  }
}

function read(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

/** The line between a phone's page and the simulator: requests, and events that resume where they broke off. */

/** How long to wait before a lost line is tried again, in milliseconds. */
const AGAIN_MS = [500, 1000, 2000, 5000, 10000];

export class Line {
  #root;
  #source = null;
  #timer = 0;
  #failures = 0;
  #closed = false;
  /** The newest event that was taken; null before the phone was read. */
  #cursor = null;
  #on;

  /**
   * @param {string} base where the simulator is mounted, like `/simulator`
   * @param {string} number the phone
   * @param {{view: Function, message: Function, synced: Function, power: Function, call: Function, lost: Function}} on what to
   *   tell: the whole phone, one message, a sync, the switch, one call, and that the line is lost (with the status, 0 for none)
   */
  constructor(base, number, on) {
    this.#root = `${base.replace(/\/$/, '')}/phones/${encodeURIComponent(number)}`;
    this.#on = on;
    document.addEventListener('visibilitychange', this.#look);
    this.#open();
  }

  /** Ends it. */
  close() {
    this.#closed = true;
    document.removeEventListener('visibilitychange', this.#look);
    clearTimeout(this.#timer);
    this.#hangUp();
  }

  /** The address of a contact's picture. */
  photo(contact) {
    return `${this.#root}/contacts/${encodeURIComponent(contact.id)}/photo`;
  }

  send(to, text) {
    return this.#call('POST', '/messages', { to, text });
  }

  setPower(on) {
    return this.#call('PUT', '/power', { on });
  }

  sync() {
    return this.#call('POST', '/sync', {});
  }

  /** Calls a number; answers the call. */
  dial(to) {
    return this.#call('POST', '/calls', { to });
  }

  answer(id) {
    return this.#call('POST', `/calls/${encodeURIComponent(id)}/answer`, {});
  }

  hangUp(id) {
    return this.#call('POST', `/calls/${encodeURIComponent(id)}/hang-up`, {});
  }

  digits(id, digits) {
    return this.#call('POST', `/calls/${encodeURIComponent(id)}/digits`, { digits });
  }

  /** The address of a call's sound: a WebSocket of µ-law frames. */
  audio(id) {
    const url = new URL(`${this.#root}/calls/${encodeURIComponent(id)}/audio`, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return url.href;
  }

  /** Reads the whole phone again. */
  async reload() {
    const [view, calls] = await Promise.all([this.#call('GET', ''), this.#call('GET', '/calls').catch(() => null)]);
    view.calls = calls?.items ?? [];
    if (!this.#closed) this.#on.view(view);
    return view;
  }

  async #call(method, path, body) {
    const request = { method, headers: { Accept: 'application/json' } };
    if (body) {
      request.headers['Content-Type'] = 'application/json';
      request.body = JSON.stringify(body);
    }
    const answer = await fetch(this.#root + path, request);
    const data = await answer.json().catch(() => null);
    if (!answer.ok) throw Object.assign(new Error(data?.detail ?? answer.statusText), { status: answer.status });
    return data;
  }

  async #open() {
    try {
      const view = await this.reload();
      if (this.#closed) return;
      this.#failures = 0;
      this.#listen(view.last_event);
    } catch (error) {
      this.#lose(error.status ?? 0);
    }
  }

  /** A browser keeps six connections to one server for all its tabs: one that nobody looks at lets go of its own. */
  #look = () => {
    if (!document.hidden && !this.#source && this.#cursor !== null) this.#listen(this.#cursor);
    else if (document.hidden) this.#hangUp();
  };

  #hangUp() {
    this.#source?.close();
    this.#source = null;
  }

  #listen(after) {
    this.#cursor = after;
    if (document.hidden) return;
    const source = new EventSource(`${this.#root}/events?after=${after}`);
    this.#source = source;
    const on = (name, tell) => source.addEventListener(name, event => {
      this.#cursor = event.lastEventId;
      tell(JSON.parse(event.data));
    });
    on('message', this.#on.message);
    on('power', this.#on.power);
    on('call', this.#on.call);
    on('synced', data => {
      this.#on.synced(data);
      if (data.changed) this.reload().catch(() => {});
    });
    on('reset', () => this.reload().catch(() => {}));
    // The browser reconnects by itself unless the answer was an error; then the phone is gone or the server is full.
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) this.#lose(0);
    });
  }

  #lose(status) {
    if (this.#closed) return;
    this.#hangUp();
    this.#cursor = null;
    this.#on.lost(status);
    this.#timer = setTimeout(() => this.#open(), AGAIN_MS[Math.min(this.#failures++, AGAIN_MS.length - 1)]);
  }
}

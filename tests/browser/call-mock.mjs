/**
 * Calls without a telephone network: answers the API's calls of one page in the server's place, with a real WebRTC peer in
 * another page of the browser, so that every state of a call can be brought about and looked at.
 */
import { base } from './support.mjs';

/** What a page and its peer hear and say: patched in before anything runs. `pitch` is what the microphone sounds like. */
export function ears(pitch) {
  const heard = { streams: [] };
  globalThis.heard = heard;
  const Original = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Original {
    constructor(...args) {
      super(...args);
      heard.connection = this;
      this.addEventListener('track', ({ track }) => {
        const stream = new MediaStream([track]);
        // What no element plays, Chromium does not decode.
        Object.assign(new Audio(), { srcObject: stream, muted: true }).play();
        heard.streams.push(stream);
      });
    }
  };
  if (!pitch) return;
  navigator.mediaDevices.getUserMedia = async () => {
    const context = new AudioContext();
    const tone = context.createOscillator();
    const out = context.createMediaStreamDestination();
    tone.frequency.value = pitch;
    tone.connect(out);
    tone.start();
    return out.stream;
  };
}

/** The strongest tone that a page hears, in Hz, 0 for silence. */
export function pitchHeard(page) {
  return page.evaluate(async () => {
    const stream = globalThis.heard.streams.at(-1);
    if (!stream) return 0;
    const context = new AudioContext();
    await context.resume();
    const ear = context.createAnalyser();
    ear.fftSize = 8192;
    context.createMediaStreamSource(stream).connect(ear);
    await new Promise(done => setTimeout(done, 700));
    const levels = new Float32Array(ear.frequencyBinCount);
    ear.getFloatFrequencyData(levels);
    const at = levels.indexOf(Math.max(...levels));
    const pitch = levels[at] < -70 ? 0 : at * context.sampleRate / ear.fftSize;
    await context.close();
    return pitch;
  });
}

/** Takes the server's place for one page's calls. */
export class CallMock {
  posts = [];
  calls = new Map();
  refusals = {};
  settings = {
    do_not_disturb: false, ring: 'together', also_ring: null, forward_to: null, forward_when: 'no_answer', screening: false, ring_seconds: 25, pin_set: false,
    voicemail: { enabled: true, greeting_text: '', seconds_max: 120, by_mail: true, by_sms: false, greeting_recorded: false },
  };
  #page;
  #peer;
  #seq = 0;
  #socket = null;

  /** Before the page is opened. */
  static async over(page, peer) {
    const mock = new CallMock();
    mock.#page = page;
    mock.#peer = peer;
    await page.routeWebSocket(/\/v1\/events/, socket => {
      const server = socket.connectToServer();
      mock.#socket = socket;
      server.onMessage(message => {
        const { seq } = JSON.parse(message);
        if (typeof seq === 'number') mock.#seq = Math.max(mock.#seq, seq);
        socket.send(message);
      });
    });
    await page.route(/\/v1\/(calls|voicemails|me\/call-settings)/, route => mock.#answer(route).catch(() => {}));
    return mock;
  }

  /** A call that changed, told like the server tells it. */
  tell(call) {
    const known = { ...blank(), ...this.calls.get(call.id), ...call };
    this.calls.set(call.id, known);
    // Events go to all sessions of an account: they do not know whose `here` is.
    known.here = false;
    // Between two events of the server's own, so that none of them is taken for an old one.
    this.#seq += 0.001;
    this.#socket?.send(JSON.stringify({ seq: this.#seq, at: new Date().toISOString(), type: 'call.changed', data: known }));
    return known;
  }

  /** Another event, as it is. */
  event(type, data) {
    this.#seq += 0.001;
    this.#socket?.send(JSON.stringify({ seq: this.#seq, at: new Date().toISOString(), type, data }));
  }

  posted(verb) {
    return this.posts.filter(({ path }) => path.endsWith(verb));
  }

  async #answer(route) {
    const request = route.request();
    const { pathname } = new URL(request.url());
    const body = request.postDataBuffer()?.length && request.headers()['content-type']?.includes('json') ? request.postDataJSON() : null;
    const method = request.method();
    if (method !== 'GET') this.posts.push({ path: pathname, method, body, type: request.headers()['content-type'] });
    const json = (value, status = 200) => route.fulfill({ status, contentType: status >= 400 ? 'application/problem+json' : 'application/json', body: JSON.stringify(value) });
    const refused = Object.entries(this.refusals).find(([verb]) => pathname.endsWith(verb));
    if (refused) return json({ title: 'No', code: refused[1], status: 409 }, 409);
    if (pathname.endsWith('/call-settings')) {
      if (method === 'PUT') this.settings = { ...this.settings, ...body };
      return json(this.settings);
    }
    if (pathname.endsWith('/audio')) return route.fulfill({ contentType: 'audio/wav', body: wav() });
    if (method === 'GET') return json({ items: [...this.calls.values()].sort((a, b) => (a.started_at < b.started_at ? 1 : -1)), next: null });
    if (body?.offer) {
      const answer = await this.#peer.evaluate(offer => globalThis.answerCall(offer), body.offer);
      if (pathname.endsWith('/restart')) return json({ answer });
      const id = pathname === '/v1/calls' ? 'call_dialled' : pathname.split('/')[3];
      const verb = pathname.split('/')[4];
      const call = { ...blank(), ...this.calls.get(id), id, here: true, session_id: 'ses_here', ...(pathname === '/v1/calls' ? { direction: 'outgoing', contact: this.dialled } : verb === 'listen' ? { listening: true } : { state: 'in_progress', listening: false, answered_at: new Date().toISOString(), expires_at: null }) };
      this.calls.set(id, call);
      return json({ call, answer }, pathname === '/v1/calls' ? 201 : 200);
    }
    const [id, verb] = pathname.split('/').slice(3);
    if (verb === 'hang-up' && this.calls.get(id)?.listening) this.calls.set(id, { ...this.calls.get(id), listening: false, session_id: null });
    else if (['decline', 'hang-up'].includes(verb)) this.calls.set(id, { ...blank(), ...this.calls.get(id), state: 'ended', ended_at: new Date().toISOString() });
    return route.fulfill({ status: 204 });
  }
}

function blank() {
  return {
    id: 'call_1', direction: 'incoming', state: 'ringing', contact: null, via: 'phone', started_at: new Date().toISOString(), answered_at: null, ended_at: null,
    expires_at: new Date(Date.now() + 25_000).toISOString(), here: false, end_reason: null, missed: false, muted: false, held: false, recording: 'off', recording_asked_of_me: false, session_id: null, attestation: null,
    screening: null, listening: false, voicemail: null, quality: null,
  };
}

/** A page that is the other end of a WebRTC call and says a tone of that pitch. */
export async function peerPage(context, pitch) {
  const peer = await context.newPage();
  await peer.addInitScript(ears, 0);
  await peer.goto(`${base}/icon.svg`);
  await peer.evaluate(hz => {
    globalThis.answerCall = async offer => {
      globalThis.line?.close();
      const line = new RTCPeerConnection();
      globalThis.line = line;
      await line.setRemoteDescription({ type: 'offer', sdp: offer });
      const context = new AudioContext();
      await context.resume();
      const tone = context.createOscillator();
      const out = context.createMediaStreamDestination();
      tone.frequency.value = hz;
      tone.connect(out);
      tone.start();
      line.addTrack(out.stream.getAudioTracks()[0], out.stream);
      await line.setLocalDescription();
      await new Promise(done => {
        if (line.iceGatheringState === 'complete') done();
        line.onicegatheringstatechange = () => line.iceGatheringState === 'complete' && done();
      });
      return line.localDescription.sdp;
    };
  }, pitch);
  return peer;
}

/** Two seconds of a tone as telephones keep it: µ-law at 8 kHz (WAV format 7). */
export function wav() {
  const samples = 16_000;
  const data = Buffer.alloc(58 + samples, 0xff);
  data.write('RIFF', 0);
  data.writeUInt32LE(50 + samples, 4);
  data.write('WAVEfmt ', 8);
  data.writeUInt32LE(18, 16);
  data.writeUInt16LE(7, 20);
  data.writeUInt16LE(1, 22);
  data.writeUInt32LE(8000, 24);
  data.writeUInt32LE(8000, 28);
  data.writeUInt16LE(1, 32);
  data.writeUInt16LE(8, 34);
  data.write('fact', 38);
  data.writeUInt32LE(4, 42);
  data.writeUInt32LE(samples, 46);
  data.write('data', 50);
  data.writeUInt32LE(samples, 54);
  return data;
}

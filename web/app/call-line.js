/**
 * One call's sound: the microphone, the connection to the server (WebRTC), what arrives, and how well. It mends itself
 * when the network changes (ICE restart) and knows nothing of who is called.
 */
import { barsOf, mosOf } from './call-figures.js';

/** What is offered; the server chooses. The rest of what browsers know is of no use to a phone at the other end. */
const CODECS = ['audio/opus', 'audio/pcmu', 'audio/telephone-event'];
const LOOK_MS = 1_000;
/** The bars tell of so many looks; the first ones, while the buffers find their size, do not count. */
const SPAN = 6;
const SETTLING = 2;
/** A line that wavers is given so long before it is mended. */
const WAVER_MS = 1_500;
const MEND_AGAIN_MS = 1_000;
/** The server gives a silent line up after 20 s. */
const MEND_MS = 25_000;
/** So many looks without anything arriving, or without any sound from the microphone, are told. */
const NOTHING_HEARD = 4;
const NOTHING_SAID = 8;

/** A stream of the microphone; fails with a code that has words: `mic_insecure`, `mic_missing`, `mic_refused`, `mic_busy`. */
export async function microphone() {
  if (!navigator.mediaDevices?.getUserMedia || !globalThis.RTCPeerConnection) throw coded('mic_insecure');
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true } });
  } catch (error) {
    throw coded({ NotFoundError: 'mic_missing', OverconstrainedError: 'mic_missing', NotAllowedError: 'mic_refused', SecurityError: 'mic_refused' }[error.name] ?? 'mic_busy');
  }
}

function coded(code) {
  return Object.assign(new Error(code), { code, status: 400 });
}

export class CallLine {
  #pc;
  #stream;
  #on;
  #audio = new Audio();
  #timer = 0;
  #waver = 0;
  #mending = false;
  #closed = false;
  #muted = false;
  #held = false;
  /** What was seen in the last looks, the oldest first. */
  #seen = [];
  #looks = 0;
  #unheard = 0;
  #unsaid = 0;

  /**
   * @param {MediaStream | null} stream the microphone; none for somebody who only listens
   * @param {{ restart: (offer: string) => Promise<string>, state: (state: 'up' | 'wavering' | 'lost') => void,
   *   look: (seen: { bars: number | null, unheard: boolean, unsaid: boolean }) => void, blocked: (play: () => void) => void }} on
   */
  constructor(stream, on) {
    this.#on = on;
    this.#stream = stream;
    this.#pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const transceiver = stream ? this.#pc.addTransceiver(stream.getAudioTracks()[0], { direction: 'sendrecv', streams: [stream] }) : this.#pc.addTransceiver('audio', { direction: 'recvonly' });
    const known = RTCRtpReceiver.getCapabilities?.('audio')?.codecs.filter(({ mimeType }) => CODECS.includes(mimeType.toLowerCase()));
    if (known?.length) transceiver.setCodecPreferences?.(known);
    this.#audio.autoplay = true;
    this.#pc.ontrack = ({ track: theirs, streams }) => this.#hear(streams[0] ?? new MediaStream([theirs]));
    this.#pc.onconnectionstatechange = () => this.#changed();
    addEventListener('online', this.#mendSoon);
    navigator.connection?.addEventListener?.('change', this.#mendSoon);
    this.#timer = setInterval(() => this.#look().catch(() => {}), LOOK_MS);
  }

  /** What is said to the server first. Nothing is waited for: the server's address is in its answer. */
  async offer() {
    await this.#pc.setLocalDescription();
    return this.#pc.localDescription.sdp;
  }

  async answer(sdp) {
    await this.#pc.setRemoteDescription({ type: 'answer', sdp });
  }

  /** One's own choice; nothing but oneself takes it back. */
  mute(on) {
    this.#muted = on;
    this.#speak();
  }

  /** Nobody is heard while a call is held. */
  hold(on) {
    this.#held = on;
    this.#audio.muted = on;
    this.#speak();
  }

  /** For a page with two ends of one call: whether this one is heard. */
  ear(on) {
    this.#audio.volume = on ? 1 : 0;
  }

  /** Puts another voice in the microphone's place. */
  async voice(stream) {
    for (const track of (this.#stream ?? stream).getTracks()) track.stop();
    if (!this.#stream) return;
    this.#stream = stream;
    await this.#pc.getSenders()[0]?.replaceTrack(stream.getAudioTracks()[0]);
    this.#speak();
  }

  /** How it went so far, as the server wants it told. Null before there is anything to tell. */
  async report() {
    const seen = await this.#read();
    if (!seen.received) return null;
    return {
      packets_received: seen.received, packets_lost: Math.max(0, seen.lost), jitter_ms: rounded(seen.jitter), jitter_buffer_ms: rounded(seen.buffer),
      concealed: seen.concealed, samples: seen.samples, rtt_ms: rounded(seen.rtt), local_network: seen.network, candidate_type: seen.candidate,
    };
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    clearTimeout(this.#waver);
    removeEventListener('online', this.#mendSoon);
    navigator.connection?.removeEventListener?.('change', this.#mendSoon);
    for (const track of this.#tracks()) track.stop();
    this.#audio.srcObject = null;
    this.#pc.close();
  }

  #hear(stream) {
    this.#audio.srcObject = stream;
    const play = () => this.#audio.play();
    play().catch(error => error.name === 'NotAllowedError' && this.#on.blocked(() => play().catch(() => {})));
  }

  #speak() {
    for (const track of this.#tracks()) track.enabled = !this.#muted && !this.#held;
  }

  #tracks() {
    return this.#stream?.getAudioTracks() ?? [];
  }

  #changed() {
    const state = this.#pc.connectionState;
    clearTimeout(this.#waver);
    if (this.#closed) return;
    if (state === 'connected') this.#on.state('up');
    else if (state === 'disconnected') this.#mendSoon();
    else if (state === 'failed') this.#mend();
  }

  #mendSoon = () => {
    if (this.#closed || !this.#pc.remoteDescription) return;
    clearTimeout(this.#waver);
    this.#waver = setTimeout(() => this.#mend(), WAVER_MS);
  };

  /** New addresses on both sides, the same call: offered until it takes or the time is up. */
  async #mend() {
    if (this.#mending || this.#closed) return;
    this.#mending = true;
    this.#on.state('wavering');
    const deadline = Date.now() + MEND_MS;
    while (!this.#closed && Date.now() < deadline) {
      try {
        await this.#pc.setLocalDescription(await this.#pc.createOffer({ iceRestart: true }));
        await this.answer(await this.#on.restart(this.#pc.localDescription.sdp));
        if (await this.#settled()) break;
      } catch (error) {
        if (this.#closed || (error.status >= 400 && error.status < 500 && error.status !== 429)) break;
        if (this.#pc.signalingState === 'have-local-offer') await this.#pc.setLocalDescription({ type: 'rollback' }).catch(() => {});
      }
      await new Promise(done => setTimeout(done, MEND_AGAIN_MS));
    }
    this.#mending = false;
    if (!this.#closed) this.#on.state(this.#pc.connectionState === 'connected' ? 'up' : 'lost');
  }

  async #settled() {
    for (let n = 0; n < 40 && !this.#closed; n += 1) {
      if (this.#pc.connectionState === 'connected') return true;
      await new Promise(done => setTimeout(done, 100));
    }
    return false;
  }

  async #read() {
    const seen = { received: 0, lost: 0, jitter: 0, buffer: 0, concealed: 0, samples: 0, rtt: 0, energy: null, network: null, candidate: null };
    const stats = await this.#pc.getStats();
    for (const item of stats.values()) {
      if (item.type === 'inbound-rtp') {
        seen.received = item.packetsReceived ?? 0;
        seen.lost = item.packetsLost ?? 0;
        seen.jitter = (item.jitter ?? 0) * 1000;
        seen.buffer = item.jitterBufferEmittedCount ? item.jitterBufferDelay / item.jitterBufferEmittedCount * 1000 : 0;
        seen.concealed = item.concealedSamples ?? 0;
        seen.samples = item.totalSamplesReceived ?? 0;
      } else if (item.type === 'media-source') seen.energy = item.totalAudioEnergy ?? null;
      else if (item.type === 'candidate-pair' && item.nominated && item.state === 'succeeded') {
        seen.rtt = (item.currentRoundTripTime ?? 0) * 1000;
        const local = stats.get(item.localCandidateId);
        seen.candidate = local?.candidateType ?? null;
        seen.network = [local?.networkType, navigator.connection?.type].find(name => name && name !== 'unknown') ?? null;
      }
    }
    return seen;
  }

  async #look() {
    if (this.#pc.connectionState !== 'connected') return;
    const seen = await this.#read();
    const before = this.#seen.at(-1) ?? seen;
    this.#seen = [...this.#seen, seen].slice(-SPAN);
    const samples = seen.samples - this.#seen[0].samples;
    const lost = samples > 0 ? (seen.concealed - this.#seen[0].concealed) / samples : 0;
    this.#unheard = this.#held || seen.received > before.received ? 0 : this.#unheard + 1;
    const quiet = this.#muted || this.#held || !this.#stream;
    this.#unsaid = !quiet && seen.energy !== null && seen.energy === before.energy ? this.#unsaid + 1 : 0;
    const gone = !quiet && this.#tracks().some(({ muted, readyState }) => muted || readyState === 'ended');
    this.#on.look({
      // How a call begins says nothing yet of how it goes.
      bars: this.#looks++ < SETTLING ? null : barsOf(mosOf({ loss: Math.min(1, Math.max(0, lost)), buffer: seen.buffer, rtt: seen.rtt })),
      unheard: this.#unheard >= NOTHING_HEARD, unsaid: gone || this.#unsaid >= NOTHING_SAID,
    });
  }
}

function rounded(number) {
  return Math.round(number * 10) / 10;
}

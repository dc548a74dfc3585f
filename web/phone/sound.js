/** The sound of one call on a simulated phone: a microphone or a tune one way, an earpiece the other, µ-law in between. */
import { tune } from './tune.js';

const RING_EVERY_MS = 3_000;
const AGAIN_MS = 400;

export class PhoneSound {
  #context = new AudioContext();
  #socket = null;
  #node = null;
  #ear = this.#context.createGain();
  #said = null;
  #stop = () => {};
  #ended = false;
  #loud;

  /** `loud(level)` hears again and again how loud the other side is, 0 to 1. */
  constructor(loud) {
    this.#loud = loud;
    this.#ear.connect(this.#context.destination);
  }

  /** Opens the line: the page must have been touched before. */
  async open(url) {
    await this.#context.audioWorklet.addModule(new URL('worklet.js', import.meta.url).href);
    if (this.#ended) return;
    this.#node = new AudioWorkletNode(this.#context, 'phone-line', { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1], channelCount: 1, channelCountMode: 'explicit' });
    this.#node.connect(this.#ear);
    this.#node.port.onmessage = ({ data }) => {
      if (data.frame && this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(data.frame);
      if (data.loud !== undefined) this.#loud(data.loud);
    };
    this.#said?.connect(this.#node);
    this.#connect(url);
    if (this.#context.state !== 'running') this.#context.resume().catch(() => {});
  }

  /** The line may not be there yet, or break: while the call lasts it is opened again. */
  #connect(url) {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    socket.onmessage = ({ data }) => data instanceof ArrayBuffer && this.#node.port.postMessage(data, [data]);
    socket.onclose = () => setTimeout(() => this.#ended || this.#connect(url), AGAIN_MS);
    this.#socket = socket;
  }

  /** What one speaks with: `mic`, or the tune of somebody. Fails when there is no microphone. */
  async speakWith(voice, who) {
    let stream;
    let stop;
    if (voice === 'mic') {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
      stop = () => stream.getTracks().forEach(track => track.stop());
    } else ({ stream, stop } = tune(who, this.#context));
    this.#said?.disconnect();
    this.#stop();
    [this.#said, this.#stop] = [this.#context.createMediaStreamSource(stream), stop];
    if (this.#ended) stop();
    else if (this.#node) this.#said.connect(this.#node);
  }

  /** Whether the earpiece is heard in the room. */
  hear(on) {
    this.#ear.gain.value = on ? 1 : 0;
  }

  close() {
    this.#ended = true;
    this.#stop();
    this.#socket?.close();
    this.#context.close().catch(() => {});
  }
}

/** An old telephone's bell; answers what stops it. Silent where the page may not make a sound. */
export function bell() {
  const context = new AudioContext();
  const ring = () => {
    const gain = context.createGain();
    gain.gain.value = 0.05;
    for (const height of [1318, 1661]) {
      const tone = context.createOscillator();
      const beat = context.createOscillator();
      const depth = context.createGain();
      tone.frequency.value = height;
      beat.frequency.value = 22;
      depth.gain.value = 0.05;
      beat.connect(depth).connect(gain.gain);
      tone.connect(gain);
      for (const one of [tone, beat]) {
        one.start();
        one.stop(context.currentTime + 0.9);
      }
    }
    gain.connect(context.destination);
  };
  ring();
  const timer = setInterval(ring, RING_EVERY_MS);
  return () => {
    clearInterval(timer);
    context.close().catch(() => {});
  };
}

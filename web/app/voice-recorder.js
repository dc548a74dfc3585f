/** A greeting in one's own voice: recorded here or taken from a file, and made into what telephones play (WAV, µ-law at 8 kHz). */
import { microphone } from './call-line.js';

const RATE = 8_000;
/** Longer greetings make callers hang up; the server takes no longer ones either. */
const SECONDS_MAX = 60;

/** Any sound that this browser can read as a WAV file: one channel, 8 kHz, µ-law (ITU-T G.711, WAV format 7). */
export async function asWav(blob) {
  const reader = new OfflineAudioContext(1, RATE, RATE);
  let sound;
  try {
    sound = await reader.decodeAudioData(await blob.arrayBuffer());
  } catch {
    throw Object.assign(new Error('not a sound'), { code: 'greeting_unreadable', status: 400 });
  }
  const length = Math.max(1, Math.floor(Math.min(sound.duration, SECONDS_MAX) * RATE));
  const context = new OfflineAudioContext(1, length, RATE);
  const source = context.createBufferSource();
  source.buffer = sound;
  source.connect(context.destination);
  source.start();
  const samples = (await context.startRendering()).getChannelData(0);
  return new Blob([header(samples.length), Uint8Array.from(samples, encoded)], { type: 'audio/wav' });
}

function encoded(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const size = Math.min(32_635, Math.abs(sample) * 32_768) + 0x84;
  const exponent = Math.max(0, Math.floor(Math.log2(size)) - 7);
  return ~(sign | exponent << 4 | size >> exponent + 3 & 0x0f) & 0xff;
}

/** RIFF, `fmt ` of 18 bytes, `fact`, `data`: all formats other than PCM carry the second and third. */
function header(samples) {
  const view = new DataView(new ArrayBuffer(58));
  const word = (at, text) => [...text].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  const numbers = [[4, 50 + samples], [16, 18], [24, RATE], [28, RATE], [42, 4], [46, samples], [54, samples]];
  for (const [at, text] of [[0, 'RIFF'], [8, 'WAVEfmt '], [38, 'fact'], [50, 'data']]) word(at, text);
  for (const [at, number] of numbers) view.setUint32(at, number, true);
  for (const [at, number] of [[20, 7], [22, 1], [32, 1], [34, 8]]) view.setUint16(at, number, true);
  return view;
}

export class GreetingRecorder {
  #recorder = null;
  #timer = 0;

  get running() {
    return Boolean(this.#recorder);
  }

  /** Records until `stop`; `full()` is called when there is no more room. */
  async start(full) {
    const stream = await microphone();
    this.#recorder = new MediaRecorder(stream);
    this.#recorder.start();
    this.#timer = setTimeout(full, SECONDS_MAX * 1000);
  }

  async stop() {
    const recorder = this.#recorder;
    this.#recorder = null;
    clearTimeout(this.#timer);
    const parts = [];
    recorder.ondataavailable = ({ data }) => parts.push(data);
    await new Promise(done => {
      recorder.onstop = done;
      recorder.stop();
    });
    for (const track of recorder.stream.getTracks()) track.stop();
    return asWav(new Blob(parts, { type: recorder.mimeType }));
  }

  cancel() {
    if (this.#recorder) this.stop().catch(() => {});
  }
}

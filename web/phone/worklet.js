/**
 * The sound of a simulated phone, on the audio thread: what is said becomes µ-law at 8 kHz in frames of 20 ms (ITU-T
 * G.711), what arrives waits a moment in a small buffer against jitter and is played.
 */

const RATE = 8_000;
const FRAME = 160;
/** What is waited for before one begins to play, and more than what one lets wait. */
const BEGIN = 0.06 * RATE;
const MOST = 0.3 * RATE;
/** How often it is told how loud the other side is, in frames of the audio thread (128 samples). */
const TELL = 16;

const DECODED = Float32Array.from({ length: 256 }, (_, code) => {
  const turned = ~code & 0xff;
  const size = (((turned & 0x0f) << 3) + 0x84 << ((turned & 0x70) >> 4)) - 0x84;
  return (turned & 0x80 ? -size : size) / 32_768;
});

function encoded(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const size = Math.min(32_635, Math.abs(sample) * 32_768) + 0x84;
  const exponent = Math.max(0, Math.floor(Math.log2(size)) - 7);
  return ~(sign | exponent << 4 | size >> exponent + 3 & 0x0f) & 0xff;
}

class PhoneLine extends AudioWorkletProcessor {
  #frame = new Uint8Array(FRAME);
  #filled = 0;
  #sum = 0;
  #count = 0;
  #phase = 0;
  /** What waits to be played, at 8 kHz. */
  #waiting = [];
  #playing = false;
  #place = 0;
  #loud = 0;
  #turns = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      for (const code of new Uint8Array(data)) this.#waiting.push(DECODED[code]);
      if (this.#waiting.length > MOST) this.#waiting.splice(0, this.#waiting.length - BEGIN);
    };
  }

  process([[said]], [[heard]]) {
    if (said) this.#say(said);
    else this.#say(new Float32Array(heard.length));
    this.#hear(heard);
    this.#turns += 1;
    if (this.#turns % TELL === 0) {
      this.port.postMessage({ loud: this.#loud });
      this.#loud = 0;
    }
    return true;
  }

  /** Down to 8 kHz: every sample there is the mean of those that fall on it. */
  #say(samples) {
    for (const sample of samples) {
      this.#sum += sample;
      this.#count += 1;
      this.#phase += RATE;
      if (this.#phase < sampleRate) continue;
      this.#phase -= sampleRate;
      this.#frame[this.#filled++] = encoded(this.#sum / this.#count);
      this.#sum = this.#count = 0;
      if (this.#filled < FRAME) continue;
      this.port.postMessage({ frame: this.#frame.buffer }, [this.#frame.buffer]);
      this.#frame = new Uint8Array(FRAME);
      this.#filled = 0;
    }
  }

  /** Up from 8 kHz, on straight lines between the samples. */
  #hear(out) {
    if (!this.#playing && this.#waiting.length >= BEGIN) this.#playing = true;
    for (let n = 0; n < out.length; n += 1) {
      if (this.#playing && this.#waiting.length < 2) this.#playing = false;
      if (!this.#playing) {
        out[n] = 0;
        continue;
      }
      const [one, two] = this.#waiting;
      out[n] = one + (two - one) * this.#place;
      this.#loud = Math.max(this.#loud, Math.abs(out[n]));
      this.#place += RATE / sampleRate;
      if (this.#place >= 1) {
        this.#place -= 1;
        this.#waiting.shift();
      }
    }
  }
}

registerProcessor('phone-line', PhoneLine);

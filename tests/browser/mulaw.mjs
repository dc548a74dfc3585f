/** µ-law (ITU-T G.711) for the journeys: what telephones carry, and which tone it is. */

const RATE = 8_000;

/** The samples of a frame, 16 bits. */
export function decoded(frame) {
  return [...frame].map(code => {
    const turned = ~code & 0xff;
    const size = (((turned & 0x0f) << 3) + 0x84 << ((turned & 0x70) >> 4)) - 0x84;
    return turned & 0x80 ? -size : size;
  });
}

function encoded(sample) {
  const sign = sample < 0 ? 0x80 : 0;
  const size = Math.min(32_635, Math.abs(sample)) + 0x84;
  const exponent = Math.max(0, Math.floor(Math.log2(size)) - 7);
  return ~(sign | exponent << 4 | size >> exponent + 3 & 0x0f) & 0xff;
}

/** Frames of 20 ms with a tone. */
export function toneFrames(pitch, count) {
  return Array.from({ length: count }, (_, frame) => Uint8Array.from({ length: 160 }, (_, n) => encoded(Math.round(12_000 * Math.sin(2 * Math.PI * pitch * (frame * 160 + n) / RATE)))));
}

/** The strongest tone among samples, in Hz, and its share of the whole power. */
export function pitchOf(samples) {
  const power = pitch => {
    let [cos, sin] = [0, 0];
    samples.forEach((sample, n) => {
      cos += sample * Math.cos(2 * Math.PI * pitch * n / RATE);
      sin += sample * Math.sin(2 * Math.PI * pitch * n / RATE);
    });
    return 2 * (cos * cos + sin * sin) / samples.length;
  };
  let best = { pitch: 0, power: 0 };
  for (let pitch = 100; pitch < 3_500; pitch += 5) {
    const here = power(pitch);
    if (here > best.power) best = { pitch, power: here };
  }
  const whole = samples.reduce((sum, sample) => sum + sample * sample, 0);
  return { pitch: best.pitch, share: whole ? best.power / whole : 0 };
}

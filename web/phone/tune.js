/** A voice for an end of a call that has no microphone of its own: a small melody, another one for each end. */

/** Notes of a pentatonic scale as steps above the lowest, each for one beat; null is a rest. */
const TUNES = {
  alice: { lowest: 523.3, type: 'sine', beat: 0.26, notes: [0, 4, 7, 9, 12, null, 9, 7, 4, 7, 9, null, 4, 2, 0, null, null] },
  bob: { lowest: 220, type: 'triangle', beat: 0.34, notes: [0, 7, 4, 7, 9, 7, 12, null, 9, 7, 4, 2, 0, null, null, null] },
};
const AHEAD_S = 0.6;

/**
 * Begins to play `who`'s tune into a stream: `{ stream, stop() }`.
 * @param {string} who
 * @param {AudioContext | null} [given] the context it is to play in
 */
export function tune(who, given = null) {
  const context = given ?? new AudioContext();
  const { lowest, type, beat, notes } = TUNES[who] ?? TUNES.alice;
  const out = context.createMediaStreamDestination();
  let next = 0;
  let at = context.currentTime + 0.1;
  const play = () => {
    if (at < context.currentTime) at = context.currentTime + 0.05;
    while (at < context.currentTime + AHEAD_S) {
      const step = notes[next++ % notes.length];
      if (step !== null) sing(context, out, { type, height: lowest * 2 ** (step / 12), at, beat });
      at += beat;
    }
  };
  play();
  const timer = setInterval(play, AHEAD_S * 400);
  return {
    stream: out.stream,
    stop() {
      clearInterval(timer);
      for (const track of out.stream.getTracks()) track.stop();
      if (!given) context.close().catch(() => {});
    },
  };
}

function sing(context, out, { type, height, at, beat }) {
  const tone = context.createOscillator();
  const gain = context.createGain();
  tone.type = type;
  tone.frequency.value = height;
  gain.gain.setValueAtTime(0.0001, at);
  gain.gain.exponentialRampToValueAtTime(0.3, at + 0.02);
  gain.gain.exponentialRampToValueAtTime(0.0001, at + beat * 1.5);
  tone.connect(gain).connect(out);
  tone.start(at);
  tone.stop(at + beat * 1.6);
}

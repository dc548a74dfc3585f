/** The sound of ringing, and keys that answer a press. Made, not played from a file. */

const VOLUME = 0.16;
const ROUND_MS = 3_000;
/** Seconds into a round, and heights: a call and its echo. */
const NOTES = [[0, 659.3, 1], [0.18, 987.8, 1], [0.36, 1318.5, 0.9], [0.9, 987.8, 0.45], [1.08, 1318.5, 0.35]];
const KEYS = { 1: [697, 1209], 2: [697, 1336], 3: [697, 1477], 4: [770, 1209], 5: [770, 1336], 6: [770, 1477], 7: [852, 1209], 8: [852, 1336], 9: [852, 1477], '*': [941, 1209], 0: [941, 1336], '#': [941, 1477] };

let audio = null;

/** Whether this page may make a sound by itself. */
async function awake() {
  try {
    audio ??= new AudioContext();
    if (audio.state !== 'running') await Promise.race([audio.resume(), new Promise(done => setTimeout(done, 300))]);
    return audio.state === 'running';
  } catch {
    return false;
  }
}

function note(at, height, volume, seconds) {
  const tone = audio.createOscillator();
  const gain = audio.createGain();
  tone.type = 'triangle';
  tone.frequency.value = height;
  gain.gain.setValueAtTime(0.0001, at);
  gain.gain.exponentialRampToValueAtTime(volume, at + 0.015);
  gain.gain.exponentialRampToValueAtTime(0.0001, at + seconds);
  tone.connect(gain).connect(audio.destination);
  tone.start(at);
  tone.stop(at + seconds);
}

/** Rings until the answer is called; null where the page may not make a sound. */
export async function ring() {
  if (!await awake()) return null;
  const round = () => {
    for (const [at, height, share] of NOTES) note(audio.currentTime + at, height, VOLUME * share, 0.5);
    navigator.vibrate?.([300, 150, 300]);
  };
  round();
  const timer = setInterval(round, ROUND_MS);
  return () => {
    clearInterval(timer);
    navigator.vibrate?.(0);
  };
}

/** What a key of a telephone sounds like (ITU-T Q.23), for whoever presses it. */
export async function press(digit) {
  if (await awake()) for (const height of KEYS[digit] ?? []) note(audio.currentTime, height, 0.05, 0.14);
}

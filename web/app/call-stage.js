/** Only in the guided demo, where one person has both ends of a call: whose mouth and ear the browser is, by turns. */
import { tune } from '/phone/tune.js';

/** Listens for whose turn it is; `line()` answers the line that is open. */
export function stage(line) {
  let turn = 'bob';
  let mouth = null;
  const follow = async open => {
    open.ear(turn === 'bob');
    if (turn === 'bob' ? !mouth : mouth) return;
    mouth = turn === 'bob' ? null : tune('bob');
    await open.voice(mouth ? mouth.stream : await navigator.mediaDevices.getUserMedia({ audio: true }));
  };
  const channel = new BroadcastChannel('meari:stage');
  channel.onmessage = ({ data }) => {
    if (!['alice', 'bob'].includes(data?.turn) || data.turn === turn) return;
    turn = data.turn;
    const open = line();
    if (open) follow(open).catch(() => {});
  };
  channel.postMessage({ ask: true });
  return {
    /** Where there is no microphone, the melody is better than no call. */
    voice: () => tune('bob').stream,
    join: open => {
      mouth?.stop();
      mouth = null;
      follow(open).catch(() => {});
    },
  };
}

/** The icons of calls: they come with the first module that shows one. */
import { addIcons } from './icons.js';

addIcons({
  hangup: ['M3 13.4c5-4.6 13-4.6 18 0l-1 3.4-4.3-.9-.4-2.5a11 11 0 0 0-6.6 0l-.4 2.5-4.3.9z'],
  mic: ['M12 14.5a3 3 0 0 0 3-3v-5a3 3 0 0 0-6 0v5a3 3 0 0 0 3 3z', 'M6 11.5a6 6 0 0 0 12 0M12 17.5V21'],
  nomic: ['M15 9V6.5a3 3 0 0 0-5.7-1.3M9 9v2.5a3 3 0 0 0 4.6 2.5M6 11.5a6 6 0 0 0 9.5 4.9M18 11.5c0 .8-.1 1.5-.4 2.2M12 17.5V21M4 4l16 16'],
  pause: ['M8.5 6v12M15.5 6v12'],
  play: ['M8 5.5v13l10-6.5z'],
  keypad: ['M6 6h.01M12 6h.01M18 6h.01M6 12h.01M12 12h.01M18 12h.01M6 18h.01M12 18h.01M18 18h.01'],
  record: ['M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16z', 'M12 14.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z'],
  fold: ['M5 15l7-7 7 7'],
  incoming: ['M17 7 7 17M7 9v8h8'],
  outgoing: ['M7 17 17 7M9 7h8v8'],
  bin: ['M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10 11v5M14 11v5'],
});

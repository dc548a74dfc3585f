/** Our icons, drawn on 24 × 24 in the colour of the text around them. Decoration only: the words stand beside them. */
import { svg } from './dom.js';

const PATHS = {
  chats: ['M4 5.5h16v11H9.5L5.5 20v-3.5H4z'],
  contacts: ['M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z', 'M2.5 20c.3-3.8 2.9-6 6.5-6s6.2 2.2 6.5 6', 'M16 4.3a3.5 3.5 0 0 1 0 6.4M17.5 14.3c2.4.7 3.8 2.7 4 5.7'],
  phone: ['M7.5 2.5h9a1 1 0 0 1 1 1v17a1 1 0 0 1-1 1h-9a1 1 0 0 1-1-1v-17a1 1 0 0 1 1-1z', 'M10.5 18.5h3'],
  settings: ['M4 7h9M17 7h3M4 17h3M11 17h9', 'M15 9.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4zM9 19.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4z'],
  search: ['M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13z', 'M15.5 15.5 20 20'],
  back: ['M14.5 5 8 12l6.5 7'],
  send: ['M4 12 20 4.5 14.5 20l-3-6.5z', 'M11.5 13.5 20 4.5'],
  plus: ['M12 5v14M5 12h14'],
  close: ['M6 6l12 12M18 6 6 18'],
  copy: ['M8.5 8.5h11v11h-11z', 'M15.5 8V4.5h-11v11H8'],
  down: ['M6 10l6 6 6-6'],
  more: ['M5 12h.01M12 12h.01M19 12h.01'],
  smile: ['M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z', 'M8.5 14.2c.8 1.3 2 2 3.5 2s2.7-.7 3.5-2M9 9.6v.2M15 9.6v.2'],
  sending: ['M12 12.5V8M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16z'],
  queued: ['M12 8v4.5l3 2', 'M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16z'],
  sent: ['M5 12.5l4.5 4.5L19 7'],
  delivered: ['M2.5 12.5 7 17l9-10', 'M11 15.5l1.8 1.5 8.7-10'],
  read: ['M2 12s3.6-6.5 10-6.5S22 12 22 12s-3.6 6.5-10 6.5S2 12 2 12z', 'M12 14.8a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6z'],
  failed: ['M12 7.5v6M12 16.8v.2', 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z'],
  unknown: ['M9.3 9.3a2.8 2.8 0 1 1 4 2.6c-.9.4-1.3 1-1.3 1.9M12 17v.2', 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z'],
  sms: ['M8 3h8a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zM11 18h2'],
  key: ['M15 13a4.5 4.5 0 1 0-4.3-3.2L3.5 17v3.5H7V18h2.5v-2.5L12.3 12.7c.8.2 1.7.3 2.7.3z', 'M16 8h.01'],
  check: ['M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z', 'M8 12.3l2.8 2.7L16 9.5'],
  block: ['M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z', 'M5.8 5.8l12.4 12.4'],
  call: ['M6.6 3.5 9.3 4l1.2 4-2 1.6a12 12 0 0 0 5.9 5.9l1.6-2 4 1.2.5 2.7c.1 1.4-1 2.6-2.4 2.6C10.3 19.8 4.2 13.7 4 5.9 4 4.5 5.2 3.4 6.6 3.5z'],
  missed: ['M4 7l8 7 8-8', 'M4 13V7h6'],
  reply: ['M10 5 4 10.5 10 16', 'M4.5 10.5H13a7 7 0 0 1 7 7V19'],
  attach: ['M20 11.5 12.2 19a5 5 0 0 1-7-7.2l8-7.7a3.4 3.4 0 0 1 4.8 4.8l-7.8 7.6a1.7 1.7 0 0 1-2.4-2.4l7-6.9'],
  download: ['M12 4v11M7 10.5l5 5 5-5M5 20h14'],
};

/** Icons that come later, with the code that shows them. */
export function addIcons(paths) {
  Object.assign(PATHS, paths);
}

/** The icon of that name. */
export function icon(name) {
  const paths = (PATHS[name] ?? []).map(d => svg('path', { d }));
  return svg('svg', { viewBox: '0 0 24 24', class: `icon icon-${name}`, 'aria-hidden': 'true', focusable: 'false' }, ...paths);
}

/** The mark of Meari: a voice and its echoes. */
export function mark() {
  return svg('svg', { viewBox: '0 0 48 48', class: 'mark', 'aria-hidden': 'true', focusable: 'false' },
    svg('rect', { x: 2, y: 2, width: 44, height: 44, rx: 13, class: 'mark-ground' }),
    svg('circle', { cx: 16, cy: 31, r: 4.5, class: 'mark-voice' }),
    svg('path', { d: 'M16 20.5A10.5 10.5 0 0 1 26.5 31', class: 'mark-echo' }),
    svg('path', { d: 'M16 12.5A18.5 18.5 0 0 1 34.5 31', class: 'mark-echo mark-echo-far' }));
}

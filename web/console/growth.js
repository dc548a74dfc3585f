/** What is held over time, how it goes on if it goes on so, and the ceiling that it meets. */
import { svg } from '../app/dom.js';
import { LEFT, WIDTH, along, chart, figure, scale, ticks, upright } from './chart.js';

/** Days ahead that are drawn: as many as are behind. */
const AHEAD = 30;

/** `days`: `[{ label, held }]`; `ceiling` numbers; `fullIn` days or null; `words`: `{ held, ahead, ceiling, first }`. */
export function growth({ title, days, ceiling, fullIn, labels, words }) {
  const held = days.at(-1)?.held ?? 0;
  const slope = fullIn ? (ceiling - held) / fullIn : 0;
  const marks = ticks(Math.max(ceiling, held) * 1.05);
  const y = scale(marks);
  const count = days.length + AHEAD;
  const x = index => LEFT + (WIDTH - LEFT) * ((index + 0.5) / count);
  const line = days.map(({ held: value }, index) => `${index ? 'L' : 'M'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join('');
  const area = `${line}L${x(days.length - 1).toFixed(1)} ${y(0)}L${x(0).toFixed(1)} ${y(0)}Z`;
  const end = Math.min(AHEAD, fullIn || AHEAD);
  const shapes = [...upright(marks, y),
    svg('path', { d: area, class: 'fill-held soft' }), svg('path', { d: line, class: 'line-held' }),
    svg('line', { x1: LEFT, x2: WIDTH, y1: y(ceiling), y2: y(ceiling), class: 'line-ceiling' }),
    svg('text', { x: WIDTH - 4, y: y(ceiling) - 5, class: 'tick strong', 'text-anchor': 'end' }, figure(ceiling)),
    svg('line', { x1: x(days.length - 1), y1: y(held), x2: x(days.length - 1 + end), y2: y(Math.min(ceiling, held + slope * end)), class: 'line-ahead' }),
    svg('circle', { cx: x(days.length - 1), cy: y(held), r: 4, class: 'fill-held' }),
    ...along([[x(0) + 20, labels.first], [x(days.length - 1), labels.now], [x(count - 1) - 24, labels.last]])];
  return chart({ title, shapes, legend: [['held', words.held], ['ahead', words.ahead], ['ceiling', words.ceiling]],
    rows: [[words.first, words.held], ...days.map(({ label, held: value }) => [label, value])] });
}

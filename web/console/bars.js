/** Bars over time, parts standing on each other. */
import { svg } from '../app/dom.js';
import { HEIGHT, BOTTOM, LEFT, WIDTH, along, chart, figure, scale, ticks, upright } from './chart.js';

/** Words below the axis at most; more would run into each other. */
const LABELS_MAX = WIDTH > 400 ? 8 : 4;

/**
 * `steps`: `[{ label, parts: { kind: count } }]`; `kinds`: `[[kind, words, colour?]]` from the bottom up; `least` is the finest
 * step of the axis, `show` writes a value.
 */
export function bars({ title, steps, kinds, first, least = 1, show = figure }) {
  const used = kinds.filter(([kind]) => steps.some(({ parts }) => parts[kind]));
  const sums = steps.map(({ parts }) => used.reduce((sum, [kind]) => sum + (parts[kind] ?? 0), 0));
  const marks = ticks(Math.max(...sums, least), least);
  const y = scale(marks);
  const wide = (WIDTH - LEFT) / steps.length;
  const gap = Math.min(3, wide * 0.2);
  const shapes = steps.flatMap(({ label, parts }, index) => {
    let below = 0;
    return used.filter(([kind]) => parts[kind]).map(([kind, words, colour = kind]) => {
      const from = below;
      below += parts[kind];
      const bar = svg('rect', { x: LEFT + index * wide + gap / 2, width: Math.max(1, wide - gap), y: y(below), height: Math.max(1, y(from) - y(below)), class: `fill-${colour}` });
      bar.append(svg('title', {}, `${label}: ${show(parts[kind])} ${words}`));
      return bar;
    });
  });
  const every = Math.ceil(steps.length / LABELS_MAX);
  const labels = steps.map(({ label }, index) => [LEFT + (index + 0.5) * wide, label]).filter((_, index) => index % every === Math.floor(every / 2));
  return chart({ title, legend: used.map(([kind, words, colour = kind]) => [colour, words]), shapes: [...upright(marks, y, least < 1 ? figure : show), ...shapes, svg('line', { x1: LEFT, x2: WIDTH, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM, class: 'axis' }), ...along(labels)],
    rows: [[first, ...used.map(([, words]) => words)], ...steps.map(({ label, parts }) => [label, ...used.map(([kind]) => show(parts[kind] ?? 0))])] });
}

/** Which rows of a long conversation are on the page: those around what is seen. The others are space of their size. */

/** Fewer rows than that are all there. */
const ALL_UP_TO = 160;
/** Pixels above and below what is seen. */
const AROUND_PX = 1_600;
/** What a row is taken for until it has been measured. */
const GUESS_PX = 58;

export class ThreadWindow {
  #heights = new Map();
  #from = 0;
  #to = 0;
  #count = 0;
  #above = 0;
  #below = 0;

  /**
   * The part of `rows` to show: `{ from, to, above, below }`, the spaces in pixels. `atEnd`: the end is looked at;
   * `anchor`: the key of the row at the top of what is seen, which counts more than `top` when rows have come in above.
   */
  choose(rows, { top, height, atEnd, anchor }) {
    this.#count = rows.length;
    if (rows.length <= ALL_UP_TO) return this.#keep(0, rows.length, 0, 0);
    const sizes = rows.map(({ key }) => this.#heights.get(key) ?? GUESS_PX);
    const total = sizes.reduce((sum, size) => sum + size, 0);
    const held = anchor === undefined ? -1 : rows.findIndex(({ key }) => key === anchor);
    const seen = held < 0 ? top : sizes.slice(0, held).reduce((sum, size) => sum + size, 0);
    const begin = (atEnd ? total - height : seen) - AROUND_PX;
    const end = begin + height + 2 * AROUND_PX;
    let from = 0;
    let above = 0;
    while (from < rows.length - 1 && above + sizes[from] < begin) above += sizes[from++];
    let to = from;
    let reached = above;
    while (to < rows.length && reached < end) reached += sizes[to++];
    return this.#keep(from, to, above, Math.max(0, total - reached));
  }

  #keep(from, to, above, below) {
    [this.#from, this.#to, this.#above, this.#below] = [from, to, above, below];
    return { from, to, above, below };
  }

  /** Whether what is seen comes near an end of what is there. */
  isTight({ top, height, whole }) {
    const margin = AROUND_PX / 3;
    return (this.#from > 0 && top - this.#above < margin) || (this.#to < this.#count && whole - this.#below - (top + height) < margin);
  }

  /** Remembers the heights of the rows that are there: `[key, px]`. */
  measured(heights) {
    for (const [key, height] of heights) this.#heights.set(key, height);
  }

  /** The width has changed: nothing is as high as it was. */
  forget() {
    this.#heights.clear();
  }
}

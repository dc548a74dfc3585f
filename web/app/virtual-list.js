/** A long list of which only what is seen is there: rows of known heights between two spacers. */
import { keyed, onceAFrame } from './dom.js';

/** So many pixels above and below what is seen are there too, so that tabbing and fast scrolling meet rows. */
const AROUND_PX = 600;

export class VirtualList {
  #scroller;
  #list;
  #items = [];
  #ends = [];
  #options;
  #draw = onceAFrame(() => this.#show());

  /**
   * `scroller` scrolls, `list` inside of it takes the rows. `options`: `{ key(item), height(item), create(item),
   * update(node, item) }`.
   */
  constructor(scroller, list, options) {
    this.#scroller = scroller;
    this.#list = list;
    this.#options = options;
    scroller.addEventListener('scroll', this.#draw, { passive: true });
    new ResizeObserver(this.#draw).observe(scroller);
    // The focus does not fall off the page with the row that had it.
    list.addEventListener('focusout', this.#draw);
  }

  /** Follows these items. */
  set items(items) {
    this.#items = items;
    let sum = 0;
    this.#ends = items.map(item => (sum += this.#options.height(item)));
    this.#show();
  }

  /** All items, seen or not. */
  get items() {
    return this.#items;
  }

  /** Scrolls until an item is there, and answers its node. */
  reveal(index) {
    const top = index ? this.#ends[index - 1] : 0;
    const { scrollTop, clientHeight } = this.#scroller;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (this.#ends[index] > scrollTop + clientHeight) this.#scroller.scrollTop = this.#ends[index] - clientHeight;
    this.#show();
    return this.#list.keyedChildren?.get(this.#options.key(this.#items[index])) ?? null;
  }

  #show() {
    const { key, create, update } = this.#options;
    const top = this.#scroller.scrollTop - this.#list.offsetTop + this.#scroller.offsetTop;
    let from = first(this.#ends, top - AROUND_PX);
    let to = Math.min(this.#items.length, first(this.#ends, top + this.#scroller.clientHeight + AROUND_PX) + 1);
    const focused = this.#focused();
    if (focused >= 0 && focused < from && from - focused < 200) from = focused;
    if (focused >= to && focused - to < 200) to = focused + 1;
    const total = this.#ends.at(-1) ?? 0;
    this.#list.style.paddingBlockStart = `${from ? this.#ends[from - 1] : 0}px`;
    this.#list.style.paddingBlockEnd = `${total - (to ? this.#ends[to - 1] : 0)}px`;
    const shown = this.#items.slice(from, to);
    keyed(this.#list, shown, key, create, (node, item) => {
      update(node, item);
      const place = this.#items.indexOf(item, from) + 1;
      if (node.getAttribute('aria-posinset') !== String(place)) node.setAttribute('aria-posinset', String(place));
      if (node.getAttribute('aria-setsize') !== String(this.#items.length)) node.setAttribute('aria-setsize', String(this.#items.length));
    });
  }

  #focused() {
    const active = document.activeElement;
    if (!this.#list.contains(active)) return -1;
    for (const [key, node] of this.#list.keyedChildren ?? []) if (node.contains(active)) return this.#items.findIndex(item => this.#options.key(item) === key);
    return -1;
  }
}

/** The first index whose end lies beyond `at`. */
function first(ends, at) {
  let low = 0;
  let high = ends.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > at) high = middle;
    else low = middle + 1;
  }
  return low;
}

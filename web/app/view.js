/** The base of what one sees: an element that watches the state while it is on the page. */
import { watch } from './store.js';

export class View extends HTMLElement {
  #ends = [];

  /**
   * Watches the state; ends when the element leaves the page.
   * @template T
   * @param {(state: State) => T} select
   * @param {(value: T) => void} fn
   */
  watch(select, fn) {
    this.#ends.push(watch(select, fn));
  }

  /** Listens on something outside of the element; ends when the element leaves the page. */
  listen(target, type, fn, options) {
    target.addEventListener(type, fn, options);
    this.#ends.push(() => target.removeEventListener(type, fn, options));
  }

  /** Runs `fn` when the element leaves the page. */
  atEnd(fn) {
    this.#ends.push(fn);
  }

  disconnectedCallback() {
    for (const end of this.#ends) end();
    this.#ends = [];
  }
}

/** Builds and updates elements. Data becomes text nodes and attributes only, never markup. */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Makes an element: `el('button', { class: 'quiet', onclick: fn, disabled: false }, 'Text', child)`.
 * Properties: `on…` are listeners, `class`, `dataset`, booleans toggle attributes, `null`/`undefined` are skipped.
 * @param {string} tag
 * @returns {any}
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  apply(node, properties);
  node.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets properties on an element that exists, by the rules of {@link el}. */
export function apply(node, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.className = value;
    else if (name === 'dataset') Object.assign(node.dataset, value);
    else if (name === 'value') node.value = value;
    else if (typeof value === 'boolean' && !name.startsWith('aria-')) node.toggleAttribute(name, value);
    else node.setAttribute(name, String(value));
  }
  return node;
}

/** An SVG element with attributes. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** Replaces the children of a node; what is not there is left out. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
}

/** Writes text only when it changed, so that selections and live regions are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes the children of `parent` follow `items`: known keys are updated and moved only when they have to be, new ones
 * created, the rest removed. Focus and selection inside an untouched child survive.
 */
export function keyed(parent, items, keyOf, create, update) {
  const known = parent.keyedChildren ?? (parent.keyedChildren = new Map());
  const wanted = new Set();
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    wanted.add(key);
    let child = known.get(key);
    if (!child) {
      child = create(item);
      known.set(key, child);
    }
    update(child, item);
    if (child === place) place = place.nextSibling;
    else parent.insertBefore(child, place);
  }
  for (const [key, child] of known) {
    if (wanted.has(key)) continue;
    child.remove();
    known.delete(key);
  }
}

/** Runs `fn` at most once for each animation frame, however often it is asked. */
export function onceAFrame(fn) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      fn();
    });
  };
}

let serial = 0;

/** A fresh id for `for`, `aria-labelledby` and their kin. */
export function freshId(prefix) {
  serial += 1;
  return `${prefix}-${serial}`;
}

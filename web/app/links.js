/** Finds web addresses in a text and makes them links, built from text nodes: nothing in a message is ever markup. */
import { el } from './dom.js';

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`\u3000-\u303f]+/giu;

/** The text as nodes, addresses clickable. Only http and https; the other page learns nothing about us. */
export function linked(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = trimmed(match[0]);
    if (!URL.canParse(address)) continue;
    nodes.push(text.slice(from, match.index));
    nodes.push(el('a', { href: address, target: '_blank', rel: 'noopener noreferrer nofollow' }, address));
    from = match.index + address.length;
  }
  nodes.push(text.slice(from));
  return nodes.filter(node => node !== '');
}

/** A full stop or a bracket after an address belongs to the sentence, unless the address opened the bracket itself. */
function trimmed(address) {
  let end = address.length;
  for (;;) {
    const last = address[end - 1];
    const opened = last === ')' && address.slice(0, end).split('(').length >= address.slice(0, end).split(')').length;
    if (!/[.,;:!?)\]}…]/.test(last) || opened) return address.slice(0, end);
    end -= 1;
  }
}

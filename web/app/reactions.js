/** Emoji on a message: what the two have put there, and a few to choose from. A telephone gets them as a text. */
import { api } from './api.js';
import { el, fill } from './dom.js';
import { t } from './i18n.js';
import { attempt, button } from './parts.js';
import { mergeMessages } from './store.js';

/** The six that telephones have among themselves, and one more. */
const CHOICE = ['❤️', '👍', '👎', '😂', '‼️', '❓', '🎉'];

/** Brings the reactions of a message up to date, and the ways to react: an emoji, or an answer. Only what the server has can be reacted to. */
export function showReactions(row, message, newest, answer) {
  const [node, slot] = [row.querySelector('.reactions'), row.querySelector('.react-slot')];
  const sign = JSON.stringify([message.id, message.reactions, newest, Boolean(answer)]);
  if (node.sign === sign) return;
  node.sign = sign;
  if (!message.id) {
    fill(node);
    fill(slot);
    return;
  }
  const given = message.reactions ?? [];
  // One stop for the tabulator in a whole thread; the arrows lead on from there.
  const open = button(t('reaction.add'), { glyph: 'smile', bare: true, kind: 'react', tabindex: newest ? '0' : '-1', 'aria-expanded': 'false', onclick: () => choose(node, message, open) });
  const reply = answer ? button(t('reply.reply'), { glyph: 'reply', bare: true, kind: 'react', tabindex: '-1', onclick: () => answer(message) }) : null;
  for (const node of [open, reply]) node?.addEventListener('keydown', event => step(event, node));
  fill(node, group(given).map(({ emoji, count, mine }) => el('button', {
    type: 'button', class: `reaction${mine ? ' own' : ''}`, 'aria-pressed': String(mine), title: t(mine ? 'reaction.own' : 'reaction.theirs', { emoji }),
    onclick: () => put(message, mine ? null : emoji) }, emoji, count > 1 ? el('span', {}, String(count)) : null)));
  fill(slot, open, reply);
}

function group(reactions) {
  const all = new Map();
  for (const { emoji, mine } of reactions) {
    const known = all.get(emoji) ?? { emoji, count: 0, mine: false };
    all.set(emoji, { emoji, count: known.count + 1, mine: known.mine || mine });
  }
  return [...all.values()];
}

function choose(node, message, open) {
  const close = () => {
    menu.remove();
    open.setAttribute('aria-expanded', 'false');
    open.focus();
  };
  if (node.querySelector('.reaction-menu')) {
    node.querySelector('.reaction-menu').remove();
    open.setAttribute('aria-expanded', 'false');
    return;
  }
  const menu = el('div', { class: 'reaction-menu', role: 'group', 'aria-label': t('reaction.add') }, CHOICE.map(emoji => el('button', {
    type: 'button', class: 'reaction-choice', 'aria-label': t('reaction.give', { emoji }), onclick: () => {
      close();
      put(message, emoji);
    } }, emoji)));
  menu.addEventListener('keydown', event => {
    const choices = [...menu.children];
    const at = choices.indexOf(document.activeElement);
    if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key === 'ArrowRight') choices[(at + 1) % choices.length].focus();
    else if (event.key === 'ArrowLeft') choices[(at - 1 + choices.length) % choices.length].focus();
  });
  node.append(menu);
  open.setAttribute('aria-expanded', 'true');
  menu.firstChild.focus();
}

/** Up and down lead to the message before and after, left and right from the emoji to the answer. */
function step(event, from) {
  const by = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: 0, ArrowRight: 0 }[event.key];
  if (by === undefined) return;
  const place = [...from.parentNode.children].indexOf(from);
  const all = [...from.closest('.log-inner').querySelectorAll('.react-slot:has(.react)')];
  const slot = all[all.indexOf(from.parentNode) + by];
  const next = by ? slot?.children[place] ?? slot?.firstChild : slot.children[1 - place];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function put(message, emoji) {
  const path = `/v1/messages/${encodeURIComponent(message.id)}/reaction`;
  attempt(async () => {
    const seen = emoji ? await api.put(path, { emoji }) : await api.delete(path);
    mergeMessages(message.conversation_id, [seen]);
  });
}

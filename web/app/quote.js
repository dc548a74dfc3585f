/** What a message answers: a line above its words, and above the place where an answer is written. Answering by touch. */
import { el, fill } from './dom.js';
import { t } from './i18n.js';
import { nameOf } from './parts.js';

/** As far as a finger moves a message until it is answered. */
const SWIPE_PX = 56;

/** A message in short, as the server has it in `reply_to`. */
export function quoteOf({ id, sender, mine, kind, text, media = [] }) {
  return { id, sender, mine, kind: kind === 'text' && !text && media.length ? 'media' : kind, text: text.replace(/\s+/g, ' ').slice(0, 140) };
}

/** Who said it, and its beginning. */
export function quoteParts(quote, contact) {
  const words = { media: t('message.media'), voicemail: t('call.voicemail'), call: t('call.call') }[quote.kind] ?? quote.text;
  return [el('strong', {}, quote.mine ? t('thread.you') : nameOf(contact)), el('span', { dir: 'auto' }, words)];
}

/** Brings the line above a message's words up to date; a press leads to what is quoted. */
export function showQuote(node, { reply_to: quote }, contact, jump) {
  const sign = quote ? `${quote.id}|${nameOf(contact)}` : '';
  if ((node.dataset.sign ?? '') === sign) return;
  node.dataset.sign = sign;
  node.hidden = !quote;
  node.onclick = () => jump(quote.id);
  fill(node, quote ? [el('span', { class: 'unseen' }, `${t('reply.to')} `), ...quoteParts(quote, contact)] : []);
}

/** A finger that draws a message to the side answers it. `answer(id)` is called with the message's id. */
export function swipeToAnswer(log, answer) {
  let begun = null;
  const end = () => {
    begun?.row.style.removeProperty('translate');
    begun = null;
  };
  log.addEventListener('touchstart', ({ touches, target }) => {
    const row = touches.length === 1 ? target.closest('.row[data-message]') : null;
    begun = row?.dataset.message ? { row, x: touches[0].clientX, y: touches[0].clientY, by: 0 } : null;
  }, { passive: true });
  log.addEventListener('touchmove', ({ touches }) => {
    if (!begun) return;
    begun.by = touches[0].clientX - begun.x;
    if (Math.abs(touches[0].clientY - begun.y) > Math.max(24, Math.abs(begun.by))) end();
    else begun.row.style.translate = `${Math.max(-1.3 * SWIPE_PX, Math.min(1.3 * SWIPE_PX, begun.by))}px`;
  }, { passive: true });
  log.addEventListener('touchend', () => {
    const swiped = begun && Math.abs(begun.by) >= SWIPE_PX ? begun.row.dataset.message : null;
    end();
    if (swiped) answer(swiped);
  }, { passive: true });
  log.addEventListener('touchcancel', end, { passive: true });
}

/** Counts SMS segments the way the network will: GSM 03.38 with extensions, otherwise UCS-2 (3GPP TS 23.038, 23.040). */

const BASIC = new Set('@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§'
  + '¿abcdefghijklmnopqrstuvwxyzäöñüà');
const EXTENDED = new Set('\f^{}\\[~]|€');

/** `{ segments, left, unicode }`: how many segments the text takes and how many units fit into the last one. */
export function countSegments(text) {
  let units = 0;
  let unicode = false;
  for (const char of text) {
    if (BASIC.has(char)) units += 1;
    else if (EXTENDED.has(char)) units += 2;
    else {
      unicode = true;
      break;
    }
  }
  if (unicode) units = text.length;
  const [single, several] = unicode ? [70, 67] : [160, 153];
  if (units === 0) return { segments: 0, left: single, unicode };
  if (units <= single) return { segments: 1, left: single - units, unicode };
  const segments = fill(text, several, unicode);
  return { segments: segments.count, left: several - segments.used, unicode };
}

/** A character of two units is never cut in half, so a segment may stay one unit short. */
function fill(text, size, unicode) {
  let count = 1;
  let used = 0;
  for (const char of text) {
    const width = unicode ? char.length : EXTENDED.has(char) ? 2 : 1;
    if (used + width > size) {
      count += 1;
      used = 0;
    }
    used += width;
  }
  return { count, used };
}

/** Contacts as a vCard 3.0 file (RFC 2426), for phones and programs that cannot fetch them. Pure. */

const LINE_OCTETS = 75;
const utf8 = new TextEncoder();

/** One text with a card for each contact. */
export function cards(contacts) {
  return contacts.map(card).join('');
}

function card({ display_name: name, number, address }) {
  return [
    'BEGIN:VCARD', 'VERSION:3.0', `FN:${escaped(name)}`, `N:;${escaped(name)};;;`, `TEL;TYPE=CELL:${number}`,
    `IMPP;X-SERVICE-TYPE=Meari:${escaped(address)}`, 'CATEGORIES:Meari', 'END:VCARD',
  ].map(folded).join('');
}

function escaped(text) {
  return text.replace(/[\\;,]/g, '\\$&').replace(/\r?\n|\r/g, '\\n');
}

/** Long lines go on after a line break and a space; a character is never cut. */
function folded(line) {
  let result = '';
  let width = 0;
  for (const char of line) {
    const octets = utf8.encode(char).length;
    if (width + octets > LINE_OCTETS) {
      result += '\r\n ';
      width = 1;
    }
    result += char;
    width += octets;
  }
  return `${result}\r\n`;
}

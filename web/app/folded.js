/** Text for comparing: without case, width and accents, so that a search forgives. Long lists fold each thing once. */

const known = new WeakMap();
let collator = null;

/** A text folded. */
export function fold(text) {
  return (text ?? '').normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase().trim();
}

/** What a contact is found by, folded; remembered as long as the contact is the same. */
export function foldedContact(contact) {
  if (!known.has(contact)) known.set(contact, [contact.display_name, contact.address, contact.number].map(fold).join('\n'));
  return known.get(contact);
}

/** Compares names the way the reader's language orders them. */
export function compareNames(a, b) {
  collator ??= new Intl.Collator(document.documentElement.lang);
  return collator.compare(a, b);
}

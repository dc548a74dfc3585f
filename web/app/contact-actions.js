/** What one can do with contacts. The answers go into the state at once; the events that follow say the same. */
import { api } from './api.js';
import { refreshConversations } from './session.js';
import { drop, now, put } from './store.js';

const address = id => `/v1/contacts/${encodeURIComponent(id)}`;

function keepAnswer(contact) {
  if (contact?.id) put('contacts', [{ ...now().contacts[contact.id], ...contact }]);
  return contact;
}

/** Accept, block or unblock. */
export async function actOn(id, verb) {
  const contact = keepAnswer(await api.post(`${address(id)}/${verb}`));
  if (verb === 'accept') refreshConversations();
  return contact;
}

/** Asks somebody to be a contact. */
export async function addContact(details) {
  return keepAnswer(await api.post('/v1/contacts', details));
}

/** Gives a contact the name one knows them by. */
export async function renameContact(id, displayName) {
  return keepAnswer(await api.patch(address(id), { display_name: displayName }));
}

/** Declines a request, takes back one's own, or removes a contact. */
export async function removeContact(id) {
  await api.delete(address(id));
  drop('contacts', id);
}

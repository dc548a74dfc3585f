// tsdav, a CardDAV client that speaks the protocol by itself: discovery, both books, changes and deletions with ETags,
// collections that are followed by sync-collection, queries and multiget.
//
// usage: node tsdav_peer.mjs --base-url http://127.0.0.1:8080 --user alice --password xxxxx-xxxxx
// Needs the packages of tests/browser. Leaves the personal book as it found it. Exit code 0 when everything agreed.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';

const require = createRequire(new URL('../browser/package.json', import.meta.url));
const { createDAVClient } = require('tsdav');

const { values: args } = parseArgs({
  options: { 'base-url': { type: 'string' }, user: { type: 'string' }, password: { type: 'string' } },
});

const card = (uid, name) =>
  `BEGIN:VCARD\r\nVERSION:3.0\r\nUID:${uid}\r\nFN:${name}\r\nN:${name};;;;\r\nTEL;TYPE=CELL:+12025550188\r\nEND:VCARD\r\n`;

const client = await createDAVClient({
  serverUrl: args['base-url'],
  credentials: { username: args.user, password: args.password },
  authMethod: 'Basic',
  defaultAccountType: 'carddav',
});

const books = await client.fetchAddressBooks();
const personal = books.find((book) => book.url.endsWith('/personal/'));
const messenger = books.find((book) => book.url.endsWith('/messenger/'));
assert.ok(personal && messenger, 'both books are found from the host alone');
assert.ok(personal.syncToken && personal.ctag && personal.displayName, 'a book has a name, a token and a CTag');

const friends = await client.fetchVCards({ addressBook: messenger });
assert.ok(friends.length >= 1, 'a friend is in the book');
assert.match(friends[0].data, /\nTEL[^\n]*\+1202555/, 'the friend has a number');

const before = (await client.fetchVCards({ addressBook: personal })).length;
const followed = {
  ...personal,
  objects: await client.fetchVCards({ addressBook: personal }),
  objectMultiGet: client.addressBookMultiGet,
};
const made = await client.createVCard({
  addressBook: personal, filename: 'tsdav-1.vcf', vCardString: card('tsdav-1', 'Tess'),
});
assert.equal(made.status, 201, await made.text());
const again = await client.createVCard({
  addressBook: personal, filename: 'tsdav-1.vcf', vCardString: card('tsdav-1', 'Tess'),
});
assert.equal(again.status, 412, 'what is there is not made anew');

const delta = await client.smartCollectionSync({ collection: followed, method: 'webdav', detailedResult: true });
const created = delta.objects.created ?? [];
assert.deepEqual(created.map((c) => new URL(c.url).pathname.split('/').pop()), ['tsdav-1.vcf']);
assert.ok(created[0].data.includes('FN:Tess'));

const [found] = await client.fetchVCards({ addressBook: personal, objectUrls: [created[0].url] });
assert.equal(found.data.trim(), card('tsdav-1', 'Tess').trim(), 'what was sent comes back');
const changed = await client.updateVCard({ vCard: { ...found, data: card('tsdav-1', 'Theresa') } });
assert.equal(changed.status, 204);
const stale = await client.updateVCard({ vCard: { ...found, data: card('tsdav-1', 'Nobody') } });
assert.equal(stale.status, 412, 'an old tag does not overwrite');

const [now] = await client.fetchVCards({ addressBook: personal, objectUrls: [created[0].url] });
assert.ok(now.data.includes('FN:Theresa'));
const gone = await client.deleteVCard({ vCard: now });
assert.equal(gone.status, 204);
assert.equal((await client.fetchVCards({ addressBook: personal })).length, before);
const dirty = await client.isCollectionDirty({ collection: personal });
assert.equal(dirty.isDirty, true, 'the CTag has changed since');
console.log('tsdav: all agreed');

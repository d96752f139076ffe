// App state both ways: what the gateway changes by REST appears on a Baileys
// companion of the same account, which verifies every MAC; what that companion
// changes appears in the gateway's store and as an event (issue 3).

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { encodeWAMessage, generateMessageIDV2 } from '@whiskeysockets/baileys';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, other, anna;
const seen = { chats: [], contacts: [], messages: [], deleted: [] };

const pn = phone => `${phone}@s.whatsapp.net`;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  anna = new Client(sandbox, 'Anna');
  await anna.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
  other = new Client(sandbox, 'Gate', { appStateMacVerification: { patch: true, snapshot: true } });
  await other.pairByQr(sandbox, { phone: me.phone });
  const note = (name, list) => other.sock.ev.on(name, u => {
    seen[list].push(...(Array.isArray(u) ? u : [u]));
    other.emit('change');
  });
  note('chats.update', 'chats');
  note('chats.upsert', 'chats');
  note('contacts.upsert', 'contacts');
  note('messages.update', 'messages');
  note('chats.delete', 'deleted');
  note('messages.delete', 'deleted');
});
after(async () => {
  for (const c of [anna, other]) await c?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const chat = () => gw.ok('GET', `/api/chats/${me.id}/${anna.phone}`);
const call = (what, body = {}) => gw.ok('POST', `/api/chats/${me.id}/${anna.phone}/${what}`, body);
const companion = (fits, what) => other.until(() => seen.chats.find(c => c.id === pn(anna.phone) && fits(c)), what);
// a webhook that comes after a point
const later = (name, fits, from) => gw.until(() => gw.events.slice(from).find(e => e.event === name && fits(e.data)), `event ${name}`);

let hello;

test('keys of the phone arrive, the collections are fetched, the push name with them', async () => {
  hello = await anna.send(pn(me.phone), 'hello');
  await gw.event('message.received', d => d.messageId === hello.key.id);
  await other.message('hello');
  const [fetch] = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'iq', xmlns: 'w:sync:app:state' });
  assert.ok(fetch);
  const info = await gw.ok('GET', `/api/instance/${me.id}/info`);
  assert.equal(info.pushName, 'Gate');
});

test('archive and unarchive from the gateway', async () => {
  const r = await gw.call('POST', `/api/chats/${me.id}/${anna.phone}/archive`);
  assert.equal(r.status, 200, JSON.stringify(r.body));
  assert.equal(r.body.message, 'Chat archived successfully');
  await companion(c => c.archived === true, 'archived');
  await gw.event('chat.archive', d => d.chatId === pn(anna.phone) && d.archived === true);
  assert.equal((await chat()).archived, true);
  await call('unarchive');
  await companion(c => c.archived === false, 'unarchived');
  assert.equal((await chat()).archived, false);
});

test('pin, mute, unread and star from the gateway', async () => {
  await call('pin');
  await companion(c => c.pinned > 0, 'pinned');
  assert.equal((await chat()).pinned, true);
  await call('unpin');
  await companion(c => c.pinned === null, 'unpinned');

  const { mutedUntil } = await call('mute', { duration: 3600 });
  await companion(c => Number(c.muteEndTime) === Date.parse(mutedUntil), 'muted');
  assert.equal((await chat()).mutedUntil, mutedUntil);
  await call('unmute');
  await companion(c => c.muteEndTime === null, 'unmuted');
  assert.equal((await chat()).mutedUntil, null);

  await call('unread');
  await companion(c => c.unreadCount === -1, 'unread');
  assert.equal((await chat()).unreadCount, 1);
  await call('read');
  await companion(c => c.unreadCount === 0, 'read');
  assert.equal((await chat()).unreadCount, 0);

  const r = await gw.call('PUT', '/api/message/star', { instanceId: me.id, chatId: anna.phone, messageId: hello.key.id });
  assert.equal(r.status, 200, JSON.stringify(r.body));
  assert.equal(r.body.message, 'Message starred successfully');
  await other.until(() => seen.messages.find(u => u.key.id === hello.key.id && u.update.starred === true), 'starred');
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/${hello.key.id}`)).isStarred, true);
  assert.equal((await gw.call('PUT', '/api/message/star', { instanceId: me.id, chatId: anna.phone, messageId: 'NOSUCH' })).status, 404);
});

test('contact and own name from the gateway', async () => {
  const c = await gw.ok('PUT', `/api/contacts/${me.id}/update`, { phone: anna.phone, firstName: 'Anna', fullName: 'Anna Ångström' });
  assert.equal(c.jid, pn(anna.phone));
  await other.until(() => seen.contacts.find(x => x.id === pn(anna.phone) && x.name === 'Anna Ångström'), 'contact');
  assert.equal((await chat()).name, 'Anna Ångström');
  assert.equal((await gw.ok('GET', `/api/contacts/${me.id}?phoneNumber=${anna.phone}`)).name, 'Anna Ångström');

  await gw.ok('PUT', `/api/profile/${me.id}/name`, { name: 'Gate Two ✓' });
  await other.until(() => other.auth.creds.me.name === 'Gate Two ✓', 'name');
  assert.equal((await gw.ok('GET', `/api/instance/${me.id}/info`)).pushName, 'Gate Two ✓');
  const m = await gw.send(me.id, anna.phone, 'with the new name');
  const got = await anna.message('with the new name');
  assert.equal(got.key.id, m.messageId);
  assert.equal(got.pushName, 'Gate Two ✓');
});

test('a companion archives, pins, mutes, reads and renames: store and events', async () => {
  const jid = pn(anna.phone);
  const last = [{ key: hello.key, messageTimestamp: Number(hello.messageTimestamp) + 60 }];
  let from = gw.events.length;
  await other.sock.chatModify({ archive: true, lastMessages: last }, jid);
  assert.equal((await later('chat.archive', d => d.archived === true, from)).data.chatId, jid);
  assert.equal((await chat()).archived, true);
  await other.sock.chatModify({ archive: false, lastMessages: last }, jid);
  await later('chat.archive', d => d.archived === false, from);

  from = gw.events.length;
  await other.sock.chatModify({ pin: true }, jid);
  await later('chat.update', d => d.changes.pinned === true, from);
  assert.equal((await chat()).pinned, true);
  await other.sock.chatModify({ pin: false }, jid);
  await later('chat.update', d => d.changes.pinned === false, from);

  from = gw.events.length;
  const until = Date.now() + 8 * 3600 * 1000;
  await other.sock.chatModify({ mute: until }, jid);
  const muted = await later('chat.update', d => d.changes.mutedUntil, from);
  assert.equal(Date.parse(muted.data.changes.mutedUntil), until);
  await other.sock.chatModify({ mute: null }, jid);
  await later('chat.update', d => d.changes.muted === false, from);

  from = gw.events.length;
  await other.sock.chatModify({ markRead: false, lastMessages: last }, jid);
  await later('chat.update', d => d.changes.unreadCount === 1, from);
  assert.equal((await chat()).unreadCount, 1);
  await other.sock.chatModify({ markRead: true, lastMessages: last }, jid);
  await later('chat.update', d => d.changes.unreadCount === 0, from);

  from = gw.events.length;
  await other.sock.addOrEditContact(jid, { fullName: 'Anna Three', firstName: 'Anna', saveOnPrimaryAddressbook: true });
  await later('contact.update', d => d.jid === jid && d.name === 'Anna Three', from);
  assert.equal((await chat()).name, 'Anna Three');

  await other.sock.updateProfileName('Gate Three');
  for (const end = Date.now() + 20000; ; ) {
    const info = await gw.ok('GET', `/api/instance/${me.id}/info`);
    if (info.pushName === 'Gate Three') break;
    assert.ok(Date.now() < end, `the name is still ${info.pushName}`);
  }
});

test('two gateways of one account write at once: conflicts are settled and nothing is lost', async () => {
  const { id } = await gw.create('Gate');
  const { raw } = await gw.ok('GET', `/api/instance/${id}/qr`);
  await sandbox.text('POST', `/mock-phone/scan-qr?name=Gate&phone=${me.phone}`, raw);
  await gw.connected(id);
  // it knows what was written before it was linked
  await gw.call('GET', `/api/contacts/${id}/all`);
  const numbers = Array.from({ length: 6 }, (_, i) => `49151100000${i}`);
  const writes = numbers.flatMap(p => [
    gw.ok('PUT', `/api/contacts/${me.id}/${p}`, { name: `first ${p}` }),
    gw.ok('PUT', `/api/contacts/${id}/${p}9`, { name: `second ${p}` }),
  ]);
  await Promise.all(writes);
  // the own ones are there with the answer, the others after their notification
  for (const instance of [me.id, id]) {
    for (const end = Date.now() + 20000; ; ) {
      const all = await gw.ok('GET', `/api/contacts/${instance}/all`);
      const missing = numbers.flatMap(p => [[p, `first ${p}`], [`${p}9`, `second ${p}`]])
        .filter(([p, name]) => all.find(c => c.jid === pn(p))?.name !== name);
      if (missing.length === 0) break;
      assert.ok(Date.now() < end, `${instance} misses ${JSON.stringify(missing)}`);
    }
  }
  for (const p of numbers) {
    await other.until(() => seen.contacts.find(x => x.id === pn(p) && x.name === `first ${p}`), `contact ${p}`);
  }
});

test('delete for me, clear and delete of a chat, both ways', async () => {
  const m1 = await anna.send(pn(me.phone), 'to be deleted by the gateway');
  const m2 = await anna.send(pn(me.phone), 'to be deleted by the companion');
  await gw.event('message.received', d => d.messageId === m2.key.id);
  await other.message('to be deleted by the companion');

  const d = await gw.ok('DELETE', `/api/chats/${me.id}/${anna.phone}/messages/${m1.key.id}?scope=me`);
  assert.deepEqual(d.deleted, { messageId: m1.key.id, count: 1 });
  await other.until(() => seen.deleted.find(x => x.keys?.some(k => k.id === m1.key.id)), 'deletion');
  assert.equal((await gw.call('GET', `/api/message/${me.id}/${m1.key.id}`)).status, 404);

  await other.sock.chatModify({ deleteForMe: { deleteMedia: true, key: { ...m2.key, fromMe: false, remoteJid: pn(anna.phone) },
    timestamp: Number(m2.messageTimestamp) } }, pn(anna.phone));
  await gw.event('chat.update', x => x.changes.deletedMessage === m2.key.id);
  assert.equal((await gw.call('GET', `/api/message/${me.id}/${m2.key.id}`)).status, 404);

  const { deleted } = await gw.ok('DELETE', `/api/chats/${me.id}/${anna.phone}/messages`);
  assert.ok(deleted > 0);
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${anna.phone}/messages`)).length, 0);

  const gone = await gw.ok('DELETE', `/api/chats/${me.id}/${anna.phone}`);
  assert.equal(gone.deleted.chat, pn(anna.phone));
  await other.until(() => seen.deleted.includes(pn(anna.phone)), 'deleted chat');
  assert.equal((await gw.call('GET', `/api/chats/${me.id}/${anna.phone}`)).status, 404);
  await gw.event('chat.delete', x => x.chatId === pn(anna.phone));

  // it begins anew with the next message
  const m3 = await anna.send(pn(me.phone), 'again');
  await gw.event('message.received', x => x.messageId === m3.key.id);
  assert.equal((await chat()).messageCount, 1);
});

// ---- the phone itself ----

const phoneState = async collection => (await sandbox.get('/app-state', { phone: me.phone, collection }));
const record = (state, ...index) => state.records.find(r => JSON.stringify(r.index) === JSON.stringify(index))?.value;
const phoneWrites = (collection, index, value, more = {}) =>
  sandbox.post('/mock-phone/app-state', { phone: me.phone, collection, index, value, ...more });

test('the phone reads what the gateway wrote, every MAC of it', async () => {
  await call('archive');
  const low = await phoneState('regular_low');
  assert.equal(low.verified, true);
  assert.equal(record(low, 'archive', pn(anna.phone)).archiveChatAction.archived, true);
  assert.equal(record(low, 'pin_v1', pn(anna.phone)).pinAction.pinned, false);
  const range = record(low, 'archive', pn(anna.phone)).archiveChatAction.messageRange;
  assert.equal(range.messages.length, 1);
  assert.equal(range.messages[0].key.remoteJid, pn(anna.phone));
  assert.ok(range.messages[0].timestamp);
  assert.equal(record(await phoneState('critical_block'), 'setting_pushName').pushNameSetting.name, 'Gate Three');
  await call('unarchive');
});

test('the phone changes things', async () => {
  let from = gw.events.length;
  await phoneWrites('regular_low', ['pin_v1', pn(anna.phone)], { pinAction: { pinned: true } }, { version: 5 });
  await later('chat.update', d => d.chatId === pn(anna.phone) && d.changes.pinned === true, from);
  await phoneWrites('critical_unblock_low', ['contact', '4915119999999@s.whatsapp.net'],
    { contactAction: { fullName: 'From the phone', lidJid: '19999999999999@lid' } }, { version: 2 });
  await gw.event('contact.update', d => d.name === 'From the phone' && d.lid === '19999999999999@lid');
  assert.equal((await gw.ok('GET', `/api/contacts/${me.id}/lids/19999999999999@lid`)).phoneNumber, '4915119999999');
  await phoneWrites('critical_unblock_low', ['contact', '4915119999999@s.whatsapp.net'], {}, { operation: 'REMOVE' });
  await gw.event('contact.update', d => d.jid === '4915119999999@s.whatsapp.net' && d.name === null);
  // what nobody knows yet is no error
  from = gw.events.length;
  await phoneWrites('regular_low', ['from_the_future', 'x', 'y'], { timeFormatAction: { isTwentyFourHourFormatEnabled: true } });
  await phoneWrites('regular_low', ['pin_v1', pn(anna.phone)], { pinAction: { pinned: false } }, { version: 5 });
  await later('chat.update', d => d.changes.pinned === false, from);
});

test('a key that was not shared is asked for, and then everything is read', async () => {
  const device = me.entry.jid;
  const { keyId } = await sandbox.post('/mock-phone/share-keys', { device, rotate: true, share: false });
  const from = gw.events.length;
  await phoneWrites('regular_low', ['pin_v1', pn(anna.phone)], { pinAction: { pinned: true } }, { version: 5 });
  await gw.until(() => gw.events.slice(from).find(e => e.instanceId === me.id && e.data.changes?.pinned === true), 'pinned');
  assert.equal((await chat()).pinned, true);
  assert.ok(keyId.$hex);
  // our own patches use the new key; what stood under the old one is moved
  await call('unpin');
  await gw.ok('PUT', `/api/contacts/${me.id}/update`, { phone: anna.phone, fullName: 'Under the new key' });
  const state = await phoneState('critical_unblock_low');
  assert.equal(state.verified, true);
  assert.equal(record(state, 'contact', pn(anna.phone)).contactAction.fullName, 'Under the new key');
  assert.equal(state.records.filter(r => r.index[1] === pn(anna.phone)).length, 1);
});

test('a gateway linked later begins with snapshots', async () => {
  await sandbox.post('/config', { appStateSnapshots: true });
  await call('mute', { duration: 3600 });
  const { id } = await gw.create('Gate');
  const { raw } = await gw.ok('GET', `/api/instance/${id}/qr`);
  const entry = JSON.parse(await sandbox.text('POST', `/mock-phone/scan-qr?name=Gate&phone=${me.phone}`, raw));
  await gw.connected(id);
  for (const end = Date.now() + 20000; ; ) {
    const all = await gw.ok('GET', `/api/contacts/${id}/all`);
    const list = await gw.ok('GET', `/api/chats/${id}?archived=false`);
    if (all.find(c => c.jid === pn(anna.phone))?.name === 'Under the new key' &&
      list.some(c => c.id === pn(anna.phone) && c.mutedUntil)) break;
    assert.ok(Date.now() < end, JSON.stringify([all, list]));
  }
  assert.ok(!gw.events.some(e => e.instanceId === id && e.event.startsWith('chat.')), 'no events for what was there before');
  await sandbox.post('/config', { appStateSnapshots: false });
  const nodes = await sandbox.nodes(entry.jid, { dir: 'out', tag: 'iq', child: 'sync' });
  assert.ok(JSON.stringify(nodes).includes('"snapshot"'));
});

test('labels of a business account, both ways', async () => {
  const { id } = await gw.create('Shop');
  const { raw } = await gw.ok('GET', `/api/instance/${id}/qr`);
  const entry = JSON.parse(await sandbox.text('POST', '/mock-phone/scan-qr?name=Shop&business=Shop%20Ltd', raw));
  await gw.connected(id);
  assert.equal((await gw.call('GET', `/api/labels/${me.id}`)).status, 501, 'a personal account has none');

  // made here, on the phone there
  let r;
  for (const end = Date.now() + 20000; ; ) {
    r = await gw.call('POST', `/api/labels/${id}`, { name: 'VIP', color: 3 });
    if (r.status !== 503 || Date.now() > end) break; // the key is on its way
  }
  assert.equal(r.status, 201, JSON.stringify(r.body));
  const { labelId } = r.body.data;
  assert.match(r.body.note, /Business/);
  const state = async () => sandbox.get('/app-state', { phone: entry.phone, collection: 'regular' });
  assert.equal(record(await state(), 'label_edit', labelId).labelEditAction.name, 'VIP');
  await gw.event('label.upsert', (d, e) => e.instanceId === id && d.labelId === labelId && d.action === 'created');
  await gw.ok('PUT', `/api/labels/${id}/${labelId}`, { name: 'Very VIP' });
  const list = await gw.call('GET', `/api/labels/${id}`);
  assert.deepEqual(list.body.data, [{ id: labelId, name: 'Very VIP', color: 3 }]);
  assert.equal(list.body.count, 1);

  await gw.ok('PUT', `/api/labels/${id}/chats/${anna.phone}`, { labelIds: [labelId] });
  assert.equal(record(await state(), 'label_jid', labelId, pn(anna.phone)).labelAssociationAction.labeled, true);
  assert.deepEqual((await gw.ok('GET', `/api/labels/${id}/chats/${anna.phone}`)).labels.map(l => l.id), [labelId]);
  assert.deepEqual((await gw.ok('GET', `/api/labels/${id}/${labelId}/chats`)).chats, [pn(anna.phone)]);
  await gw.event('label.chat.added', (d, e) => e.instanceId === id && d.labelName === 'Very VIP' && d.chatId === pn(anna.phone));

  // made on the phone, here in the store and as events
  const phone = (index, value) => sandbox.post('/mock-phone/app-state', { phone: entry.phone, collection: 'regular', index, value, version: 3 });
  await phone(['label_edit', '77'], { labelEditAction: { name: 'From the phone', color: 5, deleted: false } });
  await phone(['label_jid', '77', pn(anna.phone)], { labelAssociationAction: { labeled: true } });
  await gw.event('label.chat.added', (d, e) => e.instanceId === id && d.labelId === '77');
  assert.deepEqual((await gw.ok('GET', `/api/labels/${id}/chats/${anna.phone}`)).labels.map(l => l.name).sort(), ['From the phone', 'Very VIP']);
  // the set is replaced
  await gw.ok('PUT', `/api/labels/${id}/chats/${anna.phone}`, { labelIds: ['77'] });
  await gw.event('label.chat.deleted', (d, e) => e.instanceId === id && d.labelId === labelId);
  await phone(['label_edit', '77'], { labelEditAction: { name: 'From the phone', color: 5, deleted: true } });
  await gw.event('label.deleted', (d, e) => e.instanceId === id && d.labelId === '77');
  assert.deepEqual((await gw.ok('GET', `/api/labels/${id}/chats/${anna.phone}`)).labels, []);
  await gw.ok('DELETE', `/api/labels/${id}/${labelId}`);
  assert.deepEqual((await gw.call('GET', `/api/labels/${id}`)).body.data, []);
  assert.equal((await gw.call('PUT', `/api/labels/${id}/${labelId}`, { name: 'x' })).status, 404);
});

test('nothing was complained about', async () => {
  assert.deepEqual(await sandbox.complaints(), { unhandled: [], faults: [] });
  assert.ok(!/app state .* refused|given up|does not verify/.test(gw.log()), gw.log());
});

// ---- what goes wrong ----

test('patches that never verify: the phone is asked for its copy, and everything goes on', async () => {
  await sandbox.post('/app-state-fault', { device: me.entry.jid, count: 2 });
  await phoneWrites('regular_low', ['archive', pn(anna.phone)], { archiveChatAction: { archived: true } }, { version: 3 });
  for (const end = Date.now() + 20000; (await chat()).archived !== true; ) assert.ok(Date.now() < end, gw.log());
  assert.match(gw.log(), /app state regular_low refused/);
  assert.match(gw.log(), /app state regular_low is restored from the phone's copy/);
  // both ways again
  await call('unarchive');
  const low = await phoneState('regular_low');
  assert.equal(low.verified, true);
  assert.equal(record(low, 'archive', pn(anna.phone)).archiveChatAction.archived, false);
  const from = gw.events.length;
  await phoneWrites('regular_low', ['archive', pn(anna.phone)], { archiveChatAction: { archived: true } }, { version: 3 });
  await later('chat.archive', d => d.archived === true, from);
});

test('another companion that lacks a key gets it from the gateway', async () => {
  const { keyId } = await sandbox.post('/mock-phone/share-keys', { device: me.entry.jid });
  const since = Date.now();
  const { type, ciphertext } = await other.sock.signalRepository.encryptMessage({ jid: me.entry.lid, data: encodeWAMessage({
    protocolMessage: { type: 7, appStateSyncKeyRequest: {
      keyIds: [{ keyId: Buffer.from(keyId.$hex, 'hex') }, { keyId: Buffer.from('0000000000ff', 'hex') }] } } }) });
  await other.sock.sendNode({ tag: 'message', attrs: { id: generateMessageIDV2(), to: me.entry.jid, type: 'text', category: 'peer', push_priority: 'high' },
    content: [{ tag: 'meta', attrs: { appdata: 'default' } }, { tag: 'enc', attrs: { v: '2', type }, content: ciphertext }] });
  const [answer] = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'message', to: other.jid, since });
  assert.equal(answer.node.attrs.category, 'peer');
  assert.equal(answer.node.content.filter(c => c.tag === 'enc').length, 1);
  await sandbox.nodes(other.jid, { dir: 'in', tag: 'receipt', type: 'peer_msg', id: answer.node.attrs.id });
});

test('star and lock of the phone are events, labels that are taken away are gone', async () => {
  const m = await anna.send(pn(me.phone), 'to be starred by the phone');
  await gw.event('message.received', d => d.messageId === m.key.id);
  let from = gw.events.length;
  await phoneWrites('regular_high', ['star', pn(anna.phone), m.key.id, '0', '0'], { starAction: { starred: true } }, { version: 2 });
  await later('chat.update', d => d.chatId === pn(anna.phone) && d.changes.starredMessage === m.key.id, from);
  await phoneWrites('regular_low', ['lock', pn(anna.phone)], { lockChatAction: { locked: true } }, { version: 7 });
  await later('chat.update', d => d.changes.locked === true, from);
  from = gw.events.length;
  await phoneWrites('regular_high', ['deleteChat', pn(anna.phone), '1'], { deleteChatAction: { messageRange: { lastMessageTimestamp: Math.floor(Date.now() / 1000) + 5 } } }, { version: 6 });
  const gone = await later('chat.delete', d => d.chatId === pn(anna.phone), from);
  assert.deepEqual(gone.data.changes, { deleted: true });
});

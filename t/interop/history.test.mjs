// History of the phone in the gateway's store: inline and as blobs, all types,
// settings, damaged chunks, a crash in the middle, and older messages on
// demand (issue 3).

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, anna;

const pn = phone => `${phone}@s.whatsapp.net`;
const now = Math.floor(Date.now() / 1000);
const PHONE = '4915112345678', LID = '55667788990011@lid', GROUP = '120363000000000777@g.us';

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  anna = new Client(sandbox, 'Anna');
  await anna.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
  // what every companion gets after its first login
  await gw.until(() => gw.events.filter(e => e.event === 'history.sync').length === 3, 'the first three chunks');
});
after(async () => {
  await anna?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const history = (sync, more = {}) => sandbox.post('/mock-phone/history', { device: me.entry.jid, sync, ...more });
// after the three of the first login
const done = (type, messages) => gw.until(() => gw.events.filter(e => e.event === 'history.sync').slice(3)
  .find(e => e.data.type === type && e.data.messages === messages), `${type} with ${messages}`);
const text = (chat, id, body, t, more = {}) => ({
  message: { key: { remoteJid: chat, fromMe: false, id, ...more.key }, message: { conversation: body }, messageTimestamp: t, ...more.info },
});

test('bootstrap: chats with their state, messages, receipts, reactions; nothing is told one by one', async () => {
  const from = gw.events.length;
  await history({
    syncType: 0,
    conversations: [{
      id: LID, pnJid: pn(PHONE), displayName: 'Bodo Bruder', unreadCount: 2, conversationTimestamp: now - 100, archived: true,
      pinned: now - 50, muteEndTime: (now + 3600) * 1000, ephemeralExpiration: 86400,
      messages: [
        text(LID, 'H3', 'newest', now - 100, { info: { pushName: 'Bodo', starred: true } }),
        text(LID, 'H2', 'mine', now - 200, {
          key: { fromMe: true },
          info: {
            status: 4, userReceipt: [{ userJid: pn(PHONE), receiptTimestamp: now - 190, readTimestamp: now - 180 }],
            reactions: [{ key: { remoteJid: LID, fromMe: false, id: 'R1' }, text: '🎉', senderTimestampMs: (now - 170) * 1000 }],
          },
        }),
        text(LID, 'H1', 'oldest', now - 300, { info: { pushName: 'Bodo the elder' } }),
        { message: { key: { remoteJid: LID, fromMe: false, id: 'STUB' }, messageStubType: 40, messageTimestamp: now - 400 } },
      ],
    }, {
      id: GROUP, name: 'The group', conversationTimestamp: now - 60,
      messages: [
        text(GROUP, 'G2', 'from the group', now - 60, { key: { participant: LID }, info: { participant: LID, pushName: 'Bodo' } }),
        text(GROUP, 'G1', 'mine in the group', now - 70, { key: { fromMe: true } }),
      ],
    }],
    phoneNumberToLidMappings: [{ pnJid: '4915187654321@s.whatsapp.net', lidJid: '44332211009988@lid' }],
  }, { progress: 50 });
  const e = await done('INITIAL_BOOTSTRAP', 5);
  assert.equal(e.data.progress, 50);
  assert.equal(e.data.done, false);
  assert.equal(e.data.chats, 2);

  const chat = await gw.ok('GET', `/api/chats/${me.id}/${PHONE}`);
  assert.equal(chat.id, pn(PHONE));
  assert.equal(chat.lid, LID);
  assert.equal(chat.name, 'Bodo Bruder');
  assert.equal(chat.unreadCount, 2);
  assert.equal(chat.archived, true);
  assert.equal(chat.pinned, true);
  assert.equal(Date.parse(chat.mutedUntil), (now + 3600) * 1000);
  assert.equal(chat.ephemeral, 86400);
  assert.equal(chat.lastMessage, 'newest');
  assert.equal(chat.messageCount, 3);
  const rows = await gw.ok('GET', `/api/chats/${me.id}/${PHONE}/messages`);
  assert.deepEqual(rows.map(r => [r.messageId, r.body, r.fromMe, r.status]), [
    ['H3', 'newest', false, 'received'], ['H2', 'mine', true, 'read'], ['H1', 'oldest', false, 'received']]);
  const [receipt] = await gw.ok('GET', `/api/message/${me.id}/H2/receipts`);
  assert.equal(receipt.jid, pn(PHONE));
  assert.equal(Date.parse(receipt.read), (now - 180) * 1000);
  const [reaction] = await gw.ok('GET', `/api/message/${me.id}/H2/reactions`);
  assert.equal(reaction.emoji, '🎉');
  const group = await gw.ok('GET', `/api/chats/${me.id}/${GROUP}`);
  assert.equal(group.name, 'The group');
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/G2`)).participant, pn(PHONE));
  const contact = await gw.ok('GET', `/api/contacts/${me.id}?phoneNumber=${PHONE}`);
  assert.equal(contact.name, 'Bodo Bruder');
  assert.equal(contact.pushName, 'Bodo');
  assert.equal((await gw.ok('GET', `/api/contacts/${me.id}/lids/44332211009988@lid`)).phoneNumber, '4915187654321');
  assert.deepEqual(gw.events.slice(from).map(x => x.event), ['history.sync']);
});

test('a recent chunk as a blob: what is known is not doubled, what is live is not overwritten', async () => {
  const live = await anna.send(pn(me.phone), 'live');
  await gw.event('message.received', d => d.messageId === live.key.id);
  await history({
    syncType: 3,
    conversations: [
      { id: pn(PHONE), messages: [text(pn(PHONE), 'H3', 'newest', now - 100), text(pn(PHONE), 'H0', 'older still', now - 500)] },
      {
        id: pn('4915100007001'), unreadCount: 3, archived: true, pinned: now - 40, muteEndTime: (now + 7200) * 1000,
        messages: [text(pn('4915100007001'), 'N2', 'new here', now - 600), text(pn('4915100007001'), 'N1', 'before', now - 601)],
      },
      { id: pn(anna.phone), unreadCount: 9, archived: true, messages: [text(pn(anna.phone), live.key.id, 'forged', now - 5), text(pn(anna.phone), 'A1', 'before', now - 1000)] },
    ],
  }, { inline: false });
  const e = await done('RECENT', 4);
  assert.equal(e.data.done, true);
  // a chat that first comes with such a chunk comes with its state; one that is known keeps its own
  const first = await gw.ok('GET', `/api/chats/${me.id}/4915100007001`);
  assert.deepEqual([first.unreadCount, first.archived, first.pinned, Date.parse(first.mutedUntil)], [3, true, true, (now + 7200) * 1000]);
  const known = await gw.ok('GET', `/api/chats/${me.id}/${anna.phone}`);
  assert.deepEqual([known.unreadCount, known.archived], [1, false]);
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/${live.key.id}`)).body, 'live');
  const chat = await gw.ok('GET', `/api/chats/${me.id}/${PHONE}`);
  assert.equal(chat.messageCount, 4);
  assert.equal(chat.archived, true, 'a later chunk does not change the chat');
  assert.equal(chat.lastMessage, 'newest');
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${anna.phone}`)).lastMessage, 'live');
});

test('push names, and a thousand messages in one chunk', async () => {
  await history({ syncType: 'PUSH_NAME', pushnames: [{ id: pn(PHONE), pushname: 'Bodo Neu' }, { id: '4915100000042@s.whatsapp.net', pushname: '-' }] });
  await done('PUSH_NAME', 0);
  assert.equal((await gw.ok('GET', `/api/contacts/${me.id}?phoneNumber=${PHONE}`)).pushName, 'Bodo Neu');

  const messages = Array.from({ length: 1000 }, (_, i) => text(GROUP, `M${i}`, `message ${i}`, now - 10000 - i,
    { key: { participant: pn('4915199900' + i % 7) }, info: { participant: pn('4915199900' + i % 7), pushName: `P${i % 7}` } }));
  await history({ syncType: 3, conversations: [{ id: GROUP, messages }] }, { inline: false, chunk: 2 });
  await done('RECENT', 1000);
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${GROUP}`)).messageCount, 1002);
});

test('full history is not taken over unless it was asked for', async () => {
  await history({ syncType: 2, conversations: [{ id: pn(PHONE), messages: [text(pn(PHONE), 'F1', 'a year ago', now - 30000000)] }] });
  await history({ syncType: 4, pushnames: [{ id: pn(PHONE), pushname: 'Bodo Drei' }] });
  await gw.until(() => gw.events.filter(e => e.event === 'history.sync' && e.data.type === 'PUSH_NAME').length === 3, 'the third PUSH_NAME');
  assert.equal((await gw.call('GET', `/api/message/${me.id}/F1`)).status, 404);
  await gw.ok('PUT', `/api/instance/${me.id}`, { syncHistory: 'full' });
  await history({ syncType: 2, conversations: [{ id: pn(PHONE), messages: [text(pn(PHONE), 'F1', 'a year ago', now - 30000000)] }] }, { progress: 10 });
  await done('FULL', 1);
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/F1`)).body, 'a year ago');
});

test('a damaged chunk is refused as a whole, the next one is read', async () => {
  const before = gw.events.length;
  const peer = payload => sandbox.post('/mock-phone/peer', { device: me.entry.jid, message: { protocolMessage: {
    type: 5, historySyncNotification: { syncType: 3, chunkOrder: 9, progress: 100, initialHistBootstrapInlinePayload: payload } } } });
  await peer({ $hex: '789ce360b13acbc425636269686e68626a6c66606e62e250ac579e9158529c5850a097975a22b486a9621410' });
  await peer({ $hex: 'f914b0b2262dc23e6dc9685089b25f65dfd5fd97c07ea436f7b13b0e950fe79f' });
  await history({ syncType: 3, conversations: [{ id: pn(PHONE), messages: [text(pn(PHONE), 'AFTER', 'after the damage', now - 50)] }] }, { chunk: 10 });
  await gw.until(() => gw.events.slice(before).some(e => e.event === 'history.sync' && e.data.messages === 1), 'the good chunk');
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/AFTER`)).body, 'after the damage');
  assert.equal((gw.log().match(/a chunk is refused/g) ?? []).length, 2, gw.log());
});

test('the owner is killed in the middle of a chunk: it is worked off afterwards, once', async () => {
  const before = gw.events.filter(e => e.event === 'history.sync').length;
  const messages = Array.from({ length: 3000 }, (_, i) => text(pn('4915177700001'), `K${i}`, `kill ${i} ${'x'.repeat(200)}`, now - 20000 - i));
  await history({ syncType: 3, conversations: [{ id: pn('4915177700001'), messages }] }, { inline: false, chunk: 3 });
  // the first slices are in the store
  for (const end = Date.now() + 20000; ; ) {
    const r = await gw.call('GET', `/api/chats/${me.id}/4915177700001`);
    if (r.status === 200 || Date.now() > end) break;
  }
  process.kill(gw.owner(), 'SIGKILL');
  await gw.until(() => gw.events.filter(e => e.event === 'history.sync').length > before, 'history.sync');
  const chat = await gw.ok('GET', `/api/chats/${me.id}/4915177700001`);
  assert.equal(chat.messageCount, 3000);
});

test('older messages on demand', async () => {
  for (let i = 0; i < 5; i++) await anna.send(pn(me.phone), `line ${i}`);
  const last = await anna.send(pn(me.phone), 'the one to begin with');
  await gw.event('message.received', d => d.messageId === last.key.id);
  await gw.ok('DELETE', `/api/chats/${me.id}/${anna.phone}?local=true`);
  const again = await anna.send(pn(me.phone), 'after the deletion');
  await gw.event('message.received', d => d.messageId === again.key.id);
  const r = await gw.call('POST', `/api/instance/${me.id}/history-sync`, { chatId: anna.phone, count: 4 });
  assert.equal(r.status, 202, JSON.stringify(r.body));
  await done('ON_DEMAND', 4);
  const rows = await gw.ok('GET', `/api/chats/${me.id}/${anna.phone}/messages`);
  assert.deepEqual(rows.map(m => m.body), ['after the deletion', 'the one to begin with', 'line 4', 'line 3', 'line 2']);
  assert.equal((await gw.call('POST', `/api/instance/${me.id}/history-sync`, { chatId: '4915100000000' })).status, 404);
});

test('nobody but the own phone gives history', async () => {
  const z = '789ce360b13acbc425636269686e68626a6c66606e62e250ac579e9158529c5850a097975a22b486a9621410';
  await sandbox.post('/mock-user/send', { from: anna.phone, to: me.phone, id: 'EVIL', message: { protocolMessage: {
    type: 5, historySyncNotification: { syncType: 0, chunkOrder: 1, progress: 100, initialHistBootstrapInlinePayload: { $hex: z } } } } });
  const m = await anna.send(pn(me.phone), 'behind it');
  await gw.event('message.received', d => d.messageId === m.key.id);
  assert.match(gw.log(), /only our own devices may send is dropped/);
});

test('nothing was complained about', async () => {
  assert.deepEqual(await sandbox.complaints(), { unhandled: [], faults: [] });
});

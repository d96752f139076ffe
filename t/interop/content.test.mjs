// The calls that send or handle contents beyond a fixed set of fields: raw
// messages, products, sends below a chat, forwards to several, cancelled
// events, deleted rows; what is restricted, and what strangers may not say.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { proto } from '@whiskeysockets/baileys';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, a, b, group;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox, { http: 'wagw_raw_messages on;' });
  a = new Client(sandbox, 'Anna');
  b = new Client(sandbox, 'Bert');
  await a.pairByQr(sandbox);
  await b.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
  for (const c of [a, b]) {
    await gw.send(me.id, c.phone, `hello ${c.name}`);
    await c.message(`hello ${c.name}`);
    const m = await c.send(own(), `back from ${c.name}`);
    await gw.event('message.received', d => d.messageId === m.key.id);
  }
  group = (await a.sock.groupCreate('Content', [own(), b.pnUser])).id;
  await gw.send(me.id, group, 'hello group');
  for (const c of [a, b]) await c.message('hello group');
});
after(async () => {
  for (const c of [a, b]) await c?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const pn = phone => `${phone}@s.whatsapp.net`;
const own = () => pn(me.phone);
const row = id => gw.ok('GET', `/api/message/${me.id}/${id}`);

async function seen(client, r, what) {
  return (await client.message(x => x.key.id === r.messageId, what ?? r.messageId)).message;
}

async function received(message, from = a) {
  const id = await from.sock.relayMessage(own(), message, {});
  const e = await gw.event('message.received', d => d.messageId === id);
  const stored = await row(id);
  assert.equal(stored.type, e.data.type);
  assert.equal(stored.body, e.data.body);
  return { id, d: e.data, row: stored };
}

test('raw: what the caller wrote is what Baileys parses, enums, bytes and long numbers included', async () => {
  const thumb = crypto.randomBytes(40);
  const message = {
    extendedTextMessage: {
      text: 'raw text', matchedText: 'https://example.org/x', title: 'T', previewType: 'NONE', font: 2,
      jpegThumbnail: thumb.toString('base64'), mediaKeyTimestamp: '1767225600',
      contextInfo: { mentionedJid: [pn(a.phone)], isForwarded: true, forwardingScore: 5 },
    },
  };
  const r = await gw.ok('POST', '/api/message/send/raw', { instanceId: me.id, to: a.phone, message, ref: 'r1' });
  assert.equal(r.ref, 'r1');
  const x = (await seen(a, r)).extendedTextMessage;
  assert.equal(x.text, 'raw text');
  assert.equal(x.title, 'T');
  assert.equal(x.font, 2);
  assert.equal(Number(x.mediaKeyTimestamp), 1767225600);
  assert.deepEqual(Buffer.from(x.jpegThumbnail), thumb);
  assert.deepEqual(x.contextInfo.mentionedJid, [pn(a.phone)]);
  assert.equal(x.contextInfo.forwardingScore, 5);
  const m = await row(r.messageId);
  assert.equal(m.type, 'text');
  assert.equal(m.isForwarded, true);

  const inGroup = await gw.ok('POST', '/api/message/send/raw', { instanceId: me.id, to: group, message: { locationMessage: { degreesLatitude: 1.25, degreesLongitude: -2.5 } } });
  assert.equal((await seen(b, inGroup)).locationMessage.degreesLatitude, 1.25);

  // the other marks of such a stanza are made from the content
  const poll = await gw.ok('POST', '/api/message/send/raw', { instanceId: me.id, to: a.phone, message: { pollCreationMessageV3: { name: 'Raw?', options: [{ optionName: 'y' }, { optionName: 'n' }], selectableOptionsCount: 1 } } });
  assert.equal((await seen(a, poll)).pollCreationMessageV3.name, 'Raw?');
  const [n] = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'message', id: poll.messageId });
  assert.equal(n.node.attrs.type, 'poll');
  assert.equal(n.node.content.find(c => c.tag === 'meta').attrs.polltype, 'creation');
  const reaction = await gw.ok('POST', '/api/message/send/raw', { instanceId: me.id, to: a.phone, message: { reactionMessage: { key: { remoteJid: pn(a.phone), fromMe: true, id: r.messageId }, text: '🦊', senderTimestampMs: Date.now() } } });
  await gw.event('message.reaction', d => d.messageId === r.messageId && d.emoji === '🦊');
  assert.ok(reaction.messageId);
});

test('raw: unknown names and wrong values are refused with their path, what would harm the account at any depth', async () => {
  const bad = async (message, field, to = a.phone) => {
    const r = await gw.call('POST', '/api/message/send/raw', { instanceId: me.id, to, message });
    assert.equal(r.status, 400, JSON.stringify(r.body));
    assert.equal(r.body.code, 'VALIDATION_FAILED');
    assert.equal(r.body.details.fields[0].field, field);
  };
  await bad({ nope: 1 }, 'message.nope');
  await bad({ extendedTextMessage: { text: 'x', contextInfo: { "we\"ird": 1 } } }, 'message.extendedTextMessage.contextInfo.we"ird');
  await bad({ contactsArrayMessage: { contacts: [{ displayName: 'a' }, { displayName: 7 }] } }, 'message.contactsArrayMessage.contacts[1].displayName');
  await bad({ imageMessage: { fileLength: '12x' } }, 'message.imageMessage.fileLength');
  await bad({ imageMessage: { mediaKey: '***' } }, 'message.imageMessage.mediaKey');
  await bad({ extendedTextMessage: { previewType: 'NOT_ONE' } }, 'message.extendedTextMessage.previewType');
  await bad({}, 'message');
  await bad({ messageContextInfo: {} }, 'message');
  await bad({ senderKeyDistributionMessage: { groupId: group } }, 'message.senderKeyDistributionMessage');
  await bad({ deviceSentMessage: { destinationJid: own(), message: { conversation: 'x' } } }, 'message.deviceSentMessage');
  await bad({ protocolMessage: { type: 'APP_STATE_SYNC_KEY_SHARE', appStateSyncKeyShare: { keys: [] } } }, 'message.protocolMessage.type');
  await bad({ protocolMessage: { type: 6 } }, 'message.protocolMessage.type');
  await bad({ protocolMessage: { type: 'REVOKE', appStateSyncKeyShare: { keys: [] } } }, 'message.protocolMessage.appStateSyncKeyShare');
  await bad({ ephemeralMessage: { message: { protocolMessage: { type: 'HISTORY_SYNC_NOTIFICATION' } } } }, 'message.ephemeralMessage.message.protocolMessage.type');
  await bad({ extendedTextMessage: { text: 'x', contextInfo: { quotedMessage: { deviceSentMessage: {} } } } }, 'message.extendedTextMessage.contextInfo.quotedMessage.deviceSentMessage');
  let deep = { conversation: 'x' };
  for (let i = 0; i < 40; i++) deep = { ephemeralMessage: { message: deep } };
  const r = await gw.call('POST', '/api/message/send/raw', { instanceId: me.id, to: a.phone, message: deep });
  assert.equal(r.status, 400);

  const { apiKey } = await gw.ok('POST', '/api/auth/generate-key', { name: 'plain', permissions: ['read', 'write'] });
  const no = await gw.call('POST', '/api/message/send/raw', { instanceId: me.id, to: a.phone, message: { conversation: 'x' } }, { 'X-API-Key': apiKey });
  assert.equal(no.status, 403);
  const below = await gw.call('POST', `/api/chats/${me.id}/${a.phone}/messages`, { type: 'raw', message: { conversation: 'x' } }, { 'X-API-Key': apiKey });
  assert.equal(below.status, 403);
});

test('a product of a catalogue, found on a later page; unknown ones are 404', async () => {
  await sandbox.post('/mock-user', { name: 'Shop', phone: '4915500001111', business: 'Shop Ltd' });
  const none = await gw.call('POST', '/api/message/send/product', { instanceId: me.id, to: a.phone, businessJid: '4915500001111', productId: 'p1' });
  assert.equal(none.status, 404);
  const products = Array.from({ length: 120 }, (_, i) => ({ id: `p${i}`, name: `Thing ${i}`, price: 1000 * i, currency: 'EUR' }));
  Object.assign(products[77], { description: 'very good', retailerId: 'SKU-77', url: 'https://shop.example/77' });
  await sandbox.post('/mock-user/products', { phone: '4915500001111', products });
  const r = await gw.ok('POST', '/api/message/send/product', {
    instanceId: me.id, to: a.phone, businessJid: '4915500001111', productId: 'p77', body: 'look at this', footer: 'small', ref: 'shop',
  });
  const p = (await seen(a, r)).productMessage;
  assert.equal(p.businessOwnerJid, pn('4915500001111'));
  assert.equal(p.product.productId, 'p77');
  assert.equal(p.product.title, 'Thing 77');
  assert.equal(p.product.description, 'very good');
  assert.equal(p.product.currencyCode, 'EUR');
  assert.equal(Number(p.product.priceAmount1000), 77000);
  assert.equal(p.product.retailerId, 'SKU-77');
  assert.equal(p.body, 'look at this');
  const m = await row(r.messageId);
  assert.equal(m.type, 'product');
  assert.equal(m.ref, 'shop');
  assert.equal(m.product.productId, 'p77');
  const missing = await gw.call('POST', '/api/message/send/product', { instanceId: me.id, to: a.phone, businessJid: '4915500001111', productId: 'p999' });
  assert.equal(missing.status, 404);

  const exists = await gw.ok('POST', `/api/contacts/${me.id}/check-exists`, { phoneNumbers: ['4915500001111', a.phone, '4990000000009'] });
  assert.deepEqual(exists.map(e => [e.exists, e.isBusiness]), [[true, true], [true, false], [false, false]]);
});

test('any send below its chat, by type', async () => {
  const post = (fields, to = a.phone) => gw.ok('POST', `/api/chats/${me.id}/${to}/messages`, fields);
  const text = await post({ type: 'text', message: 'by type', ref: 'x1' });
  assert.equal(text.ref, 'x1');
  assert.equal((await seen(a, text)).extendedTextMessage.text, 'by type');
  const place = await post({ type: 'location', latitude: 0, longitude: 5 }, group);
  assert.equal((await seen(b, place)).locationMessage.degreesLongitude, 5);
  const live = await post({ type: 'live_location', latitude: 1, longitude: 2 });
  assert.equal((await seen(a, live)).liveLocationMessage.degreesLatitude, 1);
  const file = await post({ type: 'document', fileBase64: Buffer.from('some text').toString('base64'), fileName: 'n.txt', caption: 'cap' });
  const got = await seen(a, file);
  const doc = got.documentMessage ?? got.documentWithCaptionMessage.message.documentMessage;
  assert.equal(doc.fileName, 'n.txt');
  assert.equal(doc.caption, 'cap');

  for (const [fields, field] of [
    [{ type: 'nonsense' }, 'type'], [{ type: 'bulk', recipients: [a.phone], message: 'x' }, 'type'], [{ type: '../forward' }, 'type'],
    [{ message: 'x' }, 'type'], [{ type: 'text' }, 'message'], [{ type: 'location', latitude: 91, longitude: 0 }, 'latitude'],
  ]) {
    const r = await gw.call('POST', `/api/chats/${me.id}/${a.phone}/messages`, fields);
    assert.equal(r.status, 400, JSON.stringify([fields, r.body]));
    assert.equal(r.body.details.fields[0].field, field);
  }

  const media = await gw.call('GET', `/api/chats/${me.id}/${a.phone}/media?limit=1`);
  assert.deepEqual(media.body.data.map(m => m.id), [file.messageId]);
  assert.deepEqual((await gw.ok('GET', `/api/chats/${me.id}/${a.phone}/media?type=image`)), []);
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${a.phone}/media?type=document`)).length, 1);
});

test('pinned messages of a chat', async () => {
  const r = await gw.send(me.id, a.phone, 'to be pinned');
  await a.message('to be pinned');
  assert.deepEqual(await gw.ok('GET', `/api/chats/${me.id}/${a.phone}/pinned`), []);
  await gw.ok('POST', `/api/chats/${me.id}/${a.phone}/messages/${r.messageId}/pin`, { duration: 86400 });
  const pinned = await gw.ok('GET', `/api/chats/${me.id}/${a.phone}/pinned`);
  assert.deepEqual(pinned.map(m => m.body), ['to be pinned']);
  assert.equal(pinned[0].isPinned, true);
  await gw.ok('POST', `/api/chats/${me.id}/${a.phone}/messages/${r.messageId}/unpin`);
  assert.deepEqual(await gw.ok('GET', `/api/chats/${me.id}/${a.phone}/pinned`), []);
});

test('a forward to several: a result for each, no message twice', async () => {
  const r = await gw.send(me.id, a.phone, 'pass it on');
  const body = { instanceId: me.id, messageId: r.messageId, to: [b.phone, '4990000000001', group], ref: 'fwd' };
  const first = await gw.call('POST', '/api/message/forward', body, { 'Idempotency-Key': 'forward-1' });
  assert.equal(first.status, 200, JSON.stringify(first.body));
  const list = first.body.data;
  assert.deepEqual(list.map(x => x.success), [true, false, true]);
  assert.equal(list[0].to, pn(b.phone));
  assert.equal(list[1].to, pn('4990000000001'));
  assert.equal(list[1].code, 'RECIPIENT_NO_DEVICES');
  assert.equal(first.body.count, 3);
  assert.equal(new Set([list[0].messageId, list[2].messageId]).size, 2);
  const got = await seen(b, list[0]);
  assert.equal(got.extendedTextMessage.text, 'pass it on');
  await seen(a, list[2]);
  const again = await gw.call('POST', '/api/message/forward', body, { 'Idempotency-Key': 'forward-1' });
  assert.deepEqual(again.body.data, list);

  const one = await gw.ok('POST', '/api/message/forward', { instanceId: me.id, messageId: r.messageId, to: b.phone });
  assert.equal(one.to, pn(b.phone));
  for (const to of [[], Array(6).fill(b.phone), ['not a number!'], 5]) {
    const x = await gw.call('POST', '/api/message/forward', { instanceId: me.id, messageId: r.messageId, to });
    assert.equal(x.status, 400, JSON.stringify(x.body));
  }
  const none = await gw.call('POST', '/api/message/forward', { instanceId: me.id, messageId: '3EB0NONE', to: [b.phone] });
  assert.equal(none.status, 404);
});

// under the event's own secret (04 section 20)
function eventKey(secret, id, author, writer) {
  return Buffer.from(crypto.hkdfSync('sha256', secret, Buffer.alloc(0), Buffer.from(`${id}${author}${writer}Event Edit`), 32));
}

test('an event is cancelled, ours and theirs', async () => {
  const start = '2030-05-01T10:00:00.000Z';
  const r = await gw.ok('POST', `/api/events/${me.id}`, { to: a.phone, name: 'Dinner', startTime: start, description: 'at eight' });
  const content = await seen(a, r);
  const [n] = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'message', id: r.messageId });
  assert.equal(n.node.attrs.type, 'event');
  assert.equal(n.node.content.find(c => c.tag === 'meta').attrs.event_type, 'creation');
  const c = await gw.ok('POST', `/api/events/${me.id}/${r.messageId}/cancel`, { chatId: a.phone });
  assert.ok(c.messageId && c.messageId !== r.messageId);
  const got = await a.message(x => x.key.id === c.messageId, 'the cancellation');
  const s = got.message.secretEncryptedMessage;
  assert.equal(s.targetMessageKey.id, r.messageId);
  assert.equal(s.secretEncType, 1);
  const self = got.key.remoteJid.endsWith('@lid') ? me.lid : own();
  const d = crypto.createDecipheriv('aes-256-gcm', eventKey(content.messageContextInfo.messageSecret, r.messageId, self, self), s.encIv);
  d.setAuthTag(Buffer.from(s.encPayload).subarray(-16));
  const plain = proto.Message.decode(Buffer.concat([d.update(Buffer.from(s.encPayload).subarray(0, -16)), d.final()]));
  assert.equal(plain.eventMessage.isCanceled, true);
  assert.equal(plain.eventMessage.name, 'Dinner');
  assert.equal((await row(r.messageId)).event.cancelled, true);

  const none = await gw.call('POST', `/api/events/${me.id}/3EB0NONE/cancel`, { chatId: a.phone });
  assert.equal(none.status, 404);
  const text = await gw.send(me.id, a.phone, 'no event');
  assert.equal((await gw.call('POST', `/api/events/${me.id}/${text.messageId}/cancel`, { chatId: a.phone })).status, 400);

  const theirs = await a.send(own(), { event: { name: 'Walk', startDate: new Date(start) } });
  await gw.event('message.received', x => x.messageId === theirs.key.id);
  const not = await gw.call('POST', `/api/events/${me.id}/${theirs.key.id}/cancel`, { chatId: a.phone });
  assert.equal(not.status, 403);
  const iv = crypto.randomBytes(12);
  const k = crypto.createCipheriv('aes-256-gcm', eventKey(theirs.message.messageContextInfo.messageSecret, theirs.key.id, a.pnUser, a.pnUser), iv);
  const edited = proto.Message.encode({ eventMessage: { name: 'Walk', isCanceled: true, startTime: Date.parse(start) / 1000 } }).finish();
  await a.sock.relayMessage(own(), {
    secretEncryptedMessage: {
      targetMessageKey: { remoteJid: own(), fromMe: true, id: theirs.key.id }, secretEncType: 1, encIv: iv,
      encPayload: Buffer.concat([k.update(edited), k.final(), k.getAuthTag()]),
    },
  }, {});
  await gw.event('message.edited', x => x.messageId === theirs.key.id);
  assert.equal((await row(theirs.key.id)).event.cancelled, true);
});

test('463: the answer, the event, and what the time-lock says while it lasts', async () => {
  await sandbox.post('/ack-error', { device: me.entry.jid, code: 463, count: 1 });
  const r = await gw.call('POST', '/api/message/send/text', { instanceId: me.id, to: a.phone, message: 'restricted' });
  assert.equal(r.status, 429);
  assert.equal(r.body.code, 'WA_ACCOUNT_RESTRICTED');
  assert.deepEqual(r.body.details, { endsAt: null, type: 'DEFAULT', code: 463 });
  const e = await gw.event('account.restricted');
  assert.deepEqual(e.data, { isActive: true, type: 'DEFAULT', endsAt: null });

  const told = lock => sandbox.post('/send-node', {
    device: me.entry.jid,
    node: { tag: 'notification', attrs: { id: crypto.randomUUID(), type: 'mex', from: 's.whatsapp.net', t: '1767220000' },
      content: [{ tag: 'update', attrs: { op_name: 'NotificationUserReachoutTimelockUpdate' },
        content: JSON.stringify({ data: { xwa2_notify_account_reachout_timelock: lock } }) }] },
  });
  const ends = Math.floor(Date.now() / 1000) + 3600;
  await told({ is_active: true, enforcement_type: 'BIZ_QUALITY', time_enforcement_ends: String(ends) });
  const on = await gw.event('account.restricted', d => d.type === 'BIZ_QUALITY');
  assert.equal(on.data.endsAt, new Date(ends * 1000).toISOString());
  // nobody new is tried; who is known is
  await sandbox.post('/mock-user', { name: 'Newcomer', phone: '4915500002222' });
  const fresh = await gw.call('POST', '/api/message/send/text', { instanceId: me.id, to: '4915500002222', message: 'hi' });
  assert.equal(fresh.status, 429);
  assert.equal(fresh.body.details.type, 'BIZ_QUALITY');
  assert.equal(fresh.body.details.endsAt, new Date(ends * 1000).toISOString());
  assert.ok(Number(fresh.headers['retry-after']) > 3500);
  await gw.send(me.id, a.phone, 'still possible');
  await a.message('still possible');
  await told({ is_active: false });
  await gw.event('account.restricted', d => d.isActive === false);
  await gw.send(me.id, '4915500002222', 'hi again');
});

test('a row that was deleted here does not come back with a late receipt', async () => {
  await gw.send(me.id, '4915500002222', 'stays');
  const r = await gw.send(me.id, '4915500002222', 'to be deleted');
  const del = await gw.ok('DELETE', `/api/message/${me.id}/${r.messageId}`);
  assert.deepEqual(del.deleted, { messageId: r.messageId, count: 1 });
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/4915500002222`)).lastMessage, 'stays');
  await sandbox.post('/mock-user/receipt', { from: '4915500002222', to: me.entry.jid, id: r.messageId, type: 'read' });
  // what comes after it has been read tells that the receipt was
  await sandbox.post('/mock-user/send', { from: '4915500002222', to: me.phone, text: 'behind the receipt' });
  await gw.event('message.received', d => d.body === 'behind the receipt');
  assert.equal((await gw.call('GET', `/api/message/${me.id}/${r.messageId}`)).status, 404);
  assert.equal((await gw.call('DELETE', `/api/message/${me.id}/${r.messageId}`)).status, 404);
  const listed = await gw.ok('GET', `/api/chats/${me.id}/4915500002222/messages`);
  assert.ok(!listed.some(m => m.id === r.messageId));
});

test('what only own devices may say is ignored from strangers, and counted', async () => {
  const count = async () => (await gw.ok('GET', '/api/observability/status')).instances.list.find(i => i.id === me.id).ignored;
  const before = await count();
  for (const p of [
    { type: 6, appStateSyncKeyShare: { keys: [] } },
    { type: 5, historySyncNotification: { syncType: 0 } },
    { type: 17, peerDataOperationRequestResponseMessage: {} },
    { type: 22, lidMigrationMappingSyncMessage: {} },
    { type: 10, appStateFatalExceptionNotification: {} },
  ]) await a.sock.relayMessage(own(), { protocolMessage: p }, {});
  const last = await a.send(own(), 'after all that');
  await gw.event('message.received', d => d.messageId === last.key.id);
  assert.equal(await count(), before + 5);
});

test('commerce, calls, invites and unknown kinds are read; the unknown keeps its content', async () => {
  const product = await received({ productMessage: { businessOwnerJid: own(), body: 'nice', product: { productId: '9', title: 'Tea', currencyCode: 'EUR', priceAmount1000: 2500 } } });
  assert.equal(product.d.type, 'product');
  assert.equal(product.d.body, 'nice');
  assert.equal(product.d.product.priceAmount1000, 2500);
  const order = await received({ orderMessage: { orderId: 'O1', token: 'tok', itemCount: 3, orderTitle: 'Basket', sellerJid: own(), message: 'please', status: 1, totalAmount1000: 9000, totalCurrencyCode: 'EUR' } });
  assert.equal(order.d.type, 'order');
  assert.equal(order.d.order.orderId, 'O1');
  assert.equal(order.row.order.totalAmount1000, 9000);
  const call = await received({ callLogMesssage: { isVideo: true, callOutcome: 1, durationSecs: 12, callType: 0 } });
  assert.equal(call.d.type, 'call');
  assert.equal(call.d.call.isVideo, true);
  assert.equal(call.row.call.outcome, 'missed');
  const invite = await received({ newsletterAdminInviteMessage: { newsletterJid: '120363000000000777@newsletter', newsletterName: 'News', caption: 'be admin', inviteExpiration: 1767225600 } });
  assert.equal(invite.d.channelInvite.channelId, '120363000000000777@newsletter');
  const group2 = await received({ groupInviteMessage: { groupJid: '120363000000000999@g.us', inviteCode: 'abc', inviteExpiration: 1767225600, groupName: 'Club', caption: 'join' } });
  assert.equal(group2.d.type, 'group_invite');
  assert.equal(group2.row.groupInvite.code, 'abc');
  const album = await received({ albumMessage: { expectedImageCount: 2, expectedVideoCount: 1 } });
  assert.equal(album.row.type, 'album');

  // known by name only: the content goes along as it is
  const pack = await received({ stickerPackMessage: { stickerPackId: 'P1', name: 'Cats', publisher: 'me' } });
  assert.equal(pack.d.type, 'sticker_pack');
  assert.equal(pack.d.body, 'Cats');
  assert.equal(pack.row.content.name, 'stickerPackMessage');
  assert.equal(proto.Message.decode(Buffer.from(pack.d.content.message, 'base64')).stickerPackMessage.stickerPackId, 'P1');
  const phones = await received({ requestPhoneNumberMessage: {} });
  assert.equal(phones.d.type, 'request_phone');
});

test('quote, mention, timer and ref with kinds other than text, direct and in a group', async () => {
  const first = await a.send(own(), 'quote me');
  await gw.event('message.received', d => d.messageId === first.key.id);
  for (const [kind, fields, field] of [
    ['location', { latitude: 1, longitude: 2 }, 'locationMessage'],
    ['contact', { contactName: 'Z', contactNumber: '49301234567' }, 'contactMessage'],
    ['poll', { question: 'Q?', options: ['1', '2'] }, 'pollCreationMessageV3'],
    ['event', { name: 'E', startTime: '2030-01-01T00:00:00.000Z' }, 'eventMessage'],
    ['file', { fileBase64: 'aGVsbG8=', fileName: 'h.txt' }, 'documentMessage'],
  ]) {
    const r = await gw.ok('POST', `/api/message/send/${kind}`, {
      instanceId: me.id, to: a.phone, quotedMessageId: first.key.id, mentions: [b.phone], expiration: 86400, ref: kind, ...fields,
    });
    assert.equal(r.ref, kind);
    const c = (await seen(a, r, kind))[field].contextInfo;
    assert.equal(c.stanzaId, first.key.id, kind);
    assert.equal(c.quotedMessage.conversation ?? c.quotedMessage.extendedTextMessage?.text, 'quote me', kind);
    assert.equal(c.mentionedJid.length, 1, kind);
    assert.equal(c.expiration, 86400, kind);
    const m = await row(r.messageId);
    assert.equal(m.quoted.id, first.key.id);
    assert.equal(m.isEphemeral, true);

    const g = await gw.ok('POST', `/api/message/send/${kind}`, {
      instanceId: me.id, to: group, quoted: { id: '3EB0FOREIGN', participant: b.phone, text: 'never stored' }, mentions: 'all', ...fields,
    });
    for (const reader of [a, b]) {
      const x = (await seen(reader, g, `${kind} in the group`))[field].contextInfo;
      assert.equal(x.stanzaId, '3EB0FOREIGN');
      assert.equal(x.quotedMessage.conversation, 'never stored');
      assert.equal(x.nonJidMentions, 1);
    }
  }
});

test('nothing was unhandled, and no protocol mistake was seen', async () => {
  assert.deepEqual(await sandbox.complaints(), { unhandled: [], faults: [] });
});

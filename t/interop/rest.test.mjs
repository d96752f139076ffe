// Every call of contract sections 3.2 to 3.10 that is built, with two linked
// instances: answers, shapes, and the codes for what is wrong.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, a, b;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  a = await gw.pairByQr('Alice');
  b = await gw.pairByQr('Bob');
});
after(async () => {
  await gw?.stop();
  await sandbox?.stop();
});

const jid = phone => `${phone}@s.whatsapp.net`;
const post = (path, body) => gw.ok('POST', path, body);
const put = (path, body) => gw.ok('PUT', path, body);
const get = path => gw.ok('GET', path);

async function fails(status, code, method, path, body, headers) {
  const r = await gw.call(method, path, body, headers);
  assert.equal(r.status, status, `${method} ${path}: ${JSON.stringify(r.body)}`);
  assert.equal(r.body.code, code, `${method} ${path}: ${JSON.stringify(r.body)}`);
  assert.equal(r.body.success, false);
  assert.equal(typeof r.body.error, 'string');
  return r.body;
}

// from Alice to Bob, until Bob has it
async function said(text, more) {
  const r = await gw.send(a.id, b.phone, text, more);
  await gw.event('message.received', (d, e) => e.instanceId === b.id && d.messageId === r.messageId, text);
  return r;
}

test('SendResult, the stored message on both sides, and the chat', async () => {
  const r = await said('one', { ref: 'my ref' });
  assert.match(r.messageId, /^3EB0[0-9A-F]+$/);
  assert.equal(r.status, 'sent');
  assert.equal(r.statusCode, 2);
  assert.equal(r.to, jid(b.phone));
  assert.equal(r.chatId, jid(b.phone));
  assert.equal(r.ref, 'my ref');
  assert.ok(Math.abs(r.timestamp - Date.now() / 1000) < 60);
  assert.deepEqual(r.key, { remoteJid: jid(b.phone), fromMe: true, id: r.messageId });

  const mine = await get(`/api/message/${a.id}/${r.messageId}`);
  assert.equal(mine.fromMe, true);
  assert.equal(mine.to, jid(b.phone));
  const theirs = await get(`/api/message/${b.id}/${r.messageId}`);
  assert.equal(theirs.fromMe, false);
  assert.equal(theirs.from, jid(a.phone));
  assert.equal(theirs.status, 'received');
  for (const m of [mine, theirs]) {
    assert.equal(m.body, 'one');
    assert.equal(m.type, 'text');
    assert.equal(m.mediaUrl, null);
    for (const f of ['isForwarded', 'isEphemeral', 'isEdited']) assert.equal(m[f], false);
  }

  const chat = await get(`/api/chats/${b.id}/${a.phone}`);
  assert.equal(chat.id, jid(a.phone));
  assert.equal(chat.isGroup, false);
  assert.equal(chat.lastMessage, 'one');
  assert.equal(chat.lid, a.lid);
  assert.equal((await get(`/api/chats/${b.id}/${encodeURIComponent(a.lid)}`)).id, chat.id);
});

test('quote, own id, idempotency, async', async () => {
  const first = await said('quote me');
  const q = await said('a reply', { quotedMessageId: first.messageId });
  assert.equal((await get(`/api/message/${b.id}/${q.messageId}`)).quoted.id, first.messageId);
  await fails(404, 'MESSAGE_NOT_FOUND', 'POST', '/api/message/send/text', { instanceId: a.id, to: b.phone, message: 'x', quotedMessageId: 'NOPE' });

  const { messageId } = await get(`/api/status/${a.id}/new-message-id`);
  assert.equal((await said('own id', { messageId })).messageId, messageId);
  await fails(409, 'DUPLICATE', 'POST', '/api/message/send/text', { instanceId: a.id, to: b.phone, message: 'own id', messageId });

  const body = { instanceId: a.id, to: b.phone, message: 'only once' };
  const key = { 'Idempotency-Key': 'rest-1' };
  const r1 = await gw.call('POST', '/api/message/send/text', body, key);
  const r2 = await gw.call('POST', '/api/message/send/text', body, key);
  assert.deepEqual(r2.body.data, r1.body.data);
  assert.equal(r2.headers['idempotent-replayed'], 'true');
  await fails(409, 'IDEMPOTENCY_CONFLICT', 'POST', '/api/message/send/text', { ...body, message: 'other' }, key);

  const queued = await gw.call('POST', '/api/message/send/text', { ...body, message: 'queued', async: true });
  assert.equal(queued.status, 202);
  assert.equal(queued.body.data.status, 'queued');
  await gw.event('message.received', d => d.messageId === queued.body.data.messageId);
});

test('sends that cannot be', async () => {
  const text = more => ['POST', '/api/message/send/text', { instanceId: a.id, to: b.phone, message: 'x', ...more }];
  await fails(422, 'RECIPIENT_NO_DEVICES', ...text({ to: '15559990000' }));
  await put(`/api/instance/${a.id}`, { settings: { checkNumberBeforeSend: true } });
  await fails(422, 'NOT_ON_WHATSAPP', ...text({ to: '15559990000' }));
  await put(`/api/instance/${a.id}`, { settings: { checkNumberBeforeSend: null } });
  assert.equal((await fails(400, 'INVALID_JID', ...text({ to: 'nobody' }))).details.field, 'to');
  for (const [field, value] of [['message', undefined], ['message', ''], ['message', 7], ['ref', 'x'.repeat(129)], ['priority', 10], ['async', 'maybe']]) {
    const e = await fails(400, 'VALIDATION_FAILED', ...text({ [field]: value }));
    assert.equal(e.details.fields[0].field, field);
  }
  await fails(404, 'INSTANCE_NOT_FOUND', ...text({ instanceId: 'nope' }));
  await fails(404, 'NOT_FOUND', 'POST', '/api/message/send/product', { instanceId: a.id, to: b.phone, businessJid: b.phone, productId: '1' });
  await fails(403, 'AUTH_FORBIDDEN', 'POST', '/api/message/send/raw', { instanceId: a.id, to: b.phone, message: { conversation: 'x' } });
});

test('reaction, edit, forward, revoke', async () => {
  const { messageId } = await said('change me');
  const at = { instanceId: b.id, chatId: a.phone, messageId };
  await put('/api/message/reaction', { ...at, emoji: '👍' });
  await gw.event('message.reaction', (d, e) => e.instanceId === a.id && d.messageId === messageId && d.emoji === '👍');
  assert.deepEqual((await get(`/api/message/${a.id}/${messageId}/reactions`)).map(r => [r.jid, r.emoji]), [[jid(b.phone), '👍']]);
  await gw.ok('DELETE', '/api/message/reaction', at);
  await gw.event('message.reaction', (d, e) => e.instanceId === a.id && d.messageId === messageId && d.removed);
  assert.deepEqual(await get(`/api/message/${a.id}/${messageId}/reactions`), []);
  await fails(404, 'MESSAGE_NOT_FOUND', 'PUT', '/api/message/reaction', { ...at, messageId: 'NOPE', emoji: 'x' });

  const edit = { instanceId: a.id, chatId: b.phone, messageId };
  const edited = await put('/api/message/edit', { ...edit, newText: 'changed' });
  assert.equal(edited.messageId, messageId);
  assert.ok(!Number.isNaN(Date.parse(edited.editedAt)));
  await put(`/api/chats/${a.id}/${b.phone}/messages/${messageId}`, { newText: 'changed again' });
  await gw.event('message.edited', (d, e) => e.instanceId === b.id && d.messageId === messageId && d.newBody === 'changed again');
  const m = await get(`/api/chats/${b.id}/${a.phone}/messages/${messageId}`);
  assert.equal(m.body, 'changed again');
  assert.equal(m.isEdited, true);
  assert.equal(m.chat.chatId, jid(a.phone));
  await fails(403, 'WA_FORBIDDEN', 'PUT', '/api/message/edit', { ...at, newText: 'not mine' });
  await fails(404, 'MESSAGE_NOT_FOUND', 'PUT', '/api/message/edit', { ...edit, messageId: 'NOPE', newText: 'x' });

  for (const more of [{}, { fromChatId: a.phone }]) {
    const f = await post('/api/message/forward', { instanceId: b.id, to: a.phone, messageId, ...more });
    const got = await gw.event('message.received', (d, e) => e.instanceId === a.id && d.messageId === f.messageId);
    assert.equal(got.data.body, 'changed again');
    assert.equal((await get(`/api/message/${a.id}/${f.messageId}`)).isForwarded, true);
  }
  await fails(404, 'MESSAGE_NOT_FOUND', 'POST', '/api/message/forward', { instanceId: b.id, to: a.phone, messageId: 'NOPE' });

  await post('/api/message/revoke', edit);
  const gone = await gw.event('message.revoked', (d, e) => e.instanceId === b.id && d.messageId === messageId);
  assert.equal(gone.data.revokedBy, 'them');
  assert.equal(gone.data.originalMessage.body, 'changed again');

  const second = await said('by id alone');
  assert.deepEqual(await gw.ok('DELETE', `/api/message/${a.id}/${second.messageId}?scope=everyone`), { deleted: { messageId: second.messageId, count: 1 } });
  await gw.event('message.revoked', (d, e) => e.instanceId === b.id && d.messageId === second.messageId);
  await gw.ok('DELETE', `/api/message/${b.id}/${second.messageId}`);
  await fails(404, 'MESSAGE_NOT_FOUND', 'GET', `/api/message/${b.id}/${second.messageId}`);
  await fails(404, 'MESSAGE_NOT_FOUND', 'DELETE', `/api/message/${b.id}/${second.messageId}`);
});

test('seen: one message, several, the whole chat', async () => {
  const ids = [];
  for (const t of ['s1', 's2', 's3']) ids.push((await said(t)).messageId);
  const read = id => gw.event('message.ack', (d, e) => e.instanceId === a.id && d.messageId === id && d.ack === 3, `read ${id}`);

  assert.equal((await post('/api/message/seen', { instanceId: b.id, chatId: a.phone, messageId: ids[0] })).marked, 1);
  await read(ids[0]);
  await post(`/api/message/read/${b.id}/${a.phone}`);
  assert.equal((await get(`/api/chats/${b.id}/${a.phone}`)).unreadCount, 0);

  const last = (await said('s4')).messageId;
  assert.equal((await get(`/api/chats/${b.id}/${a.phone}`)).unreadCount, 1);
  assert.equal((await post(`/api/chats/${b.id}/${a.phone}/read`, {})).marked, 1);
  await read(last);
  const receipts = await get(`/api/message/${a.id}/${last}/receipts`);
  assert.equal(receipts[0].jid, jid(b.phone));
  assert.ok(receipts[0].read);
  assert.equal((await get(`/api/message/${a.id}/${last}`)).status, 'read');
});

test('presence and typing', async () => {
  const at = { instanceId: b.id };
  await post('/api/message/typing/start', { ...at, chatId: a.phone });
  await post('/api/message/typing/start', { ...at, to: a.phone, media: 'audio' });
  await post('/api/message/typing/stop', { ...at, chatId: a.phone });
  await post('/api/message/typing', { ...at, to: a.phone, duration: 10 });
  await post('/api/message/presence', { ...at, presence: 'available' });
  await post('/api/message/presence', { ...at, presence: 'composing', chatId: a.phone });
  assert.equal((await post(`/api/presence/${b.id}`, { presence: 'unavailable' })).presence, 'unavailable');
  await fails(400, 'VALIDATION_FAILED', 'POST', `/api/presence/${b.id}`, { presence: 'asleep' });
  const e = await fails(400, 'VALIDATION_FAILED', 'POST', `/api/presence/${b.id}`, { presence: 'recording' });
  assert.equal(e.details.fields[0].field, 'chatId');
  const seen = await sandbox.nodes(b.entry.jid, { dir: 'in', tag: 'chatstate', min: 5 });
  assert.ok(seen.length >= 5);
});

test('who is on WhatsApp', async () => {
  assert.deepEqual(await get(`/api/contacts/${b.id}/check-exists?phoneNumber=${a.phone}`), { exists: true, jid: jid(a.phone), lid: a.lid });
  assert.deepEqual(await get(`/api/contacts/${b.id}/check-exists?phoneNumber=15559990000`), { exists: false, jid: null, lid: null });
  const many = [...Array(60).keys()].map(i => `1555999${String(i).padStart(4, '0')}`);
  const r = await gw.call('POST', `/api/contacts/${b.id}/check-exists`, { phoneNumbers: [...many, `+${a.phone}`] });
  assert.equal(r.body.count, 61);
  assert.deepEqual(r.body.data.map(d => d.phoneNumber), [...many, a.phone]);
  assert.deepEqual(r.body.data.filter(d => d.exists).map(d => d.jid), [jid(a.phone)]);
  await fails(400, 'VALIDATION_FAILED', 'POST', `/api/contacts/${b.id}/check-exists`, { phoneNumbers: [] });
});

test('contacts and LIDs', async () => {
  const all = await gw.call('GET', `/api/contacts/${b.id}/all`);
  const alice = all.body.data.find(c => c.jid === jid(a.phone));
  assert.equal(alice.pushName, 'Alice');
  assert.equal(alice.lid, a.lid);
  assert.equal(alice.phoneNumber, a.phone);
  for (const f of ['isBusiness', 'isBlocked', 'isMe']) assert.equal(alice[f], false);
  assert.deepEqual((await get(`/api/contacts/${b.id}/all?map=true`))[jid(a.phone)], alice);
  for (const name of [a.phone, `%2B${a.phone}`, encodeURIComponent(a.lid)]) {
    assert.deepEqual(await get(`/api/contacts/${b.id}?phoneNumber=${name}`), alice);
  }
  await fails(404, 'CONTACT_NOT_FOUND', 'GET', `/api/contacts/${b.id}?phoneNumber=15559990000`);

  const lid = a.lid.replace('@lid', '');
  assert.equal((await get(`/api/contacts/${b.id}/lids/pn/${a.phone}`)).lid, a.lid);
  for (const l of [lid, a.lid]) assert.deepEqual(await get(`/api/contacts/${b.id}/lids/${encodeURIComponent(l)}`), { lid: a.lid, phoneNumber: a.phone });
  const lids = await gw.call('GET', `/api/contacts/${b.id}/lids`);
  assert.ok(lids.body.data.some(l => l.lid === a.lid && l.phoneNumber === a.phone));
  const count = await gw.call('GET', `/api/contacts/${b.id}/lids/count`);
  assert.equal(count.body.count, lids.body.count);
  assert.equal(count.body.data.count, lids.body.count);
  await fails(404, 'LID_NOT_FOUND', 'GET', `/api/contacts/${b.id}/lids/999999999999999`);
});

test('listings: filters, pages, orders', async () => {
  for (let i = 0; i < 5; i++) await said(`page ${i}`);
  const seen = [];
  let page = await gw.call('GET', `/api/message/all/${b.id}?limit=3`);
  const { total } = page.body;
  for (;;) {
    seen.push(...page.body.data);
    const { hasMore, nextCursor } = page.body.pagination;
    if (!hasMore) break;
    page = await gw.call('GET', `/api/message/all/${b.id}?limit=3&cursor=${encodeURIComponent(nextCursor)}`);
  }
  assert.equal(seen.length, total);
  assert.equal(new Set(seen.map(m => m.id)).size, total);
  assert.ok(seen.every(m => m.chat.chatId && m.chat.isGroup === false));
  for (let i = 1; i < seen.length; i++) assert.ok(seen[i - 1].timestamp >= seen[i].timestamp);

  assert.ok((await get(`/api/message/all/${b.id}?fromMe=true`)).every(m => m.fromMe));
  assert.ok((await get(`/api/message/all/${b.id}?q=page%203`)).some(m => m.body === 'page 3'));
  assert.deepEqual(await get(`/api/message/all/${b.id}?type=image`), []);
  const chat = await get(`/api/message/chat/${b.id}/${a.phone}?limit=2`);
  assert.deepEqual(chat.map(m => m.body), ['page 4', 'page 3']);
  const before = await get(`/api/chats/${b.id}/${a.phone}/messages?before=${chat[1].id}&limit=1`);
  assert.deepEqual(before.map(m => m.body), ['page 2']);
  assert.deepEqual(await get(`/api/chats/${b.id}/15559990000/messages`), []);
  await fails(404, 'CHAT_NOT_FOUND', 'GET', `/api/message/chat/${b.id}/15559990000`);
  await fails(404, 'CHAT_NOT_FOUND', 'GET', `/api/chats/${b.id}/15559990000`);
  await fails(404, 'MESSAGE_NOT_FOUND', 'GET', `/api/message/${b.id}/NOPE`);
  await fails(400, 'VALIDATION_FAILED', 'GET', `/api/message/all/${b.id}?limit=0`);
  await fails(400, 'VALIDATION_FAILED', 'GET', `/api/message/all/${b.id}?cursor=%21`);

  const chats = await get(`/api/chats/${b.id}`);
  assert.equal(chats.filter(c => c.id === jid(a.phone)).length, 1);
  assert.deepEqual(await get(`/api/chats/${b.id}?type=group`), []);
  const names = (await get(`/api/chats/${b.id}?sortBy=name`)).map(c => c.name);
  assert.deepEqual(names, [...names].sort((x, y) => x.localeCompare(y)));
  const [short] = await get(`/api/chats/${b.id}/overview`);
  assert.deepEqual(Object.keys(short).sort(), ['id', 'isGroup', 'lastMessage', 'lastMessageAt', 'name', 'unreadCount'].sort());
  assert.ok((await get(`/api/message/chats/${b.id}`)).length > 0);
});

test('linking: pictures of the code, pairing, life of an instance', async () => {
  const { id } = await gw.create('Carol', { phoneNumber: '+1 555 000 1234' });
  const qr = await get(`/api/instance/${id}/qr`);
  assert.match(qr.qrCode, /^data:image\/png;base64,/);
  assert.ok(qr.raw.length > 100 && qr.expiresIn > 0 && qr.attempt >= 1 && qr.message);
  for (const [format, type] of [['png', 'image/png'], ['svg', 'image/svg+xml'], ['text', 'text/plain; charset=utf-8']]) {
    assert.equal((await gw.call('GET', `/api/instance/${id}/qr?format=${format}`)).headers['content-type'], type);
  }
  assert.equal((await gw.call('GET', `/api/instance/${id}/qr`, undefined, { Accept: 'image/png' })).headers['content-type'], 'image/png');
  await fails(409, 'INSTANCE_NOT_CONNECTED', 'GET', `/api/instance/${id}/info`);

  const { pairingCode, code } = await get(`/api/instance/${id}/pairing-code`);
  assert.equal(code, pairingCode);
  assert.match(pairingCode, /^[1-9A-HJ-NP-TV-Z]{8}$/);
  await sandbox.post('/mock-phone/enter-code', { phone: '15550001234', code: pairingCode, wait: 20000 });
  await gw.connected(id);
  const info = await get(`/api/instance/${id}/info`);
  assert.equal(info.phoneNumber, '15550001234');
  assert.equal(info.id, jid('15550001234'));
  assert.match(info.lid, /@lid$/);
  await fails(409, 'ALREADY_CONNECTED', 'GET', `/api/instance/${id}/qr`);
  await fails(409, 'ALREADY_CONNECTED', 'POST', `/api/instance/${id}/pairing-code`, { phoneNumber: '15550001234' });

  assert.deepEqual(await post(`/api/instance/${id}/disconnect`), { status: 'paused' });
  assert.equal((await get(`/api/instance/${id}/status`)).status, 'paused');
  await fails(409, 'INSTANCE_NOT_CONNECTED', 'POST', '/api/message/send/text', { instanceId: id, to: a.phone, message: 'x' });
  const back = n => gw.until(() => gw.events.filter(e => e.instanceId === id && e.data.status === 'connected').length === n, `connected ${n}`);
  await post(`/api/instance/${id}/connect`);
  await back(2);
  await post(`/api/instance/${id}/restart`);
  await back(3);
  const changed = await put(`/api/instance/${id}`, { name: 'Carola', settings: { alwaysOnline: true }, metadata: { k: 1 } });
  assert.equal(changed.name, 'Carola');
  assert.equal(changed.settings.alwaysOnline, true);
  assert.deepEqual(changed.metadata, { k: 1 });

  assert.deepEqual(await post(`/api/instance/${id}/logout`), { remote: true });
  const out = await get(`/api/instance/${id}`);
  assert.equal(out.status, 'logged_out');
  assert.equal(out.info, null);
  assert.equal(out.lastDisconnect.code, 401);
  assert.equal((await gw.ok('DELETE', `/api/instance/${id}`)).id, id);
  await fails(404, 'INSTANCE_NOT_FOUND', 'GET', `/api/instance/${id}`);
});

test('a key that is bound to one instance sees no other', async () => {
  const { apiKey } = await post('/api/auth/generate-key', { name: 'bound', permissions: ['read'], instanceIds: [b.id] });
  const as = { 'X-API-Key': apiKey };
  assert.deepEqual((await gw.call('GET', '/api/instance', undefined, as)).body.data.map(i => i.id), [b.id]);
  await fails(404, 'INSTANCE_NOT_FOUND', 'GET', `/api/instance/${a.id}`, undefined, as);
  await fails(404, 'INSTANCE_NOT_FOUND', 'GET', `/api/webhook/logs?instanceId=${a.id}`, undefined, as);
  await fails(400, 'VALIDATION_FAILED', 'GET', '/api/webhook/logs', undefined, as);
  await fails(403, 'AUTH_FORBIDDEN', 'POST', `/api/instance/${b.id}/restart`, undefined, as);
  await fails(403, 'AUTH_FORBIDDEN', 'POST', '/api/auth/generate-key', { name: 'more' }, as);
  await fails(401, 'AUTH_INVALID', 'GET', '/api/instance', undefined, { 'X-API-Key': 'wagw_wrong' });
});

test('the sandbox has nothing to complain about', async () => {
  const { unhandled, faults } = await sandbox.complaints();
  assert.deepEqual(unhandled, []);
  assert.deepEqual(faults, []);
});

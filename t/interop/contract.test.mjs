// What callers rely on (design/rest-contract.md), found by asking from
// outside: answers, sentences and events that no other file looks at.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, a;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  a = new Client(sandbox, 'Anna');
  await a.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
  await gw.send(me.id, a.phone, 'hello');
  await a.message('hello');
});
after(async () => {
  await a?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const pn = phone => `${phone}@s.whatsapp.net`;

async function incoming(text) {
  const m = await a.send(pn(me.phone), text);
  await gw.event('message.received', d => d.messageId === m.key.id);
  return m.key.id;
}

function multipart(boundary, parts, key) {
  const body = Buffer.concat([
    ...parts.map(([head, value]) => Buffer.concat([
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`), Buffer.from(value), Buffer.from('\r\n')])),
    Buffer.from(`--${boundary}--\r\n`)]);
  return new Promise((resolve, reject) => {
    const req = http.request({
      host: '127.0.0.1', port: gw.port, path: '/api/message/send/file', method: 'POST', agent: gw.agent,
      headers: {
        'X-API-Key': gw.key, 'Content-Type': `multipart/form-data; boundary=${boundary}`,
        'Content-Length': body.length, 'Idempotency-Key': key,
      },
    }, res => {
      const got = [];
      res.on('data', d => got.push(d));
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: JSON.parse(Buffer.concat(got)) }));
    });
    req.on('error', reject);
    req.end(body);
  });
}

test('a form sent again is the same form, whatever boundary the client made up', async () => {
  const file = Buffer.alloc(200000, 'some text\r\n--b');
  const form = f => [['name="instanceId"', me.id], ['name="to"', a.phone], ['name="file"; filename="a.bin"', f]];
  const first = await multipart('one', form(file), 'form');
  assert.equal(first.status, 200, JSON.stringify(first.body));
  const again = await multipart('----another-boundary', form(file), 'form');
  assert.equal(again.status, 200, JSON.stringify(again.body));
  assert.equal(again.headers['idempotent-replayed'], 'true');
  assert.equal(again.body.data.messageId, first.body.data.messageId);
  const other = await multipart('two', form(Buffer.concat([file, Buffer.from('!')])), 'form');
  assert.deepEqual([other.status, other.body.code], [409, 'IDEMPOTENCY_CONFLICT']);
});

test('the first change that the phone makes in a collection is an event', async () => {
  const about = (collection, index, value, version) => sandbox.post('/mock-phone/app-state', { phone: me.phone, collection, index, value, version });
  await about('critical_unblock_low', ['contact', pn(a.phone)], { contactAction: { fullName: 'Anna B', firstName: 'Anna' } }, 2);
  const contact = await gw.event('contact.update', d => d.jid === pn(a.phone));
  assert.equal(contact.data.name, 'Anna B');
  assert.equal(contact.data.lid, a.lidUser);
  await about('regular_low', ['archive', pn(a.phone)], { archiveChatAction: { archived: true } }, 3);
  const archived = await gw.event('chat.archive', d => d.chatId === pn(a.phone));
  assert.equal(archived.data.archived, true);
  await about('regular_low', ['archive', pn(a.phone)], { archiveChatAction: { archived: false } }, 3);
  await gw.event('chat.archive', d => d.chatId === pn(a.phone) && d.archived === false);
});

test('details of a message that is not stored are 404; of one that has none, an empty list', async () => {
  const id = await incoming('nobody reacts');
  for (const what of ['receipts', 'reactions']) {
    const none = await gw.call('GET', `/api/message/${me.id}/NOPE/${what}`);
    assert.deepEqual([what, none.status, none.body.code], [what, 404, 'MESSAGE_NOT_FOUND']);
    assert.deepEqual(await gw.ok('GET', `/api/message/${me.id}/${id}/${what}`), []);
  }
});

test('sentences: read, presence', async () => {
  await incoming('to be read');
  let r = await gw.call('POST', `/api/message/read/${me.id}/${a.phone}`);
  assert.deepEqual([r.status, r.body.message], [200, 'Messages marked as read']);
  r = await gw.call('POST', '/api/message/seen', { instanceId: me.id, chatId: a.phone });
  assert.deepEqual([r.status, r.body.message], [200, 'Messages marked as seen']);
  for (const presence of ['composing', 'recording', 'paused', 'unavailable', 'available']) {
    r = await gw.call('POST', '/api/message/presence', { instanceId: me.id, presence, chatId: a.phone });
    assert.deepEqual([r.status, r.body.message], [200, `Presence updated to ${presence}`]);
  }
});

test('pages of messages: before and after take a message or a time; a wrong type is refused', async () => {
  const ids = [];
  for (const n of [1, 2, 3, 4, 5]) ids.unshift(await incoming(`page ${n}`));
  for (const base of [`/api/chats/${me.id}/${a.phone}/messages`, `/api/message/chat/${me.id}/${a.phone}`]) {
    const all = await gw.ok('GET', `${base}?limit=5`);
    assert.deepEqual(all.map(m => m.messageId), ids);
    const page = async q => (await gw.ok('GET', `${base}?limit=5&${q}`)).map(m => m.messageId);
    assert.equal((await page(`before=${ids[1]}`))[0], ids[2]);
    assert.deepEqual(await page(`after=${ids[1]}`), [ids[0]]);
    const older = all.filter(m => m.timestamp < all[1].timestamp).map(m => m.messageId);
    assert.deepEqual((await page(`before=${all[1].timestamp}`)).slice(0, older.length), older);
    assert.deepEqual(await page(`after=${all[1].timestamp}`), all.filter(m => m.timestamp > all[1].timestamp).map(m => m.messageId));
    const none = await gw.call('GET', `${base}?before=NOPE`);
    assert.deepEqual([none.status, none.body.code], [404, 'MESSAGE_NOT_FOUND']);
  }
  const chat = await gw.call('GET', `/api/message/chat/${me.id}/15550009999`);
  assert.deepEqual([chat.status, chat.body.code], [404, 'CHAT_NOT_FOUND']);
  for (const where of [`/api/message/all/${me.id}`, `/api/chats/${me.id}/${a.phone}/messages`]) {
    const r = await gw.call('GET', `${where}?type=novel`);
    assert.deepEqual([r.status, r.body.code], [400, 'VALIDATION_FAILED']);
  }
});

test('a group that does not exist is named as such', async () => {
  const r = await gw.call('POST', '/api/message/send/text', { instanceId: me.id, to: '120363999999999999@g.us', message: 'anybody?' });
  assert.deepEqual([r.status, r.body.code], [404, 'GROUP_NOT_FOUND']);
});

test('markReadOnReceive: what was marked read does not count as unread', async () => {
  await incoming('first');
  await gw.ok('POST', `/api/message/read/${me.id}/${a.phone}`);
  await gw.ok('PUT', `/api/instance/${me.id}/settings`, { markReadOnReceive: true });
  const m = await a.send(pn(me.phone), 'read at once');
  await sandbox.nodes(me.phone, { dir: 'in', tag: 'receipt', id: m.key.id, type: 'read' });
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${a.phone}`)).unreadCount, 0);
  await gw.ok('PUT', `/api/instance/${me.id}/settings`, { markReadOnReceive: false });
  await incoming('not yet');
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${a.phone}`)).unreadCount, 1);
});

test('a message of another chat is quoted with the chat it lives in', async () => {
  const group = (await a.sock.groupCreate('Quotes', [pn(me.phone)])).id;
  await gw.send(me.id, group, 'first');
  await a.message('first');
  const asked = await a.send(group, 'asked in the group');
  await gw.event('message.received', d => d.messageId === asked.key.id);

  const answer = await gw.send(me.id, a.phone, 'answered in private', { quotedMessageId: asked.key.id });
  let c = (await a.message('answered in private')).message.extendedTextMessage.contextInfo;
  assert.equal(c.stanzaId, asked.key.id);
  assert.equal(c.remoteJid, group);
  assert.ok([a.lidUser, pn(a.phone)].includes(c.participant), c.participant);
  assert.equal(c.quotedMessage.extendedTextMessage?.text ?? c.quotedMessage.conversation, 'asked in the group');
  const row = await gw.ok('GET', `/api/message/${me.id}/${answer.messageId}`);
  assert.equal(row.quoted.id, asked.key.id);

  // the other way round, and within one chat without a chat
  await gw.send(me.id, group, 'told to all', { quotedMessageId: answer.messageId });
  c = (await a.message('told to all')).message.extendedTextMessage.contextInfo;
  assert.equal(c.stanzaId, answer.messageId);
  assert.ok(c.remoteJid && c.remoteJid !== group, c.remoteJid);
  await gw.send(me.id, group, 'here', { quotedMessageId: asked.key.id });
  c = (await a.message('here')).message.extendedTextMessage.contextInfo;
  assert.deepEqual([c.stanzaId, c.remoteJid || null], [asked.key.id, null]);
  const none = await gw.call('POST', '/api/message/send/text', { instanceId: me.id, to: a.phone, message: 'x', quotedMessageId: 'NOPE' });
  assert.deepEqual([none.status, none.body.code], [404, 'MESSAGE_NOT_FOUND']);

  // the author of a group's message, in the row as in the event
  const stored = await gw.ok('GET', `/api/message/${me.id}/${asked.key.id}`);
  const told = gw.events.find(e => e.event === 'message.received' && e.data.messageId === asked.key.id).data;
  for (const d of [stored, told]) assert.deepEqual([d.from, d.participant, d.chatId], [pn(a.phone), pn(a.phone), group]);
});

test('a vote without the chat: the poll is found, the sentence is the vote\'s', async () => {
  const poll = await a.send(pn(me.phone), { poll: { name: 'Tea?', values: ['yes', 'no'], selectableCount: 1 } });
  await gw.event('message.received', d => d.messageId === poll.key.id);
  const vote = { instanceId: me.id, pollMessageId: poll.key.id, selectedOptions: ['yes'] };
  for (const more of [{}, { chatId: a.phone }]) {
    const r = await gw.call('POST', '/api/message/send/poll-vote', { ...vote, ...more });
    assert.deepEqual([r.status, r.body.message], [200, 'Poll vote submitted successfully']);
  }
  const none = await gw.call('POST', '/api/message/send/poll-vote', { ...vote, pollMessageId: 'NOPE' });
  assert.deepEqual([none.status, none.body.code], [404, 'MESSAGE_NOT_FOUND']);
});

test('media: all members are there, what is not known is null', async () => {
  const id = await a.sock.relayMessage(pn(me.phone), {
    documentMessage: { mimetype: 'text/plain', fileLength: 9, fileName: 'a.txt', fileSha256: Buffer.alloc(32, 1), mediaKey: Buffer.alloc(32, 2), directPath: '/v/t62' },
  }, {});
  const { data } = await gw.event('message.received', d => d.messageId === id);
  for (const { media } of [data, await gw.ok('GET', `/api/message/${me.id}/${id}`)]) {
    assert.deepEqual({ ...media, sha256: typeof media.sha256 },
      { mimetype: 'text/plain', size: 9, fileName: 'a.txt', duration: null, width: null, height: null, sha256: 'string' });
  }
});

test('deleted for everyone below the chat: revoked at the other end, the row is gone', async () => {
  const kept = await gw.send(me.id, a.phone, 'stays');
  const r = await gw.send(me.id, a.phone, 'goes');
  await a.message('goes');
  const where = `/api/chats/${me.id}/${a.phone}/messages/${r.messageId}`;
  const gone = await gw.call('DELETE', where);
  assert.deepEqual([gone.status, gone.body.data, gone.body.message],
    [200, { deleted: { messageId: r.messageId, count: 1 } }, 'Message deleted successfully']);
  await a.message(m => m.message?.protocolMessage?.key?.id === r.messageId, 'the revocation');
  for (const [method, code] of [['GET', 404], ['DELETE', 404]]) assert.equal((await gw.call(method, where)).status, code);
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${a.phone}`)).lastMessage, 'stays');
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/${kept.messageId}`)).body, 'stays');

  const other = await gw.send(me.id, a.phone, 'revoked by its id');
  await gw.ok('DELETE', `/api/message/${me.id}/${other.messageId}?scope=everyone`);
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/${other.messageId}`)).isRevoked, true);
});

test('a contact that is changed answers as GET does', async () => {
  const get = () => gw.ok('GET', `/api/contacts/${me.id}?phoneNumber=${a.phone}`);
  for (const [where, body, name] of [
    ['update', { phone: a.phone, firstName: 'Anna', fullName: 'Anna One' }, 'Anna One'],
    [a.phone, { name: 'Anna Two' }, 'Anna Two']]) {
    const r = await gw.call('PUT', `/api/contacts/${me.id}/${where}`, body);
    assert.deepEqual([r.status, r.body.message, r.body.data.name], [200, 'Contact updated successfully', name]);
    assert.deepEqual(r.body.data, await get());
    assert.deepEqual(Object.keys(r.body.data).sort(),
      ['isBlocked', 'isBusiness', 'isMe', 'jid', 'lid', 'name', 'phoneNumber', 'pushName', 'verifiedName']);
  }

  // that name is the chat's, in events too
  const from = gw.events.length;
  await gw.ok('POST', `/api/chats/${me.id}/${a.phone}/archive`);
  const e = await gw.until(() => gw.events.slice(from).find(x => x.event === 'chat.archive'), 'chat.archive');
  assert.equal(e.data.chatName, (await gw.ok('GET', `/api/chats/${me.id}/${a.phone}`)).name);
  assert.equal(e.data.chatName, 'Anna Two');
  await gw.ok('POST', `/api/chats/${me.id}/${a.phone}/unarchive`);
});

test('a number that is learnt for a LID is an event, once', async () => {
  const bea = await sandbox.post('/mock-user', { name: 'Bea Learnt', autoReceipt: true });
  const { id } = await sandbox.post('/mock-user/send', { from: 'Bea Learnt', to: me.phone, text: 'hi' });
  await gw.event('message.received', d => d.messageId === id);
  const lid = bea.lid.replace(/:\d+@/, '@');
  const e = await gw.event('lid.mapping', d => d.lid === lid);
  assert.equal(e.data.phoneNumber, bea.phone);
  assert.equal(e.data.source, 'message');
  const again = await sandbox.post('/mock-user/send', { from: 'Bea Learnt', to: me.phone, text: 'hi again' });
  await gw.event('message.received', d => d.messageId === again.id);
  assert.equal(gw.events.filter(x => x.event === 'lid.mapping' && x.data.lid === lid).length, 1);
  assert.equal(gw.events.filter(x => x.event === 'lid.mapping' && x.data.phoneNumber === me.phone).length, 0, 'not the own pair');
  assert.equal((await gw.ok('GET', `/api/contacts/${me.id}/lids/${lid}`)).phoneNumber, bea.phone);
});

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

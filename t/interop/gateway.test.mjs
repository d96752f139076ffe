// The gateway between two real Baileys clients: every direction, both
// addressings, copies, receipts, edits, retries (issue 2, acceptance 3).

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client, textOf } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, a, b;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  a = new Client(sandbox, 'Anna');
  b = new Client(sandbox, 'Bert');
  await a.pairByQr(sandbox);
  await b.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
});
after(async () => {
  for (const c of [a, b]) await c?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const pn = phone => `${phone}@s.whatsapp.net`;

test('first contact from the gateway, by phone number', async () => {
  const r = await gw.send(me.id, a.phone, 'gateway to Anna');
  assert.equal(r.status, 'sent');
  assert.equal(r.chatId, pn(a.phone));
  const got = await a.message('gateway to Anna');
  assert.equal(got.key.id, r.messageId);
  const sent = await gw.event('message.sent', d => d.messageId === r.messageId);
  assert.equal(sent.data.source, 'api');
  await gw.event('message.ack', d => d.messageId === r.messageId && d.ack === 2, 'delivered');
  await a.sock.readMessages([got.key]);
  const ack = await gw.event('message.ack', d => d.messageId === r.messageId && d.ack === 3, 'read');
  assert.equal(ack.data.chatId, pn(a.phone));
  const [copy] = await sandbox.inbox(me.phone, { id: r.messageId });
  assert.equal(copy.fromMe, true);
  assert.equal(copy.error, undefined);
  const [theirs] = await sandbox.inbox(a.phone, { id: r.messageId });
  assert.equal(theirs.error, undefined);
});

test('answers come in, and the established session is used', async () => {
  const m = await a.send(pn(me.phone), 'Anna to gateway');
  const e = await gw.event('message.received', d => d.messageId === m.key.id);
  assert.equal(e.data.body, 'Anna to gateway');
  assert.equal(e.data.chatId, pn(a.phone));
  assert.equal(e.data.from, pn(a.phone));
  assert.equal(e.data.pushName, 'Anna');
  // not available: the phone shows the second tick, not the companion
  const [quiet] = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'receipt', id: m.key.id });
  assert.equal(quiet.node.attrs.type, 'inactive');

  const r = await gw.send(me.id, a.phone, 'established');
  const got = await a.message('established');
  assert.equal(got.key.id, r.messageId);
  const [n] = await sandbox.nodes(a.jid, { dir: 'out', tag: 'message', id: r.messageId });
  assert.equal(n.node.content.find(c => c.tag === 'enc').attrs.type, 'msg');
});

test('first contact from outside, by LID, then back by LID', async () => {
  const m = await b.send(me.lid, 'Bert by LID');
  const e = await gw.event('message.received', d => d.messageId === m.key.id);
  assert.equal(e.data.body, 'Bert by LID');
  assert.equal(e.data.chatId, pn(b.phone), 'the phone form is known');
  const r = await gw.send(me.id, b.lidUser, 'back by LID');
  assert.equal(r.chatId, pn(b.phone));
  await b.message('back by LID');
  await b.send(pn(me.phone), 'Bert by number');
  await gw.event('message.received', d => d.body === 'Bert by number');
  const chats = await gw.ok('GET', `/api/chats/${me.id}`);
  assert.equal(chats.filter(c => JSON.stringify(c).includes(b.phone)).length, 1, 'one chat for one person');
});

test('quote, mention, reaction, edit, revoke and forward reach Baileys', async () => {
  const m = await a.send(pn(me.phone), 'quote me');
  await gw.event('message.received', d => d.messageId === m.key.id);
  const q = await gw.send(me.id, a.phone, 'quoting', { quotedMessageId: m.key.id, mentions: [a.phone] });
  const got = await a.message('quoting');
  assert.equal(got.key.id, q.messageId);
  assert.equal(got.message.extendedTextMessage.contextInfo.stanzaId, m.key.id);
  assert.equal(got.message.extendedTextMessage.contextInfo.mentionedJid.length, 1);

  await gw.ok('PUT', '/api/message/reaction', { instanceId: me.id, chatId: a.phone, messageId: m.key.id, emoji: '👍' });
  await a.until(() => a.reactions.find(r => r.key.id === m.key.id && r.reaction.text === '👍'), 'reaction');

  await gw.ok('PUT', '/api/message/edit', { instanceId: me.id, chatId: a.phone, messageId: q.messageId, newText: 'edited' });
  await a.until(() => JSON.stringify(a.updates).includes('edited') || a.messages.some(x => JSON.stringify(x.message.message ?? {}).includes('edited')), 'edit');
  const row = await gw.ok('GET', `/api/message/${me.id}/${q.messageId}`);
  assert.equal(row.body, 'edited');
  assert.equal(row.isEdited, true);

  const f = await gw.ok('POST', '/api/message/forward', { instanceId: me.id, to: b.phone, messageId: m.key.id });
  const fw = await b.message('quote me');
  assert.equal(fw.key.id, f.messageId);
  assert.equal(fw.message.extendedTextMessage?.contextInfo?.isForwarded, true);

  await gw.ok('POST', '/api/message/revoke', { instanceId: me.id, chatId: a.phone, messageId: q.messageId });
  await a.until(() => a.messages.some(x => x.message.message?.protocolMessage?.type === 0) ||
    a.updates.some(u => u.key.id === q.messageId && u.update.message === null), 'revoke');
  await gw.event('message.revoked', d => d.messageId === q.messageId && d.revokedBy === 'me');
});

test('reaction, edit and revoke from Baileys become events', async () => {
  const r = await gw.send(me.id, a.phone, 'react to this');
  const got = await a.message('react to this');
  await a.send(pn(me.phone), { react: { text: '❤️', key: got.key } });
  const e = await gw.event('message.reaction', d => d.messageId === r.messageId && d.emoji === '❤️');
  assert.equal(e.data.from, pn(a.phone));

  const m = await a.send(pn(me.phone), 'before the edit');
  await gw.event('message.received', d => d.messageId === m.key.id);
  await a.send(pn(me.phone), { text: 'after the edit', edit: m.key });
  const ed = await gw.event('message.edited', d => d.messageId === m.key.id);
  assert.equal(ed.data.oldBody, 'before the edit');
  assert.equal(ed.data.newBody, 'after the edit');

  await a.send(pn(me.phone), { delete: m.key });
  const rv = await gw.event('message.revoked', d => d.messageId === m.key.id);
  assert.equal(rv.data.revokedBy, 'them');
  assert.equal(rv.data.originalMessage.body, 'after the edit');
});

test('seen marks as read at the sender; typing is shown', async () => {
  const m = await a.send(pn(me.phone), 'please read');
  await gw.event('message.received', d => d.messageId === m.key.id);
  await gw.ok('POST', '/api/message/seen', { instanceId: me.id, chatId: a.phone });
  await a.status(m.key.id, 4);
  const chats = await gw.ok('GET', `/api/chats/${me.id}`);
  assert.equal(chats.find(c => JSON.stringify(c).includes(a.phone)).unreadCount, 0);

  await gw.ok('POST', '/api/message/presence', { instanceId: me.id, presence: 'available' });
  const seen = await a.send(pn(me.phone), 'while available');
  await a.status(seen.key.id, 3);
  await gw.ok('POST', '/api/message/typing/start', { instanceId: me.id, chatId: a.phone });
  const [n] = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'chatstate' });
  assert.equal(n.node.content[0].tag, 'composing');
});

test('a message damaged on its way to the gateway is repaired by a retry', async () => {
  await sandbox.post('/chaos', { device: me.entry.jid, action: 'mangle', tag: 'message', count: 1 });
  const m = await a.send(pn(me.phone), 'damaged to the gateway');
  const e = await gw.event('message.received', d => d.messageId === m.key.id);
  assert.equal(e.data.body, 'damaged to the gateway');
  await gw.event('message.undecryptable', d => d.messageId === m.key.id);
  assert.equal(gw.events.filter(x => x.event === 'message.received' && x.data.messageId === m.key.id).length, 1);
});

test('a message damaged on its way to Baileys is sent again', async () => {
  await sandbox.post('/chaos', { device: a.jid, action: 'mangle', tag: 'message', count: 1 });
  const r = await gw.send(me.id, a.phone, 'damaged to Anna');
  const got = await a.message('damaged to Anna');
  assert.equal(got.key.id, r.messageId);
});

test('a second companion of the gateway account gets copies, and its own messages come as events', async () => {
  const c = new Client(sandbox, 'Gate');
  await c.pairByQr(sandbox, { phone: me.phone });
  try {
    await gw.send(me.id, a.phone, 'with a companion');
    const copy = await c.message('with a companion');
    assert.equal(copy.key.fromMe, true);
    await c.send(pn(a.phone), 'typed on the companion');
    const e = await gw.event('message.sent', d => d.body === 'typed on the companion');
    assert.equal(e.data.source, 'app');
    assert.equal(e.data.chatId, pn(a.phone));
    await a.send(pn(me.phone), 'to both');
    await c.message('to both');
    await gw.event('message.received', d => d.body === 'to both');
  } finally {
    await c.stop();
  }
});

test('linking by code', async () => {
  const other = await gw.pairByCode('Codie', '15557654321');
  const r = await gw.send(other.id, a.phone, 'from the code account');
  const got = await a.message('from the code account');
  assert.equal(got.key.id, r.messageId);
  const m = await a.send(pn(other.phone), 'to the code account');
  await gw.event('message.received', (d, e) => d.messageId === m.key.id && e.instanceId === other.id);
});

test('nothing was unhandled, and no protocol mistake was seen', async () => {
  const { unhandled, faults } = await sandbox.complaints();
  assert.deepEqual(unhandled, []);
  assert.deepEqual(faults, []);
});

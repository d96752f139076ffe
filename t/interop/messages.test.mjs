import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client, textOf } from './lib.mjs';

let sandbox, a, b, b2;

before(async () => {
  sandbox = await Sandbox.start();
  a = new Client(sandbox, 'Anna');
  b = new Client(sandbox, 'Bert');
  await a.pairByQr(sandbox);
  await b.pairByQr(sandbox);
});
after(async () => {
  for (const c of [a, b, b2]) await c?.stop();
  await sandbox.stop();
});

for (const form of ['pnUser', 'lidUser']) {
  test(`texts both ways by ${form}, with receipts and phone copies`, async () => {
    const one = await a.send(b[form], `first by ${form}`);
    const got = await b.message(`first by ${form}`);
    assert.equal(got.key.id, one.key.id);
    assert.equal(got.key.fromMe, false);
    assert.equal(got.pushName, 'Anna');
    assert.equal(got.key.remoteJid, a[form]);
    await a.status(one.key.id, 3);

    const two = await b.send(a[form], `answer by ${form}`);
    await a.message(`answer by ${form}`);
    await b.status(two.key.id, 3);

    // established sessions: no prekey message any more
    const three = await a.send(b[form], `second by ${form}`);
    await b.message(`second by ${form}`);
    const [n] = await sandbox.nodes(b.jid, { dir: 'out', tag: 'message', id: three.key.id });
    assert.equal(n.node.content.find(c => c.tag === 'enc').attrs.type, 'msg');

    await b.sock.readMessages([got.key]);
    await a.status(one.key.id, 4);

    const [copy] = await sandbox.inbox(a.phone, { id: one.key.id });
    assert.equal(copy.fromMe, true);
    assert.equal(copy.error, undefined);
    assert.equal(copy.chat, b[form]);
    assert.match(JSON.stringify(copy.message), new RegExp(`first by ${form}`));
    const [theirs] = await sandbox.inbox(b.phone, { id: one.key.id });
    assert.equal(theirs.fromMe, false);
    assert.equal(theirs.chat, a[form]);
    assert.match(JSON.stringify(theirs.message), new RegExp(`first by ${form}`));
  });
}

test('a damaged message is repaired by a retry', async () => {
  await sandbox.post('/chaos', { device: b.jid, action: 'mangle', tag: 'message', count: 1 });
  const m = await a.send(b.lidUser, 'damaged on the way');
  await b.message('damaged on the way');
  const retries = await sandbox.nodes(b.jid, { dir: 'in', tag: 'receipt', type: 'retry', id: m.key.id });
  assert.ok(retries.length >= 1);
  const [again] = await sandbox.nodes(a.jid, { dir: 'in', tag: 'message', id: m.key.id, min: 2 });
  assert.ok(again);
});

test('what comes while a client is away waits for it', async () => {
  await b.away();
  const ids = [];
  for (const text of ['away 1', 'away 2', 'away 3']) ids.push((await a.send(b.lidUser, text)).key.id);
  const waiting = await sandbox.get('/pending', { device: b.jid });
  for (const id of ids) assert.ok(waiting.some(w => w.tag === 'message' && w.id === id));

  const opens = b.opens;
  b.connect();
  await b.open(opens + 1);
  await b.online();
  for (const text of ['away 1', 'away 2', 'away 3']) await b.message(text);
  const order = b.messages.map(x => textOf(x.message)).filter(x => /^away/.test(x ?? ''));
  assert.deepEqual(order, ['away 1', 'away 2', 'away 3']);
  for (const id of ids) await sandbox.nodes(b.jid, { dir: 'in', tag: 'receipt', id });
  assert.ok(!(await sandbox.get('/pending', { device: b.jid })).some(w => ids.includes(w.id)));
});

test('presence and typing reach the other side', async () => {
  await b.sock.sendPresenceUpdate('available');
  await a.sock.sendPresenceUpdate('available');
  await a.sock.presenceSubscribe(b.lidUser);
  await a.until(() => a.presences.some(p => Object.values(p.presences).some(x => x.lastKnownPresence === 'available')),
    'presence');
  await b.sock.sendPresenceUpdate('composing', a.lidUser);
  await a.until(() => a.presences.some(p => Object.values(p.presences).some(x => x.lastKnownPresence === 'composing')),
    'typing');
});

test('reaction, edit and revoke arrive', async () => {
  const m = await a.send(b.lidUser, 'to be changed');
  const got = await b.message('to be changed');
  await b.send(a.lidUser, { react: { text: '👍', key: got.key } });
  await a.until(() => a.reactions.some(r => r.key.id === m.key.id && r.reaction.text === '👍'), 'reaction');
  await a.send(b.lidUser, { text: 'changed', edit: m.key });
  await b.until(() => b.updates.some(u => u.key.id === m.key.id && u.update.message?.editedMessage), 'edit');
  await a.send(b.lidUser, { delete: m.key });
  await b.until(() => b.updates.some(u => u.key.id === m.key.id && u.update.messageStubType === 1), 'revoke');
});

test('devices, contacts and profiles answer queries', async () => {
  const [hit] = await a.sock.onWhatsApp(b.phone);
  assert.equal(hit.exists, true);
  assert.equal(hit.jid, b.pnUser);
  const none = await a.sock.onWhatsApp('4990000000001');
  assert.ok(none.length === 0 || none[0].exists === false);
  await b.sock.updateProfileStatus('at sea');
  const [about] = await a.sock.fetchStatus(b.pnUser);
  assert.equal(about.status.status, 'at sea');
  const privacy = await a.sock.fetchPrivacySettings(true);
  assert.equal(privacy.readreceipts, 'all');
  await a.sock.updateReadReceiptsPrivacy('none');
  assert.equal((await a.sock.fetchPrivacySettings(true)).readreceipts, 'none');
  await a.sock.updateReadReceiptsPrivacy('all');
});

test('the phone gives a message again to a companion that asks', async () => {
  await a.send(b.lidUser, 'ask your phone');
  const got = await b.message('ask your phone');
  await sandbox.inbox(b.phone, { id: got.key.id });
  await b.sock.requestPlaceholderResend({ ...got.key, id: got.key.id });
  await b.until(() => b.messages.filter(m => textOf(m.message) === 'ask your phone').length === 2, 'second copy');
});

test('what a blocked user writes does not arrive', async () => {
  await b.sock.updateBlockStatus(a.lidUser, 'block');
  assert.equal((await b.sock.fetchBlocklist()).length, 1);
  const m = await a.send(b.lidUser, 'from a blocked user');
  await a.until(() => a.statusOf(m.key.id) === 2 || a.messages.some(x => x.message.key.id === m.key.id), 'own copy');
  await b.sock.updateBlockStatus(a.lidUser, 'unblock');
  await a.send(b.lidUser, 'from a friend again');
  await b.message('from a friend again');
  assert.ok(!b.messages.some(x => textOf(x.message) === 'from a blocked user'));
});

test('a second companion gets its copies', async () => {
  b2 = new Client(sandbox, 'Bert');
  await b2.pairByQr(sandbox, { phone: b.phone });
  await sandbox.nodes(a.jid, { dir: 'in', tag: 'ack', type: 'devices' });
  await sandbox.nodes(b.jid, { dir: 'in', tag: 'ack', type: 'devices' });

  // by phone number: Baileys applies a device notification to that cached list only
  await a.send(b.pnUser, 'to both');
  await b.message('to both');
  await b2.message('to both');

  const m = await b.send(a.pnUser, 'from the first');
  await a.message('from the first');
  const copy = await b2.message('from the first');
  assert.equal(copy.key.fromMe, true);
  assert.equal(copy.key.id, m.key.id);
  assert.equal(copy.key.remoteJid, a.pnUser);

  const back = await b2.send(a.pnUser, 'from the second');
  await a.message('from the second');
  const mine = await b.message('from the second');
  assert.equal(mine.key.fromMe, true);
  assert.equal(mine.key.id, back.key.id);
});

test('nothing was unhandled and no client made a mistake', async () => {
  assert.deepEqual(await sandbox.complaints(), { unhandled: [], faults: [] });
});

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client } from './lib.mjs';

let sandbox, a;

before(async () => {
  sandbox = await Sandbox.start();
  a = new Client(sandbox, 'Anna');
  await a.pairByQr(sandbox);
});
after(async () => {
  await a?.stop();
  await sandbox.stop();
});

test('a mock user writes, is answered, and receipts what it is told to', async () => {
  const bea = await sandbox.post('/mock-user', { name: 'Bea' });
  assert.match(bea.jid, /^1555\d{8}@s\.whatsapp\.net$/);
  assert.match(bea.lid, /^1\d{14}@lid$/);

  const { id } = await sandbox.post('/mock-user/send', { from: 'Bea', to: a.lid, text: 'hello from Bea' });
  const got = await a.message('hello from Bea');
  assert.equal(got.key.id, id);
  assert.equal(got.key.remoteJid, bea.lid);
  assert.equal(got.pushName, 'Bea');

  const m = await a.send(bea.lid, 'hello Bea');
  const [copy] = await sandbox.inbox(bea.phone, { contains: 'hello Bea' });
  assert.equal(copy.id, m.key.id);
  assert.equal(copy.fromMe, false);
  assert.equal(copy.error, undefined);
  const [mine] = await sandbox.inbox(a.phone, { chat: bea.jid, contains: 'hello Bea' });
  assert.equal(mine.fromMe, true);

  await sandbox.post('/mock-user/receipt', { from: 'Bea', to: a.jid, id: m.key.id });
  await a.status(m.key.id, 3);
  await sandbox.post('/mock-user/receipt', { from: 'Bea', to: a.jid, ids: [m.key.id], type: 'read' });
  await a.status(m.key.id, 4);
});

test('by phone number too', async () => {
  const cara = await sandbox.post('/mock-user', { name: 'Cara', phone: '4915110000001', autoReceipt: true });
  assert.equal(cara.jid, '4915110000001@s.whatsapp.net');
  await sandbox.post('/mock-user/send', { from: cara.phone, to: a.pnUser, text: 'hello by number' });
  const got = await a.message('hello by number');
  assert.equal(got.key.remoteJid, cara.jid);
  const m = await a.send(cara.jid, 'hello Cara');
  await a.status(m.key.id, 3);
});

test('autoRead and echo', async () => {
  const echo = await sandbox.post('/mock-user', { name: 'Echo', echo: true, autoReceipt: true, autoRead: true });
  const m = await a.send(echo.lid, 'say it again');
  await a.status(m.key.id, 4);
  const got = await a.message(x => !x.key.fromMe && x.key.remoteJid === echo.lid, 'echo');
  assert.match(JSON.stringify(got.message), /say it again/);
});

test('a message with a damaged ciphertext is repaired by the retry', async () => {
  const { id } = await sandbox.post('/mock-user/send', { from: 'Bea', to: a.lid, text: 'scratched', badEnc: true });
  const got = await a.message('scratched');
  assert.equal(got.key.id, id);
  await sandbox.nodes(a.jid, { dir: 'in', tag: 'receipt', type: 'retry', id });
});

test('a first message that is damaged is repaired as well', async () => {
  await sandbox.post('/mock-user', { name: 'Dora' });
  const { id } = await sandbox.post('/mock-user/send', { from: 'Dora', to: a.lid, text: 'first and bad', badEnc: true });
  const got = await a.message('first and bad');
  assert.equal(got.key.id, id);
});

test('any message content can be sent, under a given id', async () => {
  await sandbox.post('/mock-user/send', {
    from: 'Bea',
    to: a.lid,
    id: '3AFFEE0000000001',
    message: { locationMessage: { degreesLatitude: 52.5, degreesLongitude: 13.4, name: 'Berlin' } },
  });
  const got = await a.message(m => m.key.id === '3AFFEE0000000001', 'location');
  assert.equal(got.message.locationMessage.name, 'Berlin');
  const bad = await sandbox.call('POST', '/mock-user/send', { from: 'Bea', to: a.lid, message: { nonsense: 1 } });
  assert.equal(bad.status, 400);
  const who = await sandbox.call('POST', '/mock-user/send', { from: 'Nobody', to: a.lid, text: 'x' });
  assert.equal(who.status, 404);
});

test("what the account's own phone types reaches both sides", async () => {
  const { id } = await sandbox.post('/mock-user/send', { from: a.phone, to: 'Bea', text: 'typed on the phone' });
  const copy = await a.message('typed on the phone');
  assert.equal(copy.key.fromMe, true);
  assert.equal(copy.key.id, id);
  const [theirs] = await sandbox.inbox('Bea', { id });
  assert.equal(theirs.fromMe, false);
});

test('a second companion that comes later reads and writes too', async () => {
  const a2 = new Client(sandbox, 'Anna');
  try {
    await a2.pairByQr(sandbox, { phone: a.phone });
    await sandbox.post('/mock-user/send', { from: 'Cara', to: a.phone, text: 'to all of you' });
    await a.message('to all of you');
    await a2.message('to all of you');
  } finally {
    await a2.stop();
  }
});

test('nothing was unhandled and no client made a mistake', async () => {
  assert.deepEqual(await sandbox.complaints(), { unhandled: [], faults: [] });
});

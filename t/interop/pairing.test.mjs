import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client } from './lib.mjs';

let sandbox;
const clients = [];
const client = (name, options) => {
  const c = new Client(sandbox, name, options);
  clients.push(c);
  return c;
};

before(async () => {
  sandbox = await Sandbox.start();
});
after(async () => {
  for (const c of clients) await c.stop();
  await sandbox.stop();
});

test('a Baileys client links by QR, restarts, logs in and uploads its keys', async () => {
  const a = client('Anna');
  const entry = await a.pairByQr(sandbox);
  assert.equal(entry.phone, a.phone);
  assert.match(entry.phone, /^1555\d{8}$/);
  assert.equal(entry.jid, a.jid);
  assert.deepEqual(a.closes, [515]);
  assert.match(a.lid, /^1\d{14}:1@lid$/);

  const [device] = await sandbox.get('/devices', { phone: a.phone });
  assert.equal(device.jid, a.jid);
  assert.equal(device.connected, true);
  assert.ok(device.preKeys >= 811, `${device.preKeys} prekeys: 812, less the one that the phone took`);
  assert.equal(device.stats.connects, 1);

  await a.until(() => a.auth.creds.myAppStateKeyId, 'app-state key');
  await a.until(() => a.auth.creds.routingInfo, 'routing info');
});

test('the same account takes a second companion and tells the first', async () => {
  const [a] = clients;
  const a2 = client('Anna');
  const entry = await a2.pairByQr(sandbox, { phone: a.phone });
  assert.equal(entry.phone, a.phone);
  assert.match(a2.jid, /:2@s\.whatsapp\.net$/);
  const [n] = await sandbox.nodes(a.jid, { dir: 'out', tag: 'notification', type: 'devices' });
  assert.equal(n.node.content[0].tag, 'add');
  await sandbox.nodes(a.jid, { dir: 'in', tag: 'ack', type: 'devices' });
});

test('a Baileys client links by code', async () => {
  const b = client('Bert');
  const entry = await b.pairByCode(sandbox, '4915112345678');
  assert.equal(entry.phone, '4915112345678');
  assert.equal(b.phone, '4915112345678');
  const [device] = await sandbox.get('/devices', { phone: b.phone });
  assert.equal(device.connected, true);
  assert.ok(device.preKeys >= 811, `${device.preKeys} prekeys: 812, less the one that the phone took`);
});

test('a wrong code is refused', async () => {
  const c = client('Carl');
  c.connect();
  await c.until(() => c.qr, 'QR code');
  const code = await c.sock.requestPairingCode('4915112345679');
  const wrong = code[0] === 'Z' ? `Y${code.slice(1)}` : `Z${code.slice(1)}`;
  const r = await sandbox.call('POST', '/mock-phone/enter-code', { phone: '4915112345679', code: wrong, wait: 10000 });
  assert.equal(r.status, 403);
  assert.ok(JSON.parse(r.body).error);
});

test('nonsense in place of a QR text is refused', async () => {
  const bad = await sandbox.call('POST', '/mock-phone/scan-qr', 'hello');
  assert.equal(bad.status, 400);
  const keys = Buffer.alloc(32).toString('base64');
  const gone = await sandbox.call('POST', '/mock-phone/scan-qr',
    `https://wa.me/settings/linked_devices#2@nobody,${keys},${keys},${keys},1`);
  assert.equal(gone.status, 404);
});

test('unlinking from the phone logs the client out', async () => {
  const a2 = clients[1];
  await sandbox.post('/mock-phone/unlink', { device: a2.jid });
  await a2.closed(401);
  const left = await sandbox.get('/devices', { phone: a2.phone });
  assert.equal(left.length, 1);
  const [n] = await sandbox.nodes(clients[0].jid, { dir: 'out', tag: 'notification', child: 'remove' });
  assert.equal(n.node.attrs.type, 'devices');
});

test('logging out from the client removes the device', async () => {
  const b = clients[2];
  const { phone } = b;
  await b.sock.logout();
  await b.closed(401);
  assert.deepEqual(await sandbox.get('/devices', { phone }), []);
  const again = client('Bert');
  again.auth = b.auth;
  again.connect();
  await again.closed(401);
});

test('nothing was unhandled and no client made a mistake', async () => {
  assert.deepEqual(await sandbox.complaints(), { unhandled: [], faults: [] });
});

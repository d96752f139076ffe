import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client, textOf } from './lib.mjs';

let sandbox, a, b;

before(async () => {
  sandbox = await Sandbox.start(['--seed', 'faults']);
  a = new Client(sandbox, 'Anna');
  b = new Client(sandbox, 'Bert');
  await a.pairByQr(sandbox);
  await b.pairByQr(sandbox);
  await a.send(b.pnUser, 'warm up');
  await b.message('warm up');
});
after(async () => {
  for (const c of [a, b]) await c?.stop();
  await sandbox.stop();
});

async function back(c, n) {
  await c.open(n + 1);
  c.stay = false;
  await c.online();
}

test('the seed makes the root key reproducible', async () => {
  const other = await Sandbox.start(['--seed', 'faults', '--plain']);
  assert.equal(other.noiseRoot, sandbox.noiseRoot);
  assert.match(other.url, /^ws:\/\/127\.0\.0\.1:\d+\/ws\/chat$/);
  await other.stop();
});

test('dropped connections: hard, with a close frame, with a stream end', async () => {
  for (const how of [{ hard: true }, {}, { end: true }]) {
    b.stay = true;
    const n = b.opens;
    await sandbox.post('/drop', { device: b.jid, ...how });
    await back(b, n);
  }
  const [device] = await sandbox.get('/devices', { phone: b.phone });
  assert.equal(device.stats.connects, 4);
});

test('stream errors', async () => {
  b.stay = true;
  let n = b.opens;
  await sandbox.post('/stream-error', { device: b.jid, code: 503 });
  await back(b, n);
  assert.equal(b.closes.at(-1), 503);
  n = b.opens;
  await sandbox.post('/stream-error', { device: b.jid, conflict: 'replaced' });
  await b.closed(440);
  b.connect();
  await back(b, n);
});

test('a second login replaces the first', async () => {
  const twin = new Client(sandbox, 'Bert');
  twin.auth = b.auth;
  twin.connect();
  await b.closed(440);
  await twin.open();
  await twin.stop();
  const n = b.opens;
  b.connect();
  await back(b, n);
});

test('refused logins', async () => {
  await b.away();
  await sandbox.post('/reject-login', { device: b.jid, code: 503, count: 1 });
  b.connect();
  await b.closed(503);
  await sandbox.post('/reject-login', { code: 405, count: 0 });
  b.connect();
  await b.closed(405);
  await sandbox.post('/reject-login', { code: 0 });
  const n = b.opens;
  b.connect();
  await back(b, n);
});

test('a damaged frame ends the connection, nothing is lost', async () => {
  b.stay = true;
  const n = b.opens;
  await sandbox.post('/chaos', { device: b.jid, action: 'close', tag: 'message', count: 1 });
  await a.send(b.pnUser, 'closed in the face');
  await back(b, n);
  await b.message('closed in the face');
});

test('held, delayed, duplicated and reordered deliveries', async () => {
  await sandbox.post('/chaos', { device: b.jid, action: 'hold', tag: 'message' });
  await a.send(b.pnUser, 'held 1');
  await a.send(b.pnUser, 'held 2');
  assert.ok(!b.messages.some(m => /^held/.test(textOf(m.message) ?? '')));
  const { released } = await sandbox.post('/chaos/release', { device: b.jid, reverse: true });
  assert.equal(released, 2);
  await b.message('held 1');
  await b.message('held 2');
  await sandbox.del(`/chaos?device=${encodeURIComponent(b.jid)}`);

  await sandbox.post('/chaos', { device: b.jid, action: 'duplicate', tag: 'message', times: 2, count: 1 });
  const twice = await a.send(b.pnUser, 'twice');
  await b.message('twice');
  await sandbox.nodes(b.jid, { dir: 'out', tag: 'message', id: twice.key.id, min: 2 });
  await sandbox.post('/chaos', { device: b.jid, action: 'delay', tag: 'message', ms: 100, count: 1 });
  await a.send(b.pnUser, 'late');
  await b.message('late');
  await sandbox.post('/chaos', { device: b.jid, action: 'reorder', tag: 'message', window: 2, count: 2 });
  await a.send(b.pnUser, 'order 1');
  await a.send(b.pnUser, 'order 2');
  await b.message('order 2');
  await b.message('order 1');
  assert.equal(b.messages.filter(m => textOf(m.message) === 'twice').length, 1);
  await sandbox.del('/chaos');
});

test('a dropped delivery comes with the next login', async () => {
  await sandbox.post('/chaos', { device: b.jid, action: 'drop', tag: 'message', count: 1 });
  const m = await a.send(b.pnUser, 'dropped once');
  const waiting = await sandbox.get('/pending', { device: b.jid });
  assert.ok(waiting.some(w => w.id === m.key.id));
  b.stay = true;
  const n = b.opens;
  await sandbox.post('/drop', { device: b.jid });
  await b.message('dropped once');
  await back(b, n);
});

test('refused messages and queries', async () => {
  await sandbox.post('/ack-error', { device: a.jid, code: 479 });
  const m = await a.send(b.pnUser, 'refused');
  await a.refused(m.key.id);
  const relayed = await sandbox.get('/nodes', { device: b.jid, tag: 'message', id: m.key.id });
  assert.deepEqual(relayed, []);

  await sandbox.post('/iq-error', { device: a.jid, xmlns: 'usync', code: 429, text: 'rate-overlimit' });
  await assert.rejects(a.sock.fetchStatus(b.pnUser), /rate-overlimit/);
  await a.sock.fetchStatus(b.pnUser);
});

test('requests to the client, and nodes of any form', async () => {
  const sent = await sandbox.post('/send-node', {
    device: a.jid,
    node: { tag: 'notification', attrs: { from: b.pnUser, type: 'psa', t: '1' }, content: [{ tag: 'x', attrs: {} }] },
  });
  const [ack] = await sandbox.nodes(a.jid, { dir: 'in', tag: 'ack', id: sent.id });
  assert.equal(ack.node.attrs.class, 'notification');
  assert.deepEqual(await sandbox.get('/pending', { device: a.jid }), []);
  const none = await sandbox.call('POST', '/request', {
    device: a.jid,
    node: { tag: 'iq', attrs: { type: 'get', xmlns: 'urn:xmpp:ping' } },
    timeoutMs: 200,
  });
  assert.equal(none.status, 504, 'Baileys does not answer pings of the server');
});

test('low prekeys are filled up', async () => {
  await sandbox.del('/nodes');
  await sandbox.post('/low-prekeys', { device: a.jid, keep: 2 });
  const [up] = await sandbox.nodes(a.jid, { dir: 'in', tag: 'iq', xmlns: 'encrypt', child: 'list' });
  assert.ok(up);
  const [device] = await sandbox.get('/devices', { phone: a.phone });
  assert.ok(device.preKeys > 2);
});

test('wrong admin calls are told what is wrong', async () => {
  for (const [method, where, body, status] of [
    ['GET', '/nothing', undefined, 404],
    ['POST', '/status', {}, 405],
    ['POST', '/chaos', { device: a.jid, action: 'explode' }, 400],
    ['POST', '/drop', { device: 'nobody' }, 404],
    ['POST', '/send-node', { device: a.jid, node: { attrs: {} } }, 400],
    ['POST', '/mock-user', {}, 400],
    ['POST', '/mock-user', '{broken', 400],
    ['GET', '/mock-phone/inbox', undefined, 400],
  ]) {
    const r = await sandbox.call(method, where, body);
    assert.equal(r.status, status, `${method} ${where}`);
    assert.ok(JSON.parse(r.body).error);
  }
});

test('reset forgets everything', async () => {
  await sandbox.post('/reset');
  await a.closed();
  await b.closed();
  assert.deepEqual(await sandbox.get('/devices'), []);
  assert.deepEqual(await sandbox.get('/unhandled'), []);
  const s = await sandbox.get('/status');
  assert.equal(s.accounts, 0);
  assert.equal(s.connections, 0);
  const c = new Client(sandbox, 'Carl');
  try {
    await c.pairByQr(sandbox);
  } finally {
    await c.stop();
  }
});

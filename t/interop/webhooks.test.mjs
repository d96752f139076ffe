// Webhooks end to end (contract 4): signatures, retries, order, views of an
// event, batches, and what survives the owner's death.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { EventEmitter } from 'node:events';
import http from 'node:http';
import { Sandbox } from './lib.mjs';
import { Gateway } from './gateway.mjs';

// A receiver that answers as the test says: answer(envelope, headers) gives a
// status, or [status, headers].
class Receiver extends EventEmitter {
  posts = [];
  answer = () => 200;

  async listen(port = 0) {
    this.server = http.createServer((req, res) => {
      const parts = [];
      req.on('data', d => parts.push(d));
      req.on('end', () => {
        const raw = Buffer.concat(parts);
        const post = { path: req.url, headers: req.headers, raw, body: JSON.parse(raw.toString()) };
        const [status, headers] = [this.answer(post.body, post.headers, req.url)].flat();
        this.posts.push({ ...post, status });
        res.writeHead(status, headers);
        res.end('seen');
        this.emit('change');
      });
    });
    await new Promise(resolve => this.server.listen(port, '127.0.0.1', resolve));
    this.port = this.server.address().port;
    return this;
  }

  url(path = '/') {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  at(path) {
    return this.posts.filter(p => p.path === path);
  }

  until(fn, what = fn.toString()) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.off('change', look);
        reject(new Error(`no ${what}: ${JSON.stringify(this.posts.map(p => [p.path, p.status, p.body.event, p.body.data]))}`));
      }, 20000);
      const look = () => {
        const v = fn();
        if (!v) return;
        clearTimeout(timer);
        this.off('change', look);
        resolve(v);
      };
      this.on('change', look);
      look();
    });
  }

  close() {
    this.server.closeAllConnections();
    return new Promise(resolve => this.server.close(resolve));
  }
}

let sandbox, gw, me, rx, peer;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox, { http: 'wagw_webhook_signature v1 hub waha;' });
  rx = await new Receiver().listen();
  me = await gw.pairByQr('Hooked');
  peer = await sandbox.post('/mock-user', { name: 'Peer' });
});
after(async () => {
  await gw?.stop();
  await rx?.close();
  await sandbox?.stop();
});

const hook = (path, more) => gw.ok('PUT', `/api/instance/${me.id}/webhook`, { url: rx.url(path), events: ['message.received'], ...more });
const off = path => hook(path, { enabled: false });
const from = (user, text) => sandbox.post('/mock-user/send', { from: user.jid, to: me.phone, text });
const logs = async query => (await gw.call('GET', `/api/webhook/logs?instanceId=${me.id}&${query}`)).body.data;

// polls the log, which tells of no change by itself; the limit is the test's
async function logged(query, fits) {
  for (;;) {
    const found = (await logs(query)).find(fits);
    if (found) return found;
  }
}

test('three signatures over what was sent, and the headers of the endpoint', async () => {
  await hook('/signed', { secret: 'a secret', headers: { 'X-Mine': 'yes', Authorization: 'Bearer q' } });
  await from(peer, 'sign me');
  const p = await rx.until(() => rx.at('/signed').find(p => p.body.data.body === 'sign me'));
  const mac = (how, ...data) => data.reduce((h, d) => h.update(d), createHmac(how, 'a secret')).digest('hex');

  assert.equal(p.headers['x-webhook-signature'], `sha256=${mac('sha256', p.headers['x-webhook-timestamp'], '.', p.raw)}`);
  assert.equal(p.headers['x-hub-signature-256'], `sha256=${mac('sha256', p.raw)}`);
  assert.equal(p.headers['x-webhook-hmac'], mac('sha512', p.raw));
  assert.equal(p.headers['x-webhook-hmac-algorithm'], 'sha512');
  assert.equal(p.headers['content-type'], 'application/json');
  assert.match(p.headers['user-agent'], /^wagw\//);
  assert.equal(p.headers['x-mine'], 'yes');
  assert.equal(p.headers.authorization, 'Bearer q');
  assert.equal(p.headers['x-instance-id'], me.id);
  assert.equal(p.headers['x-webhook-event'], 'message.received');
  assert.equal(p.headers['x-event-id'], p.body.id);
  assert.equal(p.headers['x-retry-attempt'], '0');
  assert.match(p.body.id, /^evt_[0-9A-HJKMNP-TV-Z]{26}$/);
  assert.equal(p.body.version, 1);
  assert.equal(p.body.instanceName, 'Hooked');
  await off('/signed');
});

test('a failed delivery is repeated under the same ids, counting', async () => {
  await hook('/flaky', { retry: { policy: 'constant', attempts: 5, delay: 30 } });
  rx.answer = (b, h, path) => (path === '/flaky' && Number(h['x-retry-attempt']) < 2 ? 500 : 200);
  await from(peer, 'again and again');
  await rx.until(() => rx.at('/flaky').length === 3, 'three posts');
  const tries = rx.at('/flaky');
  assert.deepEqual(tries.map(p => p.headers['x-retry-attempt']), ['0', '1', '2']);
  assert.equal(new Set(tries.map(p => p.headers['x-webhook-id'])).size, 1);
  assert.equal(new Set(tries.map(p => p.headers['x-event-id'])).size, 1);
  const entry = await logged('status=success', d => d.id === tries[0].headers['x-webhook-id']);
  assert.equal(entry.attempts, 3);
  assert.equal(entry.statusCode, 200);
  assert.equal(entry.response, 'seen');
  await off('/flaky');
});

test('Retry-After is obeyed', async () => {
  await hook('/later', { retry: { policy: 'constant', attempts: 5, delay: 10 } });
  rx.answer = (b, h, path) => (path === '/later' && h['x-retry-attempt'] === '0' ? [503, { 'Retry-After': '1' }] : 200);
  await from(peer, 'not now');
  const begun = await rx.until(() => rx.at('/later').length === 1 && Date.now());
  await rx.until(() => rx.at('/later').length === 2, 'the second try');
  assert.ok(Date.now() - begun >= 900, `tried again after ${Date.now() - begun} ms`);
  await off('/later');
});

test('a refusal for good is not repeated, and Gone ends the endpoint', async () => {
  await hook('/refused');
  rx.answer = () => 400;
  await from(peer, 'refuse me');
  const entry = await logged('status=failed', d => d.url.endsWith('/refused'));
  assert.equal(entry.statusCode, 400);
  assert.equal(entry.attempts, 1);
  assert.equal(entry.nextAttemptAt, null);
  await off('/refused');

  const { id } = await hook('/gone');
  rx.answer = () => 410;
  await from(peer, 'go away');
  await logged('status=failed', d => d.url.endsWith('/gone'));
  const list = await gw.ok('GET', `/api/instance/${me.id}/webhook`);
  assert.equal(list.find(h => h.id === id).enabled, false);
});

test('dead after the last try, alive again by the retry call', async () => {
  await hook('/dead', { retry: { policy: 'linear', attempts: 2, delay: 10 } });
  rx.answer = () => 500;
  await from(peer, 'lost?');
  const dead = await logged('status=dead', d => d.url.endsWith('/dead'));
  assert.equal(dead.attempts, 2);
  rx.answer = () => 200;
  const r = await gw.call('POST', `/api/webhook/retry/${dead.id}`);
  assert.equal(r.status, 200);
  assert.deepEqual(r.body.data, { webhookId: dead.id, status: 'pending' });
  await rx.until(() => rx.at('/dead').some(p => p.status === 200 && p.headers['x-webhook-id'] === dead.id));
  await logged('status=success', d => d.id === dead.id);
  const again = await gw.call('POST', `/api/webhook/retry/${dead.id}`);
  assert.equal(again.status, 400);
  await off('/dead');
});

test('ordered: a failing event holds back its own chat and no other', async () => {
  const other = await sandbox.post('/mock-user', { name: 'Other' });
  let open = false;
  await hook('/ordered', { ordered: true, retry: { policy: 'constant', attempts: 100, delay: 20 } });
  rx.answer = (b, h, path) => (path === '/ordered' && !open && b.data.body === 'first' ? 500 : 200);
  await from(peer, 'first');
  await rx.until(() => rx.at('/ordered').length > 0);
  await from(peer, 'second');
  await from(other, 'elsewhere');
  await rx.until(() => rx.at('/ordered').some(p => p.body.data.body === 'elsewhere'));
  await rx.until(() => rx.at('/ordered').filter(p => p.body.data.body === 'first').length > 3, 'further tries');
  assert.ok(!rx.at('/ordered').some(p => p.body.data.body === 'second'));
  open = true;
  await rx.until(() => rx.at('/ordered').some(p => p.body.data.body === 'second'));
  const good = rx.at('/ordered').filter(p => p.status === 200).map(p => p.body.data.body);
  assert.ok(good.indexOf('first') < good.indexOf('second'), good.join());
  await off('/ordered');
});

test('a chat with a backlog comes in order and holds back no other', async () => {
  const calm = await sandbox.post('/mock-user', { name: 'Calm' });
  const N = 80, got = [];
  const change = new EventEmitter();
  let held = [];
  // answers nothing of the busy chat until it is let go
  const slow = http.createServer((req, res) => {
    const parts = [];
    req.on('data', d => parts.push(d));
    req.on('end', () => {
      const { body } = JSON.parse(Buffer.concat(parts)).data;
      got.push(body);
      if (held && body.startsWith('busy')) held.push(res);
      else res.end();
      change.emit('got');
    });
  });
  await new Promise(resolve => slow.listen(0, '127.0.0.1', resolve));
  const until = fn => new Promise(resolve => {
    const look = () => fn() && (change.off('got', look), resolve());
    change.on('got', look);
    look();
  });
  try {
    await hook('/', { url: `http://127.0.0.1:${slow.address().port}/` });
    for (let i = 0; i < N; i++) await from(peer, `busy ${i}`);
    await until(() => got.length > 0);
    await from(calm, 'calm');
    await until(() => got.includes('calm'));
    assert.deepEqual(got, ['busy 0', 'calm']);
    const waiting = held;
    held = null;
    for (const res of waiting) res.end();
    await until(() => got.length === N + 1);
    assert.deepEqual(got.filter(b => b !== 'calm'), Array.from({ length: N }, (_, i) => `busy ${i}`));
  } finally {
    await off('/');
    slow.closeAllConnections();
    await new Promise(resolve => slow.close(resolve));
  }
});

test('second views of an event have its id and seq, and come only when named', async () => {
  rx.answer = () => 200;
  await hook('/views', { events: ['message.received', 'message.any', 'message.delivered', 'message.updated'] });
  await hook('/plain', { events: null });
  await from(peer, 'seen twice');
  await rx.until(() => rx.at('/views').length === 2 && rx.at('/plain').some(p => p.body.data.body === 'seen twice'));
  const [one, two] = rx.at('/views').map(p => p.body);
  assert.deepEqual([one.event, two.event].sort(), ['message.any', 'message.received']);
  assert.equal(one.id, two.id);
  assert.equal(one.seq, two.seq);
  assert.equal([one, two].find(b => b.event === 'message.any').data.eventType, 'received');

  const sent = await gw.send(me.id, peer.phone, 'ack me');
  await sandbox.post('/mock-user/receipt', { from: peer.jid, to: me.phone, id: sent.messageId });
  await rx.until(() => rx.at('/views').some(p => p.body.event === 'message.delivered' && p.body.data.messageId === sent.messageId));
  const updated = await rx.until(() => rx.at('/views').find(p => p.body.event === 'message.updated'));
  assert.equal(updated.body.data.updateType, 'ack');
  await rx.until(() => rx.at('/plain').some(p => p.body.event === 'message.ack'));
  assert.ok(!rx.at('/plain').some(p => /any|updated|delivered/.test(p.body.event)));
  await off('/views');
  await off('/plain');
});

test('a filter looks at chat, type and side', async () => {
  const other = await sandbox.post('/mock-user', { name: 'Third' });
  await hook('/filtered', { events: null, filter: { chats: [other.phone], fromMe: false } });
  await from(peer, 'not for you');
  await gw.send(me.id, other.phone, 'not this side');
  await from(other, 'for you');
  await rx.until(() => rx.at('/filtered').some(p => p.body.data.body === 'for you'));
  assert.ok(!rx.at('/filtered').some(p => /^not /.test(p.body.data.body ?? '')));
  await off('/filtered');
});

test('batches', async () => {
  await hook('/batch', { batch: { max: 3, ms: 20000 } });
  for (const text of ['b1', 'b2', 'b3']) await from(peer, text);
  const p = await rx.until(() => rx.at('/batch')[0]);
  assert.equal(p.body.batch, true);
  assert.deepEqual(p.body.events.map(e => e.data.body), ['b1', 'b2', 'b3']);
  await off('/batch');
});

test('what the receiver missed is delivered after the owner died', async () => {
  const closed = await new Receiver().listen();
  const { port } = closed;
  await closed.close();
  const url = `http://127.0.0.1:${port}/late`;
  await gw.ok('PUT', `/api/instance/${me.id}/webhook`, { url, events: ['message.received'], retry: { policy: 'constant', attempts: 100, delay: 200 } });
  await from(peer, 'survive');
  const waiting = await logged('status=pending', d => d.url === url && d.attempts > 0);
  assert.match(waiting.error, /connect/i);
  process.kill(gw.owner(), 'SIGKILL');
  const late = await new Receiver().listen(port);
  const p = await late.until(() => late.posts.find(p => p.body.data.body === 'survive'));
  assert.equal(p.headers['x-webhook-id'], waiting.id);
  assert.equal(p.headers['x-event-id'], waiting.eventId);
  await late.close();
});

test('statistics count what happened', async () => {
  const s = await gw.ok('GET', `/api/webhook/stats?instanceId=${me.id}`);
  assert.equal(s.period, '7 days');
  assert.ok(s.success > 5 && s.failed >= 2, JSON.stringify(s));
  assert.ok(s.topEvents.some(e => e.event === 'message.received'));
  const gone = await gw.call('DELETE', '/api/webhook/logs', { instanceId: me.id, days: 0 });
  assert.ok(gone.body.deletedCount > 0);
  assert.equal(gone.body.data.deletedCount, gone.body.deletedCount);
  assert.ok((await logs('status=failed')).length > 0, 'what was not delivered stays');
});

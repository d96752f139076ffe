// Stored keys, asked of several workers: what each permission opens, the rate
// limit, the addresses and the end of a key, and that keys outlive the owner.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Life, LIMIT } from './lib.mjs';

let sandbox, gw;
const opts = { timeout: LIMIT };

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Life.start(sandbox, { http: 'wagw_rate_limit 5/1h; wagw_timeout 20s;', workers: 3 });
  for (const id of ['mine', 'theirs']) await gw.ok('POST', '/api/instance/create', { id, name: id, autoConnect: false });
});
after(async () => {
  await gw?.stop();
  await sandbox?.stop();
});

async function key(more) {
  const { apiKey, id } = await gw.ok('POST', '/api/auth/generate-key', { name: 'test', ...more });
  const call = (method, where, body, headers = {}) => gw.call(method, where, body, { 'X-API-Key': apiKey, ...headers });
  return { id, apiKey, call };
}

async function code(promise) {
  const r = await promise;
  return `${r.status} ${r.body.code ?? ''}`.trim();
}

test('permissions', opts, async () => {
  const send = { instanceId: 'mine', to: '15550000001', message: 'x' };
  // what a permission opens: read, send, instance control, keys
  const table = {
    read: ['200', '403 AUTH_FORBIDDEN', '403 AUTH_FORBIDDEN', '403 AUTH_FORBIDDEN'],
    send: ['403 AUTH_FORBIDDEN', '409 INSTANCE_NOT_CONNECTED', '403 AUTH_FORBIDDEN', '403 AUTH_FORBIDDEN'],
    write: ['403 AUTH_FORBIDDEN', '409 INSTANCE_NOT_CONNECTED', '403 AUTH_FORBIDDEN', '403 AUTH_FORBIDDEN'],
    control: ['403 AUTH_FORBIDDEN', '403 AUTH_FORBIDDEN', '200', '403 AUTH_FORBIDDEN'],
    admin: ['200', '409 INSTANCE_NOT_CONNECTED', '200', '201'],
  };
  for (const [permission, expected] of Object.entries(table)) {
    const k = await key({ permissions: [permission] });
    const found = [
      await code(k.call('GET', '/api/instance/mine')),
      await code(k.call('POST', '/api/message/send/text', send)),
      await code(k.call('PUT', '/api/instance/mine', { name: 'mine' })),
      await code(k.call('POST', '/api/auth/generate-key', { name: 'more' })),
    ];
    assert.deepEqual(found, expected, permission);
  }
});

test('a key bound to an instance sees no other', opts, async () => {
  const k = await key({ permissions: ['read'], instanceIds: ['mine'] });
  assert.equal(await code(k.call('GET', '/api/instance/mine')), '200');
  assert.equal(await code(k.call('GET', '/api/instance/theirs')), '404 INSTANCE_NOT_FOUND');
  assert.equal(await code(k.call('GET', '/api/instance/nobodys')), '404 INSTANCE_NOT_FOUND');
  const { body } = await k.call('GET', '/api/instance');
  assert.deepEqual(body.data.map(i => i.id), ['mine']);
});

test('listed, switched off and on, changed, deleted; at once in every worker', opts, async () => {
  const k = await key({ permissions: ['read'], instanceIds: ['mine'] });
  const at = `/api/auth/keys/${k.id}`;
  assert.equal(await code(k.call('GET', '/api/instance/mine')), '200');
  const one = await gw.ok('GET', at);
  assert.equal(one.name, 'test');
  assert.deepEqual(one.permissions, ['read']);
  assert.deepEqual(one.instanceIds, ['mine']);
  assert.equal(one.prefix, k.apiKey.slice(0, 6));
  assert.equal(one.isActive, true);
  assert.equal(one.expiresAt, null);
  assert.ok(Date.parse(one.lastUsedAt) >= Date.parse(one.createdAt));
  assert.ok(!JSON.stringify(one).includes(k.apiKey));
  const list = await gw.call('GET', '/api/auth/keys?limit=1');
  assert.equal(list.body.count, 1);
  assert.ok(list.body.total > 1 && list.body.pagination.hasMore);
  assert.ok((await gw.ok('GET', '/api/auth/keys')).some(x => x.id === k.id));

  const many = (method, where) => Promise.all(Array.from({ length: 6 }, () => code(k.call(method, where))));
  assert.equal((await gw.ok('PUT', at, { isActive: false })).isActive, false);
  assert.deepEqual([...new Set(await many('GET', '/api/instance/mine'))], ['401 AUTH_INVALID']);
  const changed = await gw.ok('PUT', at, { isActive: true, name: 'renamed', permissions: ['read', 'control'], instanceIds: ['theirs'] });
  assert.equal(changed.name, 'renamed');
  assert.equal(await code(k.call('GET', '/api/instance/mine')), '404 INSTANCE_NOT_FOUND');
  assert.equal(await code(k.call('PUT', '/api/instance/theirs', { name: 'theirs' })), '200');
  assert.equal(await code(gw.call('PUT', at, { expiresAt: '2001-01-01T00:00:00Z' })), '400 VALIDATION_FAILED');
  assert.equal(await code(k.call('GET', at)), '403 AUTH_FORBIDDEN');
  assert.deepEqual(await gw.ok('DELETE', at), { id: k.id });
  assert.deepEqual([...new Set(await many('GET', '/api/instance/theirs'))], ['401 AUTH_INVALID']);
  assert.equal(await code(gw.call('GET', at)), '404 NOT_FOUND');
  assert.equal(await code(gw.call('DELETE', at)), '404 NOT_FOUND');
});

test('the last key that rules the others stays', opts, async () => {
  for (const x of await gw.ok('GET', '/api/auth/keys')) {
    if (x.permissions.includes('admin')) await gw.call('DELETE', `/api/auth/keys/${x.id}`);
  }
  const [last] = (await gw.ok('GET', '/api/auth/keys')).filter(x => x.permissions.includes('admin'));
  assert.ok(last, 'one is left');
  const at = `/api/auth/keys/${last.id}`;
  assert.equal(await code(gw.call('DELETE', at)), '409 LAST_ADMIN_KEY');
  assert.equal(await code(gw.call('PUT', at, { isActive: false })), '409 LAST_ADMIN_KEY');
  assert.equal(await code(gw.call('PUT', at, { permissions: ['read'] })), '409 LAST_ADMIN_KEY');
  await key({ permissions: ['admin'] });
  assert.equal(await code(gw.call('DELETE', at)), '200');
});

test('the rate limit is counted over all workers', opts, async () => {
  const k = await key({ permissions: ['read'] });
  const left = [];
  for (let i = 0; i < 5; i++) {
    const r = await k.call('GET', '/api/instance');
    assert.equal(r.status, 200);
    left.push(Number(r.headers['ratelimit-remaining']));
  }
  assert.deepEqual(left, [4, 3, 2, 1, 0]);
  const r = await k.call('GET', '/api/instance');
  assert.equal(r.status, 429);
  assert.equal(r.body.code, 'RATE_LIMITED');
  assert.equal(r.headers['ratelimit-limit'], '5');
  assert.equal(r.headers['ratelimit-policy'], '5;w=3600');
  assert.ok(Number(r.headers['retry-after']) > 0);
  assert.equal(r.body.retryAfter, Number(r.headers['retry-after']));

  // another key has a window of its own, the master key none
  assert.equal(await code((await key({ permissions: ['read'] })).call('GET', '/api/instance')), '200');
  assert.equal(await code(gw.call('GET', '/api/instance')), '200');
});

test('a key ends when it should, and is for its addresses only', opts, async () => {
  const away = await key({ permissions: ['read'], ipAllow: ['192.0.2.0/24'] });
  assert.match(await code(away.call('GET', '/api/instance')), /^40[13] AUTH_(INVALID|FORBIDDEN)$/);
  const here = await key({ permissions: ['read'], ipAllow: ['127.0.0.0/8'] });
  assert.equal(await code(here.call('GET', '/api/instance')), '200');

  const short = await key({ permissions: ['read'], expiresAt: new Date(Date.now() + 1500).toISOString() });
  assert.equal(await code(short.call('GET', '/api/observability/version')), '200');
  for (const end = Date.now() + 10000; ; ) {
    const c = await code(short.call('GET', '/api/observability/version', undefined));
    if (c === '401 AUTH_INVALID') break;
    assert.ok(Date.now() < end, c);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
});

test('keys are known to the next owner and after a restart', opts, async () => {
  const k = await key({ permissions: ['admin'] });
  const mark = gw.mark();
  process.kill(gw.owner(), 'SIGKILL');
  await gw.logged(/start wagw owner process/, mark);
  assert.equal(await code(k.call('GET', '/api/instance/mine')), '200');
  await gw.end('SIGQUIT');
  await gw.run();
  assert.equal(await code(k.call('GET', '/api/instance/mine')), '200');
  // only the hash is stored
  const { readdirSync, readFileSync } = await import('node:fs');
  for (const f of readdirSync(gw.statedir).filter(f => f.startsWith('wagw.db'))) {
    assert.equal(readFileSync(`${gw.statedir}/${f}`).includes(k.apiKey), false, f);
  }
});

test('calls in flight when the owner dies fail at once, later ones wait for the next', opts, async () => {
  await gw.ok('POST', '/api/instance/create', { id: 'waiting', name: 'waiting' });
  const began = Date.now();
  const mark = gw.mark();
  const calls = [];
  for (let i = 0; i < 10; i++) calls.push(gw.call('GET', '/api/instance/waiting/status'));
  process.kill(gw.owner(), 'SIGKILL');
  for (let i = 0; i < 10; i++) calls.push(gw.call('GET', '/api/instance/waiting/status'));
  for (const r of await Promise.all(calls)) {
    if (r.status !== 200) {
      assert.equal(`${r.status} ${r.body.code}`, '503 OWNER_UNAVAILABLE');
      assert.equal(r.headers['retry-after'], '1');
    }
  }
  assert.ok(Date.now() - began < 10000);
  await gw.logged(/start wagw owner process/, mark);
  await gw.up();
  assert.equal((await gw.call('GET', '/api/instance/waiting/status')).status, 200);
});

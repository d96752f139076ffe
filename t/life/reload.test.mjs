// Reloads while messages go both ways: the same owner, the same WhatsApp
// connections, no call fails, nothing is lost.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Life, Traffic, account } from './lib.mjs';

let sandbox, gw, me, other, peer;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Life.start(sandbox);
  me = await gw.pairByQr('Reload');
  other = await gw.pairByQr('Beside');
  peer = await sandbox.post('/mock-user', { name: 'Mia', autoReceipt: true });
});
after(async () => {
  await gw?.stop();
  await sandbox?.stop();
});

test('ten reloads during traffic', { timeout: 120000 }, async () => {
  const owner = gw.owner();
  const connects = [await sandbox.connects(me.phone), await sandbox.connects(other.phone)];
  // a call that fails is not repeated here
  gw.persist = (id, to, message) => gw.send(id, to, message);
  const traffic = new Traffic(gw, sandbox, me, peer, { parallel: 2 });

  await traffic.progress(3);
  for (let i = 0; i < 10; i++) {
    await gw.reload();
    await traffic.progress(3);
  }
  await traffic.stop();

  assert.equal(gw.owner(), owner);
  assert.deepEqual([await sandbox.connects(me.phone), await sandbox.connects(other.phone)], connects);
  await account(gw, sandbox, traffic);
  assert.deepEqual(await sandbox.get('/pending', { device: me.entry.jid }), []);
});

test('a reload with a broken configuration changes nothing', async () => {
  const owner = gw.owner();
  const mark = gw.mark();
  gw.more = 'wagw_whatsapp_root 00;';
  gw.conf();
  gw.signal('SIGHUP');
  await gw.logged(/\[emerg\].*invalid value "00"/, mark);
  assert.equal(gw.owner(), owner);
  assert.equal((await gw.send(me.id, peer.phone, 'still here')).status, 'sent');
  gw.more = '';
  gw.conf();
  await gw.reload();
  assert.equal(gw.owner(), owner);
});

test('a worker that dies takes no connection with it', async () => {
  const connects = await sandbox.connects(me.phone);
  const mark = gw.mark();
  process.kill(gw.children('worker process')[0], 'SIGKILL');
  await gw.logged(/worker process \d+ exited on signal 9/, mark);
  assert.equal((await gw.send(me.id, peer.phone, 'after a worker died')).status, 'sent');
  assert.equal(await sandbox.connects(me.phone), connects);
});

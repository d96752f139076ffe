// Starting, stopping and standing by: what happens to the owner and to the
// WhatsApp connections.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { Sandbox, Life, LIMIT } from './lib.mjs';
import { NGINX } from '../interop/gateway.mjs';

let sandbox, peer;

before(async () => {
  sandbox = await Sandbox.start();
  peer = await sandbox.post('/mock-user', { name: 'Olga', autoReceipt: true });
});
after(() => sandbox?.stop());

const opts = { timeout: 2 * LIMIT };

// the texts that reached the peer, under how many ids each
async function arrived(text) {
  const inbox = await sandbox.get('/mock-phone/inbox', { phone: peer.phone, contains: text, wait: LIMIT });
  return new Set(inbox.map(m => m.id)).size;
}

async function offline(me) {
  const [device] = await sandbox.get('/devices', { phone: me.phone });
  return !device.connected;
}

for (const signal of ['SIGQUIT', 'SIGTERM']) {
  test(`${signal} ends everything, and the next start goes on`, opts, async () => {
    const gw = await Life.start(sandbox);
    try {
      const me = await gw.pairByQr(`Ends ${signal}`);
      await gw.send(me.id, peer.phone, `before ${signal}`);
      assert.equal(await gw.end(signal), true, 'no process is left');
      assert.equal(await offline(me), true);

      // what was sent meanwhile waits at the server
      const { id } = await sandbox.post('/mock-user/send', { from: peer.phone, to: me.phone, text: `while away ${signal}` });
      const n = gw.events.length;
      await gw.run();
      await gw.event('message.received', d => d.messageId === id);
      assert.equal((await gw.send(me.id, peer.phone, `after ${signal}`)).status, 'sent');
      assert.equal(await arrived(`before ${signal}`), 1);
      assert.equal(await arrived(`after ${signal}`), 1);
      assert.equal(gw.events.slice(n).some(e => e.event === 'session.status' && e.data.status === 'qr'), false, 'not linked anew');
    } finally {
      await gw.stop();
    }
  });
}

test('as a daemon: the owner is a child of the master, reload and quit work', opts, async () => {
  const gw = await Life.start(sandbox, { daemon: 'on' });
  try {
    const me = await gw.pairByQr('Daemon');
    const owner = gw.owner();
    assert.notEqual(owner, 0);
    const connects = await sandbox.connects(me.phone);
    await gw.reload();
    assert.equal(gw.owner(), owner);
    assert.equal(await sandbox.connects(me.phone), connects);
    assert.equal((await gw.send(me.id, peer.phone, 'from a daemon')).status, 'sent');
    assert.equal(await gw.end('SIGQUIT'), true, 'no process is left');
  } finally {
    await gw.stop();
  }
});

test('master_process off: the same in one process', opts, async () => {
  const gw = await Life.start(sandbox, { master: 'off' });
  try {
    const me = await gw.pairByQr('Single');
    assert.equal((await gw.send(me.id, peer.phone, 'from one process')).status, 'sent');
    const { id } = await sandbox.post('/mock-user/send', { from: peer.phone, to: me.phone, text: 'to one process' });
    await gw.event('message.received', d => d.messageId === id);
    assert.equal(await gw.end('SIGQUIT'), true);
    await gw.run();
    assert.equal((await gw.persist(me.id, peer.phone, 'from one process again', 'again')).status, 'sent');
  } finally {
    await gw.stop();
  }
});

test('nginx -t beside a running gateway disturbs nothing; log files can be reopened', opts, async () => {
  const gw = await Life.start(sandbox);
  try {
    const me = await gw.pairByQr('Beside');
    const owner = gw.owner();
    const connects = await sandbox.connects(me.phone);
    const t = spawnSync(NGINX, ['-t', '-p', gw.dir, '-c', path.join(gw.dir, 'nginx.conf')], { encoding: 'utf8' });
    assert.equal(t.status, 0, t.stderr);
    const mark = gw.mark();
    gw.signal('SIGUSR1');
    await gw.logged(/reopening logs/, mark);
    assert.equal((await gw.send(me.id, peer.phone, 'still there')).status, 'sent');
    assert.equal(gw.owner(), owner);
    assert.equal(await sandbox.connects(me.phone), connects);
  } finally {
    await gw.stop();
  }
});

test('a second nginx on the same state directory waits, says so, and takes over', opts, async () => {
  const first = await Life.start(sandbox);
  const second = await Life.start(sandbox, { state: first.statedir, run: false });
  try {
    const me = await first.pairByQr('Taken over');
    const connects = await sandbox.connects(me.phone);
    const starting = second.run();
    await second.logged(/wagw.*(wait|held|lock)/i);
    await starting;
    assert.equal(await sandbox.connects(me.phone), connects, 'the second does not log in');
    assert.equal((await first.send(me.id, peer.phone, 'from the first')).status, 'sent');

    await first.end('SIGQUIT');
    assert.equal((await second.persist(me.id, peer.phone, 'from the second', 'second')).status, 'sent');
    assert.equal(await sandbox.connects(me.phone), connects + 1);
  } finally {
    await second.stop();
    await first.stop();
  }
});

test('kill -9 of the master takes the owner with it', opts, async () => {
  const gw = await Life.start(sandbox);
  try {
    const me = await gw.pairByQr('Orphan');
    const workers = gw.children('worker process');
    gw.child.kill('SIGKILL');
    await gw.gone;
    // workers stay, as in stock nginx
    for (const pid of workers) process.kill(pid, 'SIGKILL');
    await gw.run();
    assert.equal((await gw.persist(me.id, peer.phone, 'after the master died', 'orphan')).status, 'sent');
  } finally {
    await gw.stop();
  }
});

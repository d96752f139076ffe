// kill -9 of the owner in the middle of numbered traffic both ways: each
// message exactly once at the peer and in the store, each webhook at least
// once with one id.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Life, Traffic, account, LONG } from './lib.mjs';

const TIMES = LONG ? 100 : 20;
let sandbox, gw, me, peer;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Life.start(sandbox);
  me = await gw.pairByQr('Killed');
  peer = await sandbox.post('/mock-user', { name: 'Nora', autoReceipt: true });
});
after(async () => {
  await gw?.stop();
  await sandbox?.stop();
});

test(`${TIMES} times kill -9 of the owner`, { timeout: TIMES * 15000 }, async t => {
  const traffic = new Traffic(gw, sandbox, me, peer, { parallel: 3 });
  const seed = Number(process.env.WAGW_LIFE_SEED || Date.now() % 1000000);
  let x = seed;
  const random = n => (x = (x * 1103515245 + 12345) % 2147483648) % n;

  t.diagnostic(`WAGW_LIFE_SEED=${seed}`);
  await traffic.progress(2);
  for (let i = 0; i < TIMES; i++) {
    // a moment within the work of some message, wherever that may be
    await traffic.progress(1 + random(4));
    await new Promise(resolve => setTimeout(resolve, random(40)));
    const owner = gw.owner();
    assert.notEqual(owner, 0, 'an owner is running');
    const mark = gw.mark();
    process.kill(owner, 'SIGKILL');
    await gw.logged(new RegExp(`wagw owner process ${owner} exited on signal 9`), mark);
    await gw.logged(/start wagw owner process/, mark);
  }
  await traffic.progress(2);
  await traffic.stop();
  await account(gw, sandbox, traffic);
  t.diagnostic(`${traffic.out.length} out, ${traffic.in.length} in`);
});

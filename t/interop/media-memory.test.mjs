// A large document both ways: the memory of owner and workers must not grow
// with it (issue 3, acceptance 3).  Prints what it measures; WAGW_MEDIA_MIB
// sets the size.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { Sandbox } from './lib.mjs';
import { Gateway } from './gateway.mjs';

const MIB = Number(process.env.WAGW_MEDIA_MIB || 100);
const EXTRA = 8 << 20;
// the sanitizers hold on to memory that was freed
const skip = /\/asan\//.test(process.env.TEST_NGINX_LOAD_MODULES ?? '') && 'not a measure under the sanitizers';

let sandbox, gw, me, peer;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox, { http: 'client_max_body_size 300m; proxy_max_temp_file_size 0;' });
  me = await gw.pairByQr('Gate');
  peer = await sandbox.post('/mock-user', { name: 'Memo' });
});
after(async () => {
  await gw?.stop();
  await sandbox?.stop();
});

function processes() {
  const out = [];
  for (const pid of fs.readdirSync('/proc').filter(p => /^\d+$/.test(p))) {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      if (parent === gw.child.pid) {
        out.push({ pid, name: /owner/.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')) ? 'owner' : 'worker' });
      }
    } catch { /* it ended */ }
  }
  return out;
}

const field = (pid, name) =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

// the peak from here on
function begin() {
  const all = processes();
  for (const p of all) {
    fs.writeFileSync(`/proc/${p.pid}/clear_refs`, '5');
    p.before = field(p.pid, 'VmRSS');
  }
  return all;
}

function end(t, what, all) {
  for (const p of all) {
    const extra = field(p.pid, 'VmHWM') - p.before;
    t.diagnostic(`${what}: ${p.name} ${p.pid} ${(p.before / 1048576).toFixed(1)} MiB, at most ${(extra / 1048576).toFixed(1)} MiB more`);
    assert.ok(extra < EXTRA, `${p.name}: ${extra} bytes more`);
  }
}

// a stream of bytes that depend on their place
function piece(i) {
  const b = Buffer.alloc(1 << 20, i & 255);
  b.writeUInt32BE(i, 0);
  return b;
}

async function send(mib) {
  const boundary = 'bbbbbbbbbbbbbbbb';
  const head = Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="instanceId"\r\n\r\n${me.id}\r\n` +
    `--${boundary}\r\nContent-Disposition: form-data; name="to"\r\n\r\n${peer.phone}\r\n` +
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n`);
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  return new Promise((resolve, reject) => {
    const req = http.request({
      host: '127.0.0.1', port: gw.port, path: '/api/message/send/document', method: 'POST',
      headers: {
        'X-API-Key': gw.key, 'Content-Type': `multipart/form-data; boundary=${boundary}`,
        'Content-Length': head.length + mib * 1048576 + tail.length,
      },
    }, res => {
      const parts = [];
      res.on('data', d => parts.push(d));
      res.on('end', () => resolve({ status: res.statusCode, body: JSON.parse(Buffer.concat(parts)) }));
    });
    req.on('error', reject);
    req.write(head);
    let i = 0;
    const more = () => {
      while (i < mib) if (!req.write(piece(i++))) return void req.once('drain', more);
      req.end(tail);
    };
    more();
  });
}

function get(id) {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port: gw.port, path: `/api/message/${me.id}/${id}/media`, headers: { 'X-API-Key': gw.key } }, res => {
      const hash = crypto.createHash('sha256');
      let n = 0;
      res.on('data', d => { hash.update(d); n += d.length; });
      res.on('end', () => resolve({ status: res.statusCode, n, hash: hash.digest('hex') }));
      res.on('error', reject);
    }).on('error', reject);
  });
}

test(`${MIB} MiB both ways`, { skip }, async t => {
  // connections, libraries and buffers that are there from the first one on
  const warm = await send(1);
  assert.equal(warm.status, 200, JSON.stringify(warm.body));
  assert.equal((await get(warm.body.data.messageId)).n, 1 << 20);

  let all = begin();
  let from = Date.now();
  const r = await send(MIB);
  t.diagnostic(`sent in ${Date.now() - from} ms`);
  assert.equal(r.status, 200, JSON.stringify(r.body));
  end(t, 'sending', all);

  all = begin();
  from = Date.now();
  const got = await get(r.body.data.messageId);
  t.diagnostic(`fetched in ${Date.now() - from} ms`);
  end(t, 'fetching', all);
  const want = crypto.createHash('sha256');
  for (let i = 0; i < MIB; i++) want.update(piece(i));
  assert.deepEqual(got, { status: 200, n: MIB * 1048576, hash: want.digest('hex') });
});

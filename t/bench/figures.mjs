// The figures of the gateway and, from the same run against the same sandbox,
// of a Baileys client: node figures.mjs [section…].  Sections: texts memory
// reconnect proxy.  BENCH_ACCOUNTS (1000), BENCH_TEXTS (4000), BENCH_BAILEYS
// (20 accounts; 0: without Baileys).  A call that only asks the owner is
// compared with nginx's own proxy_pass.
//
// CPU is the time the kernel gave to the process, so other load on the machine
// hardly changes it; rates and times are of the wall clock and need a quiet one.

import { fork, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Sandbox } from '../interop/lib.mjs';
import { Gateway, NGINX, freePort } from '../interop/gateway.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const LOAD = process.env.WAGW_BENCH_LOAD || path.resolve(here, '../../build/bench/load');
const ACCOUNTS = Number(process.env.BENCH_ACCOUNTS || 1000);
const TEXTS = Number(process.env.BENCH_TEXTS || 4000);
const BAILEYS = Number(process.env.BENCH_BAILEYS ?? 20);
const LIMIT = 300000;
const TEXT = 'a text of an ordinary length, as people write them';
const sections = process.argv.length > 2 ? process.argv.slice(2) : ['texts', 'memory', 'reconnect', 'proxy'];

// ---- measuring ----

// milliseconds of CPU of a process, all its threads
function cpu(pid) {
  let ns = 0;
  for (const t of fs.readdirSync(`/proc/${pid}/task`)) {
    ns += Number(fs.readFileSync(`/proc/${pid}/task/${t}/schedstat`, 'utf8').split(' ')[0]);
  }
  return ns / 1e6;
}

// bytes that are the process's own
function memory(pid) {
  const m = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  return 1024 * ['Private_Clean', 'Private_Dirty'].reduce((n, k) => n + Number(m.match(new RegExp(`${k}: +(\\d+)`))[1]), 0);
}

const rows = [];
function row(what, unit, goal, ours, theirs, better = 'less', other = 'Baileys') {
  const ratio = theirs === undefined ? '' : (better === 'less' ? theirs / ours : ours / theirs).toFixed(1) + '×';
  const f = v => (v === undefined ? '' : v >= 1000 ? Math.round(v).toString() : v >= 10 ? v.toFixed(1) : v.toFixed(3));
  rows.push([what, unit, goal, f(ours), f(theirs), theirs === undefined ? '' : other, ratio]);
  console.log(`  ${what}: ${f(ours)} ${unit}${theirs === undefined ? '' : `, ${other} ${f(theirs)}, ${ratio}`}${goal ? ` (goal ${goal})` : ''}`);
}

async function load(port, where, { n, callers = 16, key, bodies }) {
  const args = ['-n', n, '-c', callers];
  let file;
  if (key) args.push('-k', key);
  if (bodies) {
    file = path.join(os.tmpdir(), `wagw-bench-${process.pid}.json`);
    fs.writeFileSync(file, bodies.map(b => JSON.stringify(b) + '\n').join(''));
    args.push('-b', file);
  }
  const child = spawn(LOAD, [...args, `127.0.0.1:${port}`, where].map(String), { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', d => { text += d; });
  await once(child, 'close');
  if (file) fs.rmSync(file);
  const r = JSON.parse(text);
  if (r.bad) throw new Error(`${r.bad} of ${n} calls of ${where} failed`);
  return r;
}

async function each(n, at_once, fn) {
  let next = 0;
  await Promise.all(Array.from({ length: at_once }, async () => {
    for (let i; (i = next++) < n; ) await fn(i);
  }));
}

// ---- the two sides ----

const sandbox = await Sandbox.start(['--log-nodes', '0', '--no-history']);
const gw = await Gateway.start(sandbox, { http: 'wagw_rate_limit off;', workers: 1 });
let owner = gw.owner();

async function connected(id) {
  while ((await gw.ok('GET', `/api/instance/${id}`)).status !== 'connected') await new Promise(r => setTimeout(r, 5));
}

let others = 0; // linked accounts that are not in `accounts`
async function pair(name, other = true) {
  others += other;
  const { id } = await gw.ok('POST', '/api/instance/create', { name });
  const { raw } = await gw.ok('GET', `/api/instance/${id}/qr`);
  const entry = JSON.parse(await sandbox.text('POST', `/mock-phone/scan-qr?name=${encodeURIComponent(name)}`, raw));
  await connected(id);
  return { id, phone: entry.phone };
}

// calls until fn is true: what is counted there has no event to wait for
async function settled(fn) {
  for (const end = Date.now() + LIMIT; !(await fn()); ) {
    if (Date.now() > end) throw new Error(`not within ${LIMIT / 1000} s: ${fn}`);
    await new Promise(r => setTimeout(r, 20));
  }
}

// everything sent to anybody was acknowledged, so it is stored
const delivered = () => settled(async () => (await sandbox.get('/status')).pending === 0);

let baileys;
if (BAILEYS) {
  baileys = fork(path.join(here, 'baileys.mjs'), { execArgv: ['--expose-gc'] });
  const open = new Map();
  let serial = 0;
  baileys.on('message', m => {
    const w = open.get(m.id);
    open.delete(m.id);
    if (m.error) w.reject(new Error(m.error));
    else w.resolve(m);
  });
  baileys.once('exit', code => {
    for (const w of open.values()) w.reject(new Error(`the Baileys process ended with ${code}`));
  });
  baileys.do = (step, arg) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`Baileys: no end of ${step} within ${LIMIT / 1000} s`)), LIMIT);
    open.set(++serial, { resolve: v => (clearTimeout(timer), resolve(v)), reject: e => (clearTimeout(timer), reject(e)) });
    baileys.send({ id: serial, step, arg });
  });
  baileys.pair = async name => {
    const { value } = await baileys.do('qr', { name });
    const entry = JSON.parse(await sandbox.text('POST', `/mock-phone/scan-qr?name=${name}`, value));
    await baileys.do('open', { name });
    return { name, phone: entry.phone };
  };
  await baileys.do('server', { url: sandbox.url, noiseRoot: sandbox.noiseRoot, cert: sandbox.cert });
}

// somebody to talk with: a mock user, whose session with `a` is established
async function partner(name, a, send) {
  const u = await sandbox.post('/mock-user', { name });
  // one after the other: two that open a session at once have two of them
  await sandbox.post('/mock-user/send', { from: u.phone, to: a.phone, text: 'hello' });
  await delivered();
  await send(u.phone);
  await sandbox.post('/mock-user/send', { from: u.phone, to: a.phone, text: 'established' });
  await delivered();
  await sandbox.post('/mock-phone/options', { phone: u.phone, eager: false, autoReceipt: true });
  await sandbox.post('/mock-phone/options', { phone: a.phone, eager: false });
  return u;
}

async function burst(from, to, n) {
  await each(n, 16, () => sandbox.post('/mock-user/send', { from, to, text: TEXT }));
}

// ---- texts ----

async function texts() {
  console.log('texts');
  const a = await pair('bench-a');
  const u = await partner('bench-u', a, to => gw.send(a.id, to, 'hello'));
  const bodies = [{ instanceId: a.id, to: u.phone, message: TEXT }];
  const send = n => load(gw.port, '/api/message/send/text', { n, key: gw.key, bodies });

  await send(200);
  const worker = fs.readFileSync(`/proc/${gw.child.pid}/task/${gw.child.pid}/children`, 'utf8').trim().split(' ').map(Number).find(p => p !== owner);
  let o = cpu(owner), w = cpu(worker), s = cpu(sandbox.child.pid);
  const r = await send(TEXTS);
  const sent = { cpu: (cpu(owner) - o) / TEXTS, worker: (cpu(worker) - w) / TEXTS, sandbox: (cpu(sandbox.child.pid) - s) / TEXTS };

  await delivered();
  o = cpu(owner);
  await burst(u.phone, a.phone, TEXTS);
  await delivered();
  const got = (cpu(owner) - o) / TEXTS;

  let theirs = {};
  if (baileys) {
    const n = Math.min(TEXTS, 1000);
    const b = await baileys.pair('bench-b');
    const v = await partner('bench-v', b, to => baileys.do('send', { name: b.name, to: `${to}@s.whatsapp.net`, n: 1, callers: 1, text: 'hello' }));
    await baileys.do('receive', { name: b.name, n: 2 });
    const out = await baileys.do('send', { name: b.name, to: `${v.phone}@s.whatsapp.net`, n, callers: 16, text: TEXT });
    const wait = baileys.do('receive', { name: b.name, n });
    await burst(v.phone, b.phone, n);
    const into = await wait;
    theirs = { sent: out.cpu / n, rate: n / out.seconds, got: into.cpu / n };
  }
  row('CPU per text sent, stored, acknowledged', 'ms', '0.15', sent.cpu, theirs.sent);
  row('  of it in the nginx worker (besides)', 'ms', '', sent.worker);
  row('  (the sandbox, for comparison)', 'ms', '', sent.sandbox);
  row('CPU per text received and stored', 'ms', '0.15', got, theirs.got);
  row('REST to the ack, 16 callers', '/s', '5000', r.rate, theirs.rate, 'more');
  row('  median of a call', 'ms', '', r.p50);
}

// ---- memory, reconnect ----

let accounts = [];
async function fill() {
  if (accounts.length) return;
  const began = performance.now();
  accounts = Array(ACCOUNTS);
  await each(ACCOUNTS, 8, async i => { accounts[i] = await pair(`acc-${i}`, false); });
  console.log(`  ${ACCOUNTS} accounts linked in ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

// a fresh owner: its memory is what connected accounts need, not what linking left behind
async function restart() {
  const o = owner, all = accounts.length + others, { logins } = await sandbox.get('/status');
  const began = performance.now();
  process.kill(o, 'SIGKILL');
  await settled(async () => (await sandbox.get('/status')).logins >= logins + all);
  await settled(() => (owner = gw.owner()) && owner !== o);
  return (performance.now() - began) / 1000;
}

let empty;
async function memories() {
  console.log('memory');
  empty ??= memory(owner);
  await fill();
  await restart();
  const idle = memory(owner);
  const users = await sandbox.post('/mock-user', { name: 'bench-m' });
  const bodies = accounts.map(a => ({ instanceId: a.id, to: users.phone, message: TEXT }));
  await load(gw.port, '/api/message/send/text', { n: 5 * ACCOUNTS, key: gw.key, bodies });
  await each(5 * ACCOUNTS, 16, i => sandbox.post('/mock-user/send', { from: users.phone, to: accounts[i % ACCOUNTS].phone, text: TEXT }));
  await delivered();
  const busy = memory(owner);

  let theirs = {};
  if (baileys) theirs = await baileysAccounts();
  row('memory per linked account, idle', 'KiB', '64', (idle - empty) / ACCOUNTS / 1024, theirs.idle);
  row('memory per account after traffic', 'KiB', '80', (busy - empty) / ACCOUNTS / 1024, theirs.busy);
  row('the owner with all of them', 'MiB', '', busy / 1048576);
}

let theirAccounts;
async function baileysAccounts() {
  if (theirAccounts) return theirAccounts;
  const first = await baileys.pair('base');
  const { live } = await baileys.do('open', { name: first.name });
  const mine = [];
  for (let i = 0; i < BAILEYS; i++) mine.push(await baileys.pair(`bai-${i}`));
  const now = await baileys.do('open', { name: first.name });
  theirAccounts = { idle: (now.live - live) / BAILEYS / 1024 };
  // five texts each way, as ours get
  const u = await sandbox.post('/mock-user', { name: 'bench-n' });
  await each(BAILEYS, 1, async i => {
    await baileys.do('send', { name: mine[i].name, to: `${u.phone}@s.whatsapp.net`, n: 5, callers: 1, text: TEXT });
    for (let k = 0; k < 5; k++) await sandbox.post('/mock-user/send', { from: u.phone, to: mine[i].phone, text: TEXT });
    await baileys.do('receive', { name: mine[i].name, n: 5 });
  });
  theirAccounts.busy = ((await baileys.do('open', { name: first.name })).live - live) / BAILEYS / 1024;
  await baileys.do('close');
  const r = await baileys.do('reconnect');
  theirAccounts.connect = r.cpu / (BAILEYS + 1);
  theirAccounts.seconds = r.seconds / (BAILEYS + 1);
  return theirAccounts;
}

async function reconnects() {
  console.log('reconnect');
  await fill();
  const seconds = await restart();
  const ours = cpu(owner) / ACCOUNTS;
  const theirs = baileys ? await baileysAccounts() : {};
  row('CPU per account that connects again', 'ms', '', ours, theirs.connect);
  row(`${ACCOUNTS} accounts connected again after kill -9`, 's', ACCOUNTS === 1000 ? '5' : '', seconds,
    theirs.seconds && theirs.seconds * ACCOUNTS);
}

// ---- a call through the owner, against nginx's own proxy_pass ----

async function proxies() {
  console.log('proxy');
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wagw-bench-proxy-'));
  const [front, back] = [await freePort(), await freePort()];
  fs.chmodSync(dir, 0o755);
  fs.writeFileSync(path.join(dir, 'nginx.conf'), `
    daemon off; worker_processes 1; pid ${dir}/pid; error_log ${dir}/error.log;
    events { worker_connections 1024; }
    http {
      access_log off;
      client_body_temp_path ${dir}/b; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
      upstream back { server 127.0.0.1:${back}; keepalive 32; }
      server { listen 127.0.0.1:${front}; location / { proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; } }
    }`);
  // a back end as cheap as there is: another nginx that answers from its configuration
  fs.mkdirSync(path.join(dir, 'back'));
  fs.writeFileSync(path.join(dir, 'back/nginx.conf'), `
    daemon off; worker_processes 1; pid ${dir}/back/pid; error_log ${dir}/back/error.log;
    events { worker_connections 1024; }
    http {
      access_log off;
      client_body_temp_path ${dir}/b; proxy_temp_path ${dir}/p; fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
      server { listen 127.0.0.1:${back}; default_type application/json;
        location / { return 200 '{"success":true,"data":{"messageId":"3EB0000000000000000000","exampleLongerText":"${'x'.repeat(120)}"}}'; } }
    }`);
  const both = [['nginx.conf', front], ['back/nginx.conf', back]].map(([f]) =>
    spawn(NGINX, ['-p', dir, '-c', path.join(dir, f)], { stdio: ['ignore', 'ignore', 'ignore'] }));
  try {
    await settled(() => new Promise(resolve => {
      http.get({ host: '127.0.0.1', port: front, path: '/' }, res => { res.resume(); resolve(res.statusCode === 200); })
        .on('error', () => resolve(false));
    }));
    const n = 20000, tree = () => [...both.map(b => b.pid), ...both.flatMap(b => children(b.pid))];
    await load(front, '/', { n: 1000 });
    let c = tree().reduce((s, p) => s + cpu(p), 0);
    const pass = await load(front, '/', { n });
    const passCpu = (tree().reduce((s, p) => s + cpu(p), 0) - c) / n;

    const a = accounts[0] ?? await pair('bench-p');
    const where = `/api/status/${a.id}/new-message-id`;
    const all = () => [gw.child.pid, ...children(gw.child.pid)].reduce((s, p) => s + cpu(p), 0);
    await load(gw.port, where, { n: 1000, key: gw.key });
    c = all();
    const call = await load(gw.port, where, { n, key: gw.key });
    const callCpu = (all() - c) / n;
    row('CPU per call through the owner, both processes', 'ms', '', callCpu, passCpu, 'less', 'proxy_pass');
    row('calls through the owner, 16 callers', '/s', '', call.rate, pass.rate, 'more', 'proxy_pass');
  } finally {
    for (const b of both) b.kill('SIGTERM');
    await Promise.all(both.map(b => b.exitCode ?? once(b, 'exit')));
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

function children(pid) {
  return fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

// ---- run ----

try {
  empty = memory(owner);
  for (const s of sections) await { texts, memory: memories, reconnect: reconnects, proxy: proxies }[s]();
  console.log();
  for (const r of [['', 'unit', 'goal', 'wagw', 'other', '', 'better by'], ...rows]) {
    console.log(r.map((c, i) => (i ? c.padStart([0, 5, 6, 10, 10, 10, 10][i]) : c.padEnd(52))).join(' '));
  }
} finally {
  baileys?.disconnect();
  await gw.stop();
  await sandbox.stop();
}

// A gateway and a sandbox whose processes are started, signalled and killed.
// Waits end with an event: a webhook, a line of the error log, an answer.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Gateway } from '../interop/gateway.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
export const ROOT = path.resolve(here, '../..');
export const SANDBOX = process.env.WAGW_SANDBOX || path.join(ROOT, 'build/wagw-sandbox');
export const LIMIT = Number(process.env.WAGW_LIFE_LIMIT_MS || 60000);
export const LONG = process.env.WAGW_LIFE_LONG === '1';

export class Sandbox {
  static async start(args = []) {
    const s = new Sandbox();
    s.child = spawn(SANDBOX, ['--port', '0', ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
    s.gone = new Promise(resolve => s.child.once('exit', resolve));
    const info = await new Promise((resolve, reject) => {
      createInterface({ input: s.child.stdout }).once('line', line => resolve(JSON.parse(line)));
      s.child.once('error', reject);
      s.child.once('exit', code => reject(new Error(`wagw-sandbox ended with ${code}`)));
    });
    Object.assign(s, info);
    s.agent = new https.Agent({ keepAlive: true, rejectUnauthorized: false, maxSockets: 64 });
    s.cert = await s.text('GET', '/tls-cert');
    return s;
  }

  text(method, where, body) {
    const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const req = https.request({
        host: '127.0.0.1', port: this.adminPort, path: `/admin${where}`, method, agent: this.agent,
        headers: text === undefined ? {} : { 'content-length': Buffer.byteLength(text) },
      }, res => {
        const parts = [];
        res.on('data', d => parts.push(d));
        res.on('end', () => {
          const answer = Buffer.concat(parts).toString();
          if (res.statusCode === 200) resolve(answer);
          else reject(new Error(`${method} ${where}: ${res.statusCode} ${answer}`));
        });
      });
      req.on('error', reject);
      req.end(text);
    });
  }

  async get(where, query = {}) {
    const q = new URLSearchParams(query).toString();
    return JSON.parse(await this.text('GET', q ? `${where}?${q}` : where));
  }

  async post(where, body = {}) {
    return JSON.parse(await this.text('POST', where, body));
  }

  async connects(phone) {
    const [device] = await this.get('/devices', { phone });
    return device.stats.connects;
  }

  async stop() {
    this.agent.destroy();
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGTERM');
      await this.gone;
    }
  }
}

// nginx under test; its parent class makes directory, webhook receiver and calls
export class Life extends Gateway {
  static async start(sandbox, { daemon = 'off', master = 'on', ...options } = {}) {
    const g = new Life(sandbox, options.http ?? '', options.main ?? '', options.workers ?? 2);
    g.daemon = daemon;
    g.master = master;
    if (options.state) g.state = options.state;
    // each call has a connection of its own: none is cut by a worker that leaves
    g.agent.destroy();
    g.agent = new http.Agent({ keepAlive: false, maxSockets: 64 });
    await g.listen();
    if (options.run !== false) await g.run();
    return g;
  }

  get statedir() {
    return this.state ?? path.join(this.dir, 'state');
  }

  conf() {
    super.conf();
    const file = path.join(this.dir, 'nginx.conf');
    let text = fs.readFileSync(file, 'utf8');
    text = text.replace('daemon off;', `daemon ${this.daemon}; master_process ${this.master};`);
    text = text.replace(/wagw_state_dir \S+;/, `wagw_state_dir ${this.statedir};`);
    fs.writeFileSync(file, text);
  }

  master_pid() {
    return Number(fs.readFileSync(path.join(this.dir, 'nginx.pid'), 'utf8'));
  }

  // pids of children of the master whose title has the words
  children(words) {
    const parent = this.daemon === 'off' ? this.child.pid : this.master_pid();
    const found = [];
    for (const pid of fs.readdirSync('/proc').filter(p => /^\d+$/.test(p))) {
      try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/s, '').trim().split(' ');
        if (Number(stat[1]) === parent && stat[0] !== 'Z' && fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(words)) found.push(Number(pid));
      } catch { /* it ended */ }
    }
    return found;
  }

  owner() {
    return this.children('wagw owner process')[0] ?? 0;
  }

  get logfile() {
    return path.join(this.dir, 'logs/error.log');
  }

  mark() {
    return fs.existsSync(this.logfile) ? fs.statSync(this.logfile).size : 0;
  }

  // until `count` lines after the mark match
  logged(re, mark = 0, count = 1, limit = LIMIT) {
    const matches = () => {
      if (!fs.existsSync(this.logfile)) return 0;
      const text = fs.readFileSync(this.logfile).subarray(mark).toString();
      return text.split('\n').filter(l => re.test(l)).length;
    };
    return new Promise((resolve, reject) => {
      const end = (how, v) => {
        clearTimeout(timer);
        watcher.close();
        how(v);
      };
      const timer = setTimeout(() => end(reject, new Error(`${re} not logged ${count} times:\n${this.log()}`)), limit);
      const look = () => matches() >= count && end(resolve);
      const watcher = fs.watch(path.dirname(this.logfile), look);
      look();
    });
  }

  signal(name) {
    process.kill(this.daemon === 'off' ? this.child.pid : this.master_pid(), name);
  }

  // a reload is over when the workers of before are gone
  async reload() {
    const mark = this.mark();
    const n = this.children('worker process').length;
    this.signal('SIGHUP');
    await this.logged(/worker process \d+ exited with code 0/, mark, n);
  }

  // ends nginx; true when nothing of it is left
  async end(signal = 'SIGQUIT') {
    const master = this.daemon === 'off' ? this.child.pid : this.master_pid();
    const pids = this.children('').concat(master);
    const mark = this.mark();
    this.signal(signal);
    if (this.daemon === 'off') await this.gone;
    else await this.logged(/\[notice\] \d+#\d+: exit$/, mark);
    const alive = p => {
      try {
        return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${p}/status`, 'utf8'));
      } catch {
        return false;
      }
    };
    // the last line of the log is written a moment before the end
    for (const until = Date.now() + 2000; pids.some(alive); ) {
      if (Date.now() > until) return false;
      await new Promise(resolve => setTimeout(resolve, 2));
    }
    return true;
  }

  async run() {
    if (this.daemon === 'off') return super.run();
    this.port ??= (await import('../interop/gateway.mjs').then(m => m.freePort()));
    this.conf();
    const { NGINX } = await import('../interop/gateway.mjs');
    const child = spawn(NGINX, ['-p', this.dir, '-c', path.join(this.dir, 'nginx.conf')], { stdio: ['ignore', 'inherit', 'inherit'] });
    const code = await new Promise(resolve => child.once('exit', resolve));
    if (code !== 0) throw new Error(`nginx does not start: ${code}`);
    await this.up();
  }

  // until /health says that calls will not fail
  async up(limit = LIMIT) {
    for (const end = Date.now() + limit; ; ) {
      const r = await this.call('GET', '/health').catch(() => null);
      if (r?.status === 200) return;
      if (Date.now() > end) throw new Error(`the gateway does not come up: ${this.log()}`);
      await new Promise(resolve => setTimeout(resolve, 5));
    }
  }

  // until a webhook about the text came
  told(name, text) {
    this.bodies ??= { seen: 0, set: new Set() };
    return this.until(() => {
      for (; this.bodies.seen < this.events.length; this.bodies.seen++) {
        const e = this.events[this.bodies.seen];
        this.bodies.set.add(`${e.event} ${e.data?.body}`);
      }
      return this.bodies.set.has(`${name} ${text}`);
    }, `${name} "${text}"`);
  }

  // what the log says, without the coming and going of callers
  log() {
    if (!fs.existsSync(this.logfile)) return '(no log)';
    return fs.readFileSync(this.logfile, 'utf8').split('\n').filter(l => !/keepalive connection|signal 29/.test(l)).join('\n').slice(-4000);
  }

  // the failures of many events are not worth printing them all
  async until(fn, what, limit = LIMIT) {
    try {
      return await super.until(fn, what, limit);
    } catch (e) {
      throw new Error(e.message.replace(/events: .*/s, `${this.events.length} events came\n${this.log()}`));
    }
  }

  // a text that is sent until it is said to be sent: every try is the same call
  async persist(id, to, message, key) {
    for (const end = Date.now() + LIMIT; ; ) {
      const r = await this.call('POST', '/api/message/send/text', { instanceId: id, to, message }, { 'Idempotency-Key': key }).catch(e => ({ status: 0, body: e.message }));
      if (r.status === 200) return r.body.data;
      const again = r.status === 0 || r.status === 503 || r.status === 504
        || (r.status === 409 && ['INSTANCE_NOT_CONNECTED', 'IDEMPOTENCY_IN_PROGRESS'].includes(r.body.code));
      if (!again || Date.now() > end) {
        const state = await this.call('GET', `/api/instance/${id}`).catch(e => ({ body: e.message }));
        throw new Error(`${message}: ${r.status} ${JSON.stringify(r.body)}\n${JSON.stringify(state.body)}\n${this.log()}`);
      }
      await new Promise(resolve => setTimeout(resolve, 10));
    }
  }

  // all stored texts of an instance: [{messageId, body, fromMe, status}]
  async stored(id) {
    const all = [];
    for (let offset = 0; ; offset += 500) {
      const r = await this.call('GET', `/api/message/all/${id}?limit=500&offset=${offset}`);
      if (r.status !== 200) throw new Error(`messages: ${r.status} ${JSON.stringify(r.body)}`);
      all.push(...r.body.data);
      if (!r.body.pagination?.hasMore) return all;
    }
  }

  async stop() {
    if (this.daemon === 'on' && fs.existsSync(path.join(this.dir, 'nginx.pid'))) await this.end('SIGTERM');
    if (!this.child) this.child = { exitCode: 0 };
    await super.stop();
  }
}

export function tempdir() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wagw-life-'));
  fs.chmodSync(dir, 0o755);
  return dir;
}

// Numbered texts in both directions, one after the other in each, until told
// to stop.  `out` and `in` are what went out and what came in so far.
export class Traffic {
  constructor(gw, sandbox, me, peer, { parallel = 1 } = {}) {
    Object.assign(this, { gw, sandbox, me, peer, out: [], in: [], sent: new Map(), errors: [], on: true });
    this.jobs = [];
    for (let i = 0; i < parallel; i++) {
      this.jobs.push(this.outgoing(i), this.incoming(i));
    }
    this.jobs = this.jobs.map(j => j.catch(e => {
      this.errors.push(e);
      this.on = false;
      gw.emit('change');
    }));
  }

  async outgoing(lane) {
    for (let n = 1; this.on; n++) {
      const text = `out ${lane}.${n}`;
      this.out.push(text);
      this.sent.set(text, await this.gw.persist(this.me.id, this.peer.phone, text, `key-${lane}-${n}`));
      await this.gw.told('message.sent', text);
    }
  }

  async incoming(lane) {
    for (let n = 1; this.on; n++) {
      const text = `in ${lane}.${n}`;
      this.in.push(text);
      await this.sandbox.post('/mock-user/send', { from: this.peer.phone, to: this.me.phone, text });
      await this.gw.told('message.received', text);
    }
  }

  // until `n` more have gone each way
  async progress(n) {
    const [o, i] = [this.out.length, this.in.length];
    await this.gw.until(() => !this.on || (this.out.length >= o + n && this.in.length >= i + n), `${n} more messages`, LIMIT);
    if (this.errors.length) throw this.errors[0];
  }

  async stop() {
    this.on = false;
    await Promise.all(this.jobs);
    if (this.errors.length) throw this.errors[0];
  }
}

// What must be true when the traffic is over: throws with what is not.
export async function account(gw, sandbox, traffic) {
  const wrong = [];
  const { me, peer } = traffic;
  const count = list => list.reduce((m, x) => m.set(x, (m.get(x) ?? 0) + 1), new Map());

  // at the peer: each text under one id, so that a phone shows it once
  const inbox = await sandbox.get('/mock-phone/inbox', { phone: peer.phone });
  const ids = new Map();
  for (const m of inbox) {
    if (m.error) wrong.push(`peer cannot read ${m.id}: ${m.error}`);
    const text = m.message?.conversation ?? m.message?.extendedTextMessage?.text;
    if (text) ids.set(text, (ids.get(text) ?? new Set()).add(m.id));
  }
  for (const text of traffic.out) {
    const n = ids.get(text)?.size ?? 0;
    if (n !== 1) wrong.push(`peer has "${text}" under ${n} ids`);
  }

  // in the store: once each
  const rows = await gw.stored(me.id);
  const bodies = count(rows.map(r => r.body));
  for (const text of [...traffic.out, ...traffic.in]) {
    if (bodies.get(text) !== 1) wrong.push(`store has "${text}" ${bodies.get(text) ?? 0} times`);
  }

  // webhooks: at least once, every repetition with the same id, seq without a gap
  for (const [name, texts] of [['message.received', traffic.in], ['message.sent', traffic.out]]) {
    const events = new Map();
    for (const e of gw.events.filter(e => e.event === name)) {
      events.set(e.data.body, (events.get(e.data.body) ?? new Set()).add(e.id));
    }
    for (const text of texts) {
      const n = events.get(text)?.size ?? 0;
      if (n !== 1) wrong.push(`${name} "${text}" has ${n} ids`);
    }
  }
  const seqs = [...new Set(gw.events.filter(e => e.instanceId === me.id).map(e => e.seq))].sort((a, b) => a - b);
  for (let i = 1; i < seqs.length; i++) {
    if (seqs[i] !== seqs[i - 1] + 1) wrong.push(`seq goes from ${seqs[i - 1]} to ${seqs[i]}`);
  }
  if (wrong.length) throw new Error(`${wrong.length} wrong:\n  ${wrong.slice(0, 20).join('\n  ')}`);
}

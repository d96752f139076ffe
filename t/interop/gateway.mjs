// nginx with the module, for tests: its own directory and port, a webhook
// receiver, REST calls, and waits that end with an event.

import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const BUILD = path.resolve(here, '../../build');
export const NGINX = process.env.TEST_NGINX_BINARY || '/usr/sbin/nginx';
export const MODULE = process.env.TEST_NGINX_LOAD_MODULES || path.join(BUILD, 'ngx_http_wagw_module.so');
const LIMIT = Number(process.env.WAGW_INTEROP_LIMIT_MS || 30000);

export function freePort() {
  return new Promise((resolve, reject) => {
    const s = net.createServer();
    s.once('error', reject);
    s.listen(0, '127.0.0.1', () => {
      const { port } = s.address();
      s.close(() => resolve(port));
    });
  });
}

export class Gateway extends EventEmitter {
  // sandbox: whose WhatsApp; http: further directives
  static async start(sandbox, { http: more = '', main = '', workers = 2 } = {}) {
    const g = new Gateway(sandbox, more, main, workers);
    await g.listen();
    await g.run();
    return g;
  }

  constructor(sandbox, more, main, workers) {
    super();
    this.setMaxListeners(0);
    this.sandbox = sandbox;
    this.more = more;
    this.main = main;
    this.workers = workers;
    this.key = 'interop-key-0123456789';
    this.events = [];
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wagw-interop-'));
    fs.chmodSync(this.dir, 0o755);
    fs.mkdirSync(path.join(this.dir, 'logs'));
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  }

  // the webhook receiver: answers 200 and keeps what came
  async listen() {
    this.server = http.createServer((req, res) => {
      const parts = [];
      req.on('data', d => parts.push(d));
      req.on('end', () => {
        const body = JSON.parse(Buffer.concat(parts).toString());
        for (const e of Array.isArray(body) ? body : [body]) this.events.push({ headers: req.headers, ...e });
        res.end('ok');
        this.emit('change');
      });
    });
    await new Promise(resolve => this.server.listen(0, '127.0.0.1', resolve));
    this.hook = `http://127.0.0.1:${this.server.address().port}/hook`;
  }

  conf() {
    const cert = path.join(this.dir, 'sandbox.pem');
    fs.writeFileSync(cert, this.sandbox.cert);
    fs.writeFileSync(path.join(this.dir, 'nginx.conf'), `
      load_module ${MODULE};
      daemon off;
      ${process.getuid() === 0 ? 'user root;' : ''}
      worker_processes ${this.workers};
      pid ${this.dir}/nginx.pid;
      error_log ${this.dir}/logs/error.log info;
      ${this.main}
      events { worker_connections 1024; }
      http {
        access_log off;
        client_body_temp_path ${this.dir}/b; proxy_temp_path ${this.dir}/p; fastcgi_temp_path ${this.dir}/f;
        uwsgi_temp_path ${this.dir}/u; scgi_temp_path ${this.dir}/s;
        wagw_state_dir ${this.dir}/state;
        wagw_api_key ${this.key};
        wagw_whatsapp_url ${this.sandbox.url};
        wagw_whatsapp_root ${this.sandbox.noiseRoot};
        wagw_trusted_certificate ${cert};
        wagw_outbound_allow 127.0.0.0/8;
        ${this.more}
        server { listen 127.0.0.1:${this.port}; location / { wagw on; } }
      }`);
  }

  async run() {
    this.port = await freePort();
    this.conf();
    this.child = spawn(NGINX, ['-p', this.dir, '-c', path.join(this.dir, 'nginx.conf')], { stdio: ['ignore', 'inherit', 'inherit'] });
    this.gone = new Promise(resolve => this.child.once('exit', resolve));
    // /health is 503 until the owner answers; without nginx the connection is refused
    for (const end = Date.now() + LIMIT; ; ) {
      const up = await this.call('GET', '/health').catch(() => null);
      if (up?.status === 200) return;
      if (this.child.exitCode !== null) throw new Error(`nginx ended with ${this.child.exitCode}: ${this.log()}`);
      if (Date.now() > end) throw new Error(`the gateway does not come up: ${this.log()}`);
      await new Promise(resolve => setImmediate(resolve));
    }
  }

  log() {
    try {
      return fs.readFileSync(path.join(this.dir, 'logs/error.log'), 'utf8').slice(-4000);
    } catch {
      return '(no log)';
    }
  }

  // the raw answer: {status, headers, body (parsed when JSON)}
  call(method, where, body, headers = {}) {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const req = http.request({
        host: '127.0.0.1', port: this.port, path: where, method, agent: this.agent,
        headers: {
          'X-API-Key': this.key,
          ...(text === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) }),
          ...headers,
        },
      }, res => {
        const parts = [];
        res.on('data', d => parts.push(d));
        res.on('end', () => {
          const raw = Buffer.concat(parts);
          let parsed = raw;
          if (/json/.test(res.headers['content-type'] ?? '')) parsed = JSON.parse(raw.toString());
          resolve({ status: res.statusCode, headers: res.headers, body: parsed });
        });
      });
      req.on('error', reject);
      req.end(text);
    });
  }

  // data of a call that must succeed
  async ok(method, where, body) {
    const r = await this.call(method, where, body);
    if (r.status >= 300) throw new Error(`${method} ${where}: ${r.status} ${JSON.stringify(r.body)}`);
    return r.body.data;
  }

  until(fn, what = fn.toString(), limit = LIMIT) {
    const now = fn();
    if (now) return Promise.resolve(now);
    return new Promise((resolve, reject) => {
      const look = () => {
        const v = fn();
        if (v) end(resolve, v);
      };
      const end = (how, v) => {
        clearTimeout(timer);
        this.off('change', look);
        how(v);
      };
      const timer = setTimeout(() => end(reject, new Error(
        `no ${what} within ${limit} ms; events: ${JSON.stringify(this.events.map(e => [e.event, e.data?.status ?? e.data?.body ?? e.data?.messageId]))}\n${this.log()}`)), limit);
      this.on('change', look);
    });
  }

  // a webhook event whose data fits
  event(name, fits = () => true, what = `event ${name}`) {
    return this.until(() => this.events.find(e => e.event === name && fits(e.data, e)), what);
  }

  async create(name, more = {}) {
    return this.ok('POST', '/api/instance/create', { name, webhookUrl: this.hook, ...more });
  }

  // an instance linked by QR; returns {id, phone, lid, entry}
  async pairByQr(name, more = {}) {
    const { id } = await this.create(name, more);
    const { raw } = await this.ok('GET', `/api/instance/${id}/qr`);
    const entry = JSON.parse(await this.sandbox.text('POST', `/mock-phone/scan-qr?name=${encodeURIComponent(name)}`, raw));
    await this.connected(id);
    return { id, phone: entry.phone, lid: entry.lid.replace(/:\d+@/, '@'), entry };
  }

  async pairByCode(name, phone) {
    const { id } = await this.create(name);
    const { pairingCode } = await this.ok('POST', `/api/instance/${id}/pairing-code`, { phoneNumber: phone });
    const entry = await this.sandbox.post('/mock-phone/enter-code', { phone, code: pairingCode.replace('-', ''), wait: LIMIT });
    await this.connected(id);
    return { id, phone: entry.phone, lid: entry.lid.replace(/:\d+@/, '@'), entry };
  }

  connected(id) {
    return this.event('session.status', (d, e) => d.status === 'connected' && e.instanceId === id, `connected ${id}`);
  }

  send(id, to, message, more = {}) {
    return this.ok('POST', '/api/message/send/text', { instanceId: id, to, message, ...more });
  }

  owner() {
    for (const pid of fs.readdirSync('/proc').filter(p => /^\d+$/.test(p))) {
      try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        if (parent === this.child.pid && /wagw owner process/.test(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8'))) return Number(pid);
      } catch { /* it ended */ }
    }
    return 0;
  }

  async stop() {
    this.agent.destroy();
    if (this.child?.exitCode === null) {
      this.child.kill('SIGTERM');
      await this.gone;
    }
    this.server.closeAllConnections();
    this.server.close();
    fs.rmSync(this.dir, { recursive: true, force: true });
  }
}

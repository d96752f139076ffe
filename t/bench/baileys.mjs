// The other side of the comparison: Baileys clients in a process of their own,
// with the file store that its documentation shows.  Told over IPC what to do;
// each answer carries the CPU that the step took.

import { makeWASocket, useMultiFileAuthState, makeCacheableSignalKeyStore, Browsers, WA_CERT_DETAILS } from
  '../interop/node_modules/@whiskeysockets/baileys/lib/index.js';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';

const quiet = { level: 'silent' };
for (const l of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) quiet[l] = () => {};
quiet.child = () => quiet;
// libsignal talks about its sessions, keys included
console.info = console.warn = console.error = console.log = () => {};

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wagw-bench-baileys-'));
process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));
process.on('disconnect', () => process.exit(0));

let server;
const clients = new Map();

class Client {
  constructor(name) {
    this.name = name;
    this.received = 0;
    this.waits = [];
  }

  async connect() {
    this.auth ??= await useMultiFileAuthState(path.join(dir, this.name));
    WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(server.noiseRoot, 'hex');
    const sock = makeWASocket({
      waWebSocketUrl: server.url,
      auth: { creds: this.auth.state.creds, keys: makeCacheableSignalKeyStore(this.auth.state.keys, quiet) },
      logger: quiet,
      browser: Browsers.macOS('Chrome'),
      syncFullHistory: false,
      markOnlineOnConnect: false,
      agent: new https.Agent({ ca: server.cert, rejectUnauthorized: true }),
    });
    this.sock = sock;
    sock.ev.on('creds.update', this.auth.saveCreds);
    sock.ev.on('messages.upsert', ({ messages }) => {
      if (this.sock !== sock) return;
      for (const m of messages) if (!m.key.fromMe && m.message) this.received++;
      this.look();
    });
    sock.ev.on('connection.update', u => {
      if (this.sock !== sock) return;
      if (u.qr) this.qr = u.qr;
      if (u.connection) this.state = u.connection;
      if (u.connection === 'close' && u.lastDisconnect?.error?.output?.statusCode === 515) this.connect();
      this.look();
    });
  }

  look() {
    this.waits = this.waits.filter(w => !w.fn() || (w.resolve(), false));
  }

  until(fn) {
    return fn() ? Promise.resolve() : new Promise(resolve => this.waits.push({ fn, resolve }));
  }
}

const steps = {
  server: s => { server = s; },
  // answers with the QR; the parent scans it
  async qr({ name }) {
    const c = new Client(name);
    clients.set(name, c);
    await c.connect();
    await c.until(() => c.qr);
    return c.qr;
  },
  async open({ name }) {
    const c = clients.get(name);
    await c.until(() => c.state === 'open');
  },
  async send({ name, to, n, callers, text }) {
    const { sock } = clients.get(name);
    let left = n;
    const one = async () => {
      while (left-- > 0) await sock.sendMessage(to, { text });
    };
    await Promise.all(Array.from({ length: callers }, one));
  },
  async receive({ name, n }) {
    const c = clients.get(name);
    await c.until(() => c.received >= n);
    c.received -= n;
  },
  async close() {
    for (const c of clients.values()) {
      const { sock } = c;
      c.state = undefined;
      c.sock = undefined;
      sock.end(undefined);
    }
  },
  async reconnect() {
    await Promise.all([...clients.values()].map(async c => {
      await c.connect();
      await c.until(() => c.state === 'open');
    }));
  },
};

process.on('message', async ({ id, step, arg }) => {
  const cpu = process.cpuUsage(), began = performance.now();
  try {
    const value = await steps[step](arg);
    const { user, system } = process.cpuUsage(cpu);
    const seconds = (performance.now() - began) / 1000;
    // what is alive: the resident set keeps what linking left behind
    global.gc?.();
    global.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    process.send({ id, value, cpu: (user + system) / 1000, seconds, live: heapUsed + external });
  } catch (e) {
    process.send({ id, error: e.stack });
  }
});

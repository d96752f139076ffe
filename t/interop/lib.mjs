// Helpers for tests with real Baileys clients against the sandbox: start a
// sandbox on a free port, make clients, pair them, wait for what happens.
// Nothing here sleeps: every wait ends with an event or with its time limit.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import http from 'node:http';
import https from 'node:https';
import { EventEmitter } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  makeWASocket,
  initAuthCreds,
  BufferJSON,
  proto,
  Browsers,
  WA_CERT_DETAILS,
} from '@whiskeysockets/baileys';

const here = path.dirname(fileURLToPath(import.meta.url));
export const SANDBOX = process.env.WAGW_SANDBOX || path.resolve(here, '../../build/wagw-sandbox');
const LIMIT = Number(process.env.WAGW_INTEROP_LIMIT_MS || 30000);

// ---- the sandbox ----

export class Sandbox {
  static async start(args = []) {
    const child = spawn(SANDBOX, ['--port', '0', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout });
    const info = await new Promise((resolve, reject) => {
      lines.once('line', line => resolve(JSON.parse(line)));
      child.once('error', reject);
      child.once('exit', code => reject(new Error(`wagw-sandbox ended with ${code}`)));
    });
    const s = new Sandbox(info, child);
    s.cert = await s.text('GET', '/tls-cert');
    return s;
  }

  constructor(info, child) {
    this.info = info;
    this.child = child;
    this.url = info.url;
    this.noiseRoot = info.noiseRoot;
    this.http = info.url.startsWith('ws:') ? http : https;
    this.agent = new this.http.Agent({ keepAlive: true, rejectUnauthorized: false, maxSockets: 64 });
  }

  // the raw answer of an admin call: {status, body}
  call(method, where, body) {
    const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const req = this.http.request(
        {
          host: '127.0.0.1',
          port: this.info.adminPort,
          path: `/admin${where}`,
          method,
          agent: this.agent,
          headers: text === undefined ? {} : { 'content-length': Buffer.byteLength(text) },
        },
        res => {
          const parts = [];
          res.on('data', d => parts.push(d));
          res.on('end', () => resolve({ status: res.statusCode, body: Buffer.concat(parts).toString() }));
        },
      );
      req.on('error', reject);
      req.end(text);
    });
  }

  async text(method, where, body) {
    const r = await this.call(method, where, body);
    if (r.status !== 200) throw new Error(`${method} ${where}: ${r.status} ${r.body}`);
    return r.body;
  }

  async json(method, where, body) {
    return JSON.parse(await this.text(method, where, body));
  }

  get(where, query = {}) {
    const q = new URLSearchParams(query).toString();
    return this.json('GET', q ? `${where}?${q}` : where);
  }

  post(where, body = {}) {
    return this.json('POST', where, body);
  }

  del(where) {
    return this.json('DELETE', where);
  }

  // copies that an account's phone received, decrypted
  inbox(phone, query = {}) {
    return this.get('/mock-phone/inbox', { phone, wait: LIMIT, ...query });
  }

  // nodes of a device; waits for `min` of them
  nodes(device, query = {}) {
    return this.get('/nodes', { device, wait: LIMIT, ...query });
  }

  // what a good run leaves empty
  async complaints() {
    return { unhandled: await this.get('/unhandled'), faults: await this.get('/faults') };
  }

  async stop() {
    this.agent.destroy();
    if (this.child && this.child.exitCode === null) {
      const gone = new Promise(resolve => this.child.once('exit', (code, signal) => resolve(code ?? signal)));
      this.child.kill('SIGTERM');
      const how = await gone; // not 0 when a sanitizer has something to say
      if (how !== 0) throw new Error(`wagw-sandbox ended with ${how}`);
    }
  }
}

// ---- credentials in memory ----

function memoryAuth() {
  const store = new Map();
  const creds = initAuthCreds();
  return {
    creds,
    keys: {
      get: async (type, ids) => {
        const out = {};
        for (const id of ids) {
          const text = store.get(`${type}|${id}`);
          if (text === undefined) continue;
          let value = JSON.parse(text, BufferJSON.reviver);
          if (type === 'app-state-sync-key') value = proto.Message.AppStateSyncKeyData.fromObject(value);
          out[id] = value;
        }
        return out;
      },
      set: async data => {
        for (const type of Object.keys(data)) {
          for (const [id, value] of Object.entries(data[type])) {
            if (value) store.set(`${type}|${id}`, JSON.stringify(value, BufferJSON.replacer));
            else store.delete(`${type}|${id}`);
          }
        }
      },
    },
  };
}

const quiet = { level: process.env.WAGW_INTEROP_LOG || 'silent' };
for (const l of ['trace', 'debug', 'info', 'warn', 'error', 'fatal']) {
  const order = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];
  quiet[l] = (...a) => {
    if (order.indexOf(l) >= order.indexOf(quiet.level)) console.error(l, ...a);
  };
}
quiet.child = () => quiet;

// libsignal talks about its sessions, keys included
if (quiet.level === 'silent') console.info = console.warn = () => {};

// ---- a Baileys client ----

export class Client extends EventEmitter {
  // server: {url, noiseRoot, cert}; options go to makeWASocket
  constructor(server, name, options = {}) {
    super();
    this.setMaxListeners(0);
    this.server = server;
    this.name = name;
    this.options = options;
    this.auth = memoryAuth();
    this.messages = []; // everything from messages.upsert: {type, message}
    this.updates = []; // messages.update
    this.receipts = []; // message-receipt.update
    this.reactions = [];
    this.presences = [];
    this.groupUpdates = [];
    this.memberUpdates = [];
    this.closes = []; // status codes of closed connections
    this.sent = new Map(); // id -> Message, for retry requests
    this.opens = 0;
    this.stopped = false;
    this.stay = false; // reconnect after a closed connection
    this.devices = new Map(); // device lists that Baileys remembers
  }

  // Baileys remembers device lists for minutes, and takes no notice of an unlinked device: with one in its list
  // that it never wrote to, its next send fails with item-not-found
  forgetDevices() {
    this.devices.clear();
  }

  get jid() {
    return this.auth.creds.me?.id;
  }
  get lid() {
    return this.auth.creds.me?.lid;
  }
  get phone() {
    return this.jid?.split(/[:@]/)[0];
  }
  // addresses without device
  get pnUser() {
    return `${this.phone}@s.whatsapp.net`;
  }
  get lidUser() {
    return `${this.lid?.split(/[:@]/)[0]}@lid`;
  }

  connect() {
    WA_CERT_DETAILS.PUBLIC_KEY = Buffer.from(this.server.noiseRoot, 'hex');
    const sock = makeWASocket({
      waWebSocketUrl: this.server.url,
      auth: this.auth,
      logger: quiet,
      browser: Browsers.macOS('Chrome'),
      syncFullHistory: false,
      markOnlineOnConnect: false,
      retryRequestDelayMs: 10,
      agent: this.server.url.startsWith('wss:') ? new https.Agent({ ca: this.server.cert }) : undefined,
      getMessage: async key => this.sent.get(key.id),
      userDevicesCache: {
        get: key => this.devices.get(key),
        set: (key, value) => this.devices.set(key, value),
        del: key => this.devices.delete(key),
        flushAll: () => this.devices.clear(),
      },
      ...this.options,
    });
    this.sock = sock;
    const mine = fn => (...a) => {
      if (this.sock === sock) {
        fn(...a);
        this.emit('change');
      }
    };

    sock.ev.on('creds.update', mine(u => Object.assign(this.auth.creds, u)));
    sock.ev.on('messages.upsert', mine(({ messages, type }) => {
      for (const message of messages) {
        this.messages.push({ type, message });
        if (message.key.fromMe && message.message) this.sent.set(message.key.id, message.message);
      }
    }));
    sock.ev.on('messages.update', mine(u => this.updates.push(...u)));
    sock.ev.on('message-receipt.update', mine(u => this.receipts.push(...u)));
    sock.ev.on('messages.reaction', mine(u => this.reactions.push(...u)));
    sock.ev.on('presence.update', mine(u => this.presences.push(u)));
    sock.ev.on('groups.update', mine(u => this.groupUpdates.push(...u)));
    sock.ev.on('group-participants.update', mine(u => this.memberUpdates.push(u)));
    sock.ev.on('connection.update', mine(u => {
      if (u.qr) this.qr = u.qr;
      if (u.connection) this.state = u.connection;
      if (u.connection === 'open') this.opens++;
      if (u.connection === 'close') {
        const code = u.lastDisconnect?.error?.output?.statusCode;
        this.closes.push(code);
        if (!this.stopped && (code === 515 || this.stay)) this.connect();
      }
    }));
    return this;
  }

  // resolves with the first truthy value of fn, looked at after every event
  until(fn, what = fn.toString(), limit = LIMIT) {
    const now = fn();
    if (now) return Promise.resolve(now);
    return new Promise((resolve, reject) => {
      const look = () => {
        let v;
        try {
          v = fn();
        } catch (e) {
          return end(reject, e);
        }
        if (v) end(resolve, v);
      };
      const end = (how, v) => {
        clearTimeout(timer);
        this.off('change', look);
        how(v);
      };
      const timer = setTimeout(() => {
        const seen = this.messages.map(m => textOf(m.message) ?? `(${Object.keys(m.message.message ?? {})})`);
        end(reject, new Error(`${this.name}: no ${what} within ${limit} ms; state ${this.state}, ` +
          `closes ${JSON.stringify(this.closes)}, messages ${JSON.stringify(seen)}`));
      }, limit);
      this.on('change', look);
    });
  }

  open(n = 1) {
    return this.until(() => this.state === 'open' && this.opens >= n, `open connection`);
  }

  closed(code) {
    return this.until(() => this.state === 'close' && (code === undefined || this.closes.at(-1) === code),
      `closed connection${code ? ` with ${code}` : ''}`);
  }

  // the push name comes from the phone's app state; without it there is no presence, and without presence
  // receipts say "inactive"
  async online() {
    await this.until(() => this.auth.creds.me?.name, 'push name');
    await this.sock.sendPresenceUpdate('available');
  }

  // links by QR; sandbox answers with the entry of /devices
  async pairByQr(sandbox, { phone, name = this.name } = {}) {
    const opens = this.opens;
    this.connect();
    const qr = await this.until(() => this.qr, 'QR code');
    const q = new URLSearchParams({ name, ...(phone ? { phone } : {}) });
    this.entry = JSON.parse(await sandbox.text('POST', `/mock-phone/scan-qr?${q}`, qr));
    await this.open(opens + 1);
    await this.online();
    return this.entry;
  }

  async pairByCode(sandbox, phone) {
    const opens = this.opens;
    this.connect();
    await this.until(() => this.qr, 'QR code');
    const code = await this.sock.requestPairingCode(phone);
    this.entry = await sandbox.post('/mock-phone/enter-code', { phone, code, wait: LIMIT });
    await this.open(opens + 1);
    await this.online();
    return this.entry;
  }

  // resolves with the WAMessage that was sent (after the server's ack)
  async send(jid, content, options) {
    const m = await this.sock.sendMessage(jid, typeof content === 'string' ? { text: content } : content, options);
    if (m?.message) this.sent.set(m.key.id, m.message);
    return m;
  }

  // a received (or own, copied) message
  message(match, what) {
    const fits = typeof match === 'function' ? match : m => textOf(m) === match;
    return this.until(() => this.messages.find(m => m.message.message && fits(m.message))?.message,
      what ?? `message ${typeof match === 'string' ? JSON.stringify(match) : 'that fits'}`);
  }

  // Status of an own message: 0 refused, 2 server, 3 delivered, 4 read.  Baileys emits an update, or puts it
  // into the message when that was not emitted yet.
  statusOf(id) {
    const seen = [
      ...this.messages.filter(m => m.message.key.id === id).map(m => m.message.status),
      ...this.updates.filter(u => u.key.id === id).map(u => u.update.status),
    ].filter(s => s !== undefined && s !== null);
    return seen.includes(0) ? 0 : Math.max(...seen, 1);
  }

  status(id, least) {
    return this.until(() => this.statusOf(id) >= least, `status ${least} of ${id} (it has ${this.statusOf(id)})`);
  }

  refused(id) {
    return this.until(() => this.statusOf(id) === 0, `refusal of ${id}`);
  }

  // a receipt for an own group message: an event of its own, or, while the message waits in Baileys' buffer, a part of it
  receiptOf(id, kind) {
    const seen = [
      ...this.receipts.filter(x => x.key.id === id).map(x => x.receipt),
      ...this.messages.filter(m => m.message.key.id === id).flatMap(m => m.message.userReceipt ?? []),
    ];
    return seen.find(x => Number(x[kind] ?? 0) > 0);
  }

  receipt(id, kind) {
    return this.until(() => this.receiptOf(id, kind), `${kind} of ${id}`);
  }

  // closes this connection and does not come back by itself
  async stop() {
    this.stopped = true;
    if (this.sock && this.state !== 'close') {
      this.sock.end(undefined);
      await this.until(() => this.state === 'close', 'end');
    }
  }

  // goes away and forgets nothing: connect() logs in again
  async away() {
    await this.stop();
    this.stopped = false;
  }
}

export function textOf(m) {
  const c = m?.message;
  return c?.conversation || c?.extendedTextMessage?.text || undefined;
}

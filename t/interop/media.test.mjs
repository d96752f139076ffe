// Media in both directions between the gateway and Baileys: bytes compared
// after Baileys' own download, and after ours (issue 3, acceptance 1).

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import zlib from 'node:zlib';
import { downloadMediaMessage } from '@whiskeysockets/baileys';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';

// the sandbox's media host has a certificate of its own
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');

let sandbox, gw, me, a;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox, { http: 'client_max_body_size 200m;' });
  a = new Client(sandbox, 'Anna');
  await a.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
});
after(async () => {
  await a?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const pn = phone => `${phone}@s.whatsapp.net`;

// ---- files ----

function png(width, height) {
  const chunk = (type, data) => {
    const b = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(b.length + 8);
    out.writeUInt32BE(data.length, 0);
    b.copy(out, 4);
    out.writeUInt32BE(zlib.crc32 ? zlib.crc32(b) : crc32(b), b.length + 4);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows.set([x & 255, y & 255, (x * y) & 255], y * (width * 3 + 1) + 1 + x * 3);
  }
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head),
    chunk('IDAT', zlib.deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

function crc32(b) {
  let c = ~0;
  for (const x of b) {
    c ^= x;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  }
  return ~c >>> 0;
}

const sha256 = b => crypto.createHash('sha256').update(b).digest('base64');

// what Baileys got, downloaded by it
async function downloaded(id, kind) {
  const m = await a.message(x => x.key.id === id, `${kind} ${id}`);
  const bytes = await downloadMediaMessage(m, 'buffer', {}, { logger: { info() {}, debug() {}, trace() {}, error() {} } });
  return { m, bytes };
}

async function sendTo(path, body) {
  return gw.ok('POST', `/api/message/send/${path}`, { instanceId: me.id, to: a.phone, ...body });
}

test('an image as base64 reaches Baileys, byte for byte, with its size and a thumbnail', async () => {
  const file = png(320, 200);
  const r = await sendTo('image', { imageBase64: file.toString('base64'), caption: 'a picture' });
  assert.equal(r.status, 'sent');
  const { m, bytes } = await downloaded(r.messageId, 'image');
  assert.ok(bytes.equals(file));
  const i = m.message.imageMessage;
  assert.equal(i.caption, 'a picture');
  assert.equal(i.mimetype, 'image/png');
  assert.equal(i.width, 320);
  assert.equal(i.height, 200);
  assert.equal(Number(i.fileLength), file.length);
  assert.equal(Buffer.from(i.jpegThumbnail).subarray(0, 2).toString('hex'), 'ffd8');
});

test('an image from Baileys is told of and can be fetched', async () => {
  const file = png(64, 48);
  const m = await a.send(pn(me.phone), { image: file, caption: 'back', mimetype: 'image/png', jpegThumbnail: '' });
  const e = await gw.event('message.received', d => d.messageId === m.key.id);
  assert.equal(e.data.type, 'image');
  assert.equal(e.data.body, 'back');
  assert.equal(e.data.media.mimetype, 'image/png');
  assert.equal(e.data.media.size, file.length);
  assert.equal(e.data.media.sha256, sha256(file));
  const got = await gw.call('GET', e.data.mediaUrl);
  assert.equal(got.status, 200, e.data.mediaUrl + ' ' + (got.body.code ?? ''));
  assert.equal(got.status, 200);
  assert.equal(got.headers['content-type'], 'image/png');
  assert.ok(got.body.equals(file));
});

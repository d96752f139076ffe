// What becomes of pictures and documents on their way, and what is refused:
// every bad input of issue 3, with nothing left behind.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import { downloadMediaMessage } from '@whiskeysockets/baileys';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';
import * as f from './files.mjs';

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');

let sandbox, gw, me, a, server;
const at = {};

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox, { http: 'client_max_body_size 64m; wagw_timeout 8s; wagw_media_url_limit document=1m;' });
  a = new Client(sandbox, 'Anna');
  await a.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
  server = http.createServer((req, res) => {
    if (typeof at[req.url] === 'function') return at[req.url](req, res);
    res.writeHead(at[req.url] ? 200 : 404, at[req.url]?.headers);
    res.end(at[req.url]?.body);
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
});
after(async () => {
  await a?.stop();
  await gw?.stop();
  await sandbox?.stop();
  server?.closeAllConnections();
  server?.close();
});

const url = where => `http://127.0.0.1:${server.address().port}${where}`;
const b64 = b => Buffer.from(b).toString('base64');
const quiet = { info() {}, debug() {}, trace() {}, warn() {}, error() {} };

async function send(where, body) {
  const r = await gw.ok('POST', `/api/message/send/${where}`, { instanceId: me.id, to: a.phone, ...body });
  const m = await a.message(x => x.key.id === r.messageId, where);
  return { bytes: await downloadMediaMessage(m, 'buffer', {}, { logger: quiet }), m: m.message };
}

async function refused(where, body, status, code) {
  const r = await gw.call('POST', `/api/message/send/${where}`, { instanceId: me.id, to: a.phone, ...body });
  assert.deepEqual([r.status, r.body.code], [status, code], `${where} ${JSON.stringify(body).slice(0, 80)}: ${JSON.stringify(r.body)}`);
  return r.body;
}

const red = ([r, , b]) => r > 180 && b < 80;
const blue = ([r, , b]) => b > 180 && r < 80;

test('WebP and GIF become JPEG, with their size and a thumbnail', async () => {
  const picture = f.halves(200, 100);
  for (const file of [f.toWebp(picture), f.toGif(picture), f.webpMoving(f.toWebp(picture), 200, 100)]) {
    const { bytes, m } = await send('image', { imageBase64: b64(file) });
    assert.deepEqual([m.imageMessage.mimetype, m.imageMessage.width, m.imageMessage.height], ['image/jpeg', 200, 100]);
    assert.equal(Number(m.imageMessage.fileLength), bytes.length);
    const pixel = f.pixels(bytes, 200, 100);
    assert.ok(red(pixel(20, 50)) && blue(pixel(180, 50)));
    const small = f.pixels(Buffer.from(m.imageMessage.jpegThumbnail), 32, 16);
    assert.ok(red(small(4, 8)) && blue(small(28, 8)));
  }
  // as a document it stays what it is
  const gif = f.toGif(picture);
  const { bytes, m } = await send('file', { fileBase64: b64(gif), fileName: 'x.gif' });
  assert.ok(bytes.equals(gif));
  assert.equal(m.documentMessage.mimetype, 'image/gif');
});

test('a turned photo: its bytes stay, size and thumbnail are those of what is seen', async () => {
  const photo = f.toJpeg(f.halves(200, 100));
  for (const [orientation, little, width, height, first, last] of [[1, true, 200, 100, [2, 8], [29, 8]],
    [3, true, 200, 100, [29, 8], [2, 8]], [6, true, 100, 200, [16, 4], [16, 60]], [8, false, 100, 200, [16, 60], [16, 4]]]) {
    const file = f.jpegTurned(photo, orientation, little);
    const { bytes, m } = await send('image', { imageBase64: b64(file) });
    assert.ok(bytes.equals(file));
    assert.deepEqual([m.imageMessage.width, m.imageMessage.height], [width, height], `orientation ${orientation}`);
    const small = f.pixels(Buffer.from(m.imageMessage.jpegThumbnail), 32, width > height ? 16 : 64);
    assert.ok(red(small(...first)) && blue(small(...last)), `orientation ${orientation}`);
  }
  // one that is encoded anew is turned itself
  for (const [orientation, width, height, first, last] of [[6, 100, 200, [50, 20], [50, 180]], [8, 100, 200, [50, 180], [50, 20]],
    [3, 200, 100, [180, 50], [20, 50]], [2, 200, 100, [180, 50], [20, 50]], [5, 100, 200, [50, 20], [50, 180]]]) {
    const { bytes, m } = await send('image', { imageBase64: b64(f.webpTurned(f.toWebp(f.halves(200, 100)), 200, 100, orientation)) });
    assert.deepEqual([m.imageMessage.width, m.imageMessage.height], [width, height]);
    const pixel = f.pixels(bytes, width, height);
    assert.ok(red(pixel(...first)) && blue(pixel(...last)), `orientation ${orientation}`);
  }
});

test('stickers: at most 512 pixels, moving ones are marked as such', async () => {
  const still = f.toWebp(f.halves(64, 64));
  assert.ok(!(await send('sticker', { stickerBase64: b64(still) })).m.stickerMessage.isAnimated);
  const moving = f.webpMoving(still, 64, 64);
  const { bytes, m } = await send('sticker', { stickerBase64: b64(moving) });
  assert.ok(bytes.equals(moving));
  assert.deepEqual([m.stickerMessage.isAnimated, m.stickerMessage.width, m.stickerMessage.height], [true, 64, 64]);
  await refused('sticker', { stickerBase64: b64(f.toWebp(f.halves(600, 100))) }, 415, 'UNSUPPORTED_MEDIA');
  await refused('sticker', { stickerBase64: b64(f.toGif(f.halves(64, 64))) }, 415, 'UNSUPPORTED_MEDIA');
  await refused('sticker', { stickerBase64: b64(still.subarray(0, 40)) }, 415, 'UNSUPPORTED_MEDIA');
});

test('a PDF has its pages and a picture of the first; other documents are left alone', async () => {
  const file = f.pdf(7);
  const { bytes, m } = await send('file', { fileBase64: b64(file), fileName: 'seven.pdf' });
  assert.ok(bytes.equals(file));
  assert.deepEqual([m.documentMessage.pageCount, m.documentMessage.mimetype], [7, 'application/pdf']);
  assert.equal(Buffer.from(m.documentMessage.jpegThumbnail).subarray(0, 2).toString('hex'), 'ffd8');
  f.pixels(Buffer.from(m.documentMessage.jpegThumbnail), 150, 200);
  for (const odd of [Buffer.from('%PDF-1.7 and then nothing'), crypto.randomBytes(500)]) {
    const other = await send('file', { fileBase64: b64(odd) });
    assert.ok(other.bytes.equals(odd));
    assert.ok(!other.m.documentMessage.pageCount && !other.m.documentMessage.jpegThumbnail?.length);
  }
});

test('pictures that are none, that are cut off, or that would fill the memory', async () => {
  const whole = f.png(300, 300);
  for (const file of [
    Buffer.from('\x89PNG\r\n\x1a\nno'), whole.subarray(0, whole.length / 2), whole.subarray(0, 40),
    f.png(60000, 60000, { rows: Buffer.alloc(1000) }), f.png(20000, 20000, { rows: Buffer.alloc(1000) }),
    f.png(300, 300, { rows: Buffer.alloc(10) }), f.png(0, 0, { rows: Buffer.alloc(1) }),
    f.webpHuge(16383, 16383), f.webpHuge(16, 16), f.gifHuge(65535, 65535), f.gifHuge(100, 100).subarray(0, 30),
    f.toGif(f.halves(50, 50)).subarray(0, 60), Buffer.from('GIF89a'), Buffer.from('ffd8ffe0', 'hex'),
    Buffer.concat([Buffer.from('ffd8ffdb0043', 'hex'), crypto.randomBytes(3000)]),
  ]) {
    await refused('image', { imageBase64: b64(file) }, 415, 'UNSUPPORTED_MEDIA');
  }
  for (let i = 0; i < 10; i++) {
    // damaged somewhere: sent or refused, but nothing else
    const file = Buffer.from([f.toWebp(f.halves(60, 60)), f.toGif(f.halves(60, 60)), f.toJpeg(f.halves(60, 60))][i % 3]);
    for (let k = 0; k < 8; k++) file[12 + crypto.randomInt(file.length - 12)] = crypto.randomInt(256);
    const r = await gw.call('POST', '/api/message/send/image', { instanceId: me.id, to: a.phone, imageBase64: b64(file) });
    assert.ok(r.status === 200 || (r.status === 415 && r.body.code === 'UNSUPPORTED_MEDIA'), JSON.stringify(r.body));
  }
});

test('addresses that lie, drip, never end, are too large, or lead astray', async () => {
  at['/png-as-html'] = { headers: { 'Content-Type': 'text/html' }, body: f.png(31, 17) };
  assert.equal((await send('image', { imageUrl: url('/png-as-html') })).m.imageMessage.width, 31);
  at['/html-as-png'] = { headers: { 'Content-Type': 'image/png' }, body: '<html>no</html>' };
  await refused('image', { imageUrl: url('/html-as-png') }, 415, 'UNSUPPORTED_MEDIA');
  at['/nothing'] = { headers: { 'Content-Type': 'image/png' }, body: '' };
  await refused('image', { imageUrl: url('/nothing') }, 400, 'VALIDATION_FAILED');
  at['/three-gib'] = (req, res) => { res.writeHead(200, { 'Content-Length': 3 * 2 ** 30 }); res.write('%PDF-1.4'); };
  await refused('file', { fileUrl: url('/three-gib') }, 413, 'MEDIA_TOO_LARGE');
  at['/one-mib-more'] = { body: Buffer.alloc((1 << 20) + 1) };
  await refused('file', { fileUrl: url('/one-mib-more') }, 413, 'MEDIA_TOO_LARGE');
  let timer;
  at['/drip'] = (req, res) => { timer = setInterval(() => res.write('x'), 50); res.on('close', () => clearInterval(timer)); };
  await refused('file', { fileUrl: url('/drip') }, 422, 'MEDIA_FETCH_FAILED');
  at['/cut'] = (req, res) => { res.writeHead(200, { 'Content-Length': 1000 }); res.write(f.png(9, 9)); res.destroy(); };
  await refused('image', { imageUrl: url('/cut') }, 422, 'MEDIA_FETCH_FAILED');
  for (const [name, where] of [['loopback', `http://[::1]:${server.address().port}/x`], ['file', 'file:///etc/passwd'],
    ['ftp', 'ftp://127.0.0.1/x'], ['loop', '/to-loop'], ['metadata', 'http://169.254.169.254/'], ['gopher', 'gopher://127.0.0.1:1/']]) {
    at[`/to-${name}`] = (req, res) => { res.writeHead(302, { Location: where }); res.end(); };
    await refused('image', { imageUrl: url(`/to-${name}`) }, 422, 'MEDIA_FETCH_FAILED');
  }
  assert.equal((await refused('image', { imageUrl: url('/not-there') }, 422, 'MEDIA_FETCH_FAILED')).details.status, 404);
  await refused('image', { mediaId: '0123456789abcdef0123456789abcdef' }, 404, 'NOT_FOUND');
  await refused('image', { imageBase64: '====' }, 400, 'VALIDATION_FAILED');
  await refused('image', { imageBase64: 'AAAA*AAA' }, 400, 'VALIDATION_FAILED');

  // three GiB that are announced are not waited for
  const r = await new Promise((resolve, reject) => {
    const req = http.request({ host: '127.0.0.1', port: gw.port, path: '/api/message/send/file', method: 'POST',
      headers: { 'X-API-Key': gw.key, 'Content-Type': 'multipart/form-data; boundary=x', 'Content-Length': 3 * 2 ** 30 } }, res => {
      const parts = [];
      res.on('data', d => parts.push(d));
      res.on('end', () => { resolve({ status: res.statusCode, body: JSON.parse(Buffer.concat(parts)) }); req.destroy(); });
    });
    req.on('error', reject);
    req.flushHeaders();
  });
  assert.deepEqual([r.status, r.body.code], [413, 'BODY_TOO_LARGE']);
});

test('after all that: no file, no descriptor, no process is left, and the gateway works as before', async () => {
  assert.deepEqual(f.spool(gw), []);
  assert.deepEqual(f.kept(gw), []);
  assert.deepEqual(f.bodies(gw), []);
  const owner = gw.owner();
  const open = fs.readdirSync(`/proc/${owner}/fd`).map(n => { try { return fs.readlinkSync(`/proc/${owner}/fd/${n}`); } catch { return ''; } });
  assert.deepEqual(open.filter(n => /deleted/.test(n)), []);
  for (const pid of fs.readdirSync('/proc').filter(p => /^\d+$/.test(p))) {
    let stat;
    try { stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8'); } catch { continue; }
    assert.notEqual(Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]), owner, `${stat.slice(0, 60)} is the owner's child`);
  }
  assert.equal((await gw.ok('GET', `/api/instance/${me.id}/status`)).status, 'connected');
  assert.equal((await send('image', { imageBase64: b64(f.png(12, 8)) })).m.imageMessage.width, 12);
  const { unhandled, faults } = await sandbox.complaints();
  assert.deepEqual([unhandled, faults], [[], []]);
});

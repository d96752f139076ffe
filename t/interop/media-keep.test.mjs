// Media that the gateway keeps: uploads and their ids (contract 3.11), and
// downloads by the keys of a message.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { downloadMediaMessage } from '@whiskeysockets/baileys';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';
import { png, multipart, raw, kept, spool } from './files.mjs';

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');

let sandbox, gw, me, other, a;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox, { http: 'client_max_body_size 50m; wagw_media_uploads 3m 1h; wagw_media_limit image=2m audio=1m;' });
  a = new Client(sandbox, 'Anna');
  await a.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
  other = await gw.create('Other');
});
after(async () => {
  await a?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const sum = b => crypto.createHash('sha256').update(b).digest('base64');
const quiet = { info() {}, debug() {}, trace() {}, warn() {}, error() {} };

async function upload(body, id = me.id) {
  const r = await gw.call('POST', `/api/media/${id}`, body);
  assert.equal(r.status, 201, JSON.stringify(r.body));
  return r.body.data;
}

async function refused(method, where, body, status, code) {
  const r = await gw.call(method, where, body);
  assert.deepEqual([r.status, r.body.code], [status, code], JSON.stringify(r.body));
  return r.body;
}

test('an upload is kept, given back with ranges, sent by its id as often as wanted, and deleted', async () => {
  const file = png(120, 80);
  const before = Date.now();
  const up = await upload({ type: 'image', base64: file.toString('base64'), fileName: 'a picture.png' });
  assert.match(up.mediaId, /^[0-9a-f]{32}$/);
  assert.deepEqual([up.mimetype, up.size, up.sha256], ['image/png', file.length, sum(file)]);
  const life = Date.parse(up.expiresAt) - before;
  assert.ok(life > 3500e3 && life <= 3601e3, up.expiresAt);

  const where = `/api/media/${me.id}/${up.mediaId}`;
  const got = await raw(gw, 'GET', where);
  assert.deepEqual([got.status, got.headers['content-type'], got.headers['accept-ranges']], [200, 'image/png', 'bytes']);
  assert.ok(got.body.equals(file));
  assert.match(got.headers['content-disposition'], /a%20picture\.png/);
  const part = await raw(gw, 'GET', where, null, { Range: 'bytes=5-20' });
  assert.equal(part.status, 206);
  assert.ok(part.body.equals(file.subarray(5, 21)));
  assert.equal((await raw(gw, 'GET', where, null, { 'If-None-Match': got.headers.etag })).status, 304);
  assert.equal((await raw(gw, 'GET', where, null, { Range: `bytes=${file.length}-` })).status, 416);

  for (const [call, kind] of [['image', 'imageMessage'], ['image', 'imageMessage'], ['file', 'documentMessage']]) {
    const sent = await gw.ok('POST', `/api/message/send/${call}`, { instanceId: me.id, to: a.phone, mediaId: up.mediaId });
    const m = await a.message(x => x.key.id === sent.messageId, call);
    assert.ok((await downloadMediaMessage(m, 'buffer', {}, { logger: quiet })).equals(file));
    assert.equal(m.message[kind].mimetype, 'image/png');
    if (kind === 'documentMessage') assert.equal(m.message[kind].fileName, 'a picture.png');
    else assert.equal(m.message[kind].width, 120);
  }
  // the first form that is given counts
  const sent = await gw.ok('POST', '/api/message/send/image', { instanceId: me.id, to: a.phone, mediaId: 'whatever', imageBase64: png(9, 7).toString('base64') });
  assert.equal((await a.message(x => x.key.id === sent.messageId, 'image')).message.imageMessage.width, 9);

  await refused('GET', `/api/media/${other.id}/${up.mediaId}`, undefined, 404, 'NOT_FOUND');
  await refused('DELETE', `/api/media/${other.id}/${up.mediaId}`, undefined, 404, 'NOT_FOUND');
  assert.deepEqual(await gw.ok('DELETE', where), {});
  await refused('GET', where, undefined, 404, 'NOT_FOUND');
  await refused('DELETE', where, undefined, 404, 'NOT_FOUND');
  await refused('POST', '/api/message/send/image', { instanceId: me.id, to: a.phone, mediaId: up.mediaId }, 404, 'NOT_FOUND');
  assert.deepEqual(kept(gw), []);
});

test('by multipart and by address too; what is kept is not readable on the disk', async () => {
  const file = crypto.randomBytes(150000);
  file.write('find me if you can', 1000);
  const r = await multipart(gw, `/api/media/${me.id}`, { type: 'document' }, file, { fileName: 'ação.pdf', type: 'application/x-z' });
  assert.equal(r.status, 201, JSON.stringify(r.body));
  assert.equal(r.body.data.mimetype, 'application/pdf');
  const [name] = kept(gw);
  const disk = fs.readFileSync(name);
  for (const secret of ['find me', 'ação', 'application', r.body.data.mediaId]) {
    assert.equal(disk.indexOf(secret), -1);
    assert.equal(name.indexOf(secret), -1);
  }
  const got = await raw(gw, 'GET', `/api/media/${me.id}/${r.body.data.mediaId}`);
  assert.ok(got.body.equals(file));
  assert.match(got.headers['content-disposition'], /^attachment/);
  await gw.ok('DELETE', `/api/media/${me.id}/${r.body.data.mediaId}`);
});

test('an upload survives the owner, and goes with its instance', async () => {
  const file = png(33, 22);
  const up = await upload({ type: 'image', base64: file.toString('base64') });
  const lost = await upload({ type: 'document', base64: 'AAAA' }, other.id);
  const old = gw.owner();
  const logins = () => gw.events.filter(e => e.event === 'session.status' && e.data.status === 'connected' && e.instanceId === me.id).length;
  const n = logins();
  process.kill(old, 'SIGKILL');
  await gw.until(() => logins() > n, 'next login');
  const got = await raw(gw, 'GET', `/api/media/${me.id}/${up.mediaId}`);
  assert.ok(got.body.equals(file), JSON.stringify(got.body));
  assert.notEqual(gw.owner(), old);
  assert.equal(kept(gw).length, 2);
  await gw.ok('DELETE', `/api/instance/${other.id}`);
  assert.equal(kept(gw).length, 1);
  await refused('GET', `/api/media/${other.id}/${lost.mediaId}`, undefined, 404, 'INSTANCE_NOT_FOUND');

  // what is over is not there, even before it was swept
  const [name] = kept(gw);
  fs.utimesSync(name, 1, 1);
  await refused('GET', `/api/media/${me.id}/${up.mediaId}`, undefined, 404, 'NOT_FOUND');
});

test('what cannot be kept is refused, and leaves nothing', async () => {
  const before = kept(gw);
  const b64 = b => Buffer.from(b).toString('base64');
  const where = `/api/media/${me.id}`;
  await refused('POST', where, { base64: 'AAAA' }, 400, 'VALIDATION_FAILED');
  await refused('POST', where, { type: 'film', base64: 'AAAA' }, 400, 'VALIDATION_FAILED');
  await refused('POST', where, { type: 'document' }, 400, 'VALIDATION_FAILED');
  await refused('POST', where, { type: 'document', base64: '!!!' }, 400, 'VALIDATION_FAILED');
  await refused('POST', where, { type: 'document', base64: '' }, 400, 'VALIDATION_FAILED');
  await refused('POST', where, { type: 'document', url: 'file:///etc/passwd' }, 400, 'VALIDATION_FAILED');
  await refused('POST', where, { type: 'image', base64: b64('no image') }, 415, 'UNSUPPORTED_MEDIA');
  await refused('POST', where, { type: 'video', base64: b64(png(9, 9)) }, 415, 'UNSUPPORTED_MEDIA');
  await refused('POST', where, { type: 'document', url: 'http://127.0.0.1:1/x' }, 422, 'MEDIA_FETCH_FAILED');
  // the limits of the configuration
  const large = await multipart(gw, where, { type: 'image' }, Buffer.concat([png(9, 9), Buffer.alloc(2 << 20)]));
  assert.deepEqual([large.status, large.body.code], [413, 'MEDIA_TOO_LARGE']);
  const full = await multipart(gw, where, { type: 'document' }, Buffer.alloc(3 << 20));
  assert.deepEqual([full.status, full.body.code], [503, 'CAPACITY']);
  for (const id of ['x', '..', '%2e%2e%2f', '0'.repeat(32), 'g'.repeat(32)]) {
    await refused('GET', `${where}/${id}`, undefined, 404, 'NOT_FOUND');
  }
  assert.deepEqual(kept(gw), before);
  assert.deepEqual(spool(gw), []);
});

test('a download by the keys of a message', async () => {
  const file = crypto.randomBytes(70001);
  const m = await a.send(`${me.phone}@s.whatsapp.net`, { document: file, mimetype: 'application/x-q', fileName: 'q.bin' });
  const d = m.message.documentMessage;
  const key = Buffer.from(d.mediaKey).toString('base64');
  const where = `/api/media/${me.id}/download`;
  const get = async body => raw(gw, 'POST', where, Buffer.from(JSON.stringify(body)), { 'Content-Type': 'application/json' });
  for (const how of [{ directPath: d.directPath }, { url: d.url },
    { directPath: d.directPath, fileSha256: Buffer.from(d.fileSha256).toString('base64'), fileEncSha256: Buffer.from(d.fileEncSha256).toString('base64') }]) {
    const r = await get({ ...how, mediaKey: key, mimetype: d.mimetype, type: 'document' });
    assert.equal(r.status, 200, JSON.stringify(r.body));
    assert.equal(r.headers['content-type'], 'application/x-q');
    assert.ok(r.body.equals(file));
  }
  const bad = async (body, status, code) => {
    const r = await get({ directPath: d.directPath, mediaKey: key, type: 'document', ...body });
    assert.deepEqual([r.status, r.body.code], [status, code], JSON.stringify(r.body));
  };
  await bad({ mediaKey: crypto.randomBytes(32).toString('base64') }, 422, 'MEDIA_FETCH_FAILED');
  await bad({ type: 'image' }, 422, 'MEDIA_FETCH_FAILED');
  await bad({ fileSha256: crypto.randomBytes(32).toString('base64') }, 422, 'MEDIA_FETCH_FAILED');
  await bad({ mediaKey: 'AAAA' }, 400, 'VALIDATION_FAILED');
  await bad({ mediaKey: undefined }, 400, 'VALIDATION_FAILED');
  await bad({ type: 'odd' }, 400, 'VALIDATION_FAILED');
  await bad({ directPath: undefined }, 400, 'VALIDATION_FAILED');
  await bad({ directPath: '//127.0.0.1:1/x' }, 400, 'VALIDATION_FAILED');
  await bad({ directPath: undefined, url: 'file:///etc/passwd' }, 400, 'VALIDATION_FAILED');
  await bad({ directPath: undefined, url: 'https://nohost' }, 400, 'VALIDATION_FAILED');
  await bad({ directPath: '/v/t62.7118-24/none_n.enc?x=1' }, 410, 'MEDIA_EXPIRED');
  await refused('POST', `/api/media/none/download`, { type: 'image' }, 404, 'INSTANCE_NOT_FOUND');
});

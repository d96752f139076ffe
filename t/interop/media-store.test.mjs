// The settings storeMedia and mediaAutoDownload: media of received messages
// are fetched by themselves, kept, and given when WhatsApp no longer has them.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';
import { png, raw, kept, spool } from './files.mjs';

process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');

let sandbox, gw, a, all, images, none;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox, { http: 'wagw_media_store 400k 1h;' });
  a = new Client(sandbox, 'Anna');
  await a.pairByQr(sandbox);
  all = await gw.pairByQr('All', { settings: { storeMedia: true } });
  images = await gw.pairByQr('Images', { settings: { mediaAutoDownload: 'image' } });
  none = await gw.pairByQr('None');
});
after(async () => {
  await a?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const of = id => kept(gw).filter(f => f.includes(id));

// the files of an instance, once there are so many; the directory tells of changes
function until(id, n) {
  fs.mkdirSync(path.join(gw.dir, 'state/kept', id), { recursive: true, mode: 0o700 });
  return new Promise((resolve, reject) => {
    const watch = fs.watch(path.join(gw.dir, 'state/kept', id), look);
    const timer = setTimeout(() => end(() => reject(new Error(`${of(id).length} files instead of ${n}\n${gw.log()}`))), 30000);
    function end(how) { clearTimeout(timer); watch.close(); how(); }
    function look() { if (of(id).length === n) end(() => resolve(of(id))); }
    look();
  });
}

async function send(to, content) {
  const m = await a.send(`${to.phone}@s.whatsapp.net`, content);
  return (await gw.event('message.received', (d, e) => d.messageId === m.key.id && e.instanceId === to.id)).data.mediaUrl;
}
const document = b => ({ document: b, mimetype: 'application/x-d', fileName: 'd.bin' });
const image = b => ({ image: b, mimetype: 'image/png', jpegThumbnail: '' });

test('what is received is fetched by itself, as the settings say', async () => {
  const file = crypto.randomBytes(100001), picture = png(40, 30);
  const urls = { doc: await send(all, document(file)), pic: await send(all, image(picture)) };
  const [one] = await until(all.id, 2);
  assert.equal(fs.readFileSync(one).indexOf(file.subarray(0, 64)), -1);
  const only = { doc: await send(images, document(file)), pic: await send(images, image(picture)) };
  await until(images.id, 1);
  const plain = await send(none, image(picture));

  await sandbox.post('/media-expire');
  await sandbox.post('/media-fault', { op: 'download', status: 404, count: 100 });
  for (const [url, want] of [[urls.doc, file], [urls.pic, picture], [only.pic, picture]]) {
    const r = await raw(gw, 'GET', url);
    assert.equal(r.status, 200, JSON.stringify(r.body));
    assert.ok(r.body.equals(want));
    const part = await raw(gw, 'GET', url, null, { Range: `bytes=${want.length - 7}-` });
    assert.equal(part.status, 206);
    assert.ok(part.body.equals(want.subarray(want.length - 7)));
  }
  for (const url of [only.doc, plain]) assert.equal((await raw(gw, 'GET', url)).status, 410);
  await sandbox.post('/media-fault', { op: 'download', count: 0 });
  assert.equal(of(images.id).length, 1);
  assert.equal(of(none.id).length, 0);

  // the next owner finds it
  const logins = () => gw.events.filter(e => e.event === 'session.status' && e.data.status === 'connected' && e.instanceId === all.id).length;
  const n = logins();
  process.kill(gw.owner(), 'SIGKILL');
  await gw.until(() => logins() > n, 'next login');
  const again = await raw(gw, 'GET', urls.doc);
  assert.ok(again.body.equals(file), JSON.stringify(again.body));
});

test('there is an end to it: the oldest goes', async () => {
  const before = of(all.id);
  const files = [1, 2, 3].map(() => crypto.randomBytes(120000));
  for (const b of files) await send(all, document(b));
  const url = await send(all, document(crypto.randomBytes(1000)));
  await gw.until(() => of(all.id).length && !before.every(f => of(all.id).includes(f)) && gw.events.some(e => e.data?.mediaUrl === url), 'the oldest gone');
  const sum = kept(gw).reduce((n, f) => n + fs.statSync(f).size, 0);
  assert.ok(sum <= 400 * 1024, `${sum} bytes`);
  // one that is larger than all of it is given, and not kept
  const large = crypto.randomBytes(500000);
  const r = await raw(gw, 'GET', await send(all, document(large)));
  assert.ok(r.body.equals(large));
});

test('a wrong MAC is not kept; a deleted instance takes its files along', async () => {
  const m = await a.send(`${images.phone}@s.whatsapp.net`, image(png(21, 12)));
  const files = of(images.id).length;
  await until(images.id, files + 1);
  await a.sock.relayMessage(`${images.phone}@s.whatsapp.net`, { imageMessage: { ...m.message.imageMessage, mediaKey: crypto.randomBytes(32) } }, { messageId: 'FA15EFA15EFA15EF' });
  const e = await gw.event('message.received', d => d.messageId === 'FA15EFA15EFA15EF');
  assert.equal((await raw(gw, 'GET', e.data.mediaUrl)).status, 502);
  // whatever was fetched in the background before this one is done
  await send(images, image(png(22, 12)));
  await until(images.id, files + 2);
  for (const end = Date.now() + 30000; spool(gw).some(f => /new-/.test(f));) {
    assert.ok(Date.now() < end, 'a download was left');
    await new Promise(resolve => setImmediate(resolve));
  }
  await gw.ok('DELETE', `/api/instance/${images.id}`);
  assert.deepEqual(of(images.id), []);
});

// Media in both directions between the gateway and Baileys: bytes compared
// after Baileys' own download, and after ours (issue 3, acceptance 1).

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { execFileSync } from 'node:child_process';
import http from 'node:http';
import { downloadMediaMessage, generateMessageIDV2 } from '@whiskeysockets/baileys';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';
import { png, mp4, opus, raw as ask, multipart as form } from './files.mjs';

// the sandbox's media host has a certificate of its own
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');

let sandbox, gw, me, a, files;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox, { http: 'client_max_body_size 200m;' });
  a = new Client(sandbox, 'Anna');
  await a.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
  files = await fileServer();
});
after(async () => {
  await a?.stop();
  await gw?.stop();
  await sandbox?.stop();
  files?.server.closeAllConnections();
  files?.server.close();
});

const pn = phone => `${phone}@s.whatsapp.net`;

// ---- files ----

const WEBP = Buffer.from('UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA', 'base64');
const mp3 = frames => Buffer.concat(Array.from({ length: frames }, () => {
  const f = Buffer.alloc(417);
  f.set([0xff, 0xfb, 0x90, 0x00]);
  return f;
}));

// a tone of so many seconds, 8 kHz mono
function wav(seconds) {
  const n = 8000 * seconds;
  const b = Buffer.alloc(44 + 2 * n);
  b.write('RIFF', 0); b.writeUInt32LE(36 + 2 * n, 4); b.write('WAVEfmt ', 8);
  b.writeUInt32LE(16, 16); b.writeUInt16LE(1, 20); b.writeUInt16LE(1, 22); b.writeUInt32LE(8000, 24);
  b.writeUInt32LE(16000, 28); b.writeUInt16LE(2, 32); b.writeUInt16LE(16, 34); b.write('data', 36); b.writeUInt32LE(2 * n, 40);
  for (let i = 0; i < n; i++) b.writeInt16LE(Math.round(Math.sin(i / 4) * 20000 * (i / n)), 44 + 2 * i);
  return b;
}

// what ffmpeg makes of its test picture
const made = (...args) => execFileSync('ffmpeg', ['-v', 'error', ...args, 'pipe:1'], { maxBuffer: 64 << 20 });

// what addresses lead to
async function fileServer() {
  const f = { at: {}, seen: 0 };
  f.server = http.createServer((req, res) => {
    f.seen++;
    const what = f.at[req.url];
    if (what === undefined) {
      res.statusCode = 404;
      res.end('not here');
    } else if (typeof what === 'function') {
      what(req, res);
    } else {
      res.setHeader('Content-Type', what.type);
      res.end(what.body);
    }
  });
  await new Promise(resolve => f.server.listen(0, '127.0.0.1', resolve));
  f.url = path => `http://127.0.0.1:${f.server.address().port}${path}`;
  return f;
}

const sha256 = b => crypto.createHash('sha256').update(b).digest('base64');
const quiet = { info() {}, debug() {}, trace() {}, warn() {}, error() {} };

// what Baileys got, downloaded by it
async function downloaded(id, kind) {
  const m = await a.message(x => x.key.id === id, `${kind} ${id}`);
  const bytes = await downloadMediaMessage(m, 'buffer', {}, { logger: quiet });
  return { m, bytes };
}

async function sendTo(where, body) {
  return gw.ok('POST', `/api/message/send/${where}`, { instanceId: me.id, to: a.phone, ...body });
}

const raw = (...request) => ask(gw, ...request);
const multipart = (where, fields, file, how) => form(gw, `/api/message/send/${where}`, fields, file, how);

// ---- to Baileys ----

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
  const thumb = Buffer.from(i.jpegThumbnail);
  assert.equal(thumb.subarray(0, 2).toString('hex'), 'ffd8');
  const [n] = await sandbox.nodes(a.jid, { dir: 'out', tag: 'message', id: r.messageId });
  assert.equal(n.node.attrs.type, 'media');
  assert.equal(n.node.content.find(c => c.tag === 'enc').attrs.mediatype, 'image');

  // the thumbnail is a JPEG: sent in its turn, once to be seen, as a data URL
  const r2 = await sendTo('image', { image: `data:image/jpeg;base64,${thumb.toString('base64')}`, viewOnce: true });
  const two = await downloaded(r2.messageId, 'view-once image');
  assert.ok(two.bytes.equals(thumb));
  const once = two.m.message.viewOnceMessage?.message?.imageMessage ?? two.m.message.imageMessage;
  assert.equal(once.viewOnce, true);
  assert.equal(once.mimetype, 'image/jpeg');
  assert.equal(once.width, 32);
  assert.equal(once.height, 20);
});

test('a document by multipart: name, type, caption; fields before and behind it', async () => {
  const file = crypto.randomBytes(300001);
  const r = await multipart('file', { instanceId: me.id, to: a.phone }, file,
    { fileName: 'a "b" ação.pdf'.replace(/"/g, '\\"'), type: 'application/x-odd', behind: { caption: 'read it', ref: 'r-1' } });
  assert.equal(r.status, 200, JSON.stringify(r.body));
  assert.equal(r.body.data.ref, 'r-1');
  const { m, bytes } = await downloaded(r.body.data.messageId, 'document');
  assert.ok(bytes.equals(file));
  const d = m.message.documentMessage ?? m.message.documentWithCaptionMessage.message.documentMessage;
  assert.equal(d.fileName, 'a "b" ação.pdf');
  assert.equal(d.mimetype, 'application/pdf');
  assert.equal(d.caption, 'read it');
});

test('a document as long base64 in JSON, slashes and pluses escaped, does not pass through memory whole', async () => {
  const file = crypto.randomBytes(3000000);
  const text = JSON.stringify({ instanceId: me.id, to: a.phone, fileName: 'big.bin', caption: 'x'.repeat(20000),
    file: { mimetype: 'application/x-big', base64: 'FILE' } }).replace('FILE', file.toString('base64').replace(/\//g, '\\/').replace(/\+/g, '\\u002B'));
  const r = await raw('POST', '/api/message/send/document', Buffer.from(text), { 'Content-Type': 'application/json' });
  assert.equal(r.status, 200, JSON.stringify(r.body));
  const { m, bytes } = await downloaded(r.body.data.messageId, 'document');
  assert.ok(bytes.equals(file));
  assert.equal(m.message.documentMessage.mimetype, 'application/x-big');
  assert.equal(m.message.documentMessage.caption.length, 20000);
});

test('an image by address, over a redirect', async () => {
  const file = png(40, 40);
  files.at['/p/ok.png'] = { type: 'image/png', body: file };
  files.at['/moved'] = (req, res) => { res.writeHead(302, { Location: '/p/ok.png' }); res.end(); };
  const r = await sendTo('image', { imageUrl: files.url('/moved') });
  const { bytes } = await downloaded(r.messageId, 'image');
  assert.ok(bytes.equals(file));
});

test('video, GIF, round video, audio, voice note, sticker', async () => {
  const video = mp4(7, 640, 360);
  let r = await sendTo('video', { videoBase64: video.toString('base64'), caption: 'moving' });
  let got = await downloaded(r.messageId, 'video');
  assert.ok(got.bytes.equals(video));
  let v = got.m.message.videoMessage;
  assert.deepEqual([v.seconds, v.width, v.height, v.caption, v.mimetype], [7, 640, 360, 'moving', 'video/mp4']);
  assert.equal(v.streamingSidecar.length, 10);

  r = await sendTo('video', { video: video.toString('base64'), gifPlayback: true });
  got = await downloaded(r.messageId, 'gif');
  assert.equal(got.m.message.videoMessage.gifPlayback, true);

  r = await sendTo('video-note', { videoBase64: video.toString('base64') });
  got = await downloaded(r.messageId, 'video note');
  assert.ok(got.bytes.equals(video));
  assert.equal(got.m.message.ptvMessage.seconds, 7);

  const sound = mp3(100);
  r = await sendTo('audio', { audioBase64: sound.toString('base64') });
  got = await downloaded(r.messageId, 'audio');
  assert.ok(got.bytes.equals(sound));
  assert.deepEqual([got.m.message.audioMessage.mimetype, !!got.m.message.audioMessage.ptt, got.m.message.audioMessage.seconds],
    ['audio/mpeg', false, 3]);

  const voice = opus(130);
  r = await sendTo('voice', { audioBase64: voice.toString('base64') });
  got = await downloaded(r.messageId, 'voice note');
  assert.ok(got.bytes.equals(voice));
  const p = got.m.message.audioMessage;
  assert.deepEqual([p.mimetype, p.ptt, p.seconds, p.waveform.length], ['audio/ogg; codecs=opus', true, 3, 64]);

  r = await sendTo('sticker', { stickerBase64: WEBP.toString('base64') });
  got = await downloaded(r.messageId, 'sticker');
  assert.ok(got.bytes.equals(WEBP));
  assert.equal(got.m.message.stickerMessage.mimetype, 'image/webp');

  r = await sendTo('media', { type: 'document', media: { base64: sound.toString('base64'), filename: 'song.mp3' } });
  got = await downloaded(r.messageId, 'generic');
  assert.equal(got.m.message.documentMessage.fileName, 'song.mp3');
  assert.equal(got.m.message.documentMessage.mimetype, 'audio/mpeg');
});

test('a sound becomes a voice note, a video of another kind an MP4', async () => {
  let r = await sendTo('voice', { audioBase64: wav(3).toString('base64') });
  let got = await downloaded(r.messageId, 'voice note');
  const p = got.m.message.audioMessage;
  assert.deepEqual([p.mimetype, p.ptt, p.seconds, p.waveform.length], ['audio/ogg; codecs=opus', true, 3, 64]);
  assert.equal(got.bytes.subarray(0, 4).toString(), 'OggS');
  assert.ok(p.waveform[60] > 80 && p.waveform[2] < 20, `louder to its end: ${[...p.waveform]}`);

  const webm = made('-f', 'lavfi', '-i', 'testsrc=size=160x120:rate=10:duration=2', '-c:v', 'libvpx', '-f', 'webm');
  r = await sendTo('video', { videoBase64: webm.toString('base64') });
  got = await downloaded(r.messageId, 'video');
  const v = got.m.message.videoMessage;
  assert.deepEqual([v.mimetype, v.seconds, v.width, v.height], ['video/mp4', 2, 160, 120]);
  assert.equal(Buffer.from(v.jpegThumbnail).subarray(0, 2).toString('hex'), 'ffd8');

  const voice = await gw.ok('POST', `/api/media/${me.id}/convert/voice`, { base64: wav(2).toString('base64'), mimeType: 'audio/wav' });
  assert.deepEqual([voice.format, voice.extension, voice.seconds], ['opus', '.ogg', 2]);
  assert.equal(Buffer.from(voice.base64, 'base64').length, voice.size);
  const video = await gw.ok('POST', `/api/media/${me.id}/convert/video`, { file: webm.toString('base64'), filename: 'x.webm' });
  assert.deepEqual([video.format, video.width, video.height, video.mimeType], ['mp4', 160, 120, 'video/mp4']);
  const bad = await gw.call('POST', `/api/media/${me.id}/convert/voice`, { base64: Buffer.from('nothing to hear').toString('base64') });
  assert.deepEqual([bad.status, bad.body.code], [415, 'UNSUPPORTED_MEDIA']);
  const there = await gw.call('POST', `/api/media/${me.id}/convert/voice`, { filePath: '/etc/passwd' });
  assert.equal(there.status, 400);

  // one that no frame could hold
  const noise = made('-f', 'lavfi', '-i', 'nullsrc=size=640x480:rate=10:duration=4,geq=random(1)*255:128:128', '-c:v', 'libvpx', '-b:v', '20M', '-f', 'webm');
  const large = await form(gw, `/api/media/${me.id}/convert/video`, {}, noise, { fileName: 'x.webm' });
  assert.equal(large.status, 200, JSON.stringify(large.body).slice(0, 300));
  assert.ok(large.body.data.size > 1 << 20, `${large.body.data.size} bytes`);
  assert.equal(Buffer.from(large.body.data.base64, 'base64').length, large.body.data.size);
  assert.equal(large.body.success, true);
  assert.ok(large.body.requestId);
});

test('the upload goes on: the next host after an error, a new auth after 401', async () => {
  const file = png(50, 50);
  await sandbox.post('/media-fault', { op: 'upload', status: 500 });
  let r = await sendTo('image', { imageBase64: file.toString('base64') });
  assert.ok((await downloaded(r.messageId, 'image')).bytes.equals(file));
  await sandbox.post('/media-fault', { op: 'upload', status: 401 });
  r = await sendTo('image', { imageBase64: file.toString('base64') });
  assert.ok((await downloaded(r.messageId, 'image')).bytes.equals(file));
  await sandbox.post('/media-fault', { op: 'upload', status: 500, count: 5 });
  const bad = await gw.call('POST', '/api/message/send/image', { instanceId: me.id, to: a.phone, imageBase64: file.toString('base64') });
  assert.deepEqual([bad.status, bad.body.code], [502, 'WA_ERROR']);
  await sandbox.post('/media-fault', { op: 'upload', count: 0 });
});

// ---- from Baileys ----

test('every type from Baileys is told of and can be fetched', async () => {
  const thumb = '';
  const cases = [
    ['image', png(64, 48), b => ({ image: b, caption: 'back', mimetype: 'image/png', jpegThumbnail: thumb }), 'image/png'],
    ['video', mp4(3, 320, 240), b => ({ video: b, jpegThumbnail: thumb, seconds: 3 }), 'video/mp4'],
    ['video', mp4(3, 320, 240), b => ({ video: b, gifPlayback: true, jpegThumbnail: thumb }), 'video/mp4'],
    ['video', mp4(4, 240, 240), b => ({ video: b, ptv: true, jpegThumbnail: thumb }), 'video/mp4'],
    ['audio', mp3(50), b => ({ audio: b, mimetype: 'audio/mpeg', seconds: 2 }), 'audio/mpeg'],
    ['voice', opus(60), b => ({ audio: b, ptt: true, seconds: 2, mimetype: 'audio/ogg; codecs=opus' }), 'audio/ogg; codecs=opus'],
    ['document', crypto.randomBytes(100000), b => ({ document: b, mimetype: 'text/html', fileName: 'ação.html', caption: 'doc' }), 'text/html'],
    ['sticker', WEBP, b => ({ sticker: b, mimetype: 'image/webp' }), 'image/webp'],
  ];
  for (const [type, file, content, mimetype] of cases) {
    const m = await a.send(pn(me.phone), content(file));
    const e = await gw.event('message.received', d => d.messageId === m.key.id, type);
    assert.equal(e.data.type, type);
    assert.equal(e.data.media.mimetype, mimetype);
    assert.equal(e.data.media.size, file.length);
    assert.equal(e.data.media.sha256, sha256(file));
    const got = await raw('GET', e.data.mediaUrl);
    assert.equal(got.status, 200, `${type}: ${got.body.code}`);
    assert.equal(got.headers['content-type'], mimetype);
    assert.equal(Number(got.headers['content-length']), file.length);
    assert.ok(got.body.equals(file), type);
    if (type === 'document') {
      assert.equal(e.data.media.fileName, 'ação.html');
      assert.match(got.headers['content-disposition'], /^attachment; filename\*=UTF-8''a%C3%A7%C3%A3o\.html$/);
      assert.equal(got.headers['x-content-type-options'], 'nosniff');
    }
  }
});

test('parts of it, and nothing when it is known', async () => {
  const file = crypto.randomBytes(200003);
  const m = await a.send(pn(me.phone), { document: file, mimetype: 'application/x-y', fileName: 'y' });
  const url = (await gw.event('message.received', d => d.messageId === m.key.id)).data.mediaUrl;
  const whole = await raw('GET', url);
  assert.equal(whole.status, 200);
  const { etag } = whole.headers;
  assert.equal(etag, `"${Buffer.from(sha256(file), 'base64').toString('hex').slice(0, 32)}"`);
  assert.equal(whole.headers['accept-ranges'], 'bytes');
  for (const [range, from, to] of [['bytes=0-0', 0, 1], ['bytes=17-100000', 17, 100001], ['bytes=199990-', 199990, 200003],
    ['bytes=-5', 199998, 200003], ['bytes=65536-65551', 65536, 65552], ['bytes=5-9999999', 5, 200003]]) {
    const r = await raw('GET', url, null, { Range: range });
    assert.equal(r.status, 206, range);
    assert.equal(r.headers['content-range'], `bytes ${from}-${to - 1}/200003`);
    assert.ok(r.body.equals(file.subarray(from, to)), range);
  }
  const over = await raw('GET', url, null, { Range: 'bytes=200003-' });
  assert.equal(over.status, 416);
  assert.equal(over.headers['content-range'], 'bytes */200003');
  const head = await raw('HEAD', url);
  assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '200003', 0]);
  const same = await raw('GET', url, null, { 'If-None-Match': etag });
  assert.deepEqual([same.status, same.body.length], [304, 0]);
  const link = await raw('GET', `${url}?download=url`);
  assert.equal(link.status, 200, JSON.stringify(link.body));
  assert.deepEqual(Object.keys(link.body.data), ['url', 'expiresAt']);
  assert.ok(Date.parse(link.body.data.expiresAt) > Date.now());
  const linked = await raw('GET', link.body.data.url);
  assert.deepEqual([linked.status, linked.headers['content-type']], [200, 'application/x-y']);
  assert.ok(linked.body.equals(file));
  assert.match((await raw('GET', `${url}?download=true`)).headers['content-disposition'], /^attachment/);
  const other = await raw('GET', url, null, { Range: 'bytes=0-3', 'If-Range': '"other"' });
  assert.equal(other.status, 200);
  const listed = await gw.ok('GET', `/api/message/${me.id}/${m.key.id}`);
  assert.equal(listed.mediaUrl, url);
  assert.equal(listed.media.fileName, 'y');
});

// ---- what is refused ----

async function refused(where, body, status, code) {
  const r = await gw.call('POST', `/api/message/send/${where}`, { instanceId: me.id, to: a.phone, ...body });
  assert.deepEqual([r.status, r.body.code], [status, code], JSON.stringify(r.body));
  return r.body;
}

test('bad files and bad addresses are refused with the code of the contract', async () => {
  const b64 = b => Buffer.from(b).toString('base64');
  await refused('image', {}, 400, 'VALIDATION_FAILED');
  await refused('image', { imageBase64: b64('this is not an image at all') }, 415, 'UNSUPPORTED_MEDIA');
  await refused('image', { imageBase64: b64(png(30, 30).subarray(0, 20)) }, 415, 'UNSUPPORTED_MEDIA');
  await refused('image', { imageBase64: 'not//base64!!' }, 400, 'VALIDATION_FAILED');
  await refused('image', { image: 'data:image/png,plain' }, 400, 'VALIDATION_FAILED');
  await refused('image', { image: 'file:///etc/passwd' }, 400, 'VALIDATION_FAILED');
  await refused('image', { image: { url: 'file:///etc/passwd' } }, 400, 'VALIDATION_FAILED');
  await refused('image', { imageUrl: 'file:///etc/passwd' }, 400, 'VALIDATION_FAILED');
  await refused('file', { _spool: { path: '/etc/passwd', parts: { file: { offset: 0, length: 10, base64: false } } } }, 400, 'VALIDATION_FAILED');
  await refused('video', { videoBase64: b64(mp4(3, 10, 10).subarray(0, 60)) }, 415, 'UNSUPPORTED_MEDIA');
  await refused('voice', { audioBase64: b64('not a sound') }, 415, 'UNSUPPORTED_MEDIA');
  await refused('voice', { audioBase64: b64(Buffer.concat([wav(1).subarray(0, 44), crypto.randomBytes(3)])) }, 415, 'UNSUPPORTED_MEDIA');
  await refused('video', { videoBase64: b64(Buffer.concat([Buffer.from('1a45dfa3', 'hex'), Buffer.from('webm'), crypto.randomBytes(500)])) }, 415, 'UNSUPPORTED_MEDIA');
  await refused('sticker', { stickerBase64: b64(png(10, 10)) }, 415, 'UNSUPPORTED_MEDIA');
  await refused('image', { mediaId: 'nothing' }, 404, 'NOT_FOUND');
  const empty = await multipart('image', { instanceId: me.id, to: a.phone }, Buffer.alloc(0));
  assert.deepEqual([empty.status, empty.body.code], [400, 'VALIDATION_FAILED']);
  const large = await multipart('image', { instanceId: me.id, to: a.phone }, Buffer.concat([png(9, 9), Buffer.alloc(17 << 20)]));
  assert.deepEqual([large.status, large.body.code], [413, 'MEDIA_TOO_LARGE']);
  const odd = await raw('POST', '/api/message/send/image', Buffer.from('--x\r\nnothing'), { 'Content-Type': 'multipart/form-data; boundary=x' });
  assert.deepEqual([odd.status, odd.body.code], [400, 'VALIDATION_FAILED']);

  files.at['/gone'] = (req, res) => { res.statusCode = 410; res.end(); };
  assert.equal((await refused('image', { imageUrl: files.url('/gone') }, 422, 'MEDIA_FETCH_FAILED')).details.status, 410);
  files.at['/loop'] = (req, res) => { res.writeHead(302, { Location: '/loop' }); res.end(); };
  await refused('image', { imageUrl: files.url('/loop') }, 422, 'MEDIA_FETCH_FAILED');
  files.at['/away'] = (req, res) => { res.writeHead(302, { Location: 'http://169.254.169.254/latest' }); res.end(); };
  assert.match((await refused('image', { imageUrl: files.url('/away') }, 422, 'MEDIA_FETCH_FAILED')).error, /policy/);
  files.at['/local'] = (req, res) => { res.writeHead(302, { Location: 'file:///etc/passwd' }); res.end(); };
  await refused('image', { imageUrl: files.url('/local') }, 422, 'MEDIA_FETCH_FAILED');
  await refused('image', { imageUrl: 'http://[::1]:1/x.png' }, 422, 'MEDIA_FETCH_FAILED');
  // a picture that does not end
  let stopped = false;
  files.at['/endless'] = (req, res) => {
    res.on('close', () => { stopped = true; a.emit('change'); });
    res.write(png(20, 20));
    const more = () => { while (!stopped && res.write(Buffer.alloc(1 << 16))); };
    res.on('drain', more);
    more();
  };
  await refused('image', { imageUrl: files.url('/endless') }, 413, 'MEDIA_TOO_LARGE');
  await a.until(() => stopped, 'end of the endless picture');
});

test('damaged media is not handed out; media that is gone is 410', async () => {
  const m = await a.send(pn(me.phone), { image: png(70, 70), mimetype: 'image/png', jpegThumbnail: '' });
  const image = m.message.imageMessage;
  const relay = async change => {
    const id = generateMessageIDV2(a.jid);
    await a.sock.relayMessage(pn(me.phone), { imageMessage: { ...image, ...change } }, { messageId: id });
    return (await gw.event('message.received', d => d.messageId === id)).data.mediaUrl;
  };
  for (const change of [{ mediaKey: crypto.randomBytes(32) }, { fileSha256: crypto.randomBytes(32) }]) {
    const r = await raw('GET', await relay(change));
    assert.deepEqual([r.status, r.body.code], [502, 'WA_ERROR']);
  }
  const elsewhere = await raw('GET', await relay({ directPath: '//127.0.0.1:1/x', url: 'https://127.0.0.1:1/x' }));
  assert.equal(elsewhere.status, 502);
  const nowhere = await raw('GET', await relay({ directPath: '/v/t62.7118-24/none_n.enc?x=1', fileEncSha256: crypto.randomBytes(32) }));
  assert.deepEqual([nowhere.status, nowhere.body.code], [410, 'MEDIA_EXPIRED']);
  const text = await a.send(pn(me.phone), 'no media here');
  await gw.event('message.received', d => d.messageId === text.key.id);
  const none = await raw('GET', `/api/message/${me.id}/${text.key.id}/media`);
  assert.deepEqual([none.status, none.body.code], [404, 'MESSAGE_NOT_FOUND']);
});

test('what is gone is uploaded again by the phone; what the phone has not is 410', async () => {
  const file = png(90, 60);
  const m = await a.send(pn(me.phone), { image: file, mimetype: 'image/png', jpegThumbnail: '' });
  const url = (await gw.event('message.received', d => d.messageId === m.key.id)).data.mediaUrl;
  await sandbox.post('/media-expire');
  const [one, two] = await Promise.all([raw('GET', url), raw('GET', url)]);
  assert.equal(one.status, 200, JSON.stringify(one.body));
  assert.ok(one.body.equals(file));
  assert.equal(two.status, 200);
  const asked = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'receipt', type: 'server-error', id: m.key.id });
  assert.equal(asked.length, 1, 'asked once for both');
  const rmr = asked[0].node.content.find(c => c.tag === 'rmr');
  assert.equal(rmr.attrs.from_me, 'false');

  // an own message too
  const r = await sendTo('image', { imageBase64: png(91, 61).toString('base64') });
  await sandbox.post('/media-expire');
  const own = await raw('GET', `/api/message/${me.id}/${r.messageId}/media`);
  assert.equal(own.status, 200);
  assert.ok(own.body.equals(png(91, 61)));
});

test('in a group too, both ways, and again after it was gone', async () => {
  await sandbox.post('/mock-user', { name: 'Mia' });
  const g = await sandbox.post('/mock-user/group-create', { from: 'Mia', subject: 'Pictures', members: ['Anna', me.phone] });
  await gw.event('group.v2.join', d => d.groupId === g.id);
  const file = png(80, 40);
  const r = await gw.ok('POST', '/api/message/send/image', { instanceId: me.id, to: g.id, imageBase64: file.toString('base64'), caption: 'for all' });
  const got = await downloaded(r.messageId, 'image in a group');
  assert.ok(got.bytes.equals(file));
  assert.equal(got.m.key.remoteJid, g.id);
  assert.equal(got.m.message.imageMessage.caption, 'for all');

  const back = crypto.randomBytes(50000);
  const m = await a.send(g.id, { document: back, mimetype: 'application/x-b', fileName: 'b' });
  const e = await gw.event('message.received', d => d.messageId === m.key.id);
  assert.equal(e.data.isGroup, true);
  await sandbox.post('/media-expire');
  const again = await raw('GET', e.data.mediaUrl);
  assert.equal(again.status, 200, JSON.stringify(again.body));
  assert.ok(again.body.equals(back));
  const [asked] = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'receipt', type: 'server-error', id: m.key.id });
  const rmr = asked.node.content.find(c => c.tag === 'rmr');
  assert.equal(rmr.attrs.jid, g.id);
  assert.match(rmr.attrs.participant, /@(lid|s\.whatsapp\.net)$/);
});

test('nothing was unhandled, and no protocol mistake was seen', async () => {
  const { unhandled, faults } = await sandbox.complaints();
  assert.deepEqual(unhandled, []);
  // Baileys counts its own LID among the devices that need its group key
  assert.deepEqual(faults.filter(f => f.device === me.entry.jid || !/bundle of itself/.test(f.fault)), []);
});

test('a gateway that ends in the middle of a transfer ends in time', async () => {
  let asked = false;
  files.at['/stall'] = (req, res) => { res.write(png(20, 20)); asked = true; a.emit('change'); };
  const pending = gw.call('POST', '/api/message/send/image', { instanceId: me.id, to: a.phone, imageUrl: files.url('/stall') }).catch(e => e);
  await a.until(() => asked, 'request for the picture');
  const from = Date.now();
  gw.child.kill('SIGTERM');
  await gw.gone;
  assert.ok(Date.now() - from < 10000, `${Date.now() - from} ms`);
  assert.doesNotMatch(gw.log(), /exited on signal/);
  await pending;
});

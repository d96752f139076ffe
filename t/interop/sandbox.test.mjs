// The sandbox's contract, row by row: start options, admin calls, names and
// shapes of what they answer, mistakes.  A client's test suite may rely on
// each of them, so they are asked for the way a stranger would.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import { Gateway } from './gateway.mjs';
import { Sandbox, SANDBOX, Client, textOf } from './lib.mjs';

let sandbox, anna, dora, dir;

const call = (method, where, body) => sandbox.call(method, where, body);
const status = async (...a) => (await call(...a)).status;

before(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wagw-sandbox-'));
  sandbox = await Sandbox.start(['--seed', 'contract', '--cert-out', path.join(dir, 'cert.pem'),
    '--info-out', path.join(dir, 'info.json'), '--test-group', 'Everybody', '--log-nodes', '300']);
  anna = new Client(sandbox, 'Anna');
  await anna.pairByQr(sandbox);
  dora = new Client(sandbox, 'Dora');
  await dora.pairByQr(sandbox, { phone: '491701112223' });
});

after(async () => {
  await anna.stop();
  await dora.stop();
  await sandbox.stop();
  fs.rmSync(dir, { recursive: true, force: true });
});

// ---- start ----

test('the first line says where everything is, and so does the file', () => {
  assert.match(sandbox.info.url, /^wss:\/\/127\.0\.0\.1:\d+\/ws\/chat$/);
  assert.match(sandbox.info.noiseRoot, /^[0-9a-f]{64}$/);
  assert.match(sandbox.info.mediaHost, /^127\.0\.0\.1:\d+$/);
  assert.equal(sandbox.info.pid, sandbox.child.pid);
  assert.ok(sandbox.info.adminPort > 0);
  assert.deepEqual(JSON.parse(fs.readFileSync(path.join(dir, 'info.json'), 'utf8')), sandbox.info);
  assert.equal(fs.readFileSync(path.join(dir, 'cert.pem'), 'utf8'), sandbox.cert);
});

test('the same seed gives the same root; --plain is ws and http, with a media host of its own', async () => {
  const two = await Sandbox.start(['--seed', 'contract', '--plain', '--no-history', '--group-addressing', 'pn', '--host', '127.0.0.1']);
  try {
    assert.equal(two.noiseRoot, sandbox.noiseRoot);
    assert.match(two.url, /^ws:\/\/127\.0\.0\.1:\d+\/ws\/chat$/);
    assert.notEqual(two.info.mediaHost, `127.0.0.1:${two.info.adminPort}`);
    assert.equal(await two.text('GET', '/noise-root'), two.noiseRoot);
    const c = new Client(two, 'Plain');
    await c.pairByQr(two);
    await two.post('/mock-user', { name: 'Bea' });
    const g = await two.post('/mock-user/group-create', { from: 'Bea', subject: 'by number', members: ['Plain'] });
    assert.equal(g.addressing, 'pn');
    await c.stop();
  } finally {
    await two.stop();
  }
  const wrong = spawn(SANDBOX, ['--no-such-option'], { stdio: 'ignore' });
  const [code] = await once(wrong, 'exit');
  assert.notEqual(code, 0);
});

test('the certificate names localhost, 127.0.0.1 and WhatsApp\'s hosts', async () => {
  for (const servername of ['localhost', 'web.whatsapp.com', 'mmg.whatsapp.net']) {
    const code = await new Promise((resolve, reject) => https.get({
      host: '127.0.0.1', port: sandbox.info.adminPort, servername, path: '/admin/noise-root', ca: sandbox.cert, agent: false,
    }, res => { res.resume(); resolve(res.statusCode); }).on('error', reject));
    assert.equal(code, 200, servername);
  }
});

// ---- looking ----

test('noise-root and tls-cert are texts', async () => {
  assert.equal(await sandbox.text('GET', '/noise-root'), sandbox.noiseRoot);
  assert.match(sandbox.cert, /^-----BEGIN CERTIFICATE-----/);
});

test('status, devices, accounts, groups, newsletters', async () => {
  const s = await sandbox.get('/status');
  assert.ok(s.memory && Array.isArray(s.pendingPairings));
  const list = await sandbox.get('/devices');
  assert.equal(list.length, 2);
  const a = list.find(d => d.name === 'Anna');
  assert.equal(a.jid, anna.jid);
  assert.match(a.lid, /^1\d{14}:1@lid$/);
  assert.match(a.phone, /^1555\d{8}$/);
  assert.equal(a.connected, true);
  assert.ok(a.preKeys > 0);
  assert.equal(typeof a.pending, 'number');
  assert.ok(a.stats.connects >= 1);
  assert.deepEqual((await sandbox.get('/devices', { phone: '491701112223' })).map(d => d.name), ['Dora']);
  assert.deepEqual((await sandbox.get('/devices', { phone: 'Anna', all: 1 })).map(d => d.device), [0, 1]);
  assert.ok((await sandbox.get('/accounts')).some(x => x.phone === '491701112223'));
  const groups = await sandbox.get('/groups');
  assert.deepEqual(groups.map(g => [g.subject, g.participants.length]), [['Everybody', 2]]);
  assert.ok(Array.isArray(await sandbox.get('/newsletters')));
  assert.ok(Array.isArray(await sandbox.get('/qr-refs')));
});

test('a pairing that waits: qr-refs, pendingPairings, drop by conn', async () => {
  const c = new Client(sandbox, 'Wait').connect();
  await c.until(() => c.qr, 'QR code');
  const refs = await sandbox.get('/qr-refs');
  assert.ok(refs.every(r => typeof r === 'string') && refs.length > 0);
  const { pendingPairings } = await sandbox.get('/status');
  assert.equal(pendingPairings.length, 1);
  await sandbox.post('/drop', { conn: pendingPairings[0].conn });
  await c.closed();
  await c.stop();
  assert.deepEqual((await sandbox.get('/status')).pendingPairings, []);
});

test('pairing by code: 403 for a wrong one', async () => {
  const c = new Client(sandbox, 'Coded').connect();
  await c.until(() => c.qr, 'QR code');
  const code = await c.sock.requestPairingCode('4917055566');
  assert.equal(await status('POST', '/mock-phone/enter-code', { phone: '4917055566', code: 'AAAA1111', wait: 10000 }), 403);
  assert.ok(code);
  await c.stop();
  assert.equal((await status('POST', '/mock-phone/scan-qr', 'nonsense')) >= 400, true);
});

test('nodes, filtered, awaited and forgotten', async () => {
  const query = { device: anna.jid, dir: 'in', tag: 'iq', xmlns: 'encrypt', type: 'set', child: 'list', limit: 5 };
  const [first] = await sandbox.get('/nodes', query);
  assert.equal(first.dir, 'in');
  assert.ok(first.t > 0);
  assert.deepEqual(Object.keys(first.node).sort(), ['attrs', 'content', 'tag']);
  assert.ok(JSON.stringify(first.node).includes('$hex'));
  assert.equal((await sandbox.get('/nodes', { device: anna.jid, since: Date.now() + 60000 })).length, 0);
  const waits = sandbox.get('/nodes', { device: anna.jid, dir: 'in', tag: 'presence', min: 1, wait: 20000, since: Date.now() });
  await anna.sock.sendPresenceUpdate('available');
  assert.equal((await waits)[0].node.tag, 'presence');
  assert.equal(await status('GET', '/nodes?device=nobody'), 404);
  await sandbox.del(`/nodes?device=${encodeURIComponent(dora.jid)}`);
  assert.deepEqual(await sandbox.get('/nodes', { device: dora.jid, id: 'x' }), []);
});

// ---- mock users and phones ----

test('a mock user writes, reads, acknowledges', async () => {
  const bea = await sandbox.post('/mock-user', { name: 'Bea' });
  assert.match(bea.jid, /^1555\d{8}@s\.whatsapp\.net$/);
  assert.match(bea.lid, /^1\d{14}@lid$/);
  const { id } = await sandbox.post('/mock-user/send', { from: 'Bea', to: anna.phone, text: 'hello' });
  assert.equal((await anna.message('hello')).key.id, id);
  await sandbox.post('/mock-user/send', { from: 'Bea', to: 'Anna', message: { conversation: 'as message' }, id: '3EB0CHOSEN' });
  assert.equal((await anna.message('as message')).key.id, '3EB0CHOSEN');
  await sandbox.post('/mock-user/send', { from: 'Bea', to: 'Anna', text: 'damaged', badEnc: true });
  await anna.message('damaged');

  const m = await anna.send(bea.jid, 'are you there');
  const [got] = await sandbox.inbox('Bea', { contains: 'are you there' });
  assert.deepEqual([got.id, got.fromMe, textOf({ message: got.message })], [m.key.id, false, 'are you there']);
  // the copy for the own phone proves that it was encrypted for it too
  const [own] = await sandbox.inbox('Anna', { id: m.key.id });
  assert.equal(own.fromMe, true);
  assert.equal((await sandbox.get('/mock-phone/inbox', { phone: 'Anna', chat: bea.jid })).at(-1).id, m.key.id);
  await sandbox.post('/mock-user/receipt', { from: 'Bea', to: 'Anna', id: m.key.id, type: 'read' });
  await anna.status(m.key.id, 4);
});

test('autoReceipt, autoRead and echo', async () => {
  const cem = await sandbox.post('/mock-user', { name: 'Cem', autoReceipt: true, autoRead: true, echo: true });
  const m = await anna.send(cem.jid, 'say it again');
  await anna.message(x => !x.key.fromMe && textOf(x) === 'say it again', 'echo');
  await anna.status(m.key.id, 4);
});

test('an account with companions types on its phone', async () => {
  const { id } = await sandbox.post('/mock-user/send', { from: 'Anna', to: 'Dora', text: 'typed on the phone' });
  assert.equal((await dora.message('typed on the phone')).key.id, id);
  await anna.message(m => m.key.id === id && m.key.fromMe, 'own copy');
});

test('identity-change: everybody who knows the person is told, and messages go on', async () => {
  const before = await sandbox.post('/mock-user', { name: 'Bea' });
  const after = await sandbox.post('/mock-user/identity-change', { from: 'Bea' });
  assert.equal(after.jid, before.jid);
  const [told] = await sandbox.nodes(anna.jid, { dir: 'out', tag: 'notification', type: 'encrypt', child: 'identity' });
  await sandbox.nodes(anna.jid, { dir: 'in', tag: 'ack', id: told.node.attrs.id }); // it has a new session by then
  const m = await anna.send(before.jid, 'to the new phone');
  const [got] = await sandbox.inbox('Bea', { id: m.key.id });
  assert.equal(textOf({ message: got.message }), 'to the new phone');
  await sandbox.post('/mock-user/send', { from: 'Bea', to: 'Anna', text: 'from the new phone' });
  await anna.message('from the new phone');
  assert.equal(await status('POST', '/mock-user/identity-change', { from: 'nobody at all' }), 404);
});

test('presence, call, about and picture of a mock user', async () => {
  const bea = await sandbox.post('/mock-user', { name: 'Bea' });
  await anna.sock.sendPresenceUpdate('available');
  await anna.sock.presenceSubscribe(bea.jid);
  await sandbox.post('/mock-user/presence', { from: 'Bea', to: 'Anna', presence: 'composing' });
  await sandbox.nodes(anna.jid, { dir: 'out', tag: 'chatstate', child: 'composing' });
  await sandbox.post('/mock-user/call', { from: 'Bea', to: 'Anna' });
  await sandbox.nodes(anna.jid, { dir: 'out', tag: 'call', child: 'offer' });
  await sandbox.post('/mock-user/about', { from: 'Bea', about: 'away' });
  assert.equal((await sandbox.get('/accounts')).find(x => x.name === 'Bea').about, 'away');
  await sandbox.post('/mock-user/picture', { from: 'Bea', picture: { $hex: 'ffd8ffe000104a46494600010100000100010000ffd9' } });
  assert.ok(await anna.sock.profilePictureUrl(bea.jid, 'preview'));
});

test('groups of mock users', async () => {
  const g = await sandbox.post('/mock-user/group-create', { from: 'Bea', subject: 'Club', members: ['Anna', 'Cem'] });
  assert.equal(g.addressing, 'lid');
  await sandbox.post('/mock-user/send', { from: 'Bea', to: g.id, text: 'hello club' });
  assert.equal((await anna.message('hello club')).key.remoteJid, g.id);
  await anna.send(g.id, 'hello Bea');
  assert.equal((await sandbox.inbox('Bea', { contains: 'hello Bea' }))[0].chat, g.id);
  await sandbox.post('/mock-user/group', { from: 'Bea', group: g.id, action: 'promote', members: ['Anna'] });
  const now = (await sandbox.get('/groups')).find(x => x.id === g.id);
  assert.equal(now.participants.find(p => p.name === 'Anna').role, 'admin');
  assert.equal(await status('POST', '/mock-user/group', { from: 'Cem', group: g.id, action: 'remove', members: ['Anna'] }), 409);
});

test('options: a phone that shares no keys and no history', async () => {
  const phone = '4917099887766';
  const o = await sandbox.post('/mock-phone/options', { phone, shareKeys: false, historySync: false, eager: true, autoReceipt: true });
  assert.deepEqual([o.shareKeys, o.historySync, o.eager, o.autoReceipt], [false, false, true, true]);
  const c = new Client(sandbox, 'Alone');
  c.connect();
  const qr = await c.until(() => c.qr, 'QR code');
  const entry = JSON.parse(await sandbox.text('POST', `/mock-phone/scan-qr?phone=${phone}`, qr));
  assert.equal(entry.phone, phone);
  await c.open(1);
  await c.until(() => c.opens >= 1 && c.auth.creds.me?.id, 'login');
  assert.equal(c.auth.creds.myAppStateKeyId, undefined);
  await sandbox.post('/mock-phone/options', { phone, shareKeys: true });
  const { keyId } = await sandbox.post('/mock-phone/share-keys', { device: entry.jid });
  assert.match(keyId.$hex, /^[0-9a-f]{12}$/);
  await c.until(() => c.auth.creds.myAppStateKeyId, 'key');
  await c.stop();
  assert.equal(await status('POST', '/mock-phone/options', { phone: 'nobody at all' }), 404);
});

test('app state, decoded, with its MACs verified', async () => {
  const all = await sandbox.get('/app-state', { phone: 'Anna' });
  assert.deepEqual(all.map(c => c.collection), ['critical_block', 'critical_unblock_low', 'regular_high', 'regular_low', 'regular']);
  const one = await sandbox.get('/app-state', { phone: 'Anna', collection: 'critical_block' });
  assert.equal(one.verified, true);
  assert.deepEqual(one.records[0].index, ['setting_pushName']);
  const jid = '491700000001@s.whatsapp.net';
  const r = await sandbox.post('/mock-phone/app-state', { phone: 'Anna', collection: 'critical_unblock_low',
    index: ['contact', jid], value: { contactAction: { fullName: 'From the phone' } }, version: 2 });
  assert.equal(r.version, 1);
  assert.equal(r.records[0].value.contactAction.fullName, 'From the phone');
  const gone = await sandbox.post('/mock-phone/app-state', { phone: 'Anna', collection: 'critical_unblock_low',
    index: ['contact', jid], operation: 'REMOVE' });
  assert.deepEqual(gone.records, []);
  assert.equal(await status('GET', '/app-state?phone=Anna&collection=nonsense'), 400);
});

test('history and any peer message from the phone', async () => {
  const jid = '491700000009@s.whatsapp.net';
  anna.sock.ev.on('messaging-history.set', ({ messages }) => {
    anna.messages.push(...messages.map(message => ({ type: 'history', message })));
    anna.emit('change');
  });
  for (const [inline, body] of [[true, 'long ago'], [false, 'longer ago']]) {
    await sandbox.post('/mock-phone/history', { device: anna.jid, inline, progress: 100, sync: { syncType: 3, conversations: [
      { id: jid, messages: [{ message: { key: { remoteJid: jid, fromMe: false, id: body }, message: { conversation: body }, messageTimestamp: 1700000000 } }] },
    ] } });
    if (inline) await anna.until(() => anna.messages.find(m => m.type === 'history' && textOf(m.message) === body), 'history');
  }
  // the blob's address is in the notice, Baileys takes it from WhatsApp's own host only: its receipt must do
  await sandbox.nodes(anna.jid, { dir: 'in', tag: 'receipt', type: 'hist_sync', min: 5 });
  const { id } = await sandbox.post('/mock-phone/peer', { device: anna.jid, message: { protocolMessage: { type: 9 } } });
  await sandbox.nodes(anna.jid, { dir: 'in', tag: 'receipt', id });
  assert.ok(Array.isArray(await sandbox.get('/mock-phone/events', { phone: 'Anna' })));
});

// ---- faults ----

test('drop, stream-error, reject-login', async () => {
  dora.stay = true;
  let n = dora.opens;
  await sandbox.post('/drop', { device: dora.jid, hard: true });
  await dora.open(++n);
  await sandbox.post('/drop', { device: dora.jid, end: true });
  await dora.open(++n);
  n = dora.opens;
  await sandbox.post('/reject-login', { device: dora.jid, code: 503, count: 1 });
  await sandbox.post('/stream-error', { device: dora.jid, code: 515 });
  await dora.open(++n);
  assert.ok(dora.closes.includes(503));
});

test('corrupt: the gateway comes back, and the message with it', async () => {
  const gw = await Gateway.start(sandbox);
  try {
    const me = await gw.pairByQr('Gate');
    for (const mode of ['cipher', 'node', 'truncate']) {
      await sandbox.post('/corrupt', { device: me.entry.jid, mode });
      await sandbox.post('/mock-user/send', { from: 'Bea', to: me.phone, text: `through a broken frame: ${mode}` });
      await gw.event('message.received', d => d.body === `through a broken frame: ${mode}`);
    }
    assert.equal(await status('POST', '/corrupt', { device: me.entry.jid, mode: 'nonsense' }), 400);
  } finally {
    await gw.stop();
  }
});

test('chaos: hold and release, duplicate, clear', async () => {
  await sandbox.post('/chaos', { device: dora.jid, action: 'hold', tag: 'message' });
  await sandbox.post('/mock-user/send', { from: 'Bea', to: 'Dora', text: 'held' });
  assert.equal(dora.messages.some(m => textOf(m.message) === 'held'), false);
  assert.equal((await sandbox.post('/chaos/release', { device: dora.jid })).released, 1);
  await dora.message('held');
  await sandbox.post('/chaos', { device: dora.jid, action: 'duplicate', tag: 'message', times: 2, count: 1 });
  assert.equal(typeof (await sandbox.del(`/chaos?device=${encodeURIComponent(dora.jid)}`)).released, 'number');
  await sandbox.del('/chaos');
});

test('ack-error, iq-error, send-node, request, low-prekeys', async () => {
  await sandbox.post('/ack-error', { device: dora.jid, code: 479, count: 1 });
  const m = await dora.send((await sandbox.post('/mock-user', { name: 'Bea' })).jid, 'refused');
  await dora.refused(m.key.id);
  await sandbox.post('/iq-error', { device: dora.jid, xmlns: 'usync', code: 503, text: 'busy', count: 1 });
  await assert.rejects(dora.sock.onWhatsApp('491700000077'));
  await sandbox.del('/iq-error');
  await sandbox.post('/send-node', { device: anna.jid, node: { tag: 'ib', attrs: { from: 's.whatsapp.net' }, content: [{ tag: 'nonsense', attrs: {} }] }, raw: true });
  await sandbox.nodes(anna.jid, { dir: 'out', tag: 'ib', child: 'nonsense' });
  const pong = await sandbox.post('/request', { device: anna.jid, timeoutMs: 10000, node: { tag: 'iq', attrs: { from: 's.whatsapp.net', type: 'get', xmlns: 'urn:xmpp:ping', id: 'ping-1' } } })
    .catch(e => e);
  assert.ok(pong);
  const before = (await sandbox.get('/devices', { phone: 'Anna' }))[0].preKeys;
  assert.ok(before > 0);
  await sandbox.post('/low-prekeys', { device: anna.jid, keep: 2 });
  await sandbox.nodes(anna.jid, { dir: 'in', tag: 'iq', xmlns: 'encrypt', type: 'set', child: 'list', min: 2 });
});

test('media-fault is answered with an injected error, config and its values', async () => {
  await sandbox.post('/media-fault', { op: 'upload', status: 500, count: 1 });
  const answer = await new Promise((resolve, reject) => {
    const req = https.request({ host: '127.0.0.1', port: sandbox.info.mediaHost.split(':')[1], path: '/mms/image/AAAA?auth=x&token=AAAA',
      method: 'POST', rejectUnauthorized: false, agent: false }, res => {
      let text = '';
      res.on('data', d => { text += d; });
      res.on('end', () => resolve({ status: res.statusCode, text }));
    });
    req.on('error', reject);
    req.end('x');
  });
  assert.equal(answer.status, 500);
  assert.deepEqual(JSON.parse(answer.text), { error: 'injected' });
  assert.equal((await sandbox.post('/config', { appStateSnapshots: true })).appStateSnapshots, true);
  assert.equal((await sandbox.post('/config', { appStateSnapshots: false })).appStateSnapshots, false);
});

test('mistakes: 4xx with an error', async () => {
  for (const [method, where, body, want] of [
    ['GET', '/no-such-call', undefined, 404],
    ['POST', '/status', {}, 405],
    ['POST', '/mock-user', {}, 400],
    ['POST', '/mock-user', '{not json', 400],
    ['POST', '/mock-user/send', { from: 'Bea', to: 'nobody at all', text: 'x' }, 404],
    ['POST', '/mock-phone/unlink', { device: 'nobody at all' }, 404],
    ['POST', '/mock-phone/unlink', {}, 400],
    ['GET', '/mock-phone/inbox', undefined, 400],
  ]) {
    const r = await call(method, where, body);
    assert.equal(r.status, want, `${method} ${where}: ${r.body}`);
    assert.equal(typeof JSON.parse(r.body).error, 'string');
  }
});

test('nothing was unhandled, nobody made mistakes', async () => {
  assert.deepEqual(await sandbox.get('/unhandled'), []);
  // Baileys counts its own LID among the devices that need its key for a group
  assert.deepEqual((await sandbox.get('/faults')).filter(f => !/bundle of itself/.test(f.fault)), []);
  assert.deepEqual(await sandbox.get('/faults', { device: dora.jid }), []);
});

test('unlink ends the session with 401, reset forgets everything', async () => {
  dora.stay = false;
  await sandbox.post('/mock-phone/unlink', { device: dora.jid });
  await dora.closed(401);
  await sandbox.post('/reset');
  assert.deepEqual(await sandbox.get('/devices'), []);
  assert.deepEqual(await sandbox.get('/accounts'), []);
  assert.deepEqual(await sandbox.get('/groups'), []);
});

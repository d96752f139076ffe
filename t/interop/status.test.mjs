// Status posts in both directions between the gateway, Baileys and mock users
// (contract 3.8), and broadcast lists that the gateway is on.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { downloadMediaMessage } from '@whiskeysockets/baileys';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';
import { png, mp4, opus } from './files.mjs';

// the sandbox's media host has a certificate of its own
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
process.removeAllListeners('warning');

const STATUS = 'status@broadcast';
const quiet = { info() {}, debug() {}, trace() {}, warn() {}, error() {} };
const pn = phone => `${phone}@s.whatsapp.net`;

let sandbox, gw, me, shy, a, b, mia;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox, { http: 'client_max_body_size 200m;' });
  a = new Client(sandbox, 'Anna');
  b = new Client(sandbox, 'Bert');
  await a.pairByQr(sandbox);
  await b.pairByQr(sandbox);
  me = await gw.pairByQr('Gate', { settings: { ignoreStatus: false } });
  shy = await gw.pairByQr('Shy'); // with the default: ignoreStatus
  mia = await sandbox.post('/mock-user', { name: 'Mia', autoReceipt: true });
});
after(async () => {
  for (const c of [a, b]) await c?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const api = (method, where, body) => gw.call(method, `/api/status/${me.id}${where}`, body);
const ok = (method, where, body) => gw.ok(method, `/api/status/${me.id}${where}`, body);
const post = (kind, body) => ok('POST', `/${kind}`, { audience: [a.phone, pn(mia.phone)], ...body });
const got = (c, id) => c.message(m => m.key.id === id, `status ${id}`);
const sentBy = async query => (await sandbox.nodes(me.entry.jid, { dir: 'in', ...query })).map(n => n.node);
const kids = (node, tag) => (Array.isArray(node.content) ? node.content : []).filter(c => c.tag === tag);
const users = node => [...new Set(kids(node, 'participants').flatMap(p => p.content)
  .map(t => t.attrs.jid.split(/[:@]/)[0]))].sort();
const lid = who => (who.lidUser ?? who.lid).split('@')[0];

async function refused(method, where, body, status, code) {
  const r = await api(method, where, body);
  assert.equal(r.status, status, JSON.stringify(r.body));
  assert.equal(r.body.code, code);
  return r.body;
}

test('a text reaches its audience, in its colours, and nobody else', async () => {
  const r = await api('POST', '/text', {
    text: 'my first status', backgroundColor: '#1e90ff', font: 2, audience: [a.phone, pn(mia.phone)], ref: 'one',
  });
  assert.equal(r.status, 200);
  const d = r.body.data;
  assert.equal(d.status, 'sent');
  assert.equal(d.chatId, STATUS);
  assert.equal(d.ref, 'one');
  assert.deepEqual(d.key, { remoteJid: STATUS, fromMe: true, id: d.messageId });

  const m = await got(a, d.messageId);
  assert.equal(m.key.remoteJid, STATUS);
  assert.equal(m.key.participant.split(/[:@]/)[0], me.lid.split('@')[0]);
  const x = m.message.extendedTextMessage;
  assert.deepEqual([x.text, x.backgroundArgb >>> 0, x.font], ['my first status', 0xff1e90ff, 2]);
  const [copy] = await sandbox.inbox('Mia', { id: d.messageId });
  assert.equal(copy.error, undefined);
  assert.equal(copy.chat, STATUS);
  const [own] = await sandbox.inbox(me.phone, { id: d.messageId });
  assert.equal(own.error, undefined);
  assert.equal(own.fromMe, true);
  const sent = await gw.event('message.sent', e => e.messageId === d.messageId);
  assert.equal(sent.data.ref, 'one');

  const [node] = await sentBy({ tag: 'message', id: d.messageId });
  assert.equal(node.attrs.to, STATUS);
  assert.equal(node.attrs.addressing_mode, undefined);
  assert.deepEqual(users(node), [lid(a), lid(mia), me.lid.split('@')[0]].sort());

  // the defaults, and transparency
  const plain = await post('text', { text: 'plain' });
  const p = (await got(a, plain.messageId)).message.extendedTextMessage;
  assert.deepEqual([p.backgroundArgb >>> 0, p.font ?? 0], [0xff000000, 0]);
  const glass = await post('text', { text: 'glass', backgroundColor: '#11223380' });
  assert.equal((await got(a, glass.messageId)).message.extendedTextMessage.backgroundArgb >>> 0, 0x80112233);
  // the key goes along each time
  const [second] = await sentBy({ tag: 'message', id: glass.messageId });
  assert.deepEqual(users(second), users(node));
  assert.equal(b.messages.filter(x2 => x2.message.key.remoteJid === STATUS).length, 0);
});

test('image, video and voice: Baileys downloads what was posted', async () => {
  for (const [kind, field, bytes, look] of [
    ['image', 'imageBase64', png(64, 48), m => m.imageMessage],
    ['video', 'videoBase64', mp4(3, 320, 240), m => m.videoMessage],
    ['voice', 'audioBase64', opus(60), m => m.audioMessage],
  ]) {
    const r = await post(kind, {
      [field]: bytes.toString('base64'), ...(kind === 'voice' ? { backgroundColor: '#102030' } : { caption: `a ${kind}` }),
    });
    assert.equal(r.chatId, STATUS);
    const m = await got(a, r.messageId);
    const file = await downloadMediaMessage(m, 'buffer', {}, { logger: quiet });
    assert.ok(file.equals(bytes), kind);
    const x = look(m.message);
    if (kind === 'voice') {
      assert.deepEqual([x.ptt, x.mimetype, x.backgroundArgb >>> 0], [true, 'audio/ogg; codecs=opus', 0xff102030]);
    } else {
      assert.equal(x.caption, `a ${kind}`);
    }
    const [node] = await sentBy({ tag: 'message', id: r.messageId });
    assert.equal(node.attrs.type, 'media');
    assert.equal(kids(node, 'enc').find(e => e.attrs.type === 'skmsg').attrs.mediatype, kind === 'voice' ? 'ptt' : kind);
  }
  await refused('POST', '/image', { audience: [a.phone] }, 400, 'VALIDATION_FAILED');
});

test('views of ours', async () => {
  const r = await post('text', { text: 'look at me' });
  const m = await got(a, r.messageId);
  assert.deepEqual(await ok('GET', `/${r.messageId}/views`), []);
  await a.sock.readMessages([m.key]);
  await gw.event('message.ack', d => d.messageId === r.messageId && d.ackName === 'read' && d.participant === pn(a.phone));
  await sandbox.inbox('Mia', { id: r.messageId });
  await sandbox.post('/mock-user/receipt', { from: 'Mia', to: STATUS, id: r.messageId, type: 'read', participant: me.phone });
  await gw.event('message.ack', d => d.messageId === r.messageId && d.ackName === 'read' && d.participant === pn(mia.phone));
  const list = await api('GET', `/${r.messageId}/views`);
  assert.equal(list.body.count, 2);
  assert.deepEqual(list.body.data.map(v => v.jid).sort(), [pn(a.phone), pn(mia.phone)].sort());
  for (const v of list.body.data) assert.match(v.viewedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  await refused('GET', '/NONE/views', undefined, 404, 'MESSAGE_NOT_FOUND');
});

test('posts of others: event, listing, seen, no chat', async () => {
  const text = await a.send(STATUS, { text: 'what Anna did' },
    { statusJidList: [me.lid, b.lidUser], backgroundColor: '#1e90ff', font: 2 });
  const e = await gw.event('status.received', d => d.messageId === text.key.id);
  assert.equal(e.data.body, 'what Anna did');
  assert.equal(e.data.chatId, STATUS);
  assert.equal(e.data.participant, pn(a.phone));
  assert.equal(e.data.fromMe, false);
  await got(b, text.key.id);

  const picture = png(40, 30);
  const image = await a.send(STATUS, { image: picture, caption: 'a place', jpegThumbnail: '' }, { statusJidList: [me.lid] });
  const i = await gw.event('status.received', d => d.messageId === image.key.id);
  assert.equal(i.data.type, 'image');
  assert.equal(i.data.body, 'a place');
  const file = await gw.call('GET', `/api/message/${me.id}/${image.key.id}/media`);
  assert.equal(file.status, 200);
  assert.ok(file.body.equals(picture));

  const mias = await sandbox.post('/mock-user/send', { from: 'Mia', to: STATUS, text: 'what Mia did', audience: [me.phone] });
  await gw.event('status.received', d => d.messageId === mias.id && d.participant === pn(mia.phone));
  const broken = await sandbox.post('/mock-user/send', { from: 'Mia', to: STATUS, text: 'in pieces', audience: [me.phone], badEnc: true });
  const again = await gw.event('status.received', d => d.messageId === broken.id);
  assert.equal(again.data.body, 'in pieces');

  const list = await api('GET', '?limit=500');
  const by = id => list.body.data.find(m => m.messageId === id);
  assert.equal(by(text.key.id).participant, pn(a.phone));
  assert.equal(by(mias.id).body, 'what Mia did');
  assert.equal(by(text.key.id).status, 'received');
  assert.ok(list.body.data.some(m => m.fromMe && m.body === 'look at me'));
  assert.equal(list.body.count, list.body.data.length);
  const short = await api('GET', '?limit=2');
  assert.deepEqual(short.body.data.map(m => m.messageId), list.body.data.slice(0, 2).map(m => m.messageId));
  assert.equal(short.body.pagination.hasMore, true);

  assert.equal((await ok('POST', `/${text.key.id}/seen`)).marked, 1);
  const [receipt] = await sentBy({ tag: 'receipt', id: text.key.id, type: 'read' });
  assert.equal(receipt.attrs.to, STATUS);
  assert.equal(receipt.attrs.participant, a.lidUser);
  await a.until(() => a.receipts.some(r => r.key.id === text.key.id && r.receipt.readTimestamp), 'view at Anna');
  await refused('POST', '/NONE/seen', undefined, 404, 'MESSAGE_NOT_FOUND');
  await refused('GET', `/${text.key.id}/views`, undefined, 404, 'MESSAGE_NOT_FOUND');

  for (const where of [`/api/message/chats/${me.id}`, `/api/chats/${me.id}`, `/api/chats/${me.id}/overview`]) {
    const chats = await gw.call('GET', where);
    assert.equal(chats.status, 200);
    assert.equal(JSON.stringify(chats.body).includes(STATUS), false, where);
  }

  // taken back by its author
  await a.send(STATUS, { delete: text.key }, { statusJidList: [me.lid, b.lidUser] });
  await gw.event('message.revoked', d => d.messageId === text.key.id);
  assert.equal((await ok('GET', '?limit=500')).some(m => m.messageId === text.key.id), false);
});

test('who ignores status posts hears nothing of them', async () => {
  const s = await sandbox.post('/mock-user/send', { from: 'Mia', to: STATUS, text: 'not for Shy', audience: [shy.phone] });
  const bad = await sandbox.post('/mock-user/send', { from: 'Mia', to: STATUS, text: 'nor this', audience: [shy.phone], badEnc: true });
  const m = await sandbox.post('/mock-user/send', { from: 'Mia', to: shy.phone, text: 'but this' });
  await gw.event('message.received', d => d.messageId === m.id);
  assert.equal(gw.events.some(e => [s.id, bad.id].includes(e.data?.messageId)), false);
  assert.deepEqual(await gw.ok('GET', `/api/status/${shy.id}`), []);
  assert.deepEqual(await sandbox.get('/pending', { device: shy.entry.jid }), []);
});

test('deletion goes to those who got the post', async () => {
  const r = await post('text', { text: 'regretted' });
  await got(a, r.messageId);
  const d = await api('POST', '/delete', { messageId: r.messageId });
  assert.equal(d.status, 200);
  assert.equal(d.body.message, 'Status deleted successfully');
  assert.equal(d.body.data.messageId, r.messageId);
  await a.until(() => a.updates.some(u => u.key.id === r.messageId && u.update.message === null) ||
    a.messages.some(m => m.message.message?.protocolMessage?.key?.id === r.messageId), 'deletion at Anna');
  const revoke = (await sentBy({ tag: 'message' })).filter(n => n.attrs.to === STATUS && n.attrs.edit === '7').at(-1);
  const [node] = await sentBy({ tag: 'message', id: r.messageId });
  assert.deepEqual(users(revoke), users(node));
  assert.equal(kids(revoke, 'enc').find(e => e.attrs.type === 'skmsg').attrs['decrypt-fail'], 'hide');
  assert.equal((await ok('GET', '?limit=500')).some(m => m.messageId === r.messageId), false);
  await refused('POST', '/delete', { messageId: 'NONE' }, 404, 'MESSAGE_NOT_FOUND');
  await refused('POST', '/delete', {}, 400, 'VALIDATION_FAILED');
});

test('privacy decides who gets a post', async () => {
  assert.deepEqual(await ok('GET', '/privacy'), { mode: 'contacts', jids: [] });
  // nobody is in the address book yet
  await refused('POST', '/text', { text: 'to nobody' }, 422, 'RECIPIENT_NO_DEVICES');
  await refused('POST', '/text', { text: 'to nobody', audience: [] }, 422, 'RECIPIENT_NO_DEVICES');

  for (const [who, name] of [[a, 'Anna A'], [b, 'Bert B']]) {
    await gw.ok('PUT', `/api/contacts/${me.id}/${who.phone}`, { name });
  }
  const all = await ok('POST', '/text', { text: 'to all contacts' });
  await got(a, all.messageId);
  await got(b, all.messageId);
  const to = async id => users((await sentBy({ tag: 'message', id }))[0]);
  const self = me.lid.split('@')[0];
  assert.deepEqual(await to(all.messageId), [lid(a), lid(b), self].sort());

  const allow = await api('PUT', '/privacy', { mode: 'allow', jids: [b.phone] });
  assert.deepEqual([allow.status, allow.body.data], [200, { mode: 'allow', jids: [pn(b.phone)] }]);
  assert.deepEqual(await ok('GET', '/privacy'), { mode: 'allow', jids: [pn(b.phone)] });
  const state = await sandbox.get('/app-state', { phone: me.phone, collection: 'regular_high' });
  assert.equal(state.verified, true);
  const record = state.records.find(r => r.index[0] === 'status_privacy');
  assert.equal(record.version, 7);
  assert.deepEqual(record.value.statusPrivacy.userJid, [pn(b.phone)]);
  assert.deepEqual(await to((await ok('POST', '/text', { text: 'Bert only' })).messageId), [lid(b), self].sort());

  await ok('PUT', '/privacy', { mode: 'deny', jids: [b.lidUser] });
  assert.deepEqual(await ok('GET', '/privacy'), { mode: 'deny', jids: [pn(b.phone)] });
  assert.deepEqual(await to((await ok('POST', '/text', { text: 'not Bert' })).messageId), [lid(a), self].sort());

  // a change on the phone is followed
  await sandbox.post('/mock-phone/app-state', {
    phone: me.phone, collection: 'regular_high', index: ['status_privacy'], version: 7,
    value: { statusPrivacy: { mode: 0, userJid: [a.lidUser] } },
  });
  await sandbox.post('/mock-phone/app-state', { // the next patch of the collection tells when it was applied
    phone: me.phone, collection: 'regular_high', index: ['mute', pn(a.phone)], version: 2,
    value: { muteAction: { muted: true, muteEndTimestamp: -1 } },
  });
  await gw.event('chat.update', d => d.chatId === pn(a.phone) && d.changes.mutedUntil);
  assert.deepEqual(await ok('GET', '/privacy'), { mode: 'allow', jids: [pn(a.phone)] });
  assert.deepEqual(await to((await ok('POST', '/text', { text: 'Anna only' })).messageId), [lid(a), self].sort());
  await ok('PUT', '/privacy', { mode: 'contacts' });
  assert.deepEqual(await ok('GET', '/privacy'), { mode: 'contacts', jids: [] });

  // an account whose list is on the server only
  await sandbox.post('/mock-phone/options', { phone: shy.phone, statusPrivacy: { mode: 'allow', jids: [mia.phone] } });
  assert.deepEqual(await gw.ok('GET', `/api/status/${shy.id}/privacy`), { mode: 'allow', jids: [pn(mia.phone)] });
  const s = await gw.ok('POST', `/api/status/${shy.id}/text`, { text: 'for Mia' });
  const [copy] = await sandbox.inbox('Mia', { id: s.messageId });
  assert.equal(copy.error, undefined);

  await refused('PUT', '/privacy', { mode: 'friends' }, 400, 'VALIDATION_FAILED');
  await refused('PUT', '/privacy', { jids: [a.phone] }, 400, 'VALIDATION_FAILED');
  await refused('PUT', '/privacy', { mode: 'allow', jids: ['120363000000000001@g.us'] }, 400, 'INVALID_JID');
});

test('what is wrong is refused with its code', async () => {
  await refused('POST', '/text', { audience: [a.phone] }, 400, 'VALIDATION_FAILED');
  for (const backgroundColor of ['red', '1e90ff', '#1e90f', '#1e90fg', '#1e90ff8']) {
    const r = await refused('POST', '/text', { text: 'x', backgroundColor, audience: [a.phone] }, 400, 'VALIDATION_FAILED');
    assert.equal(r.details.fields[0].field, 'backgroundColor');
  }
  for (const font of [-1, 11, 1.5, 'bold']) {
    await refused('POST', '/text', { text: 'x', font, audience: [a.phone] }, 400, 'VALIDATION_FAILED');
  }
  await refused('POST', '/text', { text: 'x', audience: ['what?'] }, 400, 'INVALID_JID');
  await refused('POST', '/text', { text: 'x', audience: ['120363000000000001@g.us'] }, 400, 'INVALID_JID');
  const none = await gw.call('POST', '/api/status/nobody/text', { text: 'x' });
  assert.deepEqual([none.status, none.body.code], [404, 'INSTANCE_NOT_FOUND']);
  // what cannot be a status
  const poll = await gw.call('POST', '/api/message/send/poll', { instanceId: me.id, to: STATUS, question: 'q', options: ['a', 'b'] });
  assert.deepEqual([poll.status, poll.body.code], [501, 'NOT_SUPPORTED']);
});

test('ids: new-message-id, repeats, async', async () => {
  const { messageId } = await ok('GET', '/new-message-id');
  const r = await post('text', { text: 'under my id', messageId });
  assert.equal(r.messageId, messageId);
  await got(a, messageId);
  await refused('POST', '/text', { text: 'once more', messageId, audience: [a.phone] }, 409, 'DUPLICATE');
  const later = await api('POST', '/text', { text: 'later', async: true, audience: [a.phone] });
  assert.deepEqual([later.status, later.body.data.status], [202, 'queued']);
  await got(a, later.body.data.messageId);
  const body = { text: 'idempotent', audience: [a.phone] };
  const send = () => gw.call('POST', `/api/status/${me.id}/text`, body, { 'Idempotency-Key': 'status-1' });
  const [one, two] = [await send(), await send()];
  assert.equal(one.body.data.messageId, two.body.data.messageId);
});

test('a damaged post is sent again to who could not read it', async () => {
  await sandbox.post('/chaos', { device: a.entry.jid, action: 'mangle', tag: 'message', count: 1 });
  const r = await post('text', { text: 'readable in the end' });
  const m = await got(a, r.messageId);
  assert.equal(m.message.extendedTextMessage.text, 'readable in the end');
});

test('a post that the server never confirmed goes out again, to the same people, after a crash', async () => {
  const { messageId } = await ok('GET', '/new-message-id');
  await sandbox.post('/chaos', { device: me.entry.jid, action: 'drop', tag: 'ack', id: messageId, count: 1 });
  const call = api('POST', '/text', { text: 'through the crash', messageId, audience: [a.phone] }).catch(() => null);
  await sentBy({ tag: 'message', id: messageId });
  const old = gw.events.length;
  process.kill(gw.owner(), 'SIGKILL');
  await call;
  await gw.until(() => gw.events.slice(old).some(e => e.event === 'session.status' && e.instanceId === me.id &&
    e.data.status === 'connected'), 'connected again');
  const m = await got(a, messageId);
  assert.equal(m.message.extendedTextMessage.text, 'through the crash');
  const nodes = await sentBy({ tag: 'message', id: messageId, min: 2 });
  assert.equal(nodes.length, 2);
  assert.deepEqual(users(nodes[1]), users(nodes[0]));
  assert.equal(a.messages.filter(x => x.message.key.id === messageId).length, 1);
  await ok('POST', '/delete', { messageId });
  const revoke = (await sentBy({ tag: 'message' })).filter(n => n.attrs.edit === '7').at(-1);
  assert.deepEqual(users(revoke), users(nodes[0]));
});

test('a broadcast list that we are on is the chat of its author', async () => {
  const s = await sandbox.post('/mock-user/send', { from: 'Mia', to: '1612345678@broadcast', text: 'to many', audience: [me.phone, a.phone] });
  const e = await gw.event('message.received', d => d.messageId === s.id);
  assert.deepEqual([e.data.body, e.data.chatId, e.data.from, e.data.isGroup], ['to many', pn(mia.phone), pn(mia.phone), false]);
  const [receipt] = await sentBy({ tag: 'receipt', id: s.id });
  assert.deepEqual([receipt.attrs.to, receipt.attrs.participant.split(/[:@]/)[0]], ['1612345678@broadcast', lid(mia)]);
  const broken = await sandbox.post('/mock-user/send', { from: 'Mia', to: '1612345678@broadcast', text: 'whole again', audience: [me.phone], badEnc: true });
  await gw.event('message.received', d => d.messageId === broken.id && d.body === 'whole again');
  const chats = await gw.call('GET', `/api/message/chats/${me.id}`);
  assert.ok(chats.body.data.some(c => c.chatId === pn(mia.phone) || c.id === pn(mia.phone)));
  assert.equal(JSON.stringify(chats.body).includes('@broadcast'), false);
});

test('nobody complained', async () => {
  assert.deepEqual(await sandbox.complaints(), { unhandled: [], faults: [] });
});

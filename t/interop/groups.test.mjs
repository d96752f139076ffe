// Groups over the sandbox: Baileys clients, phones and the gateway as
// members, in both addressing modes (issue 3, "Groups, as conversations").

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client, textOf } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, a, b, mia;
const mismatches = []; // messages whose phash was meant to be another one
const pn = phone => `${phone}@s.whatsapp.net`;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  a = new Client(sandbox, 'Anna');
  b = new Client(sandbox, 'Bert');
  await a.pairByQr(sandbox);
  await b.pairByQr(sandbox);
  me = await gw.pairByQr('Gate', { settings: { ignoreStatus: false } });
  mia = await sandbox.post('/mock-user', { name: 'Mia', autoReceipt: true });
});
after(async () => {
  for (const c of [a, b]) await c?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

// what the gateway's device sent: [node], oldest first
const sentBy = async query => (await sandbox.nodes(me.entry.jid, { dir: 'in', ...query })).map(n => n.node);
const kids = (node, tag) => (Array.isArray(node.content) ? node.content : []).filter(c => c.tag === tag);
const skmsg = node => kids(node, 'enc').find(e => e.attrs.type === 'skmsg');
const receivers = node => kids(node, 'participants').flatMap(p => p.content).map(t => t.attrs.jid).sort();
// queries about somebody else, as opposed to keepalives and the like
const queries = async since => (await sandbox.get('/nodes', { device: me.entry.jid, dir: 'in', tag: 'iq', since }))
  .map(n => n.node.attrs.xmlns).filter(x => ['w:g2', 'usync', 'encrypt'].includes(x));
// the id of the sender key of an skmsg: protobuf field 1 behind the version byte
function keyId(enc) {
  const p = Buffer.from(enc.content.$hex, 'hex');
  assert.equal(p[1], 8);
  let id = 0;
  for (let i = 2, m = 1; ; i++, m *= 128) {
    id += (p[i] & 127) * m;
    if (p[i] < 128) return id;
  }
}
const received = (id, more = () => true) => gw.event('message.received', d => d.messageId === id && more(d), `message ${id}`);

for (const addressing of ['lid', 'pn']) {
  test(`${addressing}: created from outside, both directions, first and next`, async () => {
    const g = await sandbox.post('/mock-user/group-create',
      { from: 'Mia', subject: `Walk ${addressing}`, members: ['Anna', 'Bert', me.phone], addressing });
    await gw.event('group.v2.join', d => d.groupId === g.id);

    const r = await gw.send(me.id, g.id, `first ${addressing}`);
    assert.equal(r.status, 'sent');
    assert.equal(r.chatId, g.id);
    for (const c of [a, b]) {
      const got = await c.message(`first ${addressing}`);
      assert.equal(got.key.remoteJid, g.id);
      assert.equal(got.key.id, r.messageId);
    }
    const [copy] = await sandbox.inbox('Mia', { id: r.messageId });
    assert.equal(copy.error, undefined);
    assert.equal(copy.chat, g.id);
    const [own] = await sandbox.inbox(me.phone, { id: r.messageId });
    assert.equal(own.error, undefined);
    assert.equal(own.fromMe, true);

    const [first] = await sentBy({ tag: 'message', id: r.messageId });
    assert.equal(first.attrs.addressing_mode, addressing);
    assert.ok(first.attrs.phash);
    const to = receivers(first);
    assert.equal(to.length, 2 + 2 + 1 + 1, 'Anna, Bert, Mia, the own phone');
    assert.ok(to.every(j => j.endsWith(addressing === 'lid' ? '@lid' : '@s.whatsapp.net')));

    const t = Date.now();
    const n = await gw.send(me.id, g.id, `next ${addressing}`);
    await a.message(`next ${addressing}`);
    await b.message(`next ${addressing}`);
    const [next] = await sentBy({ tag: 'message', id: n.messageId });
    assert.deepEqual(kids(next, 'participants'), []);
    assert.equal(keyId(skmsg(next)), keyId(skmsg(first)));
    assert.deepEqual(await queries(t), []);

    for (const [c, text] of [[a, `Anna ${addressing}`], [a, `Anna again ${addressing}`], [b, `Bert ${addressing}`]]) {
      const m = await c.send(g.id, text);
      const e = await received(m.key.id);
      assert.equal(e.data.body, text);
      assert.equal(e.data.isGroup, true);
      assert.equal(e.data.chatId, g.id);
      assert.equal(e.data.participant, pn(c.phone));
    }
    const { id } = await sandbox.post('/mock-user/send', { from: 'Mia', to: g.id, text: `Mia ${addressing}` });
    const e = await received(id);
    assert.equal(e.data.participant, mia.jid);
    await a.message(`Mia ${addressing}`);

    const chats = await gw.ok('GET', `/api/chats/${me.id}`);
    const chat = chats.find(c => c.id === g.id || c.chatId === g.id);
    assert.equal(chat.name, `Walk ${addressing}`);
    assert.equal(chat.isGroup, true);
  });
}

// a group of everybody, with nobody's keys given yet
let serial = 0;
async function walk(members, more = {}) {
  const g = await sandbox.post('/mock-user/group-create', { from: 'Mia', subject: `Group ${++serial}`, members, ...more });
  if (members.includes(me.phone)) await gw.event('group.v2.join', d => d.groupId === g.id);
  return g.id;
}
const act = (group, from, action, more = {}) => sandbox.post('/mock-user/group', { from, group, action, ...more });

test('a message damaged on its way to the gateway is repaired: first (no key) and next (bad message)', async () => {
  const g = await walk(['Anna', me.phone]);
  for (const text of ['damaged, first', 'damaged, next']) {
    await sandbox.post('/chaos', { device: me.entry.jid, action: 'mangle', tag: 'message', count: 1 });
    const m = await a.send(g, text);
    const e = await received(m.key.id);
    assert.equal(e.data.body, text);
    assert.equal(e.data.participant, pn(a.phone));
    assert.equal(gw.events.filter(x => x.event === 'message.received' && x.data.messageId === m.key.id).length, 1);
    const [retry] = await sentBy({ tag: 'receipt', type: 'retry', id: m.key.id });
    assert.equal(retry.attrs.to, g);
    assert.equal(retry.attrs.participant.split('@')[0], a.lid.split('@')[0]);
    // who was asked gives everybody the key again: the next damage must hit a bare skmsg
    const after = await a.send(g, `${text}: repaired`);
    await received(after.key.id);
  }
});

test('a message damaged on its way out is sent again, to the one that asked', async () => {
  const g = await walk(['Anna', 'Bert', me.phone]);
  for (const text of ['damaged out, first', 'damaged out, next']) {
    await sandbox.post('/chaos', { device: a.jid, action: 'mangle', tag: 'message', count: 1 });
    const r = await gw.send(me.id, g, text);
    await b.message(text);
    const got = await a.message(text);
    assert.equal(got.key.id, r.messageId);
    const all = await sentBy({ tag: 'message', id: r.messageId, min: 2 });
    assert.equal(all.length, 2);
    assert.equal(all[1].attrs.participant.split('@')[0], a.lid.split('@')[0]);
    assert.deepEqual(kids(all[1], 'participants'), []);
  }
  const n = await gw.send(me.id, g, 'all can read');
  await a.message('all can read');
  await b.message('all can read');
  const [node] = await sentBy({ tag: 'message', id: n.messageId });
  assert.deepEqual(kids(node, 'participants'), []);
});

test('a phone that cannot read it asks, and gets it', async () => {
  const g = await walk([me.phone]);
  await gw.send(me.id, g, 'Mia has the key');
  const { id } = await sandbox.post('/mock-user/send', { from: 'Mia', to: g, text: 'damaged by Mia', badEnc: true });
  const e = await received(id);
  assert.equal(e.data.body, 'damaged by Mia');
});

test('who is added reads from then on; who was removed does not: the key is another one', async () => {
  const g = await walk(['Anna', me.phone]);
  const first = await gw.send(me.id, g, 'before Bert');
  await a.message('before Bert');
  const [one] = await sentBy({ tag: 'message', id: first.messageId });

  await act(g, 'Mia', 'add', { members: ['Bert'] });
  const added = await gw.event('group.v2.participants', d => d.groupId === g && d.action === 'add');
  assert.deepEqual(added.data.participants, [pn(b.phone)]);
  assert.equal(added.data.actor, mia.jid);
  let t = Date.now();
  const second = await gw.send(me.id, g, 'with Bert');
  await b.message('with Bert');
  await a.message('with Bert');
  const [two] = await sentBy({ tag: 'message', id: second.messageId });
  assert.deepEqual(receivers(two).map(j => j.split(/[:@]/)[0]), [b.lid, b.lid].map(j => j.split(/[:@]/)[0]), 'only the new ones');
  assert.equal(keyId(skmsg(two)), keyId(skmsg(one)), 'nobody went');
  assert.equal((await queries(t)).includes('w:g2'), false, 'the list was kept true by the notification');
  const m = await b.send(g, 'Bert in the group');
  await received(m.key.id);
  assert.equal(b.messages.some(x => textOf(x.message) === 'before Bert'), false);

  await act(g, 'Mia', 'remove', { members: ['Bert'] });
  await gw.event('group.v2.participants', d => d.groupId === g && d.action === 'remove');
  await gw.event('group.v2.leave', d => d.groupId === g && d.participants.includes(pn(b.phone)) && d.reason === 'removed');
  t = Date.now();
  const third = await gw.send(me.id, g, 'without Bert');
  await a.message('without Bert');
  const [three] = await sentBy({ tag: 'message', id: third.messageId });
  assert.notEqual(keyId(skmsg(three)), keyId(skmsg(two)), 'a new key');
  assert.equal(receivers(three).length, 2 + 1 + 1, 'Anna, Mia, the own phone');
  assert.deepEqual(await queries(t), []);

  // even with the ciphertext in hands he cannot read it
  await sandbox.post('/send-node', {
    device: b.jid,
    node: {
      tag: 'message',
      attrs: { from: g, participant: me.entry.lid, participant_pn: pn(me.phone), addressing_mode: 'lid', id: 'STOLEN1', type: 'text', t: String(Date.now() / 1000 | 0) },
      content: [skmsg(three)],
    },
  });
  await sandbox.get('/nodes', { device: b.jid, dir: 'in', tag: 'receipt', type: 'retry', id: 'STOLEN1', wait: 30000 });
  assert.equal(b.messages.some(x => textOf(x.message) === 'without Bert'), false);

  const refused = await b.send(g, 'Bert from outside').catch(e => e);
  if (refused?.key) await b.refused(refused.key.id);
});

test('a member leaves; the gateway is removed', async () => {
  const g = await walk(['Anna', 'Bert', me.phone]);
  await gw.send(me.id, g, 'all here');
  await b.message('all here');
  await b.sock.groupLeave(g);
  const e = await gw.event('group.v2.leave', d => d.groupId === g);
  assert.deepEqual(e.data.participants, [pn(b.phone)]);
  assert.equal(e.data.reason, 'left');
  await gw.send(me.id, g, 'Bert is gone');
  await a.message('Bert is gone');
  await act(g, 'Mia', 'remove', { members: [me.phone] });
  await gw.event('group.v2.leave', d => d.groupId === g && d.participants.includes(pn(me.phone)));
  const r = await gw.call('POST', '/api/message/send/text', { instanceId: me.id, to: g, message: 'from outside' });
  assert.ok(r.status >= 400, `refused, not ${r.status}`);
});

test('a second companion of a member gets the key with the next message', async () => {
  const g = await walk(['Anna', me.phone]);
  await gw.send(me.id, g, 'one companion');
  await a.message('one companion');
  const other = new Client(sandbox, 'Anna');
  await other.pairByQr(sandbox, { phone: a.phone });
  try {
    await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'ack', type: 'devices' });
    const r = await gw.send(me.id, g, 'two companions');
    await other.message('two companions');
    await a.message('two companions');
    const [node] = await sentBy({ tag: 'message', id: r.messageId });
    assert.deepEqual(receivers(node), [other.lid]);
    const m = await other.send(g, 'from the second one');
    const e = await received(m.key.id);
    assert.equal(e.data.participant, pn(a.phone));
    await sandbox.post('/mock-phone/unlink', { device: other.jid });
    for (const x of [a, b]) x.forgetDevices();
    await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'ack', type: 'devices', min: 2 });
    const next = await gw.send(me.id, g, 'one again');
    await a.message('one again');
    const [last] = await sentBy({ tag: 'message', id: next.messageId });
    assert.notEqual(keyId(skmsg(last)), keyId(skmsg(node)), 'a device went: a new key');
  } finally {
    await other.stop();
  }
});

test('a companion of the gateway account in a group', async () => {
  const g = await walk(['Anna', me.phone]);
  const c = new Client(sandbox, 'Gate');
  await c.pairByQr(sandbox, { phone: me.phone });
  try {
    const r = await gw.send(me.id, g, 'own companion reads');
    const copy = await c.message('own companion reads');
    assert.equal(copy.key.fromMe, true);
    assert.equal(copy.key.id, r.messageId);
    const m = await c.send(g, 'own companion writes');
    const e = await gw.event('message.sent', d => d.messageId === m.key.id);
    assert.equal(e.data.source, 'app');
    assert.equal(e.data.chatId, g);
    await a.message('own companion writes');
    const typed = await sandbox.post('/mock-user/send', { from: me.phone, to: g, text: 'typed on the phone' });
    await gw.event('message.sent', d => d.messageId === typed.id && d.chatId === g);
    await a.message('typed on the phone');
  } finally {
    await sandbox.post('/mock-phone/unlink', { device: c.jid });
    for (const x of [a, b]) x.forgetDevices();
    await c.stop();
  }
});

test('delivery and read receipts name the participant', async () => {
  const g = await walk(['Anna', 'Bert', me.phone]);
  const r = await gw.send(me.id, g, 'who reads?');
  const got = await a.message('who reads?');
  await gw.event('message.ack', d => d.messageId === r.messageId && d.ack === 2 && d.participant === mia.jid);
  await a.sock.readMessages([got.key]);
  const e = await gw.event('message.ack', d => d.messageId === r.messageId && d.ack === 3);
  assert.equal(e.data.participant, pn(a.phone));
  assert.equal(e.data.chatId, g);
  await sandbox.post('/mock-user/receipt', { from: 'Mia', to: g, id: r.messageId, type: 'read', participant: me.phone });
  await gw.event('message.ack', d => d.messageId === r.messageId && d.ack === 3 && d.participant === mia.jid);

  const m1 = await a.send(g, 'read me');
  const m2 = await b.send(g, 'read me too');
  await received(m1.key.id);
  await received(m2.key.id);
  await gw.ok('POST', '/api/message/seen', { instanceId: me.id, chatId: g });
  await a.receipt(m1.key.id, 'readTimestamp');
  await b.receipt(m2.key.id, 'readTimestamp');
  const reads = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'receipt', type: 'read', to: g, min: 2 });
  assert.deepEqual(reads.map(x => x.node.attrs.participant.split('@')[0]).sort(),
    [a.lidUser, b.lidUser].map(j => j.split('@')[0]).sort());
});

test('mentions, quote, reaction, edit and revoke in a group', async () => {
  const g = await walk(['Anna', 'Bert', me.phone]);
  const all = await gw.send(me.id, g, '@all come here', { mentions: 'all' });
  const got = await a.message('@all come here');
  const info = got.message.extendedTextMessage.contextInfo;
  assert.ok(info.nonJidMentions === 1 || info.mentionedJid.length === 4, JSON.stringify(info));

  const m = await a.send(g, 'answer this');
  await received(m.key.id);
  const q = await gw.send(me.id, g, 'the answer', { quotedMessageId: m.key.id, mentions: [b.phone] });
  const quoted = await b.message('the answer');
  const ctx = quoted.message.extendedTextMessage.contextInfo;
  assert.equal(ctx.stanzaId, m.key.id);
  assert.equal(ctx.participant, a.lidUser);
  assert.deepEqual(ctx.mentionedJid, [b.lidUser]);

  await gw.ok('PUT', '/api/message/reaction', { instanceId: me.id, chatId: g, messageId: m.key.id, emoji: '🎉' });
  await a.until(() => a.reactions.find(r => r.key.id === m.key.id && r.reaction.text === '🎉'), 'reaction');
  await gw.ok('PUT', '/api/message/edit', { instanceId: me.id, chatId: g, messageId: q.messageId, newText: 'edited answer' });
  await b.until(() => JSON.stringify(b.updates).includes('edited answer') ||
    b.messages.some(x => JSON.stringify(x.message.message ?? {}).includes('edited answer')), 'edit');
  await gw.ok('POST', '/api/message/revoke', { instanceId: me.id, chatId: g, messageId: q.messageId });
  await b.until(() => b.messages.some(x => x.message.message?.protocolMessage?.type === 0 && x.message.key.remoteJid === g) ||
    b.updates.some(u => u.key.id === q.messageId && u.update.message === null), 'revoke');

  await a.send(g, { react: { text: '❤️', key: got.key } });
  const re = await gw.event('message.reaction', d => d.messageId === all.messageId && d.emoji === '❤️');
  assert.equal(re.data.from, pn(a.phone));
  await a.send(g, { text: 'answer that', edit: m.key });
  const ed = await gw.event('message.edited', d => d.messageId === m.key.id);
  assert.equal(ed.data.newBody, 'answer that');
  await a.send(g, { delete: m.key });
  await gw.event('message.revoked', d => d.messageId === m.key.id && d.revokedBy === 'them');
});

test('a group with disappearing messages', async () => {
  const g = await walk(['Anna', me.phone], { ephemeral: 86400 });
  await gw.send(me.id, g, 'gone tomorrow');
  const got = await a.message('gone tomorrow');
  assert.equal(got.message.extendedTextMessage.contextInfo.expiration, 86400);
  await act(g, 'Mia', 'ephemeral', { value: 604800 });
  await gw.event('group.v2.update', d => d.groupId === g && d.updates.ephemeral === 604800);
  await gw.send(me.id, g, 'gone next week');
  assert.equal((await a.message('gone next week')).message.extendedTextMessage.contextInfo.expiration, 604800);
  await act(g, 'Mia', 'not_ephemeral');
  await gw.event('group.v2.update', d => d.groupId === g && d.updates.ephemeral === 0);
  await gw.send(me.id, g, 'stays');
  const stays = await a.message('stays');
  assert.ok(!stays.message.extendedTextMessage?.contextInfo?.expiration);
});

test('Baileys creates a group, changes it, and the gateway hears of everything', async () => {
  const g = await a.sock.groupCreate('Book club', [pn(me.phone), b.lidUser]);
  const id = g.id;
  await gw.event('group.v2.join', d => d.groupId === id);
  await gw.send(me.id, id, 'hello club');
  await a.message('hello club');
  await b.message('hello club');

  await a.sock.groupUpdateSubject(id, 'Reading club');
  const s = await gw.event('group.v2.update', d => d.groupId === id && d.updates.subject === 'Reading club');
  assert.equal(s.data.updatedBy, pn(a.phone));
  const chats = await gw.ok('GET', `/api/chats/${me.id}`);
  assert.equal(chats.find(c => c.id === id).name, 'Reading club');
  await a.sock.groupUpdateDescription(id, 'We read');
  await gw.event('group.v2.update', d => d.groupId === id && d.updates.desc === 'We read');
  assert.equal((await b.sock.groupMetadata(id)).desc, 'We read');
  await a.sock.groupParticipantsUpdate(id, [b.lidUser], 'promote');
  await gw.event('group.v2.participants', d => d.groupId === id && d.action === 'promote' && d.participants.includes(pn(b.phone)));
  await b.sock.groupParticipantsUpdate(id, [pn(mia.phone)], 'add');
  await gw.event('group.v2.join', d => d.groupId === id && d.participants.includes(mia.jid));

  await a.sock.groupSettingUpdate(id, 'announcement');
  await gw.event('group.v2.update', d => d.groupId === id && d.updates.announce === true);
  const r = await gw.call('POST', '/api/message/send/text', { instanceId: me.id, to: id, message: 'not an admin' });
  assert.ok(r.status >= 400, `refused, not ${r.status}`);
  const m = await b.send(id, 'an admin');
  await received(m.key.id);
  await a.sock.groupSettingUpdate(id, 'not_announcement');
  await gw.event('group.v2.update', d => d.groupId === id && d.updates.announce === false);
  await gw.send(me.id, id, 'may write again');
  await a.message('may write again');
  await a.sock.groupSettingUpdate(id, 'locked');
  await gw.event('group.v2.update', d => d.groupId === id && d.updates.restrict === true);

  // by link, with approval
  const code = await a.sock.groupInviteCode(id);
  assert.equal((await b.sock.groupGetInviteInfo(code)).subject, 'Reading club');
  await a.sock.groupParticipantsUpdate(id, [b.lidUser], 'remove');
  await gw.event('group.v2.leave', d => d.groupId === id && d.participants.includes(pn(b.phone)));
  await a.sock.groupJoinApprovalMode(id, 'on');
  await b.sock.groupAcceptInvite(code);
  const asked = await a.sock.groupRequestParticipantsList(id);
  assert.deepEqual(asked.map(x => x.jid), [b.lidUser]);
  await a.sock.groupRequestParticipantsUpdate(id, [b.lidUser], 'approve');
  await gw.event('group.v2.participants', d => d.groupId === id && d.action === 'add' && d.participants.includes(pn(b.phone)));
  await gw.send(me.id, id, 'welcome back');
  await b.message('welcome back');
  await a.sock.groupRevokeInvite(id);
  await assert.rejects(b.sock.groupGetInviteInfo(code), /gone/);
  const list = await b.sock.groupFetchAllParticipating();
  assert.equal(list[id].participants.length, 4);
});

test('a group that changed its addressing: 421, the metadata is read again and the message sent once more', async () => {
  const g = await walk(['Anna', me.phone], { addressing: 'pn' });
  const first = await gw.send(me.id, g, 'by number');
  await a.message('by number');
  await act(g, 'Mia', 'addressing', { value: 'lid' });
  const t = Date.now();
  const r = await gw.send(me.id, g, 'by LID after 421');
  assert.equal(r.status, 'sent');
  await a.message('by LID after 421');
  assert.ok((await queries(t)).includes('w:g2'));
  const [refused, sent] = await sentBy({ tag: 'message', id: r.messageId, min: 2 });
  assert.equal(refused.attrs.addressing_mode, 'pn');
  assert.equal(sent.attrs.addressing_mode, 'lid');
  assert.ok(receivers(sent).length >= 3);
  const [one] = await sentBy({ tag: 'message', id: first.messageId });
  assert.notEqual(keyId(skmsg(sent)), keyId(skmsg(one)));
  mismatches.push(r.messageId);
  const m = await a.send(g, 'Anna by LID');
  const e = await received(m.key.id);
  assert.equal(e.data.participant, pn(a.phone));
});

test('a phone that echoes answers in the group', async () => {
  await sandbox.post('/mock-user', { name: 'Echo', echo: true });
  const g = await walk(['Echo', 'Anna', me.phone]);
  const r = await gw.send(me.id, g, 'echo this');
  const e = await gw.event('message.received', d => d.chatId === g && d.body === 'echo this');
  assert.notEqual(e.data.messageId, r.messageId);
  assert.equal((await a.message(m => textOf(m) === 'echo this' && m.key.id === e.data.messageId)).key.remoteJid, g);
});

test('who does not let everybody add him is invited', async () => {
  const g = await a.sock.groupCreate('Invitations', [pn(me.phone)]);
  await gw.event('group.v2.join', d => d.groupId === g.id);
  await b.sock.updateGroupsAddPrivacy('contacts');
  const [added] = await a.sock.groupParticipantsUpdate(g.id, [b.lidUser], 'add');
  assert.equal(added.status, '403');
  const { code, expiration } = added.content.content[0].attrs;
  await b.sock.groupAcceptInviteV4(a.lidUser, { groupJid: g.id, inviteCode: code, inviteExpiration: Number(expiration) });
  await b.sock.updateGroupsAddPrivacy('all');
  await gw.event('group.v2.participants', d => d.groupId === g.id && d.action === 'add' && d.participants.includes(pn(b.phone)));
  await gw.send(me.id, g.id, 'invited and here');
  await b.message('invited and here');
});

test('status posts of others arrive, also after damage, and are receipted', async () => {
  const post = text => a.send('status@broadcast', { text }, { statusJidList: [me.lid, b.lidUser] });
  const one = await post('my first status');
  const e = await gw.event('status.received', d => d.messageId === one.key.id);
  assert.equal(e.data.body, 'my first status');
  assert.equal(e.data.participant, pn(a.phone));
  await b.message('my first status');
  const [phone] = await sandbox.inbox(me.phone, { id: one.key.id });
  assert.equal(phone.error, undefined);
  const [n] = await sentBy({ tag: 'receipt', id: one.key.id });
  assert.equal(n.attrs.to, 'status@broadcast');
  assert.equal(n.attrs.participant, a.lid);

  await sandbox.post('/chaos', { device: me.entry.jid, action: 'mangle', tag: 'message', count: 1 });
  const two = await post('my damaged status');
  const d = await gw.event('status.received', x => x.messageId === two.key.id);
  assert.equal(d.data.body, 'my damaged status');
});

test('what came while the gateway was away', async () => {
  const g = await walk(['Anna', 'Bert', me.phone]);
  await gw.send(me.id, g, 'before the break');
  await a.message('before the break');
  await sandbox.post('/reject-login', { device: me.entry.jid, code: 503, count: 1 });
  await sandbox.post('/drop', { device: me.entry.jid, hard: true });
  const m1 = await a.send(g, 'while away 1');
  await act(g, 'Mia', 'remove', { members: ['Bert'] });
  const m2 = await a.send(g, 'while away 2');
  await received(m1.key.id);
  await received(m2.key.id);
  await gw.event('group.v2.leave', d => d.groupId === g && d.participants.includes(pn(b.phone)));
  const r = await gw.send(me.id, g, 'back again');
  await a.message('back again');
  const [node] = await sentBy({ tag: 'message', id: r.messageId });
  assert.equal(receivers(node).some(j => j.startsWith(b.lidUser.split('@')[0])), false);
});

test('200 members: the second and later sends ask nothing', async t => {
  const members = [];
  for (let i = 0; i < 198; i++) {
    const { phone } = await sandbox.post('/mock-user', { phone: String(15570000000 + i), eager: false });
    members.push(phone);
  }
  const g = await walk([...members, me.phone]);
  const time = async text => {
    const t0 = Date.now();
    const r = await gw.send(me.id, g, text);
    assert.equal(r.status, 'sent');
    return { ms: Date.now() - t0, asked: await queries(t0), id: r.messageId };
  };
  const first = await time('to 200: first');
  const [one] = await sentBy({ tag: 'message', id: first.id });
  assert.equal(receivers(one).length, 198 + 1 + 1);
  const more = [];
  for (let i = 2; i <= 6; i++) {
    const n = await time(`to 200: ${i}`);
    assert.deepEqual(n.asked, []);
    more.push(n);
  }
  const [last] = await sentBy({ tag: 'message', id: more.at(-1).id });
  assert.deepEqual(kids(last, 'participants'), []);
  for (const phone of [members[0], members[99], members[197]]) {
    const box = await sandbox.inbox(phone, { chat: g, contains: 'to 200: 6' });
    assert.equal(box[0].error, undefined);
  }

  // with nothing in memory, and a new key for everybody
  gw.child.kill('SIGTERM');
  await gw.gone;
  const old = gw.events.length;
  await gw.run();
  await gw.until(() => gw.events.slice(old).some(e => e.event === 'session.status' && e.data.status === 'connected'), 'connected again');
  const cold = await time('to 200: cold');
  assert.deepEqual(cold.asked, []);
  await act(g, 'Mia', 'remove', { members: [members[0]] });
  await gw.event('group.v2.leave', d => d.groupId === g);
  const rotated = await time('to 199: new key');
  assert.deepEqual(rotated.asked, []);
  const [all] = await sentBy({ tag: 'message', id: rotated.id });
  assert.equal(receivers(all).length, 197 + 1 + 1);
  t.diagnostic(`200 members, after a restart: ${cold.ms} ms, a new key for all: ${rotated.ms} ms`);
  t.diagnostic(`200 members: first send ${first.ms} ms (${first.asked.length} queries), later ${more.map(x => x.ms).join(', ')} ms`);
});

// these lose notifications, which a later login would bring too late: they come last
test('a device that the gateway did not hear of: the ack says so, and the next message is for it too', async () => {
  const g = await walk(['Anna', me.phone]);
  await gw.send(me.id, g, 'lists are known');
  await a.message('lists are known');
  await sandbox.post('/chaos', { device: me.entry.jid, action: 'drop', tag: 'notification', count: 1 });
  const other = new Client(sandbox, 'Anna');
  await other.pairByQr(sandbox, { phone: a.phone });
  try {
    const r = await gw.send(me.id, g, 'not for all');
    const [ack] = await sandbox.nodes(me.entry.jid, { dir: 'out', tag: 'ack', id: r.messageId });
    assert.ok(ack.node.attrs.phash);
    mismatches.push(r.messageId);
    // without the key it asks for the message, and gets it
    await other.message('not for all');
    await gw.send(me.id, g, 'for all');
    await other.message('for all');
    await a.message('for all');
  } finally {
    await sandbox.del('/chaos');
    await sandbox.post('/mock-phone/unlink', { device: other.jid });
    for (const x of [a, b]) x.forgetDevices();
    await other.stop();
  }
});

test('"your groups changed": they are read again, and who is gone without a word gets no key', async () => {
  const g = await walk(['Anna', 'Bert', me.phone]);
  const before = await gw.send(me.id, g, 'Bert reads this');
  await b.message('Bert reads this');
  await sandbox.post('/chaos', { device: me.entry.jid, action: 'drop', tag: 'notification', count: 1 });
  await act(g, 'Mia', 'remove', { members: ['Bert'] });
  await sandbox.del('/chaos?device=' + me.entry.jid);
  await sandbox.post('/send-node', {
    device: me.entry.jid,
    raw: true,
    node: { tag: 'ib', attrs: { from: 's.whatsapp.net' }, content: [{ tag: 'dirty', attrs: { type: 'groups', timestamp: '1767220000' } }] },
  });
  const [clean] = await sentBy({ tag: 'iq', xmlns: 'urn:xmpp:whatsapp:dirty', child: 'clean' });
  assert.equal(clean.content[0].attrs.type, 'groups');
  const r = await gw.send(me.id, g, 'Bert does not');
  await a.message('Bert does not');
  const [one] = await sentBy({ tag: 'message', id: before.messageId });
  const [two] = await sentBy({ tag: 'message', id: r.messageId });
  assert.notEqual(keyId(skmsg(two)), keyId(skmsg(one)));
  assert.equal(receivers(two).some(j => j.startsWith(b.lidUser.split('@')[0])), false);
});

test('--test-group: who links is in it', async () => {
  const other = await Sandbox.start(['--test-group', 'Everybody', '--group-addressing', 'pn']);
  const c = new Client(other, 'Cleo');
  const d = new Client(other, 'Dora');
  try {
    await c.pairByQr(other);
    await d.pairByQr(other);
    const [g] = await other.get('/groups');
    assert.equal(g.subject, 'Everybody');
    assert.equal(g.addressing, 'pn');
    assert.deepEqual(g.participants.map(p => [p.name, p.role]), [['Cleo', 'superadmin'], ['Dora', 'member']]);
    await c.send(g.id, 'hello everybody');
    await d.message('hello everybody');
    await d.send(g.id, 'hello Cleo');
    await c.message('hello Cleo');
  } finally {
    await c.stop();
    await d.stop();
    await other.stop();
  }
});

test('nothing was unhandled, and no protocol mistake was seen', async () => {
  const { unhandled, faults } = await sandbox.complaints();
  assert.deepEqual(unhandled, []);
  // Baileys counts its own LID among the devices that need its key, and in groups it misses new devices for a while
  assert.deepEqual(faults.filter(f => f.device === me.entry.jid || !/bundle of itself|lack the sender key/.test(f.fault))
    .filter(f => !mismatches.some(id => f.fault.includes(id))), []);
});

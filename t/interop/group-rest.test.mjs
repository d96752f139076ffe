// Groups through the front door (contract 3.6): made, read, changed and left
// by REST; Baileys clients and phones see it, and what they do is seen.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client } from './lib.mjs';
import sharp from 'sharp';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, a, b, mia;
const pn = phone => `${phone}@s.whatsapp.net`;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  a = new Client(sandbox, 'Anna');
  b = new Client(sandbox, 'Bert');
  await a.pairByQr(sandbox);
  await b.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
  mia = await sandbox.post('/mock-user', { name: 'Mia', autoReceipt: true });
});
after(async () => {
  for (const c of [a, b]) await c?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const at = (group, rest = '') => `/api/groups/${me.id}/${group}${rest}`;
const fails = async (status, code, method, where, body) => {
  const r = await gw.call(method, where, body);
  assert.equal(r.status, status, JSON.stringify(r.body));
  assert.equal(r.body.code, code);
  return r.body;
};
const ids = g => g.participants.map(p => p.id).sort();
const asked = async since => (await sandbox.get('/nodes', { device: me.entry.jid, dir: 'in', tag: 'iq', xmlns: 'w:g2', since })).length;

test('made with description and settings; members see it; read without a query', async () => {
  const r = await gw.call('POST', `/api/groups/${me.id}`, {
    name: 'Made by REST', participants: [a.phone, pn(b.phone)], description: 'What it is for',
    announcement: true, locked: true, ephemeral: 86400, memberAddMode: 'admin', joinApproval: true,
  });
  assert.equal(r.status, 201, JSON.stringify(r.body));
  const g = r.body.data;
  assert.match(g.id, /@g\.us$/);
  assert.equal(g.subject, 'Made by REST');
  assert.equal(g.name, 'Made by REST');
  assert.equal(g.desc, 'What it is for');
  assert.ok(g.descId);
  assert.equal(g.owner, pn(me.phone));
  assert.equal(g.ownerPn, pn(me.phone));
  assert.ok(g.creation > 1e9);
  assert.equal(g.size, 3);
  assert.equal(g.announce, true);
  assert.equal(g.restrict, true);
  assert.equal(g.ephemeralDuration, 86400);
  assert.equal(g.memberAddMode, false);
  assert.equal(g.joinApprovalMode, true);
  assert.equal(g.isCommunity, false);
  assert.equal(g.addressingMode, 'lid');
  assert.deepEqual(ids(g), [pn(a.phone), pn(b.phone), pn(me.phone)].sort());
  const self = g.participants.find(p => p.id === pn(me.phone));
  assert.equal(self.admin, 'superadmin');
  assert.equal(self.phoneNumber, me.phone);
  assert.equal(self.lid, me.lid);
  assert.equal(g.participants.find(p => p.id === pn(a.phone)).admin, null);

  const meta = await a.sock.groupMetadata(g.id);
  assert.equal(meta.subject, 'Made by REST');
  assert.equal(meta.desc, 'What it is for');
  assert.equal(meta.announce, true);
  assert.equal(meta.ephemeralDuration, 86400);
  assert.equal(meta.joinApprovalMode, true);

  await gw.ok('GET', `/api/groups/${me.id}`);
  const t = Date.now();
  const { creation, ...again } = await gw.ok('GET', at(g.id));
  assert.deepEqual({ creation, ...again }, g);
  assert.deepEqual(await gw.ok('GET', at(g.id.split('@')[0])), g);
  const list = await gw.call('GET', `/api/groups/${me.id}?participants=false`);
  assert.equal(list.body.count, list.body.data.length);
  assert.ok(list.body.data.some(x => x.id === g.id && x.participants === undefined));
  const count = await gw.call('GET', `/api/groups/${me.id}/count`);
  assert.equal(count.body.count, list.body.total);
  assert.equal(count.body.data.count, list.body.total);
  assert.deepEqual(await gw.ok('GET', at(g.id, '/settings')),
    { announcement: true, locked: true, ephemeral: 86400, memberAddMode: 'admin', joinApproval: true });
  const who = await gw.call('GET', at(g.id, '/participants'));
  assert.equal(who.body.count, 3);
  assert.equal(who.body.data.participants.length, 3);
  assert.equal(await asked(t), 0, 'everything from what is known');

  const refreshed = await gw.ok('POST', `/api/groups/${me.id}/refresh`);
  assert.ok(refreshed.some(x => x.id === g.id && x.desc === 'What it is for'));
});

async function made(participants, more = {}) {
  return (await gw.ok('POST', `/api/groups/${me.id}`, { name: 'A group', participants, ...more })).id;
}

test('name, description, settings: ours reach a Baileys member, his reach us', async () => {
  const g = await made([a.phone]);
  await gw.ok('PUT', at(g, '/name'), { name: 'Été 🌞' });
  await a.until(() => a.groupUpdates.some(u => u.id === g && u.subject === 'Été 🌞'), 'subject');
  assert.equal((await gw.ok('GET', at(g))).subject, 'Été 🌞');
  await gw.ok('PUT', at(g, '/subject'), { subject: 'Second' });
  for (const description of ['one', 'two', '']) {
    await gw.ok('PUT', at(g, '/description'), { description });
    assert.equal((await gw.ok('GET', at(g))).desc, description || null);
    assert.equal((await a.sock.groupMetadata(g)).desc, description || undefined);
  }
  assert.deepEqual(await gw.ok('PUT', at(g, '/settings'),
    { announcement: true, locked: true, ephemeral: 604800, memberAddMode: 'admin', joinApproval: true }),
  { announcement: true, locked: true, ephemeral: 604800, memberAddMode: 'admin', joinApproval: true });
  let meta = await a.sock.groupMetadata(g);
  assert.equal(meta.announce && meta.restrict && meta.joinApprovalMode && !meta.memberAddMode, true);
  assert.equal(meta.ephemeralDuration, 604800);
  assert.deepEqual(await gw.ok('PUT', at(g, '/settings/security/messages-admin-only'), { announce: false }), { announce: false });
  assert.deepEqual(await gw.ok('PUT', at(g, '/settings/security/info-admin-only'), { restrict: false }), { restrict: false });
  assert.deepEqual(await gw.ok('GET', at(g, '/settings/security/messages-admin-only')), { announce: false });
  assert.deepEqual(await gw.ok('GET', at(g, '/settings/security/info-admin-only')), { restrict: false });
  await gw.ok('PUT', at(g, '/settings'), { ephemeral: 0 });
  meta = await a.sock.groupMetadata(g);
  assert.equal(Boolean(meta.ephemeralDuration), false);

  await a.sock.groupUpdateSubject(g, 'By Anna');
  await gw.event('group.v2.update', d => d.groupId === g && d.updates.subject === 'By Anna' && d.updatedBy === pn(a.phone));
  assert.equal((await gw.ok('GET', at(g))).subject, 'By Anna');
  await a.sock.groupUpdateDescription(g, 'Said Anna');
  await gw.event('group.v2.update', d => d.groupId === g && d.updates.desc === 'Said Anna');
  const now = await gw.ok('GET', at(g));
  assert.equal(now.desc, 'Said Anna');
  assert.equal(now.descOwner, pn(a.phone));
  // over his: prev is named, else WhatsApp refuses
  await gw.ok('PUT', at(g, '/description'), { description: 'Said we' });
  assert.equal((await a.sock.groupMetadata(g)).desc, 'Said we');
});

test('members: added, refused, promoted, demoted, removed', async () => {
  const g = await made([a.phone]);
  await b.sock.updateGroupsAddPrivacy('contacts');
  const added = await gw.ok('POST', at(g, '/participants'), { participants: [mia.phone, b.phone, a.phone, '15550000000009'] });
  assert.deepEqual(added.map(x => x.status), ['200', '403', '409', '404']);
  assert.deepEqual(added.map(x => x.jid), [mia.phone, b.phone, a.phone, '15550000000009'].map(pn));
  assert.equal(added[0].lid, mia.lid);
  assert.ok(added[1].inviteCode && added[1].inviteExpiration > 1e9 && added[1].error);
  await b.sock.updateGroupsAddPrivacy('all');
  assert.equal((await gw.ok('POST', at(g, '/participants/add'), { participants: [b.phone] }))[0].status, '200');
  assert.deepEqual(ids(await gw.ok('GET', at(g))), [a.phone, b.phone, mia.phone, me.phone].map(pn).sort());
  assert.equal((await gw.ok('POST', at(g, '/promote'), { participants: [a.phone] }))[0].status, '200');
  assert.equal((await gw.ok('POST', at(g, '/admin/promote'), { participants: [b.lid.replace(/:\d+@/, '@')] }))[0].status, '200');
  const admin = async who => (await gw.ok('GET', at(g))).participants.find(p => p.id === pn(who)).admin;
  assert.equal(await admin(a.phone), 'admin');
  assert.equal(await admin(b.phone), 'admin');
  await gw.ok('POST', at(g, '/demote'), { participants: [a.phone] });
  await gw.ok('POST', at(g, '/admin/demote'), { participants: [b.phone] });
  assert.equal(await admin(a.phone), null);
  assert.equal((await gw.ok('DELETE', at(g, '/participants'), { participants: [b.phone] }))[0].status, '200');
  assert.equal((await gw.ok('DELETE', at(g, `/participants?participants=${mia.phone}`)))[0].status, '200');
  assert.deepEqual(ids(await gw.ok('GET', at(g))), [a.phone, me.phone].map(pn).sort());
  // the removed cannot read what comes next
  const r = await gw.send(me.id, g, 'after the removal');
  await a.message('after the removal');
  assert.equal((await sandbox.inbox('Mia', { id: r.messageId, wait: 0 })).length, 0);

  const csv = await gw.call('GET', at(g, '/participants/export'));
  assert.match(csv.headers['content-type'], /text\/csv/);
  const lines = csv.body.toString().trim().split('\r\n');
  assert.equal(lines[0], 'id,lid,phoneNumber,admin');
  assert.equal(lines.length, 3);
  assert.ok(lines.some(l => l === `"${pn(me.phone)}","${me.lid}","${me.phone}","superadmin"`), csv.body.toString());
});

test('by invitation: code, preview, join, approval, revoked', async () => {
  const g = await made([]);
  const { inviteCode, inviteUrl } = await gw.ok('GET', at(g, '/invite-code'));
  assert.equal(inviteUrl, `https://chat.whatsapp.com/${inviteCode}`);
  assert.equal(await a.sock.groupAcceptInvite(inviteCode), g);
  await gw.event('group.v2.participants', d => d.groupId === g && d.action === 'add' && d.participants.includes(pn(a.phone)));

  await gw.ok('PUT', at(g, '/settings'), { joinApproval: true });
  await b.sock.groupAcceptInvite(inviteCode);
  await gw.event('group.join.request', d => d.groupId === g && d.jid === pn(b.phone) && d.action === 'requested');
  const waiting = await gw.call('GET', at(g, '/requests'));
  assert.equal(waiting.body.count, 1);
  assert.equal(waiting.body.data[0].jid, pn(b.phone));
  assert.equal(waiting.body.data[0].via, 'invite_link');
  assert.ok(Date.parse(waiting.body.data[0].requestedAt) > 0);
  assert.equal((await gw.ok('POST', at(g, '/requests/approve'), { participants: [b.phone] }))[0].status, '200');
  await gw.event('group.v2.participants', d => d.groupId === g && d.action === 'add' && d.participants.includes(pn(b.phone)));
  assert.equal((await gw.ok('POST', at(g, '/requests/reject'), { participants: [mia.phone] }))[0].status, '404');

  const fresh = await gw.ok('POST', at(g, '/revoke-invite'));
  assert.notEqual(fresh.inviteCode, inviteCode);
  assert.notEqual((await gw.ok('POST', at(g, '/invite-code/revoke'))).inviteCode, fresh.inviteCode);

  const theirs = await a.sock.groupCreate('Of Anna', []);
  const code = await a.sock.groupInviteCode(theirs.id);
  const look = await gw.ok('GET', `/api/groups/${me.id}/join-info?code=${encodeURIComponent(`https://chat.whatsapp.com/${code}?x=1`)}`);
  assert.equal(look.id, theirs.id);
  assert.equal(look.subject, 'Of Anna');
  assert.equal(look.size, 1);
  assert.equal(look.owner, pn(a.phone));
  assert.deepEqual(await gw.ok('POST', `/api/groups/${me.id}/join`, { code }), { groupId: theirs.id, pending: false });
  assert.equal((await gw.ok('GET', at(theirs.id))).participants.length, 2);
  await a.sock.groupRevokeInvite(theirs.id);
  await fails(410, 'INVITE_REVOKED', 'POST', `/api/groups/${me.id}/accept-invite`, { inviteCode: code });
});

test('by invite message, both directions', async () => {
  // we are not to be added: Anna sends an invite instead, and we take it
  await gw.ok('PUT', `/api/profile/${me.id}/privacy`, { groupAdd: 'contact_blacklist' });
  const theirs = await a.sock.groupCreate('Of Anna, by message', []);
  const [refused] = await a.sock.groupParticipantsUpdate(theirs.id, [pn(me.phone)], 'add');
  assert.equal(refused.status, '403');
  const request = refused.content.content.find(c => c.tag === 'add_request').attrs;
  await a.sock.relayMessage(pn(me.phone), { groupInviteMessage: { groupJid: theirs.id, groupName: 'Of Anna, by message',
    inviteCode: request.code, inviteExpiration: Number(request.expiration), caption: 'Come in' } }, {});
  const { data } = await gw.until(() => gw.events.find(e => e.event === 'message.received' && e.data.type === 'group_invite'), 'invite');
  assert.equal(data.body, 'Come in');
  assert.deepEqual(await gw.ok('POST', `/api/groups/${me.id}/accept-invite-message`, { messageId: data.messageId }),
    { groupId: theirs.id, pending: false });
  assert.ok(ids(await gw.ok('GET', at(theirs.id))).includes(pn(me.phone)));
  await gw.ok('PUT', `/api/profile/${me.id}/privacy`, { groupAdd: 'all' });

  // Bert does not want to be added: he gets a message, Mia is added at once
  await b.sock.updateGroupsAddPrivacy('contacts');
  const g = await made([a.phone], {});
  const r = await gw.call('POST', at(g, '/invite'), { participants: [b.phone, mia.phone], message: 'Please join' });
  assert.equal(r.body.count, 2);
  const [bert, second] = r.body.data;
  assert.equal(bert.status, '403');
  assert.equal(bert.invited, true);
  assert.ok(bert.messageId && bert.inviteCode);
  assert.equal(second.status, '200');
  assert.equal(second.invited, undefined);
  const got = await b.message(m => m.message?.groupInviteMessage?.inviteCode === bert.inviteCode, 'the invite');
  assert.equal(got.message.groupInviteMessage.groupJid, g);
  assert.equal(got.message.groupInviteMessage.groupName, 'A group');
  assert.equal(got.message.groupInviteMessage.caption, 'Please join');
  await b.sock.groupAcceptInviteV4(pn(me.phone), got.message.groupInviteMessage);
  await gw.event('group.v2.participants', d => d.groupId === g && d.participants.includes(pn(b.phone)));
  await b.sock.updateGroupsAddPrivacy('all');
});

test('made with a picture; a bad one is told before anything is made; pictures of groups that are not there', async () => {
  const jpeg = (await sharp({ create: { width: 90, height: 60, channels: 3, background: '#3a7' } }).jpeg().toBuffer()).toString('base64');
  const r = await gw.call('POST', `/api/groups/${me.id}`, { name: 'With a picture', participants: [a.phone], pictureBase64: jpeg });
  assert.equal(r.status, 201, JSON.stringify(r.body));
  assert.equal(r.body.message, 'Group created successfully');
  assert.equal(r.body.note, undefined);
  assert.equal(r.body.data.subject, 'With a picture');
  assert.ok((await gw.ok('GET', at(r.body.data.id, '/picture'))).pictureUrl);
  const before = (await gw.ok('GET', `/api/groups/${me.id}/count`)).count;
  await fails(415, 'UNSUPPORTED_MEDIA', 'POST', `/api/groups/${me.id}`,
    { name: 'Without', participants: [], picture: { base64: Buffer.from('no picture').toString('base64') } });
  assert.equal((await gw.ok('GET', `/api/groups/${me.id}/count`)).count, before);
  await fails(404, 'GROUP_NOT_FOUND', 'PUT', at('120363999999999999@g.us', '/picture'), { imageBase64: jpeg });
  await fails(404, 'GROUP_NOT_FOUND', 'DELETE', at('120363999999999999@g.us', '/picture'));
});

test('leaving and ending', async () => {
  const g = await made([a.phone, b.phone]);
  await gw.send(me.id, g, 'soon over');
  await gw.ok('DELETE', at(g));
  await a.until(() => a.memberUpdates.some(u => u.id === g && u.action === 'remove'), 'removal');
  assert.ok(!(await gw.ok('GET', `/api/groups/${me.id}`)).some(x => x.id === g));
  await fails(404, 'CHAT_NOT_FOUND', 'GET', `/api/chats/${me.id}/${g}`);

  const theirs = await a.sock.groupCreate('Of Anna, left', [pn(me.phone)]);
  await gw.event('group.v2.join', d => d.groupId === theirs.id);
  await fails(403, 'WA_FORBIDDEN', 'DELETE', at(theirs.id));
  await gw.ok('POST', at(theirs.id, '/leave'));
  await fails(403, 'WA_FORBIDDEN', 'GET', at(theirs.id));
  assert.ok(!(await gw.ok('GET', `/api/groups/${me.id}`)).some(x => x.id === theirs.id));
});

test('messages below the group', async () => {
  const g = await made([a.phone]);
  const r = await gw.ok('POST', at(g.split('@')[0], '/message'), { message: 'below the group', ref: 'r1' });
  assert.equal(r.status, 'sent');
  assert.equal(r.chatId, g);
  assert.equal(r.ref, 'r1');
  assert.equal((await a.message('below the group')).key.remoteJid, g);
  const at2 = await gw.ok('POST', at(g, '/message'), { type: 'location', latitude: 0, longitude: 12.5, name: 'Somewhere' });
  const got = await a.message(m => m.message?.locationMessage && m.key.id === at2.messageId, 'location');
  assert.equal(got.message.locationMessage.degreesLongitude, 12.5);
  await fails(400, 'VALIDATION_FAILED', 'POST', at(g, '/message'), {});
});

test('bad input', async () => {
  const g = await made([]);
  await fails(400, 'VALIDATION_FAILED', 'POST', `/api/groups/${me.id}`, { participants: [] });
  await fails(400, 'VALIDATION_FAILED', 'POST', `/api/groups/${me.id}`, { name: 'x'.repeat(101), participants: [] });
  await fails(400, 'INVALID_JID', 'POST', `/api/groups/${me.id}`, { name: 'x', participants: ['nobody'] });
  await fails(400, 'VALIDATION_FAILED', 'POST', `/api/groups/${me.id}`, { name: 'x', participants: [], ephemeral: 5 });
  await fails(400, 'VALIDATION_FAILED', 'PUT', at(g, '/settings'), {});
  await fails(400, 'VALIDATION_FAILED', 'POST', at(g, '/participants'), { participants: [] });
  await fails(400, 'INVALID_JID', 'GET', at('4912345@s.whatsapp.net'));
  await fails(404, 'GROUP_NOT_FOUND', 'GET', at('120363999999999999'));
  await fails(400, 'VALIDATION_FAILED', 'POST', `/api/groups/${me.id}/join`, { code: 'no code' });
  await fails(400, 'VALIDATION_FAILED', 'GET', `/api/groups/${me.id}/join-info`);
  await fails(404, 'MESSAGE_NOT_FOUND', 'POST', `/api/groups/${me.id}/accept-invite-message`, { messageId: 'NOPE' });
});

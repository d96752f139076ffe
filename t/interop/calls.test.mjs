// Calls: events, log, declining by REST and by setting; the groups' and chats' timers ride along with real clients.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, bea, user;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  bea = new Client(sandbox, 'Bea');
  await bea.pairByQr(sandbox);
  me = await gw.pairByQr('Mia');
  user = await sandbox.post('/mock-user', { name: 'Caller' });
});

after(async () => {
  await bea?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const call = (more = {}) => sandbox.post('/mock-user/call', { from: user.phone, to: me.phone, ...more });
const log = async (query = '') => gw.ok('GET', `/api/calls/${me.id}${query}`);
const refusals = async id => (await sandbox.get(`/nodes?device=${me.phone}&dir=in&tag=call`)).filter(n => n.node.content[0].attrs['call-id'] === id);

async function fails(status, code, method, where, body) {
  const r = await gw.call(method, where, body);
  assert.equal(r.status, status, JSON.stringify(r.body));
  assert.equal(r.body.code, code);
}

test('a call comes in, is answered elsewhere, ends', async () => {
  assert.deepEqual(await log(), []);
  const { id } = await call({ video: true });
  const { data } = await gw.event('call.received', d => d.callId === id);
  assert.equal(data.from, user.jid);
  assert.equal(data.fromName, 'Caller');
  assert.deepEqual([data.isVideo, data.isGroup], [true, false]);
  assert.match(data.timestamp, /^\d{4}-\d\d-\d\dT.*Z$/);
  let [first] = await log();
  assert.deepEqual([first.callId, first.from, first.status, first.isVideo, first.endedAt], [id, user.jid, 'ringing', true, null]);

  await call({ id, action: 'accept' });
  const taken = await gw.event('call.accepted', d => d.callId === id);
  assert.deepEqual([taken.data.from, taken.data.fromName, taken.data.isVideo], [user.jid, 'Caller', true]);
  await call({ id, action: 'terminate' });
  const missed = await call();
  await gw.event('call.received', d => d.callId === missed.id);
  await call({ id: missed.id, action: 'timeout' });
  const over = await gw.event('call.rejected', d => d.callId === missed.id);
  assert.deepEqual([over.data.reason, over.data.from, over.data.isVideo], ['timeout', user.jid, false]);
  assert.deepEqual((await log()).map(c => [c.callId, c.status, c.reason]), [[missed.id, 'missed', 'timeout'], [id, 'ended', null]]);
  assert.deepEqual((await log('?limit=1')).map(c => c.callId), [missed.id]);
  assert.deepEqual(await sandbox.get(`/pending?device=${me.phone}`), [], 'every stanza was acknowledged');
  // an offer that is told twice is one call
  assert.equal(gw.events.filter(e => e.event === 'call.received' && e.data.callId === id).length, 1);
});

test('the caller hangs up; a group call', async () => {
  const { id } = await call({ group: true });
  const { data } = await gw.event('call.received', d => d.callId === id);
  assert.deepEqual([data.isGroup, data.isVideo], [true, false]);
  await call({ id, action: 'terminate' });
  assert.equal((await gw.event('call.rejected', d => d.callId === id)).data.reason, 'terminate');
  const other = await call();
  await call({ id: other.id, action: 'terminate', reason: 'accepted_elsewhere' });
  assert.equal((await gw.event('call.rejected', d => d.callId === other.id)).data.reason, 'elsewhere');
});

test('declined by REST', async () => {
  const { id } = await call();
  await gw.event('call.received', d => d.callId === id);
  assert.deepEqual(await gw.ok('POST', `/api/calls/${me.id}/reject`, { callId: id, from: user.phone }), {});
  assert.equal((await gw.event('call.rejected', d => d.callId === id)).data.reason, 'reject');
  const [sent] = await refusals(id);
  assert.equal(sent.node.attrs.to, user.lid);
  assert.equal(sent.node.content[0].tag, 'reject');
  assert.equal(sent.node.content[0].attrs['call-creator'], user.lid);
  assert.equal(sent.node.content[0].attrs.count, '0');
  const heard = (await sandbox.get(`/mock-phone/events?phone=${user.phone}`)).filter(e => e.type === 'call');
  assert.deepEqual([heard.at(-1).action, heard.at(-1).callId], ['reject', id]);
  // unknown: sent all the same
  await gw.ok('POST', `/api/calls/${me.id}/reject`, { callId: 'NEVERSEEN', from: user.phone });
  assert.equal((await refusals('NEVERSEEN')).length, 1);
  await fails(400, 'VALIDATION_FAILED', 'POST', `/api/calls/${me.id}/reject`, { from: user.phone });
  await fails(400, 'VALIDATION_FAILED', 'POST', `/api/calls/${me.id}/reject`, { callId: id });
  await fails(400, 'INVALID_JID', 'POST', `/api/calls/${me.id}/reject`, { callId: id, from: 'nobody' });
});

test('a real client declines: we hear of it, and it of us', async () => {
  const calls = [];
  bea.sock.ev.on('call', c => { calls.push(...c); bea.emit('change'); });
  const { id } = await sandbox.post('/mock-user/call', { from: user.phone, to: bea.phone });
  await bea.until(() => calls.some(c => c.id === id && c.status === 'offer'), 'offer');
  await bea.sock.rejectCall(id, user.lid);
  const heard = (await sandbox.get(`/mock-phone/events?phone=${user.phone}`)).filter(e => e.type === 'call');
  assert.deepEqual([heard.at(-1).action, heard.at(-1).callId], ['reject', id]);
});

test('settings decline by themselves, with one text', async () => {
  const text = 'No calls here, please write.';
  await gw.ok('PUT', `/api/instance/${me.id}`, { settings: { rejectCalls: true, rejectCallMessage: text } });
  const { id } = await call();
  assert.equal((await gw.event('call.rejected', d => d.callId === id)).data.reason, 'reject');
  assert.equal((await refusals(id)).length, 1);
  const inbox = await sandbox.get(`/mock-phone/inbox?phone=${user.phone}&contains=please&wait=20000`);
  assert.equal(inbox.length, 1);
  await call({ id, action: 'offer_notice' });
  const second = await call();
  await gw.event('call.rejected', d => d.callId === second.id);
  await gw.until(() => gw.events.filter(e => e.event === 'message.sent' && e.data.body === text).length === 2, 'second text');
  assert.equal((await refusals(id)).length, 1, 'the same call is declined once');
  assert.equal((await sandbox.get(`/mock-phone/inbox?phone=${user.phone}&contains=please`)).length, 2, 'one text for each call');
  await gw.ok('PUT', `/api/instance/${me.id}`, { settings: { rejectCalls: false, rejectCallMessage: '' } });
  const third = await call();
  await gw.event('call.received', d => d.callId === third.id);
  assert.equal((await refusals(third.id)).length, 0);
});

test('the log is still there after the owner was killed', async () => {
  const before = await log();
  const connects = gw.events.filter(e => e.event === 'session.status' && e.data.status === 'connected').length;
  process.kill(gw.owner(), 'SIGKILL');
  await gw.until(() => gw.events.filter(e => e.event === 'session.status' && e.data.status === 'connected').length > connects, 'login');
  assert.deepEqual(await log(), before);
  assert.deepEqual(await sandbox.get('/unhandled'), []);
  assert.deepEqual(await sandbox.get(`/faults?device=${me.phone}`), []);
});

test('the timer of a group by the call of chats', async () => {
  const group = await bea.sock.groupCreate('Timers', [`${me.phone}@s.whatsapp.net`]);
  await gw.event('group.v2.join', d => d.groupId === group.id);
  await bea.sock.groupParticipantsUpdate(group.id, [me.lid], 'promote');
  const r = await gw.call('PUT', `/api/chats/${me.id}/${group.id}/ephemeral`, { expiration: 604800 });
  assert.deepEqual([r.status, r.body.data], [200, { chatId: group.id, ephemeral: 604800 }]);
  assert.equal((await bea.sock.groupMetadata(group.id)).ephemeralDuration, 604800);
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${group.id}`)).ephemeral, 604800);
  await bea.sock.groupToggleEphemeral(group.id, 0);
  await gw.event('group.v2.update', d => d.groupId === group.id && d.updates.ephemeral === 0);
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${group.id}`)).ephemeral, 0);
  await fails(400, 'VALIDATION_FAILED', 'PUT', `/api/chats/${me.id}/${group.id}/ephemeral`, { expiration: 5 });
});

test('the picture of a group', async () => {
  const { default: sharp } = await import('sharp');
  const group = await bea.sock.groupCreate('Pictures', [`${me.phone}@s.whatsapp.net`]);
  await gw.event('group.v2.join', d => d.groupId === group.id);
  const at = `/api/groups/${me.id}/${group.id}/picture`;
  assert.deepEqual(await gw.ok('GET', at), { pictureUrl: null });
  const image = (await sharp({ create: { width: 900, height: 700, channels: 3, background: '#a31' } }).jpeg().toBuffer()).toString('base64');
  const set = await gw.call('PUT', at, { image });
  assert.equal(set.status, 200, JSON.stringify(set.body));
  assert.ok(set.body.data.pictureId);
  await gw.event('group.v2.update', d => d.groupId === group.id && d.updates.picture === 'changed');
  const { pictureUrl } = await gw.ok('GET', at);
  assert.equal(await bea.sock.profilePictureUrl(group.id, 'image'), pictureUrl);
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${group.id}/picture`)).pictureUrl, pictureUrl);
  await bea.sock.removeProfilePicture(group.id);
  await gw.event('group.v2.update', d => d.groupId === group.id && d.updates.picture === 'removed');
  assert.deepEqual(await gw.ok('GET', at), { pictureUrl: null });
  await gw.ok('DELETE', at);
});

// Presence and typing: what a real client and a mock user show, as REST and as events.

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
  user = await sandbox.post('/mock-user', { name: 'Mock' });
});

after(async () => {
  await bea?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const at = (where = '') => `/api/presence/${me.id}${where}`;

async function fails(status, code, method, where, body) {
  const r = await gw.call(method, where, body);
  assert.equal(r.status, status, JSON.stringify(r.body));
  assert.equal(r.body.code, code);
}

test('nothing is known before anything came', async () => {
  const r = await gw.call('GET', at());
  assert.deepEqual([r.status, r.body.data, r.body.count], [200, {}, 0]);
});

test('asking subscribes, and waits for the first news', async () => {
  assert.deepEqual(await gw.ok('GET', at(`/${bea.phone}?wait=20000`)), { chatId: bea.pnUser, presence: 'available', lastSeen: null });
  const [asked] = await sandbox.get(`/nodes?device=${me.phone}&dir=in&tag=presence&type=subscribe`);
  assert.equal(asked.node.attrs.to, bea.pnUser, 'the LID is not known yet');
  await gw.event('presence.update', d => d.jid === bea.pnUser && d.presence === 'available' && d.lastSeen === null);

  await bea.sock.sendPresenceUpdate('unavailable');
  const away = await gw.event('presence.update', d => d.jid === bea.pnUser && d.presence === 'unavailable');
  assert.match(away.data.lastSeen, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const known = await gw.ok('GET', at(`/${bea.lidUser}`));
  assert.deepEqual(known, { chatId: bea.pnUser, presence: 'unavailable', lastSeen: away.data.lastSeen });
  await bea.sock.sendPresenceUpdate('available');

  const all = await gw.call('GET', at());
  assert.equal(all.body.count, 1);
  assert.deepEqual(Object.keys(all.body.data), [bea.pnUser]);
  assert.deepEqual(Object.keys(all.body.data[bea.pnUser]).sort(), ['lastSeen', 'presence', 'updatedAt']);
  // known: no second subscription
  assert.equal((await sandbox.get(`/nodes?device=${me.phone}&dir=in&tag=presence&type=subscribe`)).length, 1);
});

test('typing of a real client', async () => {
  await bea.sock.sendPresenceUpdate('composing', me.lid);
  await gw.event('presence.update', d => d.jid === bea.pnUser && d.presence === 'composing');
  assert.equal((await gw.ok('GET', at(`/${bea.phone}`))).presence, 'composing');
  await bea.sock.sendPresenceUpdate('recording', me.lid);
  await gw.event('presence.update', d => d.jid === bea.pnUser && d.presence === 'recording');
  await bea.sock.sendPresenceUpdate('paused', me.lid);
  await gw.event('presence.update', d => d.jid === bea.pnUser && d.presence === 'paused');
});

test('subscribing on purpose; hidden last seen; nothing comes', async () => {
  assert.deepEqual(await gw.ok('POST', at(`/${user.phone}/subscribe`)), { chatId: user.jid });
  await gw.event('presence.update', d => d.jid === user.jid && d.presence === 'unavailable');
  await sandbox.post('/mock-user/presence', { from: user.phone, presence: 'unavailable', lastSeen: 1767220000 });
  await gw.event('presence.update', d => d.jid === user.jid && d.lastSeen === '2025-12-31T22:26:40.000Z');
  await sandbox.post('/mock-user/privacy', { from: user.phone, privacy: { last: 'none' } });
  const seen = gw.events.length;
  await sandbox.post('/mock-user/presence', { from: user.phone, presence: 'unavailable' });
  await gw.until(() => gw.events.slice(seen).find(e => e.event === 'presence.update' && e.data.jid === user.jid && e.data.lastSeen === null),
    'hidden last seen');
  await sandbox.post('/mock-user/presence', { from: user.phone, to: me.phone, presence: 'recording' });
  await gw.event('presence.update', d => d.jid === user.jid && d.presence === 'recording');
  assert.deepEqual(await gw.ok('GET', at('/4999999999999?wait=0')), { chatId: '4999999999999@s.whatsapp.net', presence: null, lastSeen: null });
});

test('what a real client sees of us', async () => {
  await bea.sock.presenceSubscribe(me.lid);
  assert.deepEqual(await gw.ok('POST', at(), { presence: 'available' }), { presence: 'available' });
  await bea.until(() => bea.presences.some(p => Object.values(p.presences).some(x => x.lastKnownPresence === 'available')), 'available');
  await gw.ok('POST', at(), { presence: 'composing', chatId: bea.phone });
  await bea.until(() => bea.presences.some(p => Object.values(p.presences).some(x => x.lastKnownPresence === 'composing')), 'composing');
  await gw.ok('POST', at(), { presence: 'recording', chatId: bea.phone });
  await bea.until(() => bea.presences.some(p => Object.values(p.presences).some(x => x.lastKnownPresence === 'recording')), 'recording');
  await gw.ok('POST', at(), { presence: 'unavailable' });
  await bea.until(() => bea.presences.some(p => Object.values(p.presences).some(x => x.lastKnownPresence === 'unavailable')), 'unavailable');
});

test('subscriptions come back after a reconnect', async () => {
  const before = (await sandbox.get(`/nodes?device=${me.phone}&dir=in&tag=presence&type=subscribe`)).length;
  await sandbox.post('/drop', { device: me.phone });
  const again = await sandbox.get(`/nodes?device=${me.phone}&dir=in&tag=presence&type=subscribe&min=${before + 3}&wait=20000`);
  assert.ok(again.slice(before).some(n => n.node.attrs.to === `${bea.phone}@s.whatsapp.net`));
});

test('bad input', async () => {
  await fails(400, 'INVALID_JID', 'GET', at('/what is this'.replaceAll(' ', '%20')));
  await fails(400, 'VALIDATION_FAILED', 'GET', at(`/${bea.phone}?wait=99999999`));
  await fails(400, 'VALIDATION_FAILED', 'POST', at(), { presence: 'asleep' });
  await fails(400, 'VALIDATION_FAILED', 'POST', at(), { presence: 'composing' });
  const { id } = await gw.create('Off');
  await fails(409, 'INSTANCE_NOT_CONNECTED', 'GET', `/api/presence/${id}/${bea.phone}`);
  await fails(409, 'INSTANCE_NOT_CONNECTED', 'POST', `/api/presence/${id}/${bea.phone}/subscribe`);
  assert.deepEqual(await gw.ok('GET', `/api/presence/${id}`), {});
  assert.deepEqual(await sandbox.get('/unhandled'), []);
});

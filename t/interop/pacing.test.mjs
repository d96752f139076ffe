// Pacing, settings, figures and webhooks of an instance, seen from outside.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox } from './lib.mjs';
import { Gateway } from './gateway.mjs';

const opts = { timeout: 120000 };
let sandbox, gw, me, ann, bob;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  me = await gw.pairByQr('Paced');
  [ann, bob] = [await sandbox.post('/mock-user', { name: 'Ann' }), await sandbox.post('/mock-user', { name: 'Bob' })];
  await gw.send(me.id, ann.phone, 'hello');
}, opts);
after(async () => {
  await gw?.stop();
  await sandbox?.stop();
});

const limits = body => gw.ok('PUT', `/api/rate-limit/${me.id}`, body);
const text = (to, message, more = {}) => gw.call('POST', '/api/message/send/text', { instanceId: me.id, to: to.phone, message, ...more });
const off = { perMinute: null, perHour: null, perDay: null, burst: null, newChatsPerDay: null, minDelayMs: null, jitterMs: null, maxQueue: null, warmup: null };

async function texts(user) {
  const inbox = await sandbox.get('/mock-phone/inbox', { phone: user.phone });
  return inbox.map(m => m.message?.conversation ?? m.message?.extendedTextMessage?.text);
}

test('off by default; wrong limits are refused', opts, async () => {
  const l = await gw.ok('GET', `/api/rate-limit/${me.id}`);
  assert.deepEqual([l.perMinute, l.perHour, l.perDay, l.burst, l.newChatsPerDay, l.minDelayMs, l.jitterMs], Array(7).fill(null));
  assert.deepEqual([l.warmup, l.used], [{ enabled: false, day: 1, factor: 1 }, { minute: 0, hour: 0, day: 0, newChats: 0 }]);
  assert.equal(l.resetAt, null);
  for (const [body, field] of [[{ perMinute: 'x' }, 'perMinute'], [{ perHour: 0 }, 'perHour'], [{ jitterMs: -1 }, 'jitterMs'], [{ warmup: 'yes' }, 'warmup']]) {
    const r = await gw.call('PUT', `/api/rate-limit/${me.id}`, body);
    assert.deepEqual([r.status, r.body.code, r.body.details.fields[0].field], [400, 'VALIDATION_FAILED', field]);
  }
});

test('a send waits its turn, and its caller with it; a long wait is 202; a full queue 429', opts, async () => {
  assert.equal((await limits({ minDelayMs: 150 })).minDelayMs, 150);
  const all = await Promise.all([1, 2, 3, 4].map(n => text(ann, `delayed ${n}`, { ref: `r${n}` })));
  assert.deepEqual(all.map(r => [r.status, r.body.data.status]), Array(4).fill([200, 'sent']));
  assert.deepEqual(all.map(r => r.body.data.ref), ['r1', 'r2', 'r3', 'r4']);
  const sent = gw.events.filter(e => e.event === 'message.sent' && /^delayed/.test(e.data.body));
  assert.equal(sent.length, 4);

  await gw.ok('POST', `/api/rate-limit/${me.id}/reset`);
  assert.equal((await limits({ minDelayMs: null, perMinute: 2, maxQueue: 3 })).perMinute, 2);
  assert.equal((await text(ann, 'first')).status, 200);
  assert.equal((await text(ann, 'second')).status, 200);
  const warned = await gw.event('limit.warning', d => d.window === 'minute');
  assert.deepEqual([warned.data.kind, warned.data.used, warned.data.limit], ['pacing', 2, 2]);
  const l = await gw.ok('GET', `/api/rate-limit/${me.id}`);
  assert.deepEqual([l.used.minute, l.perMinute], [2, 2]);
  assert.ok(Date.parse(l.resetAt) > Date.now());
  const later = [];
  for (const n of [1, 2, 3]) later.push(await text(ann, `later ${n}`, { priority: n, async: true }));
  assert.deepEqual(later.map(r => [r.status, r.body.data.status]), Array(3).fill([202, 'queued']));
  const full = await text(ann, 'too many');
  assert.deepEqual([full.status, full.body.code], [429, 'INSTANCE_RATE_LIMITED']);
  assert.ok(full.headers['retry-after']);
  assert.equal((await gw.ok('GET', `/api/queue/${me.id}`)).depth, 3);

  // over a crash, and in the order of the chat
  process.kill(gw.owner(), 'SIGKILL');
  const seen = gw.events.length;
  await gw.until(() => gw.events.slice(seen).some(e => e.event === 'session.status' && e.data.status === 'connected'), 'connected again');
  assert.equal((await gw.ok('GET', `/api/rate-limit/${me.id}`)).perMinute, 2);
  await limits(off);
  for (const r of later) await gw.event('message.sent', d => d.messageId === r.body.data.messageId, 'the queued one');
  assert.deepEqual((await texts(ann)).filter(t => /^later/.test(t)), ['later 1', 'later 2', 'later 3']);
});

test('new chats in a day', opts, async () => {
  await gw.ok('POST', `/api/rate-limit/${me.id}/reset`);
  await limits({ newChatsPerDay: 1 });
  assert.equal((await text(bob, 'new chat')).status, 200);
  const cid = await sandbox.post('/mock-user', { name: 'Cid' });
  const held = await text(cid, 'one too many', { async: true, ref: 'mine' });
  assert.equal(held.status, 202);
  assert.equal((await text(ann, 'known')).status, 200);
  assert.equal((await text(bob, 'known too')).status, 200);
  assert.deepEqual((await gw.ok('GET', `/api/rate-limit/${me.id}`)).used.newChats, 1);
  assert.deepEqual(await texts(cid), []);
  assert.equal((await gw.ok('DELETE', `/api/queue/jobs/${held.body.data.jobId}`)).status, 'cancelled');
  await gw.event('message.failed', d => d.messageId === held.body.data.messageId && d.code === 'CANCELLED' && d.ref === 'mine');
  await limits(off);
});

test('a higher priority goes first, the order within a chat stays', opts, async () => {
  await gw.ok('POST', `/api/queue/${me.id}/pause`);
  const r = [];
  for (const [to, t, priority] of [[ann, 'p a1', 1], [bob, 'p b1', 5], [ann, 'p a2', 9], [bob, 'p b2', 5]]) r.push(await text(to, t, { priority }));
  assert.deepEqual(r.map(x => x.status), [202, 202, 202, 202]);
  await limits({ minDelayMs: 1 });
  const from = gw.events.length;
  await gw.ok('POST', `/api/queue/${me.id}/resume`);
  for (const x of r) await gw.event('message.sent', d => d.messageId === x.body.data.messageId);
  const order = gw.events.slice(from).filter(e => e.event === 'message.sent').sort((a, b) => a.seq - b.seq).map(e => e.data.body);
  assert.deepEqual(order, ['p a1', 'p a2', 'p b1', 'p b2']);
  await limits(off);
});

test('settings: read, changed in part, refused with their field, back to the default', opts, async () => {
  const where = `/api/instance/${me.id}/settings`;
  const before = await gw.ok('GET', where);
  assert.deepEqual([before.ignoreStatus, before.storeMessages, before.retentionDays, before.linkPreview], [true, true, 0, true]);
  const after = await gw.ok('PUT', where, { alwaysOnline: true, retentionDays: 30, rejectCallMessage: 'busy', mediaAutoDownload: 'image' });
  assert.deepEqual(after, { ...before, alwaysOnline: true, retentionDays: 30, rejectCallMessage: 'busy', mediaAutoDownload: 'image' });
  const wrong = { rejectCalls: 'yes', rejectCallMessage: 1, ignoreGroups: 1, ignoreStatus: 'x', ignoreChannels: 0, alwaysOnline: 'on', markReadOnReceive: [], readReceipts: {},
    storeMessages: 'no', storeMedia: 2, mediaAutoDownload: 'video', syncHistory: 'some', linkPreview: 'x', checkNumberBeforeSend: 'x', pacing: 5, retentionDays: 1.5, browser: 'x' };
  for (const [field, value] of Object.entries(wrong)) {
    const r = await gw.call('PUT', where, { [field]: value });
    assert.deepEqual([r.status, r.body.code, r.body.details?.fields?.[0]?.field], [400, 'VALIDATION_FAILED', field], field);
    const p = await gw.call('PATCH', `/api/instance/${me.id}`, { settings: { [field]: value } });
    assert.deepEqual([p.status, p.body.details?.fields?.[0]?.field], [400, `settings.${field}`], field);
  }
  const deep = await gw.call('PUT', where, { pacing: { perMinute: 0 } });
  assert.equal(deep.body.details.fields[0].field, 'pacing.perMinute');
  const patched = await gw.ok('PATCH', `/api/instance/${me.id}`, { name: 'New name', settings: { retentionDays: 7 } });
  assert.deepEqual([patched.name, patched.settings.retentionDays, patched.settings.alwaysOnline], ['New name', 7, true]);
  assert.deepEqual(await gw.ok('PUT', where, { alwaysOnline: null, retentionDays: null, rejectCallMessage: null, mediaAutoDownload: null }), before);
});

test('checkNumberBeforeSend', opts, async () => {
  await gw.ok('PUT', `/api/instance/${me.id}/settings`, { checkNumberBeforeSend: true });
  const r = await gw.call('POST', '/api/message/send/text', { instanceId: me.id, to: '4990000000001', message: 'x' });
  assert.deepEqual([r.status, r.body.code], [422, 'NOT_ON_WHATSAPP']);
  await gw.ok('PUT', `/api/instance/${me.id}/settings`, { checkNumberBeforeSend: false });
});

test('storeMessages off: told, not kept for listings', opts, async () => {
  await gw.ok('PUT', `/api/instance/${me.id}/settings`, { storeMessages: false });
  const n = (await gw.ok('GET', `/api/message/all/${me.id}?limit=500`)).length;
  const sent = await text(ann, 'not kept');
  assert.equal(sent.status, 200);
  await sandbox.post('/mock-user/send', { from: ann.phone, to: me.phone, text: 'not kept either' });
  await gw.event('message.received', d => d.body === 'not kept either');
  const rows = await gw.ok('GET', `/api/message/all/${me.id}?limit=500`);
  assert.equal(rows.length, n);
  assert.ok(!JSON.stringify(await gw.ok('GET', `/api/chats/${me.id}`)).includes('not kept'));
  await gw.ok('PUT', `/api/instance/${me.id}/settings`, { storeMessages: true });
});

test('readReceipts off: read, and not told', opts, async () => {
  await sandbox.post('/mock-user/send', { from: ann.phone, to: me.phone, text: 'seen?' });
  const { data } = await gw.event('message.received', d => d.body === 'seen?');
  await gw.ok('PUT', `/api/instance/${me.id}/settings`, { readReceipts: false });
  await gw.ok('POST', '/api/message/seen', { instanceId: me.id, chatId: ann.phone, messageId: data.messageId });
  const [self] = await sandbox.get('/nodes', { device: me.entry.jid, dir: 'in', tag: 'receipt', id: data.messageId, type: 'read-self', min: 1, wait: 10000 });
  assert.ok(self, 'own devices know');
  assert.deepEqual(await sandbox.get('/nodes', { device: me.entry.jid, dir: 'in', tag: 'receipt', id: data.messageId, type: 'read' }), []);
  await gw.ok('PUT', `/api/instance/${me.id}/settings`, { readReceipts: true });
});

test('figures', opts, async () => {
  const s = await gw.ok('GET', `/api/instance/${me.id}/stats`);
  assert.deepEqual(Object.keys(s).sort(), ['failed', 'memoryBytes', 'queueDepth', 'received', 'reconnects', 'sent', 'uptime']);
  assert.ok(s.sent > 0 && s.received > 0 && s.memoryBytes > 1e6);
  assert.equal(s.queueDepth, 0);
});

test('a webhook is deleted by its id; without one all of the instance', opts, async () => {
  const where = `/api/instance/${me.id}/webhook`;
  const other = await gw.ok('PUT', where, { url: `${gw.hook}/other` });
  assert.equal((await gw.ok('GET', where)).length, 2);
  const no = await gw.call('DELETE', `${where}?id=nonsense`);
  assert.deepEqual([no.status, no.body.code], [404, 'WEBHOOK_NOT_FOUND']);
  assert.deepEqual(await gw.ok('DELETE', where, { id: other.id }), {});
  assert.equal((await gw.ok('GET', where)).length, 1);
  await gw.ok('DELETE', where);
  assert.equal((await gw.ok('GET', where)).length, 0);
});

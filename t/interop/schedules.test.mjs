// Scheduled messages at the front door: at a time, by cron, now; kill -9
// around the due time; waiting for the instance; what may be changed.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox } from './lib.mjs';
import { Gateway } from './gateway.mjs';

const opts = { timeout: 120000 };
const NOBODY = '00000000-0000-4000-8000-000000000000';
let sandbox, gw, me, other, user, second;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  me = await gw.pairByQr('Schedules');
  other = await gw.create('Never linked', { autoConnect: false });
  user = await sandbox.post('/mock-user', { name: 'Punctual' });
  second = await sandbox.post('/mock-user', { name: 'Second' });
}, opts);
after(async () => {
  await gw?.stop();
  await sandbox?.stop();
});

const iso = (ms = 0) => new Date(Date.now() + ms).toISOString();
const HOUR = 3600 * 1000;
const text = message => ({ type: 'text', message });
const call = (body, headers) => gw.call('POST', '/api/schedules', { instanceId: me.id, to: user.phone, ...body }, headers);
async function made(body) {
  const r = await call(body);
  assert.equal(r.status, 201, JSON.stringify(r.body));
  return r.body.data;
}
const get = id => gw.ok('GET', `/api/schedules/${id}`);
const sent = (id, fits = () => true) => gw.event('schedule.sent', d => d.scheduleId === id && fits(d), `schedule.sent of ${id}`);
const failed = id => gw.event('schedule.failed', d => d.scheduleId === id, `schedule.failed of ${id}`);
const wrong = (r, status, code, field) =>
  assert.deepEqual([r.status, r.body.code, r.body.details?.fields?.[0]?.field], [status, code, field], JSON.stringify(r.body));
async function texts(u, t) {
  const ids = new Set();
  for (const m of await sandbox.get('/mock-phone/inbox', { phone: u.phone })) {
    assert.equal(m.error ?? null, null);
    if ((m.message?.conversation ?? m.message?.extendedTextMessage?.text) === t) ids.add(m.id);
  }
  return ids.size;
}

test('due now, and a little while ago: sent once, told, done', opts, async () => {
  const s = await made({ sendAt: iso(), content: text('now') });
  assert.deepEqual([s.instanceId, s.to, s.type, s.content, s.ttl, s.cron], [me.id, `${user.phone}@s.whatsapp.net`, 'text', { message: 'now' }, 86400, undefined]);
  const e = await sent(s.id);
  assert.deepEqual([e.data.to, e.instanceId], [`${user.phone}@s.whatsapp.net`, me.id]);
  assert.ok((await sandbox.get('/mock-phone/inbox', { phone: user.phone })).some(m => m.id === e.data.messageId));
  const end = await get(s.id);
  assert.deepEqual([end.status, end.sent, end.failed, end.runs, end.nextRunAt, end.lastRunAt], ['done', 1, 0, 1, null, s.sendAt]);

  const past = await made({ to: [user.phone, second.phone], sendAt: iso(-30000), content: { type: 'location', latitude: '{{lat}}', longitude: 2 }, variables: { lat: 1.5 } });
  await sent(past.id, d => d.to.startsWith(user.phone));
  await sent(past.id, d => d.to.startsWith(second.phone));
  const m = (await sandbox.get('/mock-phone/inbox', { phone: second.phone })).at(-1).message;
  assert.equal(m.locationMessage.degreesLatitude, 1.5);
  assert.equal((await get(past.id)).sent, 2);
  wrong(await call({ sendAt: iso(-61000), content: text('late') }), 400, 'VALIDATION_FAILED', 'sendAt');
});

test('kill -9 around the due time: each is sent once', opts, async () => {
  for (let i = 0; i < 4; i++) {
    const s = await made({ sendAt: iso(i % 2 ? 150 : 0), content: text(`crash ${i}`) });
    const owner = gw.owner();
    if (i > 1) await sent(s.id);
    if (owner) process.kill(owner, 'SIGKILL');
    await sent(s.id);
    assert.equal(await texts(user, `crash ${i}`), 1);
    await gw.until(() => gw.owner() && gw.owner() !== owner, 'a new owner').catch(() => {});
    for (;;) {
      const r = await gw.call('GET', `/api/schedules/${s.id}`);
      if (r.status === 503) continue;
      assert.deepEqual([r.body.data?.status, r.body.data?.sent, r.body.data?.runs], ['done', 1, 1], JSON.stringify(r.body));
      break;
    }
  }
  await gw.until(() => gw.events.filter(e => e.event === 'session.status' && e.data.status === 'connected').length >= 2, 'connected again');
});

test('waits for its instance, up to its ttl', opts, async () => {
  const never = await made({ instanceId: other.id, to: [user.phone, second.phone], sendAt: iso(), ttl: 1, content: text('never') });
  const e = await failed(never.id);
  assert.deepEqual([e.data.code, e.data.recipients, e.instanceId], ['INSTANCE_NOT_CONNECTED', 2, other.id]);
  const end = await get(never.id);
  assert.deepEqual([end.status, end.code, end.failed], ['failed', 'INSTANCE_NOT_CONNECTED', 2]);
  const one = await made({ instanceId: other.id, sendAt: iso(-50000), ttl: 10, content: text('never') });
  assert.equal((await failed(one.id)).data.to, `${user.phone}@s.whatsapp.net`);

  await gw.ok('POST', `/api/instance/${me.id}/disconnect`);
  const s = await made({ sendAt: iso(), content: text('waited') });
  for (let status; status !== 'running';) ({ status } = await get(s.id));
  await gw.ok('POST', `/api/instance/${me.id}/connect`);
  await sent(s.id);
  assert.equal(await texts(user, 'waited'), 1);
});

test('cron: its zone, its end; run now', opts, async () => {
  const s = await made({ cron: '30 9 * * mon-fri', timezone: 'Europe/Berlin', content: text('again') });
  assert.deepEqual([s.status, s.cron, s.timezone, s.until, s.sendAt], ['scheduled', '30 9 * * mon-fri', 'Europe/Berlin', null, undefined]);
  assert.match(s.nextRunAt, /T0[78]:30:00.000Z$/);
  assert.ok(Date.parse(s.nextRunAt) > Date.now());
  const run = await gw.call('POST', `/api/schedules/${s.id}/run`);
  assert.deepEqual([run.status, run.body.data.length, run.body.data[0].status, run.body.data[0].chatId], [200, 1, 'sent', `${user.phone}@s.whatsapp.net`], JSON.stringify(run.body));
  assert.equal((await sent(s.id)).data.messageId, run.body.data[0].messageId);
  const still = await get(s.id);
  assert.deepEqual([still.status, still.nextRunAt, still.runs, still.sent], ['scheduled', s.nextRunAt, 1, 1]);

  // in a few months' time it is over
  const put = await gw.ok('PUT', `/api/schedules/${s.id}`, { cron: '0 0 1 * *', timezone: 'UTC', until: iso(90 * 24 * HOUR), content: text('changed') });
  assert.match(put.nextRunAt, /-01T00:00:00.000Z$/);
  assert.deepEqual([put.content, put.runs], [{ message: 'changed' }, 1]);
  assert.equal((await gw.ok('DELETE', `/api/schedules/${s.id}`)).status, 'cancelled');
  wrong(await gw.call('PUT', `/api/schedules/${s.id}`, { content: text('x') }), 409, 'CONFLICT');
  wrong(await gw.call('POST', `/api/schedules/${s.id}/run`), 409, 'CONFLICT');

  const once = await made({ to: [user.phone, second.phone], sendAt: iso(HOUR), content: text('early') });
  const key = { 'Idempotency-Key': 'run-1' };
  const [a, b] = [await gw.call('POST', `/api/schedules/${once.id}/run`, {}, key), await gw.call('POST', `/api/schedules/${once.id}/run`, {}, key)];
  assert.deepEqual([a.status, b.status, a.body.data.map(x => x.status)], [200, 200, ['sent', 'sent']]);
  assert.deepEqual(b.body.data, a.body.data);
  const end = await get(once.id);
  assert.deepEqual([end.status, end.nextRunAt, end.sent], ['done', null, 2]);
  const off = await made({ instanceId: other.id, sendAt: iso(HOUR), content: text('x') });
  wrong(await gw.call('POST', `/api/schedules/${off.id}/run`), 409, 'INSTANCE_NOT_CONNECTED');
  assert.equal((await get(off.id)).status, 'scheduled');
});

test('changed, put forward, cancelled, listed', opts, async () => {
  const s = await made({ sendAt: iso(HOUR), content: text('first'), priority: 9 });
  assert.equal(s.nextRunAt, s.sendAt);
  const put = await gw.ok('PUT', `/api/schedules/${s.id}`, { to: second.phone, content: text('second') });
  assert.deepEqual([put.to, put.content.message, put.sendAt, put.priority, put.createdAt], [`${second.phone}@s.whatsapp.net`, 'second', s.sendAt, 9, s.createdAt]);
  wrong(await gw.call('PUT', `/api/schedules/${s.id}`, { sendAt: iso(-HOUR) }), 400, 'VALIDATION_FAILED', 'sendAt');
  await gw.ok('PUT', `/api/schedules/${s.id}`, { sendAt: iso() });
  await sent(s.id, d => d.to.startsWith(second.phone));
  assert.equal(await texts(second, 'second'), 1);
  assert.equal(await texts(user, 'first'), 0);
  wrong(await gw.call('PUT', `/api/schedules/${s.id}`, { content: text('x') }), 409, 'CONFLICT');
  assert.equal((await gw.ok('DELETE', `/api/schedules/${s.id}`)).status, 'done', 'what has ended stays as it is');

  const c = await made({ sendAt: iso(HOUR), content: text('cancelled') });
  assert.deepEqual((await gw.ok('GET', `/api/schedules?status=scheduled&instanceId=${me.id}`)).map(x => x.id), [c.id]);
  const gone = await gw.ok('DELETE', `/api/schedules/${c.id}`);
  assert.deepEqual([gone.status, gone.nextRunAt], ['cancelled', null]);

  // while it waits for its instance: the waiting ends with it
  const w = await made({ instanceId: other.id, sendAt: iso(), content: text('waits') });
  for (let status; status !== 'running';) ({ status } = await get(w.id));
  assert.equal((await gw.ok('DELETE', `/api/schedules/${w.id}`)).status, 'cancelled');
  for (let depth; depth !== 0;) ({ depth } = await gw.ok('GET', `/api/queue/${other.id}`));
  assert.equal((await get(w.id)).status, 'cancelled');

  const page = await gw.call('GET', '/api/schedules?limit=2');
  assert.deepEqual([page.body.count, page.body.data[0].id, page.body.pagination.hasMore], [2, w.id, true]);
  assert.equal((await gw.ok('GET', '/api/schedules?limit=500')).length, page.body.total);
  assert.ok((await gw.ok('GET', '/api/schedules?status=cancelled')).every(x => x.status === 'cancelled'));
});

test('a template as it was scheduled', opts, async () => {
  const t = await gw.ok('POST', '/api/templates', { name: 'due', type: 'text', content: { message: 'Due: {{what}}' } });
  const missing = await call({ sendAt: iso(), templateId: t.id });
  assert.deepEqual([missing.status, missing.body.details.fields[0].field], [422, 'variables.what']);
  wrong(await call({ sendAt: iso(), templateId: NOBODY }), 404, 'TEMPLATE_NOT_FOUND');
  const s = await made({ sendAt: iso(HOUR), templateId: t.id, variables: { what: 'rent' } });
  assert.deepEqual([s.templateId, s.type, s.variables], [t.id, 'text', { what: 'rent' }]);
  await gw.ok('DELETE', `/api/templates/${t.id}`);
  const without = await gw.call('PUT', `/api/schedules/${s.id}`, { variables: {} });
  assert.deepEqual([without.status, without.body.details.fields[0].field], [422, 'variables.what']);
  const put = await gw.ok('PUT', `/api/schedules/${s.id}`, { variables: { what: 'the rent' }, sendAt: iso() });
  assert.deepEqual([put.templateId, put.content], [t.id, { message: 'Due: {{what}}' }]);
  await sent(s.id);
  assert.equal(await texts(user, 'Due: the rent'), 1);
});

test('what is wrong schedules nothing; idempotent; a bound key', opts, async () => {
  const before = (await gw.call('GET', '/api/schedules?limit=1')).body.total;
  const sendAt = iso(HOUR), content = text('x');
  for (const [body, field] of [
    [{ content }, 'sendAt'],
    [{ sendAt, cron: '* * * * *', content }, 'cron'],
    [{ sendAt: 'tomorrow', content }, 'sendAt'],
    [{ cron: '* * * *x', content }, 'cron'],
    [{ cron: '61 * * * *', content }, 'cron'],
    [{ cron: '0 0 31 2 *', content }, 'cron'],
    [{ cron: '* * * * *', until: iso(-HOUR), content }, 'cron'],
    [{ cron: '* * * * *', timezone: 'Mars/Olympus', content }, 'timezone'],
    [{ cron: '* * * * *', timezone: '../../etc/passwd', content }, 'timezone'],
    [{ sendAt, timezone: 'UTC', content }, 'timezone'],
    [{ sendAt }, 'content'],
    [{ sendAt, content, templateId: NOBODY }, 'templateId'],
    [{ sendAt, content: { message: 'x' } }, 'content.type'],
    [{ sendAt, content: { type: 'poll', question: 'q' } }, 'options'],
    [{ sendAt, content, ttl: 0 }, 'ttl'],
    [{ sendAt, content, to: [] }, 'to'],
    [{ sendAt, content, to: null }, 'to'],
  ]) wrong(await call(body), 400, 'VALIDATION_FAILED', field);
  wrong(await call({ sendAt, content, to: [user.phone, 'nobody at all'] }), 400, 'INVALID_JID', 'to');
  wrong(await call({ sendAt, content, instanceId: 'nobody' }), 404, 'INSTANCE_NOT_FOUND');
  for (const [m, where] of [['GET', ''], ['PUT', ''], ['DELETE', ''], ['POST', '/run']]) {
    wrong(await gw.call(m, `/api/schedules/${NOBODY}${where}`, m === 'GET' ? undefined : {}), 404, 'SCHEDULE_NOT_FOUND');
  }
  assert.equal((await gw.call('GET', '/api/schedules?limit=1')).body.total, before);

  const key = { 'Idempotency-Key': 'schedule-1' };
  const [a, b] = [await call({ sendAt, content }, key), await call({ sendAt, content }, key)];
  assert.deepEqual([a.status, b.status, b.body.data.id], [201, 201, a.body.data.id]);

  const theirs = await made({ instanceId: other.id, sendAt, content });
  const { apiKey } = await gw.ok('POST', '/api/auth/generate-key', { name: 'bound', permissions: ['read', 'write'], instanceIds: [me.id] });
  const as = { 'X-API-Key': apiKey };
  for (const [m, where] of [['GET', ''], ['PUT', ''], ['DELETE', ''], ['POST', '/run']]) {
    wrong(await gw.call(m, `/api/schedules/${theirs.id}${where}`, m === 'GET' ? undefined : {}, as), 404, 'SCHEDULE_NOT_FOUND');
  }
  const list = (await gw.call('GET', '/api/schedules?limit=500', undefined, as)).body.data;
  assert.ok(list.length && list.every(x => x.instanceId === me.id));
  wrong(await gw.call('GET', `/api/schedules?instanceId=${other.id}`, undefined, as), 404, 'INSTANCE_NOT_FOUND');
  assert.equal((await gw.call('GET', `/api/schedules/${a.body.data.id}`, undefined, as)).status, 200);

  await gw.ok('DELETE', `/api/instance/${other.id}`);
  wrong(await gw.call('GET', `/api/schedules/${theirs.id}`), 404, 'SCHEDULE_NOT_FOUND');
});

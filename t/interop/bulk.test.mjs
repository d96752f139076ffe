// Bulk sends and the send queue, seen from outside: jobs, their results and
// events, kill -9 in the middle, pause, cancel, the end of the waiting time.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox } from './lib.mjs';
import { Gateway } from './gateway.mjs';

const opts = { timeout: 120000 };
let sandbox, gw, me;
const users = [];

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  me = await gw.pairByQr('Bulk');
  for (let i = 0; i < 100; i++) {
    users.push(await sandbox.post('/mock-user', { name: `User ${i}` }));
  }
}, opts);
after(async () => {
  await gw?.stop();
  await sandbox?.stop();
});

const bulk = (body, headers) => gw.call('POST', '/api/message/send/bulk', { instanceId: me.id, delay: 0, ...body }, headers);
const done = id => gw.event('job.done', d => d.jobId === id, `job.done of ${id}`);
const job = id => gw.ok('GET', `/api/queue/jobs/${id}`);
const queue = () => gw.ok('GET', `/api/queue/${me.id}`);

// distinct ids of texts in a user's inbox
async function texts(user, match = () => true) {
  const ids = new Map();
  for (const m of await sandbox.get('/mock-phone/inbox', { phone: user.phone })) {
    assert.equal(m.error ?? null, null, `${user.phone} cannot read ${m.id}`);
    const text = m.message?.conversation ?? m.message?.extendedTextMessage?.text;
    if (text && match(text)) ids.set(m.id, text);
  }
  return [...ids.values()];
}

test('100 recipients, the owner is killed five times: everybody gets it once', opts, async () => {
  const r = await bulk({ recipients: users.map((u, i) => ({ to: u.phone, variables: { name: `User ${i}` } })), message: 'Hello {{name}}!', delay: 5, jitter: 5 });
  assert.equal(r.status, 202, JSON.stringify(r.body));
  const { jobId, total } = r.body.data;
  assert.equal(total, 100);

  let killed = 0;
  for (const at of [5, 22, 41, 60, 85]) {
    await gw.event('job.progress', d => d.jobId === jobId && d.sent >= at, `progress ${at}`);
    const owner = gw.owner();
    if (owner && (await job(jobId)).pending) {
      process.kill(owner, 'SIGKILL');
      killed++;
    }
  }
  assert.ok(killed >= 3, `killed ${killed} times`);
  const end = await done(jobId);
  assert.deepEqual([end.data.sent, end.data.failed, end.data.pending, end.data.status], [100, 0, 0, 'done']);

  const state = await job(jobId);
  assert.deepEqual([state.id, state.status, state.total, state.sent, state.failed, state.pending], [jobId, 'done', 100, 100, 0, 0]);
  assert.ok(Date.parse(state.createdAt) <= Date.parse(state.finishedAt));
  assert.equal(new Set(state.results.map(x => x.messageId)).size, 100);
  for (const [i, u] of users.entries()) {
    assert.deepEqual(await texts(u, t => t.startsWith('Hello')), [`Hello User ${i}!`]);
    assert.deepEqual([state.results[i].to, state.results[i].status], [`${u.phone}@s.whatsapp.net`, 'sent']);
  }
  assert.equal(gw.events.filter(e => e.event === 'job.done' && e.data.jobId === jobId).map(e => e.id).filter((x, i, a) => a.indexOf(x) === i).length, 1);
  const seqs = [...new Set(gw.events.filter(e => e.instanceId === me.id).map(e => e.seq))].sort((a, b) => a - b);
  for (let i = 1; i < seqs.length; i++) assert.equal(seqs[i], seqs[i - 1] + 1);
});

test('any kind of message as content, with what is wrong for one recipient only', opts, async () => {
  const to = users.slice(0, 3).map(u => u.phone);
  const place = await bulk({ async: true, recipients: [...to, 'nobody at all'], content: { type: 'location', latitude: 1.5, longitude: 2.5, name: 'Here' } });
  assert.equal(place.status, 202);
  await done(place.body.data.jobId);
  const state = await job(place.body.data.jobId);
  assert.deepEqual(state.results.map(x => [x.status, x.code ?? null]), [['sent', null], ['sent', null], ['sent', null], ['failed', 'INVALID_JID']]);
  assert.deepEqual([state.sent, state.failed], [3, 1]);
  const inbox = await sandbox.get('/mock-phone/inbox', { phone: to[0] });
  assert.equal(inbox.at(-1).message.locationMessage.name, 'Here');

  const poll = await bulk({ recipients: to.slice(0, 1), content: { type: 'poll', question: 'Which, {{who}}?', options: ['{{a}}', 'b'] } });
  assert.equal(poll.status, 200, 'what is not given stays as it is written');
  const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  const image = await bulk({ recipients: [{ to: to[0], variables: { n: 7 } }], content: { type: 'image', imageBase64: png, caption: 'No. {{n}}' } });
  assert.equal(image.status, 200, JSON.stringify(image.body));
  assert.deepEqual([image.body.data.totalSent, image.body.data.totalFailed], [1, 0], JSON.stringify(image.body));
  const got = (await sandbox.get('/mock-phone/inbox', { phone: to[0] })).at(-1).message;
  assert.equal(got.imageMessage.caption, 'No. 7');
  const typed = await bulk({ recipients: [{ to: to[0], variables: { lat: 12.25 } }], content: { type: 'location', latitude: '{{lat}}', longitude: 0 } });
  assert.equal(typed.body.data.totalSent, 1, JSON.stringify(typed.body));
  assert.equal((await sandbox.get('/mock-phone/inbox', { phone: to[0] })).at(-1).message.locationMessage.degreesLatitude, 12.25);
});

test('a call that is wrong begins nothing', opts, async () => {
  const to = [users[0].phone];
  for (const [body, field] of [
    [{ recipients: to }, 'message'],
    [{ recipients: to, content: { type: 'nonsense' } }, 'content.type'],
    [{ recipients: to, content: { type: 'raw', message: {} } }, 'content.type'],
    [{ recipients: to, content: { type: 'poll', question: 'q' } }, 'options'],
    [{ recipients: [], message: 'x' }, 'recipients'],
    [{ recipients: [7], message: 'x' }, 'recipients[0]'],
    [{ recipients: [{ to: to[0], variables: 'x' }], message: 'x' }, 'recipients[0].variables'],
    [{ recipients: to, message: 'x', delay: -1 }, 'delay'],
    [{ recipients: Array(1001).fill(to[0]), message: 'x' }, 'recipients'],
  ]) {
    const r = await bulk(body);
    assert.deepEqual([r.status, r.body.code, r.body.details?.fields?.[0]?.field], [400, 'VALIDATION_FAILED', field], JSON.stringify(r.body));
  }
  assert.equal((await queue()).depth, 0);
});

test('idempotent: the repeat is the same job', opts, async () => {
  const body = { async: true, recipients: users.slice(0, 3).map(u => u.phone), message: 'once' };
  const [a, b] = [await bulk(body, { 'Idempotency-Key': 'job-1' }), await bulk(body, { 'Idempotency-Key': 'job-1' })];
  assert.deepEqual([a.status, b.status, b.headers['idempotent-replayed']], [202, 202, 'true']);
  assert.equal(a.body.data.jobId, b.body.data.jobId);
  await done(a.body.data.jobId);
  assert.deepEqual(await texts(users[0], t => t === 'once'), ['once']);
});

test('pause keeps it over a crash, resume goes on; clear and DELETE end it', opts, async () => {
  assert.equal((await gw.ok('POST', `/api/queue/${me.id}/pause`)).paused, true);
  const r = await bulk({ recipients: users.slice(0, 30).map(u => u.phone), message: 'paused' });
  const small = await bulk({ recipients: [users[0].phone], message: 'paused too' });
  assert.deepEqual([r.status, small.status], [202, 202]);
  const logins = () => gw.events.filter(e => e.event === 'session.status' && e.data.status === 'connected').length;
  const before = logins();
  process.kill(gw.owner(), 'SIGKILL');
  await gw.until(() => logins() > before, 'connected again');
  let q = await queue();
  assert.deepEqual([q.depth, q.paused, q.inFlight], [31, true, 0]);
  assert.ok(q.oldestSeconds >= 0);
  assert.equal((await job(r.body.data.jobId)).status, 'queued');

  const deleted = await gw.ok('DELETE', `/api/queue/jobs/${small.body.data.jobId}`);
  assert.deepEqual([deleted.status, deleted.pending, deleted.results[0].status], ['cancelled', 0, 'cancelled']);
  assert.equal((await gw.ok('DELETE', `/api/queue/jobs/${small.body.data.jobId}`)).status, 'cancelled', 'twice is as once');
  assert.equal((await gw.ok('POST', `/api/queue/${me.id}/resume`)).paused, false);
  await done(r.body.data.jobId);
  assert.deepEqual(await texts(users[29], t => t.startsWith('paused')), ['paused']);
  assert.deepEqual(await texts(users[0], t => t.startsWith('paused')), ['paused']);

  await gw.ok('POST', `/api/queue/${me.id}/pause`);
  const c = await bulk({ recipients: users.slice(0, 30).map(u => u.phone), message: 'cleared' });
  assert.equal((await gw.ok('POST', `/api/queue/${me.id}/clear`)).depth, 0);
  assert.equal((await done(c.body.data.jobId)).data.status, 'cancelled');
  await gw.ok('POST', `/api/queue/${me.id}/resume`);
  assert.deepEqual(await texts(users[0], t => t === 'cleared'), []);
  for (const m of ['GET', 'DELETE']) {
    const no = await gw.call(m, '/api/queue/jobs/00000000-0000-4000-8000-000000000000');
    assert.deepEqual([no.status, no.body.code], [404, 'JOB_NOT_FOUND']);
  }
});

test('a job waits for its instance, up to its ttl', opts, async () => {
  const other = await gw.create('Never linked', { autoConnect: false });
  const body = { instanceId: other.id, message: 'x', delay: 0 };
  const small = await bulk({ ...body, recipients: [users[0].phone] });
  assert.deepEqual([small.status, small.body.code], [409, 'INSTANCE_NOT_CONNECTED']);
  const r = await bulk({ ...body, recipients: users.slice(0, 25).map(u => u.phone), ttl: 1 });
  assert.equal(r.status, 202);
  const end = await done(r.body.data.jobId);
  assert.deepEqual([end.data.status, end.data.failed, end.data.code], ['failed', 25, 'INSTANCE_NOT_CONNECTED']);
  const state = await job(r.body.data.jobId);
  assert.deepEqual([state.status, state.code, state.failed], ['failed', 'INSTANCE_NOT_CONNECTED', 25]);
  assert.ok(state.results.every(x => x.status === 'failed' && x.code === 'INSTANCE_NOT_CONNECTED'));

  await gw.ok('POST', `/api/instance/${me.id}/disconnect`);
  const w = await bulk({ recipients: users.slice(0, 25).map(u => u.phone), message: 'waited' });
  assert.equal((await job(w.body.data.jobId)).status, 'queued');
  await gw.ok('POST', `/api/instance/${me.id}/connect`);
  assert.equal((await done(w.body.data.jobId)).data.sent, 25);
  assert.deepEqual(await texts(users[24], t => t === 'waited'), ['waited']);
});

test('async of single sends, as parameter and as field', opts, async () => {
  const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  const contact = { contacts: [{ name: 'X', phoneNumber: users[1].phone }] };
  for (const [kind, body] of Object.entries({
    text: { message: 'later' }, location: { latitude: 0, longitude: 0 }, poll: { question: 'q', options: ['a', 'b'] }, contact,
    image: { imageBase64: png }, file: { fileBase64: png, fileName: 'a.png' }, 'link-preview': { text: 'plain' },
    list: { title: 't', buttonText: 'b', sections: [{ title: 's', rows: [{ title: 'r', rowId: '1' }] }] },
    buttons: { text: 't', buttons: [{ id: '1', text: 'x' }] },
  })) {
    for (const form of ['field', 'query']) {
      const r = await gw.call('POST', `/api/message/send/${kind}${form === 'query' ? '?async=true' : ''}`,
        { instanceId: me.id, to: users[0].phone, ...body, ...(form === 'field' ? { async: true } : {}) });
      assert.deepEqual([r.status, r.body.data?.status], [202, 'queued'], `${kind} ${form}: ${JSON.stringify(r.body)}`);
      await gw.event('message.sent', d => d.messageId === r.body.data.messageId, `${kind} ${form} sent`);
    }
  }
});

// Templates at the front door: made, listed, rendered, sent; who sees whose.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox } from './lib.mjs';
import { Gateway } from './gateway.mjs';

const opts = { timeout: 120000 };
const NOBODY = '00000000-0000-4000-8000-000000000000';
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
let sandbox, gw, me, other, user;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  me = await gw.pairByQr('Templates');
  other = await gw.create('Another', { autoConnect: false });
  user = await sandbox.post('/mock-user', { name: 'Reader' });
}, opts);
after(async () => {
  await gw?.stop();
  await sandbox?.stop();
});

const create = (body, headers) => gw.call('POST', '/api/templates', body, headers);
const made = async body => (await gw.ok('POST', '/api/templates', body));
const last = async () => (await sandbox.get('/mock-phone/inbox', { phone: user.phone })).at(-1);
const wrong = (r, status, code, field) =>
  assert.deepEqual([r.status, r.body.code, r.body.details?.fields?.[0]?.field], [status, code, field], JSON.stringify(r.body));

test('made, read, changed, deleted', opts, async () => {
  const content = { message: 'Hi {{name|default:"friend"}}, {{what|upper}} on {{day|date:"%d/%m/%Y"}}', linkPreview: false };
  const r = await create({ name: 'greeting', type: 'text', content, language: 'en', variables: ['later', 'name'] });
  assert.equal(r.status, 201, JSON.stringify(r.body));
  const t = r.body.data;
  assert.deepEqual([t.name, t.type, t.content, t.language, t.variables], ['greeting', 'text', content, 'en', ['name', 'what', 'day', 'later']]);
  assert.ok(Date.parse(t.createdAt) > 0 && t.createdAt === t.updatedAt);
  assert.deepEqual(await gw.ok('GET', `/api/templates/${t.id}`), t);
  wrong(await create({ name: 'greeting', type: 'text', content }), 409, 'DUPLICATE');
  const bound = await made({ name: 'greeting', type: 'text', content: { message: 'of the instance' }, instanceId: me.id });
  assert.equal(bound.instanceId, me.id);
  wrong(await create({ name: 'greeting', type: 'text', content, instanceId: me.id }), 409, 'DUPLICATE');

  const put = await gw.ok('PUT', `/api/templates/${t.id}`, { name: 'hello', content: { message: '{{x}}' } });
  assert.deepEqual([put.id, put.name, put.type, put.content, put.variables, put.language, put.createdAt],
    [t.id, 'hello', 'text', { message: '{{x}}' }, ['x'], 'en', t.createdAt]);
  assert.deepEqual(await gw.ok('GET', `/api/templates/${t.id}`), put);
  const taken = await made({ name: 'taken', type: 'text', content: { message: 'x' } });
  wrong(await gw.call('PUT', `/api/templates/${t.id}`, { name: 'taken' }), 409, 'DUPLICATE');
  wrong(await gw.call('PUT', `/api/templates/${t.id}`, { type: 'poll' }), 400, 'VALIDATION_FAILED', 'question');

  const all = await gw.call('GET', '/api/templates?limit=2');
  assert.deepEqual([all.body.data.map(x => x.name), all.body.count, all.body.total, all.body.pagination.hasMore], [['greeting', 'hello'], 2, 3, true]);
  assert.deepEqual((await gw.ok('GET', '/api/templates?limit=2&offset=2')).map(x => x.name), ['taken']);
  assert.deepEqual((await gw.ok('GET', `/api/templates?instanceId=${me.id}`)).map(x => x.id), [bound.id]);
  assert.deepEqual((await gw.ok('GET', '/api/templates?q=ELL')).map(x => x.name), ['hello']);
  assert.deepEqual(await gw.ok('GET', '/api/templates?q=%25'), [], 'no wildcard');

  for (const x of [t, bound, taken]) assert.equal((await gw.ok('DELETE', `/api/templates/${x.id}`)).id, x.id);
  assert.deepEqual(await gw.ok('GET', '/api/templates'), []);
  for (const [m, where, body] of [['GET', ''], ['PUT', '', { name: 'x' }], ['DELETE', ''], ['POST', '/render', {}],
    ['POST', '/send', { instanceId: me.id, to: user.phone }]]) {
    wrong(await gw.call(m, `/api/templates/${t.id}${where}`, body), 404, 'TEMPLATE_NOT_FOUND');
  }
});

test('what is wrong is said when it is made', opts, async () => {
  const text = { message: 'x' };
  for (const [body, field] of [
    [{ type: 'text', content: text }, 'name'],
    [{ name: 'n', content: text }, 'type'],
    [{ name: 'n', type: 'text' }, 'content'],
    [{ name: 'n', type: 'raw', content: {} }, 'type'],
    [{ name: 'n', type: 'text', content: {} }, 'message'],
    [{ name: 'n', type: 'text', content: { message: '{{a|shout}}' } }, 'content'],
    [{ name: 'n', type: 'location', content: { latitude: '{{lat}}', longitude: 'east' } }, 'longitude'],
    [{ name: 'n', type: 'text', content: text, variables: [1] }, 'variables'],
  ]) wrong(await create(body), 400, 'VALIDATION_FAILED', field);
  wrong(await create({ name: 'n', type: 'text', content: text, instanceId: 'nobody' }), 404, 'INSTANCE_NOT_FOUND');
  assert.deepEqual(await gw.ok('GET', '/api/templates'), []);
});

test('rendered and sent, by id and by name; 422 when a variable is missing', opts, async () => {
  const t = await made({ name: 'order', type: 'text', content: { text: '{{name|default:"friend"}}: no. {{n}}, {{n}} {{who|upper}}' } });
  assert.deepEqual((await gw.ok('POST', `/api/templates/${t.id}/render`, { variables: { n: 7, who: '{{n}}' } })).content,
    { text: 'friend: no. 7, 7 {{N}}' });
  for (const [where, body] of [[`/api/templates/${t.id}/render`, {}], [`/api/templates/${t.id}/send`, { instanceId: me.id, to: user.phone }],
    ['/api/message/send/template', { instanceId: me.id, to: user.phone, templateName: 'order' }]]) {
    const r = await gw.call('POST', where, { ...body, variables: { name: 'Ann' } });
    assert.deepEqual([r.status, r.body.details.fields.map(f => f.field)], [422, ['variables.n', 'variables.who']], JSON.stringify(r.body));
  }

  const variables = { n: 8, who: '{{n}}', name: 'Ann' };
  const sent = await gw.ok('POST', `/api/templates/${t.id}/send`, { instanceId: me.id, to: user.phone, variables, ref: 'my-ref' });
  assert.deepEqual([sent.status, sent.ref, sent.chatId], ['sent', 'my-ref', `${user.phone}@s.whatsapp.net`]);
  let m = await last();
  assert.deepEqual([m.id, m.message.conversation ?? m.message.extendedTextMessage.text], [sent.messageId, 'Ann: no. 8, 8 {{N}}']);

  const { id } = await made({ name: 'order', instanceId: me.id, type: 'location', content: { latitude: '{{lat}}', longitude: 2.5, name: 'At {{where}}' } });
  assert.deepEqual((await gw.ok('POST', `/api/templates/${id}/render`, { variables: { lat: 1.5, where: 'home' } })).content,
    { latitude: 1.5, longitude: 2.5, name: 'At home' });
  const place = { instanceId: me.id, chatId: user.phone, templateName: 'order', variables: { lat: 1.5, where: 'home' } };
  await gw.ok('POST', '/api/message/send/template', place);
  m = await last();
  assert.deepEqual([m.message.locationMessage.degreesLatitude, m.message.locationMessage.name], [1.5, 'At home']);
  wrong(await gw.call('POST', '/api/message/send/template', { ...place, variables: { lat: 'north', where: 'x' } }), 400, 'VALIDATION_FAILED', 'latitude');

  const image = await made({ name: 'image', type: 'image', content: { imageBase64: PNG, caption: '{{c}}' } });
  await gw.ok('POST', '/api/message/send/template', { instanceId: me.id, to: user.phone, templateId: image.id, variables: { c: 'one' } });
  assert.equal((await last()).message.imageMessage.caption, 'one');
  const poll = await made({ name: 'poll', type: 'poll', content: { question: '{{q}}?', options: ['{{a}}', 'b'] } });
  await gw.ok('POST', `/api/templates/${poll.id}/send`, { instanceId: me.id, to: user.phone, variables: { q: 'which', a: 'a' } });

  const call = body => gw.call('POST', '/api/message/send/template', { instanceId: me.id, to: user.phone, ...body });
  wrong(await call({}), 400, 'VALIDATION_FAILED', 'templateId');
  wrong(await call({ templateId: NOBODY }), 404, 'TEMPLATE_NOT_FOUND');
  wrong(await call({ templateName: 'nothing' }), 404, 'TEMPLATE_NOT_FOUND');
  wrong(await call({ instanceId: other.id, templateId: t.id, variables }), 409, 'INSTANCE_NOT_CONNECTED');
  wrong(await call({ instanceId: 'nobody', templateId: t.id, variables }), 404, 'INSTANCE_NOT_FOUND');
  assert.equal((await call({ to: 'nonsense', templateId: t.id, variables })).body.code, 'INVALID_JID');

  const key = { 'Idempotency-Key': 'template-1' };
  const [a, b] = [await gw.call('POST', `/api/templates/${poll.id}/send`, { instanceId: me.id, to: user.phone, variables: { q: 'o', a: 'a' } }, key),
    await gw.call('POST', `/api/templates/${poll.id}/send`, { instanceId: me.id, to: user.phone, variables: { q: 'o', a: 'a' } }, key)];
  assert.deepEqual([a.status, b.status, b.body.data.messageId], [200, 200, a.body.data.messageId]);
});

test('a key that is bound sees what is of its instances, and its own', opts, async () => {
  const mine = await made({ name: 'mine', type: 'text', content: { message: 'mine' }, instanceId: me.id });
  const theirs = await made({ name: 'theirs', type: 'text', content: { message: 'theirs' }, instanceId: other.id });
  const { apiKey } = await gw.ok('POST', '/api/auth/generate-key', { name: 'bound', permissions: ['read', 'write'], instanceIds: [me.id] });
  const as = { 'X-API-Key': apiKey };
  const own = (await create({ name: 'order', type: 'text', content: { message: 'own' } }, as)).body.data;
  const list = (await gw.call('GET', '/api/templates', undefined, as)).body;
  assert.deepEqual(list.data.map(x => x.name).sort(), ['mine', 'order', 'order']);
  assert.ok(list.data.some(x => x.id === own.id) && list.data.some(x => x.id === mine.id));
  assert.equal(list.total, 3);
  wrong(await gw.call('GET', `/api/templates?instanceId=${other.id}`, undefined, as), 404, 'INSTANCE_NOT_FOUND');
  wrong(await create({ name: 'x', type: 'text', content: { message: 'x' }, instanceId: other.id }, as), 404, 'INSTANCE_NOT_FOUND');
  for (const [m, where, body] of [['GET', ''], ['PUT', '', { name: 'x' }], ['DELETE', ''], ['POST', '/render', {}],
    ['POST', '/send', { instanceId: me.id, to: user.phone }]]) {
    wrong(await gw.call(m, `/api/templates/${theirs.id}${where}`, body, as), 404, 'TEMPLATE_NOT_FOUND');
  }
  wrong(await gw.call('POST', '/api/message/send/template', { instanceId: me.id, to: user.phone, templateName: 'theirs' }, as), 404, 'TEMPLATE_NOT_FOUND');
  assert.equal((await gw.call('GET', `/api/templates/${mine.id}`, undefined, as)).status, 200);

  await gw.ok('DELETE', `/api/instance/${other.id}?keepMessages=true`);
  wrong(await gw.call('GET', `/api/templates/${theirs.id}`), 404, 'TEMPLATE_NOT_FOUND');
});

// Issue 3, acceptance 4: a group of 200.  The second and later sends ask
// nothing; who is added can read from then on, who was removed cannot.  Both
// are real Baileys clients.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { Sandbox, Client, textOf } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, bert, cleo, g;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  bert = new Client(sandbox, 'Bert');
  cleo = new Client(sandbox, 'Cleo');
  await bert.pairByQr(sandbox);
  await cleo.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
});
after(async () => {
  for (const c of [bert, cleo]) await c?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const kids = (node, tag) => (Array.isArray(node.content) ? node.content : []).filter(c => c.tag === tag);
const stanza = async id => (await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'message', id }))[0].node;
const keyed = node => kids(node, 'participants').flatMap(p => p.content).map(t => t.attrs.jid);
const user = c => c.lidUser.split('@')[0];

// sends, and says what was asked for it
async function send(text) {
  const since = Date.now();
  const { messageId, status } = await gw.send(me.id, g, text);
  assert.equal(status, 'sent');
  const asked = (await sandbox.get('/nodes', { device: me.entry.jid, dir: 'in', tag: 'iq', since }))
    .map(n => n.node.attrs.xmlns).filter(x => ['w:g2', 'usync', 'encrypt'].includes(x));
  return { id: messageId, asked, node: await stanza(messageId) };
}

const act = (action, members) => sandbox.post('/mock-user/group', { from: 'Mia', group: g, action, members });

test('200 members: the first send gives everybody the key, later ones ask nothing and give nothing', async () => {
  const members = ['Bert', me.phone];
  await sandbox.post('/mock-user', { name: 'Mia' });
  while (members.length < 199) members.push((await sandbox.post('/mock-user', { phone: String(15580000000 + members.length) })).phone);
  const group = await sandbox.post('/mock-user/group-create', { from: 'Mia', subject: 'Two hundred', members });
  g = group.id;
  assert.equal(group.participants.length, 200);
  await gw.event('group.v2.join', d => d.groupId === g);

  const first = await send('to all, first');
  // 199 phones, Bert's companion, the own phone
  assert.equal(keyed(first.node).length, 198 + 1 + 1 + 1);
  await bert.message('to all, first');
  for (const text of ['to all, second', 'to all, third', 'to all, fourth']) {
    const next = await send(text);
    assert.deepEqual(next.asked, []);
    assert.deepEqual(keyed(next.node), []);
    await bert.message(text);
  }
  for (const phone of ['Mia', members[2], members[100], members[198]]) {
    const [copy] = await sandbox.inbox(phone, { chat: g, contains: 'to all, fourth' });
    assert.equal(copy.error, undefined);
    assert.equal(textOf({ message: copy.message }), 'to all, fourth');
  }
});

test('who is added reads from then on, and only from then on', async () => {
  await act('add', ['Cleo']);
  await gw.event('group.v2.participants', d => d.groupId === g && d.action === 'add');
  const one = await send('to Cleo too');
  // nobody but the new member's devices got the key
  assert.deepEqual([...new Set(keyed(one.node).map(j => j.split(/[:@]/)[0]))], [user(cleo)]);
  const got = await cleo.message('to Cleo too');
  assert.equal(got.key.remoteJid, g);
  const two = await send('and again');
  assert.deepEqual(two.asked, []);
  assert.deepEqual(keyed(two.node), []);
  await cleo.message('and again');
  await bert.message('and again');
  assert.equal(cleo.messages.some(m => /to all/.test(textOf(m.message) ?? '')), false);
});

test('who was removed cannot read, even with the ciphertext in hand', async () => {
  await act('remove', ['Bert']);
  await gw.event('group.v2.participants', d => d.groupId === g && d.action === 'remove');
  const one = await send('not for Bert');
  const to = keyed(one.node).map(j => j.split(/[:@]/)[0]);
  assert.equal(to.includes(user(bert)), false);
  // Mia, 197 phones, Cleo's two devices, the own phone: all but Bert, with a new key
  assert.equal(to.length, 1 + 197 + 2 + 1);
  await cleo.message('not for Bert');
  assert.equal((await sandbox.get('/nodes', { device: bert.jid, dir: 'out', tag: 'message', id: one.id })).length, 0);

  // somebody passes him the ciphertext: his old key does not fit, and asking for a resend gives him nothing
  const since = Date.now();
  const enc = kids(one.node, 'enc').find(e => e.attrs.type === 'skmsg');
  await sandbox.post('/send-node', { device: bert.jid, node: { tag: 'message', attrs: { id: one.id, from: g, participant: me.entry.lid,
    addressing_mode: 'lid', type: 'text', t: String(Math.floor(Date.now() / 1000)), notify: 'Gate' }, content: [enc] } });
  await sandbox.nodes(bert.jid, { dir: 'in', tag: 'receipt', type: 'retry', id: one.id, since });
  const two = await send('not for Bert either');
  assert.deepEqual(two.asked, []);
  await cleo.message('not for Bert either');
  assert.equal(bert.messages.some(m => /not for Bert/.test(textOf(m.message) ?? '')), false);
  assert.equal((await sandbox.get('/nodes', { device: me.entry.jid, dir: 'in', tag: 'message', since }))
    .some(n => n.node.attrs.id === one.id), false, 'no resend to somebody who is no member');
});

test('an announcement group refuses who is no admin with 403', async () => {
  await act('announcement');
  await gw.event('group.v2.update', d => d.groupId === g && d.updates.announce === true);
  const r = await gw.call('POST', '/api/message/send/text', { instanceId: me.id, to: g, message: 'refused' });
  assert.equal(r.status, 403, JSON.stringify(r.body));
  await act('promote', [me.phone]);
  await gw.event('group.v2.participants', d => d.groupId === g && d.action === 'promote');
  await send('allowed');
  await cleo.message('allowed');
});

// Every kind of message without media, gateway -> Baileys (what Baileys parsed)
// and Baileys -> gateway (event and stored message): issue 3, acceptance 1.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import http from 'node:http';
import { decryptPollVote, decryptEventResponse, proto } from '@whiskeysockets/baileys';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';

let sandbox, gw, me, a, site;
const pages = new Map();

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  a = new Client(sandbox, 'Anna');
  await a.pairByQr(sandbox);
  me = await gw.pairByQr('Gate');
  site = http.createServer((req, res) => {
    const page = pages.get(req.url);
    if (!page) return res.writeHead(404).end();
    res.writeHead(page.status ?? 200, page.headers ?? { 'content-type': 'text/html; charset=utf-8' });
    res.end(page.body);
  });
  await new Promise(resolve => site.listen(0, '127.0.0.1', resolve));
  site.base = `http://127.0.0.1:${site.address().port}`;
  // both know each other: the rest of the tests is not about sessions
  await gw.send(me.id, a.phone, 'hello');
  await a.message('hello');
  const m = await a.send(own(), 'hello back');
  await gw.event('message.received', d => d.messageId === m.key.id);
});
after(async () => {
  site?.closeAllConnections();
  site?.close();
  await a?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const pn = phone => `${phone}@s.whatsapp.net`;
const own = () => pn(me.phone);

// sends over REST and gives what Baileys saw
async function there(kind, fields, path = `/api/message/send/${kind}`) {
  const r = await gw.ok('POST', path, { instanceId: me.id, to: a.phone, ...fields });
  const m = await a.message(x => x.key.id === r.messageId, `${kind} ${r.messageId}`);
  const row = await gw.ok('GET', `/api/message/${me.id}/${r.messageId}`);
  return { r, m, c: m.message, row };
}

// sends with Baileys and gives the event and the stored message
async function here(content) {
  const m = await a.send(own(), content);
  const e = await gw.event('message.received', d => d.messageId === m.key.id, `event of ${m.key.id}`);
  const row = await gw.ok('GET', `/api/message/${me.id}/${m.key.id}`);
  assert.equal(row.type, e.data.type);
  assert.equal(row.body, e.data.body);
  return { m, d: e.data, row };
}

test('location, both ways', async () => {
  const { c, row } = await there('location', { latitude: -6.25, longitude: 0, name: 'Monas', address: 'Jakarta', url: 'https://example.org/m' });
  assert.equal(c.locationMessage.degreesLatitude, -6.25);
  assert.equal(c.locationMessage.degreesLongitude, 0);
  assert.equal(c.locationMessage.name, 'Monas');
  assert.equal(c.locationMessage.address, 'Jakarta');
  assert.equal(row.type, 'location');
  assert.equal(row.location.latitude, -6.25);

  const back = await here({ location: { degreesLatitude: 1.5, degreesLongitude: -2.5, name: 'There' } });
  assert.equal(back.d.type, 'location');
  assert.equal(back.d.location.latitude, 1.5);
  assert.equal(back.d.location.longitude, -2.5);
  assert.deepEqual(back.row.location, back.d.location);
});

test('live location', async () => {
  const { c, row } = await there('live-location', { latitude: 10, longitude: 20, accuracy: 5, speed: 1.5, heading: 90, caption: 'on my way' });
  assert.equal(c.liveLocationMessage.degreesLatitude, 10);
  assert.equal(c.liveLocationMessage.accuracyInMeters, 5);
  assert.equal(c.liveLocationMessage.degreesClockwiseFromMagneticNorth, 90);
  assert.equal(c.liveLocationMessage.caption, 'on my way');
  assert.equal(row.type, 'live_location');
});

test('one contact and several, both ways', async () => {
  const one = await there('contact', { contactName: 'Zoë; Ltd', contactNumber: '+49 30 123456', organization: 'Acme' });
  assert.equal(one.c.contactMessage.displayName, 'Zoë; Ltd');
  assert.match(one.c.contactMessage.vcard, /waid=4930123456:\+4930123456/);
  assert.match(one.c.contactMessage.vcard, /FN:Zoë\\; Ltd/);
  assert.equal(one.row.type, 'contact');

  const many = await there('contact', { contacts: [{ displayName: 'A', vcard: 'BEGIN:VCARD\nVERSION:3.0\nFN:A\nEND:VCARD' }, { name: 'B', phoneNumber: '15551234567' }] });
  assert.deepEqual(many.c.contactsArrayMessage.contacts.map(x => x.displayName), ['A', 'B']);

  const vcard = 'BEGIN:VCARD\nVERSION:3.0\nFN:Carl\nTEL;waid=15550001111:+15550001111\nEND:VCARD';
  const back = await here({ contacts: { displayName: 'Carl', contacts: [{ displayName: 'Carl', vcard }] } });
  assert.equal(back.d.type, 'contact');
  assert.match(JSON.stringify(back.d.contacts), /Carl/);
  assert.deepEqual(back.row.contacts, back.d.contacts);
});

// a vote or an answer as a client of Anna's would send it
function sealed(secret, id, author, writer, label, plain) {
  const key = Buffer.from(crypto.hkdfSync('sha256', secret, Buffer.alloc(0), Buffer.from(`${id}${author}${writer}${label}`), 32));
  const iv = crypto.randomBytes(12);
  const c = crypto.createCipheriv('aes-256-gcm', key, iv);
  c.setAAD(Buffer.from(`${id}\0${writer}`));
  return { encIv: iv, encPayload: Buffer.concat([c.update(plain), c.final(), c.getAuthTag()]) };
}

const hash = s => crypto.createHash('sha256').update(s).digest();
const votePlain = options => proto.Message.PollVoteMessage.encode({ selectedOptions: options.map(hash) }).finish();

async function vote(to, pollId, fromMe, secret, author, writer, options) {
  return a.sock.relayMessage(to, {
    pollUpdateMessage: {
      pollCreationMessageKey: { remoteJid: to, fromMe, id: pollId },
      vote: sealed(secret, pollId, author, writer, 'Poll Vote', votePlain(options)),
      senderTimestampMs: Date.now(),
    },
  }, {});
}

test('a poll of ours: votes are decrypted, told and counted', async () => {
  const { r, m, c, row } = await there('poll', { question: 'Lunch?', options: ['Soup', 'Salat ü', 'Nothing'], multipleAnswers: true });
  const poll = c.pollCreationMessage ?? c.pollCreationMessageV3;
  assert.equal(poll.name, 'Lunch?');
  assert.deepEqual(poll.options.map(o => o.optionName), ['Soup', 'Salat ü', 'Nothing']);
  assert.equal(row.type, 'poll');
  assert.deepEqual(row.poll.options, ['Soup', 'Salat ü', 'Nothing']);
  const secret = c.messageContextInfo.messageSecret;
  assert.equal(secret.length, 32);

  // in both namespaces: the writer's client decides
  await vote(me.lid, r.messageId, false, secret, me.lid, a.lidUser, ['Soup', 'Nothing']);
  const e = await gw.event('poll.vote', d => d.pollMessageId === r.messageId);
  assert.deepEqual(e.data.selectedOptions, ['Soup', 'Nothing']);
  assert.equal(e.data.voter, pn(a.phone));
  assert.equal(e.data.chatId, pn(a.phone));
  let votes = await gw.ok('GET', `/api/message/${me.id}/${r.messageId}/votes`);
  assert.deepEqual(votes.map(v => [v.option, v.votes]), [['Soup', 1], ['Salat ü', 0], ['Nothing', 1]]);
  assert.deepEqual(votes[0].voters, [pn(a.phone)]);

  await vote(own(), r.messageId, false, secret, own(), a.pnUser, ['Salat ü']);
  await gw.event('poll.vote', d => d.pollMessageId === r.messageId && d.selectedOptions[0] === 'Salat ü');
  votes = await gw.ok('GET', `/api/message/${me.id}/${r.messageId}/votes`);
  assert.deepEqual(votes.map(v => v.votes), [0, 1, 0]);

  await vote(own(), r.messageId, false, secret, own(), a.lidUser, []);
  await gw.event('poll.vote', d => d.pollMessageId === r.messageId && d.selectedOptions.length === 0);
  votes = await gw.ok('GET', `/api/message/${me.id}/${r.messageId}/votes`);
  assert.deepEqual(votes.map(v => v.votes), [0, 0, 0]);

  await vote(own(), r.messageId, false, crypto.randomBytes(32), own(), a.lidUser, ['Soup']);
  const bad = await gw.event('poll.vote.failed', d => d.pollMessageId === r.messageId);
  assert.match(bad.data.error, /decrypt/);
  assert.equal(m.key.fromMe, false);
});

test('a poll of theirs: our vote is read by Baileys and counted here', async () => {
  const { m, d, row } = await here({ poll: { name: 'When?', values: ['Now', 'Later'], selectableCount: 1 } });
  assert.equal(d.type, 'poll');
  assert.deepEqual(d.poll.options, ['Now', 'Later']);
  assert.equal(row.poll.name, 'When?');

  const bad = await gw.call('POST', '/api/message/send/poll-vote', { instanceId: me.id, pollMessageId: m.key.id, selectedOptions: ['Never'] });
  assert.equal(bad.status, 400);
  assert.equal(bad.body.details.fields[0].field, 'selectedOptions');
  const none = await gw.call('POST', '/api/message/send/poll-vote', { instanceId: me.id, pollMessageId: '3EB0NONE', selectedOptions: ['Now'] });
  assert.equal(none.status, 404);

  const v = await gw.ok('POST', '/api/message/send/poll-vote', { instanceId: me.id, pollMessageId: m.key.id, selectedOptions: ['Later'] });
  const got = await a.message(x => x.key.id === v.messageId, 'our vote');
  const update = got.message.pollUpdateMessage;
  assert.equal(update.pollCreationMessageKey.id, m.key.id);
  const lid = got.key.remoteJid.endsWith('@lid');
  const plain = decryptPollVote(update.vote, {
    pollCreatorJid: lid ? a.lidUser : a.pnUser, pollMsgId: m.key.id,
    pollEncKey: m.message.messageContextInfo.messageSecret, voterJid: lid ? me.lid : own(),
  });
  assert.deepEqual(plain.selectedOptions.map(o => Buffer.from(o).toString('hex')), [hash('Later').toString('hex')]);
  await gw.event('poll.vote', x => x.pollMessageId === m.key.id && x.voter === own());
  const votes = await gw.ok('GET', `/api/message/${me.id}/${m.key.id}/votes`);
  assert.deepEqual(votes, [{ option: 'Now', voters: [], votes: 0 }, { option: 'Later', voters: [own()], votes: 1 }]);
});

test('events and their answers, both ways', async () => {
  const start = '2030-05-01T10:00:00.000Z';
  const { r, c, row } = await there('event', { name: 'Party', startTime: start, description: 'Bring cake', location: { name: 'Garden', address: 'Back' } });
  assert.equal(c.eventMessage.name, 'Party');
  assert.equal(Number(c.eventMessage.startTime), Date.parse(start) / 1000);
  assert.equal(c.eventMessage.location.name, 'Garden');
  assert.equal(row.event.startTime, start);

  await a.sock.relayMessage(own(), {
    encEventResponseMessage: {
      eventCreationMessageKey: { remoteJid: own(), fromMe: false, id: r.messageId },
      ...sealed(c.messageContextInfo.messageSecret, r.messageId, own(), a.pnUser, 'Event Response',
        proto.Message.EventResponseMessage.encode({ response: 3, timestampMs: Date.now() }).finish()),
    },
  }, {});
  const e = await gw.event('event.response', d => d.eventId === r.messageId);
  assert.equal(e.data.response, 'maybe');
  assert.equal(e.data.respondent, pn(a.phone));
  const tally = await gw.ok('GET', `/api/message/${me.id}/${r.messageId}/votes`);
  assert.deepEqual(tally.map(t => [t.option, t.votes]), [['going', 0], ['maybe', 1], ['not_going', 0]]);

  const text = await gw.ok('POST', `/api/events/${me.id}`, { to: a.phone, name: 'As text', startTime: start, asText: true });
  const asText = await a.message(x => x.key.id === text.messageId, 'event as text');
  assert.match(asText.message.extendedTextMessage.text, /As text/);

  const theirs = await here({ event: { name: 'Walk', startDate: new Date(start), description: 'Slow' } });
  assert.equal(theirs.d.type, 'event');
  assert.equal(theirs.d.event.name, 'Walk');
  const answer = await gw.ok('POST', `/api/events/${me.id}/${theirs.m.key.id}/respond`, { chatId: a.phone, response: 'going' });
  const got = await a.message(x => x.key.id === answer.messageId, 'our answer');
  const lid = got.key.remoteJid.endsWith('@lid');
  const plain = decryptEventResponse(got.message.encEventResponseMessage, {
    eventCreatorJid: lid ? a.lidUser : a.pnUser, eventMsgId: theirs.m.key.id,
    eventEncKey: theirs.m.message.messageContextInfo.messageSecret, responderJid: lid ? me.lid : own(),
  });
  assert.equal(plain.response, 1);
  await gw.event('event.response', d => d.eventId === theirs.m.key.id && d.response === 'going');
});

test('lists and buttons, with note, biz node and fallbacks', async () => {
  const sections = [{ title: 'Hot', rows: [{ title: 'Soup', description: 'of the day', rowId: 's' }, { title: 'Tea', rowId: 't' }] }];
  const list = await there('list', { title: 'Menu', text: 'Choose', buttonText: 'Open', sections });
  assert.ok(list.r.note);
  const flow = list.c.interactiveMessage.nativeFlowMessage.buttons[0];
  assert.equal(flow.name, 'single_select');
  assert.equal(JSON.parse(flow.buttonParamsJson).sections[0].rows[0].id, 's');
  assert.equal(list.row.type, 'list');
  const [n] = await sandbox.nodes(me.entry.jid, { dir: 'in', tag: 'message', id: list.r.messageId });
  const biz = n.node.content.find(x => x.tag === 'biz');
  assert.equal(biz.content.find(x => x.tag === 'interactive').content[0].attrs.name, 'mixed');
  assert.equal(n.node.content.find(x => x.tag === 'bot').attrs.biz_bot, '1');

  const buttons = await there('buttons', { text: 'Yes?', footer: 'small', buttons: [{ buttonId: 'y', buttonText: 'Yes' }, { id: 'n', text: 'No' }] });
  assert.deepEqual(buttons.c.interactiveMessage.nativeFlowMessage.buttons.map(b => JSON.parse(b.buttonParamsJson).id), ['y', 'n']);
  assert.equal(buttons.row.type, 'buttons');

  const poll = await there('buttons', { text: 'Poll?', fallback: 'poll', buttons: [{ id: 'y', text: 'Yes' }, { id: 'n', text: 'No' }] });
  assert.deepEqual((poll.c.pollCreationMessageV3 ?? poll.c.pollCreationMessage).options.map(o => o.optionName), ['Yes', 'No']);
  const text = await there('list', { title: 'Menu', buttonText: 'Open', sections, fallback: 'text' });
  assert.match(text.c.extendedTextMessage.text, /Menu[\s\S]*Hot[\s\S]*1\. Soup - of the day\n2\. Tea/);
});

test('pins, keeps and the disappearing timer, both ways', async () => {
  const r = await gw.send(me.id, a.phone, 'pin me');
  const got = await a.message('pin me');
  await gw.ok('PUT', '/api/message/pin', { instanceId: me.id, chatId: a.phone, messageId: r.messageId, duration: 86400 });
  const pin = await a.message(x => x.message.pinInChatMessage?.key.id === r.messageId, 'pin');
  assert.equal(pin.message.pinInChatMessage.type, 1);
  assert.equal(pin.message.messageContextInfo.messageAddOnDurationInSecs, 86400);
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/${r.messageId}`)).isPinned, true);
  await a.send(own(), { pin: got.key, type: 2, time: 86400 });
  await gw.event('chat.update', d => d.changes.messageId === r.messageId && d.changes.messagePinned === false);
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/${r.messageId}`)).isPinned, undefined);

  await gw.ok('PUT', `/api/chats/${me.id}/${a.phone}/ephemeral`, { expiration: 86400 });
  await a.message(x => x.message.protocolMessage?.ephemeralExpiration === 86400, 'timer');
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${a.phone}`)).ephemeral, 86400);
  const bad = await gw.call('PUT', `/api/chats/${me.id}/${a.phone}/ephemeral`, { expiration: 5 });
  assert.equal(bad.status, 400);

  const gone = await there('text', { message: 'will vanish' });
  assert.equal(gone.c.extendedTextMessage.contextInfo.expiration, 86400);
  await gw.ok('PUT', '/api/message/keep', { instanceId: me.id, chatId: a.phone, messageId: gone.r.messageId });
  await a.message(x => x.message.keepInChatMessage?.key.id === gone.r.messageId, 'keep');
  assert.equal((await gw.ok('GET', `/api/message/${me.id}/${gone.r.messageId}`)).isKept, true);

  await a.send(own(), { disappearingMessagesInChat: false });
  await gw.event('chat.update', d => d.changes.ephemeral === 0);
  assert.equal((await gw.ok('GET', `/api/chats/${me.id}/${a.phone}`)).ephemeral, 0);
});

test('replies to lists and buttons, invitations and unknown kinds arrive', async () => {
  const send = async message => {
    const id = await a.sock.relayMessage(own(), message, {});
    return (await gw.event('message.received', d => d.messageId === id)).data;
  };
  const list = await send({ listResponseMessage: { title: 'Soup', listType: 1, singleSelectReply: { selectedRowId: 's' } } });
  assert.equal(list.type, 'list_reply');
  assert.equal(list.reply.id, 's');
  const button = await send({ buttonsResponseMessage: { selectedButtonId: 'y', selectedDisplayText: 'Yes', type: 1 } });
  assert.equal(button.type, 'button_reply');
  assert.equal(button.reply.id, 'y');
  const invite = await send({ groupInviteMessage: { groupJid: '123456789@g.us', inviteCode: 'abc', groupName: 'Club' } });
  assert.equal(invite.type, 'group_invite');
  assert.equal(invite.groupInvite.groupId, '123456789@g.us');
});

test('link previews: fetched, given, refused, switched off', async () => {
  pages.set('/good', { body: '<html><head><title>plain</title><meta property="og:title" content="Tom &amp; Jerry"><meta name="description" content="A  cat\nand a mouse"></head><body>x</body></html>' });
  const good = await there('text', { message: `look: ${site.base}/good.` .replace('good.', 'good') });
  assert.equal(good.c.extendedTextMessage.matchedText, `${site.base}/good`);
  assert.equal(good.c.extendedTextMessage.title, 'Tom & Jerry');
  assert.equal(good.c.extendedTextMessage.description, 'A cat and a mouse');

  const off = await there('text', { message: `look: ${site.base}/good`, linkPreview: false });
  assert.ok(!off.c.extendedTextMessage.title);
  const missing = await there('text', { message: `look: ${site.base}/missing` });
  assert.ok(!missing.c.extendedTextMessage.title);

  pages.set('/away', { status: 302, headers: { location: 'file:///etc/passwd' }, body: '' });
  const file = await there('text', { message: `look: ${site.base}/away` });
  assert.ok(!file.c.extendedTextMessage.title);
  pages.set('/inside', { status: 302, headers: { location: 'http://192.168.77.1/' }, body: '' });
  const inside = await there('text', { message: `look: ${site.base}/inside` });
  assert.ok(!inside.c.extendedTextMessage.title);

  const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), crypto.randomBytes(200)]);
  pages.set('/p.jpg', { headers: { 'content-type': 'image/jpeg' }, body: jpeg });
  const given = await there('link-preview', { url: `${site.base}/other`, title: 'Mine', description: 'own words', image: `${site.base}/p.jpg` });
  assert.equal(given.c.extendedTextMessage.text, `${site.base}/other`);
  assert.equal(given.c.extendedTextMessage.title, 'Mine');
  assert.equal(Buffer.compare(Buffer.from(given.c.extendedTextMessage.jpegThumbnail), jpeg), 0);
});

test('bulk: results per recipient', async () => {
  const r = await gw.ok('POST', '/api/message/send/bulk', {
    instanceId: me.id, delay: 0, message: 'Dear {{name}} {{other}}',
    recipients: [{ to: a.phone, variables: { name: 'Anna' } }, '4990000000001'],
  });
  assert.equal(r.totalSent, 1);
  assert.equal(r.totalFailed, 1);
  assert.equal(r.sent[0].to, pn(a.phone));
  assert.equal(r.failed[0].success, false);
  const m = await a.message('Dear Anna {{other}}');
  assert.equal(m.key.id, r.sent[0].messageId);

  const body = { instanceId: me.id, delay: 0, message: 'only once', recipients: [a.phone] };
  const first = await gw.call('POST', '/api/message/send/bulk', body, { 'Idempotency-Key': 'bulk-1' });
  const again = await gw.call('POST', '/api/message/send/bulk', body, { 'Idempotency-Key': 'bulk-1' });
  assert.deepEqual(again.body.data, first.body.data);
  await a.message('only once');
});

test('search finds by text', async () => {
  const found = await gw.ok('GET', `/api/message/search/${me.id}?q=will%20van`);
  assert.deepEqual(found.map(m => m.body), ['will vanish']);
});

test('nothing was unhandled, and no protocol mistake was seen', async () => {
  assert.deepEqual(await sandbox.complaints(), { unhandled: [], faults: [] });
});

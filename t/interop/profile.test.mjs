// Pictures, about texts, block list, privacy, the own profile: REST on one side, a real client on the other.

import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import https from 'node:https';
import sharp from 'sharp';
import { Sandbox, Client } from './lib.mjs';
import { Gateway } from './gateway.mjs';
import { multipart, png } from './files.mjs';

let sandbox, gw, me, bea;

before(async () => {
  sandbox = await Sandbox.start();
  gw = await Gateway.start(sandbox);
  bea = new Client(sandbox, 'Bea');
  await bea.pairByQr(sandbox);
  me = await gw.pairByQr('Mia');
});

after(async () => {
  await bea?.stop();
  await gw?.stop();
  await sandbox?.stop();
});

const jpeg = (width, height) => sharp({ create: { width, height, channels: 3, background: '#3a7' } }).jpeg().toBuffer();
const text64 = async (width, height) => (await jpeg(width, height)).toString('base64');

async function sizeOf(file) {
  const { width, height, format } = await sharp(file).metadata();
  assert.equal(format, 'jpeg');
  return [width, height];
}

const get = (where, query = '') => gw.ok('GET', `/api/${where}${query}`);
const contact = what => `contacts/${me.id}/${what}?phoneNumber=${bea.phone}`;

async function fails(status, code, method, where, body) {
  const r = await gw.call(method, where, body);
  assert.equal(r.status, status, JSON.stringify(r.body));
  assert.equal(r.body.code, code);
  return r.body;
}

function download(url) {
  return new Promise((resolve, reject) => https.get(url, { ca: sandbox.cert }, res => {
    const parts = [];
    res.on('data', d => parts.push(d));
    res.on('end', () => resolve(Buffer.concat(parts)));
  }).on('error', reject));
}

test('a picture that a client sets is seen, and gone when it is removed', async () => {
  assert.deepEqual(await get(contact('picture')), { pictureUrl: null });
  const file = await jpeg(64, 64);
  await sandbox.post('/mock-user/picture', { from: bea.phone, picture: file.toString('base64') });
  await gw.event('contact.update', d => d.jid === bea.pnUser && d.picture === 'changed');
  const { pictureUrl } = await get(contact('picture'));
  assert.ok((await download(pictureUrl)).equals(file));
  assert.equal((await get(`contacts/${me.id}/picture?phoneNumber=${bea.phone}&type=preview`)).pictureUrl, pictureUrl);
  assert.equal((await get(`chats/${me.id}/${bea.phone}/picture`)).pictureUrl, pictureUrl);
  assert.equal((await get(`contacts/${me.id}/picture?phoneNumber=${encodeURIComponent(bea.lidUser)}`)).pictureUrl, pictureUrl);
  const asked = await sandbox.get(`/nodes?device=${me.phone}&dir=in&tag=iq&xmlns=w:profile:picture`);
  assert.deepEqual(asked.map(n => n.node.content[0].attrs.type).slice(-4), ['image', 'preview', 'image', 'image']);

  await bea.sock.updateProfilePicture(bea.pnUser, await jpeg(100, 100));
  await gw.until(() => gw.events.filter(e => e.event === 'contact.update' && e.data.picture === 'changed').length > 1, 'second picture');
  await bea.sock.removeProfilePicture(bea.pnUser);
  await gw.event('contact.update', d => d.jid === bea.pnUser && d.picture === 'removed');
  assert.deepEqual(await get(contact('picture')), { pictureUrl: null });
  await fails(400, 'VALIDATION_FAILED', 'GET', `/api/contacts/${me.id}/picture`);
  await fails(400, 'VALIDATION_FAILED', 'GET', `/api/contacts/${me.id}/picture?phoneNumber=${bea.phone}&type=huge`);
});

test('about: text, time, and nothing when it is hidden', async () => {
  await bea.sock.updateProfileStatus('At the beach 🏖');
  await gw.event('contact.update', d => d.jid === bea.pnUser && d.about === 'At the beach 🏖');
  let about = await get(contact('about'));
  assert.equal(about.about, 'At the beach 🏖');
  assert.equal(about.pictureUrl, null);
  assert.match(about.aboutSetAt, /^\d{4}-\d\d-\d\dT.*Z$/);

  await sandbox.post('/mock-user/picture', { from: bea.phone, picture: await text64(8, 8) });
  assert.ok((await get(contact('about'))).pictureUrl);
  await bea.sock.updateStatusPrivacy('none');
  await bea.sock.updateProfilePicturePrivacy('none');
  about = await get(contact('about'));
  assert.deepEqual(about, { pictureUrl: null, about: null, aboutSetAt: null });
  assert.deepEqual(await get(contact('picture')), { pictureUrl: null });
  await bea.sock.updateStatusPrivacy('all');
  await bea.sock.updateProfilePicturePrivacy('all');
  await fails(400, 'VALIDATION_FAILED', 'GET', `/api/contacts/${me.id}/about`);
});

test('the own profile: read, about, picture in every form', async () => {
  let p = await get(`profile/${me.id}`);
  assert.equal(p.id, `${me.phone}@s.whatsapp.net`);
  assert.equal(p.phone, me.phone);
  assert.equal(p.lid, me.lid);
  assert.equal(p.profilePicture, null);
  assert.equal(p.status, 'Hey there! I am using WhatsApp.');
  assert.equal(p.isBusiness, false);
  assert.ok(p.platform);

  const set = await gw.call('PUT', `/api/profile/${me.id}/status`, { status: 'Open till nine' });
  assert.deepEqual([set.status, set.body.data], [200, { status: 'Open till nine' }]);
  assert.equal((await get(`profile/${me.id}`)).status, 'Open till nine');
  const seen = await bea.sock.fetchStatus(`${me.phone}@s.whatsapp.net`);
  assert.equal(seen[0].status.status, 'Open till nine');
  await fails(400, 'VALIDATION_FAILED', 'PUT', `/api/profile/${me.id}/status`, { status: 'x'.repeat(140) });
  await fails(400, 'VALIDATION_FAILED', 'PUT', `/api/profile/${me.id}/status`, {});
  await gw.ok('PUT', `/api/profile/${me.id}/status`, { status: 'ü'.repeat(139) });

  const square = async body => {
    const r = await gw.call('PUT', `/api/profile/${me.id}/picture`, body);
    assert.equal(r.status, 200, JSON.stringify(r.body));
    assert.equal(r.body.message, 'Profile picture updated successfully');
    const { profilePicture } = await get(`profile/${me.id}`);
    assert.equal(await bea.sock.profilePictureUrl(`${me.phone}@s.whatsapp.net`, 'image'), profilePicture);
    return sizeOf(await download(profilePicture));
  };
  assert.deepEqual(await square({ image: await text64(1600, 900) }), [640, 640]);
  assert.deepEqual(await square({ imageBase64: `data:image/png;base64,${png(300, 500).toString('base64')}` }), [300, 300]);
  const many = await multipart(gw, `/api/profile/${me.id}/picture`, {}, await jpeg(700, 650), { method: 'PUT', type: 'image/jpeg' });
  assert.equal(many.status, 200, JSON.stringify(many.body));
  assert.deepEqual(await sizeOf(await download((await get(`profile/${me.id}`)).profilePicture)), [640, 640]);

  await fails(415, 'UNSUPPORTED_MEDIA', 'PUT', `/api/profile/${me.id}/picture`,
    { image: Buffer.from('this is no picture, whatever it says').toString('base64') });
  await fails(415, 'UNSUPPORTED_MEDIA', 'PUT', `/api/profile/${me.id}/picture`,
    { image: (await jpeg(100, 100)).subarray(0, 30).toString('base64') });
  await fails(422, 'MEDIA_FETCH_FAILED', 'PUT', `/api/profile/${me.id}/picture`, { imageUrl: 'http://127.0.0.1:1/none.jpg' });
  await fails(400, 'VALIDATION_FAILED', 'PUT', `/api/profile/${me.id}/picture`, {});

  const gone = await gw.call('DELETE', `/api/profile/${me.id}/picture`);
  assert.deepEqual([gone.status, gone.body.message], [200, 'Profile picture deleted successfully']);
  assert.equal((await get(`profile/${me.id}`)).profilePicture, null);
});

test('blocking and unblocking, by us and on the phone', async () => {
  const flag = async () => (await get(`contacts/${me.id}?phoneNumber=${bea.phone}`)).isBlocked;
  assert.deepEqual(await get(`contacts/${me.id}/blocklist`), []);
  const r = await gw.call('POST', `/api/contacts/${me.id}/block`, { phoneNumber: bea.phone });
  assert.deepEqual([r.status, r.body.message], [200, 'Contact blocked successfully']);
  await gw.event('contact.update', d => d.jid === bea.pnUser && d.isBlocked === true);
  assert.deepEqual(await get(`contacts/${me.id}/blocklist`), [bea.pnUser]);
  assert.equal(await flag(), true);
  const [change] = (await sandbox.get(`/nodes?device=${me.phone}&dir=in&tag=iq&xmlns=blocklist&type=set`)).map(n => n.node.content[0]);
  assert.equal(change.attrs.jid, bea.lidUser);
  assert.equal(change.attrs.pn_jid, bea.pnUser);
  assert.deepEqual((await get(`contacts/${me.id}/all?blocked=true`)).map(c => c.jid), [bea.pnUser]);

  const u = await gw.call('POST', `/api/contacts/${me.id}/unblock`, { phoneNumber: `+${bea.phone}` });
  assert.deepEqual([u.status, u.body.message], [200, 'Contact unblocked successfully']);
  assert.equal(await flag(), false);

  const seen = gw.events.length;
  await sandbox.post('/mock-user/privacy', { from: me.phone, block: bea.phone });
  await gw.until(() => gw.events.slice(seen).find(e => e.event === 'contact.update' && e.data.isBlocked === true), 'block on the phone');
  assert.equal(await flag(), true);
  await sandbox.post('/mock-user/privacy', { from: me.phone, block: bea.phone, unblock: true });
  await gw.until(() => gw.events.slice(seen).find(e => e.event === 'contact.update' && e.data.isBlocked === false), 'unblock on the phone');
  assert.equal(await flag(), false);

  await fails(404, 'LID_NOT_FOUND', 'POST', `/api/contacts/${me.id}/block`, { phoneNumber: '4999999999999' });
  await fails(400, 'VALIDATION_FAILED', 'POST', `/api/contacts/${me.id}/block`, {});
  await fails(400, 'INVALID_JID', 'POST', `/api/contacts/${me.id}/block`, { phoneNumber: me.phone });

  // what a real client does to its own list is another account's matter
  await bea.sock.updateBlockStatus(`${me.phone}@s.whatsapp.net`, 'block');
  assert.deepEqual(await bea.sock.fetchBlocklist(), [me.lid]);
  assert.deepEqual(await get(contact('picture')), { pictureUrl: null });
  await bea.sock.updateBlockStatus(`${me.phone}@s.whatsapp.net`, 'unblock');
});

test('privacy: every key both ways', async () => {
  const where = `/api/profile/${me.id}/privacy`;
  assert.deepEqual(await gw.ok('GET', where), {
    lastSeen: 'all', online: 'all', profilePicture: 'all', status: 'all', readReceipts: 'all', groupAdd: 'all',
    callAdd: 'all', messages: 'all', defense: 'off', stickers: 'contacts', defaultDisappearing: 0,
  });
  const changed = {
    lastSeen: 'contacts', online: 'match_last_seen', profilePicture: 'contact_blacklist', status: 'none', readReceipts: 'none',
    groupAdd: 'contacts', callAdd: 'known', messages: 'contacts', defense: 'on_standard', stickers: 'none',
    defaultDisappearing: 604800,
  };
  assert.deepEqual(await gw.ok('PUT', where, changed), changed);
  assert.deepEqual(await gw.ok('GET', where), changed);
  await gw.ok('PUT', where, { status: 'all', readReceipts: 'all', defaultDisappearing: 0 });
  assert.deepEqual(await gw.ok('GET', where), { ...changed, status: 'all', readReceipts: 'all', defaultDisappearing: 0 });
  await fails(400, 'VALIDATION_FAILED', 'PUT', where, { lastSeen: 'nobody' });
  await fails(400, 'VALIDATION_FAILED', 'PUT', where, { defaultDisappearing: 5 });
  await fails(400, 'VALIDATION_FAILED', 'PUT', where, {});
  const theirs = await bea.sock.fetchPrivacySettings(true);
  assert.equal(theirs.readreceipts, 'all');
});

test('contact link, business profile', async () => {
  const { url } = await gw.ok('GET', `/api/profile/${me.id}/qr-link`);
  assert.match(url, /^https:\/\/wa\.me\/qr\/[0-9A-F]{16}$/);
  await fails(404, 'NOT_FOUND', 'GET', `/api/profile/${me.id}/business`);

  const { id } = await gw.create('Shop');
  const { raw } = await gw.ok('GET', `/api/instance/${id}/qr`);
  const shop = JSON.parse(await sandbox.text('POST', '/mock-phone/scan-qr?name=Shop&business=Shop', raw));
  await gw.connected(id);
  const set = {
    address: '1 Main St', description: 'Shoes and more', email: 'hi@shop.example', websites: ['https://shop.example'],
    hours: { timezone: 'Europe/Paris', days: [{ day: 'mon', mode: 'specific_hours', openTimeInMinutes: 540, closeTimeInMinutes: 1080 },
      { day: 'sun', mode: 'appointment_only' }] },
  };
  await gw.ok('PUT', `/api/profile/${id}/business`, set);
  const b = await gw.ok('GET', `/api/profile/${me.id}/business?jid=${shop.phone}`);
  for (const k of Object.keys(set)) assert.deepEqual(b[k], set[k], k);
  const seen = await bea.sock.getBusinessProfile(`${shop.phone}@s.whatsapp.net`);
  assert.equal(seen.description, 'Shoes and more');
  assert.equal((await gw.ok('GET', `/api/profile/${id}`)).isBusiness, true);
  await fails(400, 'VALIDATION_FAILED', 'PUT', `/api/profile/${id}/business`, { hours: { timezone: 'x', days: [{ day: 'someday', mode: 'open_24h' }] } });
  await fails(403, 'WA_FORBIDDEN', 'PUT', `/api/profile/${me.id}/business`, { description: 'no shop' });
});

test('nothing of it without a connection', async () => {
  const { id } = await gw.create('Off');
  for (const [m, w] of [['GET', `profile/${id}`], ['GET', `profile/${id}/privacy`], ['GET', `contacts/${id}/blocklist`],
    ['GET', `contacts/${id}/about?phoneNumber=1555123456`], ['GET', `chats/${id}/1555123456/picture`], ['GET', `profile/${id}/qr-link`]]) {
    await fails(409, 'INSTANCE_NOT_CONNECTED', m, `/api/${w}`);
  }
  assert.deepEqual(await sandbox.get('/unhandled'), []);
  assert.deepEqual(await sandbox.get(`/faults?device=${me.phone}`), []);
});

// The examples are what they say: every configuration starts and answers, and
// the scripts do their work.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { createHmac } from 'node:crypto';
import path from 'node:path';
import { ROOT, LIMIT, SANDBOX, tempdir } from './lib.mjs';
import { NGINX, MODULE, freePort } from '../interop/gateway.mjs';

const opts = { timeout: 2 * LIMIT };

function get(port, where, headers = {}) {
  return new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port, path: where, headers, agent: false }, res => {
      const parts = [];
      res.on('data', d => parts.push(d));
      res.on('end', () => resolve({ status: res.statusCode, body: Buffer.concat(parts).toString() }));
    }).on('error', reject);
  });
}

function command(file, args, env) {
  const child = spawn(file, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const out = [];
  child.stdout.on('data', d => out.push(d));
  child.stderr.on('data', d => out.push(d));
  return new Promise(resolve => child.once('exit', code => resolve({ code, text: Buffer.concat(out).toString() })));
}

for (const name of fs.readdirSync(path.join(ROOT, 'examples')).filter(f => f.endsWith('.conf'))) {
  test(`examples/${name} starts and answers`, opts, async () => {
    const dir = tempdir();
    const [port, other] = [await freePort(), await freePort()];

    // only where things are is changed, never what is said about them
    fs.mkdirSync(path.join(dir, 'logs'));
    fs.writeFileSync(path.join(dir, 'api-key'), 'the-key-of-the-examples\n', { mode: 0o600 });
    fs.writeFileSync(path.join(dir, 'encryption-key'), Buffer.alloc(32, 7), { mode: 0o600 });
    fs.writeFileSync(path.join(dir, 'users'), 'anna:{PLAIN}secret\n');
    const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=wa.example.com',
      '-keyout', path.join(dir, 'tls.key'), '-out', path.join(dir, 'tls.pem')]);
    assert.equal(made.status, 0);
    fs.copyFileSync(path.join(dir, 'tls.pem'), path.join(dir, 'sandbox.pem'));
    let text = fs.readFileSync(path.join(ROOT, 'examples', name), 'utf8')
      .replace(/load_module \S+;/, `load_module ${MODULE};\ndaemon off;\npid ${dir}/nginx.pid;\nerror_log ${dir}/logs/error.log info;\n${process.getuid() === 0 ? 'user root;' : ''}`)
      .replaceAll('/etc/wagw/', `${dir}/`)
      .replaceAll('/var/log/nginx/', `${dir}/logs/`)
      .replaceAll('/var/lib/wagw', `${dir}/state`)
      .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
      .replace('listen 443', `listen 127.0.0.1:${other}`)
      .replace(/http \{\n/, `http {\n${text_paths(dir)}`);
    if (!text.includes('wagw_whatsapp_url')) text = text.replace(/http \{\n/, 'http {\n    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;\n');
    if (!text.includes('wagw_state_dir')) text = text.replace(/http \{\n/, `http {\n    wagw_state_dir ${dir}/state;\n`);
    fs.writeFileSync(path.join(dir, 'nginx.conf'), text);

    const child = spawn(NGINX, ['-p', dir, '-c', path.join(dir, 'nginx.conf')], { stdio: ['ignore', 'ignore', 'pipe'] });
    const said = [];
    child.stderr.on('data', d => said.push(d));
    const gone = new Promise(resolve => child.once('exit', resolve));
    try {
      // behind-auth serves no /health without a key of its own: ping is enough there
      const where = name === 'behind-auth.conf' ? '/office/health' : '/health';
      const headers = { authorization: `Basic ${Buffer.from('anna:secret').toString('base64')}` };
      let r;
      for (const end = Date.now() + LIMIT; ; ) {
        r = await get(port, where, headers).catch(() => null);
        if (r?.status === 200) break;
        assert.equal(child.exitCode, null, Buffer.concat(said).toString());
        assert.ok(Date.now() < end, JSON.stringify(r));
        await new Promise(resolve => setTimeout(resolve, 5));
      }
      assert.match(r.body, /"status"/);
      if (name === 'behind-auth.conf') {
        assert.equal((await get(port, '/office/api/instance', headers)).status, 200);
        assert.equal((await get(port, '/office/api/instance')).status, 401);
      }
      if (name === 'behind-proxy.conf') {
        assert.equal((await get(port, '/live')).status, 200);
      }
      if (text.includes(`wagw_api_key   file:`)) {
        assert.equal((await get(port, '/api/instance', { 'X-API-Key': 'the-key-of-the-examples' })).status, 200);
        assert.equal((await get(port, '/api/instance', { 'X-API-Key': 'another-key-of-some-length' })).status, 401);
      }
      if (name === 'public.conf') {
        assert.equal((await get(port, '/api/instance', { 'X-API-Key': 'the-key-of-the-examples' })).status, 200);
      }
    } finally {
      child.kill('SIGTERM');
      await gone;
      fs.rmSync(dir, { recursive: true, force: true });
    }
  });
}

// the examples of webhook receivers: what they take, what they refuse
const receivers = {
  'receiver.mjs': (port, secret) => ['node', ['examples/receiver.mjs', String(port), secret]],
  'receiver.py': (port, secret) => ['python3', ['examples/receiver.py', String(port), secret]],
  'receiver.php': (port, secret, dir) => ['env', [`WAGW_SECRET=${secret}`, `WAGW_SEEN=${dir}/seen`, 'php', '-S', `127.0.0.1:${port}`, 'examples/receiver.php']],
};
const has = word => spawnSync('sh', ['-c', `command -v ${word}`]).status === 0;

for (const [name, start] of Object.entries(receivers)) {
  const language = { mjs: 'node', py: 'python3', php: 'php' }[name.split('.')[1]];

  test(`examples/${name} takes what is signed, once`, { ...opts, skip: !has(language) && `no ${language} here` }, async () => {
    const [dir, port, secret] = [tempdir(), await freePort(), 'a-secret-of-the-test'];
    const [file, args] = start(port, secret, dir);
    const child = spawn(file, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    const gone = new Promise(resolve => child.once('exit', resolve));
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', d => { text += d; });
    const shown = async words => {
      for (const end = Date.now() + LIMIT; !text.includes(words); ) {
        assert.equal(child.exitCode, null, text);
        assert.ok(Date.now() < end, text);
        await new Promise(resolve => setTimeout(resolve, 5));
      }
    };
    const event = id => JSON.stringify({
      id, event: 'message.received', instanceName: 'Anna', data: { from: '1@s.whatsapp.net', pushName: 'Bert', body: `Hello ${id}` },
    });
    const deliver = (body, { key = secret, age = 0, signed = body } = {}) => new Promise((resolve, reject) => {
      const t = String(Math.floor(Date.now() / 1000) - age);
      http.request({
        host: '127.0.0.1', port, path: '/hook', method: 'POST', agent: false,
        headers: {
          'content-type': 'application/json', 'x-webhook-timestamp': t,
          'x-webhook-signature': `sha256=${createHmac('sha256', key).update(`${t}.${signed}`).digest('hex')}`,
        },
      }, res => resolve(res.resume().statusCode)).on('error', reject).end(body);
    });

    try {
      await shown(`http://127.0.0.1:${port}`);
      assert.equal(await deliver(event('one')), 200);
      await shown('from Bert: Hello one');
      assert.equal(await deliver(event('two'), { key: 'another secret' }), 401);
      assert.equal(await deliver(event('three'), { signed: event('four') }), 401);
      assert.equal(await deliver(event('five'), { age: 3600 }), 401);
      assert.equal(await deliver(event('one')), 200, 'a repetition is taken');
      assert.equal(await deliver(`{"batch":true,"events":[${event('one')},${event('six')}]}`), 200);
      await shown('from Bert: Hello six');
      assert.deepEqual([...text.matchAll(/Hello (\w+)/g)].map(m => m[1]), ['one', 'six']);
    } finally {
      child.kill('SIGTERM');
      await gone;
      fs.rmSync(dir, { recursive: true, force: true });
    }
  });
}

// Runs a .http file as editors do: variables, named requests, one after the
// other.  What it does not know between braces stays as it is.
async function run_http(file, given, port) {
  const vars = {}, answers = {}, done = [];
  const fill = s => s.replace(/\{\{(.+?)\}\}/g, (all, name) => {
    const [, request, where] = name.match(/^(\w+)\.response\.body\.\$\.(.+)$/) ?? [];
    if (request) return where.split('.').reduce((o, k) => o[k], answers[request]);
    return given[name] ?? vars[name] ?? all;
  });
  for (const part of fs.readFileSync(path.join(ROOT, 'examples', file), 'utf8').split(/^###/m)) {
    const lines = part.split('\n').slice(part.startsWith('#') ? 0 : 1);
    for (const l of part.split('\n')) {
      const [, name, value] = l.match(/^@(\w+) = (.*)$/) ?? [];
      if (name) vars[name] = value;
    }
    const name = part.match(/^# @name (\w+)$/m)?.[1];
    while (lines.length && !/^[A-Z]+ /.test(lines[0])) lines.shift();
    if (!lines.length) continue;
    const [method, url] = fill(lines.shift()).split(' ');
    const headers = {};
    while (lines.length && lines[0] !== '') {
      const [, key, value] = fill(lines.shift()).match(/^([\w-]+): (.*)$/);
      headers[key] = value;
    }
    let body = fill(lines.slice(1).join('\n').trim());
    if (headers['Content-Type']?.startsWith('multipart/')) body = `${body.replaceAll('\n', '\r\n')}\r\n`;
    const res = await fetch(url, { method, headers, body: body || undefined });
    const text = await res.text();
    assert.ok(res.ok, `${file}: ${method} ${url}: ${res.status} ${text}`);
    assert.ok(url.startsWith(`http://127.0.0.1:${port}/`));
    if (name) answers[name] = JSON.parse(text);
    done.push(`${method} ${url}`);
  }
  return done;
}

// so that nothing outside of the directory is needed
function text_paths(dir) {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(n => `    ${n}_temp_path ${dir}/${n};\n`).join('');
}

test('make run SANDBOX=1 and the first message', opts, async () => {
  const dir = tempdir();
  const port = await freePort();
  const env = { WAGW_STATE: path.join(dir, 'wagw'), WAGW_PORT: String(port), WAGW_MODULE: MODULE, WAGW_SANDBOX: SANDBOX, WAGW_NGINX: NGINX, SANDBOX: '1' };
  try {
    const started = await command('examples/run', [], env);
    assert.equal(started.code, 0, started.text);
    const file = path.join(dir, 'wagw/api-key');
    const key = fs.readFileSync(file, 'utf8');
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    assert.ok(started.text.includes(key), 'the key is printed');
    assert.equal((await get(port, '/api/instance', { 'X-API-Key': key })).status, 200);

    const talk = await command('examples/first-message.sh', [], env);
    assert.equal(talk.code, 0, talk.text);
    for (const line of [/message\.received +Bert +from Anna: Hello Bert/, /message\.received +Anna +.*Hello Anna/, /message\.ack +Anna .* delivered/]) {
      assert.match(talk.text, line);
    }

    const tour = await command('examples/tour.sh', [], env);
    assert.equal(tour.code, 0, tour.text);
    assert.match(tour.text, /12\. Text with the card of a link[\s\S]*votes: +\{"Soup":1,"Salad":0\}\n.*event: +\{"going":1,.*\n.*\["👍"\]\n12 kinds of messages arrived/);

    const instances = JSON.parse((await get(port, '/api/instance', { 'X-API-Key': key })).body).data;
    const anna = instances.find(i => i.name === 'Anna').id;
    const calls = await run_http('wagw.http', { url: `http://127.0.0.1:${port}`, key, instance: anna, to: '15550100199' }, port);
    assert.equal(calls.length, 19, calls.join('\n'));

    // again: the key stays, the sandbox and its instances are new
    const again = await command('examples/run', [], env);
    assert.equal(again.code, 0, again.text);
    assert.equal(fs.readFileSync(file, 'utf8'), key);
    assert.match((await get(port, '/api/instance', { 'X-API-Key': key })).body, /"data":\[\]/);
  } finally {
    const stopped = await command('examples/run', ['stop'], env);
    assert.equal(stopped.code, 0, stopped.text);
    await assert.rejects(get(port, '/health'));
    fs.rmSync(dir, { recursive: true, force: true });
  }
});

test('make run without a sandbox', opts, async () => {
  const dir = tempdir();
  const port = await freePort();
  const env = { WAGW_STATE: path.join(dir, 'wagw'), WAGW_PORT: String(port), WAGW_MODULE: MODULE, WAGW_NGINX: NGINX };
  try {
    const started = await command('examples/run', [], env);
    assert.equal(started.code, 0, started.text);
    const key = fs.readFileSync(path.join(dir, 'wagw/api-key'), 'utf8');
    assert.match((await get(port, '/api/instance', { 'X-API-Key': key })).body, /"success":true/);
  } finally {
    assert.equal((await command('examples/run', ['stop'], env)).code, 0);
    fs.rmSync(dir, { recursive: true, force: true });
  }
});

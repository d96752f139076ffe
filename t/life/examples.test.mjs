// The examples are what they say: every configuration starts and answers, and
// the scripts do their work.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
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
    let text = fs.readFileSync(path.join(ROOT, 'examples', name), 'utf8')
      .replace(/load_module \S+;/, `load_module ${MODULE};\ndaemon off;\npid ${dir}/nginx.pid;\nerror_log ${dir}/logs/error.log info;\n${process.getuid() === 0 ? 'user root;' : ''}`)
      .replaceAll('/etc/wagw/', `${dir}/`)
      .replaceAll('/var/log/nginx/', `${dir}/logs/`)
      .replaceAll('/var/lib/wagw', `${dir}/state`)
      .replace('127.0.0.1:8080', `127.0.0.1:${port}`)
      .replace('listen 443', `listen 127.0.0.1:${other}`)
      .replace(/http \{\n/, `http {\n    wagw_whatsapp_url ws://127.0.0.1:1/ws/chat;\n${text_paths(dir)}`);
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

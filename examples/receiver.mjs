// A small webhook receiver: checks the signature when it knows the secret,
// forgets repetitions, prints one line per event.
//
//   node examples/receiver.mjs [PORT] [SECRET]
//
// Port 0 takes a free one. The first line says where it listens.

import http from 'node:http';
import { createHmac, timingSafeEqual } from 'node:crypto';

const port = Number(process.argv[2] ?? 9090);
const secret = process.argv[3];
const seen = new Set();

// X-Webhook-Signature is over "<timestamp>.<body>": a captured delivery gets old
function genuine(headers, body) {
  if (!secret) return true;
  const text = Buffer.concat([Buffer.from(`${headers['x-webhook-timestamp']}.`), body]);
  const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(text).digest('hex')}`);
  const given = Buffer.from(headers['x-webhook-signature'] ?? '');
  const age = Math.abs(Date.now() / 1000 - Number(headers['x-webhook-timestamp']));
  return given.length === expected.length && timingSafeEqual(given, expected) && age < 300;
}

function line(event) {
  const d = event.data;
  switch (event.event) {
    case 'session.status': return d.status;
    case 'message.received': return `from ${d.pushName || d.from}: ${d.body}`;
    case 'message.sent': return `to ${d.to}: ${d.body}`;
    case 'message.ack': return `${d.messageId} ${d.ackName}`;
    default: return JSON.stringify(d);
  }
}

const server = http.createServer((req, res) => {
  const parts = [];

  req.on('data', part => parts.push(part));
  req.on('end', () => {
    const body = Buffer.concat(parts);

    if (req.method !== 'POST' || !genuine(req.headers, body)) {
      res.writeHead(401).end();
      return;
    }
    const given = JSON.parse(body);
    for (const event of given.batch ? given.events : [given]) {
      // delivered at least once: the id makes it exactly once
      if (seen.has(event.id)) continue;
      seen.add(event.id);
      console.log(`${event.event.padEnd(17)} ${event.instanceName}  ${line(event)}`);
    }
    res.end();
  });
});

server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/hook`));

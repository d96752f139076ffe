// Files for tests of media, and requests that carry them.

import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';

export function crc32(b) {
  let c = ~0;
  for (const x of b) {
    c ^= x;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  }
  return ~c >>> 0;
}

export function pngChunk(type, data) {
  const b = Buffer.concat([Buffer.from(type), data]);
  const out = Buffer.alloc(b.length + 8);
  out.writeUInt32BE(data.length, 0);
  b.copy(out, 4);
  out.writeUInt32BE(crc32(b), b.length + 4);
  return out;
}

// rows: what is compressed; by default a pattern of the right size
export function png(width, height, { rows, chunks = [] } = {}) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 2, 0, 0, 0], 8);
  if (!rows) {
    rows = Buffer.alloc((width * 3 + 1) * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) rows.set([x & 255, y & 255, (x * y) & 255], y * (width * 3 + 1) + 1 + x * 3);
    }
  }
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), pngChunk('IHDR', head), ...chunks,
    pngChunk('IDAT', zlib.deflateSync(rows)), pngChunk('IEND', Buffer.alloc(0))]);
}

// {status, headers, body (parsed when JSON)}
export function raw(gw, method, where, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const req = http.request({
      host: '127.0.0.1', port: gw.port, path: where, method,
      headers: { 'X-API-Key': gw.key, ...(body ? { 'Content-Length': body.length } : {}), ...headers },
    }, res => {
      const parts = [];
      res.on('data', d => parts.push(d));
      res.on('end', () => {
        const all = Buffer.concat(parts);
        resolve({ status: res.statusCode, headers: res.headers, body: /json/.test(res.headers['content-type'] ?? '') ? JSON.parse(all) : all });
      });
    });
    req.on('error', reject);
    req.end(body);
  });
}

// fields, then the file, then the fields behind it
export function multipart(gw, where, fields, file, { name = 'file', fileName = 'x.bin', type = 'application/octet-stream', behind = {} } = {}) {
  const boundary = `----b${crypto.randomBytes(8).toString('hex')}`;
  const field = ([k, v]) => Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${k}"\r\n\r\n${v}\r\n`);
  const body = Buffer.concat([
    ...Object.entries(fields).map(field),
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${fileName}"\r\nContent-Type: ${type}\r\n\r\n`),
    file, Buffer.from('\r\n'),
    ...Object.entries(behind).map(field),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
  return raw(gw, 'POST', where, body, { 'Content-Type': `multipart/form-data; boundary=${boundary}` });
}

// paths of the files below a directory of the state
function below(dir) {
  if (!fs.existsSync(dir)) return [];
  return fs.readdirSync(dir, { withFileTypes: true })
    .flatMap(e => (e.isDirectory() ? below(path.join(dir, e.name)) : [path.join(dir, e.name)])).sort();
}
export const kept = gw => below(path.join(gw.dir, 'state/kept'));
// what is under way, or was downloaded within the last minutes
export const spool = gw => below(path.join(gw.dir, 'state/media'));
export const bodies = gw => below(path.join(gw.dir, 'b'));

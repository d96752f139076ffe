// Files for tests of media, and requests that carry them.

import crypto from 'node:crypto';
import fs from 'node:fs';
import { execFileSync } from 'node:child_process';
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
export function multipart(gw, where, fields, file, { name = 'file', fileName = 'x.bin', type = 'application/octet-stream', behind = {}, method = 'POST' } = {}) {
  const boundary = `----b${crypto.randomBytes(8).toString('hex')}`;
  const field = ([k, v]) => Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${k}"\r\n\r\n${v}\r\n`);
  const body = Buffer.concat([
    ...Object.entries(fields).map(field),
    Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${fileName}"\r\nContent-Type: ${type}\r\n\r\n`),
    file, Buffer.from('\r\n'),
    ...Object.entries(behind).map(field),
    Buffer.from(`--${boundary}--\r\n`),
  ]);
  return raw(gw, method, where, body, { 'Content-Type': `multipart/form-data; boundary=${boundary}` });
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

// ---- pictures ----

// what ffmpeg makes of a file
export function ffmpeg(file, ...args) {
  return execFileSync('ffmpeg', ['-v', 'error', '-i', 'pipe:0', ...args, 'pipe:1'], { input: file, maxBuffer: 256 << 20 });
}
export const toWebp = (file, ...args) => ffmpeg(file, '-c:v', 'libwebp', '-lossless', '1', ...args, '-f', 'webp');
export const toJpeg = file => ffmpeg(file, '-q:v', '2', '-f', 'mjpeg');
export const toGif = file => ffmpeg(file, '-f', 'gif');
// {width, height, at(x, y) -> [r, g, b]} of a JPEG, PNG or WebP
export function pixels(file, width, height) {
  const rgb = ffmpeg(file, '-f', 'rawvideo', '-pix_fmt', 'rgb24');
  if (rgb.length !== width * height * 3) throw new Error(`${rgb.length} bytes are not ${width} x ${height}`);
  return (x, y) => [...rgb.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
}

// left half red, right half blue
export function halves(width, height) {
  const rows = Buffer.alloc((width * 3 + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows.set(x < width / 2 ? [255, 0, 0] : [0, 0, 255], y * (width * 3 + 1) + 1 + x * 3);
  }
  return png(width, height, { rows });
}

export function exif(orientation, little = true) {
  const b = Buffer.alloc(26);
  b.write(little ? 'II*\0' : 'MM\0*', 0, 'latin1');
  const u16 = (v, at) => (little ? b.writeUInt16LE(v, at) : b.writeUInt16BE(v, at));
  const u32 = (v, at) => (little ? b.writeUInt32LE(v, at) : b.writeUInt32BE(v, at));
  u32(8, 4); u16(1, 8); u16(0x112, 10); u16(3, 12); u32(1, 14); u16(orientation, 18);
  return b;
}

export function jpegTurned(jpeg, orientation, little) {
  const body = Buffer.concat([Buffer.from('Exif\0\0'), exif(orientation, little)]);
  const head = Buffer.from([0xff, 0xe1, 0, body.length + 2]);
  return Buffer.concat([jpeg.subarray(0, 2), head, body, jpeg.subarray(2)]);
}

const chunk = (name, body) => {
  const n = Buffer.alloc(4);
  n.writeUInt32LE(body.length);
  return Buffer.concat([Buffer.from(name), n, body, Buffer.alloc(body.length & 1)]);
};
const riff = (...chunks) => chunk('RIFF', Buffer.concat([Buffer.from('WEBP'), ...chunks]));
const canvas = (flags, width, height) => {
  const b = Buffer.alloc(10);
  b[0] = flags;
  b.writeUIntLE(width - 1, 4, 3);
  b.writeUIntLE(height - 1, 7, 3);
  return chunk('VP8X', b);
};

export function webpTurned(webp, width, height, orientation) {
  return riff(canvas(0x08, width, height), webp.subarray(12), chunk('EXIF', exif(orientation)));
}

// two frames
export function webpMoving(webp, width, height) {
  const frame = () => {
    const b = Buffer.alloc(16);
    b.writeUIntLE(width - 1, 6, 3);
    b.writeUIntLE(height - 1, 9, 3);
    b.writeUIntLE(100, 12, 3);
    return chunk('ANMF', Buffer.concat([b, webp.subarray(12)]));
  };
  return riff(canvas(0x02, width, height), chunk('ANIM', Buffer.alloc(6)), frame(), frame());
}
export const webpHuge = (width, height) => riff(canvas(0, width, height), chunk('VP8L', Buffer.from('2fffffff0f00', 'hex')));
export function gifHuge(width, height) {
  const b = Buffer.from('GIF89a\0\0\0\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\0\0\0\0\0\x02\x02D\x01\0;', 'latin1');
  b.writeUInt16LE(width, 6);
  b.writeUInt16LE(height, 8);
  b.writeUInt16LE(width, 24);
  b.writeUInt16LE(height, 26);
  return b;
}

// ---- documents ----

export function pdf(pages) {
  const objects = ['<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Count ${pages} /Kids [${Array.from({ length: pages }, (_, i) => `${3 + i} 0 R`).join(' ')}] >>`];
  for (let i = 0; i < pages; i++) objects.push('<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 400] >>');
  let out = '%PDF-1.4\n';
  const at = objects.map((o, i) => {
    const where = out.length;
    out += `${i + 1} 0 obj\n${o}\nendobj\n`;
    return where;
  });
  const xref = out.length;
  out += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${at.map(a => `${String(a).padStart(10, '0')} 00000 n \n`).join('')}`;
  return Buffer.from(`${out}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${xref}\n%%EOF\n`);
}

// ftyp, moov with mvhd (and tkhd when it has a picture), some bytes
export function mp4(seconds, width, height, size = 3000) {
  const box = (type, ...parts) => {
    const b = Buffer.concat(parts);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(b.length + 8, 0);
    head.write(type, 4);
    return Buffer.concat([head, b]);
  };
  const mvhd = Buffer.alloc(100);
  mvhd.writeUInt32BE(1000, 12);
  mvhd.writeUInt32BE(seconds * 1000, 16);
  const tkhd = Buffer.alloc(84);
  tkhd.writeUInt16BE(width, 76);
  tkhd.writeUInt16BE(height, 80);
  return Buffer.concat([box('ftyp', Buffer.from('isom\0\0\0\0isommp42')),
    box('moov', box('mvhd', mvhd), box('trak', box('tkhd', tkhd))), box('mdat', crypto.randomBytes(size))]);
}

// Ogg pages with Opus packets of 20 ms of silence
export function opus(packets) {
  const table = Array.from({ length: 256 }, (_, i) => {
    let r = i << 24;
    for (let k = 0; k < 8; k++) r = r & 0x80000000 ? (r << 1) ^ 0x04c11db7 : r << 1;
    return r >>> 0;
  });
  let seq = 0;
  const page = (flags, granule, data) => {
    const b = Buffer.alloc(28 + data.length);
    b.write('OggS', 0);
    b[5] = flags;
    b.writeBigUInt64LE(BigInt(granule), 6);
    b.writeUInt32LE(7, 14);
    b.writeUInt32LE(seq++, 18);
    b[26] = 1;
    b[27] = data.length;
    data.copy(b, 28);
    let crc = 0;
    for (const x of b) crc = ((crc << 8) ^ table[((crc >>> 24) ^ x) & 255]) >>> 0;
    b.writeUInt32LE(crc, 22);
    return b;
  };
  const head = Buffer.concat([Buffer.from('OpusHead'), Buffer.from([1, 1, 0x38, 1]), Buffer.from([0x80, 0xbb, 0, 0, 0, 0, 0])]);
  const tags = Buffer.concat([Buffer.from('OpusTags'), Buffer.from([4, 0, 0, 0]), Buffer.from('wagw'), Buffer.alloc(4)]);
  const out = [page(2, 0, head), page(0, 0, tags)];
  for (let i = 1; i <= packets; i++) out.push(page(i === packets ? 4 : 0, i * 960, Buffer.from([0xf8, 0xff, 0xfe])));
  return Buffer.concat(out);
}

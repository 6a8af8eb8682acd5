// The usual Node.js pipeline: HTTP, gunzip, stream-json, normalise, batches of 500, a sink that takes everything.
// What is usually wrong in it is right here: back-pressure by pipeline(), the last batch is flushed, errors end it.
// usage: node pipeline.mjs URL array|lines [gzip]     prints one line of JSON
import http from 'node:http';
import { Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { parser } from 'stream-json';
import { parser as jsonlParser } from 'stream-json/jsonl/parser.js';
import { streamArray } from 'stream-json/streamers/stream-array.js';

const BATCH = 500;
const [url, shape, packing] = process.argv.slice(2);

function normalised({ value }) {
  return {
    recordingId: value.recordingId,
    durationMs: Number(value.durationMs),
    timestamp: new Date(value.timestamp).toISOString(),
    queueId: value.queue?.id ?? null,
    processedAt,
  };
}

class Batches extends Transform {
  constructor() {
    super({ objectMode: true });
    this.rows = [];
  }

  _transform(item, _, done) {
    this.rows.push(normalised(item));
    if (this.rows.length >= BATCH) this._hand();
    done();
  }

  _flush(done) {
    if (this.rows.length) this._hand();
    done();
  }

  _hand() {
    this.push(this.rows);
    this.rows = [];
  }
}

const opened = (address) =>
  new Promise((resolve, reject) => {
    http
      .get(address, (response) => {
        if (response.statusCode === 200) resolve(response);
        else reject(new Error(`HTTP status ${response.statusCode}`));
      })
      .on('error', reject);
  });

const processedAt = new Date().toISOString();
const parsing = shape === 'array' ? [parser.asStream(), streamArray.asStream()] : [jsonlParser.asStream()];
let bytes = 0;
let records = 0;
const counted = new Transform({
  transform(chunk, _, done) {
    bytes += chunk.length;
    done(null, chunk);
  },
});
const sink = new Writable({
  objectMode: true,
  write(rows, _, done) {
    records += rows.length;
    done();
  },
});

const began = process.hrtime.bigint();
const before = process.cpuUsage();
const source = await opened(url);
await pipeline([source, ...(packing === 'gzip' ? [createGunzip()] : []), counted, ...parsing, new Batches(), sink]);
const used = process.cpuUsage(before);
console.log(
  JSON.stringify({
    seconds: Number(process.hrtime.bigint() - began) / 1e9,
    cpu: (used.user + used.system) / 1e6,
    bytes,
    records,
    peak_mib: process.resourceUsage().maxRSS / 1024,
  }),
);

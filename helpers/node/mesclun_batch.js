'use strict';
/* One function that takes a batch, served over HTTP as mesclun-app asks for it. Copy this file beside your application
 * (as mesclun_batch.cjs if your package.json says "type": "module").
 *
 *     const { serve } = require('./mesclun_batch');
 *
 *     async function handle(items) {                     // an array of 1 to batch.size_max items
 *       const answers = await model.run(items.map((item) => item.body.data));
 *       return answers.map((answer) => ({ result: answer }));   // one result for each item, in the same order
 *     }
 *
 *     serve(handle, '127.0.0.1:8001');                   // application.address of mesclun-app
 *
 * `handle` gets one batch at a time (`concurrency` for more). GET /health is answered while it awaits; work that
 * computes without awaiting belongs into a worker thread. `item.body` is the caller's JSON, or a Buffer for other media
 * types (batch.format: multipart); `item.path`, `item.mediaType` and `item.id` tell the rest.
 *
 * A result is anything that JSON can say, or a Buffer, or new Answer(body, {status, headers, mediaType}), or an Error,
 * which fails this item alone: new ItemError(422, 'too long') as said, any other with 500. If `handle` throws, the batch
 * fails as a whole, and mesclun-app tries each item once alone.
 *
 * A POST to another path than the batch target is a batch of one, and is answered plainly: the application works without
 * mesclun-app too. Needs Node 18 and nothing else.
 */

const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');

const JSON_TYPE = 'application/json';

/** A result with a status, headers or a media type of its own. */
class Answer {
  constructor(body, { status = 200, headers = {}, mediaType = '' } = {}) {
    Object.assign(this, { body, status, headers, mediaType });
  }
}

/** Fails one item with this status; its caller gets {"error": message}. */
class ItemError extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    Object.assign(this, { status, headers });
  }
}

class Refusal extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    Object.assign(this, { status, headers });
  }
}

/** Lets `places` run at a time and `waitingMax` more wait, first come first served. */
class Desk {
  constructor(places, waitingMax) {
    Object.assign(this, { places, waitingMax, waiting: [] });
  }

  async run(work) {
    if (this.places > 0) {
      this.places -= 1;
    } else {
      if (this.waiting.length >= this.waitingMax) throw new Refusal(503, 'too many requests wait', { 'Retry-After': '1' });
      await new Promise((go) => this.waiting.push(go));
    }
    try {
      return await work();
    } finally {
      // The place goes to the next one, or back.
      if (this.waiting.length > 0) this.waiting.shift()();
      else this.places += 1;
    }
  }
}

// ---- results as bytes ----

function encode(result) {
  if (result instanceof ItemError) {
    return { status: result.status, headers: result.headers, mediaType: JSON_TYPE, isJson: true,
      content: Buffer.from(JSON.stringify({ error: result.message })) };
  }
  if (result instanceof Error) return encode(new ItemError(500, `${result.name}: ${result.message}`));
  const { body, status, headers, mediaType } = result instanceof Answer ? result : new Answer(result);
  if (body instanceof Uint8Array) {
    return { status, headers, mediaType: mediaType || 'application/octet-stream', isJson: false,
      content: Buffer.from(body.buffer, body.byteOffset, body.byteLength) };
  }
  try {
    return { status, headers, mediaType: mediaType || JSON_TYPE, isJson: true,
      content: Buffer.from(JSON.stringify(body ?? null)) };
  } catch (error) { // a circle, a BigInt
    return encode(new ItemError(500, `the result is not JSON: ${error.message}`));
  }
}

function jsonAnswer(ids, results) {
  const entries = results.map((result, i) => {
    const { status, headers, content } = result.isJson ? result
      : encode(new ItemError(500, 'bytes can be answered with batch.format: multipart only'));
    const head = { id: ids[i], status, ...(Object.keys(headers).length > 0 ? { headers } : {}) };
    return `${JSON.stringify(head).slice(0, -1)},"body":${content}}`;
  });
  return { mediaType: JSON_TYPE, content: Buffer.from(`{"items":[${entries.join(',')}]}`) };
}

function multipartAnswer(ids, results) {
  const boundary = `mesclun-${crypto.randomBytes(16).toString('hex')}`;
  const pieces = results.flatMap((result, i) => {
    const name = ids[i].replace(/[\\"]/g, '\\$&');
    const lines = [`--${boundary}`, `Content-Disposition: form-data; name="${name}"`,
      `Content-Type: ${result.mediaType}`, `X-Status: ${result.status}`,
      ...Object.entries(result.headers).map(([header, value]) => `${header}: ${value}`)];
    return [Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), result.content, Buffer.from('\r\n')];
  });
  return { mediaType: `multipart/form-data; boundary=${boundary}`,
    content: Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]) };
}

// ---- the batch: an item as it came is {id, item} or {id, error} ----

const mediaTypeOf = (value) => value.split(';')[0].trim().toLowerCase();

function decodeItem(id, path, mediaType, content) {
  if (mediaTypeOf(mediaType) !== JSON_TYPE) return { id, item: { id, path, mediaType, body: content } };
  try {
    return { id, item: { id, path, mediaType, body: content.length > 0 ? JSON.parse(content) : null } };
  } catch (error) {
    return { id, error: new ItemError(400, `the body is not JSON: ${error.message}`) };
  }
}

function parseJsonBatch(content) {
  let items;
  try {
    ({ items } = JSON.parse(content));
  } catch (error) {
    throw new Refusal(400, `not a batch: ${error.message}`);
  }
  if (!Array.isArray(items) || !items.every((one) => one !== null && typeof one === 'object' && 'id' in one)) {
    throw new Refusal(400, 'not a batch: {"items":[{"id":...},...]}');
  }
  return items.map(({ id, path = '', body = null }) => (
    { id: String(id), item: { id: String(id), path, mediaType: JSON_TYPE, body } }));
}

/** Headers (names in lower case) and bytes of each part. The line break before a delimiter belongs to it. */
function splitMultipart(content, boundary) {
  const delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
  let at = content.subarray(0, delimiter.length - 2).equals(delimiter.subarray(2)) ? 0 : content.indexOf(delimiter) + 2;
  if (at === 1) throw new Refusal(400, 'the boundary is not in the body');
  const parts = [];
  for (;;) {
    at += delimiter.length - 2;
    if (content.toString('latin1', at, at + 2) === '--') return parts;
    const headEnd = content.indexOf('\r\n\r\n', at);
    const end = content.indexOf(delimiter, headEnd + 4);
    if (headEnd < 0 || end < 0) throw new Refusal(400, 'a part does not end');
    const headers = {};
    for (const line of content.toString('latin1', at, headEnd).split('\r\n')) {
      const colon = line.indexOf(':');
      if (colon > 0) headers[line.slice(0, colon).trim().toLowerCase()] = line.slice(colon + 1).trim();
    }
    parts.push({ headers, body: content.subarray(headEnd + 4, end) });
    at = end + 2;
  }
}

function parseMultipartBatch(contentType, content) {
  const boundary = /boundary=(?:"([^"]+)"|([^\s;,]+))/i.exec(contentType);
  if (!boundary) throw new Refusal(400, 'multipart without a boundary');
  return splitMultipart(content, boundary[1] ?? boundary[2]).map(({ headers, body }) => {
    const name = /(?:^|;)\s*name=(?:"((?:\\.|[^"\\])*)"|([^\s;]+))/i.exec(headers['content-disposition'] ?? '');
    if (!name) throw new Refusal(400, 'a part has no name');
    const id = name[1] === undefined ? name[2] : name[1].replace(/\\(.)/g, '$1');
    return decodeItem(id, headers['x-path'] ?? '', headers['content-type'] ?? '', body);
  });
}

// ---- HTTP ----

async function readBody(request, bytesMax) {
  const tooLarge = new Refusal(413, `more than ${bytesMax} bytes`, { Connection: 'close' });
  if (Number(request.headers['content-length'] ?? 0) > bytesMax) throw tooLarge;
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    size += piece.length;
    if (size > bytesMax) throw tooLarge;
    pieces.push(piece);
  }
  return Buffer.concat(pieces, size);
}

/** Results of all items in order; those that came broken do not reach handle(). */
async function resultsOf(parsed, desk, handle) {
  const good = parsed.filter(({ item }) => item).map(({ item }) => item);
  let found = [];
  if (good.length > 0) {
    try {
      found = await desk.run(() => handle(good));
    } catch (error) {
      // Of several items nobody can tell whose it is; alone it will be known.
      if (!(error instanceof ItemError) || good.length > 1) throw error;
      found = [error];
    }
    if (!Array.isArray(found) || found.length !== good.length) {
      throw new TypeError(`handle() gave ${found?.length ?? typeof found} results for ${good.length} items`);
    }
  }
  let next = 0;
  return parsed.map(({ item, error }) => encode(item ? found[next++] : error));
}

async function answerTo(request, desk, handle, options) {
  const path = request.url.split('?')[0];
  if (request.method === 'GET' || request.method === 'HEAD') {
    return path === options.healthPath ? encode({ status: 'ready' }) : encode(new ItemError(404, 'no such path'));
  }
  const mediaType = request.headers['content-type'] ?? JSON_TYPE;
  const content = await readBody(request, options.bodyBytesMax);
  if (path !== options.target) {
    return (await resultsOf([decodeItem('', request.url, mediaType, content)], desk, handle))[0];
  }
  const multipart = mediaTypeOf(mediaType) === 'multipart/form-data';
  const parsed = multipart ? parseMultipartBatch(mediaType, content) : parseJsonBatch(content);
  const results = await resultsOf(parsed, desk, handle);
  const ids = parsed.map(({ id }) => id);
  const inParts = multipart && !results.every(({ isJson }) => isJson);
  return { status: 200, headers: {}, ...(inParts ? multipartAnswer : jsonAnswer)(ids, results) };
}

function listen(server, address) {
  if (address.startsWith('unix:')) {
    const path = address.slice(5);
    // Left behind by a run that was killed.
    if (fs.statSync(path, { throwIfNoEntry: false })?.isSocket()) fs.unlinkSync(path);
    server.listen({ path });
  } else {
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
    server.listen({ port: Number(address.slice(colon + 1)), ...(host === '' ? {} : { host }) });
  }
}

/**
 * Listens at HOST:PORT, :PORT (IPv6 and IPv4) or unix:PATH until SIGTERM or SIGINT, and then finishes what is in flight.
 * Returns the http.Server.
 */
function serve(handle, address = '127.0.0.1:8001', {
  target = '/batch', healthPath = '/health', concurrency = 1, waitingMax = 100, bodyBytesMax = 2 ** 30, signals = true,
} = {}) {
  const desk = new Desk(concurrency, waitingMax);
  const options = { target, healthPath, bodyBytesMax };
  const server = http.createServer(async (request, response) => {
    let answer;
    try {
      answer = await answerTo(request, desk, handle, options);
    } catch (thrown) {
      if (thrown instanceof Refusal) {
        answer = encode(new ItemError(thrown.status, thrown.message, thrown.headers));
      } else { // handle()'s own
        console.error(thrown);
        answer = encode(new ItemError(500, String(thrown)));
      }
    }
    response.writeHead(answer.status, { ...answer.headers, 'Content-Type': answer.mediaType,
      'Content-Length': answer.content.length, ...(server.listening ? {} : { Connection: 'close' }) });
    response.end(request.method === 'HEAD' ? undefined : answer.content);
  });
  // The other side keeps connections; one that we closed just as it asked would be a lost request.
  server.keepAliveTimeout = 0;
  listen(server, address);
  const stop = () => {
    server.close(() => process.exit(0));
    server.closeIdleConnections?.();
  };
  if (signals) for (const name of ['SIGTERM', 'SIGINT']) process.once(name, stop);
  return server;
}

module.exports = { Answer, ItemError, serve };

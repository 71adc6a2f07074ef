'use strict';
// The twin of helper_app.py on helpers/node/mesclun_batch.js.

const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { Answer, ItemError, serve } = require(path.join(__dirname, '../../helpers/node/mesclun_batch.js'));

function one(item, batch) {
  if (Buffer.isBuffer(item.body)) return Buffer.from(item.body).reverse();
  switch (item.body.do) {
    case 'refuse': return new ItemError(422, 'too long');
    case 'break': return new TypeError('broken');
    case 'headers': return new Answer({ path: item.path }, { status: 201, headers: { 'X-Tokens': '12' } });
    case 'bytes': return new Answer(Buffer.from([0, 13, 10, 255]), { mediaType: 'image/png' });
    case 'no json': return { tensor: 1n };
    default: return { result: item.body.data ** 2, batch };
  }
}

async function handle(items) {
  const does = (what) => items.some(({ body }) => body.do === what);
  await sleep(1000 * items.reduce((sum, { body }) => sum + (body.seconds ?? 0), 0));
  if (does('raise')) throw new Error('all of it');
  if (does('raise item')) throw new ItemError(418, 'this one');
  const results = items.map((item) => one(item, items.length));
  return does('forget') ? results.slice(1) : results;
}

serve(handle, process.argv[2], { waitingMax: 2, bodyBytesMax: 2 ** 20 });

// An application that speaks to the metadata service by the official JavaScript SDK: the part of echo.py that
// test_metadata.py needs to see a run and its files, and /sdk/WHAT?argument=... for the calls. Listens on $PORT.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const { Metadata, SaladCloudImdsSdk } = require('@saladtechnologies-oss/salad-cloud-imds-sdk');

const run = `${process.pid}-${Date.now()}`;
const service = new SaladCloudImdsSdk({
  baseUrl: process.env.SALAD_METADATA_URI || 'http://169.254.169.254:80',
  timeoutMs: 10_000,
}).metadata;
const metadata = Metadata.TRUE_;

const calls = {
  status: async () => (await service.getStatus({ metadata })).data,
  token: async () => (await service.getToken({ metadata })).data,
  'deletion-cost': async (argument) => {
    if (argument) await service.replaceDeletionCost({ deletionCost: Number(argument) }, { metadata });
    return { deletion_cost: (await service.getDeletionCost({ metadata })).data.deletionCost };
  },
  restart: async () => (await service.restart({ metadata })).data ?? {},
  recreate: async () => (await service.recreate({ metadata })).data ?? {},
  reallocate: async (reason) => (await service.reallocate({ reason }, { metadata })).data ?? {},
};

async function bodyOf(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function answer(request) {
  const url = new URL(request.url, 'http://here');
  const [, first, rest] = url.pathname.split('/');
  const body = await bodyOf(request);
  if (first === 'sdk') return [200, await calls[rest](url.searchParams.get('argument'))];
  if (first !== 'file') return [200, { run }];
  if (request.method === 'PUT') fs.writeFileSync(rest, body);
  return fs.existsSync(rest) ? [200, fs.readFileSync(rest)] : [404, {}];
}

const server = http.createServer(async (request, response) => {
  let status;
  let content;
  try {
    [status, content] = await answer(request);
  } catch (error) {
    [status, content] = [500, { error: String(error) }];
  }
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(Buffer.isBuffer(content) ? content : JSON.stringify(content));
});
server.listen(Number(process.env.PORT), '::');
process.on('SIGTERM', () => process.exit(0));

import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { ByteBudget, LINES_FACTOR, OBJECTS_FACTOR } from '../write/budget.ts';
import { assertProblem, serve } from './rest-fixture.ts';

const ROWS = '/v1/tables/t/rows';
const TEXT = '{"id":"a","payload":{}}\n'.repeat(10_000);
const GZIP = gzipSync(TEXT);
const GZIP_HEADERS = { 'content-type': 'application/x-ndjson', 'content-encoding': 'gzip' };
const COST = GZIP.length + TEXT.length * LINES_FACTOR;

const WAIT_MS_MAX = 5_000;

async function until(holds: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + WAIT_MS_MAX;
  while (!holds()) {
    assert.ok(performance.now() < deadlineMs, `not so in ${WAIT_MS_MAX} ms: ${holds}`);
    await sleep(1);
  }
}

const empty = (budget: ByteBudget) => until(() => budget.taken === 0);

/** A server whose writes wait until they are let go; `arrived` says when so many of them do. */
async function serveHeld(bytesMax: number) {
  const served = await serve({}, new ByteBudget(bytesMax));
  const release = Promise.withResolvers<void>();
  served.api.gate = () => release.promise;
  const arrived = (count: number) => until(() => served.api.batches.length === count);
  return { ...served, release: release.resolve, arrived };
}

describe('the budget of a server', () => {
  test('holds as many gzip bodies at once as fit when unpacked, and refuses the others with 429', async () => {
    const { budget, post, release, arrived } = await serveHeld(COST * 3 + GZIP.length);
    const held = [1, 2, 3].map(() => post(ROWS, GZIP, GZIP_HEADERS));
    await arrived(3);
    assert.equal(budget.taken, COST * 3);
    const surplus = await Promise.all([1, 2, 3, 4, 5].map(() => post(ROWS, GZIP, GZIP_HEADERS)));
    for (const answer of surplus) {
      assertProblem(answer, 429, 'too_much_in_flight');
      assert.equal(answer.headers.get('retry-after'), '1');
    }
    release();
    for (const answer of await Promise.all(held)) assert.equal(answer.status, 200);
    await empty(budget);
  });

  test('refuses a body by its length alone, before it is sent', async () => {
    const { budget, server, post, release, arrived } = await serveHeld(COST + 999);
    const held = post(ROWS, GZIP, GZIP_HEADERS);
    await arrived(1);
    const headers = { ...GZIP_HEADERS, 'content-length': 1_000 };
    const refused = httpRequest({ port: server.port, method: 'POST', path: ROWS, headers });
    const answer = Promise.withResolvers<number | undefined>();
    refused.on('response', (response) => answer.resolve(response.statusCode));
    refused.on('error', () => {});
    refused.flushHeaders();
    assert.equal(await answer.promise, 429);
    refused.destroy();
    release();
    await held;
    await empty(budget);
  });

  test('counts a body of unknown length as it arrives', async () => {
    const { budget, server, post, release, arrived } = await serveHeld(COST + 50_000);
    const held = post(ROWS, GZIP, GZIP_HEADERS);
    await arrived(1);
    const headers = { 'content-type': 'application/x-ndjson' };
    const chunked = httpRequest({ port: server.port, method: 'POST', path: ROWS, headers });
    const answer = Promise.withResolvers<number | undefined>();
    chunked.on('response', (response) => answer.resolve(response.statusCode));
    chunked.on('error', () => {});
    chunked.write('x'.repeat(40_000));
    await until(() => budget.taken === COST + 40_000);
    chunked.write('x'.repeat(20_000));
    assert.equal(await answer.promise, 429);
    chunked.destroy();
    release();
    await held;
    await empty(budget);
  });

  test('counts nothing of a large body that is only announced, and what has come of it', {
    timeout: 10_000,
  }, async () => {
    const { budget, server, post } = await serve({}, new ByteBudget(1_000_000));
    const headers = { 'content-type': 'application/x-ndjson', 'content-length': 900_000 };
    const idle = Array.from({ length: 5 }, () => {
      const request = httpRequest({ port: server.port, method: 'POST', path: ROWS, headers });
      request.on('error', () => {});
      request.flushHeaders();
      return request;
    });
    idle[0]!.write('x'.repeat(100_000));
    await until(() => budget.taken === 100_000);
    assert.equal((await post('/v1/data', '{"id":"a","payload":{}}')).status, 200);
    for (const request of idle) request.destroy();
    await empty(budget);
  });

  test('is given back by a large body that stops coming, which hears so', {
    timeout: 10_000,
  }, async (context) => {
    const { budget, server } = await serve();
    context.mock.timers.enable({ apis: ['setInterval'] });
    const headers = { 'content-type': 'application/x-ndjson', 'content-length': 900_000 };
    const slow = httpRequest({ port: server.port, method: 'POST', path: ROWS, headers });
    const answer = Promise.withResolvers<number | undefined>();
    slow.on('response', (response) => answer.resolve(response.statusCode));
    slow.on('error', () => {});
    slow.write('x'.repeat(400_000));
    await until(() => budget.taken === 400_000);
    context.mock.timers.tick(10_000);
    context.mock.timers.tick(10_000);
    assert.equal(await answer.promise, 408);
    await empty(budget);
    slow.destroy();
  });

  test('counts what a JSON array and a single row take when they are read', async () => {
    const { api, budget, post } = await serve();
    const taken: number[] = [];
    api.gate = async () => {
      taken.push(budget.taken);
    };
    const rows = '[{"id":"a","payload":{}}]';
    const row = '{"id":"a","payload":{}}';
    await post(ROWS, rows);
    await post('/v1/data', row);
    assert.deepEqual(taken, [rows.length * OBJECTS_FACTOR, row.length * OBJECTS_FACTOR]);
    await empty(budget);
  });

  test('is whole again after bodies that are refused for what they are', async () => {
    const { budget, post } = await serve({ rowsBytesMax: 100, textBytesMax: 200 });
    assertProblem(await post(ROWS, 'x'.repeat(101)), 413, 'body_too_large');
    assertProblem(await post(ROWS, gzipSync('x'.repeat(201)), GZIP_HEADERS), 413, 'body_too_large');
    assertProblem(await post(ROWS, 'no gzip', GZIP_HEADERS), 400, 'invalid_compression');
    await empty(budget);
  });

  test('is whole again after a client that leaves in the middle of its body', async () => {
    const { budget, server } = await serve();
    const headers = { ...GZIP_HEADERS, 'content-length': 1_000 };
    const request = httpRequest({ port: server.port, method: 'POST', path: ROWS, headers });
    request.on('error', () => {});
    request.write('x');
    await until(() => budget.taken === 1_000);
    request.destroy();
    await empty(budget);
  });

  test('keeps the share of a client that leaves until the work for it has ended', async () => {
    const { api, budget, server, release, arrived } = await serveHeld(COST);
    const gone = Promise.withResolvers<void>();
    const { gate } = api;
    api.gate = (call) => {
      call.signal.addEventListener('abort', () => gone.resolve());
      return gate(call);
    };
    const request = httpRequest({ port: server.port, method: 'POST', path: ROWS, headers: GZIP_HEADERS });
    request.on('error', () => {});
    request.end(GZIP);
    await arrived(1);
    request.destroy();
    await gone.promise;
    assert.equal(budget.taken, COST);
    release();
    await empty(budget);
  });
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import type { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { assertProblem, serve } from './rest-fixture.ts';

describe('the server', () => {
  test('knows its routes and their methods', async () => {
    const { send } = await serve();
    assertProblem(await send('/v1/nowhere', { method: 'GET' }), 404, 'route_not_found');
    for (const [method, path, allow] of [
      ['GET', '/v1/data', 'POST'],
      ['DELETE', '/v1/query', 'POST'],
      ['PUT', '/v1/tables/t/rows', 'POST'],
      ['POST', '/v1/health', 'GET, HEAD'],
    ] as const) {
      const answer = await send(path, { method });
      assertProblem(answer, 405, 'method_not_allowed');
      assert.equal(answer.headers.get('allow'), allow);
    }
    assert.equal((await send('/v1/data', { method: 'HEAD' })).status, 405);
  });

  test('refuses other content types before it reads the body', async () => {
    const { post } = await serve();
    assertProblem(
      await post('/v1/data', 'a=b', { 'content-type': 'application/x-www-form-urlencoded' }),
      415,
      'unsupported_media_type',
    );
    assertProblem(
      await post('/v1/tables/t/rows', 'a,b', { 'content-type': 'text/csv' }),
      415,
      'unsupported_media_type',
    );
  });

  test('takes a body of exactly the limit and not one byte more', async () => {
    const { post } = await serve({ jsonBytesMax: 100, rowsBytesMax: 200 });
    const body = (length: number) =>
      JSON.stringify({ id: 'a', payload: { x: '' } }).replace('""', `"${'x'.repeat(length - 29)}"`);
    assert.equal(Buffer.byteLength(body(100)), 100);
    assert.equal((await post('/v1/data', body(100))).status, 200);
    assertProblem(await post('/v1/data', body(101)), 413, 'body_too_large');
    assert.equal((await post('/v1/tables/t/rows', 'x'.repeat(200))).status, 200);
    assertProblem(await post('/v1/tables/t/rows', 'x'.repeat(201)), 413, 'body_too_large');
  });

  test('takes a client that leaves in the middle of its body for one that left, not for an error of ours', async () => {
    let told = Promise.withResolvers<string>();
    const { server } = await serve({
      onFailed: (_user, error) => told.resolve((error as MiniodbError).code),
    });
    const bodies = [
      { path: '/v1/query', length: 1_000 },
      { path: '/v1/data', length: 1_000 },
      { path: '/v1/tables/t/rows', length: 100_000 },
    ];
    for (const { path, length } of bodies) {
      told = Promise.withResolvers();
      const headers = { 'content-length': length };
      const request = httpRequest({ port: server.port, method: 'POST', path, headers });
      request.on('error', () => {});
      request.write('{"sql":', () => request.destroy());
      assert.equal(await told.promise, 'cancelled', path);
    }
  });

  test('answers what is no HTTP, or too large a header, with a problem', async () => {
    const { server } = await serve();
    const answerTo = async (bytes: string) => {
      const socket = connect(server.port, '127.0.0.1');
      socket.end(bytes);
      const chunks = await socket.toArray();
      return Buffer.concat(chunks as Buffer[]).toString();
    };
    assert.match(await answerTo('nonsense\r\n\r\n'), /^HTTP\/1\.1 400.*"code":"bad_request"/s);
    const header = `GET /v1/health HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`;
    assert.match(await answerTo(header), /^HTTP\/1\.1 431.*"code":"header_too_large"/s);
  });

  for (const [what, options, sent] of [
    ['header', { headersTimeoutMs: 50 }, 'POST /v1/data HTTP/1.1\r\nhost: localhost\r\n'],
    [
      'body',
      { headersTimeoutMs: 50, requestTimeoutMs: 60 },
      'POST /v1/data HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n{',
    ],
  ] as const) {
    test(`hangs up on a request whose ${what} does not come in time`, async () => {
      const { server } = await serve(options);
      const socket = connect(server.port, '127.0.0.1');
      socket.write(sent);
      const answer = Buffer.concat((await socket.toArray()) as Buffer[]).toString();
      assert.match(answer, /^HTTP\/1\.1 408 .*"code":"request_timeout"/s);
    });
  }

  test('fires the signal of a call whose client goes away', async () => {
    const { api, server } = await serve();
    const arrived = Promise.withResolvers<AbortSignal>();
    api.gate = (call) => {
      arrived.resolve(call.signal);
      return new Promise((_resolve, reject) =>
        call.signal.addEventListener('abort', () => reject(call.signal.reason)),
      );
    };
    const request = httpRequest({ port: server.port, method: 'GET', path: '/v1/health' });
    request.on('error', () => {});
    request.end();
    const signal = await arrived.promise;
    request.destroy();
    await once(signal, 'abort');
    assert.equal((signal.reason as MiniodbError).kind, 'cancelled');
  });

  test('ends a call at its deadline', async () => {
    const { api, send } = await serve({ callTimeoutMs: 20 });
    api.gate = (call) =>
      new Promise((_resolve, reject) =>
        call.signal.addEventListener('abort', () => reject(call.signal.reason)),
      );
    assertProblem(await send('/v1/health', { method: 'GET' }), 504, 'deadline_exceeded');
  });

  test('lets requests in work end when it closes', async () => {
    const { api, server, send } = await serve();
    const arrived = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    api.gate = () => {
      arrived.resolve();
      return release.promise;
    };
    const answer = send('/v1/health', { method: 'GET' });
    await arrived.promise;
    const closed = server.close(10_000);
    release.resolve();
    assert.equal((await answer).status, 200);
    await closed;
  });

  test('refuses a taken port by its address', async () => {
    const { server } = await serve();
    await assert.rejects(serve({ port: server.port }), { code: 'listen_failed' });
  });
});

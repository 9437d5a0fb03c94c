import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { test } from 'node:test';
import { ANONYMOUS } from '@miniodb/core/auth/principal.ts';
import type { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { serve } from './rest-fixture.ts';
import { requireOwnOrigin } from './rest-origin.ts';

function asked(headers: Record<string, string>, boundHost = '127.0.0.1'): string {
  try {
    requireOwnOrigin({ headers } as never, boundHost);
    return 'taken';
  } catch (error) {
    return (error as MiniodbError).code;
  }
}

test('programs, and pages of this machine, are taken', () => {
  for (const host of ['127.0.0.1:8081', 'localhost:8081', '[::1]:8081', 'LOCALHOST', '127.9.9.9']) {
    assert.equal(asked({ host }), 'taken', host);
  }
  assert.equal(asked({}), 'taken');
  for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:1']) {
    assert.equal(asked({ host: 'localhost:8081', origin }), 'taken', origin);
  }
});

test('pages from elsewhere are not, whatever name they give to this machine', () => {
  for (const origin of ['https://evil.example', 'null', '', 'http://localhost.evil.example', 'x']) {
    assert.equal(asked({ host: 'localhost:8081', origin }), 'origin_forbidden', origin);
  }
  for (const host of [
    'evil.example:8081',
    '127.0.0.1.evil.example',
    '10.0.0.1',
    'evil.example@localhost.x',
  ]) {
    assert.equal(asked({ host }), 'origin_forbidden', host);
    assert.equal(asked({ host, origin: `http://${host}` }), 'origin_forbidden', host);
  }
});

test('a server on another address takes any Host, and pages of that one', () => {
  assert.equal(asked({ host: 'db.internal:8081' }, '0.0.0.0'), 'taken');
  assert.equal(asked({ host: 'db.internal:8081', origin: 'http://db.internal:8081' }, '0.0.0.0'), 'taken');
  const foreign = { host: 'db.internal:8081', origin: 'https://evil.example' };
  assert.equal(asked(foreign, '0.0.0.0'), 'origin_forbidden');
});

async function statusOf(
  port: number,
  headers: Record<string, string>,
  path = '/v1/tables',
): Promise<unknown> {
  const answer = Promise.withResolvers<number | undefined>();
  httpRequest({ port, path, headers: { host: 'localhost', ...headers } }, (response) => {
    response.resume();
    answer.resolve(response.statusCode);
  }).end();
  return answer.promise;
}

test('REST asks so while permissions are off, of everything but health, and not while they are on', async () => {
  const off = (await serve()).server.port;
  const foreign = { host: 'evil.example', origin: 'http://evil.example' };
  assert.equal(await statusOf(off, foreign), 403);
  assert.equal(await statusOf(off, {}), 200);
  assert.equal(await statusOf(off, foreign, '/v1/health'), 200);
  const authentication = { isRequired: true, principalOf: async () => ANONYMOUS };
  const on = (await serve({ authentication })).server.port;
  assert.equal(await statusOf(on, foreign), 200);
});

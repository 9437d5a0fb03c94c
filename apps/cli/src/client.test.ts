import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { RestClient } from './client.ts';
import { exitCodeOf } from './exit-codes.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, n: number) => void;

/** Somebody at an address who answers by the handler; what it was sent is counted. */
async function serve(t: TestContext, handler: Handler, timeoutMs = 10_000) {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    handler(request, response, requests.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, requests, client: new RestClient({ url, token: 'mdb_secret', timeoutMs }) };
}

function answer(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

const busy = { code: 'busy', message: 'later', success: false };
const LIST = { tables: [], total: 0 };

test('a read that may succeed later is tried again, three times in all', async (t) => {
  const recovers = await serve(t, (_request, response, n) =>
    answer(response, n < 3 ? 503 : 200, n < 3 ? busy : LIST),
  );
  assert.deepEqual((await recovers.client.listTables('')).body, LIST);
  assert.equal(recovers.requests[0]!.headers.authorization, 'Bearer mdb_secret');
  const stays = await serve(t, (_request, response) => answer(response, 503, busy));
  await assert.rejects(stays.client.listTables(''), { kind: 'unavailable', code: 'busy' });
  assert.equal(stays.requests.length, 3);
});

test('a change is sent once, whatever is answered', async (t) => {
  const { client, requests } = await serve(t, (_request, response) => answer(response, 503, busy));
  const calls = [
    () => client.createTable('a', {}, true),
    () => client.updateTable('a', {}),
    () => client.dropTable('a', { ifExists: true, cascade: true }),
    () => client.query('SELECT 1'),
  ];
  for (const call of calls) await assert.rejects(call(), { code: 'busy' });
  assert.equal(requests.length, calls.length);
});

test('a change whose answer is lost may have been done, and that is said', async (t) => {
  const { client } = await serve(t, (request) => request.socket.destroy());
  await assert.rejects(client.dropTable('a', { ifExists: true, cascade: true }), (error: Error) => {
    assert.match(error.message, /it may have been done or not/);
    assert.equal((error as unknown as { code: string }).code, 'outcome_unknown');
    assert.equal(exitCodeOf(error), 1);
    return true;
  });
  await assert.rejects(client.query('SELECT 1'), { kind: 'unavailable' });
});

test('who does not answer is waited for until the deadline, and not longer', async (t) => {
  const silent = await serve(t, () => {}, 100);
  await assert.rejects(silent.client.listTables(''), {
    kind: 'deadline_exceeded',
    message: /in 0\.1 s \(--timeout\)/,
  });
  await assert.rejects(silent.client.createTable('a', {}, false), { kind: 'outcome_unknown' });
  const patient = await serve(t, (_request, response) =>
    answer(response, 429, busy, { 'retry-after': '60' }),
  );
  await assert.rejects(patient.client.listTables(''), {
    kind: 'resource_exhausted',
    message: 'later. Try again in 60 s',
  });
  assert.equal(patient.requests.length, 1);
});

test('a token is sent to the address that was given and to no other', async (t) => {
  const other = await serve(t, (_request, response) => answer(response, 200, LIST));
  const first = await serve(t, (_request, response) =>
    answer(response, 307, '', { location: `${other.url}/v1/tables` }),
  );
  await assert.rejects(first.client.listTables(''), { message: /redirects are not followed/ });
  assert.equal(other.requests.length, 0);
});

test('an address where something else answers is told from a gateway', async (t) => {
  const page = await serve(t, (_request, response) => answer(response, 200, '<html>hello</html>'));
  await assert.rejects(page.client.listTables(''), { code: 'unexpected_answer', message: /it is not JSON/ });
  const json = await serve(t, (_request, response) => answer(response, 200, { table_info: { name: 5 } }));
  await assert.rejects(json.client.describeTable('a'), { message: /table_info\.name is not of type string/ });
  const proxy = await serve(t, (_request, response) => answer(response, 502, '<h1>Bad\n gateway</h1>'));
  await assert.rejects(proxy.client.query('SELECT 1'), { code: 'http_502', message: '<h1>Bad gateway</h1>' });
});

test('nobody at the address is said with the address and what to do', async () => {
  const url = `http://127.0.0.1:${await closedPort()}`;
  const client = new RestClient({ url, timeoutMs: 10_000 });
  await assert.rejects(client.createTable('a', {}, false), (error: Error) => {
    assert.match(
      error.message,
      new RegExp(`^nobody answers at ${url} \\(.*ECONNREFUSED.*--url or MINIODB_URL`),
    );
    assert.equal(exitCodeOf(error), 5);
    return true;
  });
});

test('refusals keep what the server said, and have exit codes of their own', async (t) => {
  for (const [status, code, exit, said] of [
    [400, 'sql_syntax', 1, /^no$/],
    [401, 'unauthenticated', 4, /^no\. Give a token: MINIODB_TOKEN/],
    [403, 'table_forbidden', 4, /^no$/],
    [404, 'table_not_found', 3, /^no$/],
    [409, 'table_not_empty', 4, /^no$/],
    [503, 'outcome_unknown', 1, /^no$/],
    [500, 'internal', 1, /^no$/],
  ] as const) {
    const { client } = await serve(t, (_request, response) =>
      answer(response, status, { code, message: 'no' }),
    );
    await assert.rejects(client.updateTable('a', {}), (error: Error & { code?: string }) => {
      assert.deepEqual([error.code, exitCodeOf(error)], [code, exit]);
      assert.match(error.message, said);
      return true;
    });
  }
});

test('the report of an unhealthy cluster is an answer, and another 503 is not', async (t) => {
  const report = { status: 'unhealthy', version: '1', details: {} };
  const ill = await serve(t, (_request, response) => answer(response, 503, report));
  assert.deepEqual((await ill.client.health()).body, report);
  const away = await serve(t, (_request, response) => answer(response, 503, busy));
  await assert.rejects(away.client.health(), { code: 'busy' });
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

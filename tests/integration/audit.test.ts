import assert from 'node:assert/strict';
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { callRest, startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

interface Line extends Record<string, unknown> {
  readonly operation: string;
  readonly table: string;
  readonly details: Record<string, unknown>;
}

let directory: string;
let path: string;
let cluster: TestCluster;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'miniodb-audit-'));
  path = join(directory, 'audit.log');
  cluster = await startTestCluster({ flushers: 1, env: { MINIODB_AUDIT_FILE: path } });
});

after(async () => {
  await cluster.stop();
  await rm(directory, { recursive: true });
});

async function audit(file = path): Promise<Line[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);
}

/** The one object that fits, once it is there. */
async function told(what: string, fits: (line: Line) => boolean): Promise<Line> {
  await waitFor(`the audit tells of ${what}`, async () => (await audit()).some(fits));
  const found = (await audit()).filter(fits);
  assert.equal(found.length, 1, JSON.stringify(found));
  return found[0]!;
}

test('every operation of both protocols leaves one object, and rows of a second are told of together', async () => {
  const rest = cluster.rest;
  await rest('POST', '/v1/tables', { table_name: 'Orders', config: { buffer_size: 10 } });
  await rest('POST', '/v1/tables/orders/rows', [{ id: 'a', payload: { card: '4111' } }]);
  for (let n = 0; n < 20; n += 1)
    await rest('POST', '/v1/data', { table: 'orders', id: 'b', payload: { card: '4111' } });
  await cluster.grpc.write({ table: 'orders', id: 'c', timestamp: undefined, payload: { card: '4111' } });
  await rest('POST', '/v1/query', {
    sql: "SELECT * FROM orders WHERE card = '$1' OR card = $1",
    params: ['4111'],
  });
  await cluster.grpc.query({ sql: 'SELECT 1 FROM orders a, "default" b' });
  await rest('GET', '/v1/tables?pattern=ord*');
  await rest('GET', '/v1/tables/orders');
  await rest('PATCH', '/v1/tables/orders', { config: { buffer_size: 5 } });
  await rest('GET', '/v1/stats');
  await rest('GET', '/v1/nodes');
  await rest('GET', '/v1/health');
  await rest('DELETE', '/v1/tables/orders?cascade=true');

  for (const operation of ['create', 'drop', 'update', 'describe']) {
    const line = await told(operation, (entry) => entry.operation === operation);
    assert.deepEqual(
      [line.table, line.user, line.success, line.error],
      ['orders', 'anonymous', true, undefined],
    );
  }
  for (const operation of ['list', 'stats', 'nodes'])
    assert.equal((await told(operation, (entry) => entry.operation === operation)).table, '');
  const joined = await told('the join', ({ table }) => table.split(',').sort().join() === 'default,orders');
  assert.equal(joined.operation, 'query');
  const query = await told(
    'the query',
    ({ operation, table }) => operation === 'query' && table === 'orders',
  );
  assert.equal(query.record_count, 22);
  assert.match(String(query.details.sql), /^SELECT \*/);

  const writes = () => audit().then((lines) => lines.filter(({ operation }) => operation === 'write'));
  const rowsOf = (lines: readonly Line[]) => lines.reduce((sum, line) => sum + Number(line.record_count), 0);
  await waitFor('all rows are told of', async () => rowsOf(await writes()) === 22);
  const merged = (await writes()).filter(({ details }) => 'calls' in details);
  assert.equal(
    merged.reduce((sum, { details }) => sum + Number(details.calls), 0),
    21,
  );
  assert.ok(merged.length < 21, 'single rows are merged');
  const text = await readFile(path, 'utf8');
  assert.doesNotMatch(text, /4111/);
  assert.doesNotMatch(text, /"operation":"health"/);
});

test('a refusal is told of with its code, whether or not the request could be read', async () => {
  await cluster.rest('POST', '/v1/query', { sql: 'SELECT * FROM nothing_there' });
  const missing = await told('the missing table', ({ table }) => table === 'nothing_there');
  assert.deepEqual([missing.operation, missing.success, missing.error], ['query', false, 'table_not_found']);
  await cluster.rest('POST', '/v1/query', { sequel: 'SELECT 1' });
  const unread = await told('the misspelt field', ({ error }) => error === 'unknown_field');
  assert.deepEqual([unread.operation, unread.details], ['request', { calls: 1 }]);
  await assert.rejects(cluster.grpc.writeBatch({ table: 'x', ndjson: Buffer.from('{') } as never));
});

test('after SIGHUP the audit goes on in a new file', async () => {
  await rename(path, `${path}.1`);
  const before = (await audit(`${path}.1`)).length;
  cluster.cluster.member('gateway-1').process.signal('SIGHUP');
  await waitFor('the new file is there', async () => (await readFile(path, 'utf8')) === '');
  await cluster.rest('GET', '/v1/nodes');
  await told('the call after it', ({ operation }) => operation === 'nodes');
  assert.equal((await audit(`${path}.1`)).length, before);
});

test('what a gateway has told of is in the file when it has drained', async () => {
  const name = await cluster.cluster.add('gateway');
  const { rest_port } = cluster.cluster.member(name).ports;
  const url = `http://127.0.0.1:${rest_port}`;
  for (let n = 0; n < 10; n += 1)
    assert.equal(
      (await callRest(url, 'POST', '/v1/data', { table: 'drained', id: 'x', payload: {} })).status,
      200,
    );
  await cluster.cluster.remove(name);
  const lines = (await audit()).filter(({ table }) => table === 'drained');
  assert.equal(
    lines.reduce((sum, line) => sum + Number(line.record_count), 0),
    10,
  );
});

test('without a file the objects are lines of standard output', async () => {
  await cluster.cluster.restart('gateway-1', { env: { MINIODB_AUDIT_FILE: '' } });
  await cluster.rest('GET', '/v1/stats');
  const output = () => cluster.cluster.member('gateway-1').process.output();
  const line = await waitFor('it is there', () =>
    output()
      .split('\n')
      .find((text) => text.includes('"operation":"stats"')),
  );
  assert.equal((JSON.parse(line) as Line).success, true);
});

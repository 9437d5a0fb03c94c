import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { startTcpProxy, type TcpProxy } from '@miniodb/testkit/tcp-proxy.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

let server: TestRedis;
let proxy: TcpProxy;
let cluster: TestCluster;

before(async () => {
  server = await startTestRedis();
  proxy = await startTcpProxy(server.server.port);
  cluster = await startTestCluster({
    redisUrl: server.url,
    flushers: 1,
    envOf: { 'gateway-1': { REDIS_URL: `redis://127.0.0.1:${proxy.port}` } },
  });
});

after(async () => {
  await cluster.stop();
  await proxy.close();
  await server.stop();
});

const statsOf = (table: string) => server.redis.hgetall(`table:${table}:stats`);

const rowsOf = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => ({ id: `id-${n}`, payload: { n: from + n } }));

test('a gateway whose replies are cut while the batch is flushed in between doubles nothing', async () => {
  const config = { shards: 1, buffer_size: 10 };
  await cluster.rest('POST', '/v1/tables', { table_name: 'cut', config });
  assert.equal((await cluster.rest('POST', '/v1/tables/cut/rows', rowsOf(0, 5))).status, 200);

  proxy.setMode('drop-replies');
  const write = cluster.rest('POST', '/v1/tables/cut/rows', rowsOf(5, 20));
  await waitFor('the transaction is applied', async () => (await statsOf('cut')).record_count === '25');
  await waitFor('the rows are flushed', async () => Number((await statsOf('cut')).file_count) > 0);
  proxy.setMode('pass');
  proxy.cut();

  const answer = await write;
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(answer.body.accepted, 20);
  assert.deepEqual(await cluster.query('SELECT count(*) AS n, count(DISTINCT n) AS d FROM cut'), [
    { n: 25, d: 25 },
  ]);
  assert.equal((await statsOf('cut')).record_count, '25');
});

test('a table whose creation was answered into a broken connection is created once, and said to be', async () => {
  proxy.setMode('drop-replies');
  const create = cluster.rest('POST', '/v1/tables', { table_name: 'cut_creation', config: {} });
  await waitFor('something has gone out', async () => proxy.bytesToServer > 0);
  proxy.setMode('pass');
  proxy.cut();
  const answer = await create;
  assert.deepEqual([answer.status, answer.body.success], [200, true]);
});

test('a gateway without Redis refuses soon, with a code and a delay, and goes on when it is back', async () => {
  proxy.setMode('refuse');
  proxy.cut();
  const started = performance.now();
  const response = await fetch(`${cluster.restUrl}/v1/data`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ table: 'cut', id: 'x', payload: {} }),
  });
  const problem = (await response.json()) as { code: string };
  assert.deepEqual([response.status, problem.code], [503, 'redis_unavailable']);
  assert.ok(Number(response.headers.get('retry-after')) >= 1);
  assert.ok(performance.now() - started < 2_500);
  proxy.setMode('pass');
  await waitFor('writes are taken again', async () => {
    return (await cluster.rest('POST', '/v1/data', { table: 'back', id: 'x', payload: {} })).status === 200;
  });
  assert.equal(await cluster.count('back'), 1);
});

test('scripts that Redis forgot are sent again without losing or doubling', async () => {
  for (let round = 0; round < 5; round += 1) {
    await server.redis.script('FLUSH');
    assert.equal((await cluster.rest('POST', '/v1/tables/forgot/rows', rowsOf(10 * round, 10))).status, 200);
  }
  assert.deepEqual(await cluster.query('SELECT count(*) AS n, count(DISTINCT n) AS d FROM forgot'), [
    { n: 50, d: 50 },
  ]);
});

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const FLUSHER_POINTS = [
  'fl.claim',
  'fl.seal.before',
  'fl.seal.after',
  'fl.encode',
  'fl.put.before',
  'fl.put.after',
  'fl.commit.before',
  'fl.commit.after',
];

const GATEWAY_POINTS = ['gw.recv', 'gw.validated', 'gw.enqueue.before', 'gw.enqueue.after', 'gw.reply'];

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ flushers: 1, restart: false });
});

after(async () => {
  await cluster.stop();
});

async function insert(table: string, from: number, to: number): Promise<void> {
  const rows = Array.from({ length: to - from }, (_, n) => ({
    id: `id-${(from + n) % 3}`,
    payload: { n: from + n },
  }));
  const answer = await cluster.rest('POST', `/v1/tables/${table}/rows`, rows);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

const isDead = (name: string) =>
  waitFor(`${name} is dead`, () => cluster.cluster.member(name).process.exit !== undefined, 30_000);

async function expectExactly(table: string, rows: number): Promise<void> {
  const expected = [{ n: rows, distinct_n: rows, s: (rows * (rows - 1)) / 2 }];
  const sql = `SELECT count(*) AS n, count(DISTINCT n) AS distinct_n, sum(n) AS s FROM ${table}`;
  assert.deepEqual(await cluster.query(sql), expected);
}

describe('a flusher that dies', () => {
  for (const point of FLUSHER_POINTS) {
    test(`at ${point} loses nothing and doubles nothing`, async () => {
      const table = `crash_${point.replaceAll('.', '_')}`;
      await cluster.rest('POST', '/v1/tables', { table_name: table, config: { shards: 1, buffer_size: 50 } });
      await cluster.cluster.restart('flusher-1', { env: { FAILPOINTS: `${point}=kill` } });
      await insert(table, 0, 30);
      await insert(table, 30, 60);
      await isDead('flusher-1');
      await expectExactly(table, 60);
      await insert(table, 60, 110);
      await cluster.cluster.restart('flusher-1', { env: {} });
      await waitFor(`${table} is flushed`, async () => (await cluster.pendingRows(table)) === 0, 40_000);
      await expectExactly(table, 110);
    });
  }
});

test('a gateway answers only when its rows are pending', async () => {
  await cluster.rest('POST', '/v1/tables', {
    table_name: 'slow_enqueue',
    config: { flush_interval_seconds: 3_600 },
  });
  await cluster.cluster.restart('gateway-1', { env: { FAILPOINTS: 'gw.enqueue.before=pause:300' } });
  await insert('slow_enqueue', 0, 10);
  assert.equal(await cluster.pendingRows('slow_enqueue'), 10);
  await cluster.cluster.restart('gateway-1', { env: {} });
});

describe('a gateway that dies', () => {
  for (const point of GATEWAY_POINTS) {
    test(`at ${point} keeps all that it acknowledged, once, and no part of a request`, async () => {
      const table = `crash_${point.replaceAll('.', '_')}`;
      await cluster.rest('POST', '/v1/tables', { table_name: table, config: { buffer_size: 50 } });
      await insert(table, 0, 100);
      await cluster.cluster.restart('gateway-1', { env: { FAILPOINTS: `${point}=kill@2` } });
      await insert(table, 100, 150);
      // The second request of its life is the one it dies in: nobody hears an answer.
      await assert.rejects(insert(table, 150, 200), TypeError);
      await isDead('gateway-1');
      await cluster.cluster.restart('gateway-1', { env: {} });
      const rows = await cluster.count(table);
      assert.ok(rows === 150 || rows === 200, `${rows} rows`);
      const enqueued = point === 'gw.enqueue.after' || point === 'gw.reply';
      assert.equal(rows, enqueued ? 200 : 150);
      await expectExactly(table, rows);
    });
  }
});

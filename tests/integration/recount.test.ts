import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { totalFiles } from '@miniodb/core/index/totals.ts';
import { type RecountAnswer, recountTable } from '@miniodb/core/queue/recount.ts';
import { Catalog, type Table } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const fixed = new FixedKeys('single');
const never = new AbortController().signal;
const ROWS = 20;

let cluster: TestCluster;
let table: Table;
let keys: ProtocolKeys;

/** One flushed request, then two that stay pending in both shards. */
before(async () => {
  cluster = await startTestCluster({ flushers: 1, queriers: 0 });
  const config = { shards: 2, buffer_size: 1, flush_interval_seconds: 3_600 };
  await cluster.rest('POST', '/v1/tables', { table_name: 'counted', config });
  await write();
  await waitFor('they are flushed', async () => (await cluster.pendingRows('counted')) === 0);
  await cluster.cluster.remove('flusher-1');
  await write();
  await write();
  table = (await new Catalog(cluster.redis, fixed, DEFAULT_TABLE_CONFIG).read('counted'))!;
  keys = new ProtocolKeys('counted', table.generation);
});

after(async () => {
  await cluster.stop();
});

async function write(): Promise<void> {
  const rows = Array.from({ length: ROWS }, (_, n) => ({ id: `id-${n}`, payload: { n } }));
  assert.equal((await cluster.rest('POST', '/v1/tables/counted/rows', rows)).status, 200);
}

async function recount(batchesMax?: number): Promise<RecountAnswer> {
  const totals = await totalFiles(cluster.redis, table, 1_000, never);
  const ref = { name: 'counted', generation: table.generation, shards: table.config.shards };
  return recountTable(cluster.redis, fixed, ref, totals, batchesMax);
}

test('the verbs keep every counter right by themselves', async () => {
  assert.deepEqual(await recount(), { status: 'ok', filesCompared: true, drifts: [] });
});

test('every counter that has drifted is told of and put right, once', async () => {
  const counters = await cluster.redis.hgetall(keys.counters);
  const stats = await cluster.redis.hgetall(fixed.stats('counted'));
  const drifted = [
    ...Object.keys(counters).filter((field) => /^(pending_|u:)/.test(field)),
    ...['record_count', 'file_count', 'size_bytes'],
  ];
  assert.equal(drifted.length, 12);
  for (const field of drifted) {
    const key = field in counters ? keys.counters : fixed.stats('counted');
    await cluster.redis.hincrby(key, field, 7);
  }
  const answer = await recount();
  assert.ok(answer.status === 'ok');
  assert.deepEqual(answer.drifts.map(({ counter }) => counter).sort(), drifted.sort());
  for (const { was, is } of answer.drifts) assert.equal(Number(was), Number(is) + 7);
  assert.deepEqual(await cluster.redis.hgetall(keys.counters), counters);
  assert.deepEqual(await cluster.redis.hgetall(fixed.stats('counted')), stats);
  assert.deepEqual(await recount(), { status: 'ok', filesCompared: true, drifts: [] });
});

test('statistics of files are left alone when the index has moved since they were counted', async () => {
  const totals = (await totalFiles(cluster.redis, table, 1_000, never))!;
  const ref = { name: 'counted', generation: table.generation, shards: table.config.shards };
  const moved = { ...totals, token: '999', files: 0, rows: 0, bytes: 0 };
  const answer = await recountTable(cluster.redis, fixed, ref, moved);
  assert.deepEqual(answer, { status: 'ok', filesCompared: false, drifts: [] });
  assert.equal(await totalFiles(cluster.redis, table, totals.files - 1, never), undefined);
  assert.equal(await totalFiles(cluster.redis, table, 1_000, never, totals.token), undefined);
});

test('a table that is gone, has other shards, or too much to count is left as it is', async () => {
  const ref = { name: 'counted', generation: table.generation, shards: 2 };
  const gone = await recountTable(cluster.redis, fixed, { ...ref, generation: 'other' }, undefined);
  assert.deepEqual(gone, { status: 'gone' });
  const stale = await recountTable(cluster.redis, fixed, { ...ref, shards: 3 }, undefined);
  assert.deepEqual(stale, { status: 'stale' });
  assert.deepEqual(await recount(3), { status: 'busy', batches: 4 });
});

test('the owner of a table puts its counters right, logs and counts it', async () => {
  await cluster.redis.hincrby(keys.counters, 'pending_bytes', 1_000_000);
  // Nothing is due: only the upkeep touches the counter.
  await cluster.redis.hset(fixed.config('counted'), 'buffer_size', '1000000');
  const name = await cluster.cluster.add('flusher');
  const log = () => cluster.cluster.member(name).process.output();
  await waitFor('the drift is logged', () => log().includes('"event":"counter_drift"'));
  assert.deepEqual(await recount(), { status: 'ok', filesCompared: true, drifts: [] });
  const { admin_port } = cluster.cluster.member(name).ports;
  const metrics = await (await fetch(`http://127.0.0.1:${admin_port}/metrics`)).text();
  assert.match(metrics, /^miniodb_flusher_counter_drift_total\{counter="pending_bytes"\} 1$/m);
});

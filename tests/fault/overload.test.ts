import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { readRedisMemory } from '@miniodb/core/redis/memory.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const MIB = 1_048_576;
const GATEWAY_BYTES_MAX = 400 * MIB;
const ROWS = 50;
/** Random, so that it does not compress: 100 KB a request. */
const TEXT_BYTES = 1_500;
const WRITERS = 4;

let cluster: TestCluster;

interface Outcome {
  /** Requests of each table that were acknowledged. */
  readonly acked: ReadonlyMap<string, number>;
  readonly codes: ReadonlySet<string>;
  readonly redisBytesMax: number;
  readonly gatewayBytesMax: number;
}

/** Writers push, each request of its own numbers, until that many requests have been refused. */
async function push(tables: readonly string[], refusalsMin: number): Promise<Outcome> {
  const acked = new Map(tables.map((table) => [table, 0]));
  const codes = new Set<string>();
  let refusals = 0;
  let redisBytesMax = 0;
  let gatewayBytesMax = 0;
  const writeOnce = async (table: string) => {
    const request = acked.get(table)!;
    // Counted before the answer: what is refused leaves its numbers unused.
    acked.set(table, request + 1);
    const response = await writeTo(table, request);
    const body = (await response.json()) as Record<string, unknown>;
    if (response.status === 200) return;
    unacked.get(table)!.add(request);
    refusals += 1;
    codes.add(String(body.code));
    assert.equal(response.status, 429, JSON.stringify(body));
    assert.ok(Number(response.headers.get('retry-after')) >= 1);
  };
  const unacked = new Map(tables.map((table) => [table, new Set<number>()]));
  const writer = async (first: number) => {
    for (let n = first; refusals < refusalsMin; n += 1) {
      await writeOnce(tables[n % tables.length]!);
      redisBytesMax = Math.max(redisBytesMax, (await readRedisMemory(cluster.redis)).usedBytes);
      gatewayBytesMax = Math.max(gatewayBytesMax, residentBytes('gateway-1'));
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, n) => writer(n)));
  const counts = tables.map((table) => [table, acked.get(table)! - unacked.get(table)!.size] as const);
  return { acked: new Map(counts), codes, redisBytesMax, gatewayBytesMax };
}

function writeTo(table: string, request: number): Promise<Response> {
  const rows = Array.from({ length: ROWS }, (_, n) => ({
    id: `id-${n % 5}`,
    payload: { n: request * ROWS + n, text: randomBytes(TEXT_BYTES).toString('base64') },
  }));
  return fetch(`${cluster.restUrl}/v1/tables/${table}/rows`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(rows),
  });
}

function residentBytes(name: string): number {
  const { pid } = cluster.cluster.member(name).process;
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match![1]) * 1_024;
}

async function expectOnce(acked: ReadonlyMap<string, number>): Promise<void> {
  for (const [table, requests] of acked) {
    await waitFor(`${table} is flushed`, async () => (await cluster.pendingRows(table)) === 0, 60_000);
    const [counted] = await cluster.query(`SELECT count(*) AS n, count(DISTINCT n) AS d FROM ${table}`);
    assert.deepEqual(counted, { n: requests * ROWS, d: requests * ROWS }, table);
  }
}

async function takesWritesAgain(table: string): Promise<void> {
  await waitFor('writes pass again', async () => (await writeTo(table, 1_000_000)).status === 200, 30_000);
}

describe('a table whose flushes do not come', () => {
  before(async () => {
    cluster = await startTestCluster({ flushers: 0 });
  });

  after(async () => {
    await cluster.stop();
  });

  test('is refused writes at its own cap, and has every acknowledged row once when they come', async () => {
    const config = { max_pending_bytes: 8 * MIB, buffer_size: 100, flush_interval_seconds: 1 };
    await cluster.rest('POST', '/v1/tables', { table_name: 'stuck', config });
    const outcome = await push(['stuck'], 20);
    assert.deepEqual([...outcome.codes], ['pending_bytes_exceeded']);
    assert.ok(outcome.acked.get('stuck')! > 10);
    // Its cap, what Redis is without it, and its working room.
    assert.ok(outcome.redisBytesMax < 32 * MIB, `${outcome.redisBytesMax}`);
    assert.ok(outcome.gatewayBytesMax < GATEWAY_BYTES_MAX, `${outcome.gatewayBytesMax}`);
    await cluster.rest('POST', '/v1/tables', { table_name: 'free', config });
    assert.equal((await writeTo('free', 0)).status, 200, 'other tables are none the worse');
    await cluster.cluster.add('flusher');
    await expectOnce(outcome.acked);
    await takesWritesAgain('stuck');
  });
});

describe('a Redis that fills up with many tables', () => {
  const REDIS_BYTES_MAX = 48 * MIB;
  const TABLES = Array.from({ length: 12 }, (_, n) => `t${n}`);

  before(async () => {
    cluster = await startTestCluster({ flushers: 0, redisMaxMemoryBytes: REDIS_BYTES_MAX });
  });

  after(async () => {
    await cluster.stop();
  });

  test('refuses writes before it is full, and holds every acknowledged row once when flushes come', async () => {
    const config = { buffer_size: 100, flush_interval_seconds: 1, shards: 1 };
    for (const table_name of TABLES) await cluster.rest('POST', '/v1/tables', { table_name, config });
    const outcome = await push(TABLES, 40);
    assert.deepEqual([...outcome.codes], ['redis_memory']);
    assert.ok(outcome.redisBytesMax > 0.75 * REDIS_BYTES_MAX, `${outcome.redisBytesMax}`);
    assert.ok(outcome.redisBytesMax < 0.95 * REDIS_BYTES_MAX, `${outcome.redisBytesMax}`);
    assert.ok(outcome.gatewayBytesMax < GATEWAY_BYTES_MAX, `${outcome.gatewayBytesMax}`);
    await cluster.cluster.add('flusher');
    await expectOnce(outcome.acked);
    // Committed payloads stay a minute for readers of older snapshots.
    await waitFor('writes pass again', async () => (await writeTo('t0', 1_000_000)).status === 200, 90_000);
  });
});

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { Sweep } from '../../apps/flusher/src/flush/sweep.ts';

async function infoNumber(redis: Redis, section: string, pattern: RegExp): Promise<number> {
  return Number(pattern.exec(await redis.info(section))?.[1] ?? '0');
}

describe('a sweep over idle tables', () => {
  const TABLES = 600;
  const SHARDS = 4;
  /** Two pipelines for 250 tables, the list, and INFO itself; a pipeline may arrive in some pieces. */
  const READS_MAX = 40;
  const LOOKS_MAX = 32;
  let server: TestRedis;

  before(async () => {
    server = await startTestRedis();
  });

  after(async () => {
    await server.stop();
  });

  test('costs two commands a table in a few round trips, and a bounded number of looks', async () => {
    const { redis } = server;
    const fixed = new FixedKeys('single');
    const catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
    for (let table = 0; table < TABLES; table += 1) {
      await catalog.create(`t${table}`, { shards: SHARDS }, 10_000, '2026-01-01T00:00:00.000000Z');
    }
    const sweep = new Sweep(redis, fixed, catalog);
    const seen = new Set<string>();
    for (let round = 0; round < (TABLES * SHARDS) / LOOKS_MAX; round += 1) {
      await redis.config('RESETSTAT');
      const { candidates, unreadable } = await sweep.run();
      const reads = await infoNumber(redis, 'stats', /total_reads_processed:(\d+)/);
      const commands = await infoNumber(redis, 'stats', /total_commands_processed:(\d+)/);
      assert.ok(reads <= READS_MAX, `${reads} reads`);
      assert.ok(commands <= 2 * TABLES + 10, `${commands} commands`);
      assert.ok(candidates.length <= LOOKS_MAX, `${candidates.length} looks`);
      assert.equal(unreadable.length, 0);
      for (const { table, shard } of candidates) seen.add(`${table}|${shard}`);
    }
    // In turn, every shard is looked at.
    assert.equal(seen.size, TABLES * SHARDS);
  });
});

describe('a cluster', () => {
  let cluster: TestCluster;

  before(async () => {
    cluster = await startTestCluster();
  });

  after(async () => {
    await cluster.stop();
  });

  const connections = () => infoNumber(cluster.redis, 'clients', /connected_clients:(\d+)/);

  async function useTables(from: number, to: number): Promise<void> {
    for (let table = from; table < to; table += 1) {
      const name = `used_${table}`;
      const config = { buffer_size: 1, shards: 1 };
      assert.equal((await cluster.rest('POST', '/v1/tables', { table_name: name, config })).status, 200);
      const row = [{ id: 'a', payload: { n: 1 } }];
      assert.equal((await cluster.rest('POST', `/v1/tables/${name}/rows`, row)).status, 200);
      assert.equal(await cluster.count(name), 1);
    }
    await waitFor('all is flushed', async () => (await cluster.redis.zcard(GLOBAL_KEYS.dirty)) === 0);
  }

  test('has as many connections to Redis with many used tables as with one', async () => {
    await useTables(0, 1);
    const withOne = await connections();
    await useTables(1, 60);
    assert.equal(await connections(), withOne);
  });
});

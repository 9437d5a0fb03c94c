import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { GLOBAL_KEYS, shardName } from '@miniodb/core/table/keys.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

describe('a Redis at its memory limit', () => {
  let cluster: TestCluster;

  before(async () => {
    cluster = await startTestCluster({ flushers: 1, redisMaxMemoryBytes: 64 * 1_048_576 });
  });

  after(async () => {
    await cluster.stop();
  });

  test('refuses writes with a cause and a delay, drains by itself, and takes writes again', async () => {
    const config = { shards: 1, buffer_size: 1_000_000, flush_interval_seconds: 4 };
    await cluster.rest('POST', '/v1/tables', { table_name: 'scarce', config });
    const rows = Array.from({ length: 50 }, (_, n) => ({ id: 'x', payload: { n } }));
    assert.equal((await cluster.rest('POST', '/v1/tables/scarce/rows', rows)).status, 200);
    // What others keep there fills it up.
    await cluster.redis.config('SET', 'maxmemory', '1000000');

    const refused = await cluster.rest('POST', '/v1/tables/scarce/rows', rows);
    assert.equal(refused.status, 429);
    // The gateway's own look at Redis may come before Redis' refusal.
    assert.match(String(refused.body.code), /^redis_(out_of_memory|memory)$/);
    await waitFor(
      'what was pending is flushed',
      async () => (await cluster.pendingRows('scarce')) === 0,
      30_000,
    );
    assert.equal(await cluster.count('scarce'), 50);
    const { body } = await cluster.rest('GET', '/v1/health');
    assert.deepEqual((body.details as Record<string, string>).flushers, '1');

    await cluster.redis.config('SET', 'maxmemory', '64000000');
    await waitFor(
      'writes pass again',
      async () => (await cluster.rest('POST', '/v1/tables/scarce/rows', rows)).status === 200,
    );
    assert.equal(await cluster.count('scarce'), 100);
  });
});

describe('a table in trouble', () => {
  let cluster: TestCluster;

  before(async () => {
    cluster = await startTestCluster({ flushers: 1, env: { MINIODB_ENCODE_MEMORY_MIB: '192' } });
  });

  after(async () => {
    await cluster.stop();
  });

  test('does not keep others from being flushed', async () => {
    const config = { shards: 1, buffer_size: 1 };
    for (const name of ['broken', 'sound'])
      await cluster.rest('POST', '/v1/tables', { table_name: name, config });
    await cluster.redis.hset('table:broken:config', 'format', '99');
    // Older hints than the sound table's, and more than are looked at together.
    for (let shard = 0; shard < 40; shard += 1) {
      await cluster.redis.zadd(GLOBAL_KEYS.dirty, shard, `broken|${shardName(shard)}`);
    }
    const row = [{ id: 'x', payload: { n: 1 } }];
    assert.equal((await cluster.rest('POST', '/v1/tables/sound/rows', row)).status, 200);
    await waitFor(
      'the sound table is flushed',
      async () => (await cluster.pendingRows('sound')) === 0,
      10_000,
    );
    const refused = await cluster.rest('POST', '/v1/tables/broken/rows', row);
    assert.deepEqual([refused.status, refused.body.code], [409, 'table_format_unsupported']);
  });

  test('with seals too large for the encoder gets smaller ones, and is flushed whole', async () => {
    const config = { shards: 1, buffer_size: 1_000_000, flush_interval_seconds: 10, layout: 'packed' };
    await cluster.rest('POST', '/v1/tables', { table_name: 'heavy', config });
    // Documents that compress well: a seal's limit of compressed bytes lets many of them in.
    const text = () => Math.random().toString(36).repeat(800);
    for (let request = 0; request < 19; request += 1) {
      const rows = Array.from({ length: 1_000 }, (_, n) => ({
        id: `id-${n}`,
        payload: { n: request * 1_000 + n, text: text() },
      }));
      assert.equal((await cluster.rest('POST', '/v1/tables/heavy/rows', rows)).status, 200);
    }
    await waitFor('it is flushed', async () => (await cluster.pendingRows('heavy')) === 0, 120_000);
    assert.match(cluster.cluster.member('flusher-1').process.output(), /seal_broken_up/);
    const [counted] = await cluster.query('SELECT count(*) AS n, count(DISTINCT n) AS d FROM heavy');
    assert.deepEqual(counted, { n: 19_000, d: 19_000 });
  });
});

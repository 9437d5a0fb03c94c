import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ flushers: 1 });
});

after(async () => {
  await cluster.stop();
});

test('a batch that cannot be decoded is set aside, the others flow, and no answer is silently shorter', async () => {
  const config = { shards: 1, buffer_size: 1_000_000, flush_interval_seconds: 2 };
  await cluster.rest('POST', '/v1/tables', { table_name: 'poisoned', config });
  for (let request = 0; request < 3; request += 1) {
    const rows = [0, 1].map((n) => ({ id: 'x', payload: { n: 2 * request + n } }));
    assert.equal((await cluster.rest('POST', '/v1/tables/poisoned/rows', rows)).status, 200);
  }
  const { redis } = cluster;
  const keys = await cluster.keysOf('poisoned');
  const batch = (await redis.zrange(keys.pending('s00'), '0', '-1'))[1]!;
  const payload = (await redis.getBuffer(keys.payload(batch)))!;
  await redis.set(keys.payload(batch), 'not what was written');

  await waitFor('the batch is set aside', async () => (await redis.zcard(keys.setAside('s00'))) === 1);
  assert.match((await redis.hget(keys.setAsideCause('s00'), batch))!, /./);
  await waitFor(
    'the others are flushed',
    async () => (await redis.hget(keys.counters, 'pending_batches')) === '1',
  );

  const refused = await cluster.rest('POST', '/v1/query', { sql: 'SELECT count(*) AS n FROM poisoned' });
  assert.deepEqual([refused.status, refused.body.code], [500, 'undecodable_payload']);

  await redis.set(keys.payload(batch), payload);
  const [counted] = await waitFor('the repaired batch is read', () =>
    cluster.query('SELECT count(*) AS n, count(DISTINCT n) AS d FROM poisoned'),
  );
  assert.deepEqual(counted, { n: 6, d: 6 });
});

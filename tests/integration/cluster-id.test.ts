import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { CLUSTER_ID_OBJECT, readRedisId, settleClusterId } from '@miniodb/core/placement/cluster-id.ts';
import { ClusterIdWatch } from '@miniodb/core/placement/cluster-id-watch.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { DirectoryObjectStore } from '@miniodb/core/storage/directory.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import { GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const never = new AbortController().signal;

describe('the cluster id', () => {
  let server: TestRedis;
  let redis: Redis;
  let directory: string;
  let store: DirectoryObjectStore;

  before(async () => {
    server = await startTestRedis();
    redis = server.redis;
  });
  after(() => server.stop());

  beforeEach(async () => {
    await redis.flushall();
    directory = await mkdtemp(join(tmpdir(), 'miniodb-bucket-'));
    store = new DirectoryObjectStore(directory);
    await store.ensureReady();
  });
  afterEach(async () => {
    await store.close();
    await rm(directory, { recursive: true, force: true });
  });

  const settle = (mayMake = true) => settleClusterId(redis, store, mayMake, never);
  const bucketId = async () =>
    JSON.parse(Buffer.from(await store.get(CLUSTER_ID_OBJECT)).toString()) as object;

  test('is one, whoever starts first, and the same in Redis and in the bucket', async () => {
    const others = await Promise.all(Array.from({ length: 7 }, () => server.connect()));
    const verdicts = await Promise.all(
      [redis, ...others].map((own) => settleClusterId(own, store, true, never)),
    );
    const ids = new Set(
      verdicts.map((verdict) => (verdict.status === 'known' ? verdict.id : verdict.status)),
    );
    assert.equal(ids.size, 1);
    const inRedis = (await readRedisId(redis))!;
    assert.match(inRedis.id, /^[0-9a-f]{32}$/);
    assert.deepEqual([...ids], [inRedis.id]);
    assert.deepEqual(await bucketId(), {
      v: 1,
      id: inRedis.id,
      created: new Date(inRedis.createdMs).toISOString(),
    });
    assert.deepEqual(await settle(), { status: 'known', id: inRedis.id });
  });

  test('is adopted by a Redis and a bucket that had data before there were ids', async () => {
    await redis.sadd('tables:list', 'default');
    await redis.hset('table:default:config', 'generation', 'abc');
    const body = Buffer.from('x');
    await store.put('default/~s00/2026-01-05/x.parquet', body, { sha256: sha256Of(body) });
    assert.equal((await settle()).status, 'known');
    assert.equal((await redis.smembers('tables:list')).length, 1);
  });

  test('is told to the bucket by the next one when its maker died before', async () => {
    await redis.set(GLOBAL_KEYS.cluster, `${'a'.repeat(32)} 1700000000000 new`);
    assert.deepEqual(await settle(false), { status: 'known', id: 'a'.repeat(32) });
    assert.deepEqual(await bucketId(), { v: 1, id: 'a'.repeat(32), created: '2023-11-14T22:13:20.000Z' });
  });

  test('makes a Redis without it, or with another one, a Redis of another history, and changes neither', async () => {
    await settle();
    const kept = await bucketId();
    await redis.flushall();
    assert.equal((await settle()).status, 'redis_history_lost');
    assert.equal(await redis.exists(GLOBAL_KEYS.cluster), 0);
    const other = `${'b'.repeat(32)} 1700000000000 new`;
    await redis.set(GLOBAL_KEYS.cluster, other);
    assert.equal((await settle()).status, 'redis_history_lost');
    assert.equal(await redis.get(GLOBAL_KEYS.cluster), other);
    assert.deepEqual(await bucketId(), kept);
  });

  test('makes a bucket without it one that Redis does not know', async () => {
    await settle();
    await store.delete(CLUSTER_ID_OBJECT);
    assert.equal((await settle()).status, 'bucket_unknown');
    assert.equal(await store.head(CLUSTER_ID_OBJECT), undefined);
  });

  test('is watched: troubles are seen within a look, told, and end when what is right is back', async (t) => {
    const told: (string | undefined)[] = [];
    let looks = 0;
    const seen = Object.create(store, {
      get: { value: (...args: Parameters<typeof store.get>) => store.get(...args).finally(() => looks++) },
      put: { value: (...args: Parameters<typeof store.put>) => store.put(...args) },
    }) as typeof store;
    const watch = new ClusterIdWatch(redis, seen, silentLog(), (trouble) => told.push(trouble?.code), {
      redisEveryMs: 10,
      bothEveryMs: 50,
    });
    t.after(() => watch.stop());
    await watch.start();
    const isSeen = (code: string | undefined) =>
      waitFor(`${code ?? 'no trouble'} is seen`, () => watch.trouble?.code === code);
    const right = (await redis.get(GLOBAL_KEYS.cluster))!;
    const object = await store.get(CLUSTER_ID_OBJECT);

    await redis.flushall();
    await assert.rejects(watch.require(), { code: 'redis_history_lost', kind: 'failed_precondition' });
    await isSeen('redis_history_lost');
    await redis.set(GLOBAL_KEYS.cluster, right);
    await isSeen(undefined);

    await store.delete(CLUSTER_ID_OBJECT);
    await isSeen('bucket_unknown');
    await store.put(CLUSTER_ID_OBJECT, object, { sha256: sha256Of(object) });
    await isSeen(undefined);

    await redis.flushall();
    await store.delete(CLUSTER_ID_OBJECT);
    await isSeen('redis_history_lost');
    const before = looks;
    await waitFor('both were looked at again', () => looks > before + 2);
    assert.equal(watch.trouble?.code, 'redis_history_lost');
    assert.equal(await redis.exists(GLOBAL_KEYS.cluster), 0, 'nothing new begins under a running process');
    assert.deepEqual(told.slice(0, 4), ['redis_history_lost', undefined, 'bucket_unknown', undefined]);
  });
});

describe('a cluster whose Redis loses everything', () => {
  let cluster: TestCluster;

  before(async () => {
    cluster = await startTestCluster({ flushers: 1 });
  });
  after(() => cluster.stop());

  const rows = [{ id: 'a', timestamp: '2026-01-05T00:00:00Z', payload: { n: 1 } }];
  const readyOf = async (name: string) => {
    const { admin_port: port } = cluster.cluster.member(name).ports;
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).status;
  };

  test('answers that it did, deletes nothing, makes nothing anew, and goes on when its data are back', async () => {
    await cluster.rest('POST', '/v1/tables', { table_name: 'kept', config: { buffer_size: 1, shards: 1 } });
    assert.equal((await cluster.rest('POST', '/v1/tables/kept/rows', rows)).status, 200);
    await waitFor('the row is flushed', async () => (await cluster.pendingRows('kept')) === 0);
    assert.equal(await cluster.count('kept'), 1);
    const saved = await dumpOf(cluster.redis);
    await cluster.redis.flushall();
    const lost = { status: 409, code: 'redis_history_lost' };
    const told = async (method: string, path: string, body?: unknown) => {
      const answer = await cluster.rest(method, path, body);
      return { status: answer.status, code: answer.body.code };
    };
    // At once, whatever was looked at last, and again when every view has run out.
    for (const round of ['at once', 'later']) {
      assert.deepEqual(await told('POST', '/v1/tables/brand_new/rows', rows), lost, round);
      assert.deepEqual(await told('POST', '/v1/query', { sql: 'SELECT count(*) FROM kept' }), lost, round);
      assert.deepEqual(await told('POST', '/v1/query', { sql: 'SELECT count(*) FROM nowhere' }), lost, round);
      assert.deepEqual(await told('POST', '/v1/tables/kept/rows', rows), lost, round);
      assert.deepEqual(await told('POST', '/v1/tables', { table_name: 'made', config: {} }), lost, round);
      assert.deepEqual(await told('GET', '/v1/tables'), lost, round);
      assert.deepEqual(await told('GET', '/v1/tables/kept'), lost, round);
      assert.deepEqual(await told('DELETE', '/v1/tables/kept?if_exists=true'), lost, round);
      for (const name of ['flusher-1', 'querier-1', 'gateway-1']) {
        await waitFor(`${name} is not ready`, async () => (await readyOf(name)) === 503);
      }
    }
    assert.equal(await cluster.redis.exists('tables:list'), 0);
    assert.equal(await cluster.redis.exists(GLOBAL_KEYS.cluster), 0);

    await restore(cluster.redis, saved);
    await waitFor('queries are answered', async () => (await cluster.count('kept')) === 1);
    assert.equal((await cluster.rest('POST', '/v1/tables/kept/rows', rows)).status, 200);
    await waitFor('all are ready', async () =>
      (await Promise.all(['flusher-1', 'querier-1', 'gateway-1'].map(readyOf))).every((s) => s === 200),
    );
  });

  test('stays without a table when its gateway starts again, and accepts nothing', async () => {
    const saved = await dumpOf(cluster.redis);
    await cluster.redis.flushall();
    await waitFor('the querier says so', async () => (await readyOf('querier-1')) === 503);
    await cluster.cluster.restart('gateway-1', { how: 'kill' });
    await waitFor('the gateway has heard it', async () => {
      const { body } = await cluster.rest('POST', '/v1/tables/kept/rows', rows);
      assert.ok(
        ['redis_history_lost', 'cluster_id_missing'].includes(String(body.code)),
        JSON.stringify(body),
      );
      return body.code === 'redis_history_lost';
    });
    await cluster.redis.flushall();
    await restore(cluster.redis, saved);
    await waitFor('writes are taken', async () => {
      const { status } = await cluster.rest('POST', '/v1/tables/kept/rows', rows);
      return status === 200;
    });
  });
});

test('a flusher and a querier of another bucket do nothing, and writes are refused while there are no others', async (t) => {
  const first = await startTestCluster({ flushers: 1 });
  t.after(() => first.stop());
  const config = { buffer_size: 1, shards: 1, flush_paused: true };
  await first.rest('POST', '/v1/tables', { table_name: 't', config });
  await first.rest('POST', '/v1/tables/t/rows', [{ id: 'a', payload: {} }]);
  const other = await mkdtemp(join(tmpdir(), 'miniodb-other-bucket-'));
  t.after(() => rm(other, { recursive: true, force: true }));
  const env = { MINIODB_STORE_URL: `file://${other}` };
  // One that is configured wrongly answers nothing, and does not stop the others' work.
  const query = () => first.rest('POST', '/v1/query', { sql: 'SELECT count(*) FROM t' });
  await first.cluster.restart('querier-1', { env });
  await waitFor('the querier is asked', async () => {
    const { status, body } = await query();
    assert.equal(status === 200, false);
    return status === 409 && body.code === 'bucket_unknown';
  });
  const written = await first.rest('POST', '/v1/tables/t/rows', [{ id: 'c', payload: {} }]);
  assert.equal(written.status, 200, JSON.stringify(written.body));
  await first.cluster.restart('flusher-1', { env });
  await waitFor('writes are refused', async () => {
    const { status, body } = await first.rest('POST', '/v1/tables/t/rows', [{ id: 'b', payload: {} }]);
    return status === 409 && body.code === 'bucket_unknown';
  });
  await first.rest('PATCH', '/v1/tables/t', { config: { flush_paused: false } });
  await waitFor('the flush that is due is refused', async () => {
    const { admin_port: port } = first.cluster.member('flusher-1').ports;
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    assert.match(metrics, /^miniodb_cluster_history_unknown 1$/m);
    return /^miniodb_flusher_failures_total\{code="bucket_unknown"\} [1-9]/m.test(metrics);
  });
  const refused = await query();
  assert.deepEqual([refused.status, refused.body.code], [409, 'bucket_unknown']);
  const store = new DirectoryObjectStore(other);
  t.after(() => store.close());
  const objects: string[] = [];
  for await (const { key } of store.list('', never)) objects.push(key);
  assert.deepEqual(objects, []);
  for (const name of ['flusher-1', 'querier-1']) await first.cluster.restart(name, { env: {} });
  await waitFor('writes are taken', async () => {
    const { status } = await first.rest('POST', '/v1/tables/t/rows', [{ id: 'b', payload: {} }]);
    return status === 200;
  });
});

type Dump = readonly { readonly key: string; readonly bytes: Buffer; readonly ttlMs: number }[];

/** All of Redis but who lives. */
async function dumpOf(redis: Redis): Promise<Dump> {
  const dump: { key: string; bytes: Buffer; ttlMs: number }[] = [];
  for (const key of await redis.keys('*')) {
    const bytes = key.startsWith('{miniodb}:members') ? null : await redis.dumpBuffer(key);
    if (bytes !== null) dump.push({ key, bytes, ttlMs: Math.max(0, await redis.pttl(key)) });
  }
  return dump;
}

async function restore(redis: Redis, dump: Dump): Promise<void> {
  // One instant, as when Redis starts with its backup.
  const all = redis.multi();
  for (const { key, bytes, ttlMs } of dump) all.restore(key, ttlMs, bytes, 'REPLACE');
  await all.exec();
}

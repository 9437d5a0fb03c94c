import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { DirectoryObjectStore } from '@miniodb/core/storage/directory.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { objectName, parseObjectKey } from '@miniodb/core/table/object-name.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { FlusherMetrics } from '../../apps/flusher/src/metrics.ts';
import { swapLogKey, writeSwapLog } from '../../apps/flusher/src/upkeep/compact/swap-log.ts';
import { sweepTask } from '../../apps/flusher/src/upkeep/sweep.ts';
import type { UpkeepTask } from '../../apps/flusher/src/upkeep/upkeep.ts';

const fixed = new FixedKeys('single');
const DAY = '2026-01-05';
const HOUR_MS = 3_600_000;
const { signal } = new AbortController();

let server: TestRedis;
let redis: Redis;
let root: string;
let store: DirectoryObjectStore;
let catalog: Catalog;
let table: string;
let generation: string;
let keys: ProtocolKeys;

before(async () => {
  server = await startTestRedis();
  redis = server.redis;
  root = await mkdtemp(join(tmpdir(), 'miniodb-sweep-'));
  store = new DirectoryObjectStore(root);
  await store.ensureReady();
  catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
});

after(async () => {
  await store.close();
  await server.stop();
  await rm(root, { recursive: true, force: true });
});

beforeEach(async () => {
  await redis.flushall();
  table = `t${newId()}`;
  await catalog.create(table, { shards: 2 }, 10_000, '2026-01-01T00:00:00.000000Z');
  generation = (await catalog.read(table))!.generation;
  keys = new ProtocolKeys(table, generation);
});

function newId(): string {
  return randomBytes(8).toString('hex');
}

async function put(key: string): Promise<void> {
  const body = Buffer.from(key);
  await store.put(key, body, { sha256: sha256Of(body) });
}

/** An object in the bucket, long enough ago unless it says otherwise. */
async function newObject(maker = newId(), madeMs = 1): Promise<string> {
  const key = `${table}/~s01/${DAY}/${objectName(madeMs, generation, maker, 1, 1, sha256Of(Buffer.from(maker)))}`;
  await put(key);
  return key;
}

async function index(key: string): Promise<string> {
  await redis.hset(keys.entries(`s01:${DAY}`), parseObjectKey(key)!.fileId, JSON.stringify({ v: 1, key }));
  await redis.hset(keys.indexMap, `s01:${DAY}`, await redis.incr(keys.indexToken));
  return key;
}

async function indexedObjects(count: number): Promise<string[]> {
  const objects: string[] = [];
  for (let n = 0; n < count; n += 1) objects.push(await index(await newObject()));
  return objects;
}

async function objects(): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of store.list(`${table}/`)) if (key.endsWith('.parquet')) found.push(key);
  return found.sort();
}

function sweeper(metrics = new FlusherMetrics(), of: ObjectStore = store): UpkeepTask {
  const context = { redis, fixed, catalog, store: of, log: silentLog(), metrics };
  return sweepTask(
    { ...context, ownership: { ownsTable: () => true } },
    { everyMs: 1, scanEveryMs: 0, orphanAgeMs: HOUR_MS },
  );
}

describe('what left the index', () => {
  test('is deleted when its time has come, and not before', async () => {
    const kept = await indexedObjects(2);
    const [due, later] = [await newObject(), await newObject()];
    await redis.zadd(keys.doomed, 1, due, Date.now() + HOUR_MS, later);
    const metrics = new FlusherMetrics();
    await sweeper(metrics).run(signal);
    assert.deepEqual(await objects(), [...kept, later].sort());
    assert.deepEqual(await redis.zrange(keys.doomed, '0', '-1'), [later]);
    assert.match(await metrics.text(), /miniodb_flusher_objects_deleted_total\{kind="doomed"\} 1/);
  });

  test('stays while anybody has a pin', async () => {
    const due = await newObject();
    await redis.zadd(keys.doomed, 1, due);
    await redis.zadd(keys.pins, Date.now() + HOUR_MS, 'backup');
    await sweeper().run(signal);
    assert.deepEqual(await objects(), [due]);
    await redis.del(keys.pins);
    await sweeper().run(signal);
    assert.deepEqual(await objects(), []);
  });

  test('and is in it again is not doomed any more', async () => {
    const [key] = await indexedObjects(1);
    await redis.zadd(keys.doomed, 1, key!);
    await sweeper().run(signal);
    assert.deepEqual(await objects(), [key]);
    assert.equal(await redis.zcard(keys.doomed), 0);
  });

  test('is looked for in all shards, also in one that the table has just got', async () => {
    const [key] = await indexedObjects(1);
    await redis.hset(keys.entries(`s02:${DAY}`), parseObjectKey(key!)!.fileId, JSON.stringify({ v: 1, key }));
    await redis.del(keys.entries(`s01:${DAY}`));
    await redis.zadd(keys.doomed, 1, key!);
    // The sweeper has read the shard count when the table gets one more.
    const grown = new Proxy(redis, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown;
        if (name !== 'zrangebyscore') return typeof value === 'function' ? value.bind(target) : value;
        return async (...args: Parameters<Redis['zrangebyscore']>) => {
          await redis.hset(fixed.config(table), 'shards', '3');
          return redis.zrangebyscore(...args);
        };
      },
    });
    const context = { redis: grown, fixed, catalog, store, log: silentLog(), metrics: new FlusherMetrics() };
    const settings = { everyMs: 1, scanEveryMs: HOUR_MS, orphanAgeMs: HOUR_MS };
    await sweepTask({ ...context, ownership: { ownsTable: () => true } }, settings).run(signal);
    assert.deepEqual(await objects(), [key]);
    assert.equal(await redis.zcard(keys.doomed), 0);
  });

  test('of one table goes though that of another cannot be deleted', async () => {
    const stuck = await newObject();
    await redis.zadd(keys.doomed, 1, stuck);
    const first = { table, keys };
    table = `t${newId()}`;
    await catalog.create(table, { shards: 2 }, 10_000, '2026-01-01T00:00:00.000000Z');
    generation = (await catalog.read(table))!.generation;
    keys = new ProtocolKeys(table, generation);
    await redis.zadd(keys.doomed, 1, await newObject());
    const failing = new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown;
        if (name !== 'delete') return typeof value === 'function' ? value.bind(target) : value;
        return async (key: string) => {
          if (key === stuck)
            throw new MiniodbError('unavailable', 'away', { code: 'object_store_unavailable' });
          await store.delete(key);
        };
      },
    });
    await sweeper(new FlusherMetrics(), failing).run(signal);
    assert.deepEqual(await objects(), []);
    assert.deepEqual(await redis.zrange(first.keys.doomed, '0', '-1'), [stuck]);
  });
});

describe('a scan', () => {
  test('deletes what never entered the index, and nothing else', async () => {
    const kept = await indexedObjects(6);
    const [doomed, young, ofSeal, ofPlan] = [
      await newObject(),
      await newObject(newId(), Date.now()),
      await newObject(),
      await newObject(),
    ];
    await redis.zadd(keys.doomed, Date.now() + HOUR_MS, doomed);
    await redis.hset(keys.seal(parseObjectKey(ofSeal)!.maker), 'format', '1');
    await redis.zadd(keys.plans, Date.now() + HOUR_MS, parseObjectKey(ofPlan)!.maker);
    const foreign = (await newObject()).replace(generation, 'abcdef012345');
    await store.delete(foreign.replace('abcdef012345', generation));
    await put(foreign);
    await put(`${table}/~log/other.json`);
    const orphan = await newObject();
    const metrics = new FlusherMetrics();
    const task = sweeper(metrics);
    await task.run(signal);
    assert.deepEqual(await objects(), [...kept, doomed, young, ofSeal, ofPlan, foreign].sort());
    assert.ok(!(await objects()).includes(orphan));
    assert.match(await metrics.text(), /miniodb_flusher_objects_deleted_total\{kind="orphan"\} 1/);
  });

  test('that finds more orphans than files deletes nothing and says so', async () => {
    const kept = await indexedObjects(2);
    const orphans = [await newObject(), await newObject(), await newObject()];
    const metrics = new FlusherMetrics();
    await sweeper(metrics).run(signal);
    assert.deepEqual(await objects(), [...kept, ...orphans].sort());
    assert.match(await metrics.text(), /miniodb_flusher_orphan_scans_refused_total 1/);
  });

  test('takes the log of a swap away that was not taken, and leaves that of one whose inputs are gone', async () => {
    const kept = await indexedObjects(4);
    const [untaken, taken] = [newId(), newId()];
    await newObject(untaken);
    await newObject(taken);
    const ref = { table, generation, shards: 2 };
    const input = (key: string) => [{ partition: '', fileId: '', entry: { key } as never }];
    await writeSwapLog(store, ref, untaken, input(kept[0]!), [], signal);
    await writeSwapLog(store, ref, taken, input('gone'), [], signal);
    await sweeper().run(signal);
    assert.deepEqual(await objects(), kept.sort());
    assert.equal(await store.head(swapLogKey(table, untaken)), undefined);
    assert.notEqual(await store.head(swapLogKey(table, taken)), undefined);
  });

  test('comes a whole interval after the start', async () => {
    const kept = await indexedObjects(2);
    const orphan = await newObject();
    const context = { redis, fixed, catalog, store, log: silentLog(), metrics: new FlusherMetrics() };
    const settings = { everyMs: 1, scanEveryMs: HOUR_MS, orphanAgeMs: HOUR_MS };
    await sweepTask({ ...context, ownership: { ownsTable: () => true } }, settings).run(signal);
    assert.deepEqual(await objects(), [...kept, orphan].sort());
  });
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { askToCollect } from '@miniodb/core/index/collect.ts';
import { registerPlan, type TableRef } from '@miniodb/core/index/plan.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { objectName, parseObjectKey } from '@miniodb/core/table/object-name.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';

const fixed = new FixedKeys('single');
const DAY = '2026-01-05';
const PLAN = { kind: 'compact', by: 'test', inputs: 0 } as const;

let server: TestRedis;
let redis: Redis;

before(async () => {
  server = await startTestRedis();
  redis = server.redis;
});

after(() => server.stop());

const newId = () => randomBytes(8).toString('hex');

async function newObject() {
  const table = `t${newId()}`;
  const catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
  await catalog.create(table, { shards: 2 }, 10_000, '2026-01-01T00:00:00.000000Z');
  const { generation } = (await catalog.read(table))!;
  const ref: TableRef = { table, generation, shards: 2 };
  const key = `${table}/~s01/${DAY}/${objectName(1, generation, newId(), 1, 1, 'b'.repeat(64))}`;
  const name = parseObjectKey(key)!;
  const keys = new ProtocolKeys(table, generation);
  return { ref, key, name, keys, ask: () => askToCollect(redis, fixed, ref, key, name) };
}

describe('an object', () => {
  test('that nobody refers to, and whose maker is dead, may be deleted, and its maker stays dead', async () => {
    const { ref, name, ask } = await newObject();
    assert.deepEqual(await ask(), { status: 'delete' });
    assert.deepEqual(await ask(), { status: 'delete' });
    assert.equal(await registerPlan(redis, fixed, ref, name.maker, 60_000, PLAN), 'dead');
  });

  test('in the index stays, whatever its shard, and another one of the same file id does not', async () => {
    const { key, name, keys, ask } = await newObject();
    const entry = (of: string) => JSON.stringify({ v: 1, key: of, sha256: '', sizeBytes: 1, rows: 1 });
    await redis.hset(keys.entries(`s01:${DAY}`), name.fileId, entry(key));
    assert.deepEqual(await ask(), { status: 'indexed' });
    await redis.hset(keys.entries(`s01:${DAY}`), name.fileId, entry(`${key}.other`));
    assert.deepEqual(await ask(), { status: 'delete' });
  });

  test('of a live seal stays', async () => {
    const { name, keys, ask } = await newObject();
    await redis.hset(keys.seal(name.maker), 'format', '1');
    assert.deepEqual(await ask(), { status: 'held' });
  });

  test('of a live plan stays; once the plan has expired it goes, and the plan cannot be prolonged', async () => {
    const { ref, name, keys, ask } = await newObject();
    assert.equal(await registerPlan(redis, fixed, ref, name.maker, 60_000, PLAN), 'ok');
    assert.deepEqual(await ask(), { status: 'held' });
    await redis.zadd(keys.plans, 1, name.maker);
    assert.deepEqual(await ask(), { status: 'delete' });
    assert.equal(await registerPlan(redis, fixed, ref, name.maker, 60_000, PLAN, 'prolong'), 'dead');
  });

  test('a plan that was never registered cannot be prolonged', async () => {
    const { ref } = await newObject();
    assert.equal(await registerPlan(redis, fixed, ref, newId(), 60_000, PLAN, 'prolong'), 'dead');
  });

  test('that left the index waits for its time, and for pins', async () => {
    const { key, keys, ask } = await newObject();
    const farMs = Date.now() + 60_000;
    await redis.zadd(keys.doomed, farMs, key);
    assert.deepEqual(await ask(), { status: 'later', notBeforeMs: farMs });
    await redis.zadd(keys.doomed, 1, key);
    await redis.zadd(keys.pins, farMs, 'backup');
    await redis.zadd(keys.pins, 1, 'expired');
    assert.deepEqual(await ask(), { status: 'pinned', untilMs: farMs });
    assert.deepEqual(await redis.zrange(keys.pins, '0', '-1'), ['backup']);
    await redis.zrem(keys.pins, 'backup');
    assert.deepEqual(await ask(), { status: 'delete' });
  });

  test('of a table that has grown meanwhile is asked for again, with all shards', async () => {
    const { ref, key, name, keys, ask } = await newObject();
    await redis.hset(fixed.config(ref.table), 'shards', '3');
    await redis.hset(keys.entries(`s02:${DAY}`), name.fileId, JSON.stringify({ key }));
    assert.deepEqual(await ask(), { status: 'stale', shards: 3 });
    assert.equal((await askToCollect(redis, fixed, { ...ref, shards: 3 }, key, name)).status, 'indexed');
  });

  test('of a dropped incarnation is for its drop to delete', async () => {
    const { ref, ask } = await newObject();
    await redis.hset(fixed.config(ref.table), 'generation', 'another');
    assert.deepEqual(await ask(), { status: 'gone' });
  });
});

test('what is not a file of ours has no name', () => {
  for (const key of [
    't/~table/abc.json',
    't/x/2026-01-05/other.parquet',
    'T/x/2026-01-05/1-ab-cd-1of1-0123456789abcdef.parquet',
    't/x/y/2026-01-05/1-ab-cd-1of1-0123456789abcdef.parquet',
    't/x/2026-1-5/1-ab-cd-1of1-0123456789abcdef.parquet',
    't/x/2026-01-05/1-ab-cd-1of1-0123456789abcdef.parquet.tmp',
  ]) {
    assert.equal(parseObjectKey(key), undefined, key);
  }
});

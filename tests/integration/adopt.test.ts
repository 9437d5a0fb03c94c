import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { type Adoption, adoptFiles } from '@miniodb/core/index/adopt.ts';
import { askToCollect } from '@miniodb/core/index/collect.ts';
import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import { pinTable, unpinTable } from '@miniodb/core/index/pin.ts';
import { registerPlan, type TableRef } from '@miniodb/core/index/plan.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { objectName, parseObjectKey } from '@miniodb/core/table/object-name.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { takeInstant } from '../../apps/flusher/src/upkeep/backup/instant.ts';

const fixed = new FixedKeys('single');
const DAY = '2026-01-05';
const MINUTE_MS = 60_000;

let server: TestRedis;
let redis: Redis;

before(async () => {
  server = await startTestRedis();
  redis = server.redis;
});

after(() => server.stop());

const newId = () => randomBytes(8).toString('hex');

async function newTable(shards = 2) {
  const table = `t${newId()}`;
  const catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
  await catalog.create(table, { shards }, 10_000, '2026-01-01T00:00:00.000000Z');
  const { generation } = (await catalog.read(table))!;
  const ref: TableRef = { table, generation, shards };
  return { ref, keys: new ProtocolKeys(table, generation) };
}

function fileOf({ table, generation }: TableRef, planId: string, part: number, rows: number) {
  const key = `${table}/a/${DAY}/${objectName(1, generation, planId, part, part, 'b'.repeat(64))}`;
  const entry: FileEntry = {
    v: 1,
    key,
    sha256: 'b'.repeat(64),
    sizeBytes: rows * 10,
    rows,
    minTs: '1767571200000000',
    maxTs: '1767571200000001',
    minId: 'a',
    maxId: 'a',
    acceptedMs: 1,
    columns: [],
    overflow: false,
  };
  return { shard: 's01', day: DAY, fileId: `${planId}-${part}`, ownerId: 'a', entry };
}

async function planned(ref: TableRef, livesMs = MINUTE_MS): Promise<string> {
  const planId = newId();
  const text = { kind: 'restore', by: 'test', inputs: 1 } as const;
  assert.equal(await registerPlan(redis, fixed, ref, planId, livesMs, text), 'ok');
  return planId;
}

const adopt = (ref: TableRef, planId: string, changes: Partial<Adoption> = {}) =>
  adoptFiles(redis, fixed, ref, {
    planId,
    chunk: 0,
    isLast: true,
    files: [fileOf(ref, planId, 1, 3)],
    columns: [],
    schemaVersion: '0',
    shardCounts: [2],
    isForeign: false,
    ...changes,
  });

describe('adopting files', () => {
  test('puts them into index, id sets, schema and statistics, once however often it is sent', async () => {
    const { ref, keys } = await newTable();
    const planId = await planned(ref);
    const columns = [{ folded: 'n', name: 'N', type: 'int53' }] as const;
    assert.deepEqual(await adopt(ref, planId, { columns, shardCounts: [1, 2], isForeign: true }), {
      status: 'ok',
    });
    // Whatever became of them: a compaction may have replaced them since.
    await redis.hdel(keys.entries(`s01:${DAY}`), `${planId}-1`);
    assert.deepEqual(await adopt(ref, planId), { status: 'already' });
    assert.equal(await redis.hlen(keys.entries(`s01:${DAY}`)), 0);
    const stats = await redis.hgetall(fixed.stats(ref.table));
    assert.deepEqual(
      [stats.record_count, stats.file_count, stats.size_bytes, stats.oldest_record, stats.newest_record],
      ['3', '1', '30', '2026-01-05T00:00:00.000000Z', '2026-01-05T00:00:00.000001Z'],
    );
    assert.equal(await redis.scard(fixed.idFiles(ref.table, 'a', DAY)), 1);
    assert.deepEqual(await redis.hgetall(keys.schema), { n: 'int53:N' });
    assert.equal(await redis.hget(keys.counters, 'schema_version'), '1');
    const config = await redis.hmget(fixed.config(ref.table), 'shards', 'shard_history', 'placement');
    assert.deepEqual(config, ['2', '1,2', 'mixed']);
    assert.equal(await redis.hget(keys.indexMap, `s01:${DAY}`), '1');
  });

  test('goes on with the chunks that are not there yet, and ends the plan with the last', async () => {
    const { ref, keys } = await newTable();
    const planId = await planned(ref);
    const first = { chunk: 0, isLast: false };
    const second = { chunk: 1, isLast: true, files: [fileOf(ref, planId, 2, 4)] };
    assert.deepEqual(await adopt(ref, planId, first), { status: 'ok' });
    assert.deepEqual(await adopt(ref, planId, first), { status: 'already' });
    assert.deepEqual(await adopt(ref, planId, second), { status: 'ok' });
    assert.equal(await redis.hlen(keys.entries(`s01:${DAY}`)), 2);
    assert.equal(await redis.zscore(keys.plans, planId), null);
    const text = { kind: 'restore', by: 'test', inputs: 1 } as const;
    assert.equal(await registerPlan(redis, fixed, ref, planId, MINUTE_MS, text), 'done');
  });

  test('changes nothing without a live plan, of a stale view, or where a key is of another type', async () => {
    const { ref, keys } = await newTable();
    assert.deepEqual(await adopt(ref, newId()), { status: 'dead' });
    const planId = await planned(ref);
    assert.deepEqual(await adopt({ ...ref, shards: 1 }, planId), { status: 'stale', shards: 2 });
    assert.deepEqual(await adopt({ ...ref, generation: 'abc' }, planId), { status: 'gone' });
    assert.deepEqual(await adopt(ref, planId, { schemaVersion: '7' }), { status: 'moved' });
    await redis.set(keys.entries(`s01:${DAY}`), 'x');
    assert.deepEqual(await adopt(ref, planId), { status: 'mismatch', what: 'type' });
    await redis.del(keys.entries(`s01:${DAY}`));
    await redis.set(fixed.idFiles(ref.table, 'a', DAY), 'x');
    assert.deepEqual(await adopt(ref, planId), { status: 'mismatch', what: 'type' });
    assert.equal(await redis.exists(keys.indexToken, keys.entries(`s01:${DAY}`)), 0);
    assert.equal(await redis.hget(fixed.stats(ref.table), 'record_count'), '0');
  });
});

describe('an instant', () => {
  test('has no entries of a later moment than its snapshot: what moves in between is read again', async () => {
    const { ref } = await newTable();
    const planId = await planned(ref);
    const chunk = (part: number, isLast = false) =>
      adopt(ref, planId, { chunk: part, isLast, files: [fileOf(ref, planId, part, 3)] });
    assert.deepEqual(await chunk(1), { status: 'ok' });
    let part = 1;
    const moving = new Proxy(redis, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return async (...args: unknown[]) => {
          if (name === 'miniodb_entries' && part < 4) {
            part += 1;
            await chunk(part);
          }
          return (member as (...given: unknown[]) => unknown).apply(target, args);
        };
      },
    });
    const table = (await new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG).read(ref.table))!;
    const { files, snapshot } = await takeInstant(
      { redis: moving, fixed },
      table,
      new AbortController().signal,
    );
    assert.deepEqual([files.length, snapshot.indexToken], [4, '4']);
  });
});

describe('a pin', () => {
  async function doomedObject() {
    const { ref, keys } = await newTable();
    const { entry } = fileOf(ref, newId(), 1, 1);
    await redis.zadd(keys.doomed, 1, entry.key);
    const ask = async () =>
      (await askToCollect(redis, fixed, ref, entry.key, parseObjectKey(entry.key)!)).status;
    const pin = (id: string, ms: number, how?: 'prolong') => pinTable(redis, fixed, ref, id, ms, how);
    return { ref, ask, pin };
  }

  test('keeps objects that left the index until it is taken away, however often it is set', async () => {
    const { ref, ask, pin } = await doomedObject();
    assert.equal(await pin('a', MINUTE_MS), 'ok');
    assert.equal(await pin('a', MINUTE_MS), 'ok');
    assert.equal(await pin('a', MINUTE_MS, 'prolong'), 'ok');
    assert.equal(await ask(), 'pinned');
    await unpinTable(redis, ref, 'a');
    assert.equal(await ask(), 'delete');
  });

  test('that has run out is not prolonged: its objects may be gone', async () => {
    const { ask, pin } = await doomedObject();
    assert.equal(await pin('never', MINUTE_MS, 'prolong'), 'expired');
    assert.equal(await pin('short', 1), 'ok');
    await waitFor(
      'the pin has run out',
      async () => (await pin('short', MINUTE_MS, 'prolong')) === 'expired',
    );
    assert.equal(await pin('short', MINUTE_MS), 'expired');
    assert.equal(await ask(), 'delete');
  });

  test('is of one incarnation of a table', async () => {
    const { ref } = await newTable();
    assert.equal(await pinTable(redis, fixed, { ...ref, generation: 'abc' }, 'a', MINUTE_MS), 'gone');
  });
});

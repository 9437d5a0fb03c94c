import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { CommitFile } from '@miniodb/core/index/commit.ts';
import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import { type IndexedFile, registerPlan, type TableRef } from '@miniodb/core/index/plan.ts';
import { readEntries, takeSnapshot } from '@miniodb/core/index/snapshot.ts';
import { type Swap, swapFiles } from '@miniodb/core/index/swap.ts';
import { formatBatchMeta } from '@miniodb/core/queue/batch-meta.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { rfc3339FromMicros } from '@miniodb/core/table/timestamp.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import fc from 'fast-check';

const fixed = new FixedKeys('single');
const DAY = '2026-01-05';
const PARTITION = `s00:${DAY}`;
const MINUTE_MS = 60_000;

let server: TestRedis;
let redis: Redis;

before(async () => {
  server = await startTestRedis();
  redis = server.redis;
});

after(() => server.stop());

const newId = () => randomBytes(6).toString('hex');

async function newTable(): Promise<TableRef> {
  const table = `t${newId()}`;
  const catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
  await catalog.create(table, { shards: 1 }, 10_000, '2026-01-01T00:00:00.000000Z');
  const { generation } = (await catalog.read(table))!;
  return { table, generation, shards: 1 };
}

function fileOf(ref: TableRef, rows: number, owner = 'a', day = DAY): CommitFile & { shard: string } {
  const fileId = `${newId()}-1`;
  const entry: FileEntry = {
    v: 1,
    key: `${ref.table}/${owner}/${day}/1-${ref.generation}-${fileId}.parquet`,
    sha256: 'a'.repeat(64),
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
  return { shard: 's00', day, fileId, ownerId: owner.startsWith('~') ? undefined : owner, entry };
}

const asInput = ({ shard, day, fileId, entry }: CommitFile & { shard: string }): IndexedFile => ({
  partition: `${shard}:${day}`,
  fileId,
  entry,
});

async function planned(ref: TableRef, livesMs = MINUTE_MS): Promise<string> {
  const planId = newId();
  assert.equal(
    await registerPlan(redis, fixed, ref, planId, livesMs, { kind: 'compact', by: 'test', inputs: 0 }),
    'ok',
  );
  return planId;
}

const swap = (ref: TableRef, planId: string, changes: Partial<Swap>) =>
  swapFiles(redis, fixed, ref, {
    planId,
    inputs: [],
    outputs: [],
    keepsRows: false,
    graceMs: MINUTE_MS,
    ...changes,
  });

/** Files get into the index as outputs of a swap whose inputs are none: rows appear, so only tests may. */
async function indexed(ref: TableRef, ...files: (CommitFile & { shard: string })[]): Promise<void> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const stats = fixed.stats(ref.table);
  for (const { shard, day, fileId, ownerId, entry } of files) {
    await redis.hset(keys.entries(`${shard}:${day}`), fileId, JSON.stringify(entry));
    await redis.hset(keys.indexMap, `${shard}:${day}`, await redis.incr(keys.indexToken));
    if (ownerId !== undefined) await redis.sadd(fixed.idFiles(ref.table, ownerId, day), entry.key);
    await redis.hincrby(stats, 'file_count', 1);
    await redis.hincrby(stats, 'size_bytes', entry.sizeBytes);
    await redis.hincrby(stats, 'record_count', entry.rows);
  }
}

async function filesOf(ref: TableRef, partition = PARTITION): Promise<string[]> {
  const answer = await takeSnapshot(redis, fixed, ref.table, ref.generation, ref.shards);
  assert.equal(answer.status, 'ok');
  const token = answer.status === 'ok' ? answer.snapshot.partitions.get(partition) : undefined;
  if (token === undefined) return [];
  const entries = await readEntries(redis, ref.table, ref.generation, partition, token);
  return [...entries!.keys()].sort();
}

describe('a swap', () => {
  test('replaces files in index, id sets and statistics, and dooms the objects that left', async () => {
    const ref = await newTable();
    const keys = new ProtocolKeys(ref.table, ref.generation);
    const old = [fileOf(ref, 3), fileOf(ref, 4)];
    const other = fileOf(ref, 5);
    await indexed(ref, ...old, other);
    const merged = fileOf(ref, 7);
    const planId = await planned(ref);
    const answer = await swap(ref, planId, { inputs: old.map(asInput), outputs: [merged], keepsRows: true });
    assert.equal(answer.status, 'ok');
    assert.deepEqual(await filesOf(ref), [merged.fileId, other.fileId].sort());
    assert.deepEqual(
      (await redis.smembers(fixed.idFiles(ref.table, 'a', DAY))).sort(),
      [merged.entry.key, other.entry.key].sort(),
    );
    const stats = await redis.hgetall(fixed.stats(ref.table));
    assert.deepEqual([stats.record_count, stats.file_count, stats.size_bytes], ['12', '2', '120']);
    assert.deepEqual((await redis.zrange(keys.doomed, '0', '-1')).sort(), old.map((f) => f.entry.key).sort());
    assert.equal(await redis.zcard(keys.plans), 0);
  });

  test('is answered as taken when it is repeated, and changes nothing then', async () => {
    const ref = await newTable();
    const old = fileOf(ref, 3);
    await indexed(ref, old);
    const planId = await planned(ref);
    const merged = fileOf(ref, 3);
    const request = { inputs: [asInput(old)], outputs: [merged] };
    assert.equal((await swap(ref, planId, request)).status, 'ok');
    const before = await redis.hgetall(fixed.stats(ref.table));
    assert.equal((await swap(ref, planId, request)).status, 'already');
    assert.equal(
      await registerPlan(redis, fixed, ref, planId, 1, { kind: 'compact', by: '', inputs: 0 }),
      'done',
    );
    assert.deepEqual(await redis.hgetall(fixed.stats(ref.table)), before);
    assert.deepEqual(await filesOf(ref), [merged.fileId]);
  });

  test('is refused whole when an input has left the index, or is another object of that file id', async () => {
    const ref = await newTable();
    const [here, gone] = [fileOf(ref, 3), fileOf(ref, 4)];
    await indexed(ref, here);
    const planId = await planned(ref);
    const outputs = [fileOf(ref, 7)];
    assert.deepEqual(await swap(ref, planId, { inputs: [here, gone].map(asInput), outputs }), {
      status: 'missing',
      fileId: gone.fileId,
    });
    const replaced = asInput(here);
    const entry = { ...replaced.entry, key: `${replaced.entry.key}x` };
    assert.equal((await swap(ref, planId, { inputs: [{ ...replaced, entry }] })).status, 'missing');
    assert.deepEqual(await filesOf(ref), [here.fileId]);
  });

  test('of a rewrite is refused when it would lose a row, and of any kind when it would add one', async () => {
    const ref = await newTable();
    const old = fileOf(ref, 3);
    await indexed(ref, old);
    const planId = await planned(ref);
    const inputs = [asInput(old)];
    const mismatch = { status: 'mismatch', what: 'rows' };
    assert.deepEqual(
      await swap(ref, planId, { inputs, outputs: [fileOf(ref, 2)], keepsRows: true }),
      mismatch,
    );
    assert.deepEqual(await swap(ref, planId, { inputs, outputs: [fileOf(ref, 4)] }), mismatch);
    assert.deepEqual(await filesOf(ref), [old.fileId]);
  });

  test('needs a live plan: one that expired, or was never registered, is dead', async () => {
    const ref = await newTable();
    const old = fileOf(ref, 3);
    await indexed(ref, old);
    assert.equal((await swap(ref, newId(), { inputs: [asInput(old)] })).status, 'dead');
    assert.equal((await swap(ref, await planned(ref, 0), { inputs: [asInput(old)] })).status, 'dead');
    assert.deepEqual(await filesOf(ref), [old.fileId]);
  });

  test('of a dropped incarnation finds it gone', async () => {
    const ref = await newTable();
    const planId = await planned(ref);
    await redis.hset(fixed.config(ref.table), 'generation', 'another');
    assert.equal((await swap(ref, planId, {})).status, 'gone');
    assert.equal(
      await registerPlan(redis, fixed, ref, newId(), 1, { kind: 'compact', by: '', inputs: 0 }),
      'gone',
    );
  });

  test('takes an emptied partition out of the map', async () => {
    const ref = await newTable();
    const old = fileOf(ref, 3, '~s00');
    await indexed(ref, old);
    const answer = await swap(ref, await planned(ref), { inputs: [asInput(old)] });
    assert.equal(answer.status === 'ok' && answer.rowsRemoved, 3);
    const keys = new ProtocolKeys(ref.table, ref.generation);
    assert.deepEqual(await redis.hgetall(keys.indexMap), {});
  });

  test('with a key of another type is refused before anything is written', async () => {
    const ref = await newTable();
    const old = fileOf(ref, 3);
    await indexed(ref, old);
    const keys = new ProtocolKeys(ref.table, ref.generation);
    await redis.set(keys.doomed, 'text');
    assert.deepEqual(await swap(ref, await planned(ref), { inputs: [asInput(old)] }), {
      status: 'mismatch',
      what: 'type',
    });
    assert.deepEqual(await filesOf(ref), [old.fileId]);
  });
});

describe('the bounds of a table after rows left', () => {
  const bounds = (indexToken: string, seq: string) => ({ indexToken, seq, oldest: '', newest: '' });

  test('are refused when the index has moved since they were computed', async () => {
    const ref = await newTable();
    const old = fileOf(ref, 3);
    await indexed(ref, old);
    const planId = await planned(ref);
    assert.equal(
      (await swap(ref, planId, { inputs: [asInput(old)], bounds: bounds('0', '0') })).status,
      'moved',
    );
    const answer = await swap(ref, planId, { inputs: [asInput(old)], bounds: bounds('1', '0') });
    assert.equal(answer.status, 'ok');
    const stats = await redis.hgetall(fixed.stats(ref.table));
    assert.deepEqual([stats.oldest_record, stats.newest_record], ['', '']);
  });

  test('are refused when there is a shard more, whose pending rows they cannot know', async () => {
    const ref = await newTable();
    const old = fileOf(ref, 3);
    await indexed(ref, old);
    await redis.hset(fixed.config(ref.table), 'shards', '2');
    const request = { inputs: [asInput(old)], bounds: bounds('1', '0') };
    assert.equal((await swap(ref, await planned(ref), request)).status, 'moved');
    assert.equal((await swap({ ...ref, shards: 2 }, await planned(ref), request)).status, 'ok');
  });

  test('take in what was put after they were computed, at any time from year 1 to 9999', async () => {
    const ref = await newTable();
    const keys = new ProtocolKeys(ref.table, ref.generation);
    const micros = fc.bigInt(
      BigInt(Date.parse('0001-01-01T00:00:00Z')) * 1_000n,
      BigInt(Date.parse('9999-12-31T23:59:59.999Z')) * 1_000n + 999n,
    );
    await fc.assert(
      fc.asyncProperty(micros, micros, async (a, b) => {
        const [minTs, maxTs] = a < b ? [a, b] : [b, a];
        await redis.del(keys.pending('s00'), keys.batchMeta('s00'));
        const meta = formatBatchMeta({
          rows: 1,
          bytes: 1,
          rawBytes: 1,
          acceptedMs: 1,
          minTs: String(minTs),
          maxTs: String(maxTs),
          hasOverflow: false,
        });
        await redis.zadd(keys.pending('s00'), 4, 'seen', 5, 'later');
        await redis.hset(keys.batchMeta('s00'), 'seen', 'never read', 'later', meta);
        const token = (await redis.get(keys.indexToken)) ?? '0';
        const answer = await swap(ref, await planned(ref), { bounds: bounds(token, '4') });
        assert.equal(answer.status, 'ok');
        const stats = await redis.hgetall(fixed.stats(ref.table));
        assert.equal(stats.oldest_record, rfc3339FromMicros(String(minTs)));
        assert.equal(stats.newest_record, rfc3339FromMicros(String(maxTs)));
      }),
      { numRuns: 300 },
    );
  });
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { type CommitFile, commitSeal } from '@miniodb/core/index/commit.ts';
import { readEntries, takeSnapshot } from '@miniodb/core/index/snapshot.ts';
import { JobConsumer, JobProducer } from '@miniodb/core/queue/jobs.ts';
import { type PutAnswer, type PutRequest, sendPut } from '@miniodb/core/queue/put.ts';
import {
  lookAtShard,
  readSeal,
  revokeSeal,
  type SealLimits,
  type ShardRef,
  sealShard,
} from '@miniodb/core/queue/seals.ts';
import { type Redis, redisTimeMs } from '@miniodb/core/redis/client.ts';
import { Catalog, type Table } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { rowLine } from '@miniodb/core/table/row-line.ts';
import { COLUMN_TYPES, type ColumnType, foldName, joinTypes } from '@miniodb/core/table/schema.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import fc from 'fast-check';

const fixed = new FixedKeys('single');
const LIMITS: SealLimits = {
  rowsMax: 1_000_000,
  bytesMax: 1e9,
  rawBytesMax: 1e9,
  batchesMax: 1_000,
  daysMax: 366,
};
const LAYOUT = { mode: 'auto', filesMax: 64, ownIdsMax: 8, ownRowsMin: 10_000 } as const;
const DAY_MICROS = 86_400_000_000;

let server: TestRedis;
let redis: Redis;
let producer: JobProducer;

before(async () => {
  server = await startTestRedis();
  redis = server.redis;
  producer = new JobProducer(redis);
});

after(async () => {
  await producer.close();
  await server.stop();
});

const newId = () => randomBytes(6).toString('hex');

async function newTable(config: Record<string, unknown> = {}): Promise<Table> {
  const name = `t${newId()}`;
  const catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
  await catalog.create(name, { shards: 1, ...config }, 10_000, '2026-01-01T00:00:00.000000Z');
  return (await catalog.read(name))!;
}

interface PutOptions {
  readonly rows?: number;
  readonly day?: number;
  readonly columns?: readonly (readonly [name: string, type: ColumnType])[];
  readonly dedup?: PutRequest['dedup'];
  readonly deadlineMs?: number;
}

async function putRequest(table: Table, options: PutOptions = {}): Promise<PutRequest> {
  const rows = options.rows ?? 3;
  const putId = newId();
  const micros = String((options.day ?? 20_000) * DAY_MICROS);
  const raw = Array.from({ length: rows }, (_, row) => rowLine(`id-${row}`, micros, '{"a":1}')).join('');
  const payload = zstdCompressSync(Buffer.from(raw));
  const meta = {
    rows,
    bytes: payload.length,
    rawBytes: raw.length,
    acceptedMs: Date.now(),
    minTs: micros,
    maxTs: micros,
    hasOverflow: false,
  };
  return {
    table: table.name,
    generation: table.generation,
    shards: table.config.shards,
    putId,
    deadlineMs: options.deadlineMs ?? (await redisTimeMs(redis)) + 10_000,
    batches: [{ id: `${putId}-0`, shard: 0, meta, payload }],
    columns: (options.columns ?? [['a', 'int53']]).map(([name, type]) => ({
      name,
      type,
      folded: foldName(name),
    })),
    acceptedAt: '2026-01-01T00:00:00.000000Z',
    oldest: '2024-10-04T00:00:00.000000Z',
    newest: '2024-10-04T00:00:00.000000Z',
    maxPendingBytes: table.config.max_pending_bytes,
    isRepeat: false,
    ...(options.dedup && { dedup: options.dedup }),
  };
}

const send = (request: PutRequest): Promise<PutAnswer> => sendPut(redis, producer, fixed, request);
const put = async (table: Table, options: PutOptions = {}) => send(await putRequest(table, options));

const shardOf = (table: Table): ShardRef => ({
  table: table.name,
  generation: table.generation,
  shard: 's00',
});

async function seal(table: Table, limits = LIMITS): Promise<string> {
  const sealId = newId();
  assert.equal(await sealShard(redis, fixed, shardOf(table), sealId, limits, LAYOUT), 'ok');
  return sealId;
}

async function batchIdsOf(table: Table, sealId: string): Promise<string[]> {
  return (await readSeal(redis, shardOf(table), sealId))!.batches.map((batch) => batch.id);
}

function file(sealId: string, rows: number, part = 1): CommitFile {
  return {
    fileId: `${sealId}-${part}`,
    day: '2024-10-04',
    ownerId: `id-${part}`,
    entry: {
      v: 1,
      key: `t/id-${part}/2024-10-04/${sealId}-${part}.parquet`,
      sha256: '0'.repeat(64),
      sizeBytes: 100,
      rows,
      minTs: '0',
      maxTs: '9007199254740993',
      minId: 'a',
      maxId: 'b',
      acceptedMs: 1,
      columns: [['a', 'int53']],
      overflow: false,
    },
  };
}

const commit = (table: Table, sealId: string, batchIds: readonly string[], files: readonly CommitFile[]) =>
  commitSeal(redis, fixed, shardOf(table), sealId, batchIds, files);

async function snapshotOf(table: Table) {
  const answer = await takeSnapshot(redis, fixed, table.name, table.generation, table.config.shards);
  assert.equal(answer.status, 'ok');
  return answer.status === 'ok' ? answer.snapshot : assert.fail();
}

const payloadCount = async (table: Table) => (await redis.keys(`{${table.name}}:*:p:*`)).length;

describe('put', () => {
  test('makes rows pending with their payload, job, schema and statistics', async () => {
    const table = await newTable();
    assert.equal(
      (
        await put(table, {
          rows: 5,
          columns: [
            ['a', 'int53'],
            ['B', 'varchar'],
          ],
        })
      ).status,
      'ok',
    );
    const snapshot = await snapshotOf(table);
    assert.deepEqual(
      [...snapshot.pending.values()].map((meta) => meta.rows),
      [5],
    );
    assert.deepEqual(
      [...snapshot.schema],
      [
        ['a', { name: 'a', type: 'int53' }],
        ['b', { name: 'B', type: 'varchar' }],
      ],
    );
    const state = await lookAtShard(redis, fixed, shardOf(table));
    assert.equal(state.jobsWaiting, 1);
    assert.equal(state.unsealed.rows, 5);
    const stats = await redis.hgetall(fixed.stats(table.name));
    assert.equal(stats.record_count, '5');
    assert.equal(stats.oldest_record, '2024-10-04T00:00:00.000000Z');
    assert.equal(await redis.get(fixed.lastWrite(table.name)), '2026-01-01T00:00:00.000000Z');
  });

  test('repeated after a lost reply stores nothing more, pending or flushed in between', async () => {
    const table = await newTable();
    const request = await putRequest(table, { rows: 4 });
    assert.equal((await send(request)).status, 'ok');
    assert.equal((await send(request)).status, 'ok');
    assert.equal((await snapshotOf(table)).pending.size, 1);
    const sealId = await seal(table);
    const batchIds = await batchIdsOf(table, sealId);
    assert.equal((await commit(table, sealId, batchIds, [file(sealId, 4)])).status, 'ok');
    assert.equal((await send(request)).status, 'ok');
    assert.equal((await snapshotOf(table)).pending.size, 0);
    assert.equal(await redis.hget(fixed.stats(table.name), 'record_count'), '4');
    // The repeat's payload goes by itself: it belongs to no batch any more.
    const ttl = await redis.pttl(new ProtocolKeys(table.name, table.generation).payload(batchIds[0]!));
    assert.ok(ttl > 0 && ttl <= 60_000, `ttl ${ttl}`);
  });

  test('is refused past its deadline and leaves nothing behind', async () => {
    const table = await newTable();
    assert.equal((await put(table, { deadlineMs: (await redisTimeMs(redis)) - 1 })).status, 'expired');
    assert.equal((await snapshotOf(table)).pending.size, 0);
    assert.equal(await payloadCount(table), 0);
  });

  test('is refused for another generation, an archived table and another shard count', async () => {
    const table = await newTable();
    assert.equal((await send({ ...(await putRequest(table)), generation: 'feedfeedfeed' })).status, 'gone');
    assert.deepEqual(await send({ ...(await putRequest(table)), shards: 7 }), {
      status: 'stale',
      what: 'shards',
    });
    await redis.hset(fixed.config(table.name), 'status', 'archived');
    assert.equal((await put(table)).status, 'archived');
    assert.equal((await snapshotOf(table)).pending.size, 0);
    assert.equal(await payloadCount(table), 0);
  });

  test('that was refused when repeated does not apply when its first sending arrives late', async () => {
    const table = await newTable();
    const request = await putRequest(table);
    await put(table);
    await redis.hset(fixed.config(table.name), 'max_pending_bytes', '10');
    assert.equal((await send({ ...request, isRepeat: true })).status, 'pending_bytes');
    await redis.hset(fixed.config(table.name), 'max_pending_bytes', '1000000');
    assert.equal((await send(request)).status, 'expired');
    assert.equal((await snapshotOf(table)).pending.size, 1);
  });

  test('that was refused leaves no job behind', async () => {
    const table = await newTable();
    await put(table);
    await redis.hset(fixed.config(table.name), 'max_pending_bytes', '10');
    for (let attempt = 0; attempt < 5; attempt += 1) assert.equal((await put(table)).status, 'pending_bytes');
    await waitFor('only the accepted batch has a job', async () => {
      return (await lookAtShard(redis, fixed, shardOf(table))).jobsWaiting === 1;
    });
  });

  test('changes nothing when the statistics have another type', async () => {
    const table = await newTable();
    await redis.del(fixed.stats(table.name));
    await redis.set(fixed.stats(table.name), 'not a hash');
    await assert.rejects(put(table), /WRONGTYPE/);
    assert.equal((await snapshotOf(table)).pending.size, 0);
  });

  test('with a key stores once, answers duplicate to the same bytes and conflict to others', async () => {
    const table = await newTable();
    const dedup = { key: 'k', requestHash: 'h', expiresMs: (await redisTimeMs(redis)) + 60_000 };
    assert.equal((await put(table, { dedup })).status, 'ok');
    assert.equal((await put(table, { dedup })).status, 'duplicate');
    assert.equal((await put(table, { dedup: { ...dedup, requestHash: 'other' } })).status, 'conflict');
    assert.equal((await snapshotOf(table)).pending.size, 1);
    assert.equal(await payloadCount(table), 1);
  });

  test('is refused over the cap of pending bytes, but not when nothing is pending', async () => {
    const table = await newTable();
    const request = await putRequest(table);
    await redis.hset(fixed.config(table.name), 'max_pending_bytes', '10');
    assert.equal((await send(request)).status, 'ok');
    assert.deepEqual(await put(table), { status: 'pending_bytes', capBytes: 10 });
    assert.equal(await payloadCount(table), 1);
  });

  test('refuses a column that is spelled differently by now as stale', async () => {
    const table = await newTable();
    await put(table, { columns: [['Foo', 'int53']] });
    assert.deepEqual(await put(table, { columns: [['foo', 'int53']] }), { status: 'stale', what: 'schema' });
  });
});

describe('column types', () => {
  const anyType = fc.constantFrom(...COLUMN_TYPES);

  test('join to one result in any order and grouping', () => {
    fc.assert(
      fc.property(anyType, anyType, anyType, (a, b, c) => {
        assert.equal(joinTypes(a, b), joinTypes(b, a));
        assert.equal(joinTypes(a, a), a);
        assert.equal(joinTypes(a, joinTypes(b, c)), joinTypes(joinTypes(a, b), c));
      }),
      { numRuns: 1_000 },
    );
  });

  test('widen in Redis exactly as the gateway believes', async () => {
    for (const a of COLUMN_TYPES) {
      const table = await newTable();
      const columns = COLUMN_TYPES.map((b): [string, ColumnType] => [`c_${b}`, b]);
      await put(table, { columns: columns.map(([name]): [string, ColumnType] => [name, a]) });
      await put(table, { columns });
      const { schema } = await snapshotOf(table);
      for (const [name, b] of columns) assert.equal(schema.get(name)!.type, joinTypes(a, b), `${a} and ${b}`);
    }
  });

  test('beyond the cap of columns are refused as stale, and none of the put is stored', async () => {
    const table = await newTable();
    const columns = Array.from({ length: 1_000 }, (_, n): [string, ColumnType] => [`c${n}`, 'int53']);
    assert.equal((await put(table, { columns })).status, 'ok');
    assert.deepEqual(await put(table, { columns: [['one_more', 'int53']] }), {
      status: 'stale',
      what: 'schema',
    });
    assert.equal((await snapshotOf(table)).schema.size, 1_000);
  });
});

describe('seal', () => {
  test('takes the oldest batches up to its limits, and at least one', async () => {
    const table = await newTable();
    for (const rows of [10, 20, 30]) await put(table, { rows });
    const first = await seal(table, { ...LIMITS, rowsMax: 35 });
    const second = await seal(table, { ...LIMITS, rowsMax: 1 });
    const rowsOf = async (id: string) =>
      (await readSeal(redis, shardOf(table), id))!.batches.map((b) => b.meta.rows);
    assert.deepEqual(await rowsOf(first), [10, 20]);
    assert.deepEqual(await rowsOf(second), [30]);
    assert.equal((await lookAtShard(redis, fixed, shardOf(table))).unsealed.rows, 0);
  });

  test('spans no more days than it may', async () => {
    const table = await newTable();
    await put(table, { day: 20_000 });
    await put(table, { day: 20_009 });
    await put(table, { day: 20_010 });
    const sealId = await seal(table, { ...LIMITS, daysMax: 10 });
    assert.equal((await batchIdsOf(table, sealId)).length, 2);
  });

  test('takes no more decompressed bytes than it may', async () => {
    const table = await newTable();
    for (const rows of [100, 100, 100]) await put(table, { rows });
    const [meta] = [...(await snapshotOf(table)).pending.values()];
    const sealId = await seal(table, { ...LIMITS, rawBytesMax: 2 * meta!.rawBytes });
    assert.equal((await batchIdsOf(table, sealId)).length, 2);
  });

  test('repeated under its id takes nothing more', async () => {
    const table = await newTable();
    await put(table);
    const sealId = await seal(table);
    await put(table);
    assert.equal(await sealShard(redis, fixed, shardOf(table), sealId, LIMITS, LAYOUT), 'already');
    assert.equal((await batchIdsOf(table, sealId)).length, 1);
  });

  test('keeps its batches visible as pending', async () => {
    const table = await newTable();
    await put(table);
    await seal(table);
    assert.equal((await snapshotOf(table)).pending.size, 1);
  });

  test('of nothing is empty, and of a dropped generation gone', async () => {
    const table = await newTable();
    assert.equal(await sealShard(redis, fixed, shardOf(table), newId(), LIMITS, LAYOUT), 'empty');
    const stale = { ...shardOf(table), generation: 'feedfeedfeed' };
    assert.equal(await sealShard(redis, fixed, stale, newId(), LIMITS, LAYOUT), 'gone');
  });
});

describe('revoke', () => {
  test('frees the good batches, sets the bad ones aside and kills the seal for ever', async () => {
    const table = await newTable();
    await put(table, { rows: 1 });
    await put(table, { rows: 2 });
    const sealId = await seal(table);
    const [bad, good] = await batchIdsOf(table, sealId);
    assert.deepEqual(await revokeSeal(redis, shardOf(table), sealId, 'broken', [bad!]), {
      status: 'ok',
      freed: 1,
      setAside: 1,
    });
    assert.equal((await revokeSeal(redis, shardOf(table), sealId, 'broken', [bad!])).status, 'already');
    assert.equal((await commit(table, sealId, [bad!, good!], [file(sealId, 3)])).status, 'unknown');
    assert.equal(await sealShard(redis, fixed, shardOf(table), sealId, LIMITS, LAYOUT), 'revoked');
    const state = await lookAtShard(redis, fixed, shardOf(table));
    assert.equal(state.setAside, 1);
    assert.equal(state.unsealed.rows, 2);
    assert.deepEqual(await batchIdsOf(table, await seal(table)), [good]);
    const keys = new ProtocolKeys(table.name, table.generation);
    assert.equal(await redis.hget(keys.setAsideCause('s00'), bad!), 'broken');
    assert.equal(await redis.pttl(keys.payload(bad!)), -1);
  });
});

describe('commit', () => {
  test('swaps batches for files at one instant, and answers already when repeated', async () => {
    const table = await newTable();
    await put(table, { rows: 6 });
    const sealId = await seal(table);
    const batchIds = await batchIdsOf(table, sealId);
    const files = [file(sealId, 4, 1), file(sealId, 2, 2)];
    assert.equal((await commit(table, sealId, batchIds, files)).status, 'ok');
    assert.equal((await commit(table, sealId, batchIds, files)).status, 'already');
    const snapshot = await snapshotOf(table);
    assert.equal(snapshot.pending.size, 0);
    const [[partition, token]] = [...snapshot.partitions] as [[string, string]];
    assert.equal(partition, 's00:2024-10-04');
    const entries = await readEntries(redis, table.name, table.generation, partition, token);
    assert.deepEqual(
      [...entries!.values()].map((entry) => entry.maxTs),
      ['9007199254740993', '9007199254740993'],
    );
    assert.deepEqual(await redis.smembers(fixed.idFiles(table.name, 'id-1', '2024-10-04')), [
      files[0]!.entry.key,
    ]);
    const stats = await redis.hgetall(fixed.stats(table.name));
    assert.deepEqual([stats.record_count, stats.file_count, stats.size_bytes], ['6', '2', '200']);
    const counters = await redis.hgetall(new ProtocolKeys(table.name, table.generation).counters);
    const { pending_rows, pending_bytes, pending_batches } = counters;
    assert.deepEqual([pending_rows, pending_bytes, pending_batches], ['0', '0', '0']);
  });

  test('with the files of another encoding of the same seal is not taken twice', async () => {
    const table = await newTable();
    await put(table, { rows: 6 });
    const sealId = await seal(table);
    const batchIds = await batchIdsOf(table, sealId);
    assert.equal((await commit(table, sealId, batchIds, [file(sealId, 6)])).status, 'ok');
    const other = { ...file(sealId, 6), entry: { ...file(sealId, 6).entry, key: 'other' } };
    assert.equal((await commit(table, sealId, batchIds, [other])).status, 'already');
    assert.equal(await redis.hget(fixed.stats(table.name), 'file_count'), '1');
  });

  test('is refused when batches or rows are not the seal’s', async () => {
    const table = await newTable();
    await put(table, { rows: 6 });
    const sealId = await seal(table);
    const batchIds = await batchIdsOf(table, sealId);
    assert.deepEqual(await commit(table, sealId, [], [file(sealId, 6)]), {
      status: 'mismatch',
      what: 'batches',
    });
    assert.deepEqual(await commit(table, sealId, ['x'], [file(sealId, 6)]), {
      status: 'mismatch',
      what: 'batches',
    });
    assert.deepEqual(await commit(table, sealId, batchIds, [file(sealId, 5)]), {
      status: 'mismatch',
      what: 'rows',
    });
    assert.equal((await snapshotOf(table)).pending.size, 1);
    assert.equal(await redis.hget(fixed.stats(table.name), 'file_count'), '0');
  });

  test('of a dropped generation is refused', async () => {
    const table = await newTable();
    await put(table);
    const sealId = await seal(table);
    const batchIds = await batchIdsOf(table, sealId);
    await redis.hset(fixed.config(table.name), 'generation', 'feedfeedfeed');
    assert.equal((await commit(table, sealId, batchIds, [file(sealId, 3)])).status, 'gone');
  });

  test('changes nothing when a key has another type', async () => {
    const table = await newTable();
    await put(table);
    const sealId = await seal(table);
    await redis.set(fixed.idFiles(table.name, 'id-1', '2024-10-04'), 'not a set');
    const answer = await commit(table, sealId, await batchIdsOf(table, sealId), [file(sealId, 3)]);
    assert.deepEqual(answer, { status: 'mismatch', what: 'type' });
    assert.equal((await snapshotOf(table)).pending.size, 1);
  });

  test('lets a reader of an older snapshot still fetch the payload', async () => {
    const table = await newTable();
    await put(table);
    const [batchId] = (await snapshotOf(table)).pending.keys();
    const sealId = await seal(table);
    await commit(table, sealId, [batchId!], [file(sealId, 3)]);
    const ttl = await redis.pttl(new ProtocolKeys(table.name, table.generation).payload(batchId!));
    assert.ok(ttl > 50_000 && ttl <= 60_000, `ttl ${ttl}`);
  });
});

describe('snapshot', () => {
  test('sends only what moved, and is equal to one taken from nothing', async () => {
    const table = await newTable();
    await put(table);
    const first = await snapshotOf(table);
    await put(table, { columns: [['c', 'double']] });
    const sealId = await seal(table, { ...LIMITS, rowsMax: 1 });
    await commit(table, sealId, await batchIdsOf(table, sealId), [file(sealId, 3)]);
    const grown = await takeSnapshot(redis, fixed, table.name, table.generation, 1, first);
    assert.deepEqual(grown, { status: 'ok', snapshot: await snapshotOf(table) });
  });

  test('refuses to read entries of a partition that has moved since', async () => {
    const table = await newTable();
    await put(table);
    await put(table);
    const commitOne = async () => {
      const sealId = await seal(table, { ...LIMITS, rowsMax: 1 });
      await commit(table, sealId, await batchIdsOf(table, sealId), [file(sealId, 3)]);
    };
    await commitOne();
    const [[partition, token]] = [...(await snapshotOf(table)).partitions] as [[string, string]];
    await commitOne();
    assert.equal(await readEntries(redis, table.name, table.generation, partition, token), undefined);
  });

  test('of another generation is gone, and with another shard count stale', async () => {
    const table = await newTable();
    assert.equal((await takeSnapshot(redis, fixed, table.name, 'feedfeedfeed', 1)).status, 'gone');
    assert.deepEqual(await takeSnapshot(redis, fixed, table.name, table.generation, 3), {
      status: 'stale',
      shards: 1,
    });
  });
});

describe('jobs', () => {
  test('are claimed once, completed, and released for others', async () => {
    const table = await newTable();
    await put(table);
    await put(table);
    const { queuePrefix } = new ProtocolKeys(table.name, table.generation);
    const consumer = new JobConsumer(redis, 'flusher-1');
    const claimed = await consumer.claim(queuePrefix, 's00', 10);
    assert.equal(claimed.length, 2);
    assert.equal((await consumer.claim(queuePrefix, 's00', 10)).length, 0);
    await claimed[0]!.complete();
    await claimed[1]!.release();
    const again = await consumer.claim(queuePrefix, 's00', 10);
    assert.deepEqual(
      again.map((job) => job.batchId),
      [claimed[1]!.batchId],
    );
    await again[0]!.complete();
    const state = await lookAtShard(redis, fixed, shardOf(table));
    assert.deepEqual([state.jobsWaiting, state.jobsActive], [0, 0]);
    await consumer.close();
  });

  test('keep next to nothing in the event stream', async () => {
    const table = await newTable();
    for (let round = 0; round < 300; round += 1) await put(table);
    const { queuePrefix } = new ProtocolKeys(table.name, table.generation);
    assert.ok((await redis.xlen(`${queuePrefix}:s00:events`)) <= 110);
  });
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { type CommitFile, commitSeal } from '@miniodb/core/index/commit.ts';
import { JobProducer } from '@miniodb/core/queue/jobs.ts';
import { sendPut } from '@miniodb/core/queue/put.ts';
import { readSeal, sealShard } from '@miniodb/core/queue/seals.ts';
import { type Redis, redisTimeMs } from '@miniodb/core/redis/client.ts';
import { Catalog, type Table } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { rowLine } from '@miniodb/core/table/row-line.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { Snapshots } from '../../apps/querier/src/query/snapshot.ts';

const fixed = new FixedKeys('single');
const LIMITS = { rowsMax: 1_000, bytesMax: 1e9, rawBytesMax: 1e9, batchesMax: 1_000, daysMax: 366 };
const LAYOUT = { mode: 'auto', filesMax: 64, ownIdsMax: 8, ownRowsMin: 10_000 } as const;
const TIMESTAMP = '2024-10-04T00:00:00.000000Z';
const MICROS = `${Date.parse(TIMESTAMP)}000`;

describe('a querier whose Redis goes back to an older state', () => {
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

  async function newTable(): Promise<Table> {
    const name = `t${newId()}`;
    const catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
    await catalog.create(name, { shards: 1 }, 10_000, TIMESTAMP);
    return (await catalog.read(name))!;
  }

  /** @returns the batch's id */
  async function put(table: Table): Promise<string> {
    const putId = newId();
    const raw = Buffer.from(rowLine('x', MICROS, '{}'));
    const payload = zstdCompressSync(raw);
    const meta = {
      rows: 1,
      bytes: payload.length,
      rawBytes: raw.length,
      acceptedMs: 1,
      minTs: MICROS,
      maxTs: MICROS,
      hasOverflow: false,
    };
    const answer = await sendPut(redis, producer, fixed, {
      table: table.name,
      generation: table.generation,
      shards: 1,
      putId,
      isRepeat: false,
      deadlineMs: (await redisTimeMs(redis)) + 10_000,
      batches: [{ id: `${putId}-0`, shard: 0, meta, payload }],
      columns: [],
      acceptedAt: TIMESTAMP,
      oldest: TIMESTAMP,
      newest: TIMESTAMP,
      maxPendingBytes: table.config.max_pending_bytes,
    });
    assert.equal(answer.status, 'ok');
    return `${putId}-0`;
  }

  /** What is pending becomes one file. @returns its key */
  async function flush(table: Table, day = '2024-10-04'): Promise<string> {
    const sealId = newId();
    const shard = { table: table.name, generation: table.generation, shard: 's00' };
    assert.equal(await sealShard(redis, fixed, shard, sealId, LIMITS, LAYOUT), 'ok');
    const { batches } = (await readSeal(redis, shard, sealId))!;
    const key = `t/x/${day}/${sealId}.parquet`;
    const entry = {
      v: 1,
      key,
      sha256: '0'.repeat(64),
      sizeBytes: 100,
      rows: batches.length,
      minTs: MICROS,
      maxTs: MICROS,
      minId: 'x',
      maxId: 'x',
      acceptedMs: 1,
      columns: [],
      overflow: false,
    } satisfies CommitFile['entry'];
    const ids = batches.map((batch) => batch.id);
    const file = { fileId: sealId, day, ownerId: 'x', entry };
    assert.equal((await commitSeal(redis, fixed, shard, sealId, ids, [file])).status, 'ok');
    return key;
  }

  async function backup(): Promise<() => Promise<void>> {
    const dumps = new Map<string, Buffer>();
    for (const key of await redis.keys('*')) dumps.set(key, (await redis.dumpBuffer(key))!);
    return async () => {
      await redis.flushdb();
      for (const [key, dump] of dumps) await redis.restore(key, 0, dump);
    };
  }

  const openSnapshots = async () => {
    const connection = await server.connect();
    const snapshots = new Snapshots(connection, fixed, DEFAULT_TABLE_CONFIG, {
      require: async () => {},
    });
    const see = async (table: Table) => {
      const { snapshot, files } = await snapshots.view(table.name);
      return { files: files.map((file) => file.key), pending: [...snapshot.pending.keys()] };
    };
    return { connection, see };
  };

  test('forgets the lost history, also when the new one counts as far', async () => {
    const table = await newTable();
    const { see } = await openSnapshots();
    const restore = await backup();
    await put(table);
    const lost = await flush(table);
    assert.deepEqual(await see(table), { files: [lost], pending: [] });
    await restore();
    assert.deepEqual(await see(table), { files: [], pending: [] });
    await put(table);
    const flushed = await flush(table, '2024-10-05');
    assert.deepEqual(await see(table), { files: [flushed], pending: [] });
  });

  test('reads batches again that the lost history had flushed already', async () => {
    const table = await newTable();
    const { see } = await openSnapshots();
    const kept = await put(table);
    const restore = await backup();
    const lost = await flush(table);
    assert.deepEqual(await see(table), { files: [lost], pending: [] });
    await restore();
    // No counter tells: only the batch does.
    await redis.set(new ProtocolKeys(table.name, table.generation).indexToken, '1');
    assert.deepEqual(await see(table), { files: [], pending: [kept] });
  });

  test('knows nothing of before once it had to connect again', async () => {
    const table = await newTable();
    const { connection, see } = await openSnapshots();
    const restore = await backup();
    await put(table);
    const lost = await flush(table);
    assert.deepEqual(await see(table), { files: [lost], pending: [] });
    await restore();
    await put(table);
    const flushed = await flush(table);
    const reconnected = new Promise((resolve) => connection.once('ready', resolve));
    connection.disconnect(true);
    await reconnected;
    assert.deepEqual(await see(table), { files: [flushed], pending: [] });
  });
});

describe('a querier’s local files', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster({ env: { MINIODB_CACHE_MIB: '16' } });
  });
  after(async () => {
    await cluster.stop();
  });

  test('are fetched again when somebody has removed them', async () => {
    const config = { buffer_size: 4, flush_interval_seconds: 1 };
    await cluster.rest('POST', '/v1/tables', { table_name: 'cleaned', config });
    for (const day of [1, 2, 3, 4]) {
      const rows = ['x', 'y'].map((id) => ({ id, timestamp: `2024-05-0${day}T00:00:00Z`, payload: { day } }));
      assert.equal((await cluster.rest('POST', '/v1/tables/cleaned/rows', rows)).status, 200);
    }
    await waitFor('all is flushed', async () => (await cluster.pendingRows('cleaned')) === 0);
    const sum = () => cluster.query('SELECT count(*) AS n, sum(day) AS days FROM cleaned');
    const expected = [{ n: 8, days: 20 }];
    assert.deepEqual(await sum(), expected);
    const files = join(cluster.cluster.dataDir.workDir('querier-1'), 'files');
    const copies = (await readdir(files)).sort();
    assert.ok(copies.length > 2);
    // One that is not the first, then all with their directory.
    await rm(join(files, copies.at(-1)!));
    assert.deepEqual(await sum(), expected);
    await rm(files, { recursive: true });
    assert.deepEqual(await sum(), expected);
  });

  test('may not exceed the cache with one query, which no later attempt can help', async () => {
    const config = { buffer_size: 1_000_000, flush_interval_seconds: 3_600 };
    for (const table of ['wide_a', 'wide_b']) {
      await cluster.rest('POST', '/v1/tables', { table_name: table, config });
      for (let request = 0; request < 5; request += 1) {
        const rows = [{ id: 'x', payload: { noise: randomBytes(1.8 * 1_048_576).toString('base64') } }];
        assert.equal((await cluster.rest('POST', `/v1/tables/${table}/rows`, rows)).status, 200);
      }
    }
    // Each fits.
    assert.equal(await cluster.count('wide_a'), 5);
    assert.equal(await cluster.count('wide_b'), 5);
    const { status, body } = await cluster.rest('POST', '/v1/query', {
      sql: 'SELECT count(*) AS n FROM wide_a, wide_b',
    });
    assert.deepEqual([status, body.code], [409, 'cache_too_small']);
    assert.match(body.message as string, /MINIODB_CACHE_MIB/);
  });
});

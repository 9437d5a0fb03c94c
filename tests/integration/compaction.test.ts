import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type FileEntry, fileEntrySchema } from '@miniodb/core/index/file-entry.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { IndexWatch } from '../../apps/flusher/src/upkeep/compact/index-watch.ts';

const DAY = '2026-01-05';
/**
 * Rows as one number, whatever their order: the columns, and `v` of the payload with its JSON type. Not the payload's
 * text: the order of its fields is not kept.
 */
const ROW = `concat(id, '|', timestamp, '|', n, '|', row, '|', v, '|', o, '|',
  json_type(payload, '$.v'), payload->'v', payload->'o', len(json_keys(payload)))`;
const CHECKSUM = `count(*) AS n, sum(md5_number_lower(${ROW})::HUGEINT)::VARCHAR AS sum`;

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({
    flushers: 1,
    restart: false,
    env: {
      MINIODB_COMPACT_SECONDS: '1',
      MINIODB_SWEEP_SECONDS: '1',
      MINIODB_OBJECT_GRACE_SECONDS: '3',
    },
  });
});

after(() => cluster.stop());

async function createTable(table: string, config: Record<string, unknown>): Promise<void> {
  const answer = await cluster.rest('POST', '/v1/tables', { table_name: table, config });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function change(table: string, config: Record<string, unknown>): Promise<void> {
  const answer = await cluster.rest('PATCH', `/v1/tables/${table}`, { config });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function insert(table: string, rows: readonly unknown[]): Promise<void> {
  const answer = await cluster.rest('POST', `/v1/tables/${table}/rows`, rows);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function entriesOf(table: string): Promise<FileEntry[]> {
  const keys = await cluster.keysOf(table);
  const partitions = await cluster.redis.hkeys(keys.indexMap);
  const entries = await Promise.all(
    partitions.map((partition) => cluster.redis.hvals(keys.entries(partition))),
  );
  return entries.flat().map((entry) => fileEntrySchema.parse(JSON.parse(entry)));
}

async function objectsOf(table: string): Promise<string[]> {
  const root = cluster.cluster.dataDir.objectsDir;
  const entries = await readdir(join(root, table), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.parquet'))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

const flushed = (table: string) =>
  waitFor(`${table} is flushed`, async () => (await cluster.pendingRows(table)) === 0);

/** So that each of them becomes a file. */
async function insertAndFlush(table: string, rows: readonly unknown[]): Promise<void> {
  await insert(table, rows);
  await flushed(table);
}

describe('many small files', () => {
  const table = 'small';
  const FILES = Number(process.env.SMALL_FILES ?? 120);

  test('become a few, while rows come and are read, and every row stays as it was', async () => {
    await createTable(table, { shards: 1, buffer_size: 1, layout: 'packed', compaction_enabled: false });
    // The type of `v` widens under way, from integers to text, and payloads are kept as they were sent for a while.
    const valueOfRow = (n: number) => (n % 3 === 0 ? n : n % 3 === 1 ? n % 2 === 0 : `text ${n}`);
    for (let n = 0; n < FILES; n += 1) {
      if (n === Math.floor(FILES / 2)) await change(table, { keep_raw_payload: true });
      const v = n < FILES / 3 ? n : valueOfRow(n);
      await insertAndFlush(
        table,
        Array.from({ length: 3 }, (_, row) => ({
          id: `id-${(n + row) % 20}`,
          timestamp: `${DAY}T10:00:00.${String(n).padStart(6, '0')}Z`,
          payload: { kind: 'old', n, row, v, o: { deep: [n, null] } },
        })),
      );
    }
    const before = await cluster.query(`SELECT ${CHECKSUM} FROM ${table}`);
    assert.equal(before[0]!.n, 3 * FILES);
    const files = await entriesOf(table);
    assert.ok(files.length >= FILES * 0.9, `${files.length} files`);

    const look = async () => {
      const seen = await cluster.query(`SELECT ${CHECKSUM} FROM ${table} WHERE kind = 'old'`);
      assert.deepEqual(seen, before);
    };
    let written = 0;
    await change(table, { compaction_enabled: true });
    await waitFor(
      'few files are left',
      async () => {
        await insert(table, [
          { id: 'w', timestamp: `${DAY}T11:00:00Z`, payload: { kind: 'new', n: written } },
        ]);
        written += 1;
        await look();
        return (await entriesOf(table)).filter(({ rows }) => rows > 1).length < 8;
      },
      120_000,
    );
    await look();
    assert.deepEqual(
      await cluster.query(`SELECT count(*) AS n, sum(n) AS s FROM ${table} WHERE kind = 'new'`),
      [{ n: written, s: (written * (written - 1)) / 2 }],
    );
  });

  test('leave nothing behind once their time has come, and the table’s numbers are right', async () => {
    await change(table, { compaction_enabled: false });
    await flushed(table);
    const indexed = await waitFor(
      'the bucket has what the index names',
      async () => {
        const keys = (await entriesOf(table)).map(({ key }) => key).sort();
        return JSON.stringify(keys) === JSON.stringify(await objectsOf(table)) && (await entriesOf(table));
      },
      40_000,
    );
    const { body } = await cluster.rest('GET', `/v1/tables/${table}`);
    const stats = body.stats as Record<string, unknown>;
    const sum = (pick: (entry: FileEntry) => number) =>
      indexed.reduce((total, entry) => total + pick(entry), 0);
    assert.deepEqual(
      [Number(stats.file_count), Number(stats.record_count), Number(stats.size_bytes)],
      [indexed.length, sum(({ rows }) => rows), sum(({ sizeBytes }) => sizeBytes)],
    );
    const logs = await readdir(join(cluster.cluster.dataDir.objectsDir, table, '~log'));
    assert.ok(logs.length >= 1);
  });
});

test('files of an id stay the id’s own, in its folder and its set', async () => {
  const table = 'owned';
  await createTable(table, { shards: 1, buffer_size: 1, layout: 'id', compaction_enabled: false });
  for (let n = 0; n < 10; n += 1) {
    const row = (id: string) => ({ id, timestamp: `${DAY}T10:00:0${n}Z`, payload: { n } });
    await insertAndFlush(table, [row('a b'), row('b')]);
  }
  await change(table, { compaction_enabled: true });
  const entries = await waitFor('each has one file', async () => {
    const found = await entriesOf(table);
    return found.length === 2 && found;
  });
  for (const { key, rows, ids, minId, maxId } of entries) {
    assert.equal(rows, 10);
    assert.deepEqual(ids, [minId]);
    assert.equal(minId, maxId);
    const folder = minId === 'b' ? 'b' : 'a~20b';
    assert.ok(key.startsWith(`${table}/${folder}/${DAY}/`), key);
    assert.deepEqual(await cluster.redis.smembers(`index:table:${table}:id:${folder}:${DAY}`), [key]);
  }
});

test('a file of mixed days becomes files of its days', async () => {
  const table = 'mixed';
  await createTable(table, { shards: 1, buffer_size: 80, layout: 'packed' });
  const day = (n: number) => new Date(Date.UTC(2026, 0, 1 + n)).toISOString();
  await insert(
    table,
    Array.from({ length: 80 }, (_, n) => ({ id: `id-${n}`, timestamp: day(n), payload: { n } })),
  );
  await flushed(table);
  const entries = await waitFor('no file is mixed', async () => {
    const found = await entriesOf(table);
    return found.every(({ key }) => !key.includes('~mixed')) && found;
  });
  assert.equal(entries.length, 80);
  assert.equal(await cluster.count(table), 80);
  const { donePlans } = await cluster.keysOf(table);
  assert.equal(await cluster.redis.zcard(donePlans), 1);
});

test('a table that has compaction switched off is left alone', async () => {
  const table = 'off';
  await createTable(table, { shards: 1, buffer_size: 1, layout: 'packed', compaction_enabled: false });
  for (let n = 0; n < 9; n += 1)
    await insertAndFlush(table, [{ id: 'a', timestamp: `${DAY}T10:00:00Z`, payload: { n } }]);
  const keys = (await entriesOf(table)).map(({ key }) => key).sort();
  assert.equal(keys.length, 9);
  // Another one that is compacted shows that there was time for it.
  const other = 'other';
  await createTable(other, { shards: 1, buffer_size: 1, layout: 'packed' });
  for (let n = 0; n < 9; n += 1)
    await insertAndFlush(other, [{ id: 'a', timestamp: `${DAY}T10:00:00Z`, payload: { n } }]);
  await waitFor('the other one is compacted', async () => (await entriesOf(other)).length < 9);
  assert.deepEqual((await entriesOf(table)).map(({ key }) => key).sort(), keys);
});

test('a file whose bytes are not those that were uploaded is not made part of another', async () => {
  const table = 'spoiled';
  await createTable(table, { shards: 1, buffer_size: 1, layout: 'packed', compaction_enabled: false });
  for (let n = 0; n < 9; n += 1)
    await insertAndFlush(table, [{ id: 'a', timestamp: `${DAY}T10:00:00Z`, payload: { n } }]);
  const keys = (await entriesOf(table)).map(({ key }) => key).sort();
  const path = join(cluster.cluster.dataDir.objectsDir, keys[4]!);
  const bytes = await readFile(path);
  // A name in the footer, which DuckDB reads as happily as another one.
  bytes.write('X', bytes.indexOf('miniodb.seals'));
  await writeFile(path, bytes);
  await change(table, { compaction_enabled: true });
  const { process } = cluster.cluster.member('flusher-1');
  await waitFor('it is refused', () =>
    process
      .output()
      .split('\n')
      .some(
        (line) =>
          line.includes('compaction_failed') && line.includes(table) && line.includes('checksum_mismatch'),
      ),
  );
  assert.deepEqual((await entriesOf(table)).map(({ key }) => key).sort(), keys);
});

describe('looking for work', () => {
  const TABLES = 300;
  let server: TestRedis;

  before(async () => {
    server = await startTestRedis();
  });

  after(() => server.stop());

  test('costs little more than one read for each table that stands still', async () => {
    const { redis } = server;
    const fixed = new FixedKeys('single');
    const catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
    for (let table = 0; table < TABLES; table += 1) {
      await catalog.create(`t${table}`, { shards: 2 }, 10_000, '2026-01-01T00:00:00.000000Z');
    }
    const { generation } = (await catalog.read('t7'))!;
    const { indexToken } = new ProtocolKeys('t7', generation);
    await redis.set(indexToken, '5');
    const { signal } = new AbortController();
    const watch = new IndexWatch(redis, catalog, { owns: (_table, shard) => shard === 's01' });
    const first = await watch.movedTables(signal);
    assert.equal(first.length, TABLES);
    for (const table of first) {
      assert.deepEqual([...table.shards], [['s01', -1n]]);
      watch.settled(table, 's01');
    }
    await redis.config('RESETSTAT');
    assert.deepEqual(await watch.movedTables(signal), []);
    const commands = Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))![1]);
    assert.ok(commands <= 1.3 * TABLES, `${commands} commands`);
    await redis.set(indexToken, '6');
    const [moved, ...others] = await watch.movedTables(signal);
    assert.deepEqual([moved!.ref.table, moved!.token, [...moved!.shards]], ['t7', 6n, [['s01', 5n]]]);
    assert.equal(others.length, 0);
  });
});

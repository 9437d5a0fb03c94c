import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const DAY = '2026-01-05';
/** With fewer files than are worth a rewrite: they outnumber what a crash leaves behind. */
const QUIET_DAY = '2026-01-06';
const FILES = 9;
const QUIET_FILES = 3;

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({
    flushers: 1,
    restart: false,
    env: {
      MINIODB_COMPACT_SECONDS: '1',
      MINIODB_SWEEP_SECONDS: '1',
      MINIODB_OBJECT_GRACE_SECONDS: '2',
      MINIODB_ORPHAN_SCAN_SECONDS: '1',
    },
  });
});

after(() => cluster.stop());

const restart = (failpoints = '') =>
  cluster.cluster.restart('flusher-1', { env: failpoints === '' ? {} : { FAILPOINTS: failpoints } });
const dead = () =>
  waitFor(
    'the flusher is dead',
    () => cluster.cluster.member('flusher-1').process.exit !== undefined,
    30_000,
  );

async function expectOk(method: string, path: string, body: unknown): Promise<void> {
  const answer = await cluster.rest(method, path, body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function newTableOfSmallFiles(table: string): Promise<void> {
  const config = { shards: 1, buffer_size: 1, layout: 'packed', compaction_enabled: false };
  await expectOk('POST', '/v1/tables', { table_name: table, config });
  for (let n = 0; n < FILES + QUIET_FILES; n += 1) {
    const timestamp = `${n < FILES ? DAY : QUIET_DAY}T10:00:00Z`;
    await expectOk('POST', `/v1/tables/${table}/rows`, [
      { id: 'a', timestamp, payload: { n: 2 * n } },
      { id: 'b', timestamp, payload: { n: 2 * n + 1 } },
    ]);
    await waitFor('it is a file', async () => (await cluster.pendingRows(table)) === 0);
  }
  assert.equal((await indexedKeys(table)).length, FILES + QUIET_FILES);
}

async function indexedKeys(table: string): Promise<string[]> {
  const keys = await cluster.keysOf(table);
  const partitions = await cluster.redis.hkeys(keys.indexMap);
  const entries = await Promise.all(
    partitions.map((partition) => cluster.redis.hvals(keys.entries(partition))),
  );
  return entries
    .flat()
    .map((entry) => (JSON.parse(entry) as { key: string }).key)
    .sort();
}

async function filesOf(table: string, folder = '.'): Promise<string[]> {
  const root = cluster.cluster.dataDir.objectsDir;
  const entries = await readdir(join(root, table, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

const objectsOf = async (table: string) => (await filesOf(table)).filter((key) => key.endsWith('.parquet'));

async function expectExactly(table: string): Promise<void> {
  const rows = 2 * (FILES + QUIET_FILES);
  const sql = `SELECT count(*) AS n, count(DISTINCT n) AS distinct_n, sum(n) AS s FROM ${table}`;
  assert.deepEqual(await cluster.query(sql), [{ n: rows, distinct_n: rows, s: (rows * (rows - 1)) / 2 }]);
}

/** The bucket has what the index names, and the table's numbers are those of the index. */
async function expectSwept(table: string): Promise<void> {
  await waitFor(
    'the bucket has what the index names',
    async () => {
      const [indexed, objects] = [await indexedKeys(table), await objectsOf(table)];
      return JSON.stringify(indexed) === JSON.stringify(objects);
    },
    60_000,
  );
  const { body } = await cluster.rest('GET', `/v1/tables/${table}`);
  const stats = body.stats as Record<string, unknown>;
  assert.equal(Number(stats.file_count), (await objectsOf(table)).length);
  assert.equal(Number(stats.record_count), 2 * (FILES + QUIET_FILES));
}

/** As if their flushers had died long ago. */
async function expirePlans(table: string): Promise<void> {
  const { plans } = await cluster.keysOf(table);
  for (const plan of await cluster.redis.zrange(plans, '0', '-1')) await cluster.redis.zadd(plans, 1, plan);
}

describe('a flusher that dies in a rewrite', () => {
  for (const [point, isSwapped, orphans] of [
    ['cp.plan', false, 0],
    ['cp.put', false, 1],
    ['cp.swap.before', false, 1],
    ['cp.swap.after', true, 0],
  ] as const) {
    test(`at ${point} changes no row, and nothing of it stays behind`, async () => {
      const table = `dies_${point.replaceAll('.', '_')}`;
      await newTableOfSmallFiles(table);
      await expectOk('PATCH', `/v1/tables/${table}`, { config: { compaction_enabled: true } });
      await restart(`${point}=kill`);
      await dead();
      await expectExactly(table);
      const [indexed, objects] = [await indexedKeys(table), await objectsOf(table)];
      assert.equal(indexed.length, isSwapped ? 1 + QUIET_FILES : FILES + QUIET_FILES);
      assert.equal(objects.length, FILES + QUIET_FILES + (isSwapped ? 1 : orphans));

      await restart();
      await waitFor(
        'it is compacted',
        async () => (await indexedKeys(table)).length === 1 + QUIET_FILES,
        30_000,
      );
      await expectExactly(table);
      await expirePlans(table);
      await expectSwept(table);
      await expectExactly(table);
    });
  }

  test('leaves no log of a swap that was not taken', async () => {
    const table = 'untaken';
    await newTableOfSmallFiles(table);
    await expectOk('PATCH', `/v1/tables/${table}`, { config: { compaction_enabled: true } });
    await restart('cp.swap.before=kill');
    await dead();
    const [log] = await filesOf(table, '~log');
    assert.ok(log);
    // The inputs stay: nobody compacts them again.
    await expectOk('PATCH', `/v1/tables/${table}`, { config: { compaction_enabled: false } });
    await expirePlans(table);
    await restart();
    await expectSwept(table);
    assert.deepEqual(
      (await filesOf(table)).filter((key) => key.includes('~log')),
      [],
    );
    await expectExactly(table);
  });
});

describe('a sweeper that dies', () => {
  for (const point of ['gc.mark', 'gc.delete']) {
    test(`at ${point} is gone on with`, async () => {
      const table = `swept_${point.replaceAll('.', '_')}`;
      await newTableOfSmallFiles(table);
      await expectOk('PATCH', `/v1/tables/${table}`, { config: { compaction_enabled: true } });
      await restart(`${point}=kill@3`);
      await dead();
      await expectExactly(table);
      const { doomed } = await cluster.keysOf(table);
      assert.ok((await cluster.redis.zcard(doomed)) > 0);
      await restart();
      await expectSwept(table);
      await waitFor('nothing is doomed', async () => (await cluster.redis.zcard(doomed)) === 0);
      await expectExactly(table);
    });
  }
});

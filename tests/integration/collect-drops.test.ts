import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { openObjectStore } from '@miniodb/core/storage/open-store.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { dropTable } from '@miniodb/core/table/drop.ts';
import { forgetIntent, readDrop, readDropIntents } from '@miniodb/core/table/drop-record.ts';
import { FixedKeys, GLOBAL_KEYS, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { intendDrop } from '@miniodb/core/table/listing.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { type CollectDropsSettings, collectDropsTask } from '../../apps/flusher/src/upkeep/collect-drops.ts';
import { repairListingTask } from '../../apps/flusher/src/upkeep/repair-listing.ts';

const fixed = new FixedKeys('single');
const DAY = '2026-01-05';
const { signal } = new AbortController();

let server: TestRedis;
let store: ObjectStore;
let bucket: string;

before(async () => {
  server = await startTestRedis();
  bucket = await mkdtemp(join(tmpdir(), 'miniodb-bucket-'));
  store = openObjectStore(pathToFileURL(bucket).href);
  await store.ensureReady();
});

after(async () => {
  await store.close();
  await server.stop();
  await rm(bucket, { recursive: true, force: true });
});

const catalog = () => new Catalog(server.redis, fixed, DEFAULT_TABLE_CONFIG);

function collector(
  settings: Partial<CollectDropsSettings> = {},
  changes: { store?: ObjectStore; owns?: boolean } = {},
) {
  const failures: string[] = [];
  const task = collectDropsTask(
    {
      redis: server.redis,
      fixed,
      store: changes.store ?? store,
      ownership: { ownsTable: () => changes.owns ?? true },
      log: silentLog(),
      metrics: { failed: (code) => failures.push(code) },
    },
    { everyMs: 1, secondPassMs: 0, overdueMs: 60_000, ...settings },
  );
  return { failures, run: () => task.run(signal) };
}

/** A table with files of one id, committed by hand, and one object that is in no index. */
async function madeWithFiles(table: string, files: number) {
  await catalog().create(table, { shards: 1 }, 1_000, '2026-01-01T00:00:00.000000Z');
  const { generation } = (await catalog().read(table))!;
  const keys = new ProtocolKeys(table, generation);
  const objects: string[] = [];
  for (let n = 0; n < files; n += 1) {
    const object = `${table}/a.b/${DAY}/1-${generation}-0000000000000000000${n % 10}-${n}of1-0123456789abcdef.parquet`;
    await store.put(object, Buffer.from('x'), { sha256: sha256Of(Buffer.from('x')) });
    await server.redis.hset(keys.entries(`s00:${DAY}`), `file-${n}`, JSON.stringify({ v: 9, key: object }));
    await server.redis.sadd(fixed.idFiles(table, 'a.b', DAY), object);
    objects.push(object);
  }
  await server.redis.hset(keys.indexMap, `s00:${DAY}`, '1');
  await server.redis.hset(fixed.stats(table), 'file_count', String(files));
  return { generation, keys, objects };
}

const drop = (table: string, generation: string) =>
  dropTable(server.redis, fixed, table, generation, { cascade: true, by: 'tester' });

async function objectsOf(table: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(`${table}/`)) keys.push(key);
  return keys;
}

const isDone = async (table: string) => (await server.redis.exists(fixed.drops(table))) === 0;

test('what is collected is one incarnation, to the last key, and nothing of the next one', async () => {
  const old = await madeWithFiles('reborn', 450);
  await drop('reborn', old.generation);
  const now = await madeWithFiles('reborn', 3);
  const { run } = collector();
  await waitFor('both passes are done', async () => {
    await run();
    return isDone('reborn');
  });
  assert.deepEqual(await server.redis.keys(`{reborn}:${old.generation}:*`), []);
  assert.deepEqual(
    (await server.redis.smembers(fixed.idFiles('reborn', 'a.b', DAY))).sort(),
    [...now.objects].sort(),
  );
  const left = await objectsOf('reborn');
  assert.deepEqual(left.sort(), [...now.objects, `reborn/~log/drop-${old.generation}.json`].sort());
  const log = JSON.parse(Buffer.from(await store.get(`reborn/~log/drop-${old.generation}.json`)).toString());
  assert.deepEqual(
    [log.v, log.event, log.table, log.generation, log.dropped_by, log.files],
    [1, 'drop', 'reborn', old.generation, 'tester', 450],
  );
  assert.equal((await catalog().names()).includes('reborn'), true);
  assert.equal(await server.redis.hlen(now.keys.entries(`s00:${DAY}`)), 3);
});

test('an object store that is away delays a collection, and nothing is skipped', async () => {
  const { generation, keys } = await madeWithFiles('delayed', 20);
  await drop('delayed', generation);
  const away = new Set<string>();
  const unsteady = new Proxy(store, {
    get(target, name: keyof ObjectStore) {
      if (away.has(name)) {
        return () => {
          throw new MiniodbError('unavailable', 'away', { code: 'object_store_unavailable' });
        };
      }
      const value = target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const { run, failures } = collector({}, { store: unsteady });
  for (const method of ['put', 'delete', 'list']) {
    away.clear();
    away.add(method);
    const failed = failures.length;
    await waitFor(`it has failed at ${method}`, async () => {
      await run();
      return failures.length > failed;
    });
    assert.equal(await server.redis.hexists(fixed.drops('delayed'), `${generation}|swept`), 0);
    if (method !== 'list') assert.equal(await server.redis.hlen(keys.entries(`s00:${DAY}`)), 20);
  }
  assert.ok(failures.every((code) => code === 'object_store_unavailable'));
  away.clear();
  await waitFor('it is collected', async () => {
    await run();
    return isDone('delayed');
  });
  assert.deepEqual(await objectsOf('delayed'), [`delayed/~log/drop-${generation}.json`]);
});

test("another flusher's drop is left to it until it is overdue", async () => {
  const { generation } = await madeWithFiles('foreign', 1);
  await drop('foreign', generation);
  await collector({}, { owns: false }).run();
  assert.equal((await objectsOf('foreign')).length, 1);
  const { run } = collector({ overdueMs: 0 }, { owns: false });
  await waitFor('anybody collects it', async () => {
    await run();
    return isDone('foreign');
  });
});

test('a second pass comes no sooner than it is due', async () => {
  const { generation } = await madeWithFiles('patient', 1);
  await drop('patient', generation);
  const { run } = collector({ secondPassMs: 3_600_000 });
  for (let time = 0; time < 3; time += 1) await run();
  assert.equal(await server.redis.hexists(fixed.drops('patient'), `${generation}|swept`), 1);
});

test('a hint without a drop is kept while the switch may come, and then forgotten', async () => {
  await intendDrop(server.redis, 'hinted', 'aaaaaaaaaaaa');
  const { run } = collector();
  await run();
  assert.notEqual(await server.redis.zscore(GLOBAL_KEYS.drops, 'hinted|aaaaaaaaaaaa'), null);
  await server.redis.zadd(GLOBAL_KEYS.drops, '1', 'hinted|aaaaaaaaaaaa');
  await run();
  assert.equal(await server.redis.zscore(GLOBAL_KEYS.drops, 'hinted|aaaaaaaaaaaa'), null);
});

test('a listed name whose creator died before it made the table is taken off, after its grace', async () => {
  await server.redis.sadd('tables:list', 'half_made', 'made_late');
  const repair = (graceMs: number) =>
    repairListingTask(
      { redis: server.redis, fixed, ownership: { ownsTable: () => true }, log: silentLog() },
      { everyMs: 1, graceMs },
    );
  const patient = repair(3_600_000);
  const hasty = repair(0);
  await patient.run(signal);
  await patient.run(signal);
  assert.equal(await server.redis.zscore(GLOBAL_KEYS.drops, 'half_made|'), null);
  await hasty.run(signal);
  await catalog().create('made_late', {}, 1_000, '2026-01-01T00:00:00.000000Z');
  await collector({ secondPassMs: 3_600_000 }).run();
  const names = await catalog().names();
  assert.deepEqual([names.includes('half_made'), names.includes('made_late')], [false, true]);
});

test('a hint that a drop renews while it is looked at stays, and so does what the drop left', async () => {
  const table = 'renewed';
  await catalog().create(table, { shards: 1 }, 10_000, '2026-01-01T00:00:00.000000Z');
  const { generation } = (await catalog().read(table))!;
  await server.redis.zadd(GLOBAL_KEYS.drops, 1, `${table}|${generation}`);
  const [read] = await readDropIntents(server.redis, 1);
  assert.equal(read?.table, table);
  await dropTable(server.redis, fixed, table, generation, { cascade: true, by: '' });
  await forgetIntent(server.redis, read!);
  assert.notEqual(await server.redis.zscore(GLOBAL_KEYS.drops, `${table}|${generation}`), null);
  assert.notEqual(await readDrop(server.redis, fixed, table, generation), undefined);
});

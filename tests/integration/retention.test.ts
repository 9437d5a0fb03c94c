import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { DirectoryObjectStore } from '@miniodb/core/storage/directory.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { Retain } from '../../apps/flusher/src/upkeep/retain.ts';
import { clockTrouble, isPastRetention } from '../../apps/flusher/src/upkeep/retain-due.ts';

const DAY_MS = 86_400_000;
const MINIODB = join(import.meta.dirname, '../../miniodb');
const fixed = new FixedKeys('single');
const never = new AbortController().signal;

describe('a file is past retention', () => {
  const now = Date.parse('2026-03-10T00:00:00Z');
  const micros = (text: string) => `${Date.parse(text)}000`;
  const file = (maxTs: string, accepted: string) => ({
    maxTs: micros(maxTs),
    acceptedMs: Date.parse(accepted),
  });

  test('when the day of its newest row is over for that many days, to the millisecond', () => {
    const old = '2020-01-01T00:00:00Z';
    assert.equal(isPastRetention(file('2026-03-02T00:00:00Z', old), 7, now), true);
    assert.equal(isPastRetention(file('2026-03-02T23:59:59.999Z', old), 7, now), true);
    assert.equal(isPastRetention(file('2026-03-02T23:59:59.999Z', old), 7, now - 1), false);
    assert.equal(isPastRetention(file('2026-03-03T00:00:00Z', old), 7, now), false);
    assert.equal(isPastRetention(file('1969-12-31T23:59:59.999Z', old), 7, now), true);
    assert.equal(isPastRetention({ maxTs: '-1', acceptedMs: 0 }, 0, 0), true);
    assert.equal(isPastRetention({ maxTs: '-1', acceptedMs: 0 }, 0, -1), false);
  });

  test('when its newest row was accepted that long ago: loading old data does not lose them', () => {
    assert.equal(isPastRetention(file('2020-01-01T00:00:00Z', '2026-03-03T00:00:00Z'), 7, now), true);
    assert.equal(isPastRetention(file('2020-01-01T00:00:00Z', '2026-03-03T00:00:00.001Z'), 7, now), false);
  });

  test('by no clock that others contradict', () => {
    assert.equal(clockTrouble(now, now + 300_000, now), undefined);
    assert.equal(clockTrouble(now, now + 300_001, now), 'clocks_disagree');
    assert.equal(clockTrouble(now + 300_001, now, 0), 'clocks_disagree');
    assert.equal(clockTrouble(now, now, now + 300_000), undefined);
    assert.equal(clockTrouble(now, now, now + 300_001), 'accepted_in_the_future');
  });
});

describe('retention', () => {
  let cluster: TestCluster;
  let store: DirectoryObjectStore;

  before(async () => {
    // The cluster's own flusher never does it: the tests say when, and with which clock.
    cluster = await startTestCluster({ flushers: 1, env: { MINIODB_RETENTION_SECONDS: '86400' } });
    store = new DirectoryObjectStore(cluster.cluster.dataDir.objectsDir);
  });
  after(async () => {
    await store.close();
    await cluster.stop();
  });

  const refusals: string[] = [];
  const run = async (shiftMs = 0) => {
    const failures: string[] = [];
    const retain = new Retain(
      {
        redis: cluster.redis,
        fixed,
        store,
        objectGraceMs: 60_000,
        catalog: new Catalog(cluster.redis, fixed, DEFAULT_TABLE_CONFIG),
        ownership: { ownsTable: () => true },
        metrics: {
          failed: (code) => failures.push(code),
          removed: () => {},
          retentionRefused: (reason) => refusals.push(reason),
        },
        log: silentLog(),
        nowMs: () => Date.now() + shiftMs,
      },
      1_000,
    );
    await retain.run(never);
    assert.deepEqual(failures, []);
  };

  async function create(table: string, days: number): Promise<void> {
    const config = {
      retention_days: days,
      shards: 2,
      buffer_size: 1,
      layout: 'packed',
      compaction_enabled: false,
    };
    assert.equal((await cluster.rest('POST', '/v1/tables', { table_name: table, config })).status, 200);
  }

  /** Rows of that many days ago. */
  async function insert(table: string, daysAgo: readonly number[], perDay = 4): Promise<void> {
    const rows = daysAgo.flatMap((days) =>
      Array.from({ length: perDay }, (_, n) => ({
        id: `id-${n}`,
        timestamp: new Date(Date.now() - days * DAY_MS - n).toISOString(),
        payload: { n },
      })),
    );
    assert.equal((await cluster.rest('POST', `/v1/tables/${table}/rows`, rows)).status, 200);
  }

  const flushed = (table: string) =>
    waitFor('all is flushed', async () => (await cluster.pendingRows(table)) === 0);

  /** Makes files that are there look as if they had been accepted earlier. */
  async function ageAccepted(table: string, ms: number): Promise<void> {
    const keys = await cluster.keysOf(table);
    for (const partition of await cluster.redis.hkeys(keys.indexMap)) {
      for (const [id, text] of Object.entries(await cluster.redis.hgetall(keys.entries(partition)))) {
        const entry = JSON.parse(text) as FileEntry;
        const aged = { ...entry, acceptedMs: entry.acceptedMs - ms };
        await cluster.redis.hset(keys.entries(partition), id, JSON.stringify(aged));
      }
    }
  }

  async function assertStatsTrue(table: string): Promise<void> {
    const [row] = await cluster.query(
      `SELECT count(*) AS n, min("timestamp") AS oldest, max("timestamp") AS newest FROM ${table}`,
    );
    const { stats } = (await cluster.rest('GET', `/v1/tables/${table}`)).body as {
      stats: { record_count: number; oldest_record: string; newest_record: string };
    };
    assert.equal(stats.record_count, row!.n);
    const time = (text: unknown) => (text === null || text === '' ? null : Date.parse(text as string));
    assert.equal(time(stats.oldest_record), time(row!.oldest));
    assert.equal(time(stats.newest_record), time(row!.newest));
  }

  const logsOf = async (table: string) => {
    const folder = join(cluster.cluster.dataDir.objectsDir, table, '~log');
    const names = await readdir(folder).catch(() => []);
    return Promise.all(
      names.map(
        async (name) =>
          JSON.parse(Buffer.from(await store.get(`${table}/~log/${name}`)).toString()) as Record<
            string,
            unknown
          >,
      ),
    );
  };

  test('takes whole days that are over, keeps statistics true and says so in the bucket first', async () => {
    await create('aged', 5);
    await insert('aged', [1, 4, 20, 30, 400]);
    await flushed('aged');
    await run();
    assert.equal(await cluster.count('aged'), 20, 'everything was accepted just now');
    await ageAccepted('aged', 6 * DAY_MS);
    const keys = await cluster.keysOf('aged');
    await run();
    assert.equal(await cluster.count('aged'), 8);
    await assertStatsTrue('aged');
    const logs = await logsOf('aged');
    const doomed = await cluster.redis.zrange(keys.doomed, '0', '-1');
    assert.equal(logs.length, 1);
    assert.deepEqual(
      { ...logs[0], plan: '', before: '', bytes: 0, objects: (logs[0]!.objects as string[]).sort() },
      {
        v: 1,
        kind: 'retention',
        table: 'aged',
        generation: await cluster.redis.hget('table:aged:config', 'generation'),
        plan: '',
        before: '',
        by: 'retention',
        rows: 12,
        bytes: 0,
        objects: doomed.sort(),
      },
    );
    await run();
    assert.equal((await logsOf('aged')).length, 1);
  });

  test('keeps old data that were loaded lately, and everything where it is switched off', async () => {
    await create('loaded', 5);
    await create('forever', -1);
    for (const table of ['loaded', 'forever']) {
      await insert(table, [100, 2_000]);
      await flushed(table);
    }
    await ageAccepted('loaded', 4 * DAY_MS);
    await ageAccepted('forever', 9_000 * DAY_MS);
    await run();
    assert.equal(await cluster.count('loaded'), 8);
    assert.equal(await cluster.count('forever'), 8);
  });

  test('counts pending rows among what stays', async () => {
    await create('mixture', 5);
    await insert('mixture', [300]);
    await flushed('mixture');
    await ageAccepted('mixture', 6 * DAY_MS);
    await cluster.rest('PATCH', '/v1/tables/mixture', { config: { flush_paused: true } });
    await waitFor('flushes are paused', async () => {
      await insert('mixture', [200], 1);
      return (await cluster.pendingRows('mixture')) > 0;
    });
    await ageAccepted('mixture', 6 * DAY_MS);
    await run();
    const pending = await cluster.pendingRows('mixture');
    assert.ok((await cluster.count('mixture')) >= pending);
    await assertStatsTrue('mixture');
    const [{ oldest }] = (await cluster.query('SELECT min("timestamp") AS oldest FROM mixture')) as [
      { oldest: string },
    ];
    assert.ok(Date.parse(oldest) > Date.now() - 201 * DAY_MS);
  });

  test('empties a table whose every day is over', async () => {
    await create('emptied', 5);
    await insert('emptied', [300, 301]);
    await flushed('emptied');
    await ageAccepted('emptied', 6 * DAY_MS);
    await run();
    assert.equal(await cluster.count('emptied'), 0);
    await assertStatsTrue('emptied');
  });

  test('does nothing while clocks contradict each other', async () => {
    await create('doubted', 5);
    await insert('doubted', [300]);
    await flushed('doubted');
    await ageAccepted('doubted', 6 * DAY_MS);
    refusals.length = 0;
    await run(10 * 60_000);
    await run(-10 * 60_000);
    assert.deepEqual(refusals, ['clocks_disagree', 'clocks_disagree']);
    assert.equal(await cluster.count('doubted'), 4);
    // One file says that it was accepted in an hour: then the clocks here are behind.
    await ageAccepted('doubted', 0);
    await insert('doubted', [0]);
    await flushed('doubted');
    const keys = await cluster.keysOf('doubted');
    for (const partition of await cluster.redis.hkeys(keys.indexMap)) {
      for (const [id, text] of Object.entries(await cluster.redis.hgetall(keys.entries(partition)))) {
        const entry = JSON.parse(text) as FileEntry;
        if (entry.acceptedMs < Date.now() - DAY_MS) continue;
        const late = { ...entry, acceptedMs: Date.now() + 3_600_000 };
        await cluster.redis.hset(keys.entries(partition), id, JSON.stringify(late));
      }
    }
    refusals.length = 0;
    await run();
    assert.deepEqual(refusals, ['accepted_in_the_future']);
    assert.equal(await cluster.count('doubted'), 8);
  });

  test('is exact while rows are written and flushed', async () => {
    await create('busy', 5);
    await insert('busy', [300, 301, 302], 50);
    await flushed('busy');
    await ageAccepted('busy', 6 * DAY_MS);
    let isWriting = true;
    let written = 0;
    const writer = (async () => {
      while (isWriting) {
        await insert('busy', [0, 1, 2, 250], 2);
        written += 8;
      }
    })();
    await waitFor('the writer writes', () => written > 50);
    await run();
    isWriting = false;
    await writer;
    assert.equal(await cluster.count('busy'), written);
    await assertStatsTrue('busy');
    await flushed('busy');
    await assertStatsTrue('busy');
  });
});

describe('a cleanup', () => {
  let cluster: TestCluster;

  before(async () => {
    cluster = await startTestCluster({ flushers: 2 });
  });
  after(() => cluster.stop());

  const cleanup = (table: string, olderThan: unknown, dryRun = false) =>
    cluster.rest('POST', `/v1/tables/${table}/cleanup`, { older_than: olderThan, dry_run: dryRun });

  async function fill(table: string): Promise<void> {
    const config = { shards: 2, layout: 'packed', retention_days: -1, compaction_enabled: false };
    assert.equal((await cluster.rest('POST', '/v1/tables', { table_name: table, config })).status, 200);
    const rows = Array.from({ length: 100 }, (_, n) => ({
      id: `id-${n % 10}`,
      timestamp: `2026-01-${String(1 + (n % 10)).padStart(2, '0')}T${n < 50 ? '06' : '18'}:00:00Z`,
      payload: { n },
    }));
    assert.equal((await cluster.rest('POST', `/v1/tables/${table}/rows`, rows)).status, 200);
  }

  const statsOf = async (table: string) =>
    (await cluster.rest('GET', `/v1/tables/${table}`)).body.stats as Record<string, unknown>;

  test('takes rows out by their timestamp, pending ones too, and says what stays because its file has newer rows', async () => {
    await fill('cleaned');
    assert.equal(await cluster.pendingRows('cleaned'), 100, 'nothing is flushed yet');
    const { status, body } = await cleanup('cleaned', '2026-01-05T12:00:00Z');
    assert.equal(status, 200, JSON.stringify(body));
    // Four days whole, one file a shard and day; of the fifth the morning is older.
    assert.deepEqual(
      { ...body, bytes: 0, message: '' },
      {
        success: true,
        message: '',
        dry_run: false,
        before: '2026-01-05T12:00:00.000000Z',
        files: body.files,
        rows: 40,
        bytes: 0,
        files_left: body.files_left,
        rows_left: 10,
        pending_rows: 0,
      },
    );
    assert.match(String(body.message), /hold rows from before and after that time: they stay whole, 10 rows/);
    assert.equal(await cluster.count('cleaned'), 60);
    const stats = await statsOf('cleaned');
    assert.equal(stats.record_count, 60);
    assert.equal(stats.oldest_record, '2026-01-05T06:00:00.000000Z');
    assert.equal(stats.newest_record, '2026-01-10T18:00:00.000000Z');
    const again = await cleanup('cleaned', '2026-01-05T12:00:00Z');
    assert.deepEqual([again.body.rows, again.body.files, again.body.rows_left], [0, 0, 10]);
    const all = await cleanup('cleaned', '30d');
    assert.deepEqual([all.body.rows, all.body.message], [60, '']);
    assert.equal(await cluster.count('cleaned'), 0);
    assert.deepEqual(
      [(await statsOf('cleaned')).oldest_record, (await statsOf('cleaned')).size_bytes],
      ['', 0],
    );
  });

  test('that is only tried says the same, and changes nothing', async () => {
    await fill('tried');
    await cluster.rest('POST', '/v1/tables/tried/flush', {});
    const before = await statsOf('tried');
    const tried = await cleanup('tried', '2026-01-05T12:00:00Z', true);
    assert.equal(tried.body.dry_run, true);
    assert.deepEqual(await statsOf('tried'), before);
    const keys = await cluster.keysOf('tried');
    assert.equal(await cluster.redis.zcard(keys.doomed), 0);
    const done = await cleanup('tried', '2026-01-05T12:00:00Z');
    assert.deepEqual({ ...done.body, dry_run: true }, tried.body);
  });

  test('leaves pending rows of a table whose flushes are paused, and says how many', async () => {
    await fill('paused');
    await cluster.rest('PATCH', '/v1/tables/paused', { config: { flush_paused: true } });
    const { status, body } = await cleanup('paused', '2026-01-05T12:00:00Z');
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body.rows, Number(body.pending_rows) > 0], [0, true]);
    assert.match(String(body.message), /rows are pending still/);
    assert.equal(await cluster.count('paused'), 100);
  });

  test('of no age, of the future, or of a table that is not there, is refused', async () => {
    for (const age of ['soon', '', '0d', '-3d', '2200-01-01T00:00:00Z', '99999999999d']) {
      const { status, body } = await cleanup('default', age);
      assert.deepEqual([status, body.code], [400, 'invalid_older_than'], age);
    }
    for (const age of [30, null]) {
      const { status, body } = await cleanup('default', age);
      assert.deepEqual([status, body.code], [400, 'invalid_field'], String(age));
    }
    const { status, body } = await cleanup('nowhere', '30d');
    assert.deepEqual([status, body.code], [404, 'table_not_found']);
  });

  test('is asked for from the command line, and only tried where that is said', async () => {
    await fill('typed');
    const miniodb = (...args: string[]) => {
      const env = { ...process.env, MINIODB_URL: cluster.restUrl };
      return promisify(execFile)(MINIODB, ['data', ...args, '--table=typed'], { env });
    };
    const tried = await miniodb('cleanup', '--older-than=2026-01-05T12:00:00Z', '--dry-run');
    assert.match(tried.stdout, /would go\.\n100 rows are pending in batches with older rows/);
    assert.match((await miniodb('count')).stdout, /^100 rows, 100 rows of them pending$/m);
    const done = await miniodb('cleanup', '--older-than=2026-01-05T12:00:00Z');
    assert.match(done.stdout, /^40 rows in \d+ files, .* removed\.$/m);
    assert.match(done.stdout, /they stay whole, 10 rows, until their newest row is older/);
    assert.deepEqual(JSON.parse((await miniodb('count', '--json')).stdout), {
      table: 'typed',
      rows: 60,
      pending_rows: 0,
    });
    assert.match((await miniodb('size')).stdout, /^\d+ files, .*; 0 MiB pending$/m);
    await assert.rejects(miniodb('cleanup', '--older-than=soon'), {
      code: 1,
      stderr: /older_than must be an age/,
    });
  });
});

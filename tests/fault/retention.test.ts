import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

/** Between the log and the swap, and after the swap. */
const KILLS = [1, 2];
const EVERY_SECOND = { MINIODB_RETENTION_SECONDS: '1' };
/** A dead flusher's cleanup is taken over when its lock has run out. */
const TAKEN_OVER_MS_MAX = 60_000;

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ flushers: 1, restart: false });
});

after(async () => {
  await cluster.stop();
});

const dead = () =>
  waitFor(
    'the flusher is dead',
    () => cluster.cluster.member('flusher-1').process.exit !== undefined,
    30_000,
  );
const restart = (env: Record<string, string>) => cluster.cluster.restart('flusher-1', { env });

/** Ten rows of each day, and ten of now. */
async function fill(table: string, config: Record<string, unknown>): Promise<void> {
  const fixed = { shards: 2, layout: 'packed', compaction_enabled: false };
  const made = await cluster.rest('POST', '/v1/tables', {
    table_name: table,
    config: { ...fixed, ...config },
  });
  assert.equal(made.status, 200);
  const rows = Array.from({ length: 60 }, (_, n) => ({
    id: `id-${n}`,
    timestamp: n < 50 ? `2026-01-0${1 + (n % 5)}T10:00:00Z` : new Date().toISOString(),
    payload: { n },
  }));
  assert.equal((await cluster.rest('POST', `/v1/tables/${table}/rows`, rows)).status, 200);
  const flushed = await cluster.rest('POST', `/v1/tables/${table}/flush`, {});
  assert.equal(flushed.body.flushed, true);
}

async function assertSound(table: string, rows: number): Promise<void> {
  const [row] = await cluster.query(
    `SELECT count(*) AS n, count(DISTINCT n) AS once, min("timestamp") AS oldest, max("timestamp") AS newest FROM ${table}`,
  );
  assert.deepEqual([row!.n, row!.once], [rows, rows]);
  const stats = (await cluster.rest('GET', `/v1/tables/${table}`)).body.stats as Record<string, string>;
  assert.equal(stats.record_count, rows);
  assert.equal(Date.parse(stats.oldest_record!), Date.parse(row!.oldest as string));
  assert.equal(Date.parse(stats.newest_record!), Date.parse(row!.newest as string));
}

async function logsOf(table: string): Promise<string[]> {
  return readdir(join(cluster.cluster.dataDir.objectsDir, table, '~log')).catch(() => []);
}

for (const kill of KILLS) {
  test(`retention whose flusher dies at boundary ${kill} of a removal is exact in the end, and queries are all along`, async () => {
    const table = `retained_${kill}`;
    await restart({});
    await fill(table, { retention_days: -1 });
    await restart({ ...EVERY_SECOND, FAILPOINTS: `rt.unindex=kill@${kill}` });
    await cluster.rest('PATCH', `/v1/tables/${table}`, { config: { retention_days: 0 } });
    await dead();
    assert.equal((await logsOf(table)).length, 1, 'the bucket knew of it before');
    await assertSound(table, kill === 1 ? 60 : 10);
    await restart(EVERY_SECOND);
    await waitFor('old rows are gone', async () => (await cluster.count(table)) === 10, TAKEN_OVER_MS_MAX);
    await assertSound(table, 10);
  });

  test(`a cleanup whose flusher dies at boundary ${kill} of a removal goes on, and counts each row once`, async () => {
    const table = `cleaned_${kill}`;
    await restart({});
    await fill(table, { retention_days: -1 });
    await restart({ FAILPOINTS: `rt.unindex=kill@${kill}` });
    const asked = cluster.rest('POST', `/v1/tables/${table}/cleanup`, { older_than: '2026-01-04T00:00:00Z' });
    await dead();
    await assertSound(table, kill === 1 ? 60 : 30);
    await restart({});
    const { status, body } = await asked;
    assert.equal(status, 200, JSON.stringify(body));
    assert.deepEqual([body.rows, body.rows_left, body.pending_rows], [30, 0, 0]);
    assert.ok(Number(body.files) > 0 && Number(body.bytes) > 0);
    await assertSound(table, 30);
  });
}

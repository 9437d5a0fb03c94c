import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const FLUSHED_ROWS = 60;
const PENDING_ROWS = 20;
const ROWS = FLUSHED_ROWS + PENDING_ROWS;
/** The lock of a dead claimant runs out, and is missed twice. */
const TAKEN_OVER_MS_MAX = 60_000;

let cluster: TestCluster;
let original: unknown;

before(async () => {
  cluster = await startTestCluster({ flushers: 1, restart: false });
  await cluster.rest('POST', '/v1/tables', { table_name: 'source', config: { shards: 2, buffer_size: 10 } });
  await insert(0, FLUSHED_ROWS);
  await waitFor(
    'the first rows are flushed',
    async () => (await cluster.pendingRows('source')) === 0,
    60_000,
  );
  await cluster.rest('PATCH', '/v1/tables/source', { config: { flush_paused: true } });
  await insert(FLUSHED_ROWS, PENDING_ROWS);
  original = await checksum('source');
});

after(() => cluster?.stop());

async function insert(from: number, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, at) => ({
    id: `id-${(from + at) % 30}`,
    timestamp: `2026-01-0${1 + ((from + at) % 2)}T10:00:00Z`,
    payload: { n: from + at },
  }));
  const answer = await cluster.rest('POST', '/v1/tables/source/rows', rows);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function checksum(table: string): Promise<unknown> {
  const sql = `SELECT count(*) AS rows, bit_xor(hash(id || timestamp::VARCHAR || payload::VARCHAR)) AS x FROM ${table}`;
  return (await cluster.query(sql))[0];
}

const restart = (failpoints = '') =>
  cluster.cluster.restart('flusher-1', { env: failpoints === '' ? {} : { FAILPOINTS: failpoints } });

interface Task {
  readonly id: string;
  readonly state: string;
  readonly result: { readonly rows: number; readonly backup: string } | null;
  readonly failure: { readonly code: string } | null;
}

async function ask(path: string, body: object): Promise<string> {
  const answer = await cluster.rest('POST', path, { ...body, wait: false });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return (answer.body.task as Task).id;
}

/** Its end, after the flusher that was at it has been killed, and started again. */
async function endAfterKill(id: string): Promise<Task> {
  await waitFor(
    'the flusher is dead',
    () => cluster.cluster.member('flusher-1').process.exit !== undefined,
    30_000,
  );
  await restart();
  return waitFor(
    `${id} has ended`,
    async () => {
      const task = (await cluster.rest('GET', `/v1/backups/${id}`)).body as unknown as Task;
      return (task.state === 'done' || task.state === 'failed') && task;
    },
    TAKEN_OVER_MS_MAX,
  );
}

async function killed(failpoint: string, path: string, body: object): Promise<Task> {
  await restart(failpoint);
  return endAfterKill(await ask(path, body));
}

async function listed(): Promise<string[]> {
  const { body } = await cluster.rest('GET', '/v1/tables/source/backups');
  return (body.backups as { id: string }[]).map(({ id }) => id);
}

for (const failpoint of ['bk.pin=kill', 'bk.manifest=kill@1', 'bk.manifest=kill@2']) {
  test(`a backup whose flusher dies at ${failpoint} is made once, and holds every row`, async () => {
    const known = await listed();
    const task = await killed(failpoint, '/v1/backup/trigger', { table: 'source' });
    assert.equal(task.result?.rows, ROWS, JSON.stringify(task.failure));
    assert.deepEqual(await listed(), [task.id, ...known]);
  });
}

/** At the first file, in the middle, with the files of pending rows; before and after the index has them. */
const RESTORE_KILLS = [
  'rs.copy=kill@1',
  'rs.copy=kill@3',
  'rs.copy=kill@5',
  'rs.index=kill@1',
  'rs.index=kill@2',
];

for (const [at, failpoint] of RESTORE_KILLS.entries()) {
  test(`a restore whose flusher dies at ${failpoint} goes on, and every row is there once`, async () => {
    const target = `restored_${at}`;
    const task = await killed(failpoint, '/v1/backup/recover', { table: 'source', target });
    assert.equal(task.state, 'done', JSON.stringify(task.failure));
    assert.deepEqual(await checksum(target), original);
    const { body } = await cluster.rest('GET', `/v1/tables/${target}`);
    assert.equal((body.stats as { record_count: number }).record_count, ROWS);
  });
}

test('a restore with replace whose flusher dies does not drop what was written since', async () => {
  const target = 'restored_0';
  await restart('rs.copy=kill');
  const id = await ask('/v1/backup/recover', { table: 'source', target, mode: 'replace' });
  await waitFor(
    'the flusher is dead',
    () => cluster.cluster.member('flusher-1').process.exit !== undefined,
    30_000,
  );
  const row = [{ id: 'late', timestamp: '2026-01-01T00:00:00Z', payload: { n: -1 } }];
  assert.equal((await cluster.rest('POST', `/v1/tables/${target}/rows`, row)).status, 200);
  const task = await endAfterKill(id);
  assert.equal(task.state, 'done', JSON.stringify(task.failure));
  assert.equal(await cluster.count(target), ROWS + 1);
});

import assert from 'node:assert/strict';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { callRest, startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

/** One shard and one day: the index has one partition, so the crash points of a collection can be counted. */
const DAY = '2026-01-05';
/** Log, seals, payloads, id sets, objects, entries; then, with no entries left: keys, queues, strays. */
const FIRST_PASS_KILLS = [1, 2, 3, 4, 5, 6, 4, 5, 6];
const SECOND_PASS_KILLS = [1, 4, 6];

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ flushers: 1, gateways: 2, restart: false });
});

after(async () => {
  await cluster.stop();
});

const urlOf = (gateway: string) => `http://127.0.0.1:${cluster.cluster.member(gateway).ports.rest_port}`;
const generationOf = async (table: string) =>
  (await cluster.redis.hget(`table:${table}:config`, 'generation')) ?? '';
const dead = (name: string) =>
  waitFor(`${name} is dead`, () => cluster.cluster.member(name).process.exit !== undefined, 30_000);
const restart = (name: string, failpoints = '') =>
  cluster.cluster.restart(name, { env: failpoints === '' ? {} : { FAILPOINTS: failpoints } });

function rowsOf(from: number, count: number) {
  return Array.from({ length: count }, (_, n) => ({
    id: `id-${(from + n) % 3}`,
    timestamp: `${DAY}T10:00:00Z`,
    payload: { n: from + n },
  }));
}

async function insert(table: string, from: number, count: number): Promise<void> {
  const answer = await cluster.rest('POST', `/v1/tables/${table}/rows`, rowsOf(from, count));
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function objectsOf(table: string): Promise<string[]> {
  const root = cluster.cluster.dataDir.objectsDir;
  const entries = await readdir(join(root, table), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}

/** Keys of an incarnation that stay: payloads of committed batches go by themselves within a minute. */
async function keysLeft(table: string, generation: string): Promise<string[]> {
  const left: string[] = [];
  for (const key of await cluster.redis.keys(`{${table}}:${generation}:*`)) {
    const expires = key.startsWith(`{${table}}:${generation}:p:`) && (await cluster.redis.pttl(key)) !== -1;
    if (!expires) left.push(key);
  }
  return left;
}

/** What is in the table's id sets, and what should be: the files that ids have to themselves. */
async function idSets(table: string): Promise<{ listed: string[]; indexed: string[] }> {
  const keys = await cluster.keysOf(table);
  const listed = await Promise.all(
    (await cluster.redis.keys(`index:table:${table}:id:*`)).map((key) => cluster.redis.smembers(key)),
  );
  const entries = await Promise.all(
    (await cluster.redis.hkeys(keys.indexMap)).map((partition) =>
      cluster.redis.hvals(keys.entries(partition)),
    ),
  );
  const objects = entries.flat().map((entry) => (JSON.parse(entry) as { key: string }).key);
  return {
    listed: listed.flat().sort(),
    indexed: objects.filter((key) => !key.split('/')[1]!.startsWith('~s')).sort(),
  };
}

/** Writes until it is told to stop. A row's incarnation is the one that its acknowledgement names. */
function startWriter(table: string, gateway: string, first: number) {
  const acknowledged = new Map<string, number[]>();
  let isStopped = false;
  const run = async () => {
    for (let from = first; !isStopped; from += 5) {
      const answer = await callRest(urlOf(gateway), 'POST', `/v1/tables/${table}/rows`, rowsOf(from, 5));
      if (answer.status === 200) {
        const generation = String(answer.body.position).split(':')[0]!;
        const rows = rowsOf(from, 5).map(({ payload }) => payload.n);
        acknowledged.set(generation, [...(acknowledged.get(generation) ?? []), ...rows]);
      } else assert.equal(answer.body.code, 'table_gone', JSON.stringify(answer.body));
    }
  };
  const running = run();
  return {
    acknowledged,
    stop: async () => {
      isStopped = true;
      await running;
    },
  };
}

test('a gateway that dies right after the switch has dropped the table, and the name is free', async () => {
  await cluster.rest('POST', '/v1/tables', { table_name: 'switched', config: {} });
  await insert('switched', 0, 10);
  const generation = await generationOf('switched');
  await restart('gateway-2', 'dt.switch=kill');
  await assert.rejects(callRest(urlOf('gateway-2'), 'DELETE', '/v1/tables/switched?cascade=true'), TypeError);
  await dead('gateway-2');
  const { status, body } = await cluster.rest('GET', '/v1/tables/switched');
  assert.deepEqual([status, body.code], [404, 'table_not_found']);
  await waitFor(
    'the name is off the list',
    async () => (await cluster.redis.sismember('tables:list', 'switched')) === 0,
  );
  await waitFor('its keys are collected', async () => (await keysLeft('switched', generation)).length === 0);
  await insert('switched', 100, 10);
  assert.deepEqual(await cluster.query('SELECT count(*) AS n, min(n) AS low FROM switched'), [
    { n: 10, low: 100 },
  ]);
  assert.equal(await cluster.redis.sismember('tables:list', 'switched'), 1);
  await restart('gateway-2');
});

test('a table that is dropped and made anew under writers keeps the new rows, and nothing of the old ones, wherever its collector dies', async (context) => {
  const table = 'reborn';
  const config = { shards: 1, buffer_size: 10, flush_interval_seconds: 1 };
  await cluster.rest('POST', '/v1/tables', { table_name: table, config });
  const old = await generationOf(table);
  await insert(table, 0, 30);
  await waitFor('files are there', async () => (await cluster.pendingRows(table)) === 0);
  // A live seal whose objects lie in the bucket without being in the index, and rows that no seal holds.
  await restart('flusher-1', 'fl.commit.before=kill');
  await insert(table, 30, 20);
  await dead('flusher-1');
  await insert(table, 50, 5);
  assert.ok((await objectsOf(table)).length >= 6);

  const writers = [startWriter(table, 'gateway-1', 1_000), startWriter(table, 'gateway-2', 1_000_000)];
  context.after(() => Promise.allSettled(writers.map((writer) => writer.stop())));
  const told = () => writers.flatMap(({ acknowledged }) => [...acknowledged]);
  const tellOf = (generation: string) => told().flatMap(([name, rows]) => (name === generation ? rows : []));
  await waitFor('both write', () => writers.every(({ acknowledged }) => acknowledged.has(old)));
  const { status, body } = await cluster.rest('DELETE', `/v1/tables/${table}?cascade=true`);
  assert.equal(status, 200, JSON.stringify(body));
  assert.ok((body.files_deleted as number) > 0);
  const current = await waitFor(
    'the writers have made it anew',
    async () => (await generationOf(table)) || false,
  );
  assert.notEqual(current, old);
  await waitFor('it takes new settings', async () => {
    return (
      (await cluster.rest('PATCH', `/v1/tables/${table}`, { config: { buffer_size: 20 } })).status === 200
    );
  });

  const drops = `{${table}}:drops`;
  const swept = () => cluster.redis.hget(drops, `${old}|swept`);
  const lookSound = async () => {
    const rows = await cluster.query(
      `SELECT min(n) AS low, count(DISTINCT n) = count(*) AS once FROM ${table}`,
    );
    assert.ok((rows[0]!.low as number) >= 1_000, 'an old row is seen');
    assert.equal(rows[0]!.once, true);
  };
  for (const pass of FIRST_PASS_KILLS) {
    await restart('flusher-1', `dt.collect=kill@${pass}`);
    await dead('flusher-1');
    assert.equal(await swept(), null, `the first pass had fewer than ${pass} boundaries`);
    await lookSound();
  }
  await restart('flusher-1');
  await waitFor('the first pass is done', async () => (await swept()) !== null);

  await cluster.cluster.member('flusher-1').process.kill();
  // As if it had been long ago.
  await cluster.redis.hset(drops, `${old}|swept`, '1');
  // What was on its way: an upload of a flusher that stood still, and a put that was refused.
  const zombie = `${table}/id-0/${DAY}/1767600000000-${old}-00000000000000000000-1of1-0123456789abcdef.parquet`;
  const path = join(cluster.cluster.dataDir.objectsDir, zombie);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, 'late');
  await cluster.redis.hset(`{${table}}:${old}:q:s00:meta`, 'opts.maxLenEvents', '0');
  await cluster.redis.lpush(`{${table}}:${old}:q:s00:wait`, 'late-1');
  await cluster.redis.hset(`{${table}}:${old}:q:s00:late-1`, 'data', '{}');
  await cluster.redis.zadd(`{${table}}:${old}:done`, '1', '!late');

  for (const pass of SECOND_PASS_KILLS) {
    await restart('flusher-1', `dt.collect=kill@${pass}`);
    await dead('flusher-1');
    await lookSound();
  }
  await restart('flusher-1');
  await waitFor('the drop is done with', async () => (await cluster.redis.exists(drops)) === 0);
  for (const writer of writers) await writer.stop();

  assert.equal(await generationOf(table), current);
  const acknowledged = tellOf(current).sort((a, b) => a - b);
  assert.ok(acknowledged.length > 100);
  const found = await cluster.query(`SELECT n FROM ${table} ORDER BY n`);
  assert.deepEqual(
    found.map(({ n }) => n),
    acknowledged,
  );
  assert.deepEqual(await keysLeft(table, old), []);
  const objects = await objectsOf(table);
  assert.deepEqual(
    objects.filter((key) => key.includes(`-${old}-`)),
    [],
  );
  assert.ok(objects.includes(`${table}/~log/drop-${old}.json`));
  await waitFor(
    'the new incarnation is flushed',
    async () => (await cluster.pendingRows(table)) === 0,
    40_000,
  );
  const { listed, indexed } = await idSets(table);
  assert.ok(listed.length > 0);
  assert.deepEqual(listed, indexed);
  assert.equal(await cluster.count(table), acknowledged.length);
});

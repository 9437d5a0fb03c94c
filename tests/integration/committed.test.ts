import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Ack, type WriteBatchRequest } from '@miniodb/proto/gen/olap/v1/olap.ts';
import { callRest, startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ restart: false, flushers: 1 });
});

after(async () => {
  await cluster.stop();
});

/** Nothing in it is due by itself while a test runs. */
const NEVER_DUE = { buffer_size: 1_000_000, flush_interval_seconds: 3_600 };

async function createTable(name: string, config: Record<string, unknown> = {}, on = cluster): Promise<void> {
  const body = { table_name: name, config: { ...NEVER_DUE, ...config } };
  const answer = await on.rest('POST', '/v1/tables', body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

const rowsOf = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => ({ id: `id-${(from + n) % 7}`, payload: { n: from + n } }));

const insert = (table: string, from: number, to: number, ack = 'committed', on = cluster) =>
  on.rest('POST', `/v1/tables/${table}/rows?ack=${ack}`, rowsOf(from, to));

/** What the Parquet files of a table hold, whatever Redis says. */
async function storedNs(table: string, on = cluster): Promise<number[]> {
  const root = on.cluster.dataDir.objectsDir;
  const entries = await readdir(join(root, table), { recursive: true, withFileTypes: true });
  const ns: number[] = [];
  for (const entry of entries) {
    if (!entry.isFile() || !entry.name.endsWith('.parquet')) continue;
    const bytes = await readFile(join(entry.parentPath, entry.name));
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    ns.push(...(await parquetReadObjects({ file, compressors })).map(({ n }) => Number(n)));
  }
  return ns.sort((a, b) => a - b);
}

const firstNs = (count: number) => Array.from({ length: count }, (_, n) => n);

function expectRefusal(
  { status, body }: { status: number; body: Record<string, unknown> },
  wanted: readonly unknown[],
): void {
  assert.deepEqual([status, body.code, body.retryable], wanted, JSON.stringify(body));
}

const BATCH: WriteBatchRequest = {
  table: '',
  rows: [],
  ndjson: Buffer.alloc(0),
  batch_id: '',
  ack: Ack.DEFAULT,
  arrow_ipc: Buffer.alloc(0),
  compression: 0,
  skip_invalid: false,
};

describe('the committed acknowledgement', () => {
  test('comes when the files hold the rows, though nothing else makes their flush due', async () => {
    await createTable('committed');
    const answer = await insert('committed', 0, 20);
    assert.deepEqual([answer.status, answer.body.ack, answer.body.accepted], [200, 'committed', 20]);
    assert.equal(await cluster.pendingRows('committed'), 0);
    assert.deepEqual(await storedNs('committed'), firstNs(20));
  });

  test('is the table’s own setting as well, for single rows and over gRPC', async () => {
    await createTable('committed_table', { ack: 'committed' });
    const row = { table: 'committed_table', id: 'a', payload: { n: 0 } };
    assert.equal((await cluster.rest('POST', '/v1/data', row)).status, 200);
    assert.deepEqual(await storedNs('committed_table'), [0]);
    const ndjson = Buffer.from(JSON.stringify({ id: 'b', payload: { n: 1 } }));
    const { ack } = await cluster.grpc.writeBatch({ ...BATCH, table: 'committed_table', ndjson });
    assert.equal(ack, Ack.COMMITTED);
    assert.deepEqual(await storedNs('committed_table'), [0, 1]);
  });

  test('asks for what came before it too, and leaves what comes after it', async () => {
    await createTable('committed_before', { shards: 1 });
    assert.equal((await insert('committed_before', 0, 5, 'durable')).status, 200);
    assert.equal((await insert('committed_before', 5, 6)).status, 200);
    assert.deepEqual(await storedNs('committed_before'), firstNs(6));
    assert.equal((await insert('committed_before', 6, 8, 'durable')).status, 200);
    // The shard is looked at, and settled for now, when a flush of another table has gone by.
    await createTable('committed_after');
    assert.equal((await insert('committed_after', 0, 1)).status, 200);
    assert.equal(await cluster.pendingRows('committed_before'), 2);
  });

  test('of a repeated keyed request waits for the rows of the first sending', async () => {
    await createTable('committed_keyed');
    const send = async (ack: string) => {
      const response = await fetch(`${cluster.restUrl}/v1/tables/committed_keyed/rows?ack=${ack}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': 'k-1' },
        body: JSON.stringify(rowsOf(0, 9)),
      });
      return (await response.json()) as Record<string, unknown>;
    };
    assert.equal((await send('durable')).duplicate, false);
    assert.equal(await cluster.pendingRows('committed_keyed'), 9);
    const again = await send('committed');
    assert.deepEqual([again.duplicate, again.ack], [true, 'committed']);
    assert.deepEqual(await storedNs('committed_keyed'), firstNs(9));
  });

  test('is refused at once while flushes are paused, and nothing is stored', async () => {
    await createTable('committed_paused', { flush_paused: true });
    expectRefusal(await insert('committed_paused', 0, 3), [409, 'flush_paused', false]);
    assert.equal(await cluster.count('committed_paused'), 0);
  });

  test('is of its own rows, whatever was set aside before them', async () => {
    await createTable('committed_aside', { shards: 1, flush_paused: true });
    assert.equal((await insert('committed_aside', 0, 2, 'durable')).status, 200);
    const keys = await cluster.keysOf('committed_aside');
    const [batch] = await cluster.redis.zrange(keys.pending('s00'), '0', '-1');
    await cluster.redis.set(keys.payload(batch!), 'not what was written');
    const unpaused = { config: { flush_paused: false } };
    assert.equal((await cluster.rest('PATCH', '/v1/tables/committed_aside', unpaused)).status, 200);
    assert.equal((await insert('committed_aside', 2, 4)).status, 200);
    await waitFor(
      'the batch is set aside',
      async () => (await cluster.redis.zcard(keys.setAside('s00'))) === 1,
    );
    assert.deepEqual(await storedNs('committed_aside'), [2, 3]);
  });
});

/** What a call that waits for its commit ends with: its answer, or its failure. */
function committedWrite(
  table: string,
  options: { batchId?: string; deadlineMs?: number; rows?: number } = {},
) {
  const ndjson = Buffer.from(
    rowsOf(0, options.rows ?? 3)
      .map((row) => JSON.stringify(row))
      .join('\n'),
  );
  const request = { ...BATCH, table, ndjson, ack: Ack.COMMITTED, batch_id: options.batchId ?? '' };
  const { deadlineMs } = options;
  return cluster.grpc.writeBatch(request, deadlineMs === undefined ? {} : { deadlineMs }).then(
    (answer) => ({ answer, error: undefined }),
    (error: unknown) => {
      assert.ok(error instanceof MiniodbError, String(error));
      return { answer: undefined, error };
    },
  );
}

const pendingOf = (table: string, rows: number) =>
  waitFor(`${rows} rows of ${table} are pending`, async () => (await cluster.pendingRows(table)) === rows);

describe('a committed write that no flusher serves', () => {
  let flusher: string;

  before(async () => {
    flusher = 'flusher-1';
    await cluster.cluster.remove(flusher);
  });

  after(async () => {
    if (!cluster.cluster.names.includes(flusher)) await cluster.cluster.add('flusher');
  });

  test('hears before its deadline that its rows are stored and their commit was not seen', async () => {
    await createTable('unserved');
    const { error } = await committedWrite('unserved', { deadlineMs: 2_000 });
    // Nothing that a client may take as leave to send the rows again.
    assert.deepEqual([error?.kind, error?.details?.commit], ['outcome_unknown', 'not_seen']);
    assert.match(String(error?.details?.position), /^[0-9a-f]+:\d+$/);
    assert.equal(await cluster.count('unserved'), 3);
  });

  test('that has a batch_id hears that it may be sent again, and then goes on waiting', async () => {
    await createTable('unserved_keyed');
    for (const _ of [1, 2]) {
      const { error } = await committedWrite('unserved_keyed', { batchId: 'k', deadlineMs: 1_500 });
      assert.deepEqual([error?.kind, error?.code], ['deadline_exceeded', 'commit_not_seen']);
    }
    assert.equal(await cluster.count('unserved_keyed'), 3);
  });

  test('hears that its table is gone when that is dropped meanwhile', async () => {
    await createTable('unserved_dropped');
    const write = committedWrite('unserved_dropped');
    await pendingOf('unserved_dropped', 3);
    assert.equal((await cluster.rest('DELETE', '/v1/tables/unserved_dropped?cascade=true')).status, 200);
    assert.equal((await write).error?.code, 'table_gone');
  });

  test('hears that Redis knows nothing of its rows any more', async () => {
    await createTable('unserved_lost');
    const keys = await cluster.keysOf('unserved_lost');
    const write = committedWrite('unserved_lost');
    await pendingOf('unserved_lost', 3);
    // As a Redis that was put back to before the put would have it.
    await cluster.redis.del(keys.done, keys.pending('s00'), keys.pending('s01'));
    const { error } = await write;
    assert.deepEqual([error?.kind, error?.details?.commit], ['outcome_unknown', undefined]);
  });

  test('hears it also from a gateway that is told to stop', async () => {
    await createTable('unserved_drained');
    const name = await cluster.cluster.add('gateway');
    const gateway = cluster.cluster.member(name);
    const url = `http://127.0.0.1:${gateway.ports.rest_port}`;
    const write = callRest(url, 'POST', '/v1/tables/unserved_drained/rows?ack=committed', rowsOf(0, 3));
    await pendingOf('unserved_drained', 3);
    await cluster.cluster.remove(name);
    expectRefusal(await write, [503, 'commit_not_seen', false]);
  });

  test('waits through a restart of Redis', async () => {
    await createTable('unserved_restart');
    const write = committedWrite('unserved_restart');
    await pendingOf('unserved_restart', 3);
    await cluster.cluster.restartRedis('kill');
    const added = await cluster.cluster.add('flusher');
    assert.equal((await write).answer?.ack, Ack.COMMITTED);
    await cluster.cluster.remove(added);
    assert.deepEqual(await storedNs('unserved_restart'), firstNs(3));
  });

  test('hears at once that its batch was set aside', async () => {
    await createTable('unserved_aside', { shards: 1 });
    const write = committedWrite('unserved_aside');
    await pendingOf('unserved_aside', 3);
    const keys = await cluster.keysOf('unserved_aside');
    const [batch] = await cluster.redis.zrange(keys.pending('s00'), '0', '-1');
    await cluster.redis.set(keys.payload(batch!), 'not what was written');
    flusher = await cluster.cluster.add('flusher');
    assert.equal((await write).error?.code, 'batch_set_aside');
  });
});

test('a flusher that is killed between seal and commit delays a committed write and doubles nothing', async () => {
  await cluster.cluster.add('flusher');
  const [doomed] = cluster.cluster.names.filter((name) => name.startsWith('flusher'));
  await cluster.cluster.restart(doomed!, { env: { FAILPOINTS: 'fl.put.before=kill' } });
  // So many shards that each flusher has some.
  await createTable('committed_killed', { shards: 16 });
  const { answer, error } = await committedWrite('committed_killed', { rows: 60 });
  assert.equal(error, undefined);
  assert.equal(answer?.ack, Ack.COMMITTED);
  assert.notEqual(cluster.cluster.member(doomed!).process.exit, undefined);
  assert.deepEqual(await storedNs('committed_killed'), firstNs(60));
  const counted = 'SELECT count(*) AS n, count(DISTINCT n) AS d FROM committed_killed';
  assert.deepEqual(await cluster.query(counted), [{ n: 60, d: 60 }]);
  await cluster.cluster.restart(doomed!, { env: {} });
});

test('committed writes of many clients share their files', async () => {
  await createTable('committed_many', { ack: 'committed', layout: 'packed' });
  const clients = Array.from({ length: 50 }, async (_, client) => {
    for (let n = 0; n < 20; n += 1) {
      const row = { table: 'committed_many', id: `${client}-${n}`, payload: { n: 20 * client + n } };
      const answer = await cluster.rest('POST', '/v1/data', row);
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
    }
  });
  await Promise.all(clients);
  const stats = (await cluster.rest('GET', '/v1/tables/committed_many')).body.stats as { file_count: number };
  // One each would be 1,000; with two shards, a flush of each while the clients wait for the one before makes some 80.
  assert.ok(stats.file_count <= 250, `${stats.file_count} files`);
  assert.deepEqual(await storedNs('committed_many'), firstNs(1_000));
});

test('what was acknowledged as committed is in the bucket when Redis is wiped right after', async () => {
  const wiped = await startTestCluster();
  try {
    await createTable('wiped', {}, wiped);
    assert.equal((await insert('wiped', 0, 40, 'committed', wiped)).status, 200);
    await wiped.redis.flushall();
    assert.deepEqual(await storedNs('wiped', wiped), firstNs(40));
  } finally {
    await wiped.stop();
  }
});

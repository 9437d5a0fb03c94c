import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster();
});

after(async () => {
  await cluster.stop();
});

async function createTable(name: string, config: Record<string, unknown>): Promise<void> {
  const answer = await cluster.rest('POST', '/v1/tables', { table_name: name, config });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function insert(table: string, rows: readonly Record<string, unknown>[]): Promise<void> {
  const answer = await cluster.rest('POST', `/v1/tables/${table}/rows`, rows);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(answer.body.accepted, rows.length);
}

const flushed = (table: string) =>
  waitFor(`${table} is flushed`, async () => (await cluster.pendingRows(table)) === 0);

/** Object keys of a table, as they lie in the bucket. */
async function objectsOf(table: string): Promise<string[]> {
  const root = cluster.cluster.dataDir.objectsDir;
  const entries = await readdir(join(root, table), { recursive: true, withFileTypes: true });
  return (
    entries
      // Beside its files, a table's folder has a description of the table.
      .filter((entry) => entry.isFile() && entry.name.endsWith('.parquet'))
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
      .sort()
  );
}

async function readObject(key: string): Promise<Record<string, unknown>[]> {
  const bytes = await readFile(join(cluster.cluster.dataDir.objectsDir, key));
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
  return parquetReadObjects({ file, compressors });
}

describe('rows by single requests', () => {
  test('500 posts with unique ids into integration_test are 500 rows', async () => {
    await createTable('integration_test', { buffer_size: 100 });
    for (let n = 0; n < 500; n += 1) {
      const answer = await cluster.rest('POST', '/v1/data', {
        table: 'integration_test',
        id: `unique-${n}`,
        payload: { n },
      });
      assert.equal(answer.status, 200, JSON.stringify(answer.body));
      assert.equal(answer.body.success, true);
    }
    assert.deepEqual(await cluster.query('SELECT COUNT(*) AS n FROM integration_test'), [{ n: 500 }]);
  });

  test('10 clients of 1,000 posts each into perf_test are 1,000 rows a client', async () => {
    const clients = Array.from({ length: 10 }, async (_, thread) => {
      for (let seq = 0; seq < 1_000; seq += 1) {
        const answer = await cluster.rest('POST', '/v1/data', {
          table: 'perf_test',
          id: `client-${thread}`,
          payload: { thread, seq },
        });
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
      }
    });
    await Promise.all(clients);
    assert.deepEqual(
      await cluster.query('SELECT thread, COUNT(*) AS n FROM perf_test GROUP BY thread ORDER BY thread'),
      Array.from({ length: 10 }, (_, thread) => ({ thread, n: 1_000 })),
    );
  });
});

describe('visibility', () => {
  test('a row is there right after its ack, and exactly once while it is flushed', async () => {
    await createTable('counted', { buffer_size: 40, flush_interval_seconds: 1 });
    let sent = 0;
    let acked = 0;
    let writing = true;
    const writer = async (name: string) => {
      while (writing) {
        sent += 5;
        const rows = Array.from({ length: 5 }, (_, row) => ({ id: `${name}-${row}`, payload: { row } }));
        await insert('counted', rows);
        acked += 5;
      }
    };
    const writers = [writer('a'), writer('b'), writer('c')];
    let last = 0;
    let counts = 0;
    let withFiles = 0;
    try {
      const until = Date.now() + 8_000;
      while (Date.now() < until || withFiles < 20) {
        const ackedBefore = acked;
        const answer = await cluster.rest('POST', '/v1/query', { sql: 'SELECT count(*) AS n FROM counted' });
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        const [{ n }] = JSON.parse(answer.body.result_json as string) as [{ n: number }];
        assert.ok(n >= ackedBefore, `${n} rows, but ${ackedBefore} were acknowledged before`);
        assert.ok(n <= sent, `${n} rows, but only ${sent} were sent`);
        assert.ok(n >= last, `the count went from ${last} down to ${n}`);
        last = n;
        counts += 1;
        if (Number(answer.body.files_read) > 0) withFiles += 1;
      }
    } finally {
      writing = false;
      await Promise.all(writers);
    }
    assert.ok(counts > 20, `only ${counts} counts`);
    assert.equal(await cluster.count('counted'), sent);
    await flushed('counted');
    assert.equal(await cluster.count('counted'), sent);
  });
});

describe('types', () => {
  const rows = [
    {
      id: 'a',
      timestamp: '2024-03-01T10:00:00.123456Z',
      payload: { flag: true, n: 1, x: 0.5, s: 'text', nested: { deep: [1, { two: 2 }] }, list: ['a', 1] },
    },
    {
      id: 'b',
      timestamp: 1_709_287_200_000,
      payload: { flag: false, n: -5, x: 2, s: 'naïve "日本"', nothing: null },
    },
  ];
  const bigRow = '{"id":"big","timestamp":"2024-03-01T10:00:00Z","payload":{"big":9007199254740993,"n":2}}';

  async function load(table: string): Promise<void> {
    await createTable(table, { buffer_size: 1_000_000, flush_interval_seconds: 2 });
    await insert(table, rows);
    const response = await fetch(`${cluster.restUrl}/v1/tables/${table}/rows`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: `${bigRow}\n`,
    });
    assert.equal(response.status, 200, await response.text());
  }

  async function expectTyped(table: string): Promise<void> {
    assert.deepEqual(
      await cluster.query(
        `SELECT typeof(flag) AS flag, typeof(n) AS n, typeof(x) AS x, typeof(s) AS s, typeof(nested) AS nested,
                typeof(timestamp) AS ts, nested->'deep'->1->>'two' AS two FROM ${table} WHERE id = 'a'`,
      ),
      [
        {
          flag: 'BOOLEAN',
          n: 'BIGINT',
          x: 'DOUBLE',
          s: 'VARCHAR',
          nested: 'JSON',
          ts: 'TIMESTAMP',
          two: '2',
        },
      ],
    );
    assert.deepEqual(
      await cluster.query(`SELECT id, timestamp, payload FROM ${table} WHERE n < 2 ORDER BY id`),
      [
        { id: 'a', timestamp: '2024-03-01T10:00:00.123456Z', payload: rows[0]!.payload },
        {
          id: 'b',
          timestamp: '2024-03-01T10:00:00Z',
          payload: { flag: false, n: -5, x: 2, s: 'naïve "日本"' },
        },
      ],
    );
    const star = await cluster.query(`SELECT * FROM ${table} WHERE id = 'b'`);
    assert.deepEqual(Object.keys(star[0]!), [
      'id',
      'timestamp',
      'flag',
      'n',
      'x',
      's',
      'nested',
      'list',
      'big',
    ]);
    const answer = await cluster.rest('POST', '/v1/query', {
      sql: `SELECT big, payload FROM ${table} WHERE id = 'big'`,
    });
    // As text: a double would round it. The order of a payload's fields is not kept.
    assert.match(
      answer.body.result_json as string,
      /^\[\{"big":9007199254740993,"payload":\{.*"big":9007199254740993\b.*\}\}\]$/,
    );
  }

  test('fields are typed columns, nested ones JSON and 2^53+1 exact, pending and flushed', async () => {
    await load('typed');
    await expectTyped('typed');
    await flushed('typed');
    await expectTyped('typed');
  });

  test('the Parquet of it is read by a reader that is not DuckDB', async () => {
    await load('independent');
    await flushed('independent');
    const objects = await objectsOf('independent');
    const stored = (await Promise.all(objects.map(readObject))).flat();
    const byId = new Map(stored.map((row) => [row.id, row]));
    assert.equal(byId.size, 3);
    assert.equal(byId.get('big')!.big, 9007199254740993n);
    assert.equal(byId.get('a')!.x, 0.5);
    assert.equal(byId.get('a')!.flag, true);
    assert.equal(byId.get('b')!.s, 'naïve "日本"');
    assert.deepEqual(byId.get('a')!.nested, { deep: [1, { two: 2 }] });
    assert.equal((byId.get('b')!.timestamp as Date).toISOString(), '2024-03-01T10:00:00.000Z');
  });

  test('a column that no row has is a 400 that names it and the known ones', async () => {
    await insert('named', [{ id: 'a', payload: { known: 1 } }]);
    const answer = await cluster.rest('POST', '/v1/query', { sql: 'SELECT unheard_of FROM named' });
    assert.equal(answer.status, 400);
    assert.match(answer.body.message as string, /unheard_of/);
    assert.match(answer.body.message as string, /known/);
    assert.equal(answer.body.success, false);
  });
});

describe('layout', () => {
  test('few ids have their own objects and their own sets of the index', async () => {
    await createTable('few', { buffer_size: 4, flush_interval_seconds: 1 });
    await insert(
      'few',
      ['x', 'y/z'].flatMap((id) => [
        { id, timestamp: '2024-05-01T00:00:00Z', payload: { n: 1 } },
        { id, timestamp: '2024-05-02T23:59:59Z', payload: { n: 2 } },
      ]),
    );
    await flushed('few');
    const objects = await objectsOf('few');
    assert.equal(objects.length, 4);
    for (const folder of [
      'few/x/2024-05-01',
      'few/x/2024-05-02',
      'few/y~2fz/2024-05-01',
      'few/y~2fz/2024-05-02',
    ]) {
      const inFolder = objects.filter((key) => key.startsWith(`${folder}/`));
      assert.equal(inFolder.length, 1, folder);
      assert.match(
        inFolder[0]!.slice(folder.length + 1),
        /^\d{13}-[0-9a-f]+-[0-9a-f]+-\d+of\d+-[0-9a-f]+\.parquet$/,
      );
    }
    const key = objects.find((object) => object.startsWith('few/x/2024-05-01/'))!;
    assert.deepEqual(await cluster.redis.smembers('index:table:few:id:x:2024-05-01'), [key]);
    assert.deepEqual((await cluster.redis.smembers('index:table:few:id:y~2fz:2024-05-02')).length, 1);
  });

  test('10,000 ids in one flush become a bounded number of objects', async () => {
    await createTable('many_ids', { shards: 1, buffer_size: 10_000 });
    await insert(
      'many_ids',
      Array.from({ length: 10_000 }, (_, n) => ({
        id: `id-${n}`,
        timestamp: '2024-05-01T00:00:00Z',
        payload: { n },
      })),
    );
    await flushed('many_ids');
    const objects = await objectsOf('many_ids');
    assert.equal(objects.length, 1);
    assert.match(objects[0]!, /^many_ids\/~s00\/2024-05-01\//);
    assert.deepEqual(await cluster.query(`SELECT n FROM many_ids WHERE id = 'id-777'`), [{ n: 777 }]);
    assert.equal(await cluster.count('many_ids'), 10_000);
  });

  test('rows over 365 days in one flush become a bounded number of objects', async () => {
    await createTable('many_days', { shards: 1, buffer_size: 3_650 });
    await insert(
      'many_days',
      Array.from({ length: 3_650 }, (_, n) => ({
        id: `id-${n % 20}`,
        timestamp: 1_704_067_200_000 + (n % 365) * 86_400_000,
        payload: { n },
      })),
    );
    await flushed('many_days');
    assert.ok((await objectsOf('many_days')).length <= 64);
    assert.deepEqual(
      await cluster.query(
        'SELECT count(*) AS n, count(DISTINCT timestamp::DATE) AS days, sum(n) AS s FROM many_days',
      ),
      [{ n: 3_650, days: 365, s: (3_650 * 3_649) / 2 }],
    );
  });
});

describe('queries', () => {
  test('join tables, and an empty table answers empty', async () => {
    await insert('people', [
      { id: 'p1', payload: { name: 'Ada', team: 't1' } },
      { id: 'p2', payload: { name: 'Bob', team: 't2' } },
    ]);
    await insert('teams', [{ id: 't1', payload: { title: 'Engines' } }]);
    await createTable('empty_one', {});
    assert.deepEqual(
      await cluster.query(
        'SELECT p.name, t.title FROM people p LEFT JOIN teams t ON t.id = p.team ORDER BY 1',
      ),
      [
        { name: 'Ada', title: 'Engines' },
        { name: 'Bob', title: null },
      ],
    );
    assert.deepEqual(await cluster.query('SELECT * FROM empty_one'), []);
    assert.deepEqual(await cluster.query('SELECT count(*) AS n FROM empty_one'), [{ n: 0 }]);
  });

  test('of unknown tables and of anything that is not a SELECT are refused', async () => {
    const unknown = await cluster.rest('POST', '/v1/query', { sql: 'SELECT * FROM nowhere' });
    assert.deepEqual([unknown.status, unknown.body.code], [404, 'table_not_found']);
    assert.equal(unknown.body.message, 'table nowhere does not exist');
    for (const sql of [
      "SELECT * FROM read_csv('/etc/passwd')",
      "FROM '/etc/passwd'",
      'DROP TABLE people',
      'SELECT 1; SELECT 2',
    ]) {
      const refused = await cluster.rest('POST', '/v1/query', { sql });
      assert.equal(refused.status, 400, sql);
      assert.match(refused.body.code as string, /^sql_/);
    }
  });

  test('speak of the default table as table and default', async () => {
    const answer = await cluster.rest('POST', '/v1/data', { id: 'd', payload: { here: 1 } });
    assert.equal(answer.status, 200);
    for (const name of ['table', 'default', '"default"']) {
      assert.equal((await cluster.query(`SELECT here FROM ${name} WHERE id = 'd'`)).length, 1, name);
    }
  });
});

describe('gRPC', () => {
  test('Write, WriteBatch, Query, CreateTable and HealthCheck work end to end', async () => {
    const created = await cluster.grpc.createTable({
      table_name: 'by_grpc',
      config: undefined,
      if_not_exists: false,
    });
    assert.deepEqual([created.success, created.message !== undefined], [true, true]);
    const again = await cluster.grpc.createTable({
      table_name: 'by_grpc',
      config: undefined,
      if_not_exists: false,
    });
    assert.deepEqual(again, { success: false, message: 'table by_grpc already exists' });
    const written = await cluster.grpc.write({
      table: 'by_grpc',
      id: 'a',
      timestamp: undefined,
      payload: { n: 1, nested: { x: [1, 2] } },
    });
    assert.equal(written.success, true);
    const refused = await cluster.grpc.write({
      table: 'no-such name',
      id: 'a',
      timestamp: undefined,
      payload: {},
    });
    assert.deepEqual(refused, { success: false, message: 'invalid table name: no-such name' });
    const { result_json } = await cluster.grpc.query({ sql: 'SELECT id, n, nested FROM by_grpc' });
    assert.deepEqual(JSON.parse(result_json), [{ id: 'a', n: 1, nested: { x: [1, 2] } }]);
    const health = await cluster.grpc.healthCheck({});
    assert.equal(health.status, 'healthy');
  });

  test('a repeated batch_id stores once, and other bytes under it are refused', async () => {
    const request = {
      table: 'keyed',
      rows: [],
      ndjson: Buffer.from('{"id":"a","payload":{"n":1}}\n{"id":"b","payload":{"n":2}}\n'),
      batch_id: 'batch-1',
      ack: 0,
      arrow_ipc: Buffer.alloc(0),
      compression: 0,
      skip_invalid: false,
    } as const;
    const first = await cluster.grpc.writeBatch({ ...request, rows: [] });
    const second = await cluster.grpc.writeBatch({ ...request, rows: [] });
    assert.deepEqual([first.accepted, first.duplicate, second.duplicate], [2n, false, true]);
    await assert.rejects(
      cluster.grpc.writeBatch({ ...request, rows: [], ndjson: Buffer.from('{"id":"c","payload":{}}\n') }),
      { code: 'batch_id_conflict' },
    );
    assert.equal(await cluster.count('keyed'), 2);
  });
});

describe('bad input', () => {
  test('names the bad lines, and none of the others is stored', async () => {
    const response = await fetch(`${cluster.restUrl}/v1/tables/strict/rows`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: '{"id":"a","payload":{}}\n{"id":"","payload":{}}\nnot json\n{"id":"b","timestamp":"2024-02-30T00:00:00Z","payload":{}}\n',
    });
    const problem = (await response.json()) as { code: string; errors: { index: number; code: string }[] };
    assert.deepEqual([response.status, problem.code], [400, 'invalid_rows']);
    assert.deepEqual(
      problem.errors.map(({ index, code }) => [index, code]),
      [
        [1, 'invalid_id'],
        [2, 'invalid_json'],
        [3, 'invalid_timestamp'],
      ],
    );
    assert.equal(await cluster.count('strict'), 0);
  });
});

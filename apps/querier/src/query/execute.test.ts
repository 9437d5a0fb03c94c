import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openDuckDb, sqlString } from '@miniodb/core/duckdb/instance.ts';
import type { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { QueryFixture, schemaOf } from './query.fixture.ts';
import { lockSandbox, openSandbox } from './sandbox.ts';
import type { TableSource } from './views.ts';

const SLOW = 'SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = -1';
const RAW = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON;

let fixture: QueryFixture;
before(async () => {
  fixture = await QueryFixture.open();
});
after(() => fixture.close());

async function source(): Promise<TableSource> {
  const pending = [await fixture.pending(['a', '1', '{"n":1,"v":"x"}'], ['b', '2', '{"n":2}'])];
  return {
    name: 't',
    schema: schemaOf({ n: 'int53', v: 'varchar' }),
    withPayload: false,
    files: [],
    pending,
  };
}

test('every type has its JSON', async () => {
  for (const [sql, json] of [
    ['9223372036854775807', '9223372036854775807'],
    ['170141183460469231731687303715884105727::HUGEINT', '170141183460469231731687303715884105727'],
    ['1.50::DECIMAL(10,2)', '1.50'],
    ['(-0.05)::DECIMAL(4,2)', '-0.05'],
    ['0.1::DOUBLE', '0.1'],
    ['0.1::FLOAT', '0.1'],
    ['16777216::FLOAT', '16777216'],
    [`'NaN'::DOUBLE`, 'null'],
    [`'-Infinity'::FLOAT`, 'null'],
    ['true', 'true'],
    ['NULL', 'null'],
    [`'a"\n😀'`, '"a\\"\\n😀"'],
    [`TIMESTAMP '2020-01-01 10:00:00'`, '"2020-01-01T10:00:00Z"'],
    [`TIMESTAMP '1969-12-31 23:59:59.999900'`, '"1969-12-31T23:59:59.9999Z"'],
    [`TIMESTAMP '0001-01-01 00:00:00.000001'`, '"0001-01-01T00:00:00.000001Z"'],
    [`TIMESTAMPTZ '2020-01-01 10:00:00+02'`, '"2020-01-01T08:00:00Z"'],
    [`'2020-01-01 00:00:00.123456789'::TIMESTAMP_NS`, '"2020-01-01T00:00:00.123456789Z"'],
    [`'2020-01-01 00:00:01'::TIMESTAMP_S`, '"2020-01-01T00:00:01Z"'],
    [`'2020-01-01 00:00:00.5'::TIMESTAMP_MS`, '"2020-01-01T00:00:00.5Z"'],
    [`'infinity'::TIMESTAMP`, 'null'],
    [`DATE '2020-02-03'`, '"2020-02-03"'],
    [`TIME '10:00:00'`, '"10:00:00"'],
    ['INTERVAL 3 DAY', '"3 days"'],
    [`'ab'::BLOB`, '"YWI="'],
    [`'{"a":[1,2.50]}'::JSON`, '{"a":[1,2.50]}'],
    [`'[NaN]'::JSON`, '"[NaN]"'],
    [`['{"a":1}'::JSON, NULL]`, '[{"a":1},null]'],
    [`{'x': 1, 'y"': [TIMESTAMP '2020-01-01']}`, '{"x":1,"y\\"":["2020-01-01T00:00:00Z"]}'],
    [`MAP {'k': 1, 'l': NULL}`, '{"k":1,"l":null}'],
    [`MAP {1: 'x'}`, '{"1":"x"}'],
    ['[1, 2]::INT[2]', '[1,2]'],
    ['union_value(k := 5)', '5'],
    [`'a'::ENUM('a')`, '"a"'],
    [`'e63e75ba-3560-4968-8f6b-690f886b2c5a'::UUID`, '"e63e75ba-3560-4968-8f6b-690f886b2c5a"'],
  ]) {
    assert.equal(await fixture.text(`SELECT ${sql} AS x`), `[{"x":${json}}]`, sql);
  }
});

test('columns that share a name all come back', async () => {
  assert.equal(
    await fixture.text('SELECT 1 AS a, 2 AS a, 3 AS "a:1", 4 AS a'),
    '[{"a":1,"a:2":2,"a:1":3,"a:3":4}]',
  );
});

test('parameters are exact and counted', async () => {
  const params = [
    'x',
    5,
    1.5,
    null,
    RAW('9007199254740993'),
    RAW('170141183460469231731687303715884105727'),
    true,
  ];
  assert.equal(
    await fixture.text(
      'SELECT $1 AS a, ($2 + 1) AS b, $3 AS c, $4::VARCHAR AS d, $5 AS e, $6 AS f, $7 AS g',
      [],
      params,
    ),
    '[{"a":"x","b":6,"c":1.5,"d":null,"e":9007199254740993,"f":170141183460469231731687303715884105727,"g":true}]',
  );
  assert.deepEqual(await fixture.rows('SELECT $2 AS b, $1 AS a', [], ['a', 'b']), [{ b: 'b', a: 'a' }]);
  for (const wrong of [[], [1, 2], [{}], [[1]], ['\ud800'], [RAW('1e999')]]) {
    await assert.rejects(fixture.text('SELECT $1', [], wrong), { code: 'sql_bad_parameter' });
  }
});

test('a result streams in chunks and counts its rows', async () => {
  const result = await fixture.executor.run(
    { sql: 'SELECT range AS n FROM range(5000)', params: [], sources: [] },
    new AbortController().signal,
  );
  const chunks: string[] = [];
  for await (const chunk of result.chunks) chunks.push(chunk);
  assert.ok(chunks.length > 2);
  assert.equal(result.rowCount(), 5000);
  assert.equal((JSON.parse(chunks.join('')) as unknown[]).length, 5000);
});

describe('a query fails with', () => {
  for (const [code, sql] of [
    ['sql_unknown_column', 'SELECT nope FROM t'],
    ['sql_unknown_column', 'SELECT t.nope FROM t'],
    ['sql_unknown_column', 'SELECT * EXCLUDE (nope) FROM t'],
    ['sql_invalid', 'SELECT v, sum(n) FROM t'],
    ['sql_unknown_name', 'FROM other'],
    ['sql_type_error', `SELECT 'x'::INT`],
    ['sql_type_error', 'SELECT v::INT FROM t'],
    ['sql_type_error', 'SELECT 200::TINYINT'],
    ['result_too_large', 'FROM range(10001)'],
    ['result_too_large', `SELECT repeat('x', 5000000)`],
    ['query_out_of_memory', `SELECT string_agg(repeat('x', 1000) || range) FROM range(10000000)`],
    ['sql_not_select', 'SELECT 1; SELECT 2'],
    ['sql_not_select', 'SET threads = 1'],
  ] as const) {
    test(`${code}: ${sql}`, async () => {
      await assert.rejects(fixture.text(sql, [await source()]), (error: MiniodbError) => {
        assert.equal(error.code, code, error.message);
        assert.doesNotMatch(error.message, /\/|LINE \d/);
        return true;
      });
    });
  }

  test('the unknown column and the known ones in its message', async () => {
    await assert.rejects(fixture.text('SELECT t.nope FROM t', [await source()]), {
      kind: 'invalid_argument',
      message: 'column t.nope does not exist; known columns: id, timestamp, payload, n, v',
    });
  });

  test('file_gone when a file is gone, for a new snapshot', async () => {
    const table = await source();
    const gone = { ...table, pending: [join(fixture.directory, 'gone.zst')] };
    await assert.rejects(fixture.text('FROM t', [gone]), { kind: 'unavailable', code: 'file_gone' });
    const group = { columns: [], overflow: false, paths: [join(fixture.directory, 'gone.parquet')] };
    await assert.rejects(fixture.text('FROM t', [{ ...table, pending: [], files: [group] }]), {
      code: 'file_gone',
    });
  });

  test('undecodable_payload when stored rows are broken', async () => {
    const table = await source();
    const pending = [await fixture.pending(['a', '1', '{"n":'])];
    await assert.rejects(fixture.text('SELECT n FROM t', [{ ...table, pending }]), {
      kind: 'data_corrupted',
      code: 'undecodable_payload',
    });
  });

  test('query_timeout after its time', async () => {
    const hasty = await QueryFixture.open({ timeoutMs: 100 });
    await assert.rejects(hasty.text(SLOW), { kind: 'deadline_exceeded', code: 'query_timeout' });
    await hasty.close();
  });

  test('cancelled when the caller goes away, before or during it', async () => {
    await assert.rejects(fixture.executor.run({ sql: SLOW, params: [], sources: [] }, AbortSignal.abort()), {
      kind: 'cancelled',
    });
    const caller = new AbortController();
    const running = fixture.executor
      .run({ sql: SLOW, params: [], sources: [] }, caller.signal)
      .then(async (result) => {
        for await (const _ of result.chunks) assert.fail('a row');
      });
    setImmediate(() => caller.abort());
    await Promise.all([once(caller.signal, 'abort'), assert.rejects(running, { kind: 'cancelled' })]);
  });
});

test('a reader that stops early ends the query, and a closed executor takes none', async () => {
  const own = await QueryFixture.open({ prewarm: 2 });
  const plan = { sql: 'FROM range(10000)', params: [], sources: [] };
  const result = await own.executor.run(plan, new AbortController().signal);
  for await (const _ of result.chunks) break;
  await result.close();
  const unread = await own.executor.run(plan, new AbortController().signal);
  await own.close();
  await assert.rejects(unread.chunks[Symbol.asyncIterator]().next(), { kind: 'cancelled' });
  await assert.rejects(own.executor.run(plan, new AbortController().signal), { kind: 'unavailable' });
});

test('queries that do not fit in memory spill side by side and leave nothing behind', async () => {
  const own = await QueryFixture.open({ memoryLimitMiB: 48, tempSizeMiB: 512 });
  const sql =
    'SELECT max(n) AS n FROM (SELECT row_number() OVER (ORDER BY md5(range::VARCHAR)) AS n FROM range(1000000))';
  assert.deepEqual(await Promise.all([own.rows(sql), own.rows(sql)]), [
    [{ n: 1_000_000 }],
    [{ n: 1_000_000 }],
  ]);
  await own.executor.close();
  assert.deepEqual(await readdir(own.directory), []);
  await own.close();
});

test('behind a gate that let it through, the sandbox still refuses', async () => {
  const secret = join(fixture.directory, 'secret.csv');
  await writeFile(secret, 'secret');
  const allowed = await fixture.pending(['a', '1', '{}']);
  const untouched = await readFile(allowed);
  const db = await openSandbox({
    memoryLimitMiB: 128,
    threads: 1,
    tempDirectory: fixture.directory,
    tempSizeMiB: 1,
  });
  try {
    await lockSandbox(db, [allowed]);
    for (const sql of [
      `FROM read_csv(${sqlString(secret)})`,
      `FROM ${sqlString(secret)}`,
      `FROM read_text('/etc/passwd')`,
      `FROM glob('/*')`,
      `FROM read_blob('/proc/self/environ')`,
      `FROM read_parquet('http://127.0.0.1:1/x')`,
      `COPY (SELECT 1) TO ${sqlString(`${secret}.out`)}`,
      `COPY (SELECT 1) TO ${sqlString(allowed)}`,
      `ATTACH ${sqlString(`${secret}.db`)}`,
      `EXPORT DATABASE ${sqlString(`${secret}.dir`)}`,
      'INSTALL httpfs',
      'LOAD httpfs',
      `LOAD ${sqlString(secret)}`,
      'SET enable_external_access = true',
      'SET memory_limit = $$1TB$$',
      `SET allowed_paths = ['/etc/passwd']`,
      'RESET threads',
      'SET lock_configuration = false',
      'PRAGMA threads = 8',
      'SET SESSION TimeZone = $$Asia/Tokyo$$',
    ]) {
      await assert.rejects(db.connection.runAndReadAll(sql), sql);
    }
    const reader = await db.connection.runAndReadAll(
      `SELECT count(*) FROM read_json_objects(${sqlString(allowed)})`,
    );
    assert.deepEqual(reader.getRowsJson(), [['1']]);
  } finally {
    db.close();
  }
  assert.deepEqual(await readFile(allowed), untouched);
});

test('a sandbox whose settings do not hold is not used', async () => {
  const db = await openDuckDb();
  await assert.rejects(lockSandbox(db, []), { code: 'sandbox_open' });
  db.close();
});

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { MiniodbError } from '../runtime/errors.ts';
import { SQL_CODES } from './codes.ts';
import { type Gate, type GatedQuery, openGate } from './gate.ts';

const TABLES = new Set(['users', 'orders', 'order', 'default', 'group', 'left', 'select']);
const OPTIONS = { defaultTable: 'default', isTable: (name: string) => TABLES.has(name) };

let gate: Gate;
before(async () => {
  gate = await openGate();
});
after(() => gate.close());

function check(sql: string): Promise<GatedQuery> {
  return gate.check(sql, OPTIONS);
}

async function tablesOf(sql: string): Promise<string[]> {
  return (await check(sql)).tables.map((table) => table.name);
}

async function refusal(sql: string): Promise<MiniodbError> {
  try {
    await check(sql);
  } catch (error) {
    assert.ok(error instanceof MiniodbError);
    assert.equal(error.kind, 'invalid_argument');
    return error;
  }
  throw new Error(`not refused: ${sql.slice(0, 80)}`);
}

const REFUSED: Readonly<Record<string, readonly string[]>> = {
  [SQL_CODES.pathRefused]: [
    `FROM '/etc/passwd'`,
    `FROM "/cache/orders/x.parquet"`,
    `FROM $$/x$$`.replace('$$/x$$', `"$$/x$$"`),
    `FROM users, '/x.parquet' b`,
    `FROM 's3://bucket/x'`,
    `FROM "x.parquet"`,
    `FROM "c:\\x"`,
    `FROM main."a/b"`,
    `SELECT (SELECT 1 FROM 'x.csv')`,
    `FROM users WHERE id IN (FROM 'x.json')`,
  ],
  [SQL_CODES.tableFunctionRefused]: [
    `FROM read_csv('/etc/passwd')`,
    `FROM parquet_scan('/x')`,
    `FROM READ_PARQUET('/x')`,
    `FROM "read_parquet"('/x')`,
    `FROM system.main.read_parquet('/x')`,
    `FROM system.main.range(3)`,
    `FROM glob('/**')`,
    `FROM query('SELECT * FROM orders')`,
    `FROM query_table('orders')`,
    `FROM duckdb_settings()`,
    `FROM duckdb_secrets()`,
    `FROM pragma_table_info('users')`,
    `FROM sniff_csv('/x')`,
    `FROM json_execute_serialized_sql('{}')`,
    `FROM repeat('x', 3)`,
    `SELECT (SELECT count(*) FROM glob('/**'))`,
    `FROM users WHERE EXISTS (FROM glob('/**'))`,
    `FROM users ORDER BY (SELECT 1 FROM glob('/**'))`,
    `FROM users LIMIT (SELECT 1 FROM glob('/**'))`,
    `FROM users LIMIT 1 OFFSET (SELECT 1 FROM glob('/**'))`,
    `FROM users u JOIN orders o ON u.id = (SELECT file FROM glob('/**'))`,
    `FROM users QUALIFY row_number() OVER (ORDER BY (SELECT 1 FROM glob('/**'))) = 1`,
    `SELECT sum(a) FILTER (WHERE (SELECT true FROM glob('/**'))) FROM users`,
    `SELECT sum(a) OVER (ROWS (SELECT 1 FROM glob('/**')) PRECEDING) FROM users`,
    `SELECT string_agg(a ORDER BY (SELECT 1 FROM glob('/**'))) FROM users`,
    `SELECT count(*) FROM users GROUP BY (SELECT 1 FROM glob('/**'))`,
    `SELECT count(*) FROM users HAVING (SELECT true FROM glob('/**'))`,
    `SELECT DISTINCT ON ((SELECT 1 FROM glob('/**'))) a FROM users`,
    `SELECT CASE WHEN a THEN (SELECT 1 FROM glob('/**')) END FROM users`,
    `SELECT [x + (SELECT 1 FROM glob('/**')) FOR x IN a] FROM users`,
    `SELECT * REPLACE ((SELECT 1 FROM glob('/**')) AS a) FROM users`,
    `SELECT COLUMNS(c -> c = (SELECT file FROM glob('/**'))) FROM users`,
    `VALUES ((SELECT 1 FROM glob('/**')))`,
    `FROM users, LATERAL (FROM glob(users.id))`,
    `FROM range((SELECT 1 FROM glob('/**')))`,
    `WITH x AS (FROM glob('/**')) SELECT 1`,
    `SELECT 1 UNION ALL FROM glob('/**')`,
    `PIVOT users ON a IN ('x') USING sum((SELECT 1 FROM glob('/**')))`,
    `FROM users ASOF JOIN glob('/**') g ON users.a >= g.b`,
    `FROM users POSITIONAL JOIN glob('/**')`,
  ],
  [SQL_CODES.functionRefused]: [
    `SELECT current_setting('temp_directory')`,
    `SELECT getenv('HOME')`,
    `SELECT getvariable('x')`,
    `SELECT nextval('s')`,
    `SELECT setseed(0.5)`,
    `SELECT write_log('x')`,
    `SELECT query('SELECT 1')`,
    `SELECT json_serialize_plan('FROM users')`,
    `SELECT sleep_ms(10)`,
    `SELECT users.id.current_setting() FROM users`,
    `SELECT max(current_setting('x')) OVER () FROM users`,
    `FROM range(current_setting('threads')::INT)`,
    `SELECT read_text('/etc/passwd')`,
    `SELECT pg_sleep(1)`,
  ],
  [SQL_CODES.functionUnknown]: [`SELECT nope(1)`, `SELECT http_get('http://x')`],
  [SQL_CODES.catalogRefused]: [
    `FROM memory.main.orders`,
    `FROM memory.orders`,
    `FROM temp.users`,
    `FROM system.users`,
    `FROM information_schema.tables`,
    `FROM pg_catalog.pg_class`,
    `SELECT 1::other.thing`,
  ],
  [SQL_CODES.multipleStatements]: [`SELECT 1; SELECT 2`, `SELECT 1;; SELECT 2`],
  [SQL_CODES.notSelect]: [
    `SELECT 1; DROP VIEW users`,
    `COPY users TO '/x'`,
    `EXPORT DATABASE '/x'`,
    `ATTACH '/x'`,
    `INSTALL httpfs`,
    `LOAD httpfs`,
    `SET threads = 1`,
    `PRAGMA database_list`,
    `CALL range(3)`,
    `CREATE TABLE x AS SELECT 1`,
    `PREPARE x AS SELECT 1`,
    `EXPLAIN SELECT 1`,
    `INSERT INTO users VALUES (1)`,
    `WITH x AS (DELETE FROM users RETURNING *) FROM x`,
  ],
  [SQL_CODES.unsupported]: [
    `DESCRIBE users`,
    `SUMMARIZE users`,
    `SHOW TABLES`,
    `FROM (DESCRIBE users)`,
    `FROM users AT (VERSION => 1)`,
    `SELECT $name`,
    `SELECT $2`,
    `SELECT $1, $3`,
  ],
  [SQL_CODES.empty]: [``, `  \n `, `-- nothing`, `/* nothing */ ;`],
  [SQL_CODES.badText]: ['SELECT 1\0', '\uFEFFSELECT 1', `SELECT '\ud800'`],
  [SQL_CODES.syntax]: [`SELECT FROM WHERE`, `SELECT * FROM users WHERE (`, `SELECT 'open`],
  [SQL_CODES.tooLong]: [`SELECT '${'x'.repeat(256 * 1024)}'`, `SELECT '${'é'.repeat(128 * 1024)}'`],
  [SQL_CODES.tooDeep]: [
    `SELECT ${'('.repeat(20_000)}1${')'.repeat(20_000)}`,
    `FROM a${', a'.repeat(600)}`,
    `SELECT 1${'+1'.repeat(20_000)}`,
    `SELECT a${'::INT'.repeat(20_000)}`,
    `SELECT ${'- '.repeat(20_000)}1`,
  ],
  [SQL_CODES.tooComplex]: [
    `SELECT ${'1,'.repeat(80_000)}1`,
    `SELECT 1${' UNION ALL SELECT 1'.repeat(10_000)}`,
  ],
};

describe('the gate refuses', () => {
  for (const [code, texts] of Object.entries(REFUSED)) {
    test(`with ${code}`, async () => {
      for (const sql of texts) {
        const error = await refusal(sql);
        assert.equal(error.code, code, `${sql.slice(0, 80)}: ${error.message}`);
      }
    });
  }

  test('and says where', async () => {
    const error = await refusal(`SELECT 'é😀',\n  getenv('HOME')`);
    assert.match(error.message, /getenv.*\(line 2, column 3\)/);
    assert.deepEqual(error.details, { line: 2, column: 3 });
    assert.deepEqual((await refusal(`SELECT 'é😀' FROM FROM`)).details, { line: 1, column: 18 });
  });
});

test('ordinary queries pass unchanged', async () => {
  for (const sql of [
    `SELECT 'a;b'`,
    `SELECT query FROM users`,
    `SELECT 1;`,
    `SELECT update, "select" FROM users -- comment`,
    `/* FROM orders */ SELECT id FROM users UNION SELECT id FROM users`,
    `WITH x AS (FROM users), y AS MATERIALIZED (FROM x) SELECT * FROM y`,
    `SELECT id, rank() OVER w FROM users WINDOW w AS (PARTITION BY a ORDER BY timestamp)`,
    `PIVOT users ON a IN ('x', 'y') USING sum(b) GROUP BY id`,
    `UNPIVOT users ON a, b INTO NAME n VALUE v`,
    `SELECT a['k'], b.c.d, list_transform(l, x -> x + 1), a.upper() FROM users`,
    `SELECT CAST(a AS STRUCT(x INT, y DECIMAL(10,2)[])), a::JSON->>'$.x', interval 3 day FROM users`,
    `SELECT * FROM users TABLESAMPLE 10% LIMIT 10`,
    `SELECT count(DISTINCT a), quantile_cont(b, 0.5), json_extract_string(c, '$.x') FROM users`,
    `SELECT unnest([1, 2]), coalesce(a, b), ifnull(a, b), nullif(a, b), if(a, b, c) FROM users`,
    `FROM range(3) a, generate_series(1, 3) b, unnest([1]) WITH ORDINALITY AS u(v, o)`,
    `SELECT * FROM users WHERE timestamp >= now() - INTERVAL 1 HOUR AND id IN ('a', 'b')`,
    `VALUES (1, 'a'), (2, 'b')`,
  ]) {
    assert.equal((await check(sql)).sql, sql);
  }
});

test('tables are listed once, in lower case, wherever they stand', async () => {
  assert.deepEqual(await tablesOf(`SELECT 1`), []);
  assert.deepEqual(await tablesOf(`FROM OrDeRs`), ['orders']);
  assert.deepEqual(await tablesOf(`FROM users u JOIN main.Users v USING (id), orders`), ['users', 'orders']);
  assert.deepEqual(
    await tablesOf(`SELECT (SELECT max(a) FROM orders) FROM users WHERE id IN (SELECT id FROM x)`),
    ['users', 'orders', 'x'],
  );
  assert.deepEqual(await tablesOf(`FROM sqlite_master`), ['sqlite_master']);
});

test('a common table expression hides a table only where it is visible', async () => {
  for (const [sql, tables] of [
    [`WITH users AS (SELECT 1) FROM users`, []],
    [`WITH USERS AS (SELECT 1) FROM users`, []],
    [`WITH orders AS (FROM orders) FROM orders`, ['orders']],
    [`WITH users AS (SELECT 1) FROM main.users, orders`, ['users', 'orders']],
    [`WITH a AS (FROM b), b AS (SELECT 1) FROM a`, ['b']],
    [`WITH b AS (SELECT 1), a AS (FROM b) FROM a`, []],
    [`SELECT (WITH x AS (SELECT 1) FROM x), (FROM x)`, ['x']],
    [`WITH x AS (SELECT 1) SELECT (WITH x AS (FROM x) FROM x)`, []],
    [`WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 9) FROM x`, []],
    [`WITH RECURSIVE x AS (FROM x UNION ALL SELECT n + 1 FROM x WHERE n < 9) FROM x`, ['x']],
    [`WITH x AS (SELECT 1) SELECT 1 WHERE EXISTS (SELECT 1 FROM x, y)`, ['y']],
    [`FROM (WITH x AS (SELECT 1) FROM x) UNION ALL FROM x`, ['x']],
  ] as const) {
    assert.deepEqual(await tablesOf(sql), tables, sql);
  }
});

test('a keyword that is a table is quoted where a relation stands', async () => {
  for (const [sql, quoted] of [
    [`FROM table`, `FROM "default"`],
    [`select * from TABLE t`, `select * from "default" t`],
    [`SELECT * FROM default`, `SELECT * FROM "default"`],
    [`FROM users, order, group`, `FROM users, "order", "group"`],
    [`FROM users JOIN order ON true ORDER BY 1`, `FROM users JOIN "order" ON true ORDER BY 1`],
    [`FROM (FROM table) x, left`, `FROM (FROM "default") x, "left"`],
    [`FROM left JOIN select ON true`, `FROM "left" JOIN "select" ON true`],
    [`SELECT 'é😀 FROM order' FROM order`, `SELECT 'é😀 FROM order' FROM "order"`],
    [
      `SELECT $$ FROM table $$ /* FROM order */ FROM table -- FROM order`,
      `SELECT $$ FROM table $$ /* FROM order */ FROM "default" -- FROM order`,
    ],
    [`SELECT "order" FROM order`, `SELECT "order" FROM "order"`],
    [`WITH "order" AS (SELECT 1) FROM order`, `WITH "order" AS (SELECT 1) FROM "order"`],
    [`FROM/**/table`, `FROM/**/"default"`],
    [
      `SELECT (SELECT count(*) FROM order) FROM "table"`,
      `SELECT (SELECT count(*) FROM "order") FROM "table"`,
    ],
  ]) {
    assert.equal((await check(sql!)).sql, quoted);
  }
  assert.deepEqual(await tablesOf('FROM table'), ['default']);
});

test('a keyword is not quoted where no relation stands, nor one that is no table', async () => {
  for (const sql of [
    `SELECT table FROM users`,
    `SELECT order FROM order`,
    `SELECT order.id FROM users`,
    `FROM where`,
    `SELECT * FROM users order`,
    `SELECT a FROM users WHERE group ORDER BY 1`,
  ]) {
    const error = await refusal(sql);
    assert.equal(error.code, SQL_CODES.syntax, sql);
    assert.match(error.message, /^syntax error at/);
  }
});

test('parameters are counted', async () => {
  assert.equal((await check('SELECT 1')).parameterCount, 0);
  assert.equal((await check('SELECT ?, ?')).parameterCount, 2);
  assert.equal((await check('SELECT $2, $2 FROM users LIMIT $1')).parameterCount, 2);
});

test('texts are checked side by side without mixing', async () => {
  const names = Array.from({ length: 50 }, (_, n) => `table_${n}`);
  const found = await Promise.all(names.map((name) => tablesOf(`FROM ${name}`)));
  assert.deepEqual(
    found,
    names.map((name) => [name]),
  );
  const mixed = await Promise.allSettled([
    check('SELECT ('),
    check('SELECT 1'),
    check(`FROM '/x'`),
    check('SELECT 2'),
  ]);
  assert.deepEqual(
    mixed.map((result) => result.status),
    ['rejected', 'fulfilled', 'rejected', 'fulfilled'],
  );
});

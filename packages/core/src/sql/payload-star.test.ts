import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type DuckDb, openDuckDb } from '../duckdb/instance.ts';
import { SQL_CODES } from './codes.ts';
import { type Gate, type GatedQuery, openGate } from './gate.ts';

let gate: Gate;
let db: DuckDb;
before(async () => {
  gate = await openGate();
  db = await openDuckDb();
  await db.connection.run(`CREATE TABLE users AS SELECT 'u' AS id, 1 AS a, '{"x":"y"}'::JSON AS payload`);
  await db.connection.run(`CREATE TABLE orders AS SELECT 'u' AS id, 2 AS b, '{"z":1}'::JSON AS payload`);
});
after(() => {
  gate.close();
  db.close();
});

function check(sql: string): Promise<GatedQuery> {
  return gate.check(sql, { defaultTable: 'default', isTable: () => false });
}

/** Column names of the gated query, over tables that do have a column `payload`. */
async function columnsOf(sql: string): Promise<string> {
  const gated = await check(sql);
  const reader = await db.connection.runAndReadAll(gated.sql);
  return reader.columnNames().join(' ');
}

test('a query names payload by any identifier of that name, and only then', async () => {
  for (const sql of [
    'SELECT payload FROM users',
    'SELECT PayLoad FROM users',
    'SELECT u.payload FROM users u',
    `SELECT payload->>'x' FROM users`,
    'SELECT "payload".x FROM users',
    'SELECT payload.lower() FROM users',
    'SELECT 1 FROM users WHERE payload IS NOT NULL',
    'SELECT 1 FROM users ORDER BY payload',
    'FROM users JOIN orders USING (payload)',
    'SELECT * EXCLUDE (payload) FROM users',
    'SELECT * RENAME (payload AS p) FROM users',
    `SELECT COLUMNS('payload|id') FROM users`,
    'SELECT (SELECT payload FROM orders) FROM users',
  ]) {
    assert.deepEqual([...new Set((await check(sql)).tables.map((table) => table.namesPayload))], [true], sql);
  }
  for (const sql of [
    `SELECT 'payload' FROM users`,
    'SELECT a AS payload FROM users',
    'SELECT * FROM users -- payload',
  ]) {
    assert.equal((await check(sql)).tables[0]!.namesPayload, false, sql);
  }
});

test('payload is not part of any star over a table', async () => {
  for (const [sql, columns] of [
    ['SELECT *, payload FROM users', 'id a payload'],
    ['FROM users WHERE payload IS NOT NULL', 'id a'],
    [`SELECT *, payload->>'x' AS x FROM users u`, 'id a x'],
    ['SELECT u.*, o.payload FROM users u JOIN orders o USING (id)', 'id a payload'],
    ['SELECT *, o.payload FROM users u JOIN orders o USING (id)', 'id a b payload'],
    ['SELECT * FROM users u JOIN orders o USING (payload)', 'id a id b'],
    ['SELECT * FROM users u SEMI JOIN orders o ON u.id = o.id WHERE payload IS NOT NULL', 'id a'],
    ['SELECT * EXCLUDE (a), payload FROM users', 'id payload'],
    ['SELECT * EXCLUDE (payload) FROM users', 'id a'],
    ['SELECT * EXCLUDE (users.payload) FROM users', 'id a'],
    ['SELECT * REPLACE (a + 1 AS a), payload FROM users', 'id a payload'],
    ['SELECT * REPLACE (a + 1 AS a, upper(id) AS id), payload FROM users', 'id a payload'],
    ['SELECT * RENAME (a AS c), payload FROM users', 'id c payload'],
    [`SELECT * REPLACE ('p' AS payload) FROM users`, 'id a payload'],
    ['SELECT * RENAME (payload AS p) FROM users', 'id a p'],
    ['SELECT COLUMNS(*), payload FROM users', 'id a payload'],
    ['SELECT COLUMNS(c -> c <> $$id$$), payload FROM users', 'a payload'],
    ['SELECT * FROM (SELECT *, payload FROM users)', 'id a payload'],
    ['SELECT * FROM (FROM users) x JOIN orders USING (id) WHERE payload IS NOT NULL', 'id a b'],
    ['WITH c AS (SELECT id AS payload FROM users) SELECT *, payload FROM c', 'payload payload'],
    [
      'WITH users AS (SELECT 1 AS payload) SELECT *, users.payload FROM users, orders',
      'payload id b payload',
    ],
    ['SELECT * FROM users, (SELECT 9 AS payload) z WHERE users.payload IS NOT NULL', 'id a payload'],
    ['SELECT id, payload FROM users UNION ALL SELECT *, NULL FROM (SELECT id FROM orders)', 'id payload'],
    ['SELECT (SELECT max(x) FROM (SELECT * FROM orders) t(x, y)) AS m, payload FROM users', 'm payload'],
    ['SELECT count(*) AS n, max(payload) AS m FROM users', 'n m'],
  ] as const) {
    assert.equal(await columnsOf(sql), columns, sql);
  }
});

test('a rewritten query keeps its numbers, parameters and order', async () => {
  const gated = await check(
    `SELECT *, payload, 18446744073709551615 AS u, 12345678901234567890123456789 AS h, 0.10 AS d, $1 AS p
     FROM users WHERE a IN (1, 9007199254740993) OR id LIKE 'u%' ORDER BY a DESC NULLS LAST LIMIT 5 OFFSET 0`,
  );
  assert.equal(gated.parameterCount, 1);
  const reader = await db.connection.runAndReadAll(gated.sql, ['x']);
  assert.deepEqual(reader.getRowsJson(), [
    ['u', 1, '{"x":"y"}', '18446744073709551615', '12345678901234567890123456789', '0.10', 'x'],
  ]);
});

test('a rewritten query passes the gate again, unchanged', async () => {
  const { sql } = await check('SELECT *, o.payload FROM users u JOIN orders o USING (id)');
  assert.equal((await check(sql)).sql, sql);
});

test('what would see payload without naming it is refused in a query that names it', async () => {
  for (const sql of [
    'SELECT a, payload FROM users NATURAL JOIN orders',
    `PIVOT users ON a IN (1) USING max(payload)`,
    'UNPIVOT users ON a, payload',
    'SELECT payload FROM users AS u(payload)',
  ]) {
    await assert.rejects(check(sql), { code: SQL_CODES.unsupported }, sql);
  }
  await check(`PIVOT (SELECT a, payload FROM users) ON a IN (1) USING max(payload)`);
  await check('SELECT * FROM users NATURAL JOIN orders');
});

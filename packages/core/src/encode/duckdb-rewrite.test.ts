import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openDuckDb, sqlString } from '../duckdb/instance.ts';
import { COLUMN_TYPES, type ColumnType, joinTypes } from '../table/schema.ts';
import { assertRows, rowsOf } from './conformance/checks.ts';
import { batch, DAY_MICROS, type InputRow, NEW_YEAR_MICROS, row, schemaOf } from './conformance/jobs.ts';
import { readBack } from './conformance/read-back.ts';
import { DUCKDB_ENCODER_DEFAULTS, DuckDbEncoder } from './duckdb.ts';
import type { EncodedFile, RewriteTarget, StoredFile } from './encoder.ts';
import { ParquetJsEncoder } from './parquetjs.ts';
import { columnOfFile } from './stored-columns.ts';

const DAY = '2026-01-01';
const ONE: RewriteTarget = { kind: 'one', day: DAY, id: undefined };

let root: string;
let encoder: DuckDbEncoder;

before(() => {
  root = mkdtempSync(join(tmpdir(), 'miniodb-rewrite-'));
  encoder = new DuckDbEncoder({ ...DUCKDB_ENCODER_DEFAULTS, tempDirectory: join(root, 'spill') });
});

after(async () => {
  await encoder.close();
  rmSync(root, { recursive: true, force: true });
});

const newDir = () => mkdtemp(join(root, 'job-'));

interface Written {
  readonly rows: readonly InputRow[];
  readonly files: readonly EncodedFile[];
}

/** As a flush under that schema writes them. */
async function written(
  rows: readonly InputRow[],
  columns: Readonly<Record<string, ColumnType>>,
  filesMax = 1,
): Promise<Written> {
  const files = await encoder.encode({
    batches: [batch('1', [rows], true)],
    schema: schemaOf(columns),
    layout: { mode: 'packed', filesMax, ownIdsMax: 0, ownRowsMin: 1 },
    workDir: await newDir(),
    footer: { 'miniodb.seals': `seal-of-${rows.length}` },
  });
  return { rows, files };
}

const stored = ({ path, rows, columns, hasOverflow }: EncodedFile): StoredFile => ({
  path,
  rows,
  columns: columns.map(({ name, type }) => [name, type] as const),
  overflow: hasOverflow,
});

async function rewritten(
  inputs: readonly Written[],
  columns: Readonly<Record<string, ColumnType>>,
  target: RewriteTarget = ONE,
): Promise<EncodedFile[]> {
  return encoder.rewrite({
    inputs: inputs.flatMap(({ files }) => files.map(stored)),
    schema: schemaOf(columns),
    target,
    workDir: await newDir(),
    footer: { 'miniodb.plan': 'p' },
  });
}

/** One column of files as text, in order of the rows' ids, as a query of a table with a column of that type shows it. */
async function shown(files: readonly EncodedFile[], name: string, type: ColumnType): Promise<unknown[][]> {
  const parts = files.map((file) => {
    const column = file.columns.find((each) => each.name === name) as
      | { name: string; type: ColumnType }
      | undefined;
    const sql = columnOfFile(column, { name, type }, file.hasOverflow);
    return `SELECT id, CAST(${sql} AS VARCHAR) AS v FROM read_parquet([${sqlString(file.path)}])`;
  });
  const db = await openDuckDb();
  try {
    return (
      await db.connection.runAndReadAll(`FROM (${parts.join(' UNION ALL ')}) ORDER BY id, v`)
    ).getRows();
  } finally {
    db.close();
  }
}

/** Values that a column of the type may hold, with those that it can only show. */
const VALUES: Readonly<Record<ColumnType, readonly string[]>> = {
  boolean: ['true', 'false'],
  int53: ['0', '-7', '9007199254740992'],
  int64: ['9007199254740993', '-9223372036854775808', '100000000000000000'],
  double: ['0.5', '1e-7', '1e21', '3.0', '-0.25e-300'],
  double_lossy: ['9007199254740993', '0.1', '0.12345678901234567890', '1e400'],
  varchar: ['"text"', '"true"', '"7"', '"\\u0000\\"q"', '""'],
  varchar_lossy: ['"x"', 'true', '12', '0.5', '9007199254740993', '1e400'],
  json: ['{"a":[1,null]}', '[0.12345678901234567890]', '"s"', 'false', '1e400'],
};

describe('files of a column of different types', () => {
  for (const [at, a] of COLUMN_TYPES.entries()) {
    for (const b of COLUMN_TYPES.slice(at)) {
      test(`${a} and ${b} become one that reads as they did, under every wider type`, async () => {
        const rowsOfType = (type: ColumnType, side: string) =>
          VALUES[type].map((value, n) =>
            row(`${side}${n}`, NEW_YEAR_MICROS, `{"v":${value},"${side}":1,"id":"mine"}`),
          );
        const left = await written([...rowsOfType(a, 'l'), row('l9', NEW_YEAR_MICROS)], { v: a, l: 'int53' });
        const right = await written(rowsOfType(b, 'r'), { v: b, r: 'int53' });
        const joined = joinTypes(a, b);
        const files = await rewritten([left, right], { v: joined, l: 'int53', r: 'int53' });
        assert.equal(files.length, 1);
        assertRows(await rowsOf(files), [...left.rows, ...right.rows]);
        for (const type of COLUMN_TYPES.filter((each) => joinTypes(each, joined) === each)) {
          assert.deepEqual(
            await shown(files, 'v', type),
            await shown([...left.files, ...right.files], 'v', type),
            `as ${type}`,
          );
        }
      });
    }
  }
});

test('payloads as they were sent are carried, beside rows without', async () => {
  const kept = await written([row('a', NEW_YEAR_MICROS, '{"n":1}', '{ "n": 1.0 }')], { n: 'int53' });
  const rebuilt = await written([row('b', NEW_YEAR_MICROS, '{"n":2}')], { n: 'int53' });
  const files = await rewritten([kept, rebuilt], { n: 'int53' });
  assert.deepEqual(files[0]!.columns.at(-1), { name: '~payload', type: 'raw' });
  assertRows(await rowsOf(files), [...kept.rows, ...rebuilt.rows]);
});

test('columns named like the working tables’ own are not mixed up with them', async () => {
  const columns = {
    i: 'int53',
    t: 'varchar',
    d: 'boolean',
    x: 'double',
    o: 'json',
    c0: 'int53',
    c1: 'varchar',
  } as const;
  const payload = '{"i":1,"t":"t","d":true,"x":0.5,"o":[1],"c0":7,"c1":"c"}';
  const input = await written([row('a', NEW_YEAR_MICROS + 5n, payload)], columns);
  assertRows(await rowsOf(await rewritten([input], columns)), input.rows);
});

test('a file of several days becomes packed files of its days, and the least of them stay mixed beyond the cap', async () => {
  const rows = Array.from({ length: 21 }, (_, n) =>
    row(`id-${n % 4}`, NEW_YEAR_MICROS + BigInt(n % 6) * DAY_MICROS + BigInt(n), `{"n":${n}}`),
  );
  const mixed = await written(rows, { n: 'int53' });
  assert.equal(mixed.files[0]!.kind, 'mixed');
  const days = await rewritten([mixed], { n: 'int53' }, { kind: 'days', filesMax: 16 });
  assert.deepEqual(
    days.map(({ kind, day }) => [kind, day]),
    ['01', '02', '03', '04', '05', '06'].map((day) => ['packed', `2026-01-${day}`]),
  );
  assertRows(await rowsOf(days), rows);
  const capped = await rewritten([mixed], { n: 'int53' }, { kind: 'days', filesMax: 4 });
  assert.deepEqual(
    capped.map(({ kind }) => kind),
    ['packed', 'packed', 'packed', 'mixed'],
  );
  assertRows(await rowsOf(capped), rows);
});

test('a file of an id stays that of the id, and rows of another id or day are refused', async () => {
  const rows = [row('a', NEW_YEAR_MICROS), row('a', NEW_YEAR_MICROS + 1n)];
  const own = await written(rows, {});
  const [file] = await rewritten([own, own], {}, { kind: 'one', day: DAY, id: 'a' });
  assert.deepEqual([file!.kind, file!.id, file!.day, file!.rows], ['id', 'a', DAY, 4]);
  const misplaced = { code: 'rows_misplaced' };
  await assert.rejects(rewritten([own], {}, { kind: 'one', day: DAY, id: 'b' }), misplaced);
  await assert.rejects(rewritten([own], {}, { kind: 'one', day: '2026-01-02', id: 'a' }), misplaced);
});

test('a rewrite is refused whose inputs have other rows than their entries say', async () => {
  const { files } = await written([row('a', NEW_YEAR_MICROS)], {});
  const job = { schema: schemaOf(), target: ONE, workDir: await newDir(), footer: {} };
  const inputs = [{ ...stored(files[0]!), rows: 2 }];
  await assert.rejects(encoder.rewrite({ ...job, inputs }), { code: 'row_count_mismatch' });
});

test('a rewrite is refused under a schema that is narrower than a file, or lacks its column', async () => {
  const input = await written([row('a', NEW_YEAR_MICROS, '{"n":0.5}')], { n: 'double' });
  const mismatch = { code: 'rewrite_schema_mismatch' };
  await assert.rejects(rewritten([input], { n: 'int53' }), mismatch);
  await assert.rejects(rewritten([input], {}), mismatch);
});

test('what is no Parquet is unreadable', async () => {
  const broken = { path: new URL(import.meta.url).pathname, rows: 1, columns: [], overflow: false };
  const job = { inputs: [broken], schema: schemaOf(), target: ONE, workDir: await newDir(), footer: {} };
  await assert.rejects(encoder.rewrite(job), { code: 'unreadable_file' });
});

test('the footers of files are read in the order that was asked for', async () => {
  const one = await written([row('a', NEW_YEAR_MICROS)], {});
  const two = await written([row('a', NEW_YEAR_MICROS), row('b', NEW_YEAR_MICROS)], {});
  const paths = [two, one].map(({ files }) => files[0]!.path);
  const footers = await encoder.footers(paths);
  assert.deepEqual(
    footers.map((footer) => footer['miniodb.seals']),
    ['seal-of-2', 'seal-of-1'],
  );
  const [file] = await rewritten([one], {});
  assert.deepEqual((await readBack(file!)).footer['miniodb.plan'], 'p');
});

test('parquetjs-lite only writes', async () => {
  const pure = new ParquetJsEncoder();
  await assert.rejects(pure.rewrite(), { code: 'encoder_cannot_rewrite' });
  await assert.rejects(pure.footers(), { code: 'encoder_cannot_rewrite' });
});

test('files that have each other columns become one', async () => {
  const columns: Record<string, ColumnType> = {};
  const inputs: Written[] = [];
  for (let n = 0; n < 40; n += 1) {
    columns[`field_${n}`] = n % 2 === 0 ? 'int53' : 'varchar';
    const value = n % 2 === 0 ? n : `"${n}"`;
    inputs.push(await written([row(`id-${n}`, NEW_YEAR_MICROS, `{"field_${n}":${value}}`)], { ...columns }));
  }
  const files = await rewritten(inputs, columns);
  assert.equal(files.length, 1);
  assertRows(
    await rowsOf(files),
    inputs.flatMap(({ rows }) => rows),
  );
});

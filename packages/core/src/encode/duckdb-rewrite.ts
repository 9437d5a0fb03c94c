import { sqlName, sqlString } from '../duckdb/instance.ts';
import { MiniodbError } from '../runtime/errors.ts';
import {
  type Column,
  foldName,
  isColumnType,
  joinTypes,
  RAW_PAYLOAD_COLUMN,
  SQL_TYPES,
  type TableSchema,
} from '../table/schema.ts';
import { isOutOfResources, type Session } from './duckdb-session.ts';
import { GROUPS_SQL } from './duckdb-sql.ts';
import { rowCountMismatch, unreadableFile } from './encode-errors.ts';
import type { RewriteJob, RewriteTarget, StoredFile } from './encoder.ts';
import { columnOfFile, completedOverflow } from './stored-columns.ts';

/** Into the working tables `r` and `g` (duckdb-sql.ts). Answers the number of rows, which is that of the entries. */
export async function readStoredRows(session: Session, job: RewriteJob): Promise<number> {
  const expected = job.inputs.reduce((sum, { rows }) => sum + rows, 0);
  for (const [at, sql] of storedRowsSql(job.inputs, job.schema).entries()) {
    await readFiles(session, at === 0 ? `CREATE TEMP TABLE r AS ${sql}` : `INSERT INTO r ${sql}`);
  }
  await session.rows(GROUPS_SQL);
  const [[actual]] = (await session.rows('SELECT coalesce(sum(n), 0)::BIGINT FROM g')) as [[bigint]];
  if (Number(actual) !== expected) throw rowCountMismatch(expected, Number(actual));
  await checkTarget(session, job.target);
  return expected;
}

/** Key-value metadata of each file. */
export async function readFooters(
  session: Session,
  paths: readonly string[],
): Promise<readonly Readonly<Record<string, string>>[]> {
  const list = `[${paths.map(sqlString).join(', ')}]`;
  const rows = (await readFiles(
    session,
    `SELECT file_name, decode("key"), decode("value") FROM parquet_kv_metadata(${list})`,
  )) as [path: string, key: string, value: string][];
  const byPath = Map.groupBy(rows, ([path]) => path);
  return paths.map((path) =>
    Object.fromEntries((byPath.get(path) ?? []).map(([, key, value]) => [key, value])),
  );
}

async function readFiles(session: Session, sql: string): Promise<unknown[][]> {
  try {
    return await session.rows(sql);
  } catch (error) {
    session.throwIfCancelled();
    if (isOutOfResources(error)) throw error;
    throw unreadableFile(error);
  }
}

/** Rows of another day or id in a file of one would be found by nobody who looks for them. */
async function checkTarget(session: Session, target: RewriteTarget): Promise<void> {
  if (target.kind !== 'one') return;
  const { day, id } = target;
  const [[strangers]] = (await session.rows(
    `SELECT count(*) FROM g WHERE d <> ?::DATE${id === undefined ? '' : ' OR i <> ?'}`,
    id === undefined ? [day] : [day, id],
  )) as [[bigint]];
  if (strangers > 0n) {
    throw new MiniodbError('data_corrupted', `files of ${day} have rows of other days or ids`, {
      code: 'rows_misplaced',
    });
  }
}

/** Of one statement: each has an expression for every column. */
const GROUPS_AT_ONCE = 16;

/** SELECTs, each of some groups of files that have the same columns, as the querier reads them. */
function storedRowsSql(files: readonly StoredFile[], schema: TableSchema): string[] {
  const groups = Map.groupBy(files, ({ columns, overflow }) => JSON.stringify([columns, overflow]));
  const selects = Array.from(groups.values(), (group) => groupSql(group, schema));
  const statements: string[] = [];
  for (let from = 0; from < selects.length; from += GROUPS_AT_ONCE) {
    statements.push(selects.slice(from, from + GROUPS_AT_ONCE).join('\nUNION ALL\n'));
  }
  return statements;
}

function groupSql(files: readonly StoredFile[], schema: TableSchema): string {
  const { columns, overflow } = files[0]!;
  const inFile = storedColumns(columns, schema);
  const hasRaw = columns.some(([, type]) => type === RAW_PAYLOAD_COLUMN.type);
  const pairs = Array.from(inFile, ([folded, stored]) => ({ stored, column: schema.get(folded)! }));
  const select = [
    'CAST(id AS VARCHAR) AS i',
    'epoch_us(CAST("timestamp" AS TIMESTAMP)) AS t',
    'CAST("timestamp" AS DATE) AS d',
    `${hasRaw ? `CAST(${sqlName(RAW_PAYLOAD_COLUMN.name)} AS VARCHAR)` : 'NULL::VARCHAR'} AS x`,
    `${completedOverflow(pairs, overflow)} AS o`,
  ];
  let at = 0;
  for (const [folded, column] of schema) {
    select.push(`${columnOfFile(inFile.get(folded), column, overflow)} AS c${at}`);
    at += 1;
  }
  const paths = files.map(({ path }) => sqlString(path)).join(', ');
  return `SELECT ${select.join(', ')} FROM read_parquet([${paths}], hive_partitioning = false)`;
}

/** By folded name. Throws when the schema lacks one, or has it narrower: its values would be lost. */
function storedColumns(columns: StoredFile['columns'], schema: TableSchema): Map<string, Column> {
  const inFile = new Map<string, Column>();
  for (const [name, type] of columns) {
    if (!isColumnType(type)) {
      if (type === RAW_PAYLOAD_COLUMN.type) continue;
      throw notHeld(name, type);
    }
    const folded = foldName(name);
    const column = schema.get(folded);
    const isHeld =
      column?.name === name && SQL_TYPES[joinTypes(column.type, type)] === SQL_TYPES[column.type];
    if (!isHeld) throw notHeld(name, type);
    inFile.set(folded, { name, type });
  }
  return inFile;
}

function notHeld(name: string, type: string): MiniodbError {
  return new MiniodbError('internal', `G1: column ${name} (${type}) of a file would lose values`, {
    code: 'rewrite_schema_mismatch',
  });
}

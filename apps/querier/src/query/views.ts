import { sqlName, sqlString } from '@miniodb/core/duckdb/instance.ts';
import {
  type ColumnType,
  foldName,
  isColumnType,
  SQL_TYPES,
  type SqlType,
  type TableSchema,
} from '@miniodb/core/table/schema.ts';

/** What one table of a query is read from: local files only. */
export interface TableSource {
  /** Lower case. */
  readonly name: string;
  /** Not older than any of its rows: fields that it lacks are not read. */
  readonly schema: TableSchema;
  /** Whether the view has the column `payload`. */
  readonly withPayload: boolean;
  readonly files: readonly FileGroup[];
  /** Paths of zstd frames of row lines (core/table/row-line.ts) without overflow. */
  readonly pending: readonly string[];
}

/** Parquet files that have the same columns. */
export interface FileGroup {
  /** Beside id and timestamp: [name, column type], as in the index's file entry. */
  readonly columns: readonly (readonly [string, string])[];
  /** Whether the files have `~overflow`. */
  readonly overflow: boolean;
  readonly paths: readonly string[];
}

interface FileColumn {
  readonly name: string;
  readonly type: ColumnType;
}

const OVERFLOW = sqlName('~overflow');

/**
 * The statement that makes a table's view: id VARCHAR, timestamp TIMESTAMP (UTC, microseconds), the schema's columns,
 * and `payload` JSON if it is asked for.
 *
 * Groups of equal files under UNION ALL, not `union_by_name`: that reads every file's footer when the view is made (1,000
 * files: 38 ms against 9 ms, 10,000: 70 ms without it), and casts along DuckDB's lattice instead of ours.
 */
export function viewSql(source: TableSource): string {
  const parts = source.files
    .filter((group) => group.paths.length > 0)
    .map((group) => fileRows(source, group));
  if (source.pending.length > 0) parts.push(pendingRows(source));
  if (parts.length === 0) parts.push(noRows(source));
  return `CREATE TEMP VIEW ${sqlName(source.name)} AS\n${parts.join('\nUNION ALL\n')}`;
}

/** Every local file that the views of these tables read, each once. */
export function pathsOf(sources: readonly TableSource[]): string[] {
  const paths = new Set<string>();
  for (const source of sources) {
    for (const group of source.files) for (const path of group.paths) paths.add(path);
    for (const path of source.pending) paths.add(path);
  }
  return Array.from(paths);
}

function fileRows(source: TableSource, group: FileGroup): string {
  const inFile = new Map<string, FileColumn>();
  for (const [name, type] of group.columns) {
    if (isColumnType(type)) inFile.set(foldName(name), { name, type });
  }
  const select = ['CAST(id AS VARCHAR) AS id', 'CAST("timestamp" AS TIMESTAMP) AS "timestamp"'];
  for (const [folded, column] of source.schema) {
    const stored = inFile.get(folded);
    const value =
      stored === undefined ? `NULL::${SQL_TYPES[column.type]}` : widened(stored, column.type, group);
    select.push(`${value} AS ${sqlName(column.name)}`);
  }
  if (source.withPayload)
    select.push(`${rebuiltPayload(Array.from(inFile.values()), group.overflow)} AS payload`);
  return `SELECT ${select.join(', ')} FROM read_parquet(${pathList(group.paths)}, hive_partitioning = false)`;
}

/** A file's column as the type that the table's column has by now. */
function widened(stored: FileColumn, type: ColumnType, group: FileGroup): string {
  const name = sqlName(stored.name);
  const from = SQL_TYPES[stored.type];
  const to = SQL_TYPES[type];
  if (from === to) return from === 'JSON' ? `CAST(${name} AS JSON)` : name;
  const lossy = stored.type === 'double_lossy' || stored.type === 'varchar_lossy';
  if (!lossy || !group.overflow) return cast(name, from, to);
  // What the narrower column could not hold exactly is in the overflow, and the wider one may hold it.
  const path = sqlString(`$.${JSON.stringify(stored.name)}`);
  const exact =
    to === 'JSON' ? `json_extract(${OVERFLOW}, ${path})` : `json_extract_string(${OVERFLOW}, ${path})`;
  return `coalesce(${exact}, ${cast(name, from, to)})`;
}

function cast(value: string, from: SqlType, to: SqlType): string {
  return to === 'JSON' && from !== 'JSON' ? `to_json(${value})` : `CAST(${value} AS ${to})`;
}

/**
 * The payload of a stored row: its columns, nulls left out, and over them the overflow.
 *
 * Pieces of text, since `json_object` keeps nulls, and `json_merge_patch`, which drops them, drops those inside values
 * too.
 */
function rebuiltPayload(columns: readonly FileColumn[], overflow: boolean): string {
  if (columns.length === 0)
    return overflow ? `coalesce(CAST(${OVERFLOW} AS JSON), '{}'::JSON)` : `'{}'::JSON`;
  const members = columns.map(
    ({ name, type }) => `${sqlString(`${JSON.stringify(name)}:`)} || ${jsonText(name, type)}`,
  );
  if (!overflow) return `CAST('{' || concat_ws(',', ${members.join(', ')}) || '}' AS JSON)`;
  // One filter over all members: a condition on each took 600 ms to bind for 1,000 columns.
  const names = `[${columns.map(({ name }) => sqlString(name)).join(', ')}]`;
  const kept = `list_filter([${members.join(', ')}], lambda member, n:
    member IS NOT NULL AND NOT coalesce(list_contains(json_keys(${OVERFLOW}), ${names}[n]), false))`;
  const text = `CAST(${OVERFLOW} AS VARCHAR)`;
  const inner = `nullif(trim(substr(${text}, 2, length(${text}) - 2)), '')`;
  return `CAST('{' || concat_ws(',', nullif(array_to_string(${kept}, ','), ''), ${inner}) || '}' AS JSON)`;
}

function jsonText(name: string, type: ColumnType): string {
  const value = sqlName(name);
  // Text of booleans and integers is their JSON already.
  const isText = ['BOOLEAN', 'BIGINT', 'JSON'].includes(SQL_TYPES[type]);
  return isText ? `CAST(${value} AS VARCHAR)` : `CAST(to_json(${value}) AS VARCHAR)`;
}

/**
 * Rows that are not in a file yet. Struct fields are matched exactly, so `Foo` and `foo` do not mix.
 *
 * With `payload` the whole line is read as text: a JSON value that DuckDB has parsed comes out with its numbers
 * rounded to doubles (0.12345678901234567890 loses digits), the text of the line does not.
 *
 * A line may have 16 MiB, DuckDB's default: its buffers are twice that per thread and count as memory of the query.
 */
function pendingRows(source: TableSource): string {
  const columns = Array.from(source.schema.values());
  const line = source.withPayload ? 'row_line.' : '';
  const select = [`${line}i AS id`, `make_timestamp(${line}t) AS "timestamp"`];
  for (const { name } of columns) select.push(`${line}p.${sqlName(name)} AS ${sqlName(name)}`);
  const options = `compression = 'zstd'`;
  const files = pathList(source.pending);
  if (!source.withPayload) {
    const fields = columns.map(({ name, type }) => `${sqlName(name)} ${SQL_TYPES[type]}`);
    const struct = fields.length > 0 ? `, p: ${sqlString(`STRUCT(${fields.join(', ')})`)}` : '';
    return `SELECT ${select.join(', ')}
      FROM read_json(${files}, format = 'newline_delimited', columns = {i: 'VARCHAR', t: 'BIGINT'${struct}}, ${options})`;
  }
  const structure = JSON.stringify({ i: 'VARCHAR', t: 'BIGINT', ...payloadStructure(source.schema) });
  // The first `,"p":` of a line is the member's: inside the id a quote has a backslash before it.
  const start = `instr(line, ',"p":') + 5`;
  select.push(`CAST(substr(line, ${start}, length(line) - (${start})) AS JSON) AS payload`);
  return `SELECT ${select.join(', ')} FROM (
      SELECT json_transform(json, ${sqlString(structure)}) AS row_line, rtrim(CAST(json AS VARCHAR), chr(10)) AS line
      FROM read_json_objects(${files}, format = 'newline_delimited', ${options}))`;
}

function payloadStructure(schema: TableSchema): { p?: Record<string, SqlType> } {
  if (schema.size === 0) return {};
  return { p: Object.fromEntries(Array.from(schema.values(), ({ name, type }) => [name, SQL_TYPES[type]])) };
}

function noRows(source: TableSource): string {
  const select = ['NULL::VARCHAR AS id', 'NULL::TIMESTAMP AS "timestamp"'];
  for (const { name, type } of source.schema.values())
    select.push(`NULL::${SQL_TYPES[type]} AS ${sqlName(name)}`);
  if (source.withPayload) select.push('NULL::JSON AS payload');
  return `SELECT ${select.join(', ')} WHERE false`;
}

function pathList(paths: readonly string[]): string {
  return `[${paths.map(sqlString).join(', ')}]`;
}

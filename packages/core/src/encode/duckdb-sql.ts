import { sqlName, sqlString } from '../duckdb/instance.ts';
import { RAW_PAYLOAD_COLUMN, SQL_TYPES, type TableSchema } from '../table/schema.ts';
import type { LayoutSettings } from './encoder.ts';
import type { PlannedFile } from './layout.ts';
import { MICROS_MAX, MICROS_MIN } from './lines.ts';

/**
 * The SQL of the DuckDB encoder. Its working tables name columns by position, so that no payload field can clash:
 *
 *   r  rows    i id · t microseconds · d UTC day · x payload as sent · o overflow · c0, c1, … the columns of the schema
 *   g  groups  d day · i id · n rows · t0, t1 first and last timestamp
 *   p  plan    f number of a file · d its day · i its id, null for the packed one
 *   rf, gf     r and g with f
 *
 * Texts of users are bound, never part of the SQL: a NUL would end it.
 */

/**
 * Reads row lines (zstd NDJSON files) into `r`. Throws for lines that are not row lines.
 *
 * `p` is read straight into a STRUCT: 1.2 µs of CPU a row of 8 columns, against 1.9 µs for reading it as JSON and
 * json_transform (500,000 rows). DuckDB reads one compressed file with one thread, hence several files.
 *
 * @param lineBytesMax DuckDB takes buffers of twice as much for every thread, out of its memory limit
 */
export function readRowsSql(paths: readonly string[], schema: TableSchema, lineBytesMax: number): string {
  const columns = Array.from(schema.values(), (_, at) => `struct_extract_at(p, ${at + 1}) AS c${at}`);
  return `CREATE TEMP TABLE r AS
    SELECT ${['i', 't', 'make_timestamp(t)::DATE AS d', 'r AS x', 'o', ...columns].join(', ')}
    FROM ${rowLines(paths, schema, lineBytesMax)}`;
}

/** The number of row lines in files, each decoded as readRowsSql does. */
export function countRowsSql(paths: readonly string[], schema: TableSchema, lineBytesMax: number): string {
  return `SELECT count(*) FROM ${rowLines(paths, schema, lineBytesMax)}`;
}

function rowLines(paths: readonly string[], schema: TableSchema, lineBytesMax: number): string {
  const fields = Array.from(schema.values(), ({ name, type }) => `${sqlName(name)} ${SQL_TYPES[type]}`);
  // There is no empty STRUCT.
  const payloadType = fields.length === 0 ? 'JSON' : `STRUCT(${fields.join(', ')})`;
  return `(FROM read_json([${paths.map(sqlString).join(', ')}], format = 'newline_delimited',
      compression = 'zstd', maximum_object_size = ${lineBytesMax}, ignore_errors = false,
      columns = {i: 'VARCHAR', t: 'BIGINT', r: 'VARCHAR', p: ${sqlString(payloadType)}, o: 'JSON'})
    WHERE CASE WHEN i IS NULL OR p IS NULL OR coalesce(t NOT BETWEEN ${MICROS_MIN} AND ${MICROS_MAX}, true) THEN error('a line is not a row line') ELSE true END)`;
}

export const GROUPS_SQL = `CREATE TEMP TABLE g AS
  SELECT d, i, count(*) AS n, min(t) AS t0, max(t) AS t1 FROM r GROUP BY d, i`;

/** day, rows, ids of every day */
export const DAYS_SQL = `SELECT d::VARCHAR, sum(n)::BIGINT, count(*) FROM g GROUP BY d ORDER BY d`;

/** day, id, rows of the ids that planLayout may give files of their own, as DayGroups.top wants them. */
export function topIdsSql({ mode, filesMax, ownIdsMax, ownRowsMin }: LayoutSettings): string {
  const matters = mode === 'id' ? 'true' : `ids <= ${Math.max(filesMax, ownIdsMax)} OR n >= ${ownRowsMin}`;
  return `SELECT d::VARCHAR, i, n
    FROM (FROM g JOIN (SELECT d, count(*) AS ids FROM g GROUP BY d) USING (d))
    WHERE ${matters}
    QUALIFY row_number() OVER (PARTITION BY d ORDER BY n DESC, i) <= ${filesMax}
    ORDER BY d, n DESC, i`;
}

/** A piece of SQL with its `?` parameters. */
export interface Bound {
  readonly sql: string;
  readonly params: string[];
}

/** The plan but for its mixed file, which has every other row. Files are numbered from 1 in the plan's order. */
export function planTableSql(files: readonly PlannedFile[]): Bound {
  const tuples: string[] = [];
  const params: string[] = [];
  for (const [at, { kind, days, id }] of files.entries()) {
    if (kind === 'mixed') continue;
    tuples.push(id === undefined ? `(${at + 1}, ?::DATE, NULL)` : `(${at + 1}, ?::DATE, ?)`);
    params.push(days[0]!, ...(id === undefined ? [] : [id]));
  }
  const rows = tuples.length === 0 ? '(NULL, NULL, NULL)' : tuples.join(', ');
  return {
    sql: `CREATE TEMP TABLE p AS SELECT f::INTEGER AS f, d::DATE AS d, i::VARCHAR AS i FROM (VALUES ${rows}) v(f, d, i)`,
    params,
  };
}

/** Up to so many files, each is picked out of all rows; for more, the rows are first put in order of file. */
const FILES_BY_SCAN_MAX = 4;

/**
 * Says of every row and group which file it belongs to. Picking 64 files one by one out of 500,000 rows in order of
 * arrival took 3.6 s of CPU instead of the 1.3 s of a single file; with the rows in order of file first, it takes 2.0 s.
 */
export function assignFilesSql(files: readonly PlannedFile[]): string[] {
  const withFile = (
    table: string,
  ) => `SELECT ${table}.*, coalesce(own.f, rest.f, ${files.length}) AS f FROM ${table}
    LEFT JOIN p own ON own.d = ${table}.d AND own.i = ${table}.i
    LEFT JOIN p rest ON rest.d = ${table}.d AND rest.i IS NULL`;
  const groups = `CREATE TEMP VIEW gf AS ${withFile('g')}`;
  if (files.length === 1) return [groups, 'CREATE TEMP VIEW rf AS SELECT *, 1 AS f FROM r'];
  if (files.length <= FILES_BY_SCAN_MAX) return [groups, `CREATE TEMP VIEW rf AS ${withFile('r')}`];
  return [groups, `CREATE TEMP TABLE rf AS ${withFile('r')} ORDER BY f`, 'DROP TABLE r'];
}

/** Of every file in order: rows, ids, first and last timestamp, least and greatest id. */
export const BOUNDS_SQL = `SELECT sum(n)::BIGINT, count(DISTINCT i), min(t0), max(t1), min(i), max(i)
  FROM gf GROUP BY f ORDER BY f`;

/** file, id: the ids of some files (by number), in order. */
export function idsSql(files: readonly number[]): string {
  return `SELECT DISTINCT f, i FROM gf WHERE f IN (${files.join(', ')}) ORDER BY f, i`;
}

/** Of every file in order: whether any row has overflow, a payload as sent, and a value in each of the columns. */
export function presenceSql(schema: TableSchema): string {
  const columns = Array.from(schema.values(), (_, at) => `count(c${at}) > 0`);
  return `SELECT ${['count(o) > 0', 'count(x) > 0', ...columns].join(', ')} FROM rf GROUP BY f ORDER BY f`;
}

export interface CopySettings {
  /** 1-based. */
  readonly file: number;
  readonly path: string;
  /** Positions in the schema and names of the columns to write. */
  readonly columns: readonly { readonly at: number; readonly name: string }[];
  readonly hasRaw: boolean;
  readonly hasOverflow: boolean;
  readonly footer: Readonly<Record<string, string>>;
  readonly rows: number;
  readonly ids: number;
  /** Of zstd. */
  readonly compressionLevel: number;
}

/**
 * Writes one file, sorted. Timestamps are TIMESTAMP_MICROS with isAdjustedToUTC false, since they are DuckDB's
 * TIMESTAMP: readers take them for UTC.
 */
export function copySql(settings: CopySettings): string {
  const columns = [
    'i AS id',
    'make_timestamp(t) AS "timestamp"',
    ...settings.columns.map(({ at, name }) => `c${at} AS ${sqlName(name)}`),
    ...(settings.hasRaw ? [`x AS ${sqlName(RAW_PAYLOAD_COLUMN.name)}`] : []),
    ...(settings.hasOverflow ? ['o AS "~overflow"'] : []),
  ];
  const metadata = Object.entries(settings.footer).map(
    ([key, value]) => `${sqlString(key)}: ${sqlString(value)}`,
  );
  const options = [
    'FORMAT parquet',
    'COMPRESSION zstd',
    `COMPRESSION_LEVEL ${settings.compressionLevel}`,
    `ROW_GROUP_SIZE ${ROW_GROUP_ROWS}`,
    `KV_METADATA {${metadata.join(', ')}}`,
    ...dictionaryOption(settings),
  ];
  return `COPY (SELECT ${columns.join(', ')} FROM rf WHERE f = ${settings.file} ORDER BY i, t)
    TO ${sqlString(settings.path)} (${options.join(', ')})`;
}

const ROW_GROUP_ROWS = 122_880;

/**
 * DuckDB writes a bloom filter for a column chunk that it dictionary-encodes, by default when at most a fifth of the
 * values are distinct. The option raises that for every column, so it is used only up to half, where it costs 2 % in
 * size and 15 % in CPU. For ids that are mostly distinct there is no filter: a dictionary for each of them, and so for
 * every other column, made files 40 to 55 % larger and twice to three times as dear to write.
 */
function dictionaryOption({ rows, ids }: CopySettings): string[] {
  const isFew = ids <= rows / 5;
  const isMany = ids > rows / 2;
  if (isFew || isMany) return [];
  return [`DICTIONARY_SIZE_LIMIT ${Math.ceil(Math.min(rows, ROW_GROUP_ROWS) / 2)}`];
}

export function footerRowsSql(paths: readonly string[]): string {
  return `SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata([${paths.map(sqlString).join(', ')}])`;
}

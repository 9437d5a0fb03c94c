import { sqlName, sqlString } from '@miniodb/core/duckdb/instance.ts';
import { type Column, type ColumnType, SQL_TYPES, type SqlType } from '@miniodb/core/table/schema.ts';

/**
 * What a stored value is by now: SQL from a file's columns, or from a row line, to the column that the table has. The
 * answer does not depend on when a row was flushed. Numbers as text are written as in row lines (as JSON.stringify
 * does), and a number that its column cannot hold is shown by a wider one.
 */

const OVERFLOW = sqlName('~overflow');

/** @param stored the column of the file, if it has it; @param overflow whether the file has `~overflow` */
export function columnOfFile(stored: Column | undefined, { name, type }: Column, overflow: boolean): string {
  const to = SQL_TYPES[type];
  const from = stored && SQL_TYPES[stored.type];
  if (from === to) return from === 'JSON' ? `CAST(${sqlName(stored!.name)} AS JSON)` : sqlName(stored!.name);
  const value = stored === undefined ? `NULL::${to}` : cast(sqlName(stored.name), SQL_TYPES[stored.type], to);
  if (!overflow || to === 'BIGINT' || to === 'BOOLEAN') return value;
  // What the narrower column could not hold exactly is in the overflow, and the wider one may hold it.
  return `coalesce(${exactValue(stored?.name ?? name, to)}, ${value})`;
}

function exactValue(name: string, to: 'DOUBLE' | 'VARCHAR' | 'JSON'): string {
  const path = sqlString(`$.${JSON.stringify(name)}`);
  if (to === 'JSON') return `json_extract(${OVERFLOW}, ${path})`;
  const text = `json_extract_string(${OVERFLOW}, ${path})`;
  return to === 'VARCHAR' ? text : finite(`TRY_CAST(${text} AS DOUBLE)`);
}

function cast(value: string, from: SqlType, to: SqlType): string {
  if (from === 'DOUBLE' && to === 'VARCHAR') return numberText(`CAST(to_json(${value}) AS VARCHAR)`);
  if (from === 'DOUBLE' && to === 'JSON')
    return `CAST(${withoutZero(`CAST(to_json(${value}) AS VARCHAR)`)} AS JSON)`;
  return to === 'JSON' ? `to_json(${value})` : `CAST(${value} AS ${to})`;
}

/** @param text of a number as DuckDB's JSON writes it: 1.0, 1e21, 1e-7 */
function numberText(text: string): string {
  return `regexp_replace(${withoutZero(text)}, 'e([0-9])', 'e+\\1')`;
}

function withoutZero(text: string): string {
  return `regexp_replace(${text}, '\\.0$', '')`;
}

function finite(value: string): string {
  return `CASE WHEN isfinite(${value}) THEN ${value} END`;
}

/** As what a column is read from a line. As VARCHAR, a number would come as DuckDB writes it: 1e-7 as 1e-07. */
export function typeInLine({ type }: Column): SqlType {
  return type === 'varchar_lossy' ? 'JSON' : SQL_TYPES[type];
}

/** @param overflow whether the column may meet numbers that it cannot hold */
export function columnOfLine(value: string, { type }: Column, overflow: boolean): string {
  if (type === 'varchar_lossy') {
    const text = `(${value} ->> '$')`;
    return `CASE json_type(${value}) WHEN 'DOUBLE' THEN ${numberText(text)} ELSE ${text} END`;
  }
  return overflow && SQL_TYPES[type] === 'DOUBLE' ? finite(value) : value;
}

/**
 * The payload of a stored row: its columns, nulls left out, and over them the overflow.
 *
 * Pieces of text, since `json_object` keeps nulls, and `json_merge_patch`, which drops them, drops those inside values
 * too.
 */
export function rebuiltPayload(columns: readonly Column[], overflow: boolean): string {
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

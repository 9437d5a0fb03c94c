import { sqlName, sqlString } from '@miniodb/core/duckdb/instance.ts';
import { finite, numberText, OVERFLOW } from '@miniodb/core/encode/stored-columns.ts';
import { type Column, type ColumnType, SQL_TYPES, type SqlType } from '@miniodb/core/table/schema.ts';

/**
 * What a stored value is by now: SQL from a file's columns, or from a row line, to the column that the table has. The
 * answer does not depend on when a row was flushed. Numbers as text are written as in row lines (as JSON.stringify
 * does), and a number that its column cannot hold is shown by a wider one.
 */

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

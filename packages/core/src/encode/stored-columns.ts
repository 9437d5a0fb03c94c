import { sqlName, sqlString } from '../duckdb/instance.ts';
import { type Column, SQL_TYPES, type SqlType } from '../table/schema.ts';

/**
 * What the values of a file are under a wider schema: SQL from a file's columns to the column that a table has. Numbers
 * as text are written as in row lines (as JSON.stringify does), and a number that its column cannot hold is shown by a
 * wider one.
 */

export const OVERFLOW = sqlName('~overflow');

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
export function numberText(text: string): string {
  return `regexp_replace(${withoutZero(text)}, 'e([0-9])', 'e+\\1')`;
}

function withoutZero(text: string): string {
  return `regexp_replace(${text}, '\\.0$', '')`;
}

export function finite(value: string): string {
  return `CASE WHEN isfinite(${value}) THEN ${value} END`;
}

/**
 * The overflow that a row needs under wider columns: what it has, and every value that the wider column does not give
 * back: true as the text `true` is no boolean any more. NULL where there is nothing.
 *
 * Pieces of text, since DuckDB's JSON functions round numbers to doubles.
 *
 * @param pairs the file's columns, each with what it becomes
 */
export function completedOverflow(
  pairs: readonly { readonly stored: Column; readonly column: Column }[],
  overflow: boolean,
): string {
  const own = overflow ? `CAST(${OVERFLOW} AS JSON)` : 'NULL::JSON';
  const lost = pairs.flatMap(({ stored, column }) => {
    const text = lostText(stored, SQL_TYPES[column.type]);
    return text === undefined ? [] : [{ name: stored.name, text }];
  });
  if (lost.length === 0) return own;
  const members = lost.map(({ name, text }) => `${sqlString(`${JSON.stringify(name)}:`)} || ${text}`);
  const names = `[${lost.map(({ name }) => sqlString(name)).join(', ')}]`;
  // What is in the overflow already is exact; the column has only what it could show of it.
  const isNew = overflow
    ? ` AND NOT coalesce(list_contains(json_keys(${OVERFLOW}), ${names}[n]), false)`
    : '';
  const added = `array_to_string(list_filter([${members.join(', ')}], lambda member, n: member IS NOT NULL${isNew}), ',')`;
  const text = `CAST(${OVERFLOW} AS VARCHAR)`;
  const inner = overflow ? `nullif(trim(substr(${text}, 2, length(${text}) - 2)), '')` : 'NULL';
  return `CASE WHEN ${added} = '' THEN ${own} ELSE CAST('{' || concat_ws(',', ${inner}, ${added}) || '}' AS JSON) END`;
}

/** JSON of a value that the wider column does not give back, or SQL's NULL; undefined where it gives every one back. */
function lostText({ name, type }: Column, to: SqlType): string | undefined {
  const from = SQL_TYPES[type];
  if (from === to || to === 'JSON') return undefined;
  const value = sqlName(name);
  const text = `CAST(${value} AS VARCHAR)`;
  if (from === 'DOUBLE') return withoutZero(`CAST(to_json(${value}) AS VARCHAR)`);
  // A double, or what becomes of it as text, need not be the same number.
  if (from === 'BIGINT' && to === 'DOUBLE')
    return `CASE WHEN ${value} NOT BETWEEN -${EXACT_MAX} AND ${EXACT_MAX} THEN ${text} END`;
  return text;
}

/** 2^53 */
const EXACT_MAX = '9007199254740992';

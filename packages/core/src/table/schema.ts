/**
 * What a column of a table may be, and how it widens.
 *
 * A payload field is profiled by the gateway into one of these types; a column's type is the join of all that was
 * ever accepted for it. The join is monotone, so any process may hold an older schema: it only lacks columns or
 * knows narrower types. `put.lua` carries the same table and is tested against this one.
 *
 *   boolean        BOOLEAN
 *   int53          BIGINT   every value is an integer of at most 2^53 in magnitude
 *   int64          BIGINT   some value needs more than 53 bits
 *   double         DOUBLE   every value is exactly a double
 *   double_lossy   DOUBLE   integers beyond 2^53 met doubles: some value may not be exactly a double
 *   varchar        VARCHAR  every value is a string
 *   varchar_lossy  VARCHAR  strings, numbers and booleans mixed: the column has their text, not their type
 *   json           JSON     objects, arrays, and mixes with them; exact
 *
 * In the two lossy types a value that the column cannot hold exactly is kept in the overflow as well, from where
 * `payload` is rebuilt.
 */
export type ColumnType =
  | 'boolean'
  | 'int53'
  | 'int64'
  | 'double'
  | 'double_lossy'
  | 'varchar'
  | 'varchar_lossy'
  | 'json';

export const COLUMN_TYPES: readonly ColumnType[] = [
  'boolean',
  'int53',
  'int64',
  'double',
  'double_lossy',
  'varchar',
  'varchar_lossy',
  'json',
];

export type SqlType = 'BOOLEAN' | 'BIGINT' | 'DOUBLE' | 'VARCHAR' | 'JSON';

export const SQL_TYPES: Readonly<Record<ColumnType, SqlType>> = {
  boolean: 'BOOLEAN',
  int53: 'BIGINT',
  int64: 'BIGINT',
  double: 'DOUBLE',
  double_lossy: 'DOUBLE',
  varchar: 'VARCHAR',
  varchar_lossy: 'VARCHAR',
  json: 'JSON',
};

export function isColumnType(text: string): text is ColumnType {
  return Object.hasOwn(SQL_TYPES, text);
}

/** The narrowest type that holds both. Commutative, associative, idempotent. */
export function joinTypes(a: ColumnType, b: ColumnType): ColumnType {
  if (a === b) return a;
  if (a === 'json' || b === 'json') return 'json';
  const numberA = numberRank(a);
  const numberB = numberRank(b);
  if (numberA === undefined || numberB === undefined) return 'varchar_lossy';
  const widest = numberA > numberB ? a : b;
  const other = numberA > numberB ? b : a;
  return widest === 'double' && other === 'int64' ? 'double_lossy' : widest;
}

/**
 * Whether a column would get another SQL type by holding a value of that type as well: what `type_conflict: reject`
 * refuses. BIGINT takes integers, DOUBLE every number, VARCHAR every scalar (numbers and booleans as their text), JSON
 * anything. `put.lua` decides by the same rule.
 */
export function isTypeConflict(column: ColumnType, value: ColumnType): boolean {
  return SQL_TYPES[joinTypes(column, value)] !== SQL_TYPES[column];
}

function numberRank(type: ColumnType): number | undefined {
  switch (type) {
    case 'int53':
      return 0;
    case 'int64':
      return 1;
    case 'double':
      return 2;
    case 'double_lossy':
      return 3;
    default:
      return undefined;
  }
}

export interface Column {
  /** As the first accepted row spelled it. */
  readonly name: string;
  readonly type: ColumnType;
}

/**
 * A table's columns beside `id` and `timestamp`, by folded name. Field names that fold to a column's name but are
 * spelled differently are not that column: they stay in the overflow.
 */
export type TableSchema = ReadonlyMap<string, Column>;

/** DuckDB compares identifiers in ASCII lower case; so does the schema. */
export function foldName(name: string): string {
  return name.replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
}

/** Most columns of one table; fields beyond them stay in the overflow. */
export const COLUMNS_PER_TABLE_MAX = 1000;
/** Longest column name in UTF-8 bytes; longer field names stay in the overflow. */
export const COLUMN_NAME_BYTES_MAX = 255;

/**
 * The column of a file that has the payloads' text as clients sent it; in a file's list of columns its type is `raw`,
 * which is no ColumnType: a reader that does not know it rebuilds the payload, as it does for rows without.
 */
export const RAW_PAYLOAD_COLUMN = { name: '~payload', type: 'raw' } as const;

/** Names that a row's own parts have; payload fields of these names stay in the overflow. */
const RESERVED_COLUMNS: ReadonlySet<string> = new Set([
  'id',
  'timestamp',
  'payload',
  '~overflow',
  RAW_PAYLOAD_COLUMN.name,
]);

/** Whether a payload field of this name may become a column at all. */
export function isColumnName(name: string): boolean {
  if (name.length === 0 || name.length > COLUMN_NAME_BYTES_MAX) return false;
  if (!name.isWellFormed()) return false;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(name)) return false;
  if (Buffer.byteLength(name) > COLUMN_NAME_BYTES_MAX) return false;
  return !RESERVED_COLUMNS.has(foldName(name));
}

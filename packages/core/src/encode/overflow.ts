import { isRawNumber } from '../table/exact-json.ts';
import { fitsDouble, profileValue } from '../table/profile.ts';
import { type ColumnType, isColumnName, type TableSchema } from '../table/schema.ts';

/**
 * What becomes of a row's payload: `columns` overlaid with `overflow` is the payload again, exactly. Not kept are the
 * order of keys and top-level nulls, which are the same as absent; numbers are equal by value.
 */
export interface SplitPayload {
  /** What the columns show, by the schema's names: text in a column of text, and no value that one cannot show. */
  readonly columns: Readonly<Record<string, unknown>>;
  /** The fields that no column holds exactly, as they are; undefined when there are none. */
  readonly overflow: Readonly<Record<string, unknown>> | undefined;
}

/** @param payload a parsed JSON object with numbers as parseExact gives them */
export function splitPayload(payload: Readonly<Record<string, unknown>>, schema: TableSchema): SplitPayload {
  const columns = emptyRecord();
  let overflow: Record<string, unknown> | undefined;
  const types = columnTypes(schema);
  for (const name of Object.keys(payload)) {
    const value = payload[name];
    if (value === null || value === undefined) continue;
    const type = types.get(name);
    if (type !== undefined && isHeld(value, type)) {
      columns[name] = value;
      continue;
    }
    overflow ??= emptyRecord();
    overflow[name] = value;
    const shown = type === undefined ? undefined : approximation(value, type);
    if (shown !== undefined) columns[name] = shown;
  }
  return { columns, overflow };
}

/** The payload fields that no column holds exactly; undefined when there are none. */
export function overflowOf(
  payload: Readonly<Record<string, unknown>>,
  schema: TableSchema,
): Record<string, unknown> | undefined {
  return splitPayload(payload, schema).overflow;
}

/** Whether values of some of its columns may have to be kept in the overflow as well. */
export function hasLossyColumns(schema: TableSchema): boolean {
  for (const { type } of schema.values()) {
    if (type === 'double_lossy' || type === 'varchar_lossy') return true;
  }
  return false;
}

/** The columns by their exact names: a field that folds to a column's name but is spelled differently is not that column. */
function columnTypes(schema: TableSchema): ReadonlyMap<string, ColumnType> {
  let types = typesOfSchema.get(schema);
  if (types === undefined) {
    const columns = Array.from(schema.values()).filter(({ name }) => isColumnName(name));
    types = new Map(columns.map(({ name, type }) => [name, type]));
    typesOfSchema.set(schema, types);
  }
  return types;
}

/** Folding and checking the name of every field of every row took most of the time. A schema in use does not change. */
const typesOfSchema = new WeakMap<TableSchema, ReadonlyMap<string, ColumnType>>();

/** Whether a column of this type gives the value back. Total: also for values the schema does not allow for. */
function isHeld(value: unknown, type: ColumnType): boolean {
  switch (type) {
    case 'json':
      return true;
    case 'boolean':
      return typeof value === 'boolean';
    case 'varchar':
    case 'varchar_lossy':
      return typeof value === 'string';
    case 'double':
    case 'double_lossy':
      return fitsDouble(value);
    case 'int53':
    case 'int64': {
      const profile = profileValue(value);
      return profile === 'int53' || profile === 'int64' || value === 0; // -0 equals 0
    }
  }
}

/** What a column shows of a value that it cannot hold exactly: the nearest double, or the text; else nothing. */
function approximation(value: unknown, type: ColumnType): unknown {
  if (type === 'double' || type === 'double_lossy') {
    const nearest = isRawNumber(value) ? Number(value.rawJSON) : Number.NaN;
    return Number.isFinite(nearest) ? nearest : undefined;
  }
  if (type === 'varchar' || type === 'varchar_lossy') {
    const isScalar = typeof value !== 'object' || isRawNumber(value);
    return isScalar ? JSON.stringify(value) : undefined;
  }
  return undefined;
}

/** Without a prototype, so that a field named `__proto__` is a field. */
function emptyRecord(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

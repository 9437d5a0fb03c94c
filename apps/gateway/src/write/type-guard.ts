import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import {
  COLUMNS_PER_TABLE_MAX,
  type ColumnType,
  foldName,
  isColumnName,
  isTypeConflict,
  joinTypes,
  SQL_TYPES,
  type SqlType,
  type TableSchema,
} from '@miniodb/core/table/schema.ts';

/**
 * `type_conflict: reject` for the rows of one request: which fields conflict with the columns that a view of the table
 * has and with those that earlier rows of the request make. Put decides in the end; this names the rows.
 *
 * Fields that are in no column (other spellings of a column's name, beyond the cap) conflict with nothing.
 */
export class TypeGuard {
  readonly #schema: TableSchema;
  /** By exact name, those that were asked for. */
  readonly #columns = new Map<string, ColumnType>();
  /** Folded names of the columns that this request makes. */
  readonly #made = new Set<string>();

  constructor(schema: TableSchema) {
    this.#schema = schema;
  }

  /** @param type 'inexact', a number that no column holds, is refused where a double is */
  fits(name: string, type: ColumnType | 'inexact'): boolean {
    const column = this.#columnOf(name);
    return column === undefined || !isTypeConflict(column, type === 'inexact' ? 'double' : type);
  }

  /** Throws `invalid_argument`/`type_conflict`, naming the column, its type and what came. */
  check(name: string, type: ColumnType | 'inexact'): void {
    if (!this.fits(name, type)) throw columnConflict(name, this.#columnOf(name)!, type);
  }

  /** A row with this field has passed. */
  admit(name: string, type: ColumnType): void {
    const column = this.#columnOf(name);
    if (column !== undefined) this.#columns.set(name, joinTypes(column, type));
    else if (this.#isNewColumn(name)) {
      this.#made.add(foldName(name));
      this.#columns.set(name, type);
    }
  }

  #columnOf(name: string): ColumnType | undefined {
    const asked = this.#columns.get(name);
    if (asked !== undefined) return asked;
    const column = this.#schema.get(foldName(name));
    if (column?.name !== name) return undefined;
    this.#columns.set(name, column.type);
    return column.type;
  }

  /** As schemaNeed decides when the rows are enqueued. */
  #isNewColumn(name: string): boolean {
    const folded = foldName(name);
    if (this.#schema.has(folded) || this.#made.has(folded) || !isColumnName(name)) return false;
    return this.#schema.size + this.#made.size < COLUMNS_PER_TABLE_MAX;
  }
}

const TAKEN: Readonly<Record<SqlType, string>> = {
  BOOLEAN: 'true and false',
  BIGINT: 'integers of 64 bits',
  DOUBLE: 'numbers',
  VARCHAR: 'text, numbers, true and false',
  JSON: 'anything',
};

const CAME: Readonly<Record<ColumnType | 'inexact', string>> = {
  boolean: 'true or false',
  int53: 'an integer',
  int64: 'an integer',
  double: 'a number that is no integer of 64 bits',
  double_lossy: 'a number that is no integer of 64 bits',
  inexact: 'a number beyond 64 bits',
  varchar: 'text',
  varchar_lossy: 'text',
  json: 'an object or array',
};

/** `invalid_argument`/`type_conflict`: a field's value would give its column another SQL type. */
export function columnConflict(name: string, column: ColumnType, came: ColumnType | 'inexact'): MiniodbError {
  const sqlType = SQL_TYPES[column];
  return new MiniodbError(
    'invalid_argument',
    `column ${JSON.stringify(name)} is ${sqlType} and takes ${TAKEN[sqlType]}, not ${CAME[came]}`,
    { code: 'type_conflict' },
  );
}

import type { DuckDBPreparedStatement } from '@miniodb/core/duckdb/instance.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);
const HUGEINT_MAX = 2n ** 127n - 1n;

/**
 * Binds JSON scalars to `$1`, `$2`, … or `?` in order: texts as VARCHAR, integers as BIGINT (HUGEINT beyond 64 bits),
 * other numbers as DOUBLE. Numbers that a double cannot hold come as JSON.rawJSON objects.
 *
 * Errors: `invalid_argument` / `sql_bad_parameter`, when the number of values or a value's form is wrong.
 */
export function bindParameters(statement: DuckDBPreparedStatement, params: readonly unknown[]): void {
  const wanted = statement.parameterCount;
  if (params.length !== wanted) {
    throw badParameter(`the query has ${wanted} parameters, ${params.length} values were given`);
  }
  params.forEach((value, n) => {
    const name = String(n + 1);
    bindOne(statement, statement.parameterIndex(name), value, name);
  });
}

function bindOne(statement: DuckDBPreparedStatement, index: number, value: unknown, name: string): void {
  if (value === null) {
    statement.bindNull(index);
  } else if (typeof value === 'boolean') {
    statement.bindBoolean(index, value);
  } else if (typeof value === 'string') {
    if (!value.isWellFormed()) throw badParameter(`parameter $${name} has half of a surrogate pair in it`);
    statement.bindVarchar(index, value);
  } else {
    const number = numberText(value);
    if (number === undefined) throw badParameter(`parameter $${name} is not a text, number, boolean or null`);
    bindNumber(statement, index, number, name);
  }
}

function bindNumber(statement: DuckDBPreparedStatement, index: number, text: string, name: string): void {
  const integer = /^-?[0-9]{1,40}$/.test(text) ? BigInt(text) : undefined;
  if (integer !== undefined && integer >= INT64_MIN && integer <= INT64_MAX) {
    statement.bindBigInt(index, integer);
  } else if (integer !== undefined && integer >= -HUGEINT_MAX && integer <= HUGEINT_MAX) {
    statement.bindHugeInt(index, integer);
  } else {
    const double = Number(text);
    if (!Number.isFinite(double)) throw badParameter(`parameter $${name} is out of range`);
    statement.bindDouble(index, double);
  }
}

/** The number's decimal text: of a number, or of a JSON.rawJSON object. */
function numberText(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'object' || value === null || !('rawJSON' in value)) return undefined;
  const text = value.rawJSON;
  return typeof text === 'string' && /^-?[0-9]/.test(text) ? text : undefined;
}

function badParameter(message: string): MiniodbError {
  return new MiniodbError('invalid_argument', message, { code: 'sql_bad_parameter' });
}

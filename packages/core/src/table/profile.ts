import { isIntegerText, isRawNumber } from './exact-json.ts';
import type { ColumnType } from './schema.ts';

/** Integers up to this magnitude, 2^53, are all doubles. */
const INT53_MAX = 2 ** 53;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
/** An integer of more digits is beyond every double. BigInt would read 8 million of them in 1.6 s. */
const DOUBLE_DIGITS_MAX = 309;

/**
 * The narrowest column type of one payload field's value: `null` fits every column, and `inexact` is a number that
 * neither an int64 nor a double holds, which widens no column and goes to the overflow.
 *
 * A number is told by its value, not by its spelling: 1.0 and 1e3 are integers, and REST and gRPC agree. -0 is a
 * double, since an integer has no sign without a value. Any decimal is a double, the one nearest to it. Integers
 * beyond 2^53 are int64 when they come with their text (RawNumber) and doubles when they come as a double.
 *
 * @param value a parsed JSON value with numbers as parseExact gives them
 */
export function profileValue(value: unknown): ColumnType | 'null' | 'inexact' {
  switch (typeof value) {
    case 'string':
      return 'varchar';
    case 'number':
      return profileNumber(value);
    case 'boolean':
      return 'boolean';
    case 'undefined':
      return 'null';
    default:
      if (value === null) return 'null';
      return isRawNumber(value) ? profileText(value.rawJSON) : 'json';
  }
}

function profileNumber(value: number): ColumnType | 'inexact' {
  if (Number.isInteger(value)) {
    const isInt53 = value <= INT53_MAX && value >= -INT53_MAX && !Object.is(value, -0);
    return isInt53 ? 'int53' : 'double';
  }
  return Number.isFinite(value) ? 'double' : 'inexact';
}

function profileText(text: string): ColumnType | 'inexact' {
  const value = Number(text);
  // Up to 15 digits, a double says it all.
  if (text.length <= 15 || !isIntegerText(text)) return profileNumber(value);
  if (text.length > DOUBLE_DIGITS_MAX + 1) return 'inexact';
  const integer = BigInt(text);
  if (integer >= -BigInt(INT53_MAX) && integer <= BigInt(INT53_MAX)) return 'int53';
  if (integer >= INT64_MIN && integer <= INT64_MAX) return 'int64';
  return isExactDouble(value, integer) ? 'double' : 'inexact';
}

/** Whether a number, given as a double or as its text, is exactly a double (decimals always count as one). */
export function fitsDouble(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (!isRawNumber(value)) return false;
  const text = value.rawJSON;
  if (!isIntegerText(text)) return Number.isFinite(Number(text));
  return text.length <= DOUBLE_DIGITS_MAX + 1 && isExactDouble(Number(text), BigInt(text));
}

function isExactDouble(value: number, integer: bigint): boolean {
  return Number.isFinite(value) && BigInt(value) === integer;
}

import { rawNumber } from '@miniodb/core/table/exact-json.ts';
import { profileValue } from '@miniodb/core/table/profile.ts';
import { COLUMN_TYPES } from '@miniodb/core/table/schema.ts';
import type { Profile } from './accept.ts';
import {
  BLANK,
  CLOSE,
  COLON,
  COMMA,
  isSame,
  MINUS,
  NINE,
  NOWHERE,
  OPEN,
  POINT,
  QUOTE,
  skipBlanks,
  skipDigits,
  skipPlain,
  skipString,
  skipWord,
  ZERO,
} from './json-bytes.ts';

/** A decimal of so many digits is the shortest that reads as its double. */
const DECIMAL_DIGITS_MAX = 15;
/** Any integer of so many digits is below 2^53. */
const INT53_DIGITS_MAX = 15;
/** Below a millionth numbers are written with an exponent: this many zeros and a digit are still above it. */
const TINY_DECIMALS_MIN = 6;
/** Longer numbers are no work for the fast way. */
const NUMBER_BYTES_MAX = 25;

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');

/** Types are indices of COLUMN_TYPES here. */
const NULL_TYPE = -1;
const BOOLEAN = COLUMN_TYPES.indexOf('boolean');
const INT53 = COLUMN_TYPES.indexOf('int53');
const DOUBLE = COLUMN_TYPES.indexOf('double');
const VARCHAR = COLUMN_TYPES.indexOf('varchar');

/** A field of payloads, as the rows of this text have had it. */
interface Field {
  readonly name: string;
  /** Where its name and the closing quote stand, for comparing. */
  readonly at: number;
  readonly length: number;
  /** The last row that had it. */
  row: number;
  /** Bit i: COLUMN_TYPES[i] is in the profile. */
  profiled: number;
  /** The field behind it in the last row: most rows have the fields of the row before, in the same order. */
  next: Field | undefined;
}

/** The payloads of one text of rows, for LineScanner: finds where each ends, what it has, and how it is stored. */
export class PayloadScanner {
  readonly #bytes: Buffer;
  /** The bytes as characters: it has their positions, and a slice of it is 30 ns and no copy. */
  readonly #latin1: string;
  readonly #isAscii: boolean;
  readonly #profile: Profile;
  readonly #fields = new Map<string, Field>();
  /** Stands before the first field of every row. */
  readonly #head: Field = { name: '', at: 0, length: 0, row: 0, profiled: 0, next: undefined };

  // Of the row at hand.
  #row = 0;
  /** They enter the profile only when the whole row has passed. */
  readonly #rowFields: Field[] = [];
  readonly #rowTypes: number[] = [];
  #type = NULL_TYPE;
  #kept = '';
  #from = 0;

  /** @param bytes valid UTF-8 */
  constructor(bytes: Buffer, isAscii: boolean, profile: Profile) {
    this.#bytes = bytes;
    this.#latin1 = bytes.toString('latin1');
    this.#isAscii = isAscii;
    this.#profile = profile;
  }

  /** The payload's stored text is this (latin1) and the bytes from `from` on: some of what was read is cut. */
  get kept(): string {
    return this.#kept;
  }

  get from(): number {
    return this.#from;
  }

  /** Leaves the row's fields and its text in this object. @returns the position behind it; NOWHERE: not known here */
  scan(start: number): number {
    const bytes = this.#bytes;
    if (bytes[start] !== OPEN) return NOWHERE;
    this.#row += 1;
    this.#rowFields.length = 0;
    this.#rowTypes.length = 0;
    this.#kept = '';
    this.#from = start;
    let at = this.#cutBlanks(start + 1);
    if (bytes[at] === CLOSE) return at + 1;
    let field: Field | undefined = this.#head;
    for (;;) {
      const memberAt = at;
      const keptBefore = this.#kept;
      const fromBefore = this.#from;
      if (bytes[at] !== QUOTE) return NOWHERE;
      field = this.#fieldAt(at + 1, field);
      if (field === undefined || field.row === this.#row) return NOWHERE;
      field.row = this.#row;
      at = this.#cutBlanks(at + 1 + field.length);
      if (bytes[at] !== COLON) return NOWHERE;
      at = this.#scanValue(this.#cutBlanks(at + 1));
      if (at === NOWHERE) return NOWHERE;
      at = this.#cutBlanks(at);
      const isLast = bytes[at] !== COMMA;
      if (this.#type === NULL_TYPE) {
        // Absent and null are the same: the member goes, with the comma behind it or else the one before it.
        this.#kept = keptBefore + this.#latin1.slice(fromBefore, memberAt);
        if (isLast && this.#kept.endsWith(',')) this.#kept = this.#kept.slice(0, -1);
        this.#from = isLast ? at : at + 1;
      } else {
        this.#rowFields.push(field);
        this.#rowTypes.push(this.#type);
      }
      if (isLast) return bytes[at] === CLOSE ? at + 1 : NOWHERE;
      at = this.#cutBlanks(at + 1);
    }
  }

  #cutBlanks(at: number): number {
    if (this.#bytes[at] !== BLANK) return at;
    const end = skipBlanks(this.#bytes, at);
    this.#cut(at, end);
    return end;
  }

  #cut(start: number, end: number): void {
    this.#kept += this.#latin1.slice(this.#from, start);
    this.#from = end;
  }

  /** @param at behind the name's opening quote; @param previous the field before it */
  #fieldAt(at: number, previous: Field): Field | undefined {
    const expected = previous.next;
    if (expected !== undefined && isSame(this.#bytes, expected.at, at, expected.length)) return expected;
    const first = this.#bytes[at]!;
    const end = skipPlain(this.#bytes, at);
    if (this.#bytes[end] !== QUOTE || (first >= ZERO && first <= NINE)) return undefined;
    const key = this.#latin1.slice(at, end);
    let field = this.#fields.get(key);
    if (field === undefined) {
      if (key === '__proto__') return undefined;
      const name = this.textOf(at, end);
      field = { name, at, length: end + 1 - at, row: 0, profiled: 0, next: undefined };
      this.#fields.set(key, field);
    }
    previous.next = field;
    return field;
  }

  /** Sets the type. @returns the position behind the value */
  #scanValue(at: number): number {
    switch (this.#bytes[at]) {
      case QUOTE:
        this.#type = VARCHAR;
        return skipString(this.#bytes, at + 1);
      case TRUE[0]:
        this.#type = BOOLEAN;
        return skipWord(this.#bytes, at, TRUE);
      case FALSE[0]:
        this.#type = BOOLEAN;
        return skipWord(this.#bytes, at, FALSE);
      case NULL[0]:
        this.#type = NULL_TYPE;
        return skipWord(this.#bytes, at, NULL);
      default:
        return this.#scanNumber(at);
    }
  }

  /** What follows the number, an exponent for example, is the caller's to see. */
  #scanNumber(start: number): number {
    const bytes = this.#bytes;
    const isNegative = bytes[start] === MINUS;
    const digitsAt = isNegative ? start + 1 : start;
    const point = skipDigits(bytes, digitsAt);
    const digits = point - digitsAt;
    const hasZeroFirst = bytes[digitsAt] === ZERO;
    if (digits === 0 || (hasZeroFirst && digits > 1)) return NOWHERE;
    let end = point;
    let fractionEnd = point;
    if (bytes[point] === POINT) {
      end = skipDigits(bytes, point + 1);
      if (end === point + 1 || end - start > NUMBER_BYTES_MAX) return NOWHERE;
      fractionEnd = end;
      while (bytes[fractionEnd - 1] === ZERO) fractionEnd -= 1;
      if (fractionEnd === point + 1) fractionEnd = point;
      if (fractionEnd < end) this.#cut(fractionEnd, end);
    }
    if (fractionEnd === point) {
      // The sign of -0 is lost, and it is a double.
      if (hasZeroFirst && isNegative) return NOWHERE;
      this.#type = INT53;
      if (digits <= INT53_DIGITS_MAX) return end;
      return end === point && this.#isLongInteger(start, end) ? end : NOWHERE;
    }
    this.#type = DOUBLE;
    const decimals = fractionEnd - point - 1;
    const mayBeTiny = hasZeroFirst && decimals >= TINY_DECIMALS_MIN;
    if (digits + decimals <= DECIMAL_DIGITS_MAX && !mayBeTiny) return end;
    const text = this.#latin1.slice(start, fractionEnd);
    return String(Number(text)) === text ? end : NOWHERE;
  }

  /** One whose text the slow way keeps as well; sets its type. */
  #isLongInteger(start: number, end: number): boolean {
    if (end - start > NUMBER_BYTES_MAX) return false;
    const type = profileValue(rawNumber(this.#latin1.slice(start, end)));
    if (type === 'inexact' || type === 'null') return false;
    this.#type = COLUMN_TYPES.indexOf(type);
    return true;
  }

  /** The row has passed. @returns false: a field conflicts with its column, and nothing of the row is in the profile */
  addToProfile(): boolean {
    const fields = this.#rowFields;
    const { guard } = this.#profile;
    for (let at = 0; guard !== undefined && at < fields.length; at += 1) {
      const field = fields[at]!;
      const type = this.#rowTypes[at]!;
      // A type that has fitted once fits for ever: columns widen only to what holds it.
      if ((field.profiled & (1 << type)) === 0 && !guard.fits(field.name, COLUMN_TYPES[type]!)) return false;
    }
    for (let at = 0; at < fields.length; at += 1) {
      const field = fields[at]!;
      const bit = 1 << this.#rowTypes[at]!;
      if ((field.profiled & bit) !== 0) continue;
      field.profiled |= bit;
      this.#profile.add(field.name, COLUMN_TYPES[this.#rowTypes[at]!]!);
    }
    return true;
  }

  textOf(start: number, end: number): string {
    return this.#isAscii ? this.#latin1.slice(start, end) : this.#bytes.toString('utf8', start, end);
  }
}

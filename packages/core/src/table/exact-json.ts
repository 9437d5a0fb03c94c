/**
 * JSON whose numbers survive. A double cannot hold every number that a JSON text may write; such a number becomes a
 * JSON.rawJSON object that carries its source text and that JSON.stringify writes back unchanged. TypeScript's
 * libraries do not know rawJSON (ES2026) yet, so its two functions get their types here.
 */
const json = JSON as unknown as {
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

/** A number that a double does not hold: an integer beyond 2^53, or one that overflows. */
export interface RawNumber {
  /** The number as it was written, a JSON number. */
  readonly rawJSON: string;
}

export const isRawNumber: (value: unknown) => value is RawNumber = json.isRawJSON;

/** @param text a JSON number */
export const rawNumber: (text: string) => RawNumber = json.rawJSON;

const INTEGER = /^-?[0-9]+$/;

export function isIntegerText(text: string): boolean {
  return INTEGER.test(text);
}

/**
 * Whether a text may have a number that a double does not hold. A reviver makes JSON.parse some 7 times slower, and few
 * texts need one. The first look takes 0.15 us for a row of 200 characters, which the second, stricter one alone would
 * not (0.4 us): digits before an e, or 16 digits. Written out because V8 takes five times as long for \d{16}.
 */
const LOOKS_INEXACT = /\d(?:[eE]|\d\d\d\d\d\d\d\d\d\d\d\d\d\d\d)/;
/**
 * 16 digits from 9 up (2^53 starts with 90071…), 17 digits, or an exponent, and it has to start where a number can, or
 * every hexadecimal string with `3e` in it would count.
 */
const MAY_BE_INEXACT = /(?:^|[:,[\s])-?(?:9[0-9]{15}|[0-9]{17}|[0-9]+(?:\.[0-9]+)?[eE])/;

/** As JSON.parse, with a RawNumber for every number that a double does not hold. Throws SyntaxError. */
export function parseExact(text: string): unknown {
  const mayBeInexact = LOOKS_INEXACT.test(text) && MAY_BE_INEXACT.test(text);
  return mayBeInexact ? JSON.parse(text, keepExact) : JSON.parse(text);
}

function keepExact(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const source = context!.source!; // every primitive has one
  // 2^53 + 1 reads as 2^53, which is exact itself.
  if (Math.abs(value) === 2 ** 53 && String(value) === source) return value;
  // Decimals are doubles by definition: 0.1 is the double nearest to it.
  return Number.isFinite(value) && !(Number.isInteger(value) && isIntegerText(source))
    ? value
    : rawNumber(source);
}

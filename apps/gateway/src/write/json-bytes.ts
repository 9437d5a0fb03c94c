/**
 * JSON's tokens in bytes of valid UTF-8: where each ends. A newline ends every one of these loops, so none looks for
 * the end of the bytes; whoever calls sees to it that there is one.
 */

export const BLANK = 0x20;
export const CARRIAGE_RETURN = 0x0d;
export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const MINUS = 0x2d;
export const POINT = 0x2e;
export const ZERO = 0x30;
export const NINE = 0x39;
export const COLON = 0x3a;
const BACKSLASH = 0x5c;
export const OPEN = 0x7b;
export const CLOSE = 0x7d;

/** Stands for "no position"; nothing ends at 0. */
export const NOWHERE = 0;

/** Bytes that stand for themselves in a string: no control characters, no quote, no backslash. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
);
/** What follows the backslash in the escapes that JSON.stringify writes too; it writes no others but \u. */
const SHORT_ESCAPES = Uint8Array.from({ length: 256 }, (_, byte) =>
  '"\\bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0,
);

export function skipBlanks(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at] === BLANK) at += 1;
  return at;
}

export function skipDigits(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at]! >= ZERO && bytes[at]! <= NINE) at += 1;
  return at;
}

export function skipPlain(bytes: Uint8Array, start: number): number {
  let at = start;
  while (PLAIN[bytes[at]!] === 1) at += 1;
  return at;
}

/**
 * @param start behind the opening quote
 * @returns behind the closing quote; NOWHERE when JSON.stringify would write the string in another way
 */
export function skipString(bytes: Uint8Array, start: number): number {
  let at = skipPlain(bytes, start);
  while (bytes[at] === BACKSLASH) {
    if (SHORT_ESCAPES[bytes[at + 1]!] !== 1) return NOWHERE;
    at = skipPlain(bytes, at + 2);
  }
  return bytes[at] === QUOTE ? at + 1 : NOWHERE;
}

/** @returns behind the word; NOWHERE when it is another */
export function skipWord(bytes: Uint8Array, start: number, word: Uint8Array): number {
  for (let at = 0; at < word.length; at += 1) if (bytes[start + at] !== word[at]) return NOWHERE;
  return start + word.length;
}

/** Whether the same bytes stand in two places. */
export function isSame(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let at = 0; at < length; at += 1) if (bytes[a + at] !== bytes[b + at]) return false;
  return true;
}

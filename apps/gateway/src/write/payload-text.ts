import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { RowInput } from '../api.ts';

/**
 * The payload's JSON text as the client sent it, found in text that JSON.parse has accepted; nothing is checked again.
 * Only tables that keep raw payloads need it.
 */

/** A row whose payload came as text; without it (a protobuf Struct) its text is the JSON that we write of it. */
export interface SourcedRow extends RowInput {
  /** Asked at most once, and only if the table keeps it. */
  readonly payloadText?: (() => string) | undefined;
}

const PAYLOAD_NAME = '"payload"';

/** @param text a JSON object with a member `payload`; of several the last one counts, as it does for JSON.parse */
export function payloadTextOf(text: string): string {
  let found = '';
  for (const { name, start, end } of membersOf(text, skipSpace(text, 0))) {
    const isPayload = name === PAYLOAD_NAME || (name.includes('\\') && JSON.parse(name) === 'payload');
    if (isPayload) found = text.slice(start, end);
  }
  return found;
}

/** The texts of an array's items, in order. */
export function* itemTexts(text: string): Generator<string> {
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  while (text[at] !== ']') {
    const end = skipValue(text, at);
    yield text.slice(at, end);
    at = skipSpace(text, end);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
}

/** @param at where the object opens */
function* membersOf(text: string, at: number): Generator<{ name: string; start: number; end: number }> {
  let from = skipSpace(text, at + 1);
  while (text[from] !== '}') {
    const nameEnd = skipString(text, from);
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = skipValue(text, start);
    yield { name: text.slice(from, nameEnd), start, end };
    from = skipSpace(text, end);
    if (text[from] === ',') from = skipSpace(text, from + 1);
  }
}

const BACKSLASH = 0x5c;

/** JSON's white space; a byte order mark may stand before the first value. */
function skipSpace(text: string, start: number): number {
  let at = start;
  for (;;) {
    const code = text.charCodeAt(at);
    const isSpace = code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09 || code === 0xfeff;
    if (!isSpace) return at;
    at += 1;
  }
}

/** @returns behind the value that starts here */
function skipValue(text: string, start: number): number {
  let depth = 0;
  let at = start;
  do {
    switch (text[at]) {
      case '"':
        at = skipString(text, at);
        continue;
      case '{':
      case '[':
        depth += 1;
        break;
      case '}':
      case ']':
        depth -= 1;
        break;
      default:
        if (depth === 0) return skipScalar(text, at);
    }
    at += 1;
  } while (depth > 0);
  return at;
}

/** @returns behind the closing quote */
function skipString(text: string, start: number): number {
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from);
    let slashes = 0;
    while (text.charCodeAt(quote - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return quote + 1;
    from = quote + 1;
  }
}

const SCALAR = /[-+.0-9a-zA-Z]*/y;

function skipScalar(text: string, start: number): number {
  SCALAR.lastIndex = start;
  SCALAR.test(text);
  return SCALAR.lastIndex;
}

const HALF_PAIR = /\\u[dD][89a-fA-F]/;
/** One escape, or both halves of a pair. */
const ESCAPES = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u(?<code>[0-9a-fA-F]{4})|.)/g;

/**
 * A text may have in it what its value has not: of members of one name only the last one counts. Throws
 * `invalid_argument`/`invalid_text` for the escape of half a surrogate pair anywhere in it, which DuckDB does not take.
 */
export function checkEscapes(text: string): void {
  if (!HALF_PAIR.test(text)) return;
  for (const { groups } of text.matchAll(ESCAPES)) {
    if (groups?.code !== undefined && /^[dD][89a-fA-F]/.test(groups.code)) {
      throw new MiniodbError(
        'invalid_argument',
        'payload has text that is not well-formed Unicode (half of a surrogate pair)',
        { code: 'invalid_text' },
      );
    }
  }
}

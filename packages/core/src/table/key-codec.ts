import { createHash } from 'node:crypto';
import { MiniodbError } from '../runtime/errors.ts';

/**
 * The one codec for user text in Redis keys and object keys. Reversible and injective, without normalisation:
 *
 *   [A-Za-z0-9_-]        as they are
 *   .                    as it is, except as the first or the last character of the whole
 *   any other UTF-8 byte `~hh`, lower-case hex
 *   longer than 200      `~-` and the SHA-256 of the UTF-8 text in hex; the text itself is kept in row and entry
 *
 * So a part has no `/ : * ? [ ] { }`, is never `.` or `..`, and a `~` in it is always followed by two hex digits
 * or, at the very start, by `-`. Segments of our own therefore start with `~` and a letter that is not a hex digit
 * (`~s03`, `~table`, `~log`, `~mixed`) and can never be some user's id.
 */
export const KEY_PART_BYTES_MAX = 200;

/** Longest text that has a key part: the longest id. */
export const KEY_TEXT_BYTES_MAX = 1024;

const AS_IT_IS = /^[A-Za-z0-9_-](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?$/;
const HASHED = /^~-[0-9a-f]{64}$/;
const ENCODED = /^(?:[A-Za-z0-9_.-]|~[0-9a-f]{2})+$/;
const DOT = 0x2e;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** @param text 1 to 1,024 bytes of UTF-8, else `invalid_argument` / `invalid_id` */
export function encodeKeyPart(text: string): string {
  if (text.length <= KEY_PART_BYTES_MAX && AS_IT_IS.test(text)) return text;
  if (!text.isWellFormed()) throw invalidId('it is not well-formed Unicode');
  const bytes = Buffer.from(text);
  if (bytes.length === 0) throw invalidId('it is empty');
  if (bytes.length > KEY_TEXT_BYTES_MAX) {
    throw invalidId(`it has ${bytes.length} bytes, at most ${KEY_TEXT_BYTES_MAX} are allowed`);
  }
  const part = escapeBytes(bytes);
  return part.length <= KEY_PART_BYTES_MAX ? part : `~-${createHash('sha256').update(bytes).digest('hex')}`;
}

/**
 * The text of a key part; undefined for a hashed one, whose text only its entry knows. What encodeKeyPart never
 * answers is refused, not guessed at: `invalid_argument` / `invalid_key_part`.
 */
export function decodeKeyPart(part: string): string | undefined {
  if (HASHED.test(part)) return undefined;
  if (part.length > KEY_PART_BYTES_MAX || !ENCODED.test(part)) throw invalidKeyPart(part);
  const text = decodeEscapes(part);
  if (text === undefined || encodeKeyPart(text) !== part) throw invalidKeyPart(part);
  return text;
}

function escapeBytes(bytes: Uint8Array): string {
  const last = bytes.length - 1;
  let part = '';
  for (const [at, byte] of bytes.entries()) {
    const plain = isPlain(byte) || (byte === DOT && at > 0 && at < last);
    part += plain ? String.fromCharCode(byte) : `~${byte.toString(16).padStart(2, '0')}`;
  }
  return part;
}

function isPlain(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) || // a-z
    (byte >= 0x41 && byte <= 0x5a) || // A-Z
    (byte >= 0x30 && byte <= 0x39) || // 0-9
    byte === 0x2d || // -
    byte === 0x5f // _
  );
}

function decodeEscapes(part: string): string | undefined {
  const bytes: number[] = [];
  for (let at = 0; at < part.length; at++) {
    if (part[at] === '~') {
      bytes.push(Number.parseInt(part.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      bytes.push(part.charCodeAt(at));
    }
  }
  try {
    return utf8.decode(Uint8Array.from(bytes));
  } catch {
    return undefined; // the escaped bytes are not UTF-8
  }
}

function invalidId(why: string): MiniodbError {
  return new MiniodbError('invalid_argument', `invalid id: ${why}`, { code: 'invalid_id' });
}

function invalidKeyPart(part: string): MiniodbError {
  const shown = JSON.stringify(part.slice(0, KEY_PART_BYTES_MAX));
  return new MiniodbError('invalid_argument', `${shown} is not an encoded key part`, {
    code: 'invalid_key_part',
  });
}

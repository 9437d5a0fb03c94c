import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { isRawNumber } from '@miniodb/core/table/exact-json.ts';
import type { FastifyRequest } from 'fastify';
import { LINES_FACTOR, OBJECTS_FACTOR, type Share } from '../write/budget.ts';
import { type ContentEncoding, decompress } from '../write/decompress.ts';
import { parseExactJson } from '../write/exact-json.ts';

/**
 * A request's body, decompressed. Bodies arrive as the bytes that were sent, whatever their type.
 * @param share of a write: takes what the text costs as lines
 */
export async function bodyBytes(request: FastifyRequest, bytesMax: number, share?: Share): Promise<Buffer> {
  const sent = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  const encoding = encodingOf(request.headers['content-encoding']);
  if (encoding !== undefined) {
    return decompress(sent, encoding, { bytesMax, take: (bytes) => share?.take(bytes * LINES_FACTOR) });
  }
  // Once it has been taken for already, when it arrived.
  share?.take(sent.length * (LINES_FACTOR - 1));
  return sent;
}

function encodingOf(header: string | undefined): ContentEncoding | undefined {
  const encoding = (header ?? 'identity').trim().toLowerCase();
  switch (encoding) {
    case 'identity':
      return undefined;
    case 'gzip':
    case 'x-gzip':
      return 'gzip';
    case 'zstd':
      return 'zstd';
    default:
      throw invalid(
        'unsupported_encoding',
        `Content-Encoding ${JSON.stringify(encoding)}: send gzip, zstd or nothing`,
      );
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The body as a JSON object, exactly (exact-json.ts). Throws `invalid_argument`. */
export async function bodyObject(
  request: FastifyRequest,
  bytesMax: number,
  share?: Share,
): Promise<Record<string, unknown>> {
  return (await bodyObjectWithText(request, bytesMax, share)).body;
}

/** As bodyObject, with the text that it was parsed from. */
export async function bodyObjectWithText(
  request: FastifyRequest,
  bytesMax: number,
  share?: Share,
): Promise<{ readonly body: Record<string, unknown>; readonly text: string }> {
  const bytes = await bodyBytes(request, bytesMax, share);
  share?.take(bytes.length * (OBJECTS_FACTOR - LINES_FACTOR));
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch (cause) {
    throw invalid('invalid_utf8', 'the body is not valid UTF-8', cause);
  }
  const body = parseExactJson(text);
  if (typeof body !== 'object' || body === null || Array.isArray(body) || isRawNumber(body)) {
    throw invalid('invalid_json', 'the body must be a JSON object');
  }
  return { body: body as Record<string, unknown>, text };
}

/** Refuses fields (or parameters) that nobody would look at: a misspelt one must not go unnoticed. */
export function checkKnown(given: object, known: readonly string[], what: string): void {
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length === 0) return;
  const names = unknown.slice(0, NAMES_MAX).map((name) => JSON.stringify(name.slice(0, NAME_LENGTH_MAX)));
  throw new MiniodbError(
    'invalid_argument',
    `unknown ${what} ${names.join(', ')}; known are ${known.length === 0 ? 'none' : known.join(', ')}`,
    { code: 'unknown_field', details: { known } },
  );
}

/** Of unknown names in one message. */
const NAMES_MAX = 10;
const NAME_LENGTH_MAX = 100;

/** @param fallback what an absent field (or null) means; without one the field must be there */
export function stringField(body: Record<string, unknown>, name: string, fallback?: string): string {
  const value = body[name] ?? fallback;
  if (typeof value === 'string') return value;
  throw invalid('invalid_field', value === undefined ? `${name} is missing` : `${name} must be a string`);
}

export function booleanField(body: Record<string, unknown>, name: string, fallback = false): boolean {
  const value = body[name] ?? fallback;
  if (typeof value === 'boolean') return value;
  throw invalid('invalid_field', `${name} must be true or false`);
}

export function invalid(code: string, message: string, cause?: unknown): MiniodbError {
  return new MiniodbError('invalid_argument', message, { code, cause });
}

import { promisify } from 'node:util';
import { type ZlibOptions, zstdDecompress } from 'node:zlib';
import { isRawNumber, parseExact } from '../table/exact-json.ts';

/**
 * Most bytes that one zstd frame may become. A gateway puts one group of rows into a frame, some 8 MiB and one more
 * request; this only keeps a corrupt frame from taking all memory.
 */
const FRAME_BYTES_MAX = 512 * 1_048_576;

const LINE_FEED = 0x0a;

interface Inflated {
  readonly buffer: Buffer;
  /** Its `bytesWritten` is how much of the input the frame took. */
  readonly engine: { readonly bytesWritten: number };
}

// With `info`, the answer is not the plain buffer that the typings promise.
const inflate = promisify(zstdDecompress) as unknown as (
  bytes: Uint8Array,
  options: ZlibOptions & { info: true },
) => Promise<Inflated>;

/**
 * The lines of a batch's payload, frame by frame, each frame's as one list. Node stops at the end of the first zstd
 * frame without a word, so the rest has to be fed to it again. Decompression runs on the thread pool. What it throws for bad
 * bytes, isUndecodable knows.
 */
export async function* frameLines(payload: Uint8Array): AsyncGenerator<readonly string[]> {
  for (let offset = 0; offset < payload.length; ) {
    const { buffer, engine } = await inflate(payload.subarray(offset), {
      info: true,
      maxOutputLength: FRAME_BYTES_MAX,
    });
    offset += engine.bytesWritten;
    yield linesOf(buffer);
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function linesOf(bytes: Buffer): string[] {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; ) {
    const lineFeed = bytes.indexOf(LINE_FEED, start);
    const end = lineFeed === -1 ? bytes.length : lineFeed;
    lines.push(utf8.decode(bytes.subarray(start, end)));
    start = end + 1;
  }
  return lines;
}

/** The years 0001 to 9999 in microseconds since 1970 UTC; a row line beyond them is none. */
export const MICROS_MIN = -62_135_596_800_000_000n;
export const MICROS_MAX = 253_402_300_799_999_999n;

/** A row line with numbers as parseExact gives them: `t` is a RawNumber beyond 2^53 (from the year 2255). */
export interface ParsedLine {
  readonly i: string;
  readonly t: unknown;
  /** The payload's text as it was sent, where it was kept. */
  readonly r?: string;
  readonly p: Readonly<Record<string, unknown>>;
}

/** Throws SyntaxError for what is not JSON, and for what is not a row line. */
export function parseLine(line: string): ParsedLine {
  const row = parseExact(line) as Partial<ParsedLine> | null;
  if (typeof row?.i !== 'string' || row.t === undefined || !isObject(row.p) || !isTextOrAbsent(row.r)) {
    throw new SyntaxError('a line is not a row line');
  }
  return row as ParsedLine;
}

function isTextOrAbsent(value: unknown): boolean {
  return value === undefined || typeof value === 'string';
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value);
}

/**
 * Whether reading lines or parsing them failed because of the bytes: no zstd, a frame that is cut off or beyond its
 * limit, no UTF-8, no JSON, nested too deeply. Anything else says nothing about the payload.
 */
export function isUndecodable(error: unknown): boolean {
  if (error instanceof SyntaxError || error instanceof RangeError) return true;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(?:Z_|ZSTD_error_|ERR_ENCODING_INVALID_ENCODED_DATA$)/.test(code);
}

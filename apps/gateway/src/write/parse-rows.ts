import { asMiniodbError, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { BatchInput, RowInput } from '../api.ts';
import { parseExactJson } from './exact-json.ts';

/** A row of a request before it is validated, or why it could not even be read. */
export type ParsedRow =
  | { readonly index: number; readonly row: RowInput; readonly error?: undefined }
  | { readonly index: number; readonly error: MiniodbError };

const NEWLINE = 0x0a;
const ENVELOPE_FIELDS: ReadonlySet<string> = new Set(['id', 'timestamp', 'payload']);

/** The rows of a request in order, whatever form they came in. Throws when there is no telling rows apart. */
export function* parseRows(source: BatchInput['rows']): Generator<ParsedRow> {
  switch (source.form) {
    case 'rows':
      for (let index = 0; index < source.rows.length; index += 1) yield { index, row: source.rows[index]! };
      return;
    case 'ndjson':
      yield* parseLines(source.bytes);
      return;
    case 'json_array': {
      const rows = parseExactJson(decodeUtf8(source.bytes));
      if (!Array.isArray(rows)) throw invalid('invalid_json', 'the body must be a JSON array of rows');
      for (let index = 0; index < rows.length; index += 1) yield envelope(index, rows[index]);
    }
  }
}

function* parseLines(bytes: Uint8Array): Generator<ParsedRow> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 0;
  for (let index = 0; start < buffer.length; index += 1) {
    const newline = buffer.indexOf(NEWLINE, start);
    const end = newline === -1 ? buffer.length : newline;
    const line = buffer.subarray(start, end);
    start = end + 1;
    let parsed: ParsedRow | undefined;
    try {
      const text = decodeUtf8(line).trim();
      if (text !== '') parsed = envelope(index, parseExactJson(text));
    } catch (error) {
      parsed = { index, error: asMiniodbError(error) };
    }
    if (parsed !== undefined) yield parsed;
  }
}

/** The one shape a row has in JSON; a field that is none of the three is a mistake, not something to ignore. */
export function envelope(index: number, value: unknown): ParsedRow {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { index, error: invalid('invalid_row', 'a row must be an object {id, timestamp?, payload}') };
  }
  for (const name of Object.keys(value)) {
    if (!ENVELOPE_FIELDS.has(name)) {
      return {
        index,
        error: invalid(
          'unknown_field',
          `unknown field ${JSON.stringify(name)}; a row has id, timestamp and payload`,
        ),
      };
    }
  }
  const row = value as { id?: unknown; timestamp?: unknown; payload?: unknown };
  const timestamp = row.timestamp ?? undefined;
  if (timestamp !== undefined && typeof timestamp !== 'string' && typeof timestamp !== 'number') {
    return {
      index,
      error: invalid('invalid_timestamp', 'timestamp must be RFC 3339 text or epoch milliseconds'),
    };
  }
  return { index, row: { id: row.id as string, timestamp, payload: row.payload } };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new MiniodbError('invalid_argument', 'the text is not valid UTF-8', {
      code: 'invalid_utf8',
      cause,
    });
  }
}

function invalid(code: string, message: string): MiniodbError {
  return new MiniodbError('invalid_argument', message, { code });
}

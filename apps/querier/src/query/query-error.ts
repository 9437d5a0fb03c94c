import { type ErrorKind, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { pathsOf, type TableSource } from './views.ts';

/** DuckDB's answer with `errors_as_json`; a few errors have a prefix before it. */
interface EngineError {
  readonly exception_type: string;
  readonly exception_message: string;
  readonly error_subtype?: string;
  readonly name?: string;
}

/** Most column names in a message. */
const KNOWN_COLUMNS_MAX = 50;
const MESSAGE_CHARS_MAX = 500;

/** What zstd says of bytes that are no frame, or not the frame that was written. Files are not named. */
const BROKEN_FRAME =
  /frame descriptor|Data corruption|doesn't match checksum|Src size is incorrect|frame parameter|Dictionary/;

/** DuckDB's error as one of ours, without paths and advice that is not for clients. */
export function queryError(error: unknown, sources: readonly TableSource[]): MiniodbError {
  if (error instanceof MiniodbError) return error;
  const engine = parseEngineError(error);
  const first = engine.exception_message.split('\n\n')[0]!;
  const message = scrubbed(first, sources);
  const ours = pathsOf(sources).some((path) => engine.exception_message.includes(path));
  switch (engine.exception_type) {
    case 'Out of Memory':
      return made(
        'resource_exhausted',
        'query_out_of_memory',
        'the query needs more memory than it may use',
        error,
      );
    case 'IO':
      if (BROKEN_FRAME.test(engine.exception_message)) return undecodable(error);
      if (!ours) break;
      return gone(error);
    case 'Permission':
      // A listed path that is not there is not allowed either.
      if (ours) return gone(error);
      return made('permission_denied', 'sql_access_refused', 'the query reaches for what it may not', error);
    case 'Binder': {
      const column = unknownColumn(engine);
      if (column === undefined) return made('invalid_argument', 'sql_invalid', message, error);
      const known = knownColumns(sources);
      return made('invalid_argument', 'sql_unknown_column', `column ${column} does not exist${known}`, error);
    }
    case 'Catalog':
      return made('invalid_argument', 'sql_unknown_name', message.split('\n')[0]!, error);
    case 'Parser':
      return made('invalid_argument', 'sql_syntax', message, error);
    case 'Conversion':
    case 'Mismatch Type':
    case 'Out of Range':
      return made('invalid_argument', 'sql_type_error', message, error);
    case 'Invalid Input':
      // Only a reader of rows names the file.
      if (ours) return undecodable(error);
      return made('invalid_argument', 'sql_execution', message, error);
    case 'Invalid type':
    case 'Not implemented':
    case 'Sequence':
    case 'Constraint':
      return made('invalid_argument', 'sql_execution', message, error);
  }
  return made('internal', 'query_failed', 'the query failed', error);
}

function undecodable(cause: unknown): MiniodbError {
  return made('data_corrupted', 'undecodable_payload', 'stored rows cannot be decoded', cause);
}

function made(kind: ErrorKind, code: string, message: string, cause: unknown): MiniodbError {
  return new MiniodbError(kind, message.slice(0, MESSAGE_CHARS_MAX), { code, cause });
}

function gone(cause: unknown): MiniodbError {
  return made('unavailable', 'file_gone', 'a file of the query is gone', cause);
}

function parseEngineError(error: unknown): EngineError {
  const text = error instanceof Error ? error.message : String(error);
  const json = /\{.*\}/s.exec(text)?.[0];
  try {
    const parsed: unknown = JSON.parse(json ?? '');
    if (isEngineError(parsed)) return parsed;
  } catch {
    // Not from the engine itself: classified by what stands before the colon.
  }
  const [, type = '', message = text] = /^([A-Z][A-Za-z ]*?) Error: (.*)$/s.exec(text) ?? [];
  return { exception_type: type, exception_message: message };
}

function isEngineError(value: unknown): value is EngineError {
  return (
    typeof value === 'object' && value !== null && 'exception_type' in value && 'exception_message' in value
  );
}

/** A bare name comes with a subtype, a qualified one only as a sentence. */
function unknownColumn(engine: EngineError): string | undefined {
  if (engine.error_subtype === 'COLUMN_NOT_FOUND') return engine.name;
  const text = engine.exception_message;
  const qualified = /^(?:Table|Values list) "(.*)" does not have a column named "(.*)"/.exec(text);
  if (qualified !== null) return `${qualified[1]}.${qualified[2]}`;
  return /^Column "(.*)" in \w+ list not found/.exec(text)?.[1];
}

function knownColumns(sources: readonly TableSource[]): string {
  if (sources.length === 0) return '';
  const names = new Set(['id', 'timestamp', 'payload']);
  for (const source of sources) for (const column of source.schema.values()) names.add(column.name);
  const shown = Array.from(names).slice(0, KNOWN_COLUMNS_MAX);
  const more = names.size > shown.length ? ` and ${names.size - shown.length} more` : '';
  return `; known columns: ${shown.join(', ')}${more}`;
}

function scrubbed(message: string, sources: readonly TableSource[]): string {
  let text = message;
  for (const path of pathsOf(sources)) text = text.replaceAll(path, '(file)');
  return text.replace(/(["'])(?:\/|[A-Za-z]:\\)[^"']*\1/g, '(file)');
}

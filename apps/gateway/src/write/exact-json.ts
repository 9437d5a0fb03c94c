import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { parseExact } from '@miniodb/core/table/exact-json.ts';

/**
 * The JSON of a request, with every number kept exactly (core/table/exact-json.ts). Of a key that occurs twice in an
 * object the last one wins. A key `__proto__` is an own property like any other.
 *
 * Throws `invalid_argument`: `invalid_json`, with the position in `details` when it is known, or `json_too_deep`.
 */
export function parseExactJson(text: string): unknown {
  try {
    return parseExact(text);
  } catch (error) {
    throw classified(error);
  }
}

function classified(error: unknown): MiniodbError {
  // The reviver walks the value recursively, unlike the parser.
  if (error instanceof RangeError) {
    return new MiniodbError('invalid_argument', 'the JSON is nested too deeply', {
      code: 'json_too_deep',
      cause: error,
    });
  }
  const reason = error instanceof Error ? error.message : String(error);
  const position = /at position (\d+)/.exec(reason)?.[1];
  return new MiniodbError('invalid_argument', `invalid JSON: ${reason}`, {
    code: 'invalid_json',
    cause: error,
    ...(position === undefined ? {} : { details: { position: Number(position) } }),
  });
}

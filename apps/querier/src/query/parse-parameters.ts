import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { isRawNumber, parseExact } from '@miniodb/core/table/exact-json.ts';

/** The values of a query, from the JSON array that gateways send. Throws `invalid_argument`/`sql_bad_parameter`. */
export function parseParameters(json: string): readonly unknown[] {
  let params: unknown;
  try {
    params = parseExact(json);
  } catch {
    // Without the cause, which quotes the values.
    throw badParameters('the parameters are not JSON');
  }
  if (!Array.isArray(params)) throw badParameters('the parameters are not a JSON array');
  const bad = params.findIndex((value) => typeof value === 'object' && value !== null && !isRawNumber(value));
  if (bad === -1) return params;
  throw badParameters(`parameter $${bad + 1} is not a text, number, boolean or null`);
}

function badParameters(message: string): MiniodbError {
  return new MiniodbError('invalid_argument', message, { code: 'sql_bad_parameter' });
}

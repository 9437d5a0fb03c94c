import { ERROR_TABLE } from '@miniodb/core/runtime/error-table.ts';
import { asMiniodbError, type ErrorKind, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';

/**
 * How a failed call looks from outside. Kinds become statuses by core's table alone: gRPC's in proto's status.ts, HTTP's
 * here, where a few codes that only HTTP knows have a status of their own.
 */
const HTTP_STATUS_OF_CODE: Readonly<Record<string, number>> = {
  request_timeout: 408,
  method_not_allowed: 405,
  body_too_large: 413,
  unsupported_media_type: 415,
  unsupported_encoding: 415,
  header_too_large: 431,
};

const TITLES: Readonly<Record<ErrorKind, string>> = {
  invalid_argument: 'The request is wrong',
  unauthenticated: 'Nobody known is asking',
  permission_denied: 'Not allowed',
  not_found: 'Not found',
  already_exists: 'It exists already',
  failed_precondition: 'Not possible in this state',
  resource_exhausted: 'A limit is reached',
  unavailable: 'Not available now',
  outcome_unknown: 'The outcome is not known',
  deadline_exceeded: 'It took too long',
  cancelled: 'The caller went away',
  unimplemented: 'Not implemented',
  data_corrupted: 'Stored data is damaged',
  internal: 'Internal error',
};

/** Of errors that may be repeated and do not say when. */
const RETRY_AFTER_MS = 1000;

/** Business refusals: gRPC answers these OK with success=false, and clients match the messages. */
const REFUSALS: ReadonlySet<string> = new Set([
  'invalid_table_name',
  'table_already_exists',
  'table_not_found',
  'table_create_failed',
  'too_many_tables',
  'invalid_table_config',
  'table_not_empty',
  'default_table',
]);

/** @returns the message of a business refusal; throws everything else on */
export function refusalMessage(thrown: unknown): string {
  if (thrown instanceof MiniodbError && REFUSALS.has(thrown.code)) return thrown.message;
  throw thrown;
}

/**
 * The error that a caller may see. What no adapter foresaw is logged in full and told only by its request id: its
 * text may hold paths, addresses or keys.
 */
export function presentError(thrown: unknown, requestId: string, log: Log): MiniodbError {
  const error = asMiniodbError(thrown);
  if (error.kind !== 'internal' && error.kind !== 'data_corrupted') return error;
  log.error({ err: error, request_id: requestId, code: error.code }, 'request failed');
  return new MiniodbError(error.kind, `internal error; request ${requestId}`, { code: error.code });
}

/** A problem document (RFC 9457) with our members, and the headers that go with it. */
export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
}

export function problemOf(error: MiniodbError): Problem {
  const { kind, code, message } = error;
  const status = HTTP_STATUS_OF_CODE[code] ?? ERROR_TABLE[kind].http;
  const { retryable } = ERROR_TABLE[kind];
  return {
    status,
    headers: {
      'content-type': 'application/problem+json; charset=utf-8',
      // Not where the outcome is unknown: some clients take this header as leave to send a write again.
      ...(kind === 'unauthenticated' ? { 'www-authenticate': 'Bearer' } : {}),
      ...(retryable && (status === 429 || status === 503) ? { 'retry-after': retryAfterSeconds(error) } : {}),
    },
    body: {
      // Details first, so that they can take no member's place.
      ...error.details,
      type: `urn:miniodb:error:${code}`,
      title: TITLES[kind],
      status,
      detail: message,
      code,
      message,
      success: false,
      retryable,
    },
  };
}

function retryAfterSeconds(error: MiniodbError): string {
  return String(Math.max(1, Math.ceil((error.retryAfterMs ?? RETRY_AFTER_MS) / 1000)));
}

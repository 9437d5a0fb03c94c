/**
 * The one closed set of error kinds. A foreign error (Redis, S3, DuckDB, gRPC) is classified once, at its
 * adapter, into a MiniodbError; the table in `error-table.ts` maps kinds to gRPC and HTTP statuses.
 */
export type ErrorKind =
  /** The request itself is wrong; sending it again cannot help. */
  | 'invalid_argument'
  | 'unauthenticated'
  | 'permission_denied'
  | 'not_found'
  | 'already_exists'
  /** The request is well formed but the state of the system refuses it until somebody changes that state. */
  | 'failed_precondition'
  /** A limit is reached; sending it again later can help. */
  | 'resource_exhausted'
  /** Something it needs is away; nothing was done; sending it again later can help. */
  | 'unavailable'
  /** It may or may not have been done. Never answered for something that is known to be refused. */
  | 'outcome_unknown'
  | 'deadline_exceeded'
  /** The caller went away. */
  | 'cancelled'
  | 'unimplemented'
  /** Stored bytes are not what they must be: checksum, format version, undecodable payload. */
  | 'data_corrupted'
  | 'internal';

export interface ErrorFields {
  /** Stable, lower_snake_case, finer than the kind; what clients may switch on. */
  readonly code: string;
  readonly retryAfterMs?: number;
  /** Further machine-readable facts, for example the bad lines of a bulk write. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

export class MiniodbError extends Error {
  override readonly name = 'MiniodbError';
  readonly kind: ErrorKind;
  readonly code: string;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(kind: ErrorKind, message: string, fields: ErrorFields) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.kind = kind;
    this.code = fields.code;
    this.retryAfterMs = fields.retryAfterMs;
    this.details = fields.details;
  }
}

/** Any thrown thing as a MiniodbError; what no adapter classified is `internal`. */
export function asMiniodbError(error: unknown): MiniodbError {
  if (error instanceof MiniodbError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new MiniodbError('internal', message, { code: 'internal', cause: error });
}

/** A programmer error: an invariant (G1…G10 of docs/guarantees.md, or a named local one) does not hold. */
export function assertInvariant(holds: boolean, invariant: string, message: string): asserts holds {
  if (!holds) throw new MiniodbError('internal', `${invariant}: ${message}`, { code: 'invariant_violated' });
}

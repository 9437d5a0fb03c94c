import type { ErrorKind } from './errors.ts';

/** gRPC status codes by number, so that this table needs no gRPC library. */
const GRPC = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

interface Statuses {
  readonly grpc: number;
  readonly http: number;
  /** Whether the same request may succeed when it is sent again unchanged. */
  readonly retryable: boolean;
}

/** What each error kind looks like from outside. The only place where kinds become statuses. */
export const ERROR_TABLE: Readonly<Record<ErrorKind, Statuses>> = {
  invalid_argument: { grpc: GRPC.INVALID_ARGUMENT, http: 400, retryable: false },
  unauthenticated: { grpc: GRPC.UNAUTHENTICATED, http: 401, retryable: false },
  permission_denied: { grpc: GRPC.PERMISSION_DENIED, http: 403, retryable: false },
  not_found: { grpc: GRPC.NOT_FOUND, http: 404, retryable: false },
  already_exists: { grpc: GRPC.ALREADY_EXISTS, http: 409, retryable: false },
  failed_precondition: { grpc: GRPC.FAILED_PRECONDITION, http: 409, retryable: false },
  resource_exhausted: { grpc: GRPC.RESOURCE_EXHAUSTED, http: 429, retryable: true },
  unavailable: { grpc: GRPC.UNAVAILABLE, http: 503, retryable: true },
  // Retrying an unkeyed write whose outcome is unknown may store it twice: the caller decides, hence not retryable.
  outcome_unknown: { grpc: GRPC.UNAVAILABLE, http: 503, retryable: false },
  deadline_exceeded: { grpc: GRPC.DEADLINE_EXCEEDED, http: 504, retryable: true },
  cancelled: { grpc: GRPC.CANCELLED, http: 499, retryable: false },
  unimplemented: { grpc: GRPC.UNIMPLEMENTED, http: 501, retryable: false },
  data_corrupted: { grpc: GRPC.DATA_LOSS, http: 500, retryable: false },
  internal: { grpc: GRPC.INTERNAL, http: 500, retryable: false },
};

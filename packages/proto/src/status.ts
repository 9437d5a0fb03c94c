import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ERROR_TABLE } from '@miniodb/core/runtime/error-table.ts';
import { asMiniodbError, type ErrorKind, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { ErrorInfo, RetryInfo } from './gen/google/rpc/error_details.ts';
import { Status } from './gen/google/rpc/status.ts';

/**
 * MiniodbError <-> gRPC status, both ways, so that a client throws what the server threw.
 *
 * Code, kind and delay travel as google.rpc.ErrorInfo and RetryInfo inside `grpc-status-details-bin`:
 *
 *   ErrorInfo.reason             the error's code
 *   ErrorInfo.metadata.kind      its kind; a status code alone cannot tell `unavailable` from `outcome_unknown`
 *   ErrorInfo.metadata.details   its details as JSON, when they fit
 *   RetryInfo.retry_delay        retryAfterMs
 */
const DETAILS_KEY = 'grpc-status-details-bin';
const ERROR_DOMAIN = 'miniodb';
const ERROR_INFO_URL = 'type.googleapis.com/google.rpc.ErrorInfo';
const RETRY_INFO_URL = 'type.googleapis.com/google.rpc.RetryInfo';

/**
 * Errors travel in HTTP/2 trailers, of which several clients accept 8 KiB in all. A message is there twice: in
 * `grpc-message`, where a byte takes up to 3, and in the details, where 3 bytes take 4. With the two limits below
 * the worst case is 7.3 KiB.
 */
const MESSAGE_BYTES_MAX = 1000;
const DETAILS_JSON_BYTES_MAX = 2048;

/** What grpc-js sends for a failed call. */
export interface CallStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

export function errorToStatus(thrown: unknown): CallStatus {
  const error = asMiniodbError(thrown);
  const code = ERROR_TABLE[error.kind].grpc;
  const message = cutUtf8(error.message, MESSAGE_BYTES_MAX);
  const details = [{ type_url: ERROR_INFO_URL, value: ErrorInfo.encode(errorInfo(error)).finish() }];
  if (error.retryAfterMs !== undefined) {
    details.push({
      type_url: RETRY_INFO_URL,
      value: RetryInfo.encode(retryInfo(error.retryAfterMs)).finish(),
    });
  }
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(Status.encode({ code, message, details }).finish()));
  return { code, details: message, metadata };
}

function errorInfo(error: MiniodbError): ErrorInfo {
  const metadata: Record<string, string> = { kind: error.kind };
  if (error.details !== undefined) {
    const json = JSON.stringify(error.details);
    if (Buffer.byteLength(json) <= DETAILS_JSON_BYTES_MAX) metadata.details = json;
  }
  // Clients that cannot read our metadata look for this very reason before they repeat a write.
  const reason = error.kind === 'outcome_unknown' ? 'outcome_unknown' : error.code;
  return { reason, domain: ERROR_DOMAIN, metadata };
}

function retryInfo(retryAfterMs: number): RetryInfo {
  const ms = Math.max(0, Math.ceil(retryAfterMs));
  return { retry_delay: { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 } };
}

/** Whole characters only. A lone surrogate, on which grpc-js would throw while it sends, becomes U+FFFD on the way. */
function cutUtf8(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return bytes.toString();
  const ellipsis = '…';
  let end = bytesMax - Buffer.byteLength(ellipsis);
  while ((bytes[end]! & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end) + ellipsis;
}

/** What a client knows about a call that failed. */
export interface FailedCall {
  /** It had no side effects: when the connection broke in the middle of it, it can simply be sent again. */
  readonly repeatable: boolean;
  /** Its signal fired. */
  readonly abandoned: boolean;
}

export function statusToError(thrown: unknown, call: FailedCall): MiniodbError {
  if (!isServiceError(thrown)) return asMiniodbError(thrown);
  return fromDetails(thrown) ?? fromTransport(thrown, call);
}

function isServiceError(thrown: unknown): thrown is ServiceError {
  return (
    thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number' && 'details' in thrown
  );
}

function fromDetails(error: ServiceError): MiniodbError | undefined {
  const bytes = error.metadata?.get(DETAILS_KEY)[0];
  if (!(bytes instanceof Uint8Array)) return undefined;
  let info: ErrorInfo | undefined;
  let retryAfterMs: number | undefined;
  let parsed: Status;
  let details: Record<string, unknown> | undefined;
  try {
    parsed = Status.decode(bytes);
    for (const { type_url, value } of parsed.details) {
      if (type_url === ERROR_INFO_URL) info = ErrorInfo.decode(value);
      else if (type_url === RETRY_INFO_URL) retryAfterMs = delayMs(RetryInfo.decode(value));
    }
    if (info?.metadata.details !== undefined) details = JSON.parse(info.metadata.details);
  } catch {
    // Somebody else's bytes under this key: the status itself still says something.
    return undefined;
  }
  if (info === undefined || info.domain !== ERROR_DOMAIN) return undefined;
  const kind = info.metadata.kind;
  return new MiniodbError(isErrorKind(kind) ? kind : kindOfStatus(error.code), parsed.message, {
    code: info.reason,
    cause: error,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(details === undefined ? {} : { details }),
  });
}

function delayMs(info: RetryInfo): number | undefined {
  const delay = info.retry_delay;
  return delay === undefined ? undefined : Number(delay.seconds) * 1000 + Math.round(delay.nanos / 1_000_000);
}

function isErrorKind(text: string | undefined): text is ErrorKind {
  return text !== undefined && Object.hasOwn(ERROR_TABLE, text);
}

/** grpc-js says so when a request has certainly not left this process. */
const NEVER_SENT = /^(No connection established|Name resolution failed|Channel closed before call started)/;
/** grpc-js says so on either side, of a request that nobody looked at or of an answer. */
const TOO_LARGE = /larger than (max|\d)/;

/** A status without our details: grpc-js on either side, or something in between, speaks of the connection. */
function fromTransport(error: ServiceError, call: FailedCall): MiniodbError {
  const { code: statusCode, details: message } = error;
  const fail = (kind: ErrorKind, code: string, text = message) =>
    new MiniodbError(kind, text, { code, cause: error });
  if (statusCode === status.RESOURCE_EXHAUSTED && TOO_LARGE.test(message)) {
    return fail('invalid_argument', 'message_too_large');
  }
  if (NEVER_SENT.test(message)) return fail('unavailable', 'not_connected');
  if (call.abandoned || !isBroken(statusCode))
    return fail(kindOfStatus(statusCode), kindOfStatus(statusCode));
  if (call.repeatable) return fail('unavailable', 'connection_lost');
  return fail('outcome_unknown', 'outcome_unknown', `the connection broke before an answer came: ${message}`);
}

/** A server that is ended by force resets its calls, which the client reads as CANCELLED. */
function isBroken(statusCode: number): boolean {
  return (
    statusCode === status.UNAVAILABLE ||
    statusCode === status.CANCELLED ||
    statusCode === status.INTERNAL ||
    statusCode === status.UNKNOWN
  );
}

/** Statuses that no MiniodbError has come from proxies and from grpc-js itself. */
function kindOfStatus(code: number): ErrorKind {
  if (code === status.ABORTED) return 'failed_precondition';
  if (code === status.OUT_OF_RANGE) return 'invalid_argument';
  const kinds = Object.keys(ERROR_TABLE) as ErrorKind[];
  return kinds.find((kind) => ERROR_TABLE[kind].grpc === code) ?? 'internal';
}

import { S3ServiceException } from '@aws-sdk/client-s3';
import { MiniodbError } from '../runtime/errors.ts';
import {
  bucketMissing,
  checksumMismatch,
  objectNotFound,
  objectStoreCancelled,
  objectStoreDenied,
  objectStoreFull,
  objectStoreUnavailable,
} from './object-errors.ts';

/** What an operation was about, for messages. */
export interface S3Subject {
  /** Key or prefix; absent for operations on the bucket. */
  readonly key?: string;
  readonly location: string;
  readonly signal?: AbortSignal | undefined;
}

/** The names that AWS, MinIO and Ceph give to bytes that did not arrive as they were hashed. */
const CHECKSUM_ERRORS: ReadonlySet<string> = new Set([
  'BadDigest',
  'InvalidDigest',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
  'ChecksumMismatch',
]);

/** Answered with a 4xx status although the same request can succeed later. */
const PASSING_ERRORS: ReadonlySet<string> = new Set([
  'RequestTimeout',
  'IncompleteBody',
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'Throttling',
  'ThrottlingException',
  'TooManyRequests',
  'OperationAborted',
]);

const WRONG_REGION_ERRORS: ReadonlySet<string> = new Set([
  'PermanentRedirect',
  'TemporaryRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
]);

/** An error of the S3 client, classified; once, here. Messages carry no credentials and no request ids. */
export function classifyS3Error(error: unknown, subject: S3Subject): MiniodbError {
  if (error instanceof MiniodbError) return error;
  if (subject.signal?.aborted || nameOf(error) === 'AbortError') return objectStoreCancelled(error);
  const where = subject.key === undefined ? subject.location : `${subject.location} at ${subject.key}`;
  const status = statusOf(error);
  if (status === undefined) return classifyWithoutAnswer(error, where);

  const name = nameOf(error);
  if (name === 'NoSuchBucket') return bucketMissing(subject.location, error);
  if (CHECKSUM_ERRORS.has(name)) {
    return checksumMismatch(subject.key ?? subject.location, { answer: name }, error);
  }
  if (WRONG_REGION_ERRORS.has(name) || status === 301 || status === 307) {
    return new MiniodbError('failed_precondition', `${subject.location} is in another region: ${name}`, {
      code: 'bucket_wrong_region',
      cause: error,
    });
  }
  if (name === 'NoSuchUpload') {
    return new MiniodbError('unavailable', `${where} has lost the upload`, {
      code: 'upload_missing',
      cause: error,
    });
  }
  if (name === 'NoSuchKey' || status === 404) {
    return subject.key === undefined
      ? bucketMissing(subject.location, error)
      : objectNotFound(subject.key, error);
  }
  if (name === 'InvalidRange' || status === 416) {
    return new MiniodbError('invalid_argument', `the range begins after the end of ${where}`, {
      code: 'range_after_end',
      cause: error,
    });
  }
  if (status === 507 || name === 'XMinioStorageFull' || name === 'QuotaExceeded') {
    return objectStoreFull(`${where} has no room: ${name}`, error);
  }
  if (status >= 500 || status === 429 || PASSING_ERRORS.has(name)) {
    return objectStoreUnavailable(`${where} answered ${status} ${name}`, error, retryAfterMsOf(error));
  }
  if (status === 401 || status === 403) return objectStoreDenied(`${where} refused access: ${name}`, error);
  return new MiniodbError('internal', `${where} answered ${status} ${name}`, {
    code: 'object_store_failed',
    cause: error,
  });
}

/** Lost, refused and timed out connections, broken answers; or no credentials, or a bug of ours. */
function classifyWithoutAnswer(error: unknown, where: string): MiniodbError {
  const name = nameOf(error);
  if (name === 'CredentialsProviderError') {
    return objectStoreDenied(`there are no credentials for ${where}`, error);
  }
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  if (code?.startsWith('ERR_INVALID') || code?.startsWith('ERR_ASSERTION')) {
    return new MiniodbError('internal', `${where} failed: ${code}`, {
      code: 'object_store_failed',
      cause: error,
    });
  }
  if (code !== undefined || name === 'TimeoutError') {
    return objectStoreUnavailable(`${where} cannot be reached: ${code ?? name}`, error);
  }
  return new MiniodbError('internal', `${where} failed: ${name}`, {
    code: 'object_store_failed',
    cause: error,
  });
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown error';
}

/** The HTTP status of the answer, also of one that the client could not parse. */
function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof S3ServiceException)
    return error.$metadata.httpStatusCode ?? error.$response?.statusCode;
  const { $metadata: metadata, $response: response } = error as {
    $metadata?: { httpStatusCode?: number };
    $response?: { statusCode?: number };
  };
  return metadata?.httpStatusCode ?? response?.statusCode;
}

function retryAfterMsOf(error: unknown): number | undefined {
  if (!(error instanceof S3ServiceException)) return undefined;
  const seconds = Number(error.$response?.headers['retry-after']);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

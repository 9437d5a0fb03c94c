import { MiniodbError } from '../runtime/errors.ts';

/** The errors of the port that both adapters raise, so that they cannot differ. */

export function objectNotFound(key: string, cause?: unknown): MiniodbError {
  return new MiniodbError('not_found', `there is no object ${key}`, { code: 'object_not_found', cause });
}

export function objectStoreCancelled(cause?: unknown): MiniodbError {
  return new MiniodbError('cancelled', 'the object store call was cancelled', { code: 'cancelled', cause });
}

export function objectStoreDenied(what: string, cause?: unknown): MiniodbError {
  return new MiniodbError('permission_denied', what, { code: 'object_store_denied', cause });
}

export function objectStoreUnavailable(what: string, cause?: unknown, retryAfterMs?: number): MiniodbError {
  return new MiniodbError('unavailable', what, {
    code: 'object_store_unavailable',
    cause,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

export function objectStoreFull(what: string, cause?: unknown): MiniodbError {
  return new MiniodbError('resource_exhausted', what, { code: 'object_store_full', cause });
}

/** For stored or received bytes that are not what they were promised to be. */
export function checksumMismatch(key: string, details: Readonly<Record<string, unknown>>, cause?: unknown) {
  return new MiniodbError('data_corrupted', `the bytes of object ${key} do not match their SHA-256`, {
    code: 'checksum_mismatch',
    details: { key, ...details },
    cause,
  });
}

export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw objectStoreCancelled(signal.reason);
}

/** For the caller's own file, which is no fault of the object store and which no retry mends. */
export function localFileFailed(path: string, cause: unknown): MiniodbError {
  const errno = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return new MiniodbError('resource_exhausted', `no room for the local file ${path}`, {
      code: 'local_disk_full',
      cause,
    });
  }
  return new MiniodbError('internal', `the local file ${path} failed: ${errno}`, {
    code: 'local_file_failed',
    cause,
  });
}

export function bucketMissing(location: string, cause?: unknown): MiniodbError {
  return new MiniodbError('failed_precondition', `${location} does not exist`, {
    code: 'bucket_missing',
    cause,
  });
}

import { MiniodbError } from '../runtime/errors.ts';
import {
  objectNotFound,
  objectStoreCancelled,
  objectStoreDenied,
  objectStoreFull,
  objectStoreUnavailable,
} from './object-errors.ts';

/** Whether a foreign error is the file system's with one of these codes. */
export function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}

/** A file system error of one operation on one key, classified; once, here. */
export function classifyFsError(error: unknown, key: string): MiniodbError {
  if (error instanceof MiniodbError) return error;
  if (error instanceof Error && error.name === 'AbortError') return objectStoreCancelled(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'ENOENT':
    // A part of the path is a file: as on S3, there is no object below an object.
    case 'ENOTDIR':
      return objectNotFound(key, error);
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return objectStoreDenied(`the directory store may not touch ${key}: ${code}`, error);
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return objectStoreFull(`the directory store has no room for ${key}: ${code}`, error);
    case '':
      return new MiniodbError('internal', `the directory store failed at ${key}`, {
        code: 'object_store_failed',
        cause: error,
      });
    default: // EIO, EMFILE, ENFILE, ESTALE, EBUSY…
      return objectStoreUnavailable(`the directory store failed at ${key}: ${code}`, error);
  }
}

/** For a key whose place in the tree is taken: by a folder, or below a file. S3 could hold both, a directory cannot. */
export function keyConflict(key: string, cause: unknown): MiniodbError {
  return new MiniodbError('failed_precondition', `${key} is both an object and a folder of objects`, {
    code: 'object_key_conflict',
    cause,
  });
}

export function symlinkRefused(key: string): MiniodbError {
  return new MiniodbError('permission_denied', `a symbolic link on the way to ${key} is not followed`, {
    code: 'object_store_symlink',
  });
}

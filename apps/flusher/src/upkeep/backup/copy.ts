import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';

export const PARQUET_TYPE = 'application/vnd.apache.parquet';

/** An object that is known by its content. */
export interface KnownObject {
  readonly key: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** Whether an object is there, with just these bytes. Objects whose hash the store cannot tell are not. */
export async function isThere(
  store: ObjectStore,
  { key, sha256, sizeBytes }: KnownObject,
  signal: AbortSignal,
): Promise<boolean> {
  const head = await store.head(key, signal);
  return head !== undefined && head.sizeBytes === sizeBytes && head.sha256 === sha256;
}

/**
 * Gives an object as a local file, checked, for as long as the work takes.
 * Throws `object_not_found`, `checksum_mismatch`.
 */
export async function withLocalFile<Result>(
  store: ObjectStore,
  { key, sha256, sizeBytes }: KnownObject,
  workDir: string,
  signal: AbortSignal,
  work: (path: string) => Promise<Result>,
): Promise<Result> {
  const path = join(workDir, randomBytes(8).toString('hex'));
  try {
    const received = await store.getFile(key, path, { sha256, signal });
    if (received !== sizeBytes) {
      throw new MiniodbError('data_corrupted', `${key} has ${received} bytes and not ${sizeBytes}`, {
        code: 'checksum_mismatch',
      });
    }
    return await work(path);
  } finally {
    await rm(path, { force: true });
  }
}

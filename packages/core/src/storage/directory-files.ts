import { createReadStream, mkdirSync, renameSync } from 'node:fs';
import { type FileHandle, lstat, mkdir, realpath, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hasErrno, keyConflict, symlinkRefused } from './directory-errors.ts';
import { localFileFailed } from './object-errors.ts';

/** What one read or write of a stream moves. */
export const PIECE_BYTES = 2 ** 20;

/** Whether no part of an existing absolute path is a symbolic link. Errors: ENOENT, ENOTDIR. */
export async function isReal(path: string): Promise<boolean> {
  return (await realpath(path)) === path;
}

/** As isReal, and false for what is not there. */
export async function isRealIfThere(path: string): Promise<boolean> {
  try {
    return await isReal(path);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/**
 * The folders of a key, one by one, so that nothing is ever made behind a symbolic link. May end with ENOENT if a
 * delete removes one of them meanwhile.
 */
export async function makeFolders(root: string, key: string): Promise<void> {
  const parent = dirname(join(root, key));
  if (await isRealIfThere(parent)) return;
  let folder = root;
  for (const segment of key.split('/').slice(0, -1)) {
    folder = join(folder, segment);
    try {
      await mkdir(folder);
    } catch (error) {
      if (!hasErrno(error, 'EEXIST')) throw error;
      const stat = await lstat(folder);
      if (stat.isSymbolicLink()) throw symlinkRefused(key);
      if (!stat.isDirectory()) throw keyConflict(key, error);
    }
  }
}

/**
 * Both in one go, without returning to the event loop, for a put that has lost its folder once: with awaits between
 * them, deletes in the same process won 100 times in a row. Blocks for some 20 µs.
 */
export function makeFolderAndRename(temporary: string, path: string): void {
  try {
    mkdirSync(dirname(path));
  } catch (error) {
    if (!hasErrno(error, 'EEXIST')) throw error;
  }
  renameSync(temporary, path);
}

/** From the lowest folder upwards, below the root, as long as they are empty. */
export async function removeEmptyFolders(lowest: string, root: string): Promise<void> {
  for (let folder = lowest; folder !== root; folder = dirname(folder)) {
    try {
      await rmdir(folder);
    } catch (error) {
      if (hasErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) return;
      throw error;
    }
  }
}

/** Copies a local file, passing on every piece. The local file's errors are `local_file_failed`. */
export async function* copyPieces(
  path: string,
  to: FileHandle,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const source = createReadStream(path, { highWaterMark: PIECE_BYTES, ...(signal && { signal }) });
  const pieces = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    for (;;) {
      const next = await pieces.next().catch((error: unknown) => {
        throw signal?.aborted ? error : localFileFailed(path, error);
      });
      if (next.done) return;
      await to.appendFile(next.value);
      yield next.value;
    }
  } finally {
    source.destroy();
  }
}

/** A range of a file, all of it in memory; fewer bytes if the file shrinks meanwhile. */
export async function readFully(file: FileHandle, offset: number, lengthBytes: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(lengthBytes);
  let readBytes = 0;
  while (readBytes < lengthBytes) {
    const { bytesRead } = await file.read(bytes, readBytes, lengthBytes - readBytes, offset + readBytes);
    if (bytesRead === 0) break;
    readBytes += bytesRead;
  }
  return bytes.subarray(0, readBytes);
}

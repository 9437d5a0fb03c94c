import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { PIECE_BYTES } from './directory-files.ts';
import { localFileFailed } from './object-errors.ts';
import { sha256OfStream } from './sha256.ts';

/** Size and hex SHA-256 of the caller's file. Errors: `local_file_failed`. */
export async function sizeOfLocalFile(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    throw localFileFailed(path, error);
  }
}

export async function sha256OfLocalFile(path: string): Promise<string> {
  try {
    return await sha256OfStream(createReadStream(path, { highWaterMark: PIECE_BYTES }));
  } catch (error) {
    throw localFileFailed(path, error);
  }
}

/**
 * Opens the caller's file for one attempt to send it, and closes it afterwards. A file that cannot be read ends the
 * sending, which would else wait for bytes that never come.
 */
export async function sendLocalFile<Result>(
  path: string,
  signal: AbortSignal | undefined,
  send: (body: Readable, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const body = createReadStream(path, { highWaterMark: PIECE_BYTES });
  const unreadable = new AbortController();
  let readError: Error | undefined;
  body.on('error', (error) => {
    readError = error;
    unreadable.abort();
  });
  try {
    return await send(body, signal ? AbortSignal.any([signal, unreadable.signal]) : unreadable.signal);
  } catch (error) {
    throw readError === undefined ? error : localFileFailed(path, readError);
  } finally {
    body.destroy();
  }
}

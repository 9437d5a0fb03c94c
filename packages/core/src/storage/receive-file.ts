import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { addAbortSignal, type Readable } from 'node:stream';
import { localFileFailed } from './object-errors.ts';
import { expectSha256 } from './sha256.ts';

export interface Receiving {
  /** Of the object, for the message of a checksum mismatch. */
  readonly key: string;
  readonly sha256?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Streams an object's bytes into a local file and checks them. Resolves to their number. Whatever goes wrong, the
 * file is gone again and the source destroyed. The source's errors pass through; the file's are `local_file_failed`
 * or `local_disk_full`, so that nobody blames the object store for them.
 */
export async function receiveFile(source: Readable, path: string, receiving: Receiving): Promise<number> {
  // What fails before the loop begins is kept by the stream and thrown there; unheard it would end the process.
  source.on('error', () => {});
  if (receiving.signal !== undefined) addAbortSignal(receiving.signal, source);
  const file = await open(path, 'w').catch((error: unknown) => {
    source.destroy();
    throw localFileFailed(path, error);
  });
  const hash = createHash('sha256');
  let sizeBytes = 0;
  try {
    for await (const piece of source as AsyncIterable<Buffer>) {
      hash.update(piece);
      sizeBytes += piece.length;
      await file.appendFile(piece).catch((error: unknown) => {
        throw localFileFailed(path, error);
      });
    }
    if (receiving.sha256 !== undefined) expectSha256(receiving.key, receiving.sha256, hash.digest('hex'));
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return sizeBytes;
}

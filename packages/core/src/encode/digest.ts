import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { sha256OfStream } from '../storage/sha256.ts';

const READ_BYTES = 1_048_576;

/** SHA-256 (hex) and size of a file, read in pieces. Errors are the file system's own. */
export async function digestOf(
  path: string,
  signal?: AbortSignal,
): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const { size } = await stat(path);
  return {
    sha256: await sha256OfStream(createReadStream(path, { highWaterMark: READ_BYTES, signal })),
    sizeBytes: size,
  };
}

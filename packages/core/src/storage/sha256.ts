import { createHash } from 'node:crypto';
import { MiniodbError } from '../runtime/errors.ts';
import { checksumMismatch } from './object-errors.ts';

const SHA256_HEX = /^[0-9a-f]{64}$/;

export function isSha256(text: string): boolean {
  return SHA256_HEX.test(text);
}

/** Throws `invalid_argument` / `bad_sha256` unless it is 64 lower-case hex digits. */
export function checkSha256(text: string): void {
  if (!isSha256(text)) {
    throw new MiniodbError('invalid_argument', 'a SHA-256 is 64 lower-case hex digits', {
      code: 'bad_sha256',
    });
  }
}

/** Hex SHA-256 of bytes in memory. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Hex SHA-256 of a stream's bytes. */
export async function sha256OfStream(source: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of source) hash.update(piece);
  return hash.digest('hex');
}

/** Throws `data_corrupted` / `checksum_mismatch` unless the two are equal. */
export function expectSha256(key: string, expected: string, actual: string): void {
  if (actual !== expected) throw checksumMismatch(key, { expected, actual });
}

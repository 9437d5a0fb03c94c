import { MiniodbError } from '../runtime/errors.ts';
import type { GetOptions } from './object-store.ts';

/** Most bytes that `get` holds in memory; larger objects are for `getFile`. */
export const GET_BYTES_MAX = 64 * 2 ** 20;

export type ByteRange = NonNullable<GetOptions['range']>;

/** Throws `invalid_argument` / `bad_range` unless both numbers are whole and not negative. */
export function checkRange(range: ByteRange): void {
  const { offset, lengthBytes } = range;
  const isSize = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (!isSize(offset) || !isSize(lengthBytes) || !isSize(offset + lengthBytes)) {
    throw new MiniodbError('invalid_argument', `there is no range of ${lengthBytes} bytes at ${offset}`, {
      code: 'bad_range',
    });
  }
}

/** Throws `invalid_argument` / `object_too_large` for what `get` must not hold in memory. */
export function checkGetSize(key: string, sizeBytes: number): void {
  if (sizeBytes <= GET_BYTES_MAX) return;
  throw new MiniodbError(
    'invalid_argument',
    `${sizeBytes} bytes of ${key} are too many to read into memory`,
    {
      code: 'object_too_large',
      details: { key, sizeBytes, maxBytes: GET_BYTES_MAX },
    },
  );
}

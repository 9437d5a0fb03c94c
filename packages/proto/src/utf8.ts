import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Throws `invalid_argument`/`invalid_utf8` where a lenient decoder would write U+FFFD and change the text. */
export function decodeUtf8(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('utf8', start, end);
  // The text of nearly every request has no U+FFFD: then nothing was replaced, and no second look is needed.
  if (!text.includes('\ufffd')) return text;
  try {
    return strict.decode(bytes.subarray(start, end));
  } catch (cause) {
    throw new MiniodbError('invalid_argument', 'a string is not valid UTF-8', {
      code: 'invalid_utf8',
      cause,
    });
  }
}

import { MiniodbError } from '../runtime/errors.ts';

/** What S3 allows. */
export const OBJECT_KEY_BYTES_MAX = 1024;
/** What file systems allow for one name; S3 alone would allow more, but both stores must hold the same keys. */
export const KEY_SEGMENT_BYTES_MAX = 255;
/** The directory store's own folder: no key may begin with this segment. */
export const PRIVATE_SEGMENT = '.miniodb';

/** Throws `invalid_argument` / `bad_object_key` for a key that not every store can hold; see object-store.ts. */
export function checkObjectKey(key: string): void {
  const flaw = flawOf(key);
  if (flaw !== undefined) throw badObjectKey(key, flaw);
}

/** A prefix is any beginning of a key, the empty one included; its last segment may be cut anywhere. */
export function checkKeyPrefix(prefix: string): void {
  const folder = folderOfPrefix(prefix);
  const flaw = (folder === '' ? undefined : flawOf(folder)) ?? flawOfText(prefix);
  if (flaw !== undefined) throw badObjectKey(prefix, flaw);
}

/** The whole segments of a prefix: `T/a` and `T/` have `T`, `T` has none. */
export function folderOfPrefix(prefix: string): string {
  return prefix.slice(0, Math.max(0, prefix.lastIndexOf('/')));
}

function flawOf(key: string): string | undefined {
  if (key === '') return 'it is empty';
  const flaw = flawOfText(key);
  if (flaw !== undefined) return flaw;
  const segments = key.split('/');
  if (segments[0] === PRIVATE_SEGMENT) return `it begins with the reserved segment ${PRIVATE_SEGMENT}`;
  for (const segment of segments) {
    if (segment === '') return 'it has an empty segment';
    if (segment === '.' || segment === '..') return `it has the segment ${segment}`;
    if (Buffer.byteLength(segment) > KEY_SEGMENT_BYTES_MAX) {
      return `a segment has more than ${KEY_SEGMENT_BYTES_MAX} bytes`;
    }
  }
  return undefined;
}

function flawOfText(text: string): string | undefined {
  if (text.startsWith('/')) return 'it begins with a slash';
  if (text.length > OBJECT_KEY_BYTES_MAX || Buffer.byteLength(text) > OBJECT_KEY_BYTES_MAX) {
    return `it has more than ${OBJECT_KEY_BYTES_MAX} bytes`;
  }
  if (!text.isWellFormed()) return 'it is not well-formed Unicode';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML answers of S3 cannot carry them
  if (/[\u0000-\u001f\u007f\ufffe\uffff]/.test(text)) return 'it has a control character';
  return undefined;
}

function badObjectKey(key: string, flaw: string): MiniodbError {
  const shown = JSON.stringify(key.length > 200 ? `${key.slice(0, 200)}…` : key);
  return new MiniodbError('invalid_argument', `bad object key ${shown}: ${flaw}`, { code: 'bad_object_key' });
}

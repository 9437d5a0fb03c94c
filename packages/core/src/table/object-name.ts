/**
 * Names of Parquet objects: `<table>/<folder>/<day>/<ms>-<generation>-<maker>-<part>of<parts>-<hash>.parquet`. Folder and
 * day are keys.ts' objectFolder. The maker is the seal or the plan that made the file, at that millisecond; the hash is
 * the start of the content's SHA-256, so that two encodings of the same rows never replace each other.
 */
export interface ObjectName {
  readonly table: string;
  /** An encoded id, or `~s00` for files that ids share. */
  readonly folder: string;
  /** `YYYY-MM-DD` or `~mixed`. */
  readonly day: string;
  readonly madeMs: number;
  readonly generation: string;
  readonly maker: string;
  readonly part: number;
  readonly parts: number;
  /** `<maker>-<part>`: the file's id in the index. */
  readonly fileId: string;
}

const HASH_CHARACTERS = 16;
const OBJECT =
  /^([a-z0-9_]{1,64})\/([^/]+)\/(\d{4}-\d{2}-\d{2}|~mixed)\/(\d{1,16})-([0-9a-f]+)-([0-9a-f]+)-(\d{1,6})of(\d{1,6})-([0-9a-f]{16})\.parquet$/;

/** @param sha256 of the content, hexadecimal */
export function objectName(
  madeMs: number,
  generation: string,
  maker: string,
  part: number,
  parts: number,
  sha256: string,
): string {
  return `${madeMs}-${generation}-${maker}-${part}of${parts}-${sha256.slice(0, HASH_CHARACTERS)}.parquet`;
}

/** undefined for whatever is not a file of ours. */
export function parseObjectKey(key: string): ObjectName | undefined {
  const match = OBJECT.exec(key);
  if (match === null) return undefined;
  const [, table, folder, day, madeMs, generation, maker, part, parts] = match as unknown as string[];
  return {
    table: table!,
    folder: folder!,
    day: day!,
    madeMs: Number(madeMs),
    generation: generation!,
    maker: maker!,
    part: Number(part),
    parts: Number(parts),
    fileId: `${maker}-${part}`,
  };
}

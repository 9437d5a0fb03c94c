import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from './directory-errors.ts';
import { throwIfCancelled } from './object-errors.ts';
import { folderOfPrefix, PRIVATE_SEGMENT } from './object-key.ts';
import type { ObjectSummary } from './object-store.ts';

/**
 * The objects below a prefix in S3's order: by the UTF-8 bytes of the whole key. Holds one folder at a time for
 * each level. Symbolic links and special files are not objects; what vanishes meanwhile is left out.
 */
export async function* walkObjects(
  root: string,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ObjectSummary> {
  const folder = folderOfPrefix(prefix);
  yield* walkFolder(root, folder === '' ? '' : `${folder}/`, prefix, signal);
}

/** @param base the folder's key with its slash, or empty for the root */
async function* walkFolder(
  root: string,
  base: string,
  prefix: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<ObjectSummary> {
  for (const { key, isFolder } of await readFolder(root, base)) {
    throwIfCancelled(signal);
    if (!key.startsWith(prefix)) continue;
    if (isFolder) {
      yield* walkFolder(root, key, prefix, signal);
      continue;
    }
    const sizeBytes = await sizeOf(join(root, key));
    if (sizeBytes !== undefined) yield { key, sizeBytes };
  }
}

interface FolderItem {
  readonly key: string;
  readonly isFolder: boolean;
}

async function readFolder(root: string, base: string): Promise<FolderItem[]> {
  let names: Dirent[];
  try {
    names = await readdir(join(root, base), { withFileTypes: true });
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
  const items = names
    .filter((name) => name.isDirectory() || name.isFile())
    .filter((name) => base !== '' || name.name !== PRIVATE_SEGMENT)
    // With its slash a folder sorts where its objects do: `a.x` before everything in `a/`.
    .map((name) => ({
      key: name.isDirectory() ? `${base}${name.name}/` : base + name.name,
      isFolder: name.isDirectory(),
    }));
  return sortByUtf8(items);
}

/** JavaScript compares UTF-16 units, which puts characters beyond U+FFFF before U+E000 to U+FFFF. */
function sortByUtf8(items: FolderItem[]): FolderItem[] {
  if (items.every(({ key }) => /^[\0-\ud7ff]*$/.test(key))) {
    return items.sort((a, b) => (a.key < b.key ? -1 : 1));
  }
  const keyed = items.map((item) => ({ item, bytes: Buffer.from(item.key) }));
  return keyed.sort((a, b) => Buffer.compare(a.bytes, b.bytes)).map(({ item }) => item);
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const stat = await lstat(path);
    return stat.isFile() ? stat.size : undefined;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}

import { MiniodbError } from '../runtime/errors.ts';
import { GET_BYTES_MAX } from '../storage/byte-range.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { sha256Of } from '../storage/sha256.ts';
import { type BackupManifest, decodeManifest, encodeManifest } from './manifest.ts';
import { backupIdOfKey, checkBackupSpec, manifestKey, manifestPrefix, newestOf } from './names.ts';

/** Of one table; beyond it a listing is cut to the newest. */
const LISTED_MAX = 1_000;
const READ_AT_ONCE = 8;

/** Writes a manifest: from here on there is the backup. Throws `backup_too_large`. */
export async function writeManifest(
  store: ObjectStore,
  manifest: Omit<BackupManifest, 'format'>,
  signal: AbortSignal,
): Promise<void> {
  const bytes = encodeManifest(manifest);
  if (bytes.length > GET_BYTES_MAX) {
    throw new MiniodbError(
      'failed_precondition',
      `table ${manifest.table} has too many files for one backup: ${manifest.files.length}; compact it first`,
      { code: 'backup_too_large' },
    );
  }
  await store.put(manifestKey(manifest.table, manifest.id), bytes, {
    sha256: sha256Of(bytes),
    contentType: 'application/json',
    signal,
  });
}

/** Ids of a table's backups, oldest first. */
export async function listBackupIds(
  store: ObjectStore,
  table: string,
  signal: AbortSignal,
): Promise<string[]> {
  const ids: string[] = [];
  for await (const { key } of store.list(manifestPrefix(table), signal)) {
    const id = backupIdOfKey(key);
    if (id !== undefined) ids.push(id);
  }
  return ids.sort();
}

/** Throws what decodeManifest throws, and `backup_not_found`. */
export async function readManifest(
  store: ObjectStore,
  table: string,
  backupId: string,
  signal: AbortSignal,
): Promise<BackupManifest> {
  let bytes: Uint8Array;
  try {
    bytes = await store.get(manifestKey(table, backupId), { signal });
  } catch (error) {
    if (error instanceof MiniodbError && error.code === 'object_not_found') throw notFound(table, backupId);
    throw error;
  }
  return decodeManifest(bytes, table, backupId);
}

/**
 * The backup that a spec means: an id, or the newest of a day, a second, or of all (the empty string). Backups of single
 * ids or days are meant by their whole id only.
 */
export async function findBackup(
  store: ObjectStore,
  table: string,
  spec: string,
  signal: AbortSignal,
): Promise<BackupManifest> {
  checkBackupSpec(spec);
  const ids = new Set(await listBackupIds(store, table, signal));
  for (;;) {
    const id = newestOf(spec, [...ids]);
    if (id === undefined) throw notFound(table, spec);
    const manifest = await readManifest(store, table, id, signal);
    if (id === spec || manifest.filter === undefined) return manifest;
    ids.delete(id);
  }
}

export interface ListedBackup {
  readonly id: string;
  /** undefined: it cannot be read, and flaw says why. */
  readonly manifest: BackupManifest | undefined;
  readonly flaw: string | undefined;
}

/** Newest first. One that is damaged is listed, with what is wrong with it. */
export async function listBackups(
  store: ObjectStore,
  table: string,
  signal: AbortSignal,
): Promise<ListedBackup[]> {
  const ids = (await listBackupIds(store, table, signal)).reverse().slice(0, LISTED_MAX);
  const listed: ListedBackup[] = [];
  for (let from = 0; from < ids.length; from += READ_AT_ONCE) {
    const some = ids.slice(from, from + READ_AT_ONCE);
    listed.push(...(await Promise.all(some.map((id) => listedOf(store, table, id, signal)))));
  }
  return listed;
}

async function listedOf(
  store: ObjectStore,
  table: string,
  id: string,
  signal: AbortSignal,
): Promise<ListedBackup> {
  try {
    return { id, manifest: await readManifest(store, table, id, signal), flaw: undefined };
  } catch (error) {
    const isItsFault =
      error instanceof MiniodbError &&
      (error.kind === 'data_corrupted' || error.kind === 'failed_precondition');
    if (!isItsFault) throw error;
    return { id, manifest: undefined, flaw: error.code };
  }
}

function notFound(table: string, spec: string): MiniodbError {
  const what = spec === '' ? 'no backup' : `no backup ${spec}`;
  return new MiniodbError('not_found', `table ${table} has ${what}`, { code: 'backup_not_found' });
}

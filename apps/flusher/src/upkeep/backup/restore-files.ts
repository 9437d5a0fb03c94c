import { type BackupFile, type BackupManifest, ownerOf } from '@miniodb/core/backup/manifest.ts';
import { backupObjectKey } from '@miniodb/core/backup/names.ts';
import type { RestoreRequest } from '@miniodb/core/backup/requests.ts';
import { openDuckDb } from '@miniodb/core/duckdb/instance.ts';
import type { Adoption } from '@miniodb/core/index/adopt.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import type { Table } from '@miniodb/core/table/catalog.ts';
import { objectFolder } from '@miniodb/core/table/keys.ts';
import { objectName } from '@miniodb/core/table/object-name.ts';
import { checkFile } from './check-file.ts';
import { type BackupContext, eachOf, type TellProgress } from './context.ts';
import { isThere, PARQUET_TYPE, withLocalFile } from './copy.ts';

/** A file of the target that the index does not have yet. */
export type RestoredFile = Adoption['files'][number];

/** Throws `backup_object_missing`, `backup_object_damaged` for the first object that is not as the manifest says. */
export async function checkObjects(
  backups: ObjectStore,
  { table, files, packs }: BackupManifest,
  tell: TellProgress,
  signal: AbortSignal,
): Promise<void> {
  const objects = [
    ...files.map(({ entry: { sha256, sizeBytes } }) => ({
      key: backupObjectKey(table, sha256, 'parquet'),
      sha256,
      sizeBytes,
    })),
    ...packs.map(({ sha256, sizeBytes }) => ({
      key: backupObjectKey(table, sha256, 'rows.zst'),
      sha256,
      sizeBytes,
    })),
  ];
  let done = 0;
  await eachOf(objects, signal, async ({ key, sha256, sizeBytes }) => {
    const head = await backups.head(key, signal);
    if (head === undefined) {
      throw new MiniodbError('data_corrupted', `the backup lacks ${key}`, { code: 'backup_object_missing' });
    }
    if (head.sizeBytes !== sizeBytes || head.sha256 !== sha256) {
      throw new MiniodbError('data_corrupted', `${key} of the backup has other bytes than it had`, {
        code: 'backup_object_damaged',
      });
    }
    done += 1;
    tell({ step: 'check', done, of: objects.length });
  });
}

/** Copies a backup's files under keys of the target, each checked on the way. The same keys in every repeat. */
export async function copyToTarget(
  { store, backups, workDir }: BackupContext,
  request: RestoreRequest,
  manifest: BackupManifest,
  target: Table,
  tell: TellProgress,
  signal: AbortSignal,
): Promise<RestoredFile[]> {
  const restored = manifest.files.map((file, at) => restoredOf(request, target, file, at + 1));
  let done = 0;
  const duckDb = await openDuckDb({ threads: '1', memory_limit: '256MB' });
  try {
    await eachOf(restored, signal, async ({ entry }, at) => {
      if (!(await isThere(store, entry, signal))) {
        const { sha256, sizeBytes } = entry;
        const copy = { key: backupObjectKey(manifest.table, sha256, 'parquet'), sha256, sizeBytes };
        await withLocalFile(backups, copy, workDir, signal, async (path) => {
          const connection = await duckDb.connect();
          try {
            await checkFile(connection, path, manifest.files[at]!);
          } finally {
            connection.closeSync();
          }
          await store.putFile(entry.key, path, { sha256, contentType: PARQUET_TYPE, signal });
        });
      }
      await failpoint('rs.copy');
      done += 1;
      tell({ step: 'copy', done, of: restored.length });
    });
  } finally {
    duckDb.close();
  }
  return restored;
}

function restoredOf(
  { planId, askedMs }: RestoreRequest,
  target: Table,
  file: BackupFile,
  part: number,
): RestoredFile {
  const { shard, day, entry } = file;
  const ownerId = ownerOf(file);
  // How many parts there are is not known before the pending rows are encoded: each says that it is the last so far.
  const name = objectName(askedMs, target.generation, planId, part, part, entry.sha256);
  return {
    shard,
    day,
    fileId: `${planId}-${part}`,
    ownerId,
    entry: {
      ...entry,
      key: `${objectFolder(target.name, shard, day, ownerId)}/${name}`,
      // What is restored today is loaded today: retention must not take it away tonight.
      acceptedMs: Math.max(entry.acceptedMs, askedMs),
    },
  };
}

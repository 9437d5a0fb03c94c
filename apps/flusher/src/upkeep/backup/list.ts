import { listBackups } from '@miniodb/core/backup/manifests.ts';
import type { BackupInfo } from '@miniodb/core/backup/requests.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';

/** What there is of a table's backups, newest first, for people. */
export async function listOf(store: ObjectStore, table: string, signal: AbortSignal): Promise<BackupInfo[]> {
  const listed = await listBackups(store, table, signal);
  return listed.map(({ id, manifest, flaw }) => {
    const { rows = 0, files = 0, pendingRows = 0, bytes = 0 } = manifest?.totals ?? {};
    const { id: only, day } = manifest?.filter ?? {};
    return {
      id,
      createdAt: manifest?.createdAt ?? '',
      rows,
      files,
      pendingRows,
      bytes,
      by: manifest?.by ?? '',
      filter: { ...(only !== undefined && { id: only }), ...(day !== undefined && { day }) },
      flaw: flaw ?? '',
    };
  });
}

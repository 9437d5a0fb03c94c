import { encodeMemoryMiBMin } from '@miniodb/core/config/relations.ts';
import type { Settings } from '@miniodb/core/config/resolve.ts';
import { roleConfig } from '@miniodb/core/runtime/role-config.ts';

export function flusherConfig(settings: Settings) {
  const encodeMemoryMiB = settings.get('MINIODB_ENCODE_MEMORY_MIB');
  const encodeThreads = settings.get('MINIODB_ENCODE_THREADS');
  return {
    ...roleConfig(settings),
    workDir: settings.get('MINIODB_WORK_DIR'),
    // More at once than have the least of memory each would only fail for want of it.
    flushConcurrency: Math.min(
      settings.get('MINIODB_FLUSH_CONCURRENCY'),
      Math.floor(encodeMemoryMiB / encodeMemoryMiBMin(encodeThreads)),
    ),
    backupUrl: settings.get('MINIODB_BACKUP_URL'),
    backupAccessKey: settings.get('MINIODB_BACKUP_ACCESS_KEY'),
    backupSecretKey: settings.get('MINIODB_BACKUP_SECRET_KEY'),
    encoder: settings.get('MINIODB_ENCODER'),
    encodeMemoryMiB,
    encodeThreads,
    compactEveryMs: settings.get('MINIODB_COMPACT_SECONDS') * 1_000,
    compactMemoryMiB: settings.get('MINIODB_COMPACT_MEMORY_MIB'),
    sweepEveryMs: settings.get('MINIODB_SWEEP_SECONDS') * 1_000,
    retainEveryMs: settings.get('MINIODB_RETENTION_SECONDS') * 1_000,
    objectGraceMs: settings.get('MINIODB_OBJECT_GRACE_SECONDS') * 1_000,
    orphanScanEveryMs: settings.get('MINIODB_ORPHAN_SCAN_SECONDS') * 1_000,
  };
}

export type FlusherConfig = ReturnType<typeof flusherConfig>;

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
    encoder: settings.get('MINIODB_ENCODER'),
    encodeMemoryMiB,
    encodeThreads,
  };
}

export type FlusherConfig = ReturnType<typeof flusherConfig>;

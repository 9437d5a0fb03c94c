import type { Settings } from '@miniodb/core/config/resolve.ts';
import { roleConfig } from '@miniodb/core/runtime/role-config.ts';
import { canonicalTableName } from '@miniodb/core/table/name.ts';

const MIB = 1_048_576;

export function querierConfig(settings: Settings) {
  return {
    ...roleConfig(settings),
    port: settings.get('MINIODB_QUERIER_PORT'),
    cacheDir: settings.get('MINIODB_CACHE_DIR'),
    cacheBytesMax: settings.get('MINIODB_CACHE_MIB') * MIB,
    defaultTable: canonicalTableName(settings.get('MINIODB_DEFAULT_TABLE')),
    queryMemoryMiB: settings.get('MINIODB_QUERY_MEMORY_MIB'),
    queryThreads: settings.get('MINIODB_QUERY_THREADS'),
    querySpillMiB: settings.get('MINIODB_QUERY_SPILL_MIB'),
    queryTimeoutMs: settings.get('MINIODB_QUERY_TIMEOUT_MS'),
    resultRowsMax: settings.get('MINIODB_RESULT_ROWS_MAX'),
    resultBytesMax: settings.get('MINIODB_RESULT_MIB_MAX') * MIB,
    queriesMax: settings.get('MINIODB_QUERIES_MAX'),
    permissions: settings.permissions,
    auth: settings.auth,
  };
}

export type QuerierConfig = ReturnType<typeof querierConfig>;

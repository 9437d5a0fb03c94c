import {
  numberField,
  portField,
  readConfig,
  requiredTextField,
  textField,
} from '@miniodb/core/runtime/role-config.ts';
import { DEFAULT_TABLE_CONFIG, type TableConfig } from '@miniodb/core/table/config.ts';

const fields = {
  MINIODB_QUERIER_PORT: portField(0),
  /** For local copies of objects and for spilling; emptied at start. */
  MINIODB_CACHE_DIR: requiredTextField(),
  MINIODB_CACHE_MIB: numberField(4_096, 16, 1_073_741_824),
  MINIODB_DEFAULT_TABLE: textField('default'),
  MINIODB_QUERY_MEMORY_MIB: numberField(2_048, 64, 1_048_576),
  MINIODB_QUERY_THREADS: numberField(2, 1, 256),
  MINIODB_QUERY_SPILL_MIB: numberField(4_096, 0, 1_073_741_824),
  MINIODB_QUERY_TIMEOUT_MS: numberField(60_000, 100, 86_400_000),
  MINIODB_RESULT_ROWS_MAX: numberField(1_000_000, 1, 1_000_000_000),
  MINIODB_RESULT_MIB_MAX: numberField(512, 1, 1_048_576),
  /** Queries at a time; each may use the memory above. More are refused with a retry delay. */
  MINIODB_QUERIES_MAX: numberField(8, 1, 1_024),
} as const;

export function querierConfig(env: Readonly<Record<string, string | undefined>>) {
  const config = readConfig('querier', env, fields);
  const own = config.own;
  const tableDefaults: TableConfig = DEFAULT_TABLE_CONFIG;
  return {
    ...config,
    port: own.MINIODB_QUERIER_PORT,
    cacheDir: own.MINIODB_CACHE_DIR,
    cacheBytesMax: own.MINIODB_CACHE_MIB * 1_048_576,
    defaultTable: own.MINIODB_DEFAULT_TABLE,
    queryMemoryMiB: own.MINIODB_QUERY_MEMORY_MIB,
    queryThreads: own.MINIODB_QUERY_THREADS,
    querySpillMiB: own.MINIODB_QUERY_SPILL_MIB,
    queryTimeoutMs: own.MINIODB_QUERY_TIMEOUT_MS,
    resultRowsMax: own.MINIODB_RESULT_ROWS_MAX,
    resultBytesMax: own.MINIODB_RESULT_MIB_MAX * 1_048_576,
    queriesMax: own.MINIODB_QUERIES_MAX,
    tableDefaults,
  };
}

export type QuerierConfig = ReturnType<typeof querierConfig>;

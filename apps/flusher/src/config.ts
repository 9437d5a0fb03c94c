import {
  choiceField,
  numberField,
  readConfig,
  requiredTextField,
} from '@miniodb/core/runtime/role-config.ts';
import { DEFAULT_TABLE_CONFIG, type TableConfig } from '@miniodb/core/table/config.ts';

const fields = {
  /** For the files of flushes under way; emptied at start. */
  MINIODB_WORK_DIR: requiredTextField(),
  /** Flushes at a time; each holds one seal's payloads and one encoder's memory. */
  MINIODB_FLUSH_CONCURRENCY: numberField(2, 1, 64),
  MINIODB_ENCODER: choiceField(['duckdb', 'parquetjs-lite'], 'duckdb'),
  /** Memory limit of all encodes together; beyond it DuckDB spills into the work directory. */
  MINIODB_ENCODE_MEMORY_MIB: numberField(1_024, 64, 1_048_576),
  MINIODB_ENCODE_THREADS: numberField(2, 1, 256),
} as const;

export function flusherConfig(env: Readonly<Record<string, string | undefined>>) {
  const config = readConfig('flusher', env, fields);
  const own = config.own;
  const tableDefaults: TableConfig = DEFAULT_TABLE_CONFIG;
  return {
    ...config,
    workDir: own.MINIODB_WORK_DIR,
    flushConcurrency: own.MINIODB_FLUSH_CONCURRENCY,
    encoder: own.MINIODB_ENCODER,
    encodeMemoryMiB: own.MINIODB_ENCODE_MEMORY_MIB,
    encodeThreads: own.MINIODB_ENCODE_THREADS,
    tableDefaults,
  };
}

export type FlusherConfig = ReturnType<typeof flusherConfig>;

import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import {
  choiceField,
  numberField,
  readConfig,
  requiredTextField,
} from '@miniodb/core/runtime/role-config.ts';
import { DEFAULT_TABLE_CONFIG, type TableConfig } from '@miniodb/core/table/config.ts';

/** What DuckDB takes of its memory for each thread that reads lines, and what is left for their rows at the least. */
const LINE_BUFFERS_MIB = 64;
const ENCODE_ROWS_MIB = 64;

const fields = {
  /** For the files of flushes under way; emptied at start. */
  MINIODB_WORK_DIR: requiredTextField(),
  /** Flushes at a time; each holds one seal's payloads and one encoder's memory. */
  MINIODB_FLUSH_CONCURRENCY: numberField(2, 1, 64),
  MINIODB_ENCODER: choiceField(['duckdb', 'parquetjs-lite'], 'duckdb'),
  /** Memory limit of all encodes together; beyond it DuckDB spills into the work directory. */
  MINIODB_ENCODE_MEMORY_MIB: numberField(1_024, 128, 1_048_576),
  MINIODB_ENCODE_THREADS: numberField(2, 1, 256),
} as const;

export function flusherConfig(env: Readonly<Record<string, string | undefined>>) {
  const config = readConfig('flusher', env, fields);
  const own = config.own;
  const memoryMiBMin = own.MINIODB_ENCODE_THREADS * LINE_BUFFERS_MIB + ENCODE_ROWS_MIB;
  if (own.MINIODB_ENCODE_MEMORY_MIB < memoryMiBMin) {
    throw new MiniodbError(
      'invalid_argument',
      `configuration: MINIODB_ENCODE_MEMORY_MIB: ${own.MINIODB_ENCODE_THREADS} threads need at least ${memoryMiBMin}`,
      { code: 'invalid_config' },
    );
  }
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

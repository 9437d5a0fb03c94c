import type { LayoutSettings } from '@miniodb/core/encode/encoder.ts';
import type { SealLimits } from '@miniodb/core/queue/seals.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';

/** Compressed payload bytes of one seal: all of them are in memory while it is encoded. */
const SEAL_BYTES_MAX = 64 * 1_048_576;
/**
 * Decompressed: DuckDB holds a seal's rows about twice while it sorts and writes them. With 1 GiB for two encodes, 1.0 GB
 * of 1 KB rows still passed and 1.1 GB of 4 KB rows did not; this is a fifth of it.
 */
const SEAL_RAW_BYTES_MAX = 192 * 1_048_576;
/**
 * Of one seal while other tables have rows here too: some 0.65 s of CPU, which is about as long as a table that waits for
 * its turn may have to wait.
 */
const SHARED_ROWS_MAX = 250_000;
const SHARED_RAW_BYTES_MAX = 48 * 1_048_576;
/** One Lua call moves them all. */
export const SEAL_BATCHES_MAX = 2_000;
/** A seal with more days would mostly become mixed files. */
const SEAL_DAYS_MAX = 366;

/**
 * @param shrink divides what a seal may hold, after larger ones were too much for the encoder
 * @param isShared whether other tables have rows here
 */
export function sealLimits(config: TableConfig, shrink: number, isShared: boolean): SealLimits {
  const rowsMax = isShared ? Math.min(config.max_flush_rows, SHARED_ROWS_MAX) : config.max_flush_rows;
  const rawBytesMax = isShared ? SHARED_RAW_BYTES_MAX : SEAL_RAW_BYTES_MAX;
  return {
    rowsMax: Math.ceil(rowsMax / shrink),
    bytesMax: SEAL_BYTES_MAX,
    rawBytesMax: Math.ceil(rawBytesMax / shrink),
    batchesMax: SEAL_BATCHES_MAX,
    daysMax: SEAL_DAYS_MAX,
  };
}

/** Files of one seal: each costs an upload, an index entry and, at every query, an open. */
const FILES_PER_SEAL_MAX = 64;
/** Ids of a day that each get a file of their own. */
const OWN_IDS_MAX = 8;
/** Rows of one id and day that earn a file of their own among many ids. */
const OWN_ROWS_MIN = 10_000;

export function layoutOf(config: TableConfig): LayoutSettings {
  return {
    mode: config.layout,
    filesMax: FILES_PER_SEAL_MAX,
    ownIdsMax: OWN_IDS_MAX,
    ownRowsMin: OWN_ROWS_MIN,
  };
}

import { readTableCounts, type TableCounts } from '@miniodb/core/queue/table-counts.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { Catalog } from '@miniodb/core/table/catalog.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import type { FlusherMetrics } from '../metrics.ts';
import type { Ownership } from '../ownership/ownership.ts';

/** All gauges of a scrape, and scrapes close to each other, are of one read. */
const READ_AT_MOST_EVERY_MS = 1_000;
/** A scrape must not hang on a Redis that does. */
const READ_MS_MAX = 3_000;
/** Of one flusher. Where it owns more, the metrics say so, and the rest is left out. */
const TABLES_MAX = 10_000;

export interface TableGaugesContext {
  readonly redis: Redis;
  readonly fixed: FixedKeys;
  readonly catalog: Pick<Catalog, 'names'>;
  readonly ownership: Pick<Ownership, 'ownsTable'>;
  readonly defaults: TableConfig;
  readonly metrics: FlusherMetrics;
  readonly log: Log;
}

/**
 * The gauges of each table, exported by the one flusher that owns it, so that sums over processes are right. They are
 * read from Redis when somebody asks for metrics: what a table is no more has no series in the next answer, and while
 * Redis is away none has.
 */
export function exportTableGauges(context: TableGaugesContext): void {
  const { metrics, defaults } = context;
  const failures = metrics.counter(
    'miniodb_flusher_table_reads_failed_total',
    'Scrapes without gauges of tables, because Redis did not give them',
    [],
  );
  let skipped = 0;
  let reading: Promise<readonly TableCounts[]> | undefined;
  let readAtMs = Number.NEGATIVE_INFINITY;

  const readNow = async (): Promise<readonly TableCounts[]> => {
    const names = await context.catalog.names();
    const owned = names.filter((name) => context.ownership.ownsTable(name)).sort();
    skipped = Math.max(0, owned.length - TABLES_MAX);
    return readTableCounts(context.redis, context.fixed, owned.slice(0, TABLES_MAX));
  };
  /** Never rejects. */
  const readOwned = async (): Promise<readonly TableCounts[]> => {
    try {
      return await within(readNow(), READ_MS_MAX);
    } catch (error) {
      failures.inc();
      context.log.warn({ event: 'table_gauges_failed', err: error });
      return [];
    }
  };
  const latest = () => {
    if (reading === undefined || performance.now() - readAtMs >= READ_AT_MOST_EVERY_MS) {
      readAtMs = performance.now();
      reading = readOwned();
    }
    return reading;
  };
  const ofTables = (name: string, help: string, pick: (counts: TableCounts) => number | undefined) =>
    metrics.readGauge(name, help, ['table'], async () =>
      (await latest()).flatMap((counts) => {
        const value = pick(counts);
        return value === undefined ? [] : [{ labels: { table: counts.table }, value }];
      }),
    );
  const inTotal = (name: string, help: string, pick: (counts: TableCounts) => number) =>
    metrics.readGauge(name, help, [], async () => [
      { labels: {}, value: (await latest()).reduce((sum, counts) => sum + pick(counts), 0) },
    ]);

  ofTables('miniodb_table_records_total', 'Rows of the table, pending ones too', ({ records }) => records);
  ofTables('miniodb_table_files_total', 'Files of the table in the bucket', ({ files }) => files);
  ofTables('miniodb_table_size_bytes', 'Bytes of these files', ({ sizeBytes }) => sizeBytes);
  ofTables(
    'miniodb_table_buffer_size',
    'Pending rows of a shard that make its flush due, as configured',
    ({ bufferSize }) => bufferSize ?? defaults.buffer_size,
  );
  ofTables('miniodb_table_buffer_pending', 'Rows that are not in a file yet', (counts) => counts.pendingRows);
  ofTables(
    'miniodb_table_last_write_timestamp',
    'When rows were last accepted, seconds since 1970',
    ({ lastWriteMs }) => seconds(lastWriteMs),
  );
  ofTables(
    'miniodb_table_last_flush_timestamp',
    'When rows were last committed to files, seconds since 1970',
    ({ lastFlushMs }) => seconds(lastFlushMs),
  );
  const owned = 'of the tables that this flusher owns';
  inTotal('miniodb_queue_pending_rows', `Pending rows ${owned}`, ({ pendingRows }) => pendingRows);
  inTotal(
    'miniodb_queue_pending_bytes',
    `What counts against max_pending_bytes, ${owned}`,
    ({ pendingBytes }) => pendingBytes,
  );
  inTotal(
    'miniodb_queue_pending_batches',
    `Pending batches ${owned}`,
    ({ pendingBatches }) => pendingBatches,
  );
  inTotal('miniodb_queue_tables', 'Tables that this flusher owns', () => 1);
  metrics.watch('miniodb_flusher_tables_not_exported', 'Owned tables beyond the export limit', () => skipped);
}

async function within<Result>(work: Promise<Result>, timeoutMs: number): Promise<Result> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(
      new MiniodbError('unavailable', `Redis did not answer in ${timeoutMs} ms`, {
        code: 'redis_unavailable',
      }),
    );
  }, timeoutMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
    // What comes too late is nobody's failure.
    work.catch(() => {});
  }
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000;
}

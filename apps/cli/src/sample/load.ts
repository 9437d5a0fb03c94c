import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorKind, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { OlapClient } from '@miniodb/proto/client.ts';
import { CreateTableRequest, WriteBatchRequest } from '@miniodb/proto/gen/olap/v1/olap.ts';
import { type DataSet, readDataSet, type SampleRow } from './data-sets.ts';
import type { ProgressFile } from './progress-file.ts';

/** About 300 KB of flights: enough to fill a request, little enough for the progress to move. */
export const CHUNK_ROWS = 2_000;
const TRIES_MAX = 10;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 3_000;

/** A chunk has a batch id, so it may be sent again even where the outcome is not known. */
const REPEATABLE: ReadonlySet<ErrorKind> = new Set<ErrorKind>([
  'unavailable',
  'resource_exhausted',
  'deadline_exceeded',
  'outcome_unknown',
]);

export interface LoadContext {
  readonly client: Pick<OlapClient, 'createTable' | 'writeBatch'>;
  readonly progress: ProgressFile;
  readonly signal: AbortSignal;
  readonly onChunk: (table: string, rows: number, ofRows: number) => void;
}

export interface Loaded {
  readonly rows: number;
  /** Rows that were sent now; fewer than `rows` when an earlier load was interrupted. */
  readonly sentRows: number;
}

/** Creates the table and loads what is not acknowledged yet, in order. Throws what the gateway refuses. */
export async function loadDataSet(dataSet: DataSet, context: LoadContext): Promise<Loaded> {
  const { table } = dataSet;
  const rows = readDataSet(dataSet);
  await createTable(dataSet, context);
  const first = context.progress.acknowledgedChunks(table);
  for (let chunk = first; chunk * CHUNK_ROWS < rows.length; chunk += 1) {
    const chunkRows = rows.slice(chunk * CHUNK_ROWS, (chunk + 1) * CHUNK_ROWS);
    const request = WriteBatchRequest.create({
      table,
      ndjson: ndjson(chunkRows),
      batch_id: `sample-1-${table}-${chunk}`,
    });
    await repeat(context.signal, () => context.client.writeBatch(request, { signal: context.signal }));
    context.progress.acknowledged(table, chunk + 1);
    context.onChunk(table, chunk * CHUNK_ROWS + chunkRows.length, rows.length);
  }
  return { rows: rows.length, sentRows: Math.max(0, rows.length - first * CHUNK_ROWS) };
}

async function createTable(dataSet: DataSet, { client, signal }: LoadContext): Promise<void> {
  const request = CreateTableRequest.create({
    table_name: dataSet.table,
    if_not_exists: true,
    // The rows are years old: no retention may take them.
    config: { retention_days: -1, properties: { description: dataSet.description } },
  });
  const { success, message } = await repeat(signal, () => client.createTable(request, { signal }));
  if (!success) throw new MiniodbError('failed_precondition', message, { code: 'sample_table_refused' });
}

function ndjson(rows: readonly SampleRow[]): Uint8Array {
  return Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

async function repeat<T>(signal: AbortSignal, send: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      const repeatable = error instanceof MiniodbError && REPEATABLE.has(error.kind);
      if (!repeatable || attempt === TRIES_MAX || signal.aborted) throw error;
      const backoffMs = Math.min(BACKOFF_MS_MIN * 2 ** (attempt - 1), BACKOFF_MS_MAX);
      await sleep(Math.max(backoffMs, error.retryAfterMs ?? 0), undefined, { signal });
    }
  }
}

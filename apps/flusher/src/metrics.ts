import { type Counter, type Histogram, Metrics } from '@miniodb/core/runtime/metrics.ts';

/** What a flusher counts. */
export class FlusherMetrics extends Metrics {
  readonly #rows: Counter<'table'> = this.counter('miniodb_flusher_rows_total', 'Rows committed', ['table']);
  readonly #files: Counter<'table'> = this.counter('miniodb_flusher_files_total', 'Files committed', [
    'table',
  ]);
  readonly #bytes: Counter<'table'> = this.counter(
    'miniodb_flusher_bytes_total',
    'Bytes of committed files',
    ['table'],
  );
  readonly #seconds: Histogram<'table'> = this.seconds(
    'miniodb_table_flush_duration_seconds',
    'From seal to commit',
    ['table'],
  );
  readonly #notTaken: Counter<'status'> = this.counter(
    'miniodb_flusher_commits_not_taken_total',
    'Commits that found their seal gone',
    ['status'],
  );
  readonly #failures: Counter<'code'> = this.counter(
    'miniodb_flusher_failures_total',
    'Flushes put off, by cause',
    ['code'],
  );
  readonly #setAside: Counter = this.counter(
    'miniodb_flusher_batches_set_aside_total',
    'Undecodable batches',
    [],
  );

  flushed(
    table: string,
    rows: number,
    files: readonly { readonly sizeBytes: number }[],
    seconds: number,
  ): void {
    this.#rows.inc({ table }, rows);
    this.#files.inc({ table }, files.length);
    this.#bytes.inc(
      { table },
      files.reduce((sum, file) => sum + file.sizeBytes, 0),
    );
    this.#seconds.observe({ table }, seconds);
  }

  commitNotTaken(status: string): void {
    this.#notTaken.inc({ status });
  }

  failed(code: string): void {
    this.#failures.inc({ code });
  }

  setAside(batches: number): void {
    this.#setAside.inc(batches);
  }
}

import { type Counter, type Histogram, Metrics } from '@miniodb/core/runtime/metrics.ts';

/** What a flusher counts. */
export class FlusherMetrics extends Metrics {
  readonly #rows: Counter<'table'> = this.tableCounter('miniodb_flusher_rows_total', 'Rows committed');
  readonly #files: Counter<'table'> = this.tableCounter('miniodb_flusher_files_total', 'Files committed');
  readonly #bytes: Counter<'table'> = this.tableCounter(
    'miniodb_flusher_bytes_total',
    'Bytes of committed files',
  );
  readonly #seconds: Histogram<'table'> = this.tableSeconds(
    'miniodb_table_flush_duration_seconds',
    'From seal to commit',
  );
  readonly #drift: Counter<'counter'> = this.counter(
    'miniodb_flusher_counter_drift_total',
    'Counters of tables that a recount found wrong, and put right',
    ['counter'],
  );
  readonly #lag: Histogram = this.seconds(
    'miniodb_flusher_lag_seconds',
    'From the accept of the oldest row of a flush to its commit',
    [],
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
    const of = this.ofTable(table);
    this.#rows.inc(of, rows);
    this.#files.inc(of, files.length);
    this.#bytes.inc(
      of,
      files.reduce((sum, file) => sum + file.sizeBytes, 0),
    );
    this.#seconds.observe(of, seconds);
  }

  lagged(seconds: number): void {
    this.#lag.observe(seconds);
  }

  commitNotTaken(status: string): void {
    this.#notTaken.inc({ status });
  }

  failed(code: string): void {
    this.#failures.inc({ code });
  }

  drifted(counter: string): void {
    this.#drift.inc({ counter });
  }

  setAside(batches: number): void {
    this.#setAside.inc(batches);
  }
}

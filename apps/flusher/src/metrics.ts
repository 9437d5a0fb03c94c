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

  readonly #compactedIn: Counter<'table'> = this.tableCounter(
    'miniodb_flusher_compaction_inputs_total',
    'Files that compaction took out of the index',
  );
  readonly #compactedOut: Counter<'table'> = this.tableCounter(
    'miniodb_flusher_compaction_outputs_total',
    'Files that compaction put in their place',
  );
  readonly #compactionSeconds: Histogram = this.seconds(
    'miniodb_flusher_compaction_seconds',
    'From plan to swap',
    [],
  );
  readonly #compactionsNotTaken: Counter<'status'> = this.counter(
    'miniodb_flusher_compactions_not_taken_total',
    'Rewrites whose inputs or plan were gone when they were done',
    ['status'],
  );
  readonly #swept: Counter<'kind'> = this.counter(
    'miniodb_flusher_objects_deleted_total',
    'Objects deleted: doomed ones left the index, orphans never were in it',
    ['kind'],
  );
  readonly #scansRefused: Counter = this.counter(
    'miniodb_flusher_orphan_scans_refused_total',
    'Scans that found more orphans than files: nothing was deleted, somebody has to look',
    [],
  );

  readonly #removedFiles: Counter<'kind'> = this.counter(
    'miniodb_flusher_files_removed_total',
    'Files that retention and cleanups took out of tables',
    ['kind'],
  );
  readonly #removedRows: Counter<'kind'> = this.counter(
    'miniodb_flusher_rows_removed_total',
    'Rows that retention and cleanups took out of tables',
    ['kind'],
  );
  readonly #retentionRefused: Counter<'reason'> = this.counter(
    'miniodb_flusher_retention_refused_total',
    'Tables whose retention was not done because clocks contradict each other',
    ['reason'],
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

  removed(kind: 'retention' | 'cleanup', removed: { readonly files: number; readonly rows: number }): void {
    this.#removedFiles.inc({ kind }, removed.files);
    this.#removedRows.inc({ kind }, removed.rows);
  }

  retentionRefused(reason: string): void {
    this.#retentionRefused.inc({ reason });
  }

  setAside(batches: number): void {
    this.#setAside.inc(batches);
  }

  compacted(table: string, inputs: number, outputs: number, seconds: number): void {
    const of = this.ofTable(table);
    this.#compactedIn.inc(of, inputs);
    this.#compactedOut.inc(of, outputs);
    this.#compactionSeconds.observe(seconds);
  }

  compactionNotTaken(status: string): void {
    this.#compactionsNotTaken.inc({ status });
  }

  swept(kind: 'doomed' | 'orphan'): void {
    this.#swept.inc({ kind });
  }

  scanRefused(): void {
    this.#scansRefused.inc();
  }
}

import { type Counter, type Gauge, type Histogram, Metrics } from '@miniodb/core/runtime/metrics.ts';

/** What a gateway counts. */
export class GatewayMetrics extends Metrics {
  readonly #rows: Counter<'table'> = this.tableCounter('miniodb_gateway_rows_total', 'Rows acknowledged');
  readonly #writeSeconds: Histogram<'table'> = this.tableSeconds(
    'miniodb_table_write_duration_seconds',
    'From accepting a write to its acknowledgement',
  );
  readonly #tableQuerySeconds: Histogram<'table'> = this.tableSeconds(
    'miniodb_table_query_duration_seconds',
    'Queries of a table; one that joins counts for each of its tables',
  );
  readonly #refusals: Counter<'code'> = this.counter(
    'miniodb_gateway_refusals_total',
    'Calls refused, by code',
    ['code'],
  );
  readonly #querySeconds: Histogram = this.seconds(
    'miniodb_gateway_query_duration_seconds',
    'Queries, whole',
    [],
  );

  readonly #inflightBytes: Gauge = this.gauge(
    'miniodb_gateway_inflight_bytes',
    'Memory that writes under way have taken of MINIODB_INFLIGHT_BYTES_MAX',
    [],
  );
  readonly #slowed: Counter = this.counter(
    'miniodb_gateway_writes_slowed_total',
    'Writes that waited because Redis fills up',
    [],
  );
  readonly #auditLost: Counter = this.counter(
    'miniodb_gateway_audit_lost_total',
    'Audit entries that could not be written',
    [],
  );

  rowsAccepted(table: string, rows: number, seconds: number): void {
    const of = this.ofTable(table);
    this.#rows.inc(of, rows);
    this.#writeSeconds.observe(of, seconds);
  }

  refused(code: string): void {
    this.#refusals.inc({ code });
  }

  inflight(bytes: number): void {
    this.#inflightBytes.set(bytes);
  }

  /** @param tables that exist, in lower case, each once */
  queried(tables: readonly string[], seconds: number): void {
    this.#querySeconds.observe(seconds);
    for (const table of tables) this.#tableQuerySeconds.observe(this.ofTable(table), seconds);
  }

  slowed(): void {
    this.#slowed.inc();
  }

  auditLost(entries: number): void {
    this.#auditLost.inc(entries);
  }
}

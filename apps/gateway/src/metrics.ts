import { type Counter, type Gauge, type Histogram, Metrics } from '@miniodb/core/runtime/metrics.ts';

/** What a gateway counts. */
export class GatewayMetrics extends Metrics {
  readonly #rows: Counter<'table'> = this.counter('miniodb_gateway_rows_total', 'Rows acknowledged', [
    'table',
  ]);
  readonly #writeSeconds: Histogram<'table'> = this.seconds(
    'miniodb_table_write_duration_seconds',
    'From accepting a write to its acknowledgement',
    ['table'],
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

  rowsAccepted(table: string, rows: number, seconds: number): void {
    this.#rows.inc({ table }, rows);
    this.#writeSeconds.observe({ table }, seconds);
  }

  refused(code: string): void {
    this.#refusals.inc({ code });
  }

  inflight(bytes: number): void {
    this.#inflightBytes.set(bytes);
  }

  queried(seconds: number): void {
    this.#querySeconds.observe(seconds);
  }
}

import { type Histogram, Metrics } from '@miniodb/core/runtime/metrics.ts';

/** What a querier counts. */
export class QuerierMetrics extends Metrics {
  readonly #seconds: Histogram = this.seconds(
    'miniodb_querier_query_duration_seconds',
    'From accepting a query to its last byte',
    [],
  );

  queried(seconds: number): void {
    this.#seconds.observe(seconds);
  }
}

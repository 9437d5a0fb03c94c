import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type { Counter, Gauge, Histogram } from 'prom-client';

const SECONDS_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Few: 1,000 tables have them each, ten lines a table with the sum and the count. */
const TABLE_SECONDS_BUCKETS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60];

export interface Sample<Label extends string> {
  readonly labels: Readonly<Record<Label, string>>;
  readonly value: number;
}

/** A metric whose series can be taken back. */
interface TableMetric {
  remove(labels: { readonly table: string }): void;
}

/**
 * One process' metrics. Names carry the unit. Tables are a label only when they exist: what has been counted of one
 * that is gone is taken back by forgetTables.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #byTable: TableMetric[] = [];
  readonly #tables = new Set<string>();

  constructor() {
    // A timer fires this often to see how late it is, and the lags that it gives include it: every 10 ms, the default,
    // costs an idle process 0.4 % of a core.
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: 100 });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> {
    return new Gauge({ name, help, labelNames, registers: [this.#registry] });
  }

  /** Durations in seconds. */
  seconds<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Histogram<Label> {
    return new Histogram({ name, help, labelNames, buckets: SECONDS_BUCKETS, registers: [this.#registry] });
  }

  /** Of tables, by name: count with `ofTable`. */
  tableCounter(name: string, help: string): Counter<'table'> {
    const counter = this.counter(name, help, ['table']);
    this.#byTable.push(counter);
    return counter;
  }

  /** Durations of tables in seconds: observe with `ofTable`. */
  tableSeconds(name: string, help: string): Histogram<'table'> {
    const histogram = new Histogram({
      name,
      help,
      labelNames: ['table'] as const,
      buckets: TABLE_SECONDS_BUCKETS,
      registers: [this.#registry],
    });
    this.#byTable.push(histogram);
    return histogram;
  }

  /** The label of a table that exists. */
  ofTable(table: string): { readonly table: string } {
    this.#tables.add(table);
    return { table };
  }

  /** Takes back what was counted of tables that are no more. */
  forgetTables(isTable: (table: string) => boolean): void {
    for (const table of this.#tables) {
      if (isTable(table)) continue;
      this.#tables.delete(table);
      for (const metric of this.#byTable) metric.remove({ table });
    }
  }

  /** Tables that something was counted of. */
  get tablesCounted(): number {
    return this.#tables.size;
  }

  /**
   * A gauge that is read whenever somebody asks for metrics. @param read what it leaves out, or undefined, has no
   * series in that answer; it must not throw
   */
  readGauge<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    read: () => Promise<readonly Sample<Label>[]>,
  ): void {
    const gauge = this.gauge(name, help, labelNames);
    const collect = async () => {
      const samples = await read();
      gauge.reset();
      // A reset leaves the one series of a gauge without labels at 0.
      if (labelNames.length === 0) gauge.remove();
      for (const { labels, value } of samples) gauge.set(labels, value);
    };
    Object.assign(gauge, { collect });
  }

  /** @param read gives the number whenever it is asked for */
  watch(name: string, help: string, read: () => number): void {
    this.readGauge(name, help, [], async () => [{ labels: {}, value: read() }]);
  }

  /** @param read gives the total since the start; it never falls */
  watchTotal(name: string, help: string, read: () => number): void {
    const counter = this.counter(name, help, []);
    const collect = () => {
      counter.reset();
      counter.inc(read());
    };
    Object.assign(counter, { collect });
  }
}

import type { Log } from '@miniodb/core/runtime/log.ts';
import type { GatewayMetrics } from './metrics.ts';
import type { Tables } from './table/tables.ts';

const EVERY_MS = 30_000;

/** Takes back, now and then, what was counted of tables that are no more. @returns what stops it */
export function forgetTablesNowAndThen(
  tables: Pick<Tables, 'names'>,
  metrics: GatewayMetrics,
  log: Log,
): () => void {
  const forget = async () => {
    if (metrics.tablesCounted === 0) return;
    try {
      const names = await tables.names();
      metrics.forgetTables((table) => names.has(table));
    } catch (error) {
      log.debug({ event: 'forget_tables_failed', err: error });
    }
  };
  const timer = setInterval(() => void forget(), EVERY_MS);
  return () => clearInterval(timer);
}

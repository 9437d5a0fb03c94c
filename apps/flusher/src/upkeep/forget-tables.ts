import type { Catalog } from '@miniodb/core/table/catalog.ts';
import type { FlusherMetrics } from '../metrics.ts';
import type { UpkeepTask } from './upkeep.ts';

const EVERY_MS = 30_000;

/** Takes back what was counted of tables that are no more. */
export function forgetTables(catalog: Pick<Catalog, 'names'>, metrics: FlusherMetrics): UpkeepTask {
  return {
    name: 'forget-tables',
    everyMs: EVERY_MS,
    run: async () => {
      if (metrics.tablesCounted === 0) return;
      const names = new Set(await catalog.names());
      metrics.forgetTables((table) => names.has(table));
    },
  };
}

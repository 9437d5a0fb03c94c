import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import { intendDrop } from '@miniodb/core/table/listing.ts';
import type { Ownership } from '../ownership/ownership.ts';
import type { UpkeepTask } from './upkeep.ts';

/**
 * Takes names off the list of tables whose creator died before it made the table: they count against max_tables. Only
 * a name that has been without a table all the time of graceMs, which is longer than any creation takes; and the
 * collector of drops, who does it, looks again.
 */
export interface RepairListingContext {
  readonly redis: Redis;
  readonly fixed: FixedKeys;
  readonly ownership: Pick<Ownership, 'ownsTable'>;
  readonly log: Log;
}

const TABLES_AT_ONCE = 500;

export function repairListingTask(
  context: RepairListingContext,
  settings: { readonly everyMs: number; readonly graceMs: number } = { everyMs: 30_000, graceMs: 60_000 },
): UpkeepTask {
  /** Name -> when it was first seen without a table, monotonic. */
  let missing: ReadonlyMap<string, number> = new Map();
  return {
    name: 'repair-listing',
    everyMs: settings.everyMs,
    async run() {
      const { redis, log } = context;
      const now = performance.now();
      const still = new Map<string, number>();
      for (const name of await namesWithoutTable(context)) {
        const since = missing.get(name) ?? now;
        if (now - since < settings.graceMs) still.set(name, since);
        else {
          log.warn({ event: 'listing_without_table', table: name });
          await intendDrop(redis, name, '');
        }
      }
      missing = still;
    },
  };
}

async function namesWithoutTable({ redis, fixed, ownership }: RepairListingContext): Promise<string[]> {
  try {
    const names = (await redis.smembers(fixed.tablesList)).filter((name) => ownership.ownsTable(name));
    const missing: string[] = [];
    for (let from = 0; from < names.length; from += TABLES_AT_ONCE) {
      const chunk = names.slice(from, from + TABLES_AT_ONCE);
      const read = redis.pipeline();
      for (const name of chunk) read.hexists(fixed.config(name), 'generation');
      const replies = (await read.exec()) ?? [];
      missing.push(...chunk.filter((_, at) => replies[at]?.[0] === null && replies[at][1] === 0));
    }
    return missing;
  } catch (error) {
    throw classifyRedisError(error);
  }
}

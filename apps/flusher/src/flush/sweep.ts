import { surveyTables } from '@miniodb/core/queue/survey.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import type { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Catalog } from '@miniodb/core/table/catalog.ts';
import { type FixedKeys, shardName } from '@miniodb/core/table/keys.ts';
import type { Candidate } from './hints.ts';

/**
 * Shards without anything pending that are looked at all the same, in turn: their counters could be wrong, or jobs could
 * have stayed behind. With 1,000 tables of two shards, each is looked at every 16 minutes.
 */
const SPOT_LOOKS = 32;

export interface Swept {
  readonly candidates: readonly Candidate[];
  readonly unreadable: readonly { readonly name: string; readonly error: MiniodbError }[];
}

/** Finds work that nothing hints at, over all tables; what tables without any cost is two small pipelined reads. */
export class Sweep {
  readonly #redis: Redis;
  readonly #fixed: FixedKeys;
  readonly #catalog: Catalog;
  #spotFrom = 0;

  constructor(redis: Redis, fixed: FixedKeys, catalog: Catalog) {
    this.#redis = redis;
    this.#fixed = fixed;
    this.#catalog = catalog;
  }

  async run(): Promise<Swept> {
    const names = (await this.#catalog.names()).sort();
    const candidates: Candidate[] = [];
    const idle: Candidate[] = [];
    const unreadable: { name: string; error: MiniodbError }[] = [];
    for (const table of await surveyTables(this.#redis, this.#fixed, names)) {
      if ('error' in table) {
        unreadable.push(table);
        continue;
      }
      const shards = Array.from({ length: table.shards }, (_, shard) => ({
        table: table.name,
        shard: shardName(shard),
        hint: undefined,
      }));
      (table.pendingBatches > 0 ? candidates : idle).push(...shards);
    }
    return { candidates: [...candidates, ...this.#spots(idle)], unreadable };
  }

  #spots(idle: readonly Candidate[]): readonly Candidate[] {
    if (this.#spotFrom >= idle.length) this.#spotFrom = 0;
    const spots = idle.slice(this.#spotFrom, this.#spotFrom + SPOT_LOOKS);
    this.#spotFrom += SPOT_LOOKS;
    return spots;
  }
}

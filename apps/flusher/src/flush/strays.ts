import type { ShardState } from '@miniodb/core/queue/seals.ts';
import { LRUCache } from 'lru-cache';

const LOOK_EVERY_MS = 5_000;
const SHARDS_MAX = 100_000;
/** So many more jobs than batches are worth a visit of their own. */
const STRAYS_MAX = 1_000;

/** Jobs that announce nothing. Those that a dead flusher had claimed come back only when their locks run out. */
export class Strays {
  readonly #lookedAt = new LRUCache<string, true>({ max: SHARDS_MAX, ttl: LOOK_EVERY_MS });

  /** True for claimed jobs at most once in a while: clearing does not help until their locks have run out. */
  isWorthClearing(shard: string, state: ShardState): boolean {
    if (state.jobsWaiting > state.unsealed.batches + STRAYS_MAX) return true;
    if (state.unsealed.batches > 0) return false;
    if (state.jobsWaiting > 0) return true;
    if (state.jobsActive === 0 || this.#lookedAt.has(shard)) return false;
    this.#lookedAt.set(shard, true);
    return true;
  }
}

import type { ShardState } from '@miniodb/core/queue/seals.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import { LRUCache } from 'lru-cache';
import { dueInMs } from './due.ts';
import type { Candidate } from './hints.ts';

/** A shard whose hint does not change is looked at this often until it is due: settings may have changed. */
const LOOK_AGAIN_MS = 1_000;
/** Others' shards matter only when they are overdue. */
const FOREIGN_LOOK_AGAIN_MS = 3_000;
/** Bounds how often a shard is looked at whose rows are just not due yet. */
const LOOK_AGAIN_MS_MIN = 100;
const SHARDS_MAX = 100_000;
/** Longer than any time between looks at a shard that has work; what is older is of a table that is gone. */
const KEPT_MS = 30_000;

interface Watched {
  readonly table: string;
  readonly hint: string | undefined;
  readonly isOwned: boolean;
  /** Flushes of it that may run at once. */
  readonly shardMax: number;
  readonly lookAgainAtMs: number;
}

/** Shards that had work when they were last looked at, by `<table>|s00`, and when to look at them again. */
export class WatchList {
  readonly #watched = new LRUCache<string, Watched>({ max: SHARDS_MAX, ttl: KEPT_MS });

  /** @param atOnceMax flushes of it that may run at once */
  note(
    { table, shard, hint }: Candidate,
    state: ShardState,
    config: TableConfig,
    atOnceMax: number,
    isOwned: boolean,
  ): void {
    const dueMs = Math.max(dueInMs(state, config) ?? LOOK_AGAIN_MS, LOOK_AGAIN_MS_MIN);
    const againMs = isOwned ? Math.min(LOOK_AGAIN_MS, dueMs) : FOREIGN_LOOK_AGAIN_MS;
    const lookAgainAtMs = performance.now() + againMs;
    this.#watched.set(`${table}|${shard}`, { table, hint, isOwned, shardMax: atOnceMax, lookAgainAtMs });
  }

  forget(shard: string): void {
    this.#watched.delete(shard);
  }

  hintOf(shard: string): string | undefined {
    return this.#watched.get(shard)?.hint;
  }

  lookAgainNow(shard: string): void {
    const watched = this.#watched.get(shard);
    if (watched !== undefined) this.#watched.set(shard, { ...watched, lookAgainAtMs: 0 });
  }

  /**
   * Whether a look can say something new.
   * @param isDue what is due there waits for a slot already
   * @param running flushes of it under way
   */
  isWorthALook({ table, shard, hint }: Candidate, isDue: boolean, running: number): boolean {
    const watched = this.#watched.get(`${table}|${shard}`);
    if (watched === undefined || performance.now() >= watched.lookAgainAtMs) return true;
    const isNews = hint !== undefined && hint !== watched.hint;
    // When a flush of it ends, it is looked at anyway.
    return isNews && watched.isOwned && !isDue && running < watched.shardMax;
  }

  /** Whether this flusher has work of other tables than this one. */
  hasOthersThan(table: string): boolean {
    for (const watched of this.#watched.values()) if (watched.isOwned && watched.table !== table) return true;
    return false;
  }
}

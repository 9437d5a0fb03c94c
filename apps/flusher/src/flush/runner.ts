import { lookAtShard, type ShardRef, type ShardState } from '@miniodb/core/queue/seals.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import { type Table, tableFromHash } from '@miniodb/core/table/catalog.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import { LRUCache } from 'lru-cache';
import type { Backoff } from './backoff.ts';
import { dueReason } from './due.ts';
import { sealLimits } from './limits.ts';
import { breakUpSeal, clearStrayJobs, driveSeal, type FlushContext, sealOldest } from './pipeline.ts';
import { newSealId } from './seal.ts';

/** After so many failures for want of memory, a seal is broken up and the shard's next ones are half as large. */
const TOO_LARGE_FAILURES = 2;
const SHRINK_MAX = 1_024;
const SHARDS_MAX = 10_000;

/** A seal that was made here, and the shard count of its table then. */
export interface OwnSeal {
  readonly id: string;
  readonly shards: number;
}

/**
 * Does what was chosen. It may have waited for its slot: what has changed meanwhile (rows, settings, the table itself)
 * is looked at again first.
 */
export class Runner {
  readonly #context: FlushContext;
  readonly #defaults: TableConfig;
  readonly #seals: Backoff;
  readonly #held = new Set<string>();
  /** Shard -> divisor of its seals' limits. */
  readonly #shrink = new LRUCache<string, number>({ max: SHARDS_MAX });
  /** A drain lets flushes finish: within its time they do, and what does not is driven on by others. */
  readonly #neverAborted = new AbortController().signal;

  /** @param seals pauses of seals that failed */
  constructor(context: FlushContext, defaults: TableConfig, seals: Backoff) {
    this.#context = context;
    this.#defaults = defaults;
    this.#seals = seals;
  }

  /** Ids of the seals that are being worked on here. */
  get held(): ReadonlySet<string> {
    return this.#held;
  }

  /**
   * Makes a seal if one is still due, and holds it: `driveOwn` must follow.
   * @param isShared whether other tables have rows here
   */
  async seal(ref: ShardRef, isShared: boolean): Promise<OwnSeal | undefined> {
    const looked = await this.#look(ref);
    if (looked === undefined || dueReason(looked.state, looked.table.config) === undefined) return undefined;
    const { config } = looked.table;
    const limits = sealLimits(config, this.#shrink.get(shardOf(ref)) ?? 1, isShared);
    const sealId = newSealId();
    this.#held.add(sealId);
    let isSealed = false;
    try {
      isSealed = await sealOldest(this.#context, ref, looked.state, config, limits, sealId);
    } finally {
      if (!isSealed) this.#held.delete(sealId);
    }
    return isSealed ? { id: sealId, shards: config.shards } : undefined;
  }

  /** A seal of `seal()` to its commit. */
  async driveOwn(ref: ShardRef, seal: OwnSeal): Promise<void> {
    try {
      await driveSeal(this.#context, ref, seal.shards, seal.id, this.#neverAborted);
    } finally {
      this.#held.delete(seal.id);
    }
  }

  /** A seal that was left behind. Never throws: what came after it must not be kept waiting. */
  async drive(ref: ShardRef, sealId: string): Promise<void> {
    this.#held.add(sealId);
    try {
      const looked = await this.#look(ref);
      if (looked === undefined) return;
      await driveSeal(this.#context, ref, looked.table.config.shards, sealId, this.#neverAborted);
      this.#seals.succeeded(sealId);
    } catch (thrown) {
      const error = asMiniodbError(thrown);
      const { failures, pauseMs } = this.#seals.failed(sealId, performance.now());
      this.#context.metrics.failed(error.code);
      const fields = { seal: sealId, failures, retry_in_ms: pauseMs, err: error };
      this.#context.log.error({ event: 'seal_failed', shard: shardOf(ref), ...fields });
      if (error.code === 'encoder_out_of_memory' && failures >= TOO_LARGE_FAILURES)
        await this.#breakUp(ref, sealId);
    } finally {
      this.#held.delete(sealId);
    }
  }

  /** Completes jobs that announce nothing any more. */
  async clear(ref: ShardRef): Promise<void> {
    const looked = await this.#look(ref);
    if (looked !== undefined) await clearStrayJobs(this.#context, ref, looked.state);
  }

  async #breakUp(ref: ShardRef, sealId: string): Promise<void> {
    const shard = shardOf(ref);
    this.#shrink.set(shard, Math.min(2 * (this.#shrink.get(shard) ?? 1), SHRINK_MAX));
    try {
      await breakUpSeal(this.#context, ref, sealId);
    } catch (error) {
      this.#context.log.error({ event: 'break_up_failed', shard, seal: sealId, err: error });
    }
  }

  /** Undefined when that incarnation of the table is no more. */
  async #look(ref: ShardRef): Promise<{ readonly state: ShardState; readonly table: Table } | undefined> {
    const state = await lookAtShard(this.#context.redis, this.#context.fixed, ref);
    const table = tableFromHash(ref.table, state.config, this.#defaults);
    return table?.generation === ref.generation ? { state, table } : undefined;
  }
}

function shardOf(ref: ShardRef): string {
  return `${ref.table}|${ref.shard}`;
}

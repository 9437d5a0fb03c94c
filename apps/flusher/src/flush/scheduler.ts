import { lookAtShard, type ShardRef, type ShardState } from '@miniodb/core/queue/seals.ts';
import { runVerb } from '@miniodb/core/redis/script.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Catalog, type Table, tableFromHash } from '@miniodb/core/table/catalog.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import { GLOBAL_KEYS, shardName } from '@miniodb/core/table/keys.ts';
import { LRUCache } from 'lru-cache';
import type { Ownership } from '../ownership/ownership.ts';
import { Backoff } from './backoff.ts';
import { dueReason, isOverdue, isSettled, orphanSeals } from './due.ts';
import { breakUpSeal, clearStrayJobs, driveSeal, type FlushContext, flushShard } from './pipeline.ts';

/**
 * Decides what this flusher works on. Two sources of candidates: the hints that gateways leave (looked at every tick)
 * and all shards of all tables (now and then, because hints can be lost). A candidate is looked at, which is the
 * truth, and worked on when it is this flusher's and something is due, or when it is anybody's and nobody does it.
 *
 * Modes: running (ticks) -> draining (no new work, what runs goes on) -> stopped. Only drain() changes them.
 */

const TICK_MS = 100;
const FOREIGN_LOOK_EVERY_MS = 3_000;
const STRAYS_LOOK_EVERY_MS = 5_000;
const SWEEP_EVERY_MS = 15_000;
const HINTS_PER_TICK_MAX = 1_000;
const LOOKS_AT_ONCE = 32;
const SHARD_PAUSE_MS_MAX = 10_000;
/** A seal that fails again and again must not take the time of those that do not. */
const SEAL_PAUSE_MS_MAX = 15_000;
/** With so many seals that wait for better times, what is pending is left to grow into larger ones. */
const SEALS_WAITING_MAX = 16;
/** So many more jobs than batches are worth a visit of their own. */
const STRAYS_MAX = 1_000;
/** After so many failures for want of memory, a seal is broken up and the shard's next ones are half as large. */
const TOO_LARGE_FAILURES = 2;
const SHRINK_MAX = 1_024;

interface Candidate {
  readonly table: string;
  readonly shard: string;
  /** Score of its hint; undefined when it came from the sweep. */
  readonly hint: string | undefined;
}

export class Scheduler {
  readonly #context: FlushContext;
  readonly #ownership: Ownership;
  readonly #catalog: Catalog;
  readonly #defaults: TableConfig;
  readonly #concurrency: number;
  readonly #tables = new LRUCache<string, Table>({ max: 10_000, ttl: 1_000 });
  readonly #running = new Map<string, Promise<void>>();
  readonly #held = new Set<string>();
  readonly #shards = new Backoff(SHARD_PAUSE_MS_MAX);
  readonly #seals = new Backoff(SEAL_PAUSE_MS_MAX);
  /** Shard -> divisor of its seals' limits. */
  readonly #shrink = new LRUCache<string, number>({ max: 10_000 });
  readonly #foreignLookedAt = new LRUCache<string, true>({ max: 100_000, ttl: FOREIGN_LOOK_EVERY_MS });
  readonly #straysLookedAt = new LRUCache<string, true>({ max: 100_000, ttl: STRAYS_LOOK_EVERY_MS });
  readonly #stop = new AbortController();
  #loop: Promise<void> | undefined;
  #sweptAtMs = Number.NEGATIVE_INFINITY;
  /** Where the window of hints stands: hot shards renew theirs and would hide the rest behind the first page. */
  #hintsFrom = 0;
  #lastTickMs = performance.now();

  constructor(context: FlushContext, ownership: Ownership, defaults: TableConfig, concurrency: number) {
    this.#context = context;
    this.#ownership = ownership;
    this.#defaults = defaults;
    this.#concurrency = concurrency;
    this.#catalog = new Catalog(context.redis, context.fixed, defaults);
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Milliseconds since it last looked for work; large when Redis is away. */
  get idleForMs(): number {
    return performance.now() - this.#lastTickMs;
  }

  /** No new work; waits for the flushes under way. */
  async drain(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.allSettled(this.#running.values());
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#tick();
        this.#lastTickMs = performance.now();
      } catch (error) {
        this.#context.log.warn({ event: 'tick_failed', err: error });
      }
      await pause(TICK_MS, signal);
    }
  }

  async #tick(): Promise<void> {
    const candidates = await this.#hinted();
    if (performance.now() - this.#sweptAtMs >= SWEEP_EVERY_MS) {
      this.#sweptAtMs = performance.now();
      candidates.push(...(await this.#everyShard()));
    }
    for (let from = 0; from < candidates.length; from += LOOKS_AT_ONCE) {
      await Promise.all(
        candidates.slice(from, from + LOOKS_AT_ONCE).map((candidate) => this.#tryConsider(candidate)),
      );
    }
  }

  async #hinted(): Promise<Candidate[]> {
    const flat = await this.#context.redis.zrange(
      GLOBAL_KEYS.dirty,
      String(this.#hintsFrom),
      String(this.#hintsFrom + HINTS_PER_TICK_MAX - 1),
      'WITHSCORES',
    );
    const isFull = flat.length === 2 * HINTS_PER_TICK_MAX;
    this.#hintsFrom = isFull ? this.#hintsFrom + HINTS_PER_TICK_MAX : 0;
    const candidates: Candidate[] = [];
    for (let at = 0; at < flat.length; at += 2) {
      const [table, shard] = (flat[at] as string).split('|');
      if (table !== undefined && shard !== undefined) {
        candidates.push({ table, shard, hint: flat[at + 1] as string });
      }
    }
    return candidates;
  }

  async #everyShard(): Promise<Candidate[]> {
    const candidates: Candidate[] = [];
    for (const name of await this.#catalog.names()) {
      let table: Table | undefined;
      try {
        table = await this.#table(name);
      } catch (error) {
        this.#putOff(name, error);
        continue;
      }
      for (let shard = 0; shard < (table?.config.shards ?? 0); shard += 1) {
        candidates.push({ table: name, shard: shardName(shard), hint: undefined });
      }
    }
    return candidates;
  }

  /** One table that cannot be read must not keep the others waiting. */
  async #tryConsider(candidate: Candidate): Promise<void> {
    try {
      await this.#consider(candidate);
    } catch (error) {
      this.#putOff(`${candidate.table}|${candidate.shard}`, error);
    }
  }

  #putOff(key: string, thrown: unknown): void {
    const error = asMiniodbError(thrown);
    const { failures, pauseMs } = this.#shards.failed(key, performance.now());
    this.#context.metrics.failed(error.code);
    this.#context.log.error({ event: 'flush_failed', key, failures, retry_in_ms: pauseMs, err: error });
  }

  async #consider({ table: name, shard, hint }: Candidate): Promise<void> {
    const key = `${name}|${shard}`;
    if (this.#running.has(key) || this.#shards.isPausing(key, performance.now())) return;
    const owned = this.#ownership.owns(name, shard);
    // Others' shards matter only when they are overdue: no need to look at them every tick.
    if (!owned && this.#foreignLookedAt.has(key)) return;
    if (!owned) this.#foreignLookedAt.set(key, true);

    const table = await this.#table(name);
    if (table === undefined) {
      await this.#settle(key, hint);
      return;
    }
    const ref = { table: name, generation: table.generation, shard };
    const state = await lookAtShard(this.#context.redis, this.#context.fixed, ref);
    const fresh = tableFromHash(name, state.config, this.#defaults);
    if (fresh?.generation !== table.generation) {
      this.#tables.delete(name);
      return;
    }
    if (isSettled(state)) {
      await this.#settle(key, hint);
      return;
    }
    if (!owned && !isOverdue(state, fresh.config)) return;
    const work = this.#workOn(ref, state, fresh.config);
    if (work === undefined || this.#running.size >= this.#concurrency || this.#running.has(key)) return;
    this.#launch(key, work);
  }

  /** What there is to do on a shard now; undefined: nothing. */
  #workOn(ref: ShardRef, state: ShardState, config: TableConfig): (() => Promise<void>) | undefined {
    const now = performance.now();
    const orphans = orphanSeals(state, this.#held).filter((sealId) => !this.#seals.isPausing(sealId, now));
    const due = state.seals.length < SEALS_WAITING_MAX ? dueReason(state, config) : undefined;
    const strays = this.#hasStrays(ref, state);
    if (orphans.length === 0 && due === undefined && !strays) return undefined;
    return async () => {
      for (const sealId of orphans) await this.#driveOrphan(ref, config, sealId);
      if (due !== undefined) {
        const shrink = this.#shrink.get(`${ref.table}|${ref.shard}`) ?? 1;
        await flushShard(this.#context, ref, state, config, shrink, this.#held, this.#neverAborted);
      }
      if (strays) await clearStrayJobs(this.#context, ref, state);
    };
  }

  /** Never throws: a seal that cannot be committed now must not keep what came after it waiting. */
  async #driveOrphan(ref: ShardRef, config: TableConfig, sealId: string): Promise<void> {
    const shard = `${ref.table}|${ref.shard}`;
    this.#held.add(sealId);
    try {
      await driveSeal(this.#context, ref, config.shards, sealId, this.#neverAborted);
      this.#seals.succeeded(sealId);
    } catch (thrown) {
      const error = asMiniodbError(thrown);
      const { failures, pauseMs } = this.#seals.failed(sealId, performance.now());
      this.#context.metrics.failed(error.code);
      const fields = { seal: sealId, failures, retry_in_ms: pauseMs, err: error };
      this.#context.log.error({ event: 'seal_failed', shard, ...fields });
      if (error.code === 'encoder_out_of_memory' && failures >= TOO_LARGE_FAILURES) {
        this.#shrink.set(shard, Math.min(2 * (this.#shrink.get(shard) ?? 1), SHRINK_MAX));
        await breakUpSeal(this.#context, ref, sealId).catch((reason: unknown) => this.#putOff(shard, reason));
      }
    } finally {
      this.#held.delete(sealId);
    }
  }

  /** Jobs that announce nothing. Those that a dead flusher had claimed come back only when their locks run out. */
  #hasStrays(ref: ShardRef, state: ShardState): boolean {
    if (state.jobsWaiting > state.unsealed.batches + STRAYS_MAX) return true;
    if (state.unsealed.batches > 0) return false;
    if (state.jobsWaiting > 0) return true;
    const key = `${ref.table}|${ref.shard}`;
    if (state.jobsActive === 0 || this.#straysLookedAt.has(key)) return false;
    this.#straysLookedAt.set(key, true);
    return true;
  }

  /** A drain lets flushes finish: within its time they do, and what does not is driven on by others. */
  readonly #neverAborted = new AbortController().signal;

  #launch(key: string, work: () => Promise<void>): void {
    const run = async () => {
      try {
        await work();
        this.#shards.succeeded(key);
      } catch (error) {
        this.#putOff(key, error);
      } finally {
        this.#running.delete(key);
      }
    };
    this.#running.set(key, run());
  }

  async #settle(key: string, hint: string | undefined): Promise<void> {
    if (hint !== undefined) await runVerb(this.#context.redis, 'settle', [GLOBAL_KEYS.dirty], [key, hint]);
  }

  async #table(name: string): Promise<Table | undefined> {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const table = await this.#catalog.read(name);
    if (table !== undefined) this.#tables.set(name, table);
    return table;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

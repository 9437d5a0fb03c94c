import { lookAtShard, type ShardRef, type ShardState } from '@miniodb/core/queue/seals.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Catalog, tableFromHash } from '@miniodb/core/table/catalog.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import { shardName } from '@miniodb/core/table/keys.ts';
import { LRUCache } from 'lru-cache';
import type { Ownership } from '../ownership/ownership.ts';
import { pause } from '../pause.ts';
import { Backoff } from './backoff.ts';
import { chooseNext, shardMax, type Waiting } from './choose.ts';
import { isOverdue, isSettled } from './due.ts';
import { type Candidate, Hints } from './hints.ts';
import type { FlushContext } from './pipeline.ts';
import { type OwnSeal, Runner } from './runner.ts';
import { Strays } from './strays.ts';
import { Sweep } from './sweep.ts';
import { besidesMax, type Task, taskName, tasksOf } from './tasks.ts';
import { Turns } from './turns.ts';
import { WatchList } from './watch-list.ts';

/**
 * Decides what this flusher works on, in three steps: find candidates (the hints that gateways leave, every tick, and
 * now and then all tables, because hints can be lost), look at them, which is the truth, and note what is due; whenever
 * there is a slot, choose fairly among what is due and run it.
 *
 * Modes: running (ticks) -> draining (no new work, what runs goes on) -> stopped. Only drain() changes them.
 */

const TICK_MS = 100;
/** Without hints and work, while whoever leaves the first hint says so. A tick costs 0.4 ms of CPU. */
const IDLE_TICK_MS = 1_000;
const SWEEP_EVERY_MS = 15_000;
const LOOKS_AT_ONCE = 32;
const SHARD_PAUSE_MS_MAX = 10_000;
/** A seal that fails again and again must not take the time of those that do not. */
const SEAL_PAUSE_MS_MAX = 15_000;
/** Looks find out when a table is of another generation; this only bounds what is kept of tables that are gone. */
const GENERATION_KEPT_MS = 60_000;

interface Work extends Waiting {
  readonly ref: ShardRef;
  readonly task: Task;
}

export class Scheduler {
  readonly #context: FlushContext;
  readonly #ownership: Ownership;
  readonly #catalog: Catalog;
  readonly #defaults: TableConfig;
  readonly #slots: number;
  readonly #hints: Hints;
  readonly #sweep: Sweep;
  readonly #runner: Runner;
  readonly #strays = new Strays();
  readonly #turns = new Turns();
  readonly #generations = new LRUCache<string, string>({ max: 10_000, ttl: GENERATION_KEPT_MS });
  readonly #watched = new WatchList();
  /** Shard -> what is due there and waits for a slot. */
  readonly #due = new Map<string, readonly Work[]>();
  readonly #running = new Map<Work, Promise<void>>();
  /** Shards whose seal is being made: until it is, what is unsealed says nothing. */
  readonly #sealing = new Set<string>();
  readonly #shards = new Backoff(SHARD_PAUSE_MS_MAX);
  readonly #seals = new Backoff(SEAL_PAUSE_MS_MAX);
  readonly #lookSoon = new Map<string, Candidate>();
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #loop: Promise<void> | undefined;
  #sweptAtMs = Number.NEGATIVE_INFINITY;
  #lastTickMs = performance.now();
  #tickAtMs = performance.now();

  /** @param listener a connection that is used for nothing else; the caller closes it */
  constructor(
    context: FlushContext,
    listener: Redis,
    ownership: Ownership,
    defaults: TableConfig,
    concurrency: number,
  ) {
    this.#context = context;
    this.#ownership = ownership;
    this.#defaults = defaults;
    this.#slots = concurrency;
    this.#catalog = new Catalog(context.redis, context.fixed, defaults);
    this.#hints = new Hints(context.redis, listener, () => this.#tickNow());
    this.#sweep = new Sweep(context.redis, context.fixed, this.#catalog);
    this.#runner = new Runner(context, defaults, this.#seals);
  }

  start(): void {
    this.#hints.listen();
    this.#loop = this.#run();
  }

  /** Milliseconds since it last looked for work; large when Redis is away. */
  get idleForMs(): number {
    return performance.now() - this.#lastTickMs;
  }

  /** Flushes under way, and those that are due and wait for a slot. */
  get load(): { readonly running: number; readonly waiting: number } {
    let waiting = 0;
    for (const works of this.#due.values()) waiting += works.length;
    return { running: this.#running.size, waiting };
  }

  /** No new work; waits for the flushes under way. */
  async drain(): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#loop;
    await Promise.allSettled(this.#running.values());
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      const isTick = performance.now() >= this.#tickAtMs;
      if (isTick) this.#tickAtMs = performance.now() + TICK_MS;
      try {
        await this.#lookAround(isTick);
        this.#lastTickMs = performance.now();
      } catch (error) {
        this.#context.log.warn({ event: 'tick_failed', err: error });
      }
      this.#dispatch();
      if (isTick && this.#isIdle()) this.#tickAtMs += IDLE_TICK_MS - TICK_MS;
      const waitMs = Math.max(this.#tickAtMs - performance.now(), 1);
      if (!this.#wake.signal.aborted) await pause(waitMs, this.#wake.signal);
    }
  }

  /** Whether a tick may wait until somebody says that there is something to do. */
  #isIdle(): boolean {
    return !this.#hints.hasAny && this.#hints.isListening && this.#due.size === 0 && this.#running.size === 0;
  }

  #tickNow(): void {
    this.#tickAtMs = Number.NEGATIVE_INFINITY;
    this.#wake.abort();
  }

  /** @param isTick whether hints are read too, not only what has just been worked on is looked at */
  async #lookAround(isTick: boolean): Promise<void> {
    const candidates = [...this.#lookSoon.values()];
    this.#lookSoon.clear();
    if (isTick) {
      candidates.push(...(await this.#hints.read()));
    }
    if (isTick && performance.now() - this.#sweptAtMs >= SWEEP_EVERY_MS) {
      this.#sweptAtMs = performance.now();
      const swept = await this.#sweep.run();
      for (const { name, error } of swept.unreadable) this.#putOff(name, error);
      candidates.push(...swept.candidates);
    }
    const worthIt = candidates.filter((candidate) => this.#isWorthALook(candidate));
    for (let from = 0; from < worthIt.length; from += LOOKS_AT_ONCE) {
      await Promise.all(
        worthIt.slice(from, from + LOOKS_AT_ONCE).map((candidate) => this.#tryLook(candidate)),
      );
      // What is due among the first need not wait for looks at the rest.
      this.#dispatch();
    }
  }

  #isWorthALook(candidate: Candidate): boolean {
    const key = `${candidate.table}|${candidate.shard}`;
    const now = performance.now();
    if (this.#shards.isPausing(key, now) || this.#shards.isPausing(candidate.table, now)) return false;
    return this.#watched.isWorthALook(candidate, this.#due.has(key), this.#runningOf(key));
  }

  /** One table that cannot be read must not keep the others waiting. */
  async #tryLook(candidate: Candidate): Promise<void> {
    try {
      await this.#look(candidate);
    } catch (error) {
      this.#putOff(`${candidate.table}|${candidate.shard}`, error);
    }
  }

  async #look(candidate: Candidate): Promise<void> {
    const { table, shard } = candidate;
    const key = `${table}|${shard}`;
    let generation: string | undefined;
    try {
      generation = await this.#generationOf(table);
    } catch (error) {
      // Once for the table: it may have hundreds of shards, all looked at together.
      if (!this.#shards.isPausing(table, performance.now())) this.#putOff(table, error);
      return;
    }
    if (generation === undefined) return this.#forget(candidate);
    const ref = { table, generation, shard };
    const state = await lookAtShard(this.#context.redis, this.#context.fixed, ref);
    const fresh = tableFromHash(table, state.config, this.#defaults);
    if (fresh?.generation !== generation) {
      this.#generations.delete(table);
      this.#due.delete(key);
      return;
    }
    if (isSettled(state)) return this.#forget(candidate);
    const isOwned = this.#ownership.owns(table, shard);
    const owned = this.#ownedShards(table, fresh.config.shards);
    const atOnceMax = shardMax(fresh.config.flush_workers, owned);
    this.#note(ref, state, fresh.config, atOnceMax, isOwned);
    this.#watched.note(candidate, state, fresh.config, atOnceMax, isOwned);
    if (isOwned && candidate.hint === undefined) await this.#hints.restore(candidate);
  }

  /** What is due there, in place of what was. What was due already keeps its place in the queue. */
  #note(ref: ShardRef, state: ShardState, config: TableConfig, atOnceMax: number, isOwned: boolean): void {
    const key = `${ref.table}|${ref.shard}`;
    const now = performance.now();
    const tasks =
      isOwned || isOverdue(state, config)
        ? tasksOf(state, config, {
            held: this.#runner.held,
            isPausing: (sealId) => this.#seals.isPausing(sealId, now),
            isSealing: this.#sealing.has(key),
            hasStrays: this.#strays.isWorthClearing(key, state),
          })
        : [];
    const before = new Map(this.#due.get(key)?.map((work) => [taskName(work.task), work.sinceMs]));
    const works = tasks.map((task) => ({
      ref,
      task,
      table: ref.table,
      shard: key,
      sinceMs: before.get(taskName(task)) ?? now,
      tableMax: config.flush_workers,
      shardMax: besidesMax(task, atOnceMax),
    }));
    if (works.length === 0) this.#due.delete(key);
    else this.#due.set(key, works);
  }

  async #forget(candidate: Candidate): Promise<void> {
    const key = `${candidate.table}|${candidate.shard}`;
    this.#watched.forget(key);
    this.#due.delete(key);
    await this.#hints.settle(candidate);
  }

  #dispatch(): void {
    while (!this.#stop.signal.aborted) {
      const running = [...this.#running.keys()];
      const turnOf = (table: string) => this.#turns.turnOf(table);
      const next = chooseNext(this.#waiting(), { slots: this.#slots, running, turnOf });
      if (next === undefined) return;
      this.#launch(next);
    }
  }

  *#waiting(): Generator<Work> {
    const now = performance.now();
    for (const [shard, works] of this.#due) {
      if (!this.#shards.isPausing(shard, now)) yield* works;
    }
  }

  #launch(work: Work): void {
    const left = this.#due.get(work.shard)!.filter((other) => other !== work);
    if (left.length === 0) this.#due.delete(work.shard);
    else this.#due.set(work.shard, left);
    this.#turns.took(work.table);
    if (work.task.kind !== 'drive') this.#sealing.add(work.shard);
    const started = performance.now();
    const run = async () => {
      try {
        const isNews = await this.#work(work);
        this.#shards.succeeded(work.shard);
        if (isNews) this.#lookAgain(work);
      } catch (error) {
        this.#putOff(work.shard, error);
      } finally {
        this.#running.delete(work);
        this.#turns.held(work.table, performance.now() - started);
        this.#dispatch();
      }
    };
    this.#running.set(work, run());
  }

  /** Whether there may be more to do at once. After work that found nothing, that would be to look in circles. */
  async #work(work: Work): Promise<boolean> {
    const { ref, task } = work;
    if (task.kind === 'drive') {
      await this.#runner.drive(ref, task.sealId);
      return true;
    }
    let seal: OwnSeal | undefined;
    try {
      if (task.kind === 'clear') await this.#runner.clear(ref);
      else seal = await this.#runner.seal(ref, this.#watched.hasOthersThan(work.table));
    } finally {
      this.#sealing.delete(work.shard);
    }
    if (seal === undefined) return false;
    // There may be enough left for another one, and a slot for it.
    if (work.shardMax > 1) this.#lookAgain(work);
    await this.#runner.driveOwn(ref, seal);
    return true;
  }

  #lookAgain({ table, shard, ref }: Work): void {
    this.#watched.lookAgainNow(shard);
    this.#lookSoon.set(shard, { table, shard: ref.shard, hint: this.#watched.hintOf(shard) });
    this.#wake.abort();
  }

  #runningOf(shard: string): number {
    let count = 0;
    for (const work of this.#running.keys()) if (work.shard === shard) count += 1;
    return count;
  }

  #ownedShards(table: string, shards: number): number {
    let owned = 0;
    for (let shard = 0; shard < shards; shard += 1) {
      if (this.#ownership.owns(table, shardName(shard))) owned += 1;
    }
    return owned;
  }

  #putOff(key: string, thrown: unknown): void {
    const error = asMiniodbError(thrown);
    const { failures, pauseMs } = this.#shards.failed(key, performance.now());
    this.#context.metrics.failed(error.code);
    this.#context.log.error({ event: 'flush_failed', key, failures, retry_in_ms: pauseMs, err: error });
  }

  async #generationOf(table: string): Promise<string | undefined> {
    const known = this.#generations.get(table);
    if (known !== undefined) return known;
    const read = await this.#catalog.read(table);
    if (read !== undefined) this.#generations.set(table, read.generation);
    this.#shards.succeeded(table);
    return read?.generation;
  }
}

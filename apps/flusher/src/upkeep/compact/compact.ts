import type { IndexedFile, TableRef } from '@miniodb/core/index/plan.ts';
import { readEntries } from '@miniodb/core/index/snapshot.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { Catalog } from '@miniodb/core/table/catalog.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { Backoff } from '../../flush/backoff.ts';
import type { FlusherMetrics } from '../../metrics.ts';
import type { Ownership } from '../../ownership/ownership.ts';
import { pause } from '../../pause.ts';
import type { UpkeepTask } from '../upkeep.ts';
import { CHOICE_LIMITS, type Choice, type ChoiceLimits, chooseCompactions } from './choose.ts';
import { IndexWatch, type MovedTable } from './index-watch.ts';
import { type RewriteContext, rewriteFiles } from './rewrite.ts';

/**
 * Compaction: rewrites small files as large ones, and mixed ones as files of their days, one rewrite at a time in a
 * flusher and only in shards that it owns. Tables whose index has not moved cost a read of its token.
 */
export interface CompactContext extends RewriteContext {
  readonly catalog: Pick<Catalog, 'names' | 'read'>;
  readonly ownership: Pick<Ownership, 'owns'>;
  /** Flushes that are due and wait: they go first. */
  readonly flushesWaiting: () => number;
  readonly log: Log;
  readonly metrics: FlusherMetrics;
}

/** Rewrites of one shard before the others have their turn. */
const CHOICES_PER_TURN = 4;
const PAUSE_MS_MAX = 600_000;
/** Flushes wait for a slot all the time where there is always more to flush; small files are what makes it worse. */
const YIELD_MS_MAX = 10_000;
const YIELD_LOOK_MS = 50;

export function compactTask(
  context: CompactContext,
  everyMs: number,
  limits: ChoiceLimits = CHOICE_LIMITS,
): UpkeepTask {
  const compactor = new Compactor(context, limits);
  return { name: 'compact', everyMs, run: (signal) => compactor.run(signal) };
}

class Compactor {
  readonly #context: CompactContext;
  readonly #limits: ChoiceLimits;
  readonly #watch: IndexWatch;
  /** By the first input of a choice. */
  readonly #backoff = new Backoff(PAUSE_MS_MAX);

  constructor(context: CompactContext, limits: ChoiceLimits) {
    this.#context = context;
    this.#limits = limits;
    this.#watch = new IndexWatch(context.redis, context.catalog, context.ownership);
  }

  /** Until there is nothing left to do. What a rewrite makes may be worth another. */
  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      let rewrites = 0;
      for (const table of await this.#watch.movedTables(signal)) {
        for (const [shard, sinceToken] of table.shards) {
          if (signal.aborted) return;
          rewrites += await this.#compactShard(table, shard, sinceToken, signal);
        }
      }
      if (rewrites === 0) return;
    }
  }

  async #compactShard(
    table: MovedTable,
    shard: string,
    sinceToken: bigint,
    signal: AbortSignal,
  ): Promise<number> {
    const { ref } = table;
    let rewrites = 0;
    try {
      const files = await this.#filesOf(ref, shard, sinceToken);
      if (files === undefined) return 0;
      const choices = chooseCompactions(files, this.#limits);
      let isSettled = true;
      for (const choice of choices) {
        if (signal.aborted) return rewrites;
        const isPausing = this.#backoff.isPausing(choice.inputs[0]!.fileId, performance.now());
        if (isPausing || rewrites === CHOICES_PER_TURN) isSettled = false;
        else if (await this.#compactOne(ref, shard, choice, signal)) rewrites += 1;
        else isSettled = false;
      }
      if (isSettled) this.#watch.settled(table, shard);
    } catch (thrown) {
      if (signal.aborted) return rewrites;
      const error = asMiniodbError(thrown);
      this.#context.metrics.failed(error.code);
      this.#context.log.error({ event: 'compaction_look_failed', table: ref.table, shard, err: error });
    }
    return rewrites;
  }

  /** Of the partitions that have changed; undefined when they change right now: they are looked at again. */
  async #filesOf(ref: TableRef, shard: string, sinceToken: bigint): Promise<IndexedFile[] | undefined> {
    const { redis } = this.#context;
    const keys = new ProtocolKeys(ref.table, ref.generation);
    const partitions = await redis.hgetall(keys.indexMap).catch((error: unknown) => {
      throw classifyRedisError(error);
    });
    const files: IndexedFile[] = [];
    for (const [partition, token] of Object.entries(partitions)) {
      if (!partition.startsWith(`${shard}:`) || BigInt(token) <= sinceToken) continue;
      const entries = await readEntries(redis, ref.table, ref.generation, partition, token);
      if (entries === undefined) return undefined;
      for (const [fileId, entry] of entries) files.push({ partition, fileId, entry });
    }
    return files;
  }

  async #compactOne(ref: TableRef, shard: string, choice: Choice, signal: AbortSignal): Promise<boolean> {
    const { log, metrics } = this.#context;
    const fields = { table: ref.table, shard, kind: choice.kind, inputs: choice.inputs.length };
    await this.#letFlushesGoFirst(signal);
    if (signal.aborted) return false;
    const started = performance.now();
    const key = choice.inputs[0]!.fileId;
    try {
      const { planId, status, files } = await rewriteFiles(this.#context, ref, shard, choice, signal);
      const ms = Math.round(performance.now() - started);
      if (status === 'ok' || status === 'already') {
        this.#backoff.succeeded(key);
        metrics.compacted(ref.table, choice.inputs.length, files.length, ms / 1_000);
        const rows = files.reduce((sum, file) => sum + file.rows, 0);
        const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
        log.info({ event: 'compacted', ...fields, plan: planId, files: files.length, rows, bytes, ms });
        return true;
      }
      metrics.compactionNotTaken(status);
      log.warn({ event: 'compaction_not_taken', ...fields, plan: planId, status });
    } catch (thrown) {
      if (signal.aborted) return false;
      const error = asMiniodbError(thrown);
      metrics.failed(error.code);
      log.error({ event: 'compaction_failed', ...fields, err: error });
    }
    this.#backoff.failed(key, performance.now());
    return false;
  }

  async #letFlushesGoFirst(signal: AbortSignal): Promise<void> {
    const deadline = performance.now() + YIELD_MS_MAX;
    while (this.#context.flushesWaiting() > 0 && performance.now() < deadline && !signal.aborted) {
      await pause(YIELD_LOOK_MS, signal);
    }
  }
}

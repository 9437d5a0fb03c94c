import type { TableRef } from '@miniodb/core/index/plan.ts';
import { redisTimeMs } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Catalog } from '@miniodb/core/table/catalog.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';
import type { Ownership } from '../ownership/ownership.ts';
import { type DeleteContext, deleteIfDead } from './sweep/delete-object.ts';
import { deleteOrphans } from './sweep/delete-orphans.ts';
import type { UpkeepTask } from './upkeep.ts';

/**
 * Deletes objects: nobody else does, but for the collector of drops. Two sources: what left the index and whose time has
 * come (`doomed`), and, now and then, what lies in the bucket and never entered the index: an encoding that lost its
 * race, an upload whose flusher died. Every single object is asked for in Redis right before (core/index/collect.ts), and
 * what may go can never enter the index from then on.
 *
 * Dead here, at any point: the object stays doomed, or is found by the next scan.
 */
export interface SweepContext extends DeleteContext {
  readonly catalog: Pick<Catalog, 'names'>;
  readonly ownership: Pick<Ownership, 'ownsTable'>;
}

export interface SweepSettings {
  /** Between two looks at what is doomed. */
  readonly everyMs: number;
  /** Between two scans of a table's objects. */
  readonly scanEveryMs: number;
  /** Younger objects are left alone by scans: a clock may be wrong, and an upload may be under way. */
  readonly orphanAgeMs: number;
}

const TABLES_AT_ONCE = 250;
const DOOMED_PER_TABLE_MAX = 10_000;
const OBJECTS_AT_ONCE = 16;

export function sweepTask(context: SweepContext, settings: SweepSettings): UpkeepTask {
  const sweeper = new Sweeper(context, settings);
  return { name: 'sweep', everyMs: settings.everyMs, run: (signal) => sweeper.run(signal) };
}

class Sweeper {
  readonly #context: SweepContext;
  readonly #settings: SweepSettings;
  /** Generation -> when it was scanned last, monotonic. */
  #scanned: ReadonlyMap<string, number> = new Map();

  constructor(context: SweepContext, settings: SweepSettings) {
    this.#context = context;
    this.#settings = settings;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { catalog, ownership, redis } = this.#context;
    const names = (await catalog.names()).filter((name) => ownership.ownsTable(name));
    const nowMs = await redisTimeMs(redis).catch((error: unknown) => {
      throw classifyRedisError(error);
    });
    const scanned = new Map<string, number>();
    for (let from = 0; from < names.length && !signal.aborted; from += TABLES_AT_ONCE) {
      for (const { ref, hasDoomed } of await this.#look(names.slice(from, from + TABLES_AT_ONCE), nowMs)) {
        if (signal.aborted) return;
        if (hasDoomed) await this.#try(ref, signal, () => this.#deleteDoomed(ref, nowMs, signal));
        // The first scan comes a whole interval after the start: restarts must not list whole buckets.
        const last = this.#scanned.get(ref.generation) ?? performance.now();
        const isDue = performance.now() - last >= this.#settings.scanEveryMs;
        const { orphanAgeMs } = this.#settings;
        if (isDue) {
          await this.#try(ref, signal, () => deleteOrphans(this.#context, ref, nowMs - orphanAgeMs, signal));
        }
        scanned.set(ref.generation, isDue ? performance.now() : last);
      }
    }
    this.#scanned = scanned;
  }

  /** Two small pipelined reads a table. */
  async #look(
    names: readonly string[],
    nowMs: number,
  ): Promise<readonly { readonly ref: TableRef; readonly hasDoomed: boolean }[]> {
    const { redis, fixed } = this.#context;
    try {
      const configs = redis.pipeline();
      for (const name of names) void configs.hmget(fixed.config(name), 'generation', 'status', 'shards');
      const refs: TableRef[] = [];
      for (const [at, [, reply]] of ((await configs.exec()) ?? []).entries()) {
        const [generation, status, shards] = (reply ?? []) as readonly (string | null)[];
        if (!generation || !status || status === 'deleting') continue;
        refs.push({ table: names[at]!, generation, shards: Number(shards) });
      }
      const counts = redis.pipeline();
      for (const { table, generation } of refs) {
        void counts.zcount(new ProtocolKeys(table, generation).doomed, '-inf', nowMs);
      }
      const replies = (await counts.exec()) ?? [];
      return refs.map((ref, at) => ({ ref, hasDoomed: Number(replies[at]?.[1] ?? 0) > 0 }));
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  /** A table whose objects cannot be deleted must not keep the others waiting. */
  async #try(ref: TableRef, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      if (signal.aborted) return;
      const error = asMiniodbError(thrown);
      this.#context.metrics.failed(error.code);
      this.#context.log.error({ event: 'sweep_failed', table: ref.table, err: error });
    }
  }

  async #deleteDoomed(ref: TableRef, nowMs: number, signal: AbortSignal): Promise<void> {
    const { doomed } = new ProtocolKeys(ref.table, ref.generation);
    const { redis } = this.#context;
    const keys = await redis
      .zrangebyscore(doomed, '-inf', nowMs, 'LIMIT', 0, DOOMED_PER_TABLE_MAX)
      .catch((error: unknown) => {
        throw classifyRedisError(error);
      });
    for (let from = 0; from < keys.length && !signal.aborted; from += OBJECTS_AT_ONCE) {
      const answers = await Promise.all(
        keys
          .slice(from, from + OBJECTS_AT_ONCE)
          .map((key) => deleteIfDead(this.#context, ref, key, 'doomed', signal)),
      );
      // A pin holds all of them.
      if (answers.includes('pinned')) return;
    }
  }
}

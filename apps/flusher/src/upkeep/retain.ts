import { LeavingFiles } from '@miniodb/core/index/bounds.ts';
import { readEntries } from '@miniodb/core/index/snapshot.ts';
import { redisTimeMs } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { Catalog, Table } from '@miniodb/core/table/catalog.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';
import type { FlusherMetrics } from '../metrics.ts';
import type { Ownership } from '../ownership/ownership.ts';
import { pause } from '../pause.ts';
import { clockTrouble, isPastRetention, mayBePastRetention } from './retain-due.ts';
import { type RemoveContext, removeFiles } from './retain-remove.ts';
import type { UpkeepTask } from './upkeep.ts';

/** Between tables, so that a thousand of them are no burst. */
const TABLE_PAUSE_MS = 20;
const DAY_MS = 86_400_000;

export interface RetainContext extends RemoveContext {
  readonly catalog: Pick<Catalog, 'names' | 'read'>;
  readonly ownership: Pick<Ownership, 'ownsTable'>;
  readonly metrics: Pick<FlusherMetrics, 'failed' | 'removed' | 'retentionRefused'>;
  readonly log: Log;
  /** This process' own clock, milliseconds since 1970. */
  readonly nowMs: () => number;
}

/**
 * Takes files out of tables when their retention is over. Pending rows are younger than their flush; they leave as files.
 * It does nothing while this process' clock, Redis' and the accept times of the table's rows contradict each other.
 */
export class Retain implements UpkeepTask {
  readonly name = 'retain';
  readonly everyMs: number;
  readonly #context: RetainContext;

  constructor(context: RetainContext, everyMs: number) {
    this.#context = context;
    this.everyMs = everyMs;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { catalog, ownership, metrics, log } = this.#context;
    for (const name of await catalog.names()) {
      if (signal.aborted) return;
      if (!ownership.ownsTable(name)) continue;
      try {
        const table = await catalog.read(name);
        if (table !== undefined && table.config.retention_days >= 0) await this.#retain(table, signal);
      } catch (thrown) {
        if (signal.aborted) return;
        const error = asMiniodbError(thrown);
        metrics.failed(error.code);
        log.error({ event: 'retention_failed', table: name, err: error });
      }
      await pause(TABLE_PAUSE_MS, signal);
    }
  }

  async #retain({ name, generation, config }: Table, signal: AbortSignal): Promise<void> {
    const { redis, fixed, metrics, log } = this.#context;
    const days = config.retention_days;
    const redisMs = await this.#redisMs();
    const processMs = this.#context.nowMs();
    // The earlier clock deletes less.
    const nowMs = Math.min(processMs, redisMs);
    // By the later one, so that what clocks disagree about is seen.
    if (!(await this.#hasAny(name, generation, days, Math.max(processMs, redisMs)))) return;
    const ref = { table: name, generation, shards: config.shards };
    const files = new LeavingFiles(redis, fixed, ref, (entry) =>
      isPastRetention(entry, days, nowMs) ? 'leaves' : 'stays',
    );
    if (!(await files.read(signal))) return;
    const { newestAcceptedMs } = files;
    const trouble = clockTrouble(processMs, redisMs, newestAcceptedMs);
    if (trouble !== undefined) {
      metrics.retentionRefused(trouble);
      const clocks = { process_ms: processMs, redis_ms: redisMs, newest_accepted_ms: newestAcceptedMs };
      log.error({ event: 'retention_refused', table: name, reason: trouble, ...clocks });
      return;
    }
    const before = new Date(nowMs - days * DAY_MS).toISOString();
    const removal = { kind: 'retention', before, by: 'retention' } as const;
    const removed = await removeFiles(this.#context, files, removal, signal);
    if (removed.files === 0) return;
    metrics.removed('retention', removed);
    log.info({ event: 'retention', table: name, days, ...removed });
  }

  /** Whether some file's time is over. Most tables have none, most of the time: only their oldest days are read. */
  async #hasAny(table: string, generation: string, days: number, nowMs: number): Promise<boolean> {
    const { redis } = this.#context;
    let partitions: [string, string][];
    try {
      partitions = Object.entries(await redis.hgetall(new ProtocolKeys(table, generation).indexMap));
    } catch (error) {
      throw classifyRedisError(error);
    }
    for (const [partition, token] of partitions) {
      if (!mayBePastRetention(partition, days, nowMs)) continue;
      const entries = await readEntries(redis, table, generation, partition, token);
      // Moved since: look more closely.
      if (entries === undefined) return true;
      for (const entry of entries.values()) if (isPastRetention(entry, days, nowMs)) return true;
    }
    return false;
  }

  async #redisMs(): Promise<number> {
    try {
      return await redisTimeMs(this.#context.redis);
    } catch (error) {
      throw classifyRedisError(error);
    }
  }
}

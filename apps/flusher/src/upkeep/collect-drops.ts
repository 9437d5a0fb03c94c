import { redisTimeMs } from '@miniodb/core/redis/client.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import {
  type DropIntent,
  type DropState,
  forgetDrop,
  forgetIntent,
  noteSwept,
  readDrop,
  readDropIntents,
} from '@miniodb/core/table/drop-record.ts';
import { settleListing } from '@miniodb/core/table/listing.ts';
import { Backoff } from '../flush/backoff.ts';
import type { FlusherMetrics } from '../metrics.ts';
import type { Ownership } from '../ownership/ownership.ts';
import { type CollectContext, collectDropped } from './drop/collect.ts';
import type { UpkeepTask } from './upkeep.ts';

/**
 * Collects what dropped tables have left. A drop is collected twice: at once, and again when every put and every upload
 * that was on its way then has arrived; then its record goes.
 */
export interface CollectDropsContext extends CollectContext {
  readonly ownership: Pick<Ownership, 'ownsTable'>;
  readonly log: Log;
  readonly metrics: Pick<FlusherMetrics, 'failed'>;
}

export interface CollectDropsSettings {
  readonly everyMs: number;
  /** From the end of the first collection. Puts have deadlines of 10 s, payloads of committed batches expire in 60 s. */
  readonly secondPassMs: number;
  /** So long after it was due anybody collects what its owner has not. */
  readonly overdueMs: number;
}

const DEFAULTS: CollectDropsSettings = { everyMs: 2_000, secondPassMs: 120_000, overdueMs: 60_000 };

/** A hint without a drop is kept so long: the switch may be still on its way, for at most some seconds. */
const INTENT_MS_MAX = 60_000;
const INTENTS_MAX = 10_000;
const DROPS_AT_ONCE = 4;
const PAUSE_MS_MAX = 30_000;

export function collectDropsTask(
  context: CollectDropsContext,
  settings: CollectDropsSettings = DEFAULTS,
): UpkeepTask {
  const collector = new DropCollector(context, settings);
  return { name: 'collect-drops', everyMs: settings.everyMs, run: (signal) => collector.run(signal) };
}

class DropCollector {
  readonly #context: CollectDropsContext;
  readonly #settings: CollectDropsSettings;
  readonly #backoff = new Backoff(PAUSE_MS_MAX);
  /** Member -> when to look at it again, by Redis' clock: what waits for its second pass costs nothing. */
  #notBeforeMs: ReadonlyMap<string, number> = new Map();

  constructor(context: CollectDropsContext, settings: CollectDropsSettings) {
    this.#context = context;
    this.#settings = settings;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { redis } = this.#context;
    const intents = await readDropIntents(redis, INTENTS_MAX);
    if (intents.length === 0) return;
    const nowMs = await redisTimeMs(redis);
    const notBeforeMs = new Map<string, number>();
    const waiting = intents.filter(({ member }) => {
      const ms = this.#notBeforeMs.get(member) ?? 0;
      if (ms > nowMs) notBeforeMs.set(member, ms);
      return ms <= nowMs && !this.#backoff.isPausing(member, performance.now());
    });
    for (let from = 0; from < waiting.length && !signal.aborted; from += DROPS_AT_ONCE) {
      await Promise.all(
        waiting.slice(from, from + DROPS_AT_ONCE).map(async (intent) => {
          const ms = await this.#tryOne(intent, nowMs, signal);
          if (ms !== undefined) notBeforeMs.set(intent.member, ms);
        }),
      );
    }
    this.#notBeforeMs = notBeforeMs;
  }

  /** One drop that cannot be collected now must not keep the others waiting. */
  async #tryOne(intent: DropIntent, nowMs: number, signal: AbortSignal): Promise<number | undefined> {
    try {
      const notBeforeMs = await this.#one(intent, nowMs, signal);
      this.#backoff.succeeded(intent.member);
      return notBeforeMs;
    } catch (thrown) {
      if (signal.aborted) return undefined;
      const error = asMiniodbError(thrown);
      const { failures, pauseMs } = this.#backoff.failed(intent.member, performance.now());
      this.#context.metrics.failed(error.code);
      const fields = { drop: intent.member, failures, retry_in_ms: pauseMs, err: error };
      this.#context.log.error({ event: 'drop_not_collected', ...fields });
      return undefined;
    }
  }

  /** Answers when to look at it again; undefined: at the next run, if it is there still. */
  async #one(intent: DropIntent, nowMs: number, signal: AbortSignal): Promise<number | undefined> {
    const { redis, fixed, ownership } = this.#context;
    const { secondPassMs, overdueMs } = this.#settings;
    const mine = ownership.ownsTable(intent.table);
    if (!mine && nowMs < intent.sinceMs + overdueMs) return undefined;
    const state =
      intent.generation === '' ? undefined : await readDrop(redis, fixed, intent.table, intent.generation);
    if (state === undefined) {
      await settleListing(redis, fixed, intent.table, undefined);
      if (nowMs < intent.sinceMs + INTENT_MS_MAX) return undefined;
      await forgetIntent(redis, intent);
      return undefined;
    }
    const dueMs = state.sweptMs === undefined ? intent.sinceMs : state.sweptMs + secondPassMs;
    if (nowMs < dueMs + (mine ? 0 : overdueMs)) return dueMs + (mine ? 0 : overdueMs);
    await this.#collect(intent, state, signal);
    return undefined;
  }

  async #collect(intent: DropIntent, { record, sweptMs }: DropState, signal: AbortSignal): Promise<void> {
    const { redis, fixed, log } = this.#context;
    const started = performance.now();
    await settleListing(redis, fixed, record.table, record.config.created_by);
    const objects = await collectDropped(this.#context, record, signal);
    if (sweptMs === undefined) await noteSwept(redis, fixed, record);
    else await forgetDrop(redis, fixed, intent);
    log.info({
      event: 'drop_collected',
      table: record.table,
      generation: record.generation,
      pass: sweptMs === undefined ? 1 : 2,
      objects,
      ms: Math.round(performance.now() - started),
    });
  }
}

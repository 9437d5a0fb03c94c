import { totalFiles } from '@miniodb/core/index/totals.ts';
import { recountTable } from '@miniodb/core/queue/recount.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { Catalog, Table } from '@miniodb/core/table/catalog.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import { LRUCache } from 'lru-cache';
import type { FlusherMetrics } from '../metrics.ts';
import type { Ownership } from '../ownership/ownership.ts';
import { pause } from '../pause.ts';
import type { UpkeepTask } from './upkeep.ts';

/** Nothing depends on it: the verbs keep the counters themselves, and this only notices when they did not. */
const EVERY_MS = 10 * 60_000;
/** Between tables, so that a thousand of them are no burst. */
const TABLE_PAUSE_MS = 20;
/** An index larger than this is read for half a minute and more. */
const FILES_MAX = 200_000;

export interface RecountContext {
  readonly redis: Redis;
  readonly fixed: FixedKeys;
  readonly catalog: Pick<Catalog, 'names' | 'read'>;
  readonly ownership: Pick<Ownership, 'ownsTable'>;
  readonly metrics: FlusherMetrics;
  readonly log: Log;
}

/** Compares the counters of every table that this flusher owns with what they count, and puts right what has drifted. */
export class Recount implements UpkeepTask {
  readonly name = 'recount';
  readonly everyMs: number;
  readonly #context: RecountContext;
  /** Incarnation of a table -> index token at which its files were last compared: until it moves they need no look. */
  readonly #compared = new LRUCache<string, string>({ max: 10_000 });

  constructor(context: RecountContext, everyMs: number = EVERY_MS) {
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
        if (table !== undefined) await this.#recount(table, signal);
      } catch (thrown) {
        const error = asMiniodbError(thrown);
        metrics.failed(error.code);
        log.error({ event: 'recount_failed', table: name, err: error });
      }
      await pause(TABLE_PAUSE_MS, signal);
    }
  }

  async #recount(table: Table, signal: AbortSignal): Promise<void> {
    const { redis, fixed, metrics, log } = this.#context;
    const { name, generation } = table;
    const incarnation = `${name}|${generation}`;
    const known = this.#compared.get(incarnation);
    const totals = await totalFiles(redis, table, FILES_MAX, signal, known);
    const answer = await recountTable(
      redis,
      fixed,
      { name, generation, shards: table.config.shards },
      totals,
    );
    switch (answer.status) {
      case 'ok':
        if (answer.filesCompared) this.#compared.set(incarnation, totals!.token);
        for (const drift of answer.drifts) {
          metrics.drifted(drift.counter.replace(/^u:[^:]*:/, 'unsealed_'));
          log.error({ event: 'counter_drift', table: name, ...drift });
        }
        return;
      case 'busy':
        // The next time will do: what is pending that much is on its way out, or its table is refused writes.
        log.info({ event: 'recount_skipped', table: name, batches: answer.batches });
        return;
      case 'mismatch':
        metrics.failed('batch_meta_missing');
        log.error({ event: 'batch_meta_missing', table: name, batch: answer.batchId });
        return;
      case 'gone':
      case 'stale':
        // Dropped, or given more shards, a moment ago.
        return;
    }
  }
}

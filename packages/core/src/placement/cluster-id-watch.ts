import type { Redis } from '../redis/client.ts';
import { asMiniodbError, type MiniodbError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import type { ObjectStore } from '../storage/object-store.ts';
import { bucketUnknown, historyLost, readRedisId, settleClusterId } from './cluster-id.ts';

/**
 * Whether this Redis and this bucket are of one history, for processes that have both. Modes, changed only by looks:
 *
 *   known     the bucket's id is Redis'. A look at Redis alone (every second) ends it when Redis has another or none
 *   lost      Redis' id is not the bucket's; known again when Redis has the bucket's id
 *   unknown   the bucket has no id, or one cannot be read: known again only by a look at both (every minute)
 */
export interface WatchIntervals {
  readonly redisEveryMs: number;
  readonly bothEveryMs: number;
}

const INTERVALS: WatchIntervals = { redisEveryMs: 1_000, bothEveryMs: 60_000 };

export class ClusterIdWatch {
  readonly #redis: Redis;
  readonly #store: ObjectStore;
  readonly #log: Log;
  readonly #intervals: WatchIntervals;
  readonly #onChange: (trouble: MiniodbError | undefined) => void;
  readonly #stop = new AbortController();
  /** The bucket's. */
  #id: string | undefined;
  #trouble: MiniodbError | undefined;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #lookedAtBothMs = Number.NEGATIVE_INFINITY;

  /** @param onChange told of every change of what `trouble` answers, from the start on */
  constructor(
    redis: Redis,
    store: ObjectStore,
    log: Log,
    onChange: (trouble: MiniodbError | undefined) => void,
    intervals: WatchIntervals = INTERVALS,
  ) {
    this.#redis = redis;
    this.#store = store;
    this.#log = log;
    this.#onChange = onChange;
    this.#intervals = intervals;
  }

  /** Makes the id where neither has one, and looks from now on. Throws when Redis or the bucket does not answer. */
  async start(): Promise<void> {
    await this.#lookAtBoth(true);
    let isLooking = false;
    this.#timer = setInterval(() => {
      if (isLooking) return;
      isLooking = true;
      this.#looking = this.#look().finally(() => {
        isLooking = false;
      });
    }, this.#intervals.redisEveryMs);
  }

  /** Why nothing may be done, as the last look saw it: at most a second ago, while Redis answers. */
  get trouble(): MiniodbError | undefined {
    return this.#trouble;
  }

  /** Throws the trouble there was at the last look. */
  requireLately(): void {
    if (this.#trouble !== undefined) throw this.#trouble;
  }

  /** Asks Redis now. Throws the trouble, or `redis_unavailable`. */
  async require(): Promise<void> {
    await this.#lookAtRedis();
    this.requireLately();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stop.abort();
    await this.#looking;
  }

  async #look(): Promise<void> {
    try {
      const isDue = performance.now() - this.#lookedAtBothMs >= this.#intervals.bothEveryMs;
      if (isDue) await this.#lookAtBoth(false);
      else await this.#lookAtRedis();
    } catch (error) {
      // Whatever needs the one that does not answer fails by itself; the last look holds.
      if (!this.#stop.signal.aborted) this.#log.warn({ event: 'cluster_id_not_read', err: error });
    }
  }

  async #lookAtRedis(): Promise<void> {
    const id = this.#id;
    if (id === undefined) return;
    const found = await readRedisId(this.#redis);
    this.#note(found?.id === id ? undefined : historyLost());
  }

  async #lookAtBoth(mayMake: boolean): Promise<void> {
    try {
      const verdict = await settleClusterId(this.#redis, this.#store, mayMake, this.#stop.signal);
      // Without one in the bucket, Redis alone cannot say that all is well again.
      this.#id = verdict.status === 'bucket_unknown' ? undefined : verdict.id;
      switch (verdict.status) {
        case 'known':
          this.#note(undefined);
          break;
        case 'redis_history_lost':
          this.#note(historyLost());
          break;
        case 'bucket_unknown':
          this.#note(bucketUnknown());
          break;
      }
    } catch (thrown) {
      const error = asMiniodbError(thrown);
      if (error.code !== 'cluster_id_unreadable') throw error;
      this.#id = undefined;
      this.#note(error);
    }
    this.#lookedAtBothMs = performance.now();
  }

  #note(trouble: MiniodbError | undefined): void {
    if (trouble?.code === this.#trouble?.code) return;
    this.#trouble = trouble;
    if (trouble === undefined) this.#log.info({ event: 'cluster_history_known', id: this.#id });
    else this.#log.error({ event: 'cluster_history_unknown', err: trouble });
    this.#onChange(trouble);
  }
}

import { bucketUnknown, historyLost, readRedisId } from '@miniodb/core/placement/cluster-id.ts';
import type { Membership } from '@miniodb/core/placement/members.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { untilRead } from '@miniodb/core/redis/until-answered.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';

/**
 * Whether Redis still is of the history that this gateway began with. A gateway has no bucket to ask: it remembers the
 * cluster id that flushers and queriers vouched for, and listens to what they say of it now.
 *
 *   unlearned  no flusher or querier has confirmed an id yet: no writes
 *   known      Redis has the id that was learned
 *   lost       Redis has another one, or none; known again when the id is back
 */
const LOOK_EVERY_MS = 1_000;

export class KnownHistory {
  readonly #redis: Redis;
  readonly #peers: Pick<Membership, 'live'>;
  readonly #log: Log;
  #id: string | undefined;
  #isLost = false;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(redis: Redis, peers: Pick<Membership, 'live'>, log: Log) {
    this.#redis = redis;
    this.#peers = peers;
    this.#log = log;
  }

  async start(): Promise<void> {
    await this.#look();
    let isLooking = false;
    this.#timer = setInterval(() => {
      if (isLooking) return;
      isLooking = true;
      this.#looking = this.#look()
        // While Redis is away everything that needs it says so by itself.
        .catch(() => {})
        .finally(() => {
          isLooking = false;
        });
    }, LOOK_EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** Why nothing may be read as the truth, as the last look saw it. */
  get trouble(): MiniodbError | undefined {
    return this.#isLost ? historyLost() : this.#peersTrouble();
  }

  /**
   * Throws `redis_history_lost` or `bucket_unknown` as last seen, and `unavailable`/`cluster_id_missing` as long as nobody
   * has said that Redis and the bucket belong together. For every write: costs nothing.
   */
  requireForWrites(): void {
    const { trouble } = this;
    if (trouble !== undefined) throw trouble;
    if (this.#id === undefined) throw notConfirmed();
  }

  /** As requireForWrites, asking Redis now: before anything is created. */
  async requireForCreation(): Promise<void> {
    await untilRead(this.#redis, () => this.#look());
    this.requireForWrites();
  }

  /** Asks Redis now, before it is said that something is not there. Throws `redis_history_lost`, `bucket_unknown`. */
  async require(): Promise<void> {
    await this.#look();
    const { trouble } = this;
    if (trouble !== undefined) throw trouble;
  }

  async #look(): Promise<void> {
    const found = await readRedisId(this.#redis);
    if (this.#id === undefined) {
      if (found?.isKnown) this.#id = found.id;
      return;
    }
    const isLost = found?.id !== this.#id;
    if (isLost === this.#isLost) return;
    this.#isLost = isLost;
    if (isLost) this.#log.error({ event: 'cluster_history_unknown', err: historyLost() });
    else this.#log.info({ event: 'cluster_history_known', id: this.#id });
  }

  /** Of those that see both: when all say so. One that is configured wrongly must not stop the others' tables. */
  #peersTrouble(): MiniodbError | undefined {
    const peers = [...this.#peers.live('flusher'), ...this.#peers.live('querier')];
    if (peers.length === 0 || peers.some(({ trouble }) => trouble === undefined)) return undefined;
    return peers.every(({ trouble }) => trouble === 'bucket_unknown') ? bucketUnknown() : historyLost();
  }
}

function notConfirmed(): MiniodbError {
  return new MiniodbError(
    'unavailable',
    'no flusher or querier has confirmed yet that Redis and the bucket belong together',
    { code: 'cluster_id_missing', retryAfterMs: 1_000 },
  );
}

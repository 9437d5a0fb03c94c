import type { Redis } from '@miniodb/core/redis/client.ts';
import { runVerb } from '@miniodb/core/redis/script.ts';
import { GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';

/** A shard that may have work. */
export interface Candidate {
  readonly table: string;
  /** `s00` … */
  readonly shard: string;
  /** Score of its hint; undefined when nothing hinted at it. */
  readonly hint: string | undefined;
}

const HINTS_PER_READ_MAX = 1_000;

/** The hints that gateways leave which shards have work. One small read each time. */
export class Hints {
  readonly #redis: Redis;
  readonly #listener: Redis;
  readonly #onFirst: () => void;
  /** Where the window stands: hot shards renew their hints and would hide the rest behind the first page. */
  #from = 0;
  #hasAny = true;
  #isListening = false;

  /**
   * @param listener a connection that is used for nothing else
   * @param onFirst called soon after a hint was left where there was none, so that a reader may look less often while
   * there are none
   */
  constructor(redis: Redis, listener: Redis, onFirst: () => void) {
    this.#redis = redis;
    this.#listener = listener;
    this.#onFirst = onFirst;
  }

  listen(): void {
    const subscribe = () => {
      // Where it fails, hints are read as often as if there were some.
      this.#listener.subscribe(GLOBAL_KEYS.hinted).then(
        () => {
          this.#isListening = true;
          this.#onFirst();
        },
        () => {},
      );
    };
    this.#listener.on('message', this.#onFirst);
    this.#listener.on('ready', subscribe);
    this.#listener.on('close', () => {
      this.#isListening = false;
    });
    if (this.#listener.status === 'ready') subscribe();
  }

  /** Whether there were hints at the last read, in its window or before it. */
  get hasAny(): boolean {
    return this.#hasAny;
  }

  /** Whether onFirst would be called. */
  get isListening(): boolean {
    return this.#isListening;
  }

  async read(): Promise<Candidate[]> {
    const last = this.#from + HINTS_PER_READ_MAX - 1;
    const flat = await this.#redis.zrange(GLOBAL_KEYS.dirty, String(this.#from), String(last), 'WITHSCORES');
    this.#hasAny = this.#from > 0 || flat.length > 0;
    const isFull = flat.length === 2 * HINTS_PER_READ_MAX;
    this.#from = isFull ? this.#from + HINTS_PER_READ_MAX : 0;
    const candidates: Candidate[] = [];
    for (let at = 0; at < flat.length; at += 2) {
      const [table, shard] = (flat[at] as string).split('|');
      if (table !== undefined && shard !== undefined) {
        candidates.push({ table, shard, hint: flat[at + 1] as string });
      }
    }
    return candidates;
  }

  /** Nothing is left to do there; a hint that was renewed meanwhile stays. */
  async settle({ table, shard, hint }: Candidate): Promise<void> {
    if (hint !== undefined)
      await runVerb(this.#redis, 'settle', [GLOBAL_KEYS.dirty], [`${table}|${shard}`, hint]);
  }

  /** Gives a hint that was lost again; one that is there stays as it is. */
  async restore({ table, shard }: Candidate): Promise<void> {
    await this.#redis.zadd(GLOBAL_KEYS.dirty, 'NX', Date.now() * 1_000, `${table}|${shard}`);
  }
}

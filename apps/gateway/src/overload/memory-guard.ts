import type { RedisMemory } from '@miniodb/core/redis/memory.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import { pressureOn, REFUSE_FROM, SLOW_FROM } from './memory-pressure.ts';

const LOOK_EVERY_MS = 1_000;
/**
 * While Redis fills up writes rest on looks no older than this: in a second a few producers write what a small Redis has
 * left, and memory that has become free is used at once.
 */
const LOOK_AGE_MS_MAX = 100;
/** What the tables hold changes more slowly, and is a read of each of them. */
const PENDING_AGE_MS_MAX = 1_000;

export interface MemoryGuardOptions {
  readonly readMemory: () => Promise<RedisMemory>;
  /** Pending bytes of every table that has some; asked only while Redis is fuller than SLOW_FROM. */
  readonly readPending: () => Promise<ReadonlyMap<string, number>>;
  /** What Redis may take where it has no maxmemory of its own; undefined: then nothing is guarded. */
  readonly bytesMax: number | undefined;
  readonly log: Log;
  readonly onSlowed: () => void;
}

/**
 * Keeps writes from filling Redis: looks at its memory once a second, and slows and refuses by memory-pressure.ts. While
 * Redis does not answer the last look holds: a write then fails by itself.
 */
export class MemoryGuard {
  readonly #options: MemoryGuardOptions;
  #memory: RedisMemory | undefined;
  #pending: ReadonlyMap<string, number> = new Map();
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #pendingAtMs = Number.NEGATIVE_INFINITY;
  /** Bytes of the writes that passed here after the last look: Redis may hold as much more by now. */
  #passedBytes = 0;
  #looking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether the log has said that there is no ceiling. */
  #saidUnguarded = false;

  constructor(options: MemoryGuardOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await this.#look();
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** Used memory by the most there may be; 0 where no ceiling is known. */
  get fullness(): number {
    return this.#fullnessWith(0);
  }

  #fullnessWith(moreBytes: number): number {
    const bytesMax = this.#bytesMax;
    return this.#memory === undefined || bytesMax === 0 ? 0 : (this.#memory.usedBytes + moreBytes) / bytesMax;
  }

  /**
   * Lets a write of that table pass, perhaps after a delay. Throws `resource_exhausted`/`redis_memory`, and `cancelled`
   * when the caller goes away meanwhile.
   * @param bytes of the write as it was sent
   */
  async admit(table: string, bytes: number, signal: AbortSignal): Promise<void> {
    this.#passedBytes += bytes;
    if (this.#fullnessWith(this.#passedBytes) < SLOW_FROM) return;
    if (performance.now() - this.#lookedAtMs > LOOK_AGE_MS_MAX) await this.#look();
    const pressure = pressureOn(table, this.fullness, this.#pending);
    switch (pressure.kind) {
      case 'none':
        return;
      case 'slow':
        this.#options.onSlowed();
        await delay(pressure.delayMs, signal);
        return;
      case 'refuse': {
        const percent = Math.floor(100 * this.fullness);
        throw new MiniodbError(
          'resource_exhausted',
          `Redis holds ${percent} % of what it may: writes of table ${table} are refused until flushes have made room`,
          { code: 'redis_memory', retryAfterMs: pressure.retryAfterMs },
        );
      }
    }
  }

  get #bytesMax(): number {
    const own = this.#memory?.bytesMax ?? 0;
    return own > 0 ? own : (this.#options.bytesMax ?? 0);
  }

  /** One at a time; never rejects. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #lookNow(): Promise<void> {
    const { readMemory, readPending, log } = this.#options;
    const before = this.fullness;
    try {
      this.#memory = await readMemory();
      this.#lookedAtMs = performance.now();
      this.#passedBytes = 0;
      if (this.fullness >= SLOW_FROM && this.#lookedAtMs - this.#pendingAtMs >= PENDING_AGE_MS_MAX) {
        this.#pending = await readPending();
        this.#pendingAtMs = performance.now();
      }
    } catch (error) {
      log.debug({ event: 'redis_memory_unknown', err: error });
      return;
    }
    this.#sayIfUnguarded();
    const now = this.fullness;
    const percent = Math.floor(100 * now);
    if (now >= REFUSE_FROM && before < REFUSE_FROM) log.warn({ event: 'redis_memory_high', percent });
    if (now < SLOW_FROM && before >= SLOW_FROM) log.info({ event: 'redis_memory_low_again', percent });
  }

  #sayIfUnguarded(): void {
    const isUnguarded = this.#bytesMax === 0;
    if (isUnguarded && !this.#saidUnguarded) {
      const message =
        'Redis has no maxmemory, and no ceiling is configured: nothing keeps writes from filling it';
      this.#options.log.warn({ event: 'redis_memory_unguarded' }, message);
    }
    this.#saidUnguarded = isUnguarded;
  }
}

function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = () => {
      end();
      reject(new MiniodbError('cancelled', 'the caller went away', { code: 'cancelled' }));
    };
    const timer = setTimeout(() => {
      end();
      resolve();
    }, ms);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}

import { type Redis, redisTimeMs } from './client.ts';

const SAMPLE_EVERY_MS = 30_000;

/**
 * Redis' clock as seen from here: the local clock plus an offset sampled now and then. Deadlines are spoken in it, so
 * that a gateway whose clock is wrong neither refuses good writes nor grants itself more time.
 */
export class RedisClock {
  #offsetMs = 0;
  #timer: NodeJS.Timeout | undefined;

  async start(redis: Redis): Promise<void> {
    await this.#sample(redis);
    this.#timer = setInterval(() => {
      // While Redis is away the last offset holds.
      this.#sample(redis).catch(() => {});
    }, SAMPLE_EVERY_MS);
  }

  nowMs(): number {
    return Date.now() + this.#offsetMs;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #sample(redis: Redis): Promise<void> {
    const before = Date.now();
    const redisMs = await redisTimeMs(redis);
    this.#offsetMs = redisMs - Math.round((before + Date.now()) / 2);
  }
}

import { randomBytes } from 'node:crypto';
import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { GLOBAL_KEYS } from '../table/keys.ts';

const SECRET_BYTES = 32;
/** Who replaces the secret wants the old one dead soon. */
const MAX_AGE_MS = 10_000;
/** Forged vouchers ask for the secret again, and must not become a load on Redis. */
const REREAD_EVERY_MS = 1_000;

/**
 * What gateways and queriers know and clients do not: 256 random bits in Redis, made by whoever needs them first.
 * Replacing or deleting the key replaces the secret everywhere within ten seconds.
 */
export class ClusterSecret {
  readonly #redis: Redis;
  readonly #rereadEveryMs: number;
  #secret: Buffer | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<Buffer> | undefined;

  /** @param rereadEveryMs 0 where no stranger can cause a look */
  constructor(redis: Redis, rereadEveryMs = REREAD_EVERY_MS) {
    this.#redis = redis;
    this.#rereadEveryMs = rereadEveryMs;
  }

  async current(): Promise<Buffer> {
    const isFresh = performance.now() - this.#readAtMs < MAX_AGE_MS;
    return this.#secret !== undefined && isFresh ? this.#secret : this.#readOnce();
  }

  /** Looks again, if the last look is long enough ago. @returns whether the secret is another one than `tried` */
  async hasChangedFrom(tried: Buffer): Promise<boolean> {
    const mayRead = performance.now() - this.#readAtMs >= this.#rereadEveryMs;
    const secret = mayRead ? await this.#readOnce() : await this.current();
    return !secret.equals(tried);
  }

  #readOnce(): Promise<Buffer> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<Buffer> {
    const asked = performance.now();
    try {
      const text = (await this.#redis.get(GLOBAL_KEYS.secret)) ?? (await this.#make());
      if (!/^[0-9a-f]{64}$/.test(text)) {
        throw new MiniodbError(
          'data_corrupted',
          `${GLOBAL_KEYS.secret} does not hold 64 hexadecimal digits`,
          {
            code: 'secret_unreadable',
          },
        );
      }
      this.#secret = Buffer.from(text, 'hex');
      this.#readAtMs = asked;
      return this.#secret;
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  /** Of several that make one at once, the first one's holds. */
  async #make(): Promise<string> {
    const text = randomBytes(SECRET_BYTES).toString('hex');
    await this.#redis.set(GLOBAL_KEYS.secret, text, 'NX');
    return (await this.#redis.get(GLOBAL_KEYS.secret)) ?? text;
  }
}

import { MiniodbError } from '../runtime/errors.ts';
import type { Redis } from './client.ts';

const CHECK_EVERY_MS = 60_000;

/**
 * Whether an acknowledgement from this Redis means that the write is on disk: AOF on, fsync before the reply, and no
 * pause of it during rewrites. Checked after every (re)connect and every minute, because a failover or an operator can
 * change it. What cannot be checked counts as not given.
 */
export class Durability {
  readonly #redis: Redis;
  #checked: Promise<string | undefined> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  start(): void {
    const forget = () => {
      this.#checked = undefined;
    };
    this.#redis.on('ready', forget);
    this.#timer = setInterval(forget, CHECK_EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Throws `failed_precondition`/`ack_not_available` with the setting that is in the way. */
  async require(): Promise<void> {
    this.#checked ??= this.#whyNot();
    let reason: string | undefined;
    try {
      reason = await this.#checked;
    } catch (error) {
      this.#checked = undefined;
      throw new MiniodbError('unavailable', 'Redis is not reachable', {
        code: 'redis_unavailable',
        retryAfterMs: 1_000,
        cause: error,
      });
    }
    if (reason !== undefined) {
      throw new MiniodbError(
        'failed_precondition',
        `the durable acknowledgement cannot be given: ${reason}`,
        {
          code: 'ack_not_available',
        },
      );
    }
  }

  async #whyNot(): Promise<string | undefined> {
    let settings: ReadonlyMap<string, string>;
    try {
      const flat = (await this.#redis.config(
        'GET',
        'appendonly',
        'appendfsync',
        'no-appendfsync-on-rewrite',
        'maxmemory-policy',
      )) as string[];
      settings = new Map(
        Array.from({ length: flat.length / 2 }, (_, pair) => [flat[2 * pair]!, flat[2 * pair + 1]!]),
      );
    } catch (error) {
      if (error instanceof Error && /^(ERR|NOPERM)/.test(error.message))
        return 'Redis does not show its settings';
      throw error;
    }
    const wanted = {
      appendonly: 'yes',
      appendfsync: 'always',
      'no-appendfsync-on-rewrite': 'no',
      // Any other would throw away at will what was acknowledged.
      'maxmemory-policy': 'noeviction',
    };
    for (const [name, value] of Object.entries(wanted)) {
      if (settings.get(name) !== value) return `Redis has ${name} ${settings.get(name)}, it must be ${value}`;
    }
    return undefined;
  }
}

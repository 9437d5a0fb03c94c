import { Redis } from 'ioredis';
import type { Log } from '../runtime/log.ts';
import { redisUnavailable } from './errors.ts';
import { defineScripts } from './script.ts';

export type { ChainableCommander, Redis } from 'ioredis';

export interface RedisOptions {
  readonly url: string;
  /** Shown by CLIENT LIST. */
  readonly connectionName: string;
  readonly log: Log;
}

/**
 * One connection for commands and transactions, with every verb defined on it. Starts connecting at once.
 *
 * A command in flight when the connection breaks is rejected, never sent again by the client: only the caller
 * knows whether repeating it is safe. While disconnected, commands fail at once; wait with `whenReady`.
 */
export function openRedis(options: RedisOptions): Redis {
  const redis = new Redis(options.url, {
    connectionName: options.connectionName,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    // With null, commands in flight when the connection breaks would never settle.
    maxRetriesPerRequest: 0,
    connectTimeout: 2_000,
    // A peer that answers nothing for this long while commands wait is taken for dead; the socket is replaced.
    socketTimeout: 8_000,
    keepAlive: 10_000,
    noDelay: true,
    retryStrategy: (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 5), 1_000),
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  });
  // Queues of BullMQ share the connection and each listens to it.
  redis.setMaxListeners(0);
  redis.on('error', (error: Error) => options.log.warn({ event: 'redis_error', error: error.message }));
  redis.on('ready', () => options.log.debug({ event: 'redis_ready' }));
  defineScripts(redis);
  return redis;
}

/** Resolves when the connection takes commands; `unavailable`/`redis_unavailable` after timeoutMs. */
export async function whenReady(redis: Redis, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  if (redis.status === 'ready') return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = () => reject(redisUnavailable(new Error(`not connected within ${timeoutMs} ms`)));
  const timer = setTimeout(fail, timeoutMs);
  redis.once('ready', resolve);
  signal?.addEventListener('abort', fail, { once: true });
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    redis.off('ready', resolve);
    signal?.removeEventListener('abort', fail);
  }
}

/** Closes the connection after the replies in flight; forces it after two seconds. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === 'end') return;
  const timer = setTimeout(() => redis.disconnect(), 2_000);
  try {
    await redis.quit();
  } catch {
    redis.disconnect();
  } finally {
    clearTimeout(timer);
  }
}

/** Redis' own clock, milliseconds since 1970. */
export async function redisTimeMs(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}

import type { Metrics, Sample } from '../runtime/metrics.ts';
import type { Redis } from './client.ts';
import { readRedisMemory } from './memory.ts';

/** A scrape must not hang on a Redis that does. */
const ANSWER_MS_MAX = 1_000;
const READ_AT_MOST_EVERY_MS = 1_000;

interface Look {
  readonly isUp: boolean;
  readonly usedBytes?: number;
  readonly bytesMax?: number;
  readonly seconds?: number;
}

/** What a process sees of Redis, looked at when somebody asks for metrics. The same Redis is told of by every process. */
export function watchRedis(metrics: Metrics, redis: Redis): void {
  let look: Promise<Look> | undefined;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  const latest = () => {
    if (look === undefined || performance.now() - lookedAtMs >= READ_AT_MOST_EVERY_MS) {
      lookedAtMs = performance.now();
      look = lookAt(redis);
    }
    return look;
  };
  const gauge = (name: string, help: string, pick: (look: Look) => number | undefined) =>
    metrics.readGauge(name, help, [], async (): Promise<readonly Sample<never>[]> => {
      const value = pick(await latest());
      return value === undefined ? [] : [{ labels: {}, value }];
    });
  gauge('miniodb_redis_up', 'Whether Redis answers', ({ isUp }) => (isUp ? 1 : 0));
  gauge('miniodb_redis_memory_used_bytes', 'Memory that Redis uses', ({ usedBytes }) => usedBytes);
  gauge('miniodb_redis_memory_max_bytes', 'maxmemory of Redis; 0: none', ({ bytesMax }) => bytesMax);
  gauge('miniodb_redis_round_trip_seconds', 'How long Redis took to answer', ({ seconds }) => seconds);
}

/** Never rejects. */
async function lookAt(redis: Redis): Promise<Look> {
  const started = performance.now();
  const timeout = Promise.withResolvers<Look>();
  const timer = setTimeout(() => timeout.resolve({ isUp: false }), ANSWER_MS_MAX);
  const answer = readRedisMemory(redis).then(
    (memory): Look => ({ isUp: true, ...memory, seconds: (performance.now() - started) / 1_000 }),
    (): Look => ({ isUp: false }),
  );
  try {
    return await Promise.race([answer, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}

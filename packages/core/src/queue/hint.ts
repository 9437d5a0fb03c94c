import type { Redis } from '../redis/client.ts';
import { GLOBAL_KEYS } from '../table/keys.ts';

let hintCount = 0;

/**
 * Leaves word that shards have work. Idle flushers wait to be told of the first; while a shard has its hint, they look
 * often anyway. What is lost only delays: they look at every table now and then. Never throws.
 * @param shards `s00` …
 * @param wakes tells flushers even where there were hints already: somebody waits
 */
export function hint(redis: Redis, table: string, shards: readonly string[], wakes = false): void {
  // Every hint scores differently, so that settling one never takes a newer one away.
  hintCount = (hintCount + 1) % 1_000;
  const score = Date.now() * 1_000 + hintCount;
  const members = shards.flatMap((shard) => [score, `${table}|${shard}`]);
  redis
    .zadd(GLOBAL_KEYS.dirty, ...members)
    .then((added) => (wakes || Number(added) > 0 ? redis.publish(GLOBAL_KEYS.hinted, '') : 0))
    .catch(() => {});
}

import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { asArray, asText } from '../redis/reply.ts';

/**
 * What BullMQ keeps of a queue, by name. Its own obliterate wants the queue paused, which a late enqueue of a dropped
 * table undoes, and leaves keys that newer versions have added.
 */
const JOB_LISTS = ['wait', 'active', 'paused'] as const;
const JOB_SETS = ['completed', 'failed', 'delayed', 'prioritized', 'waiting-children'] as const;
const OTHER_KEYS = [
  'meta',
  'id',
  'events',
  'marker',
  'pc',
  'de',
  'stalled',
  'stalled-check',
  'limiter',
  'repeat',
  'delay',
  'metrics:completed',
  'metrics:completed:data',
  'metrics:failed',
  'metrics:failed:data',
] as const;
const JOBS_AT_ONCE = 500;

/** Removes a queue that nobody adds to any more, with its jobs, in bounded steps. Repeatable. */
export async function removeQueue(redis: Redis, prefix: string, shard: string): Promise<void> {
  const base = `${prefix}:${shard}:`;
  try {
    for (const list of JOB_LISTS) {
      // From the right, where the oldest are: what a late enqueue pushes on the left is not taken away unseen.
      await removeJobs(redis, base, async (taken) => {
        if (taken > 0) await redis.rpop(base + list, taken);
        return redis.lrange(base + list, -JOBS_AT_ONCE, -1);
      });
    }
    for (const set of JOB_SETS) {
      let last: readonly string[] = [];
      await removeJobs(redis, base, async () => {
        if (last.length > 0) await redis.zrem(base + set, ...last);
        last = await redis.zrange(base + set, '0', String(JOBS_AT_ONCE - 1));
        return last;
      });
    }
    await redis.unlink(OTHER_KEYS.map((key) => base + key));
  } catch (error) {
    throw classifyRedisError(error);
  }
}

/** @param next takes the last page out of its key and answers the next one */
async function removeJobs(
  redis: Redis,
  base: string,
  next: (taken: number) => Promise<readonly unknown[]>,
): Promise<void> {
  let taken = 0;
  for (;;) {
    const ids = asArray('jobs', await next(taken)).map((id) => asText('jobs', id));
    if (ids.length === 0) return;
    await redis.unlink(ids.flatMap((id) => [base + id, `${base}${id}:lock`, `${base}${id}:logs`]));
    taken = ids.length;
  }
}

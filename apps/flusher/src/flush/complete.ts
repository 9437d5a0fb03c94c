import type { ClaimedJob } from '@miniodb/core/queue/jobs.ts';
import type { ShardRef } from '@miniodb/core/queue/seals.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';

/**
 * Completes the jobs whose batch waits no more, because it is sealed or gone; the others go back to the queue. What
 * fails here fails nothing: a job that cannot be finished now is found again when its lock has run out.
 */
export async function completeJobs(
  redis: Redis,
  log: Log,
  ref: ShardRef,
  claimed: readonly ClaimedJob[],
): Promise<void> {
  if (claimed.length === 0) return;
  const unsealed = new ProtocolKeys(ref.table, ref.generation).unsealed(ref.shard);
  try {
    const scores = await redis.zmscore(unsealed, ...claimed.map((job) => job.batchId));
    await Promise.allSettled(
      claimed.map((job, at) => (scores[at] === null ? job.complete() : job.release())),
    );
  } catch (error) {
    log.warn({ event: 'complete_failed', ...ref, err: error });
  }
}

import type { ClaimedJob, JobConsumer } from '@miniodb/core/queue/jobs.ts';
import type { ShardRef, ShardState } from '@miniodb/core/queue/seals.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { SEAL_BATCHES_MAX } from './limits.ts';

/** As many as one seal may take batches: fewer, and jobs would pile up under a steady load of small batches. */
const CLAIM_MAX = SEAL_BATCHES_MAX;

/**
 * Takes the jobs that announced the work. Which batches are flushed is not theirs to say: that is the seal's. So a claim
 * that fails fails nothing: at Redis' memory limit none succeeds, and only flushes can free memory then.
 */
export async function claimJobs(
  jobs: JobConsumer,
  log: Log,
  ref: ShardRef,
  state: ShardState,
): Promise<ClaimedJob[]> {
  const { queuePrefix } = new ProtocolKeys(ref.table, ref.generation);
  let claimed: ClaimedJob[] = [];
  try {
    if (state.jobsActive > 0) await jobs.releaseStalled(queuePrefix, ref.shard);
    claimed = await jobs.claim(queuePrefix, ref.shard, Math.min(state.jobsWaiting, CLAIM_MAX));
  } catch (error) {
    log.warn({ event: 'claim_failed', ...ref, err: error });
  }
  await failpoint('fl.claim');
  return claimed;
}

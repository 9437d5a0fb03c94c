import type { ClaimedJob, JobConsumer } from '@miniodb/core/queue/jobs.ts';
import type { ShardRef, ShardState } from '@miniodb/core/queue/seals.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';

const CLAIM_MAX = 500;

/** Takes the jobs that announced the work. Which batches are flushed is not theirs to say: that is the seal's. */
export async function claimJobs(jobs: JobConsumer, ref: ShardRef, state: ShardState): Promise<ClaimedJob[]> {
  const { queuePrefix } = new ProtocolKeys(ref.table, ref.generation);
  if (state.jobsActive > 0) await jobs.releaseStalled(queuePrefix, ref.shard);
  const claimed = await jobs.claim(queuePrefix, ref.shard, Math.min(state.jobsWaiting, CLAIM_MAX));
  await failpoint('fl.claim');
  return claimed;
}

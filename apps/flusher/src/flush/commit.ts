import { type CommitAnswer, commitSeal } from '@miniodb/core/index/commit.ts';
import type { Seal, ShardRef } from '@miniodb/core/queue/seals.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import { entryOf, type UploadedFile } from './upload.ts';

/** Makes the files visible and the batches gone, at one instant. */
export async function commit(
  redis: Redis,
  fixed: FixedKeys,
  ref: ShardRef,
  seal: Seal,
  uploaded: readonly UploadedFile[],
): Promise<CommitAnswer> {
  await failpoint('fl.commit.before');
  const acceptedMs = seal.batches.reduce((newest, batch) => Math.max(newest, batch.meta.acceptedMs), 0);
  const answer = await commitSeal(
    redis,
    fixed,
    ref,
    seal.id,
    seal.batches.map((batch) => batch.id),
    uploaded.map((upload) => ({
      fileId: `${seal.id}-${upload.file.part}`,
      day: upload.day,
      ownerId: upload.file.id,
      entry: entryOf(upload, acceptedMs),
    })),
  );
  await failpoint('fl.commit.after');
  return answer;
}

import { type CommitAnswer, commitSeal } from '@miniodb/core/index/commit.ts';
import type { Seal, ShardRef } from '@miniodb/core/queue/seals.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import type { UploadedFile } from './upload.ts';

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
    uploaded.map(({ file, key, day }) => ({
      fileId: `${seal.id}-${file.part}`,
      day,
      ownerId: file.id,
      entry: {
        v: 1,
        key,
        sha256: file.sha256,
        sizeBytes: file.sizeBytes,
        rows: file.rows,
        minTs: file.minTimestampMicros,
        maxTs: file.maxTimestampMicros,
        minId: file.minId,
        maxId: file.maxId,
        ...(file.ids && { ids: [...file.ids] }),
        acceptedMs,
        columns: file.columns.map(({ name, type }): [string, string] => [name, type]),
        overflow: file.hasOverflow,
      },
    })),
  );
  await failpoint('fl.commit.after');
  return answer;
}

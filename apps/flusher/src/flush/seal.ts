import { randomBytes } from 'node:crypto';
import type { LayoutSettings } from '@miniodb/core/encode/encoder.ts';
import { type SealAnswer, type SealLimits, type ShardRef, sealShard } from '@miniodb/core/queue/seals.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';

export function newSealId(): string {
  return randomBytes(8).toString('hex');
}

/** Fixes what one flush writes. A reply that was lost is asked for again under the same id. */
export async function seal(
  redis: Redis,
  fixed: FixedKeys,
  ref: ShardRef,
  sealId: string,
  limits: SealLimits,
  layout: LayoutSettings,
): Promise<SealAnswer> {
  await failpoint('fl.seal.before');
  const answer = await sealShard(redis, fixed, ref, sealId, limits, layout);
  await failpoint('fl.seal.after');
  return answer;
}

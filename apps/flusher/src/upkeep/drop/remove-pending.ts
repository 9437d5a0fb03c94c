import type { Redis } from '@miniodb/core/redis/client.ts';
import type { ProtocolKeys } from '@miniodb/core/table/keys.ts';

const AT_ONCE = 500;

/** Removes a shard's seals. Without its hash nothing can be done with a seal any more, so these go before its batches. */
export async function removeSeals(redis: Redis, keys: ProtocolKeys, shard: string): Promise<void> {
  for (;;) {
    const seals = await redis.zrange(keys.seals(shard), '0', String(AT_ONCE - 1));
    if (seals.length === 0) return;
    await redis.unlink(seals.flatMap((seal) => [keys.seal(seal), keys.sealBatches(seal)]));
    await redis.zrem(keys.seals(shard), ...seals);
  }
}

/** Removes the payloads of a shard's pending batches. Those of committed ones expire by themselves, in a minute. */
export async function removePayloads(redis: Redis, keys: ProtocolKeys, shard: string): Promise<void> {
  for (;;) {
    const batches = await redis.zrange(keys.pending(shard), '0', String(AT_ONCE - 1));
    if (batches.length === 0) return;
    await redis.unlink(batches.map((batch) => keys.payload(batch)));
    await redis.zrem(keys.pending(shard), ...batches);
  }
}

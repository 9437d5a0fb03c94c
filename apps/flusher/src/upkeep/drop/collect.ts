import { removeQueue } from '@miniodb/core/queue/remove-queue.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { assertInvariant } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import type { DropRecord } from '@miniodb/core/table/drop-record.ts';
import { type FixedKeys, ProtocolKeys, shardName } from '@miniodb/core/table/keys.ts';
import { removeIndexedFiles, removeStrayFiles } from './remove-files.ts';
import { removePayloads, removeSeals } from './remove-pending.ts';
import { writeDropLog } from './write-log.ts';

export interface CollectContext {
  readonly redis: Redis;
  readonly fixed: FixedKeys;
  readonly store: ObjectStore;
}

/**
 * Removes what a dropped incarnation has left, in Redis and in the bucket. The order of the effects:
 *
 *   log        the bucket knows of the drop
 *   seals      nobody can revoke one any more, which would write keys anew
 *   payloads   by the pending batches
 *   files      by the index: id sets, objects, entries
 *   keys       everything else that has a name of its own
 *   queues     BullMQ's keys of each shard
 *   strays     objects that are found by listing only
 *
 * Everything goes after what leads to it has been read and before that goes itself: dead here at any point, the next
 * collection goes on. Keys are found by name; nothing of another generation is touched. Answers the objects deleted.
 */
export async function collectDropped(
  { redis, fixed, store }: CollectContext,
  record: DropRecord,
  signal: AbortSignal,
): Promise<number> {
  const { table, generation } = record;
  const keys = new ProtocolKeys(table, generation);
  const shards = shardsOf(record);
  let objects = 0;
  try {
    const live = await redis.hget(fixed.config(table), 'generation');
    assertInvariant(live !== generation, 'G9', `${table} has a drop record of its living generation`);
    await writeDropLog(store, record, signal);
    await failpoint('dt.collect');
    for (const shard of shards) await removeSeals(redis, keys, shard);
    await failpoint('dt.collect');
    for (const shard of shards) await removePayloads(redis, keys, shard);
    await failpoint('dt.collect');
    objects += await removeIndexedFiles(redis, fixed, store, record, signal);
    await redis.unlink([...keys.ofTable, ...shards.flatMap((shard) => keys.ofShard(shard))]);
    await failpoint('dt.collect');
    for (const shard of shards) await removeQueue(redis, keys.queuePrefix, shard);
    await failpoint('dt.collect');
    objects += await removeStrayFiles(store, record, signal);
    await failpoint('dt.collect');
  } catch (error) {
    signal.throwIfAborted();
    throw classifyRedisError(error);
  }
  return objects;
}

/** All shards that the incarnation ever had. */
function shardsOf({ shards, shard_history }: DropRecord): string[] {
  const most = Math.max(Number(shards), ...shard_history.split(',').map(Number));
  return Array.from({ length: most }, (_, shard) => shardName(shard));
}

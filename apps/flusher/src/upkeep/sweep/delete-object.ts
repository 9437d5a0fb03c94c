import { askToCollect, type CollectAnswer } from '@miniodb/core/index/collect.ts';
import type { TableRef } from '@miniodb/core/index/plan.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { type FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { parseObjectKey } from '@miniodb/core/table/object-name.ts';
import type { FlusherMetrics } from '../../metrics.ts';

export interface DeleteContext {
  readonly redis: Redis;
  readonly fixed: FixedKeys;
  readonly store: ObjectStore;
  readonly log: Log;
  readonly metrics: Pick<FlusherMetrics, 'swept' | 'failed' | 'scanRefused'>;
}

/** A table gets more shards now and then, not all the time. */
const ASKS_MAX = 4;

/** Deletes an object unless Redis has a reason to keep it, and answers what Redis said. */
export async function deleteIfDead(
  context: DeleteContext,
  ref: TableRef,
  key: string,
  kind: 'doomed' | 'orphan',
  signal: AbortSignal,
): Promise<CollectAnswer['status']> {
  const { doomed } = new ProtocolKeys(ref.table, ref.generation);
  const name = parseObjectKey(key);
  if (name === undefined || name.table !== ref.table || name.generation !== ref.generation) {
    // Nothing that we would ever put there: whatever it is, it is not for us to delete.
    context.log.error({ event: 'sweep_unknown_object', table: ref.table, key });
    await takeOff(context, doomed, key);
    return 'held';
  }
  const status = await ask(context, ref, key, name);
  await failpoint('gc.mark');
  if (status === 'indexed' && kind === 'doomed') await takeOff(context, doomed, key);
  if (status !== 'delete') return status;
  await context.store.delete(key, signal);
  await failpoint('gc.delete');
  await takeOff(context, doomed, key);
  context.metrics.swept(kind);
  context.log.info({ event: 'object_deleted', table: ref.table, key, kind });
  return status;
}

async function ask(
  { redis, fixed }: DeleteContext,
  ref: TableRef,
  key: string,
  name: NonNullable<ReturnType<typeof parseObjectKey>>,
): Promise<CollectAnswer['status']> {
  let { shards } = ref;
  for (let attempt = 1; ; attempt += 1) {
    const answer = await askToCollect(redis, fixed, { ...ref, shards }, key, name);
    if (answer.status !== 'stale' || attempt === ASKS_MAX) return answer.status;
    shards = answer.shards;
  }
}

async function takeOff({ redis }: DeleteContext, doomed: string, key: string): Promise<void> {
  try {
    await redis.zrem(doomed, key);
  } catch (error) {
    throw classifyRedisError(error);
  }
}

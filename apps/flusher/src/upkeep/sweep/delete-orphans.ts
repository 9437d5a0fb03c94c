import type { TableRef } from '@miniodb/core/index/plan.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { parseObjectKey } from '@miniodb/core/table/object-name.ts';
import { removeUntakenLog } from '../compact/swap-log.ts';
import { type DeleteContext, deleteIfDead } from './delete-object.ts';
import { indexedKeys } from './indexed-keys.ts';

/** Of one scan; the next one finds the rest. */
const ORPHANS_MAX = 10_000;
const OBJECTS_AT_ONCE = 16;
const SCORES_AT_ONCE = 500;

/**
 * Finds what the index does not know and deletes what may go. When that is more than half of a table's objects, nothing
 * is deleted: a Redis that lost its index looks just like this.
 *
 * @param madeBeforeMs by Redis' clock; younger objects are left alone
 */
export async function deleteOrphans(
  context: DeleteContext,
  ref: TableRef,
  madeBeforeMs: number,
  signal: AbortSignal,
): Promise<void> {
  const indexed = await indexedKeys(context.redis, ref, signal);
  if (indexed === undefined) {
    if (!signal.aborted) context.log.warn({ event: 'orphan_scan_skipped', table: ref.table });
    return;
  }
  const { objects, orphans } = await findOrphans(context, ref, indexed, madeBeforeMs, signal);
  if (orphans.length === 0) return;
  if (orphans.length > objects / 2) {
    context.metrics.scanRefused();
    const fields = { table: ref.table, objects, orphans: orphans.length };
    context.log.error({ event: 'orphan_scan_refused', ...fields });
    return;
  }
  for (const maker of new Set(orphans.map((key) => parseObjectKey(key)!.maker))) {
    if (signal.aborted) return;
    await removeUntakenLog(context.store, ref.table, maker, indexed, signal);
  }
  for (let from = 0; from < orphans.length && !signal.aborted; from += OBJECTS_AT_ONCE) {
    await Promise.all(
      orphans
        .slice(from, from + OBJECTS_AT_ONCE)
        .map((key) => deleteIfDead(context, ref, key, 'orphan', signal)),
    );
  }
}

interface Found {
  /** All that the incarnation has in the bucket, or as many as were looked at. */
  readonly objects: number;
  /** Neither in the index nor waiting for their time since they left it. */
  readonly orphans: readonly string[];
}

async function findOrphans(
  context: DeleteContext,
  ref: TableRef,
  indexed: ReadonlySet<string>,
  madeBeforeMs: number,
  signal: AbortSignal,
): Promise<Found> {
  let objects = 0;
  const orphans: string[] = [];
  let unknown: string[] = [];
  for await (const { key } of context.store.list(`${ref.table}/`, signal)) {
    const name = parseObjectKey(key);
    // Of another generation: a drop's, or nobody's that is known here. Neither is for a scan to delete.
    if (name?.generation !== ref.generation) continue;
    objects += 1;
    if (indexed.has(key) || name.madeMs >= madeBeforeMs) continue;
    unknown.push(key);
    if (unknown.length < SCORES_AT_ONCE) continue;
    orphans.push(...(await withoutDoomed(context, ref, unknown)));
    unknown = [];
    if (orphans.length >= ORPHANS_MAX) break;
  }
  orphans.push(...(await withoutDoomed(context, ref, unknown)));
  return { objects, orphans };
}

async function withoutDoomed(
  { redis }: DeleteContext,
  ref: TableRef,
  keys: readonly string[],
): Promise<string[]> {
  if (keys.length === 0) return [];
  const { doomed } = new ProtocolKeys(ref.table, ref.generation);
  try {
    const scores = await redis.zmscore(doomed, ...keys);
    return keys.filter((_, at) => scores[at] === null);
  } catch (error) {
    throw classifyRedisError(error);
  }
}

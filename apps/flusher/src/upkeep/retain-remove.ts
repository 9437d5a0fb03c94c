import { randomBytes } from 'node:crypto';
import type { LeavingFiles } from '@miniodb/core/index/bounds.ts';
import { type IndexedFile, registerPlan, type TableRef } from '@miniodb/core/index/plan.ts';
import { type RemovalLog, removalLogKey } from '@miniodb/core/index/removal-log.ts';
import { swapFiles } from '@miniodb/core/index/swap.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';

/**
 * Takes whole files out of a table: what retention and cleanups do. The order of the effects, for each part of the files:
 *
 *   plan   its id is live                     died here: it expires
 *   log    the bucket knows what is to leave  died here: the next run removes the same rows, under another id
 *   swap   out of index, id sets and statistics at one instant, objects doomed
 *
 * Objects are the sweeper's. A log whose swap was not taken is taken back, unless the process dies just then.
 */
export interface RemoveContext {
  readonly redis: Redis;
  readonly fixed: FixedKeys;
  readonly store: ObjectStore;
  /** How long readers of older snapshots may still want the objects. */
  readonly objectGraceMs: number;
}

export interface Removal {
  readonly kind: 'retention' | 'cleanup';
  /** RFC 3339: rows from before it leave. */
  readonly before: string;
  readonly by: string;
}

export interface Removed {
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
}

const NOTHING: Removed = { files: 0, rows: 0, bytes: 0 };
/** Of one swap: some 5 ms of Redis' time. */
const FILES_AT_ONCE = 500;
const PLAN_LIVES_MS = 60_000;
/** Beyond what there was at first: old rows may be written, and files rewritten, all the time. */
const FURTHER_SWAPS_MAX = 100;
/** How often the index may move between the bounds and the swap; each try costs what has moved. */
const SWAPS_MAX = 50;

/**
 * Removes every file that leaves, as long as there are any.
 * @param onPlan told of each plan before its swap @returns what was removed by this call
 */
export async function removeFiles(
  context: RemoveContext,
  files: LeavingFiles,
  removal: Removal,
  signal: AbortSignal,
  onPlan: (planId: string) => Promise<void> = async () => {},
): Promise<Removed> {
  let removed = NOTHING;
  let swapsLeft = Number.POSITIVE_INFINITY;
  while (swapsLeft > 0 && (await files.read(signal))) {
    swapsLeft = Math.min(swapsLeft - 1, files.leaving.length / FILES_AT_ONCE + FURTHER_SWAPS_MAX);
    const part = files.leaving.slice(0, FILES_AT_ONCE);
    if (part.length === 0) break;
    const planId = randomBytes(8).toString('hex');
    await onPlan(planId);
    const sizes = sizesOf(part);
    const { ref } = files;
    const text = {
      kind: removal.kind === 'retention' ? 'retain' : 'cleanup',
      by: removal.by,
      inputs: sizes.files,
    } as const;
    const planned = await registerPlan(context.redis, context.fixed, ref, planId, PLAN_LIVES_MS, text);
    if (planned === 'gone') break;
    if (planned !== 'ok') continue;
    await writeLog(context.store, ref, planId, removal, part, signal);
    await failpoint('rt.unindex');
    const isTaken = await trySwap(context, files, planId, part, signal);
    await failpoint('rt.unindex');
    if (isTaken) removed = sum(removed, sizes);
    else await context.store.delete(removalLogKey(ref.table, planId), signal);
  }
  return removed;
}

/** False when the files are no longer there as they were. */
async function trySwap(
  { redis, fixed, objectGraceMs }: RemoveContext,
  files: LeavingFiles,
  planId: string,
  part: readonly IndexedFile[],
  signal: AbortSignal,
): Promise<boolean> {
  const going = new Set(part.map(({ fileId }) => fileId));
  for (let attempt = 0; attempt < SWAPS_MAX; attempt += 1) {
    const answer = await swapFiles(redis, fixed, files.ref, {
      planId,
      inputs: part,
      outputs: [],
      keepsRows: false,
      graceMs: objectGraceMs,
      bounds: files.boundsWithout(going),
    });
    switch (answer.status) {
      case 'ok':
      case 'already':
        return true;
      case 'gone':
      case 'dead':
      case 'missing':
        return false;
      case 'mismatch':
        throw new MiniodbError('internal', `files of ${files.ref.table} leave: ${answer.what} do not match`, {
          code: 'removal_mismatch',
        });
      case 'moved':
        if (!(await files.read(signal))) return false;
    }
  }
  throw new MiniodbError('unavailable', `the index of ${files.ref.table} moves all the time`, {
    code: 'index_contended',
    retryAfterMs: 1_000,
  });
}

async function writeLog(
  store: ObjectStore,
  { table, generation }: TableRef,
  planId: string,
  { kind, before, by }: Removal,
  part: readonly IndexedFile[],
  signal: AbortSignal,
): Promise<void> {
  const { rows, bytes } = sizesOf(part);
  const objects = part.map(({ entry }) => entry.key);
  const log: RemovalLog = { v: 1, kind, table, generation, plan: planId, before, by, rows, bytes, objects };
  const body = Buffer.from(`${JSON.stringify(log)}\n`);
  await store.put(removalLogKey(table, planId), body, {
    sha256: sha256Of(body),
    contentType: 'application/json',
    signal,
  });
}

function sizesOf(part: readonly IndexedFile[]): Removed {
  return part.reduce(
    (all, { entry }) => sum(all, { files: 1, rows: entry.rows, bytes: entry.sizeBytes }),
    NOTHING,
  );
}

export function sum(a: Removed, b: Removed): Removed {
  return { files: a.files + b.files, rows: a.rows + b.rows, bytes: a.bytes + b.bytes };
}

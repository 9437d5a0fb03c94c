import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EncodedFile, Rewriter, RewriteTarget, StoredFile } from '@miniodb/core/encode/encoder.ts';
import type { IndexedFile, TableRef } from '@miniodb/core/index/plan.ts';
import { type SwapAnswer, swapFiles } from '@miniodb/core/index/swap.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import type { RedisClock } from '@miniodb/core/redis/clock.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { assertInvariant, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { type FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { parseObjectKey } from '@miniodb/core/table/object-name.ts';
import { parseSchema } from '@miniodb/core/table/stored-schema.ts';
import { entryOf, type UploadedFile, uploadAs } from '../../flush/upload.ts';
import type { Choice } from './choose.ts';
import { mergedFooter } from './footer.ts';
import { underPlan } from './lease.ts';
import { schemaOfFiles } from './schema.ts';
import { swapLogKey, writeSwapLog } from './swap-log.ts';

/**
 * The way of a rewrite. The order of its durable effects is the correctness argument:
 *
 *   plan     what it uploads is held       died here: the plan expires, nothing else happened
 *   fetch    local copies, checked         died here: as after plan
 *   rewrite  local files, row for row      died here: as after plan
 *   upload   objects nobody refers to      died here: once the plan has expired they are the sweeper's
 *   log      the bucket knows              died here: as after upload; the sweeper takes the log away first
 *   swap     outputs for inputs, at once   died here: the inputs' objects are doomed, the sweeper's in time
 *
 * Inputs are only read, and every failure leaves the index as it is: it is chosen anew at the next look.
 */
export interface RewriteContext {
  readonly redis: Redis;
  readonly clock: RedisClock;
  readonly fixed: FixedKeys;
  readonly rewriter: Rewriter;
  readonly store: ObjectStore;
  readonly workDir: string;
  readonly nodeId: string;
  /** How long readers of older snapshots may still want the inputs. */
  readonly graceMs: number;
}

export interface Rewritten {
  readonly planId: string;
  readonly status: SwapAnswer['status'];
  readonly files: readonly EncodedFile[];
}

const FETCHES_AT_ONCE = 8;
/** A mixed file is of a seal, which has at most 366 days; several of them may have more. */
const SPLIT_FILES_MAX = 400;

export async function rewriteFiles(
  context: RewriteContext,
  ref: TableRef,
  shard: string,
  choice: Choice,
  outerSignal: AbortSignal,
): Promise<Rewritten> {
  const { redis, fixed, store, nodeId } = context;
  // A fresh one each time: what an earlier one uploaded is for the sweeper.
  const planId = randomBytes(10).toString('hex');
  const text = { kind: 'compact', by: nodeId, shard, inputs: choice.inputs.length } as const;
  return underPlan(redis, fixed, ref, planId, text, outerSignal, async (signal) => {
    await failpoint('cp.plan');
    await mkdir(context.workDir, { recursive: true });
    const workDir = await mkdtemp(join(context.workDir, `compact-${planId}-`));
    try {
      const files = await rewriteLocally(context, ref, shard, planId, choice, workDir, signal);
      const maker = { id: planId, ms: context.clock.nowMs() };
      const uploaded = await uploadAs(store, { ...ref, shard }, maker, files, signal);
      await failpoint('cp.put');
      const outputs = uploaded.map(({ key }) => key);
      await writeSwapLog(store, ref, planId, choice.inputs, outputs, signal);
      await failpoint('cp.swap.before');
      signal.throwIfAborted();
      const answer = await swap(context, ref, shard, planId, choice, uploaded);
      await failpoint('cp.swap.after');
      if (answer.status !== 'ok' && answer.status !== 'already') {
        await store.delete(swapLogKey(ref.table, planId), signal);
      }
      return { planId, status: answer.status, files };
    } finally {
      await rm(workDir, { recursive: true, force: true });
    }
  });
}

async function rewriteLocally(
  { redis, rewriter, store }: RewriteContext,
  ref: TableRef,
  shard: string,
  planId: string,
  { kind, inputs }: Choice,
  workDir: string,
  signal: AbortSignal,
): Promise<EncodedFile[]> {
  const [inDir, outDir] = [join(workDir, 'in'), join(workDir, 'out')];
  await Promise.all([mkdir(inDir), mkdir(outDir)]);
  const stored = await fetchInputs(store, inputs, inDir, signal);
  const table = await readSchema(redis, ref);
  const footers = await rewriter.footers(
    stored.map(({ path }) => path),
    signal,
  );
  const files = await rewriter.rewrite(
    {
      inputs: stored,
      schema: schemaOfFiles(
        inputs.map(({ entry }) => entry),
        table,
      ),
      target: kind === 'split' ? { kind: 'days', filesMax: SPLIT_FILES_MAX } : targetOf(inputs),
      workDir: outDir,
      footer: mergedFooter(ref, shard, planId, footers),
    },
    signal,
  );
  const before = inputs.reduce((sum, { entry }) => sum + entry.rows, 0);
  const after = files.reduce((sum, { rows }) => sum + rows, 0);
  assertInvariant(before === after, 'G2', `plan ${planId} has ${before} rows, its files have ${after}`);
  return files;
}

/** Local copies whose bytes are those that were uploaded. */
async function fetchInputs(
  store: ObjectStore,
  inputs: readonly IndexedFile[],
  directory: string,
  signal: AbortSignal,
): Promise<StoredFile[]> {
  const stored = inputs.map(({ entry }, at) => ({
    path: join(directory, `${at}.parquet`),
    rows: entry.rows,
    columns: entry.columns,
    overflow: entry.overflow,
  }));
  for (let from = 0; from < inputs.length; from += FETCHES_AT_ONCE) {
    await Promise.all(
      inputs
        .slice(from, from + FETCHES_AT_ONCE)
        .map(({ entry }, at) =>
          store.getFile(entry.key, stored[from + at]!.path, { sha256: entry.sha256, signal }),
        ),
    );
  }
  return stored;
}

async function readSchema(redis: Redis, { table, generation }: TableRef) {
  try {
    return parseSchema(Object.entries(await redis.hgetall(new ProtocolKeys(table, generation).schema)));
  } catch (error) {
    throw classifyRedisError(error);
  }
}

/** The folder and day that all of them are in. */
function targetOf(inputs: readonly IndexedFile[]): RewriteTarget {
  const { entry } = inputs[0]!;
  const name = parseObjectKey(entry.key);
  if (name === undefined) {
    throw new MiniodbError('data_corrupted', `the index has ${entry.key}, which is no file of ours`, {
      code: 'index_entry_corrupted',
    });
  }
  // A folder that ids share begins with `~s`, which no encoded id does (keys.ts).
  return { kind: 'one', day: name.day, id: name.folder.startsWith('~s') ? undefined : entry.minId };
}

function swap(
  { redis, fixed, graceMs }: RewriteContext,
  ref: TableRef,
  shard: string,
  planId: string,
  { inputs }: Choice,
  uploaded: readonly UploadedFile[],
): Promise<SwapAnswer> {
  const acceptedMs = inputs.reduce((newest, { entry }) => Math.max(newest, entry.acceptedMs), 0);
  return swapFiles(redis, fixed, ref, {
    planId,
    inputs,
    outputs: uploaded.map((each) => ({
      shard,
      day: each.day,
      fileId: `${planId}-${each.file.part}`,
      ownerId: each.file.id,
      entry: entryOf(each, acceptedMs),
    })),
    keepsRows: true,
    graceMs,
  });
}

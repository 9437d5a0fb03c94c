import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Encoder } from '@miniodb/core/encode/encoder.ts';
import type { ClusterIdWatch } from '@miniodb/core/placement/cluster-id-watch.ts';
import type { JobConsumer } from '@miniodb/core/queue/jobs.ts';
import {
  readSeal,
  revokeSeal,
  type Seal,
  type SealLimits,
  type ShardRef,
  type ShardState,
} from '@miniodb/core/queue/seals.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import type { RedisClock } from '@miniodb/core/redis/clock.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import type { FlusherMetrics } from '../metrics.ts';
import { claimJobs } from './claim.ts';
import { commit } from './commit.ts';
import { completeJobs } from './complete.ts';
import { encode } from './encode.ts';
import { fetchPayloads } from './fetch.ts';
import { layoutOf } from './limits.ts';
import { seal } from './seal.ts';
import { upload } from './upload.ts';

/**
 * The way of a flush. The order of its durable effects is the correctness argument:
 *
 *   claim     jobs locked               died here: their locks run out, nothing else happened
 *   seal      set of batches fixed      died here: whoever sees the seal drives it on from encode
 *   complete  jobs gone                 died here: strays are completed by the next claim
 *   encode    local files               died here: as after seal
 *   upload    objects nobody refers to  died here: driven on; other bytes get other keys
 *   commit    files visible, batches gone, at one instant
 *
 * I/O failures leave the seal as it is, to be driven on later. Only payloads that cannot be decoded take a seal back.
 */
export interface FlushContext {
  readonly redis: Redis;
  readonly clock: RedisClock;
  readonly fixed: FixedKeys;
  readonly jobs: JobConsumer;
  readonly encoder: Encoder;
  readonly store: ObjectStore;
  readonly workDir: string;
  readonly log: Log;
  readonly metrics: FlusherMetrics;
  /** Nothing is stored unless Redis and the bucket belong together. */
  readonly history: Pick<ClusterIdWatch, 'requireLately'>;
}

/** Fixes what is oldest in a seal and completes its jobs. False when there was nothing to seal. */
export async function sealOldest(
  context: FlushContext,
  ref: ShardRef,
  state: ShardState,
  config: TableConfig,
  limits: SealLimits,
  sealId: string,
): Promise<boolean> {
  const claimed = await claimJobs(context.jobs, context.log, ref, state);
  try {
    const answer = await seal(context.redis, context.fixed, ref, sealId, limits, layoutOf(config));
    return answer === 'ok' || answer === 'already';
  } finally {
    await completeJobs(context.redis, context.log, ref, claimed);
  }
}

/** Completes jobs that announce nothing any more. */
export async function clearStrayJobs(context: FlushContext, ref: ShardRef, state: ShardState): Promise<void> {
  const claimed = await claimJobs(context.jobs, context.log, ref, state);
  await completeJobs(context.redis, context.log, ref, claimed);
}

/** From a live seal to its commit, whoever made it. */
export async function driveSeal(
  context: FlushContext,
  ref: ShardRef,
  shards: number,
  sealId: string,
  signal: AbortSignal,
): Promise<void> {
  const started = performance.now();
  context.history.requireLately();
  const sealed = await readSeal(context.redis, ref, sealId);
  if (sealed === undefined) return;
  const fetched = await fetchPayloads(context.redis, ref, sealed);
  if (fetched.missing.length > 0) {
    // Payloads expire only after their commit: unless somebody has just committed this seal, they are lost.
    if ((await readSeal(context.redis, ref, sealId)) === undefined) return;
    await setAside(context, ref, sealId, 'payload missing', fetched.missing);
    return;
  }
  const workDir = await mkdtemp(join(context.workDir, `${sealId}-`));
  try {
    const files = await encode(context.encoder, ref, shards, sealed, fetched, workDir, signal);
    const uploaded = await upload(context.store, ref, sealed, files, signal);
    const answer = await commit(context.redis, context.fixed, ref, sealed, uploaded);
    const fields = {
      table: ref.table,
      shard: ref.shard,
      seal: sealId,
      rows: sealed.rows,
      files: files.length,
      lag_ms: lagMs(context.clock, sealed),
    };
    switch (answer.status) {
      case 'ok':
        context.metrics.flushed(ref.table, sealed.rows, files, (performance.now() - started) / 1_000);
        context.metrics.lagged(fields.lag_ms / 1_000);
        context.log.info({ event: 'flushed', ...fields, ms: Math.round(performance.now() - started) });
        return;
      case 'already':
      case 'gone':
      case 'unknown':
        // Somebody else was faster, or the table is no more. The objects are nobody's; the sweeper's in time.
        context.log.warn({ event: 'commit_not_taken', status: answer.status, ...fields });
        context.metrics.commitNotTaken(answer.status);
        return;
      case 'mismatch':
        throw new MiniodbError('internal', `G2: seal ${sealId} and its files differ in ${answer.what}`, {
          code: 'commit_mismatch',
        });
    }
  } catch (error) {
    if (!(error instanceof MiniodbError) || error.code !== 'undecodable_payload') throw error;
    await setAside(context, ref, sealId, error.message, batchIdsOf(error));
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** From the accept of its oldest batch until now, by Redis' clock. */
function lagMs(clock: RedisClock, sealed: Seal): number {
  const now = clock.nowMs();
  return sealed.batches.reduce((lag, { meta }) => Math.max(lag, now - meta.acceptedMs), 0);
}

/** Frees the batches of a seal that is too large for the encoder, so that smaller ones can be made of them. */
export async function breakUpSeal(context: FlushContext, ref: ShardRef, sealId: string): Promise<void> {
  const answer = await revokeSeal(context.redis, ref, sealId, 'too large for the encoder', []);
  context.log.warn({ event: 'seal_broken_up', ...ref, seal: sealId, answer: answer.status });
}

async function setAside(
  context: FlushContext,
  ref: ShardRef,
  sealId: string,
  cause: string,
  batchIds: readonly string[],
): Promise<void> {
  const answer = await revokeSeal(context.redis, ref, sealId, cause, batchIds);
  context.metrics.setAside(batchIds.length);
  context.log.error({
    event: 'batches_set_aside',
    ...ref,
    seal: sealId,
    cause,
    batches: batchIds,
    answer: answer.status,
  });
}

function batchIdsOf(error: MiniodbError): readonly string[] {
  const ids = error.details?.batchIds;
  if (Array.isArray(ids) && ids.length > 0) return ids as string[];
  const id = error.details?.batchId;
  // Without knowing which, nothing may be set aside.
  if (typeof id !== 'string') throw error;
  return [id];
}

import { LeavingFiles } from '@miniodb/core/index/bounds.ts';
import {
  CLEANUP_QUEUE,
  type CleanupRequest,
  type CleanupResult,
  cleanupRequestSchema,
  fateBefore,
  pendingRowsBefore,
} from '@miniodb/core/index/cleanup.ts';
import { removalLogKey, removalLogSchema } from '@miniodb/core/index/removal-log.ts';
import { type ClaimedTask, TASK_LOCK_MS, TaskWorker } from '@miniodb/core/queue/tasks.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { asMiniodbError, type ErrorKind, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { Catalog } from '@miniodb/core/table/catalog.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';
import type { FlusherMetrics } from '../metrics.ts';
import { pause } from '../pause.ts';
import { type RemoveContext, type Removed, removeFiles, sum } from './retain-remove.ts';
import type { UpkeepTask } from './upkeep.ts';

/** Somebody waits for the answer, and asking costs one small script. */
const EVERY_MS = 400;
const STALLED_EVERY_MS = 2_000;
/** Of these the next attempt may know nothing. */
const PASSING: ReadonlySet<ErrorKind> = new Set<ErrorKind>(['unavailable', 'resource_exhausted']);

export interface CleanupContext extends RemoveContext {
  readonly catalog: Pick<Catalog, 'read'>;
  readonly metrics: Pick<FlusherMetrics, 'failed' | 'removed'>;
  readonly log: Log;
  /** Identity of this process in locks. */
  readonly nodeId: string;
}

/** Does the cleanups that gateways ask for, one at a time. Where one dies, the next flusher goes on with it. */
export class Cleanups implements UpkeepTask {
  readonly name = 'cleanup';
  readonly everyMs = EVERY_MS;
  readonly #context: CleanupContext;
  readonly #worker: TaskWorker;
  #stalledAtMs = Number.NEGATIVE_INFINITY;

  constructor(context: CleanupContext) {
    this.#context = context;
    this.#worker = new TaskWorker(context.redis, CLEANUP_QUEUE, context.nodeId);
  }

  async run(signal: AbortSignal): Promise<void> {
    const now = performance.now();
    if (now - this.#stalledAtMs > STALLED_EVERY_MS) {
      this.#stalledAtMs = now;
      await this.#worker.releaseStalled();
    }
    while (!signal.aborted) {
      const task = await this.#worker.claim();
      if (task === undefined) return;
      await this.#do(task, signal);
    }
  }

  /** Once the task is stopped. */
  close(): Promise<void> {
    return this.#worker.close();
  }

  /** Never fails: what goes wrong with a cleanup is the cleanup's. */
  async #do(task: ClaimedTask, stopping: AbortSignal): Promise<void> {
    const { log, metrics } = this.#context;
    const lost = new AbortController();
    const over = new AbortController();
    const keeping = keepLock(task, lost, over.signal);
    try {
      const result = await cleanup(this.#context, task, AbortSignal.any([stopping, lost.signal]));
      await task.complete(result);
    } catch (thrown) {
      const error = asMiniodbError(thrown);
      metrics.failed(error.code);
      log.error({ event: 'cleanup_failed', task: task.id, err: error });
      // Whoever has the lock now decides what becomes of it.
      if (lost.signal.aborted) return;
      const { kind, code, message } = error;
      const ended = stopping.aborted ? task.release() : task.fail({ kind, code, message }, PASSING.has(kind));
      await ended.catch((unsaid: unknown) => {
        log.warn({ event: 'cleanup_end_unsaid', task: task.id, err: asMiniodbError(unsaid) });
      });
    } finally {
      over.abort();
      await keeping;
    }
  }
}

async function keepLock(task: ClaimedTask, lost: AbortController, over: AbortSignal): Promise<void> {
  let keptAtMs = performance.now();
  for (;;) {
    await pause(TASK_LOCK_MS / 4, over);
    if (over.aborted) return;
    // Redis may be back in time.
    const isKept = await task.keep().catch(() => undefined);
    if (isKept === true) keptAtMs = performance.now();
    if (isKept !== false && performance.now() - keptAtMs < TASK_LOCK_MS) continue;
    lost.abort(
      new MiniodbError('unavailable', 'the lock of the cleanup is lost', { code: 'task_lock_lost' }),
    );
    return;
  }
}

async function cleanup(
  context: CleanupContext,
  task: ClaimedTask,
  signal: AbortSignal,
): Promise<CleanupResult> {
  const request = cleanupRequestSchema.parse(task.data);
  const { table: name, generation, before, beforeMicros, by } = request;
  const table = await context.catalog.read(name);
  if (table?.generation !== generation) {
    throw new MiniodbError('not_found', `table ${name} was dropped meanwhile`, { code: 'table_gone' });
  }
  const ref = { table: name, generation, shards: table.config.shards };
  const files = new LeavingFiles(context.redis, context.fixed, ref, fateBefore(beforeMicros));
  const plans = [...request.plans];
  const onPlan = async (planId: string) => {
    plans.push(planId);
    await task.save({ ...request, plans });
  };
  const earlier = await removedBy(context, request, signal);
  const now = await removeFiles(context, files, { kind: 'cleanup', before, by }, signal, onPlan);
  const removed = sum(earlier, now);
  context.metrics.removed('cleanup', now);
  context.log.info({ event: 'cleanup', table: name, before, ...removed });
  const { files: filesLeft, rows: rowsLeft } = files.straddling;
  return { ...removed, filesLeft, rowsLeft, pendingRows: pendingRowsBefore(files.pending, beforeMicros) };
}

/** What attempts before this one have removed: those of their plans whose swap was taken, by their logs. */
async function removedBy(
  { redis, store }: CleanupContext,
  { table, generation, plans }: CleanupRequest,
  signal: AbortSignal,
): Promise<Removed> {
  const { donePlans } = new ProtocolKeys(table, generation);
  let removed: Removed = { files: 0, rows: 0, bytes: 0 };
  for (const plan of plans) {
    let done: string | null;
    try {
      done = await redis.zscore(donePlans, plan);
    } catch (error) {
      throw classifyRedisError(error);
    }
    if (done === null) continue;
    const body = Buffer.from(await store.get(removalLogKey(table, plan), { signal }));
    const { rows, bytes, objects } = removalLogSchema.parse(JSON.parse(body.toString('utf8')));
    removed = sum(removed, { files: objects.length, rows, bytes });
  }
  return removed;
}

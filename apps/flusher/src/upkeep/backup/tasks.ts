import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BACKUP_QUEUE,
  listRequestSchema,
  QUESTION_QUEUE,
  type RestoreRequest,
  type TaskProgress,
  taskRequestSchema,
} from '@miniodb/core/backup/requests.ts';
import { type ClaimedTask, TASK_LOCK_MS, TaskWorker } from '@miniodb/core/queue/tasks.ts';
import { asMiniodbError, type ErrorKind, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { FlusherMetrics } from '../../metrics.ts';
import { pause } from '../../pause.ts';
import type { UpkeepTask } from '../upkeep.ts';
import type { BackupContext, TellProgress } from './context.ts';
import { listOf } from './list.ts';
import { makeBackup } from './make-backup.ts';
import { restore } from './restore.ts';

/** Somebody waits for the answer, and asking costs one small script. */
const EVERY_MS = 400;
const STALLED_EVERY_MS = 2_000;
const PROGRESS_EVERY_MS = 500;
/** A question is not asked for longer than its asker waits. */
const QUESTION_MS_MAX = 30_000;

/** Of these the next attempt may know nothing. */
const PASSING: ReadonlySet<ErrorKind> = new Set<ErrorKind>([
  'unavailable',
  'resource_exhausted',
  'outcome_unknown',
  'deadline_exceeded',
]);

export interface TasksContext extends Omit<BackupContext, 'workDir'> {
  /** A folder is made in it for each task. */
  readonly workDir: string;
  /** Identity of this process in locks. */
  readonly nodeId: string;
  readonly log: Log;
  readonly metrics: Pick<FlusherMetrics, 'failed'>;
}

/** Does what gateways ask for: one backup or restore at a time, and, beside it, one question. */
export class BackupTasks {
  readonly tasks: readonly UpkeepTask[];
  readonly #runners: readonly TaskRunner[];

  constructor(context: TasksContext) {
    this.#runners = [
      new TaskRunner(context, BACKUP_QUEUE, runTask),
      new TaskRunner(context, QUESTION_QUEUE, answerQuestion),
    ];
    this.tasks = this.#runners;
  }

  /** Once the tasks are stopped. */
  async close(): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.close()));
  }
}

type Run = (
  context: BackupContext,
  task: ClaimedTask,
  tell: TellProgress,
  signal: AbortSignal,
) => Promise<object>;

const runTask: Run = async (context, task, tell, signal) => {
  const parsed = taskRequestSchema.safeParse(task.data);
  if (!parsed.success) throw unreadable(task.id, parsed.error);
  const request = parsed.data;
  if (request.kind === 'backup') return makeBackup(context, task.id, request, tell, signal);
  const save = (state: RestoreRequest['state']) => task.save({ ...request, state });
  return restore(context, request, save as Parameters<typeof restore>[2], tell, signal);
};

const answerQuestion: Run = async (context, task, _tell, signal) => {
  const parsed = listRequestSchema.safeParse(task.data);
  if (!parsed.success) throw unreadable(task.id, parsed.error);
  return { backups: await listOf(context.backups, parsed.data.table, signal) };
};

class TaskRunner implements UpkeepTask {
  readonly name: string;
  readonly everyMs = EVERY_MS;
  readonly #context: TasksContext;
  readonly #worker: TaskWorker;
  readonly #run: Run;
  readonly #queue: string;
  #stalledLookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(context: TasksContext, queue: string, run: Run) {
    this.name = `tasks-${queue}`;
    this.#context = context;
    this.#queue = queue;
    this.#run = run;
    this.#worker = new TaskWorker(context.redis, queue, context.nodeId);
  }

  async run(signal: AbortSignal): Promise<void> {
    const now = performance.now();
    if (now - this.#stalledLookedAtMs > STALLED_EVERY_MS) {
      this.#stalledLookedAtMs = now;
      await this.#worker.releaseStalled();
    }
    while (!signal.aborted) {
      const task = await this.#worker.claim();
      if (task === undefined) return;
      await this.#do(task, signal);
    }
  }

  async close(): Promise<void> {
    await this.#worker.close();
  }

  /** Never fails: what goes wrong with a task is the task's. */
  async #do(task: ClaimedTask, stopping: AbortSignal): Promise<void> {
    const { log, metrics } = this.#context;
    const lost = new AbortController();
    const over = new AbortController();
    const limits = this.#queue === QUESTION_QUEUE ? [AbortSignal.timeout(QUESTION_MS_MAX)] : [];
    const signal = AbortSignal.any([stopping, lost.signal, ...limits]);
    const keeping = keepLock(task, lost, over.signal);
    const started = performance.now();
    let workDir: string | undefined;
    try {
      await mkdir(this.#context.workDir, { recursive: true });
      workDir = await mkdtemp(join(this.#context.workDir, 'task-'));
      // Not at start: a flusher flushes without a place for backups too.
      await this.#context.backups.ensureReady(signal);
      const result = await this.#run({ ...this.#context, workDir }, task, tellTo(task), signal);
      await task.complete(result);
      const ms = Math.round(performance.now() - started);
      log.info({ event: 'task_done', queue: this.#queue, task: task.id, ms });
    } catch (thrown) {
      const error = asMiniodbError(thrown);
      metrics.failed(error.code);
      log.error({ event: 'task_failed', queue: this.#queue, task: task.id, err: error });
      // Whoever has the lock now decides what becomes of it.
      if (lost.signal.aborted) return;
      const { kind, code, message } = error;
      const ended = stopping.aborted ? task.release() : task.fail({ kind, code, message }, PASSING.has(kind));
      await ended.catch((unsaid: unknown) => {
        log.warn({ event: 'task_end_unsaid', task: task.id, err: asMiniodbError(unsaid) });
      });
    } finally {
      over.abort();
      await keeping;
      if (workDir !== undefined) await rm(workDir, { recursive: true, force: true });
    }
  }
}

/** While the work goes on. Where the lock is lost, somebody else may be at it: the work is ended. */
async function keepLock(task: ClaimedTask, lost: AbortController, over: AbortSignal): Promise<void> {
  let keptAtMs = performance.now();
  for (;;) {
    await pause(TASK_LOCK_MS / 4, over);
    if (over.aborted) return;
    try {
      if (await task.keep()) keptAtMs = performance.now();
      else keptAtMs = Number.NEGATIVE_INFINITY;
    } catch {
      // Redis may be back in time.
    }
    if (performance.now() - keptAtMs < TASK_LOCK_MS) continue;
    lost.abort(new MiniodbError('unavailable', 'the lock of the task is lost', { code: 'task_lock_lost' }));
    return;
  }
}

/** Now and then, and at the end of a step. What is lost of it is nobody's failure. */
function tellTo(task: ClaimedTask): TellProgress {
  let toldMs = Number.NEGATIVE_INFINITY;
  let step = '';
  return (progress: TaskProgress) => {
    const now = performance.now();
    if (progress.step === step && progress.done < progress.of && now - toldMs < PROGRESS_EVERY_MS) return;
    if (progress.step === step && now - toldMs < PROGRESS_EVERY_MS / 10) return;
    [toldMs, step] = [now, progress.step];
    task.progress(progress).catch(() => {});
  };
}

function unreadable(id: string, cause: unknown): MiniodbError {
  return new MiniodbError('failed_precondition', `this version cannot read the task ${id}`, {
    code: 'task_unreadable',
    cause,
  });
}

import { createRedisBackend, Job, Queue, UnrecoverableError, Worker } from 'bullmq';
import { z } from 'zod';
import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { type ErrorKind, MiniodbError } from '../runtime/errors.ts';
import { GLOBAL_KEYS } from '../table/keys.ts';

/**
 * Work that one process asks for and another does, as BullMQ jobs: backups and restores. Unlike the jobs of batches these
 * are the truth: what is to be done, how far it is, and how it ended, for a week. A claimant that dies loses its lock,
 * and the next one goes on with what the job's data say.
 */

/** How long a claimant may be silent. Its death is noticed within three times that. */
export const TASK_LOCK_MS = 6_000;
const ATTEMPTS_MAX = 6;
const FIRST_PAUSE_MS = 1_000;
const KEPT_SECONDS = 7 * 86_400;
const KEPT_MAX = 1_000;
/** One more is refused: each is minutes of work. */
const WAITING_MAX = 1_000;

export interface TaskFailure {
  readonly kind: ErrorKind;
  readonly code: string;
  readonly message: string;
}

export interface TaskReport {
  readonly id: string;
  readonly state: 'waiting' | 'running' | 'done' | 'failed';
  /** What it was asked to do, and what its claimants noted. */
  readonly data: unknown;
  readonly progress: unknown;
  /** Of one that is done. */
  readonly result: unknown;
  /** Of one that failed, or whose last attempt did. */
  readonly failure: TaskFailure | undefined;
}

/** Asks for tasks and looks after them. @param name of the queue */
export class TaskQueue {
  readonly #queue: Queue;

  constructor(redis: Redis, name: string) {
    const options = { connection: redis as never, prefix: GLOBAL_KEYS.tasks, skipVersionCheck: true };
    this.#queue = new Queue(name, { ...options, skipMetasUpdate: true }, createRedisBackend);
    this.#queue.on('error', () => {});
  }

  /** Adding a task of an id that there is does nothing. Throws `too_many_tasks`. */
  async add(id: string, data: object): Promise<void> {
    try {
      await this.#queue.waitUntilReady();
      if ((await this.#queue.getWaitingCount()) >= WAITING_MAX) {
        throw new MiniodbError('resource_exhausted', `${WAITING_MAX} tasks wait already`, {
          code: 'too_many_tasks',
          retryAfterMs: 10_000,
        });
      }
      await this.#queue.add('task', data, {
        jobId: id,
        attempts: ATTEMPTS_MAX,
        backoff: { type: 'exponential', delay: FIRST_PAUSE_MS },
        removeOnComplete: { age: KEPT_SECONDS, count: KEPT_MAX },
        removeOnFail: { age: KEPT_SECONDS, count: KEPT_MAX },
        stackTraceLimit: 0,
      });
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  /** undefined when there is no such task, or it ended more than a week ago. */
  async look(id: string): Promise<TaskReport | undefined> {
    try {
      // The state first: what ends in between has its result by the time that the rest is read.
      const state = await this.#queue.getJobState(id);
      const job = await Job.fromId(this.#queue, id);
      if (job === undefined) return undefined;
      return {
        id,
        state: stateOf(state),
        data: job.data,
        progress: job.progress,
        result: job.returnvalue,
        failure: failureOf(job.failedReason),
      };
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  /** Of a task that is done, and that nobody will ask for again. */
  async forget(id: string): Promise<void> {
    await this.#queue.remove(id).catch(() => {});
  }

  async close(): Promise<void> {
    await this.#queue.close().catch(() => {});
  }
}

export interface ClaimedTask {
  readonly id: string;
  readonly data: unknown;
  /** Notes how far it is, for whoever looks. */
  progress(progress: object): Promise<void>;
  /** Replaces the data: what the next claimant must know. */
  save(data: object): Promise<void>;
  /** False: the lock is lost, and somebody else may be at it. */
  keep(): Promise<boolean>;
  complete(result: object): Promise<void>;
  /** Tried again later, a bounded number of times, if mayPass. */
  fail(failure: TaskFailure, mayPass: boolean): Promise<void>;
  /** Back to the queue, for whoever comes next. */
  release(): Promise<void>;
}

export class TaskWorker {
  readonly #token: string;
  readonly #worker: Worker;

  /** @param token identity of this process in job locks */
  constructor(redis: Redis, name: string, token: string) {
    this.#token = token;
    this.#worker = new Worker(
      name,
      null,
      {
        connection: redis as never,
        prefix: GLOBAL_KEYS.tasks,
        autorun: false,
        skipVersionCheck: true,
        lockDuration: TASK_LOCK_MS,
        stalledInterval: TASK_LOCK_MS,
        maxStalledCount: 1_000,
      },
      (queueName, options) =>
        createRedisBackend(queueName, options, { blocking: false, withBlockingConnection: false }),
    );
    this.#worker.on('error', () => {});
  }

  async claim(): Promise<ClaimedTask | undefined> {
    const token = this.#token;
    try {
      await this.#worker.waitUntilReady();
      const job = await this.#worker.getNextJob(token, { block: false });
      if (job === undefined) return undefined;
      return {
        id: job.id!,
        data: job.data,
        progress: (progress) => answered(job.updateProgress(progress)),
        save: (data) => answered(job.updateData(data)),
        keep: async () => (await answered(job.extendLock(token, TASK_LOCK_MS))) === 1,
        complete: (result) => done(job.moveToCompleted(result, token, false)),
        fail: (failure, mayPass) => {
          const text = JSON.stringify(failure);
          return done(
            job.moveToFailed(mayPass ? new Error(text) : new UnrecoverableError(text), token, false),
          );
        },
        release: () => done(job.moveToWait(token)),
      };
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  /** Puts tasks back whose claimant died. Does nothing when somebody did lately. */
  async releaseStalled(): Promise<void> {
    try {
      await this.#worker.waitUntilReady();
      await this.#worker.getBackend().moveStalledJobsToWait();
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  async close(): Promise<void> {
    await this.#worker.close().catch(() => {});
  }
}

async function answered<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    throw classifyRedisError(error);
  }
}

async function done(work: Promise<unknown>): Promise<void> {
  await answered(work);
}

function stateOf(state: string): TaskReport['state'] {
  switch (state) {
    case 'completed':
      return 'done';
    case 'failed':
      return 'failed';
    case 'active':
      return 'running';
    default:
      return 'waiting';
  }
}

const failureSchema = z.object({ kind: z.string(), code: z.string(), message: z.string() });

function failureOf(reason: string | undefined | null): TaskFailure | undefined {
  if (reason === undefined || reason === null || reason === '') return undefined;
  try {
    return failureSchema.parse(JSON.parse(reason)) as TaskFailure;
  } catch {
    // BullMQ's own words: a job that lost too many claimants.
    return { kind: 'internal', code: 'task_failed', message: reason };
  }
}

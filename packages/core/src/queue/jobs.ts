import { createRedisBackend, Job, Queue, Worker } from 'bullmq';
import { LRUCache } from 'lru-cache';
import type { ChainableCommander, Redis } from '../redis/client.ts';

/**
 * The one place that knows BullMQ. A job is one batch; it says that there is work and gives BullMQ's tools their
 * view. The truth is in the put, seal and commit verbs: a job whose batch is sealed or gone is completed at once.
 *
 * Queues and workers share the process' connection; workers do not block, so thousands of queues cost no sockets.
 */

/** Queue and worker objects are cheap to make again; this many stay. */
const OPEN_QUEUES_MAX = 2_000;
/** A claimed job that is not completed within this time goes back to the queue. */
const LOCK_MS = 60_000;
const STALLED_CHECK_MS = 30_000;

const JOB_OPTIONS = { removeOnComplete: true, removeOnFail: false, attempts: 1 } as const;

interface JobData {
  readonly rows: number;
}

export class JobProducer {
  readonly #redis: Redis;
  readonly #queues = new LRUCache<string, Queue<JobData>>({
    max: OPEN_QUEUES_MAX,
    dispose: (queue) => void queue.close().catch(() => {}),
  });

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** A MULTI on the shared connection that BullMQ's commands can join. */
  async transaction(): Promise<ChainableCommander> {
    const client = await this.#anyClient();
    return client.multi() as unknown as ChainableCommander;
  }

  /** BullMQ wraps a connection once; every queue's client is that same wrapper. */
  async #anyClient() {
    return this.#queue('{miniodb}', 'wrapper').getBackend().connection.client;
  }

  /** Adds the job of a batch to a transaction. Waits at most for the queue's first use of the connection. */
  async addTo(
    transaction: ChainableCommander,
    prefix: string,
    shard: string,
    batchId: string,
    rows: number,
  ): Promise<void> {
    const queue = this.#queue(prefix, shard);
    await queue.waitUntilReady();
    // BullMQ reads the length of the event stream from here; its default would cost 500 KB a queue.
    void transaction.hset(queue.toKey('meta'), { 'opts.maxLenEvents': 0 });
    const job = new Job<JobData>(queue, 'batch', { rows }, JOB_OPTIONS, batchId);
    // Inside a MULTI it resolves to nothing useful: exec() has the replies.
    void job.addJob(transaction as never);
  }

  /** Takes jobs away that announce nothing. Those that stay behind are completed by the next claim. */
  remove(prefix: string, jobs: readonly { readonly shard: string; readonly id: string }[]): void {
    for (const { shard, id } of jobs) {
      this.#queue(prefix, shard)
        .remove(id)
        .catch(() => {});
    }
  }

  #queue(prefix: string, shard: string): Queue<JobData> {
    const name = `${prefix}:${shard}`;
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new Queue<JobData>(
        shard,
        {
          connection: this.#redis as never,
          prefix,
          skipVersionCheck: true,
          skipMetasUpdate: true,
        },
        createRedisBackend,
      );
      queue.on('error', () => {});
      this.#queues.set(name, queue);
    }
    return queue;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#queues.values()].map((queue) => queue.close()));
  }
}

export interface ClaimedJob {
  readonly batchId: string;
  complete(): Promise<void>;
  /** Back to the queue, for whoever comes next. */
  release(): Promise<void>;
}

export class JobConsumer {
  readonly #redis: Redis;
  readonly #token: string;
  readonly #workers = new LRUCache<string, Worker<JobData>>({
    max: OPEN_QUEUES_MAX,
    dispose: (worker) => void worker.close().catch(() => {}),
  });

  /** @param token identity of this process in job locks */
  constructor(redis: Redis, token: string) {
    this.#redis = redis;
    this.#token = token;
  }

  /** Claims up to `max` jobs, pipelined; fewer when there are no more. */
  async claim(prefix: string, shard: string, max: number): Promise<ClaimedJob[]> {
    const worker = this.#worker(prefix, shard);
    await worker.waitUntilReady();
    // One that fails must not lose the others, which are claimed all the same.
    const outcomes = await Promise.allSettled(
      Array.from({ length: max }, () => worker.getNextJob(this.#token, { block: false })),
    );
    const jobs = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined && jobs.length === 0) throw failed.reason;
    return jobs
      .filter((job) => job !== undefined)
      .map((job) => ({
        batchId: job.id!,
        complete: async () => {
          await job.moveToCompleted(0, this.#token, false);
        },
        release: async () => {
          await job.moveToWait(this.#token);
        },
      }));
  }

  /** Puts jobs back whose claimant died. Does nothing when somebody did within the last half minute. */
  async releaseStalled(prefix: string, shard: string): Promise<void> {
    const worker = this.#worker(prefix, shard);
    await worker.waitUntilReady();
    await worker.getBackend().moveStalledJobsToWait();
  }

  #worker(prefix: string, shard: string): Worker<JobData> {
    const name = `${prefix}:${shard}`;
    let worker = this.#workers.get(name);
    if (worker === undefined) {
      worker = new Worker<JobData>(
        shard,
        null,
        {
          connection: this.#redis as never,
          prefix,
          autorun: false,
          skipVersionCheck: true,
          lockDuration: LOCK_MS,
          stalledInterval: STALLED_CHECK_MS,
          // A job may lose any number of claimants: the batch behind it decides, not the job.
          maxStalledCount: 1_000_000,
        },
        (queueName, options) =>
          createRedisBackend(queueName, options, { blocking: false, withBlockingConnection: false }),
      );
      worker.on('error', () => {});
      this.#workers.set(name, worker);
    }
    return worker;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#workers.values()].map((worker) => worker.close()));
  }
}

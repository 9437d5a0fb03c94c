import type { ClusterIdWatch } from '@miniodb/core/placement/cluster-id-watch.ts';
import { asMiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';
import type { FlusherMetrics } from '../metrics.ts';
import { pause } from '../pause.ts';

/** Work that is not a flush: done now and then, by whoever owns it, and safe to do twice. */
export interface UpkeepTask {
  /** `collect-drops`: in logs and metrics. */
  readonly name: string;
  /** From the end of one run to the start of the next. */
  readonly everyMs: number;
  run(signal: AbortSignal): Promise<void>;
}

/** Runs each task in a loop of its own; one that fails is logged, counted and run again at its time. */
export class Upkeep {
  readonly #tasks: readonly UpkeepTask[];
  readonly #log: Log;
  readonly #metrics: FlusherMetrics;
  readonly #history: Pick<ClusterIdWatch, 'require'>;
  readonly #stop = new AbortController();
  #loops: readonly Promise<void>[] = [];

  /** @param history nothing runs unless Redis and the bucket belong together: tasks delete objects by what Redis says */
  constructor(
    tasks: readonly UpkeepTask[],
    log: Log,
    metrics: FlusherMetrics,
    history: Pick<ClusterIdWatch, 'require'>,
  ) {
    this.#tasks = tasks;
    this.#log = log;
    this.#metrics = metrics;
    this.#history = history;
  }

  start(): void {
    this.#loops = this.#tasks.map((task) => this.#repeat(task));
  }

  /** Tasks see their signal fire and end at their next safe place. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
  }

  async #repeat(task: UpkeepTask): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (await this.#mayRun()) await task.run(signal);
      } catch (thrown) {
        if (signal.aborted) return;
        const error = asMiniodbError(thrown);
        this.#metrics.failed(error.code);
        this.#log.error({ event: 'upkeep_failed', task: task.name, err: error });
      }
      await pause(task.everyMs, signal);
    }
  }

  /** The watch says why not, once. While Redis is away the task finds that out by itself. */
  async #mayRun(): Promise<boolean> {
    try {
      await this.#history.require();
      return true;
    } catch (error) {
      return asMiniodbError(error).kind === 'unavailable';
    }
  }
}

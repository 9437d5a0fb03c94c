import { setTimeout as sleep } from 'node:timers/promises';
import { describeExit, type Exit, type ManagedProcess, STOP_MS_MAX } from './process.ts';

/** First wait after a crash; each further one doubles it. */
const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 10_000;
/** A process that lived this long had recovered from whatever killed it before. */
const STEADY_MS = 30_000;

/** What a supervisor tells; `name` is that of the process. */
export type SupervisorEvent =
  | { readonly kind: 'started'; readonly name: string; readonly pid: number; readonly elapsedMs: number }
  | { readonly kind: 'crashed'; readonly name: string; readonly exit: string; readonly logFile: string }
  | { readonly kind: 'restarting'; readonly name: string; readonly afterMs: number }
  | { readonly kind: 'restart_failed'; readonly name: string; readonly error: unknown }
  | { readonly kind: 'stopped'; readonly name: string; readonly exit: string };

interface Startable {
  readonly process: ManagedProcess;
}

export interface SupervisorOptions<T extends Startable> {
  readonly name: string;
  /** Resolves when it is ready; leaves nothing running when it throws. */
  readonly start: () => Promise<T>;
  readonly onEvent: (event: SupervisorEvent) => void;
  /** Whether a crashed process is started again. */
  readonly restart: boolean;
}

/**
 * Keeps one process running. Its modes, and who changes them:
 *
 *   running    `current` lives, or ended a moment ago
 *   waiting    it crashed; a timer holds the next start (only when `restart` is set)
 *   starting   a new one is on its way to being ready
 *   down       it crashed and `restart` is not set; `restartNow` starts it again
 *   stopping   `stop` or `restartNow` was called: an exit is no crash; final after `stop`
 */
export class Supervised<T extends Startable> {
  readonly #options: SupervisorOptions<T>;
  #current: T;
  #wanted = true;
  #watching: Promise<void>;
  #stopping = new AbortController();

  private constructor(options: SupervisorOptions<T>, current: T) {
    this.#options = options;
    this.#current = current;
    this.#watching = this.#watch();
  }

  /** Throws what the first start throws: only what ran once is worth restarting. */
  static async start<T extends Startable>(options: SupervisorOptions<T>): Promise<Supervised<T>> {
    return new Supervised(options, await startReported(options));
  }

  get name(): string {
    return this.#options.name;
  }

  /** The latest one that got ready; it may have ended since. */
  get current(): T {
    return this.#current;
  }

  async #watch(): Promise<void> {
    let backoffMs = BACKOFF_MS_MIN;
    while (this.#wanted) {
      const startedMs = performance.now();
      const { exited, logFile } = this.#current.process;
      const exit = await exited;
      if (!this.#wanted) return;
      this.#options.onEvent({ kind: 'crashed', name: this.name, exit: describeExit(exit), logFile });
      if (!this.#options.restart) return;
      if (performance.now() - startedMs >= STEADY_MS) backoffMs = BACKOFF_MS_MIN;
      backoffMs = await this.#startAgain(backoffMs);
    }
  }

  /** Tries until it runs or is not wanted any more. @returns the wait after the next crash */
  async #startAgain(firstBackoffMs: number): Promise<number> {
    let backoffMs = firstBackoffMs;
    for (;;) {
      this.#options.onEvent({ kind: 'restarting', name: this.name, afterMs: backoffMs });
      await sleep(backoffMs, undefined, { signal: this.#stopping.signal }).catch(() => {});
      if (!this.#wanted) return backoffMs;
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX);
      try {
        this.#current = await startReported(this.#options);
        return backoffMs;
      } catch (error) {
        this.#options.onEvent({ kind: 'restart_failed', name: this.name, error });
      }
    }
  }

  /** SIGTERM, then SIGKILL after graceMs; what is just being started is waited for and stopped too. */
  async stop(graceMs = STOP_MS_MAX): Promise<void> {
    await this.#end((current) => current.stop(graceMs));
  }

  /** Stops it, or kills it with SIGKILL, and starts it again at once. Throws what the start throws. */
  async restartNow(how: 'stop' | 'kill' = 'stop'): Promise<void> {
    await this.#end((current) => (how === 'kill' ? current.kill() : current.stop()));
    this.#stopping = new AbortController();
    this.#current = await startReported(this.#options);
    this.#wanted = true;
    this.#watching = this.#watch();
  }

  async #end(end: (current: ManagedProcess) => Promise<Exit>): Promise<void> {
    this.#wanted = false;
    this.#stopping.abort();
    await end(this.#current.process);
    // A start that was on its way has made another process the current one by now.
    await this.#watching;
    const exit = await end(this.#current.process);
    this.#options.onEvent({ kind: 'stopped', name: this.name, exit: describeExit(exit) });
  }
}

async function startReported<T extends Startable>(options: SupervisorOptions<T>): Promise<T> {
  const beginMs = performance.now();
  const started = await options.start();
  const elapsedMs = Math.round(performance.now() - beginMs);
  options.onEvent({ kind: 'started', name: options.name, pid: started.process.pid, elapsedMs });
  return started;
}

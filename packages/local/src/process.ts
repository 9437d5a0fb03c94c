import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { recordOf } from './process-identity.ts';

/** A role drains for at most 25 s after SIGTERM (core/runtime/process.ts); what still runs then is stuck. */
export const STOP_MS_MAX = 27_000;
/** A log beyond this is moved to `<log>.old` when its process starts. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;
/** How much of a log's end an error shows. */
const TAIL_LINES = 15;
const TAIL_BYTES_MAX = 16 * 1024;
/** A look at the log file costs microseconds; a role needs some hundred milliseconds to start. */
const POLL_MS = 20;

export interface ProcessOptions {
  /** For messages: `flusher-1`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** On top of the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Its stdout and stderr are appended here. */
  readonly logFile: string;
  /** Its pid is kept here while it runs, for whoever comes after a supervisor that was killed. */
  readonly pidFile?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * A child with its stdin held open and its output in a file. The file, rather than a pipe through this process,
 * keeps what a child says while it drains after this process was killed, and costs us nothing.
 */
export class ManagedProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Resolves, never rejects, when the process has ended. */
  readonly exited: Promise<Exit>;
  readonly #child: ChildProcess;
  readonly #logStart: number;
  #exit: Exit | undefined;

  private constructor(options: ProcessOptions, child: ChildProcess, logStart: number) {
    this.name = options.name;
    this.pid = child.pid!;
    this.logFile = options.logFile;
    this.#child = child;
    this.#logStart = logStart;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#exit = { code, signal };
        if (options.pidFile !== undefined) rmSync(options.pidFile, { force: true });
        resolve(this.#exit);
      });
    });
  }

  /** Throws `unavailable`/`process_not_started` when the program cannot be run at all. */
  static async start(options: ProcessOptions): Promise<ManagedProcess> {
    mkdirSync(dirname(options.logFile), { recursive: true });
    const logStart = rotateLog(options.logFile);
    const log = openSync(options.logFile, 'a', 0o600);
    const child = spawn(options.command, options.args, {
      env: { ...process.env, ...options.env },
      stdio: ['pipe', log, log],
      // A group of its own: Ctrl-C in a terminal reaches the supervisor alone, which then stops things in order.
      detached: true,
    });
    closeSync(log);
    // It may end while its stdin is open; nothing is ever written there.
    child.stdin?.on('error', () => {});
    try {
      await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    } catch (error) {
      throw new MiniodbError('unavailable', `cannot start ${options.name}: ${(error as Error).message}`, {
        code: 'process_not_started',
        cause: error,
      });
    }
    if (options.pidFile !== undefined) {
      mkdirSync(dirname(options.pidFile), { recursive: true });
      writeFileSync(
        options.pidFile,
        JSON.stringify(recordOf(child.pid!) ?? { pid: child.pid, identity: '' }),
      );
    }
    return new ManagedProcess(options, child, logStart);
  }

  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** What it has logged since it started; at most the last 16 KiB. */
  output(): string {
    return readFrom(this.logFile, this.#logStart);
  }

  /** The last lines of its log. */
  tail(): string {
    return this.output().trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
  }

  /**
   * Waits until `probe` gives something. Throws `unavailable` with the last log lines: `process_exited` when the
   * process ends first, `process_not_ready` after timeoutMs (it is left running: stop it).
   */
  async until<T>(
    what: string,
    timeoutMs: number,
    probe: () => T | undefined | Promise<T | undefined>,
  ): Promise<T> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const exit = this.#exit;
      const found = await probe();
      if (found !== undefined) return found;
      if (exit !== undefined)
        throw this.#failure('process_exited', `ended (${describeExit(exit)}) before ${what}`);
      if (performance.now() > deadline) {
        throw this.#failure('process_not_ready', `is not ${what} after ${Math.round(timeoutMs / 1_000)} s`);
      }
      await sleep(POLL_MS);
    }
  }

  #failure(code: string, what: string): MiniodbError {
    const message = `${this.name} ${what}; the end of ${this.logFile}:\n${this.tail()}`;
    return new MiniodbError('unavailable', message, { code });
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#exit === undefined) this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL after graceMs. Resolves when it has ended; at once when it already had. */
  async stop(graceMs = STOP_MS_MAX): Promise<Exit> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  /** As a power failure would: SIGKILL. */
  async kill(): Promise<Exit> {
    this.signal('SIGKILL');
    return this.exited;
  }
}

export function describeExit(exit: Exit): string {
  return exit.signal === null ? `exit code ${exit.code}` : exit.signal;
}

/** The size of the log that the process will append to. */
function rotateLog(logFile: string): number {
  const sizeBytes = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (sizeBytes <= LOG_BYTES_MAX) return sizeBytes;
  renameSync(logFile, `${logFile}.old`);
  return 0;
}

function readFrom(file: string, start: number): string {
  const handle = openSync(file, 'r');
  try {
    const sizeBytes = statSync(file).size;
    const from = Math.max(start, sizeBytes - TAIL_BYTES_MAX);
    const bytes = Buffer.alloc(Math.max(0, sizeBytes - from));
    const length = readSync(handle, bytes, 0, bytes.length, from);
    return bytes.toString('utf8', 0, length);
  } finally {
    closeSync(handle);
  }
}

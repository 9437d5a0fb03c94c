import { write } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Log } from '@miniodb/core/runtime/log.ts';

/**
 * Lines appended to a file, or to standard output, without ever making a caller wait. They collect in a bounded buffer
 * that one loop empties. While the destination refuses them the loop tries again and the buffer fills; what then finds
 * no room is lost, which is counted and logged, never silent.
 *
 * Modes: open (lines are taken) -> closing (what is buffered is written, for CLOSE_MS_MAX) -> closed. Only close()
 * changes them. A reopening (the file was rotated away) happens between two writes.
 */
export interface LineFileOptions {
  /** Undefined: standard output, line by line, so that the log's lines stay whole beside them. */
  readonly path: string | undefined;
  readonly log: Log;
  readonly onLost: (lines: number) => void;
  readonly bufferBytesMax?: number;
}

/** Some 30,000 entries: more than a second of the busiest gateway. */
const BUFFER_BYTES_MAX = 8 * 1_048_576;
const WRITE_BYTES_MAX = 262_144;
const RETRY_MS = 500;
/** A pipe that is full for the moment. */
const BUSY_MS = 10;
const CLOSE_MS_MAX = 2_000;
const LOSS_LOGGED_EVERY_MS = 10_000;
const STDOUT = 1;

const writeTo = promisify(write);

interface Chunk {
  readonly bytes: Buffer;
  readonly lines: number;
}

export class LineFile {
  readonly #options: LineFileOptions;
  readonly #bufferBytesMax: number;
  #file: FileHandle | undefined;
  #lines: string[] = [];
  #bufferedBytes = 0;
  #reopen = false;
  #running: Promise<void> | undefined;
  /** When what is left is given up; undefined while open. */
  #giveUpAtMs: number | undefined;
  #isFailing = false;
  #lostUnlogged = 0;
  #lossLoggedMs = Number.NEGATIVE_INFINITY;

  private constructor(options: LineFileOptions, file: FileHandle | undefined) {
    this.#options = options;
    this.#bufferBytesMax = options.bufferBytesMax ?? BUFFER_BYTES_MAX;
    this.#file = file;
  }

  /** Throws `failed_precondition`/`audit_file_failed` when the file cannot be opened. */
  static async open(options: LineFileOptions): Promise<LineFile> {
    const { path } = options;
    if (path === undefined) return new LineFile(options, undefined);
    try {
      return new LineFile(options, await openToAppend(path));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new MiniodbError('failed_precondition', `the audit file cannot be opened: ${reason}`, {
        code: 'audit_file_failed',
        cause,
      });
    }
  }

  /** @param line without its end */
  write(line: string): void {
    const bytes = Buffer.byteLength(line) + 1;
    if (this.#giveUpAtMs !== undefined || this.#bufferedBytes + bytes > this.#bufferBytesMax) {
      this.#lose(1);
      return;
    }
    this.#lines.push(line);
    this.#bufferedBytes += bytes;
    this.#running ??= this.#run();
  }

  /** Opens the path anew before the next line: the file may have been moved away. */
  reopen(): void {
    this.#reopen = this.#options.path !== undefined;
    // Without lines to write the old file would stay open until the next one.
    this.#running ??= this.#run();
  }

  /** Writes what is buffered. Repeatable; takes no longer than two seconds, and says what was lost. */
  async close(): Promise<void> {
    this.#giveUpAtMs ??= performance.now() + CLOSE_MS_MAX;
    await this.#running;
    this.#logLoss();
    const file = this.#file;
    this.#file = undefined;
    await file?.close().catch((error: unknown) => {
      this.#options.log.warn({ event: 'audit_close_failed', err: error });
    });
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    // What comes in the same turn goes out together.
    await Promise.resolve();
    while (this.#lines.length > 0 || this.#reopen) {
      if (this.#reopen) await this.#openAgain();
      const chunk = this.#take();
      if (chunk !== undefined) await this.#writeWhole(chunk);
    }
    this.#running = undefined;
  }

  #take(): Chunk | undefined {
    let bytes = 0;
    let count = 0;
    const countMax = this.#options.path === undefined ? 1 : this.#lines.length;
    while (count < Math.min(countMax, this.#lines.length) && bytes < WRITE_BYTES_MAX) {
      bytes += Buffer.byteLength(this.#lines[count]!) + 1;
      count += 1;
    }
    if (count === 0) return undefined;
    const lines = this.#lines.splice(0, count);
    return { bytes: Buffer.from(`${lines.join('\n')}\n`), lines: count };
  }

  async #writeWhole({ bytes, lines }: Chunk): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      try {
        at += await this.#writeSome(bytes, at);
        if (this.#isFailing) this.#options.log.info({ event: 'audit_writable_again' });
        this.#isFailing = false;
      } catch (error) {
        if (this.#giveUpAtMs !== undefined && performance.now() >= this.#giveUpAtMs) {
          this.#lose(lines + this.#lines.length);
          this.#lines = [];
          this.#bufferedBytes = bytes.length;
          break;
        }
        await this.#afterFailure(error);
      }
    }
    this.#bufferedBytes -= bytes.length;
  }

  async #writeSome(bytes: Buffer, at: number): Promise<number> {
    if (this.#options.path === undefined) return (await writeTo(STDOUT, bytes, at)).bytesWritten;
    this.#file ??= await openToAppend(this.#options.path);
    return (await this.#file.write(bytes, at)).bytesWritten;
  }

  async #afterFailure(error: unknown): Promise<void> {
    if ((error as { code?: string }).code === 'EAGAIN') {
      await sleep(BUSY_MS);
      return;
    }
    if (!this.#isFailing) this.#options.log.error({ event: 'audit_unwritable', err: error });
    this.#isFailing = true;
    // Another handle may do better: of a file system that came back, of a file that was made anew.
    const failed = this.#file;
    this.#file = undefined;
    await failed?.close().catch(() => {});
    await sleep(RETRY_MS);
  }

  async #openAgain(): Promise<void> {
    this.#reopen = false;
    const old = this.#file;
    this.#file = undefined;
    try {
      await old?.close();
      this.#file = await openToAppend(this.#options.path!);
    } catch (error) {
      // The next line tries again.
      this.#options.log.error({ event: 'audit_reopen_failed', err: error });
    }
  }

  #lose(lines: number): void {
    this.#options.onLost(lines);
    this.#lostUnlogged += lines;
    if (performance.now() - this.#lossLoggedMs >= LOSS_LOGGED_EVERY_MS) this.#logLoss();
  }

  #logLoss(): void {
    if (this.#lostUnlogged === 0) return;
    this.#options.log.error({ event: 'audit_lost', entries: this.#lostUnlogged });
    this.#lostUnlogged = 0;
    this.#lossLoggedMs = performance.now();
  }
}

/** Of the operator: who did what is nobody else's business. */
const FILE_MODE = 0o600;

function openToAppend(path: string): Promise<FileHandle> {
  return open(path, 'a', FILE_MODE);
}

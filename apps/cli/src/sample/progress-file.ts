import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

/** Version 1: what a data directory holds of the sample. */
interface Progress {
  readonly version: 1;
  /** Chunks of a table that were acknowledged, counted from the first. */
  readonly chunks: Readonly<Record<string, number>>;
  /** Every chunk of every table was. */
  readonly complete: boolean;
}

/**
 * How much of the sample is loaded, kept in the data directory. Written after each acknowledgement: what was under
 * way when a load was interrupted is sent again under the same batch id, and stored once.
 */
export class ProgressFile {
  readonly #path: string;
  #progress: Progress;

  constructor(dataDir: string) {
    this.#path = join(dataDir, 'sample.json');
    this.#progress = read(this.#path) ?? { version: 1, chunks: {}, complete: false };
  }

  get complete(): boolean {
    return this.#progress.complete;
  }

  acknowledgedChunks(table: string): number {
    return this.#progress.chunks[table] ?? 0;
  }

  acknowledged(table: string, chunks: number): void {
    this.#write({ ...this.#progress, chunks: { ...this.#progress.chunks, [table]: chunks } });
  }

  finish(): void {
    this.#write({ ...this.#progress, complete: true });
  }

  #write(progress: Progress): void {
    const next = `${this.#path}.next`;
    const handle = openSync(next, 'w');
    writeSync(handle, `${JSON.stringify(progress)}\n`);
    fsyncSync(handle);
    closeSync(handle);
    renameSync(next, this.#path);
    this.#progress = progress;
  }
}

function read(path: string): Progress | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const progress = JSON.parse(text) as Progress;
  if (progress.version !== 1) throw new Error(`${path} was written by another version of the sample`);
  return progress;
}

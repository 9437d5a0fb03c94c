import { type DuckDBConnection, type DuckDb, openDuckDb } from '../duckdb/instance.ts';
import { MiniodbError } from '../runtime/errors.ts';

/**
 * One DuckDB instance for the jobs of an encoder, each on a connection of its own: opening an instance takes 11 ms, a
 * connection 0.5 ms, and jobs that run at the same time share one memory limit.
 *
 *   none      nothing is open; the first job opens an instance
 *   current   jobs use it and new ones join
 *   retired   after a job failed, since DuckDB may have invalidated the whole instance: the jobs on it go on, new ones
 *             open another; the last one to leave closes it
 *   closed    by close(); new jobs are refused
 */
export class SharedDuckDb {
  readonly #settings: Readonly<Record<string, string>>;
  readonly #instances = new Set<Instance>();
  #current: Instance | undefined;
  #closed = false;

  constructor(settings: Readonly<Record<string, string>>) {
    this.#settings = settings;
  }

  async use<Result>(work: (connection: DuckDBConnection) => Promise<Result>): Promise<Result> {
    if (this.#closed) {
      throw new MiniodbError('unavailable', 'the encoder is closed', { code: 'encoder_closed' });
    }
    const instance = this.#join();
    try {
      const connection = await (await instance.opened).connect();
      try {
        return await work(connection);
      } finally {
        connection.closeSync();
      }
    } catch (error) {
      if (this.#current === instance) this.#current = undefined;
      throw error;
    } finally {
      instance.users--;
      await this.#closeIfUnused(instance);
    }
  }

  /** Closes what no job uses; the last job closes the rest. Resolves when everything is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#current = undefined;
    const ends = Array.from(this.#instances, (instance) => instance.ended.promise);
    for (const instance of this.#instances) await this.#closeIfUnused(instance);
    await Promise.all(ends);
  }

  #join(): Instance {
    if (this.#current === undefined) {
      this.#current = { opened: openDuckDb(this.#settings), users: 0, ended: Promise.withResolvers() };
      this.#instances.add(this.#current);
    }
    this.#current.users++;
    return this.#current;
  }

  async #closeIfUnused(instance: Instance): Promise<void> {
    if (instance.users > 0 || this.#current === instance || !this.#instances.delete(instance)) return;
    try {
      (await instance.opened).close();
    } catch {
      // It never opened: the job that opened it has the error.
    }
    instance.ended.resolve();
  }
}

interface Instance {
  readonly opened: Promise<DuckDb>;
  users: number;
  /** Settled when it is closed. */
  readonly ended: PromiseWithResolvers<void>;
}

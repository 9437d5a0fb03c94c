import { access, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

/**
 * Local copies of immutable files, by name, within a budget of bytes. One fetch a file however many ask for it, and
 * nothing that is leased is evicted. An entry is: fetching -> held (leases > 0) <-> idle (leases = 0) -> evicted.
 * The map's order is the order of last use, oldest first.
 */
interface Entry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly fetched: Promise<void>;
  leases: number;
}

export interface Lease {
  readonly path: string;
  release(): void;
}

export class FileCache {
  readonly #directory: string;
  readonly #bytesMax: number;
  readonly #entries = new Map<string, Entry>();
  /** Since the start. A file that another query is just fetching is a hit: it is fetched once. */
  readonly counts = { hits: 0, misses: 0, evictions: 0 };
  #bytes = 0;
  #pathCount = 0;

  constructor(directory: string, bytesMax: number) {
    this.#directory = directory;
    this.#bytesMax = bytesMax;
  }

  /** Copies of an earlier process are not trusted: nobody has checked them since. */
  async open(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    await mkdir(this.#directory, { recursive: true });
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * What one query needs at the same time. Throws `failed_precondition`/`cache_too_small` when it can never have it,
   * however idle this querier is.
   */
  requireFits(sizeBytes: number): void {
    if (sizeBytes <= this.#bytesMax) return;
    throw new MiniodbError(
      'failed_precondition',
      `the query needs ${sizeBytes} bytes of local files, the cache holds ${this.#bytesMax}: raise MINIODB_CACHE_MIB`,
      { code: 'cache_too_small' },
    );
  }

  /** Forgets those of the paths that somebody else has removed (a cleaner of old files), so that they are fetched again. */
  async forgetMissing(paths: ReadonlySet<string>): Promise<void> {
    for (const [name, entry] of [...this.#entries]) {
      if (!paths.has(entry.path)) continue;
      const isThere = await access(entry.path).then(
        () => true,
        () => false,
      );
      if (!isThere && this.#entries.get(name) === entry) this.#forget(name, entry);
    }
  }

  /**
   * @param name a file name that stands for its content for ever; @param fetch writes it to the path
   * Throws what fetch throws, and `resource_exhausted`/`cache_full` when leased files fill the budget.
   */
  async lease(name: string, sizeBytes: number, fetch: (path: string) => Promise<unknown>): Promise<Lease> {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      this.counts.misses += 1;
      this.#makeRoom(sizeBytes);
      // A path of its own: the removal of an evicted copy may still be under way.
      this.#pathCount += 1;
      const path = join(this.#directory, `${this.#pathCount}-${name}`);
      const fetched = this.#fetch(path, fetch);
      entry = { path, sizeBytes, fetched, leases: 0 };
      this.#bytes += sizeBytes;
    } else {
      this.counts.hits += 1;
      this.#entries.delete(name);
    }
    this.#entries.set(name, entry);
    entry.leases += 1;
    const held = entry;
    try {
      await held.fetched;
    } catch (error) {
      held.leases -= 1;
      if (this.#entries.get(name) === held) this.#forget(name, held);
      throw error;
    }
    let released = false;
    return {
      path: held.path,
      release: () => {
        if (!released) held.leases -= 1;
        released = true;
      },
    };
  }

  async #fetch(path: string, fetch: (path: string) => Promise<unknown>): Promise<void> {
    // A cleaner may have taken the directory too.
    await mkdir(this.#directory, { recursive: true });
    await fetch(path);
  }

  #makeRoom(sizeBytes: number): void {
    for (const [name, entry] of this.#entries) {
      if (this.#bytes + sizeBytes <= this.#bytesMax) return;
      if (entry.leases > 0) continue;
      this.#forget(name, entry);
      this.counts.evictions += 1;
      void rm(entry.path, { force: true });
    }
    if (this.#bytes + sizeBytes > this.#bytesMax) {
      throw new MiniodbError(
        'resource_exhausted',
        `the queries under way need more local files than the cache holds (${this.#bytesMax} bytes)`,
        { code: 'cache_full', retryAfterMs: 1_000 },
      );
    }
  }

  #forget(name: string, entry: Entry): void {
    this.#entries.delete(name);
    this.#bytes -= entry.sizeBytes;
  }
}

import type { BatchMeta } from '../queue/batch-meta.ts';
import type { Redis } from '../redis/client.ts';
import { MiniodbError } from '../runtime/errors.ts';
import type { FixedKeys } from '../table/keys.ts';
import { rfc3339FromMicros } from '../table/timestamp.ts';
import type { FileEntry } from './file-entry.ts';
import type { IndexedFile, TableRef } from './plan.ts';
import { readEntries, type TableSnapshot, takeSnapshot } from './snapshot.ts';
import type { Swap } from './swap.ts';

/** What is to become of a file: it leaves whole, it has some rows that should leave, or it stays. */
export type Fate = 'leaves' | 'straddles' | 'stays';

/** RFC 3339 with six digits, which compare as the times do; empty: no rows. */
interface Bounds {
  readonly oldest: string;
  readonly newest: string;
}

interface Part {
  readonly token: string;
  readonly leaving: readonly IndexedFile[];
  /** Of those that do not leave. */
  readonly bounds: Bounds;
  readonly straddling: { readonly files: number; readonly rows: number };
  readonly newestAcceptedMs: number;
}

const NONE: Bounds = { oldest: '', newest: '' };
/** How often the index may move while it is read, before that counts as contention. */
const MOVES_MAX = 50;
const PARTITIONS_AT_ONCE = 32;

/**
 * Which files of a table leave, and the bounds of what stays, at one instant. Of files that stay it keeps only what they
 * come to, by partition; read again, it costs what has changed since.
 */
export class LeavingFiles {
  readonly #redis: Redis;
  readonly #fixed: FixedKeys;
  readonly #fateOf: (entry: FileEntry) => Fate;
  #ref: TableRef;
  #snapshot: TableSnapshot | undefined;
  #parts: ReadonlyMap<string, Part> = new Map();

  constructor(redis: Redis, fixed: FixedKeys, ref: TableRef, fateOf: (entry: FileEntry) => Fate) {
    this.#redis = redis;
    this.#fixed = fixed;
    this.#ref = ref;
    this.#fateOf = fateOf;
  }

  /** With the shards that the table had at that instant. */
  get ref(): TableRef {
    return this.#ref;
  }

  /** Reads the table as it is now. False when that incarnation is no more. Throws `unavailable`/`index_contended`. */
  async read(signal: AbortSignal): Promise<boolean> {
    for (let move = 0; move < MOVES_MAX; move += 1) {
      signal.throwIfAborted();
      const { table, generation, shards } = this.#ref;
      const known = this.#snapshot;
      const answer = await takeSnapshot(this.#redis, this.#fixed, table, generation, shards, known);
      switch (answer.status) {
        case 'gone':
          return false;
        case 'stale':
          this.#ref = { table, generation, shards: answer.shards };
          break;
        case 'regressed':
          this.#snapshot = undefined;
          this.#parts = new Map();
          break;
        case 'ok':
          if (await this.#readParts(answer.snapshot)) return true;
          break;
      }
    }
    throw new MiniodbError('unavailable', `the index of ${this.#ref.table} changes faster than it is read`, {
      code: 'index_contended',
      retryAfterMs: 1_000,
    });
  }

  get leaving(): IndexedFile[] {
    return [...this.#parts.values()].flatMap(({ leaving }) => leaving);
  }

  get straddling(): { readonly files: number; readonly rows: number } {
    let [files, rows] = [0, 0];
    for (const { straddling } of this.#parts.values()) {
      files += straddling.files;
      rows += straddling.rows;
    }
    return { files, rows };
  }

  get pending(): readonly BatchMeta[] {
    return [...(this.#snapshot?.pending.values() ?? [])];
  }

  /** Of files and pending rows; 0 when there are none. */
  get newestAcceptedMs(): number {
    let newest = 0;
    for (const { newestAcceptedMs } of this.#parts.values()) newest = Math.max(newest, newestAcceptedMs);
    for (const { acceptedMs } of this.pending) newest = Math.max(newest, acceptedMs);
    return newest;
  }

  /** Of everything but the files that go: what swapFiles makes the table's bounds. @param going ids of files */
  boundsWithout(going: ReadonlySet<string>): NonNullable<Swap['bounds']> {
    let bounds = NONE;
    for (const part of this.#parts.values()) {
      bounds = joined(bounds, part.bounds);
      for (const { fileId, entry } of part.leaving) {
        if (!going.has(fileId)) bounds = joined(bounds, boundsOf(entry));
      }
    }
    for (const meta of this.pending) bounds = joined(bounds, boundsOf(meta));
    const { indexToken, seq } = this.#snapshot!;
    return { indexToken, seq, ...bounds };
  }

  /** False when the index has moved since the snapshot. What is read of it stays of use: partitions have tokens. */
  async #readParts(snapshot: TableSnapshot): Promise<boolean> {
    const parts = new Map<string, Part>();
    const changed: [string, string][] = [];
    for (const [partition, token] of snapshot.partitions) {
      const known = this.#parts.get(partition);
      if (known?.token === token) parts.set(partition, known);
      else changed.push([partition, token]);
    }
    let isWhole = true;
    for (let from = 0; from < changed.length; from += PARTITIONS_AT_ONCE) {
      const read = changed.slice(from, from + PARTITIONS_AT_ONCE).map(async ([partition, token]) => {
        const { table, generation } = snapshot;
        const entries = await readEntries(this.#redis, table, generation, partition, token);
        if (entries === undefined) isWhole = false;
        else parts.set(partition, this.#partOf(partition, token, entries));
      });
      await Promise.all(read);
    }
    this.#snapshot = snapshot;
    this.#parts = parts;
    return isWhole;
  }

  #partOf(partition: string, token: string, entries: ReadonlyMap<string, FileEntry>): Part {
    const leaving: IndexedFile[] = [];
    const straddling = { files: 0, rows: 0 };
    let bounds = NONE;
    let newestAcceptedMs = 0;
    for (const [fileId, entry] of entries) {
      newestAcceptedMs = Math.max(newestAcceptedMs, entry.acceptedMs);
      const fate = this.#fateOf(entry);
      if (fate === 'leaves') {
        leaving.push({ partition, fileId, entry });
        continue;
      }
      bounds = joined(bounds, boundsOf(entry));
      if (fate === 'stays') continue;
      straddling.files += 1;
      straddling.rows += entry.rows;
    }
    return { token, leaving, bounds, straddling, newestAcceptedMs };
  }
}

function boundsOf({ minTs, maxTs }: { readonly minTs: string; readonly maxTs: string }): Bounds {
  return { oldest: rfc3339FromMicros(minTs), newest: rfc3339FromMicros(maxTs) };
}

/** Texts, not numbers. */
function joined(a: Bounds, b: Bounds): Bounds {
  if (a.oldest === '') return b;
  if (b.oldest === '') return a;
  let { oldest, newest } = a;
  if (b.oldest < oldest) oldest = b.oldest;
  if (b.newest > newest) newest = b.newest;
  return { oldest, newest };
}

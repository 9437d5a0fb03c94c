import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import type { TableSnapshot } from '@miniodb/core/index/snapshot.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { LRUCache } from 'lru-cache';
import type { FileCache, Lease } from '../cache/file-cache.ts';
import type { TableView } from './snapshot.ts';

/** Objects fetched at a time for one query. */
const FETCHES_AT_ONCE = 8;
/** Pending payloads from this size on are files of their own; smaller ones are written together. */
const OWN_FILE_BYTES_MIN = 256 * 1_024;
const PAYLOAD_CACHE_BYTES_MAX = 64 * 1_048_576;
const MGET_BYTES_MAX = 8 * 1_048_576;

/** Local files of one table's view, to be released when the query is over. */
export interface Fetched {
  /** Object key -> local path. */
  readonly paths: ReadonlyMap<string, string>;
  readonly pending: readonly string[];
  readonly pendingRows: number;
  /** Bytes of all the files that the query may read. */
  readonly bytes: number;
  release(): Promise<void>;
}

/** Throws `unavailable`/`file_gone` when something of the snapshot is no longer there: take a new one. */
export class Fetcher {
  readonly #redis: Redis;
  readonly #store: ObjectStore;
  readonly #cache: FileCache;
  readonly #pendingDirectory: string;
  /** Payloads of small pending batches; batch ids are never used twice. */
  readonly #payloads = new LRUCache<string, Buffer>({
    maxSize: PAYLOAD_CACHE_BYTES_MAX,
    sizeCalculation: (payload) => payload.length + 100,
  });
  #fileCount = 0;

  constructor(redis: Redis, store: ObjectStore, cache: FileCache, pendingDirectory: string) {
    this.#redis = redis;
    this.#store = store;
    this.#cache = cache;
    this.#pendingDirectory = pendingDirectory;
  }

  async open(): Promise<void> {
    await rm(this.#pendingDirectory, { recursive: true, force: true });
    await mkdir(this.#pendingDirectory, { recursive: true });
  }

  /** Throws `failed_precondition`/`cache_too_small` when the files of one query can never be here together. */
  requireFits(views: readonly TableView[]): void {
    let sizeBytes = 0;
    for (const { snapshot, files } of views) {
      for (const file of files) sizeBytes += file.sizeBytes;
      for (const { bytes } of snapshot.pending.values()) if (bytes >= OWN_FILE_BYTES_MIN) sizeBytes += bytes;
    }
    this.#cache.requireFits(sizeBytes);
  }

  /** After `file_gone`: what vanished from this machine is fetched again by the next attempt. */
  async forgetMissing(fetched: readonly Fetched[]): Promise<void> {
    await this.#cache.forgetMissing(
      new Set(fetched.flatMap((part) => [...part.paths.values(), ...part.pending])),
    );
  }

  async fetch(snapshot: TableSnapshot, files: readonly FileEntry[], signal: AbortSignal): Promise<Fetched> {
    const leases: Lease[] = [];
    const ownFiles: string[] = [];
    const release = async () => {
      for (const lease of leases) lease.release();
      await Promise.all(ownFiles.map((path) => rm(path, { force: true })));
    };
    try {
      const paths = new Map<string, string>();
      await inParallel(files, async (file) => {
        if (signal.aborted)
          throw new MiniodbError('cancelled', 'the query was cancelled', { code: 'cancelled' });
        const lease = await this.#leaseObject(file);
        leases.push(lease);
        paths.set(file.key, lease.path);
      });
      const pending = await this.#fetchPending(snapshot, leases, ownFiles);
      let pendingRows = 0;
      let bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
      for (const meta of snapshot.pending.values()) {
        pendingRows += meta.rows;
        bytes += meta.bytes;
      }
      return { paths, pending, pendingRows, bytes, release };
    } catch (error) {
      await release();
      throw error;
    }
  }

  #leaseObject(file: FileEntry): Promise<Lease> {
    return this.#cache.lease(`${file.sha256}.parquet`, file.sizeBytes, async (path) => {
      try {
        // Others may wait for the same file: one caller's going away must not fail them.
        await this.#store.getFile(file.key, path, { sha256: file.sha256 });
      } catch (error) {
        if (error instanceof MiniodbError && error.kind === 'not_found') throw fileGone(error);
        throw error;
      }
    });
  }

  async #fetchPending(snapshot: TableSnapshot, leases: Lease[], ownFiles: string[]): Promise<string[]> {
    const keys = new ProtocolKeys(snapshot.table, snapshot.generation);
    const paths: string[] = [];
    const small: string[] = [];
    for (const [id, meta] of snapshot.pending) {
      if (meta.bytes < OWN_FILE_BYTES_MIN) {
        small.push(id);
        continue;
      }
      const lease = await this.#cache.lease(`${id}.ndjson.zst`, meta.bytes, async (path) => {
        const [payload] = await this.#readPayloads(keys, snapshot, [id]);
        await writeFile(path, payload!);
      });
      leases.push(lease);
      paths.push(lease.path);
    }
    if (small.length > 0) {
      const payloads = await this.#smallPayloads(keys, snapshot, small);
      this.#fileCount += 1;
      const path = join(this.#pendingDirectory, `${this.#fileCount}.ndjson.zst`);
      ownFiles.push(path);
      // A cleaner of old files may have taken the directory.
      await mkdir(this.#pendingDirectory, { recursive: true });
      await writeFile(path, payloads);
      paths.push(path);
    }
    return paths;
  }

  async #smallPayloads(
    keys: ProtocolKeys,
    snapshot: TableSnapshot,
    ids: readonly string[],
  ): Promise<Buffer[]> {
    const found = new Map<string, Buffer>();
    let wanted: string[] = [];
    let bytes = 0;
    const readWanted = async () => {
      const payloads = await this.#readPayloads(keys, snapshot, wanted);
      for (const [at, id] of wanted.entries()) {
        found.set(id, payloads[at]!);
        this.#payloads.set(id, payloads[at]!);
      }
      wanted = [];
      bytes = 0;
    };
    for (const id of ids) {
      const cached = this.#payloads.get(id);
      if (cached !== undefined) {
        found.set(id, cached);
        continue;
      }
      wanted.push(id);
      bytes += snapshot.pending.get(id)!.bytes;
      if (bytes >= MGET_BYTES_MAX) await readWanted();
    }
    if (wanted.length > 0) await readWanted();
    return ids.map((id) => found.get(id)!);
  }

  async #readPayloads(
    keys: ProtocolKeys,
    snapshot: TableSnapshot,
    ids: readonly string[],
  ): Promise<Buffer[]> {
    let payloads: (Buffer | null)[];
    try {
      payloads = await this.#redis.mgetBuffer(...ids.map((id) => keys.payload(id)));
    } catch (error) {
      throw classifyRedisError(error);
    }
    for (const [at, id] of ids.entries()) {
      const payload = payloads[at];
      if (!payload) throw fileGone();
      // DuckDB takes a frame that was cut off for the end of the file.
      if (payload.length !== snapshot.pending.get(id)!.bytes) throw undecodable(id);
    }
    return payloads as Buffer[];
  }
}

function undecodable(batchId: string): MiniodbError {
  return new MiniodbError('data_corrupted', `the payload of batch ${batchId} is not what was written`, {
    code: 'undecodable_payload',
  });
}

function fileGone(cause?: unknown): MiniodbError {
  return new MiniodbError('unavailable', 'a file of the snapshot is no longer there', {
    code: 'file_gone',
    retryAfterMs: 100,
    cause,
  });
}

async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const item = items[next]!;
      next += 1;
      await work(item);
    }
  };
  const workers = Array.from({ length: Math.min(FETCHES_AT_ONCE, items.length) }, worker);
  // All must have ended before the caller releases what they leased.
  const outcomes = await Promise.allSettled(workers);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

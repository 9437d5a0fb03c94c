import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import { readEntries, type TableSnapshot, takeSnapshot } from '@miniodb/core/index/snapshot.ts';
import type { ClusterIdWatch } from '@miniodb/core/placement/cluster-id-watch.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import { LRUCache } from 'lru-cache';

/** What a query may read of a table: one instant of it, with the files that the index had then. */
export interface TableView {
  readonly snapshot: TableSnapshot;
  readonly files: readonly FileEntry[];
}

interface Known {
  readonly snapshot: TableSnapshot;
  /**
   * Partition -> its entries and the token they were read at. One map for all snapshots that build on each other: a
   * history that Redis has lost, and the one after it, use the same tokens for different files.
   */
  readonly partitions: Map<string, { readonly token: string; readonly entries: readonly FileEntry[] }>;
}

const TABLES_KNOWN_MAX = 1_000;
const ATTEMPTS_MAX = 8;
const PARTITIONS_AT_ONCE = 64;

/** Takes snapshots of tables; costs what has changed since the last one, not what there is. */
export class Snapshots {
  readonly #redis: Redis;
  readonly #fixed: FixedKeys;
  readonly #catalog: Catalog;
  readonly #history: Pick<ClusterIdWatch, 'require'>;
  readonly #known = new LRUCache<string, Known>({ max: TABLES_KNOWN_MAX });

  /** @param history asked before every answer, and before it is said that a table is not there */
  constructor(
    redis: Redis,
    fixed: FixedKeys,
    defaults: TableConfig,
    history: Pick<ClusterIdWatch, 'require'>,
  ) {
    this.#redis = redis;
    this.#fixed = fixed;
    this.#history = history;
    this.#catalog = new Catalog(redis, fixed, defaults);
    // Behind a new connection may be another history, and it may have counted as far as the last one by then.
    redis.on('ready', () => this.#known.clear());
  }

  /** Names of all tables, for the gate. */
  async names(): Promise<ReadonlySet<string>> {
    const [names] = await Promise.all([this.#catalog.names(), this.#history.require()]);
    return new Set(names);
  }

  /** @param table in lower case. Throws `not_found`/`table_not_found`. */
  async view(table: string): Promise<TableView> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const known = await this.#moved(table);
      if (known === undefined) continue;
      const files = await this.#files(table, known);
      if (files !== undefined) return { snapshot: known.snapshot, files };
    }
    throw new MiniodbError('unavailable', `table ${table} changes faster than it can be read`, {
      code: 'snapshot_contended',
      retryAfterMs: 200,
    });
  }

  /** A new snapshot on top of what is known; undefined when what was believed of the table is no longer true. */
  async #moved(table: string): Promise<Known | undefined> {
    const known = this.#known.get(table);
    let believed: { readonly generation: string; readonly shards: number };
    if (known !== undefined) believed = known.snapshot;
    else {
      const read = await this.#catalog.read(table);
      if (read === undefined) {
        await this.#history.require();
        throw new MiniodbError('not_found', `table ${table} does not exist`, { code: 'table_not_found' });
      }
      believed = { generation: read.generation, shards: read.config.shards };
    }
    const answer = await takeSnapshot(
      this.#redis,
      this.#fixed,
      table,
      believed.generation,
      believed.shards,
      known?.snapshot,
    );
    const latest = this.#known.get(table);
    // Another query has found meanwhile that what this one built on is no longer true.
    if (known !== undefined && latest?.partitions !== known.partitions) return undefined;
    if (answer.status !== 'ok') {
      this.#known.delete(table);
      return undefined;
    }
    // Queries that overlap may answer out of order: what is known only moves forward.
    const newer = latest === undefined || isNewer(answer.snapshot, latest.snapshot);
    // From nothing and yet not newer: of which history is not known until the next one.
    const joins = latest?.snapshot.generation === believed.generation && (newer || known !== undefined);
    const moved: Known = { snapshot: answer.snapshot, partitions: joins ? latest.partitions : new Map() };
    if (newer) this.#known.set(table, moved);
    return moved;
  }

  /** undefined when the index has moved since the snapshot. */
  async #files(table: string, { snapshot, partitions }: Known): Promise<FileEntry[] | undefined> {
    const files: FileEntry[] = [];
    const changed: [string, string][] = [];
    for (const [partition, token] of snapshot.partitions) {
      const there = partitions.get(partition);
      if (there?.token === token) files.push(...there.entries);
      else changed.push([partition, token]);
    }
    for (let from = 0; from < changed.length; from += PARTITIONS_AT_ONCE) {
      const read = await Promise.all(
        changed.slice(from, from + PARTITIONS_AT_ONCE).map(async ([partition, token]) => {
          const entries = await readEntries(this.#redis, table, snapshot.generation, partition, token);
          if (entries === undefined) return undefined;
          const list = [...entries.values()];
          partitions.set(partition, { token, entries: list });
          return list;
        }),
      );
      for (const entries of read) {
        if (entries === undefined) return undefined;
        files.push(...entries);
      }
    }
    for (const partition of partitions.keys()) {
      if (!snapshot.partitions.has(partition)) partitions.delete(partition);
    }
    return files;
  }
}

function isNewer(a: TableSnapshot, b: TableSnapshot): boolean {
  if (a.generation !== b.generation) return true;
  return BigInt(a.indexToken) >= BigInt(b.indexToken) && BigInt(a.seq) >= BigInt(b.seq);
}

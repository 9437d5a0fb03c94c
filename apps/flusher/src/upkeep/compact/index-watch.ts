import type { TableRef } from '@miniodb/core/index/plan.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import type { Catalog } from '@miniodb/core/table/catalog.ts';
import { ProtocolKeys, shardName } from '@miniodb/core/table/keys.ts';
import { LRUCache } from 'lru-cache';
import type { Ownership } from '../../ownership/ownership.ts';

/** A table whose index has moved, and its shards of this flusher that have not been settled since. */
export interface MovedTable {
  readonly ref: TableRef;
  /** Of the whole index, when it was looked at. */
  readonly token: bigint;
  /** Shard -> token at which it was settled last: partitions of an older one have not changed. */
  readonly shards: ReadonlyMap<string, bigint>;
}

interface Known {
  readonly generation: string;
  readonly shardCount: number;
  readonly isEnabled: boolean;
  /** Shards of this flusher -> token at which there was nothing to do. */
  readonly settled: Map<string, bigint>;
}

const TABLES_MAX = 10_000;
const TABLES_AT_ONCE = 250;
/** Settings of a table are read again so often, though its index stands still: a shard more, compaction switched on. */
const READ_AGAIN_EVERY = 10;

/**
 * Which tables are worth a look. A table that stands still costs one read of its index' token; it is looked at whole once
 * after a start, and where a shard comes from another flusher.
 */
export class IndexWatch {
  readonly #redis: Redis;
  readonly #catalog: Pick<Catalog, 'names' | 'read'>;
  readonly #ownership: Pick<Ownership, 'owns'>;
  readonly #known = new LRUCache<string, Known>({ max: TABLES_MAX });
  #looks = 0;

  constructor(redis: Redis, catalog: Pick<Catalog, 'names' | 'read'>, ownership: Pick<Ownership, 'owns'>) {
    this.#redis = redis;
    this.#catalog = catalog;
    this.#ownership = ownership;
  }

  async movedTables(signal: AbortSignal): Promise<MovedTable[]> {
    const names = await this.#catalog.names();
    const moved: MovedTable[] = [];
    for (let from = 0; from < names.length && !signal.aborted; from += TABLES_AT_ONCE) {
      const chunk = names.slice(from, from + TABLES_AT_ONCE);
      const tokens = await this.#tokensOf(chunk);
      for (const [at, name] of chunk.entries()) {
        const table = await this.#look(name, tokens[at]!, (this.#looks + from + at) % READ_AGAIN_EVERY === 0);
        if (table !== undefined) moved.push(table);
      }
    }
    this.#looks += 1;
    return moved;
  }

  /** There is nothing to do in the shard, up to the token that the table was looked at with. */
  settled({ ref, token }: MovedTable, shard: string): void {
    const known = this.#known.get(ref.table);
    if (known?.generation === ref.generation) known.settled.set(shard, token);
  }

  /** As known incarnations have it; undefined for tables that are not known. */
  async #tokensOf(names: readonly string[]): Promise<(bigint | undefined)[]> {
    const known = names.map((name) => this.#known.get(name));
    const keys = names.flatMap((name, at) =>
      known[at] === undefined ? [] : [new ProtocolKeys(name, known[at].generation).indexToken],
    );
    try {
      const pipeline = this.#redis.pipeline();
      for (const key of keys) void pipeline.get(key);
      const replies = ((await pipeline.exec()) ?? []).values();
      return known.map((each) => {
        if (each === undefined) return undefined;
        const [error, text] = replies.next().value ?? [];
        // Without files there is no token yet.
        return error ? undefined : BigInt((text as string | null | undefined) ?? '0');
      });
    } catch (error) {
      throw classifyRedisError(error);
    }
  }

  async #look(name: string, token: bigint | undefined, readAgain: boolean): Promise<MovedTable | undefined> {
    const before = this.#known.get(name);
    if (before !== undefined && token !== undefined && !readAgain) {
      const isStill = (shard: string) => before.settled.get(shard) === token;
      if (!before.isEnabled || this.#ownShards(name, before.shardCount).every(isStill)) return undefined;
    }
    const table = await this.#catalog.read(name);
    if (table === undefined) {
      this.#known.delete(name);
      return undefined;
    }
    const { generation, config } = table;
    const own = this.#ownShards(name, config.shards);
    const settled = new Map<string, bigint>();
    for (const shard of own) {
      const at = before?.generation === generation ? before.settled.get(shard) : undefined;
      settled.set(shard, at ?? -1n);
    }
    const known = { generation, shardCount: config.shards, isEnabled: config.compaction_enabled, settled };
    this.#known.set(name, known);
    if (!known.isEnabled || own.length === 0) return undefined;
    const now = await this.#token(name, generation);
    // A token that fell is that of another history: nothing that was known of it holds.
    for (const [shard, at] of settled) if (at > now) settled.set(shard, -1n);
    const shards = new Map(settled.entries().filter(([, at]) => at !== now));
    if (shards.size === 0) return undefined;
    return { ref: { table: name, generation, shards: config.shards }, token: now, shards };
  }

  #ownShards(table: string, count: number): string[] {
    return Array.from({ length: count }, (_, shard) => shardName(shard)).filter((shard) =>
      this.#ownership.owns(table, shard),
    );
  }

  async #token(table: string, generation: string): Promise<bigint> {
    try {
      return BigInt((await this.#redis.get(new ProtocolKeys(table, generation).indexToken)) ?? '0');
    } catch (error) {
      throw classifyRedisError(error);
    }
  }
}

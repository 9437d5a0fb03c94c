import { type Redis, redisTimeMs } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import type { Catalog } from '@miniodb/core/table/catalog.ts';
import { readCatalogHint } from '@miniodb/core/table/catalog-hint.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import {
  fingerprintOf,
  type TableObject,
  tableObjectKey,
  tableObjectSchema,
} from '@miniodb/core/table/table-object.ts';
import { LRUCache } from 'lru-cache';
import type { Ownership } from '../ownership/ownership.ts';
import type { UpkeepTask } from './upkeep.ts';

export interface DescribeContext {
  readonly redis: Redis;
  readonly fixed: FixedKeys;
  readonly store: ObjectStore;
  readonly catalog: Pick<Catalog, 'names'>;
  readonly ownership: Pick<Ownership, 'ownsTable'>;
}

export interface DescribeSettings {
  /** How soon a hint is seen. */
  readonly everyMs: number;
  /** All tables are read this often without one: hints can be lost, and tables change owners. */
  readonly allEveryMs: number;
}

const DEFAULTS: DescribeSettings = { everyMs: 2_000, allEveryMs: 60_000 };
const TABLES_AT_ONCE = 250;
const OBJECTS_AT_ONCE = 4;
const TABLES_KNOWN_MAX = 10_000;

type Described = Omit<TableObject, 'updated_ms'>;

/** Keeps in the bucket what each table is like, so that Redis can be lost: the owner writes it after every change. */
export function describeBucketTask(
  context: DescribeContext,
  settings: DescribeSettings = DEFAULTS,
): UpkeepTask {
  /** Object key -> fingerprint that the bucket has. */
  const written = new LRUCache<string, string>({ max: TABLES_KNOWN_MAX });
  let hint: string | undefined;
  let allAtMs = Number.NEGATIVE_INFINITY;
  return {
    name: 'describe-bucket',
    everyMs: settings.everyMs,
    async run(signal) {
      const now = performance.now();
      const found = await readCatalogHint(context.redis);
      if (found === hint && now - allAtMs < settings.allEveryMs) return;
      const changed = (await readTables(context)).filter(
        (table) => written.get(keyOf(table)) !== fingerprintOf(table),
      );
      for (let from = 0; from < changed.length && !signal.aborted; from += OBJECTS_AT_ONCE) {
        await Promise.all(
          changed.slice(from, from + OBJECTS_AT_ONCE).map(async (table) => {
            await describe(context, table, written.has(keyOf(table)), signal);
            written.set(keyOf(table), fingerprintOf(table));
          }),
        );
      }
      // Not before all is written: what failed is tried again at the next run.
      hint = found;
      allAtMs = now;
    },
  };
}

const keyOf = ({ table, generation }: Described) => tableObjectKey(table, generation);

/** The live tables that this flusher owns. */
async function readTables({ redis, fixed, catalog, ownership }: DescribeContext): Promise<Described[]> {
  const names = (await catalog.names()).filter((name) => ownership.ownsTable(name));
  const tables: Described[] = [];
  try {
    for (let from = 0; from < names.length; from += TABLES_AT_ONCE) {
      const chunk = names.slice(from, from + TABLES_AT_ONCE);
      const read = redis.pipeline();
      for (const name of chunk) read.hgetall(fixed.config(name)).get(fixed.createdAt(name));
      const replies = (await read.exec()) ?? [];
      for (const [at, name] of chunk.entries()) {
        // One table with a damaged key does not hide the others.
        const [[error, config], [other, createdAt]] = [replies[2 * at]!, replies[2 * at + 1]!];
        if (error !== null || other !== null) continue;
        const described = describedOf(name, config as Record<string, string>, createdAt as string | null);
        if (described !== undefined) tables.push(described);
      }
    }
  } catch (error) {
    throw classifyRedisError(error);
  }
  return tables;
}

function describedOf(
  table: string,
  config: Readonly<Record<string, string>>,
  createdAt: string | null,
): Described | undefined {
  const { generation, shards, shard_history: history } = config;
  // Created or dropped between the two reads: the next look sees it whole.
  if (generation === undefined || createdAt === null) return undefined;
  return { v: 1, table, generation, config, created_at: createdAt, shard_history: history ?? shards ?? '' };
}

/** @param isKnown this flusher wrote it or compared it before, so that it must be another now */
async function describe(
  { redis, store }: DescribeContext,
  table: Described,
  isKnown: boolean,
  signal: AbortSignal,
): Promise<void> {
  const key = keyOf(table);
  if (!isKnown && (await readFingerprint(store, key, signal)) === fingerprintOf(table)) return;
  const object: TableObject = { ...table, updated_ms: await timeMs(redis) };
  const body = Buffer.from(`${JSON.stringify(object)}\n`);
  await store.put(key, body, { sha256: sha256Of(body), contentType: 'application/json', signal });
}

/** undefined when there is none that can be read: it is written anew then. */
async function readFingerprint(
  store: ObjectStore,
  key: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  let body: Uint8Array;
  try {
    body = await store.get(key, { signal });
  } catch (error) {
    if (error instanceof MiniodbError && error.code === 'object_not_found') return undefined;
    throw error;
  }
  try {
    return fingerprintOf(tableObjectSchema.parse(JSON.parse(Buffer.from(body).toString('utf8'))));
  } catch {
    return undefined;
  }
}

async function timeMs(redis: Redis): Promise<number> {
  try {
    return await redisTimeMs(redis);
  } catch (error) {
    throw classifyRedisError(error);
  }
}

import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import { readEntries, type TableSnapshot, takeSnapshot } from '@miniodb/core/index/snapshot.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Table } from '@miniodb/core/table/catalog.ts';
import { ProtocolKeys, shardName } from '@miniodb/core/table/keys.ts';
import type { BackupContext } from './context.ts';

export interface InstantFile {
  readonly shard: string;
  readonly day: string;
  readonly entry: FileEntry;
}

/** One instant of a table, whole. */
export interface Instant {
  readonly snapshot: TableSnapshot;
  readonly files: readonly InstantFile[];
  readonly configHash: Readonly<Record<string, string>>;
}

/** Partitions that stay are not read again: under a steady load a few moves are made up for at once. */
const ATTEMPTS_MAX = 50;

/**
 * What a table is at one instant: its files and its pending batches. Entries are read after the snapshot, and taken only
 * if their partition has not moved since; what has moved is read again with the next.
 * Throws `table_gone`, `batches_set_aside`, `table_busy`.
 */
export async function takeInstant(
  { redis, fixed }: Pick<BackupContext, 'redis' | 'fixed'>,
  table: Table,
  signal: AbortSignal,
): Promise<Instant> {
  const { name, generation } = table;
  const read = new Map<
    string,
    { readonly token: string; readonly entries: ReadonlyMap<string, FileEntry> }
  >();
  let { shards } = table.config;
  let known: TableSnapshot | undefined;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    signal.throwIfAborted();
    const answer = await takeSnapshot(redis, fixed, name, generation, shards, known);
    if (answer.status === 'gone') throw tableGone(name);
    if (answer.status === 'stale') shards = answer.shards;
    if (answer.status === 'regressed') known = undefined;
    if (answer.status !== 'ok') continue;
    known = answer.snapshot;
    let isWhole = true;
    for (const [partition, token] of known.partitions) {
      if (read.get(partition)?.token === token) continue;
      const entries = await readEntries(redis, name, generation, partition, token);
      if (entries === undefined) isWhole = false;
      else read.set(partition, { token, entries });
    }
    if (!isWhole) continue;
    await refuseSetAside({ redis }, name, generation, shards);
    const configHash = await configHashOf({ redis, fixed }, name, generation);
    const files = [...known.partitions.keys()].sort().flatMap((partition) => {
      const [shard, day] = partition.split(':') as [string, string];
      return [...read.get(partition)!.entries.values()].map((entry) => ({ shard, day, entry }));
    });
    return { snapshot: known, files, configHash };
  }
  throw new MiniodbError('unavailable', `the index of table ${name} moves faster than it can be read`, {
    code: 'table_busy',
    retryAfterMs: 1_000,
  });
}

/** A backup with rows that nobody can decode could not be restored. */
async function refuseSetAside(
  { redis }: Pick<BackupContext, 'redis'>,
  name: string,
  generation: string,
  shards: number,
): Promise<void> {
  const keys = new ProtocolKeys(name, generation);
  let batches = 0;
  try {
    for (let shard = 0; shard < shards; shard += 1) {
      batches += await redis.zcard(keys.setAside(shardName(shard)));
    }
  } catch (error) {
    throw classifyRedisError(error);
  }
  if (batches === 0) return;
  throw new MiniodbError(
    'failed_precondition',
    `table ${name} has ${batches} batches that cannot be decoded and are set aside: a backup would not hold their rows`,
    { code: 'batches_set_aside' },
  );
}

async function configHashOf(
  { redis, fixed }: Pick<BackupContext, 'redis' | 'fixed'>,
  name: string,
  generation: string,
): Promise<Record<string, string>> {
  let hash: Record<string, string>;
  try {
    hash = await redis.hgetall(fixed.config(name));
  } catch (error) {
    throw classifyRedisError(error);
  }
  if (hash.generation !== generation) throw tableGone(name);
  return hash;
}

export function tableGone(name: string): MiniodbError {
  return new MiniodbError('not_found', `table ${name} was dropped meanwhile`, { code: 'table_gone' });
}

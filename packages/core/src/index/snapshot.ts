import { type BatchMeta, parseBatchMeta } from '../queue/batch-meta.ts';
import type { Redis } from '../redis/client.ts';
import { asArray, asPairs, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys, shardName } from '../table/keys.ts';
import type { TableSchema } from '../table/schema.ts';
import { parseSchema } from '../table/stored-schema.ts';
import { type FileEntry, fileEntrySchema } from './file-entry.ts';

/** One instant of a table. */
export interface TableSnapshot {
  readonly table: string;
  readonly generation: string;
  readonly shards: number;
  readonly status: string;
  /** Sequence of the newest put that it can see. */
  readonly seq: string;
  readonly indexToken: string;
  /** Partition (`s00:2024-01-05`) -> token of its last change. */
  readonly partitions: ReadonlyMap<string, string>;
  readonly schemaVersion: string;
  readonly schema: TableSchema;
  readonly pending: ReadonlyMap<string, BatchMeta>;
  /** Ids of pending batches in order, for each shard. */
  readonly pendingOfShards: readonly (readonly string[])[];
}

export type SnapshotAnswer =
  | { readonly status: 'ok'; readonly snapshot: TableSnapshot }
  | { readonly status: 'gone' }
  | { readonly status: 'stale'; readonly shards: number }
  /** Redis is older than `known`, as after a failover or a restored backup: nothing that was known may be used. */
  | { readonly status: 'regressed' };

/**
 * Takes a snapshot; what has not moved since `known` (a snapshot of the same generation) is reused and not sent again.
 * @param shards the shard count the caller believes in
 */
export async function takeSnapshot(
  redis: Redis,
  fixed: FixedKeys,
  table: string,
  generation: string,
  shards: number,
  known?: TableSnapshot,
): Promise<SnapshotAnswer> {
  const keys = new ProtocolKeys(table, generation);
  const usable = known?.generation === generation && known.shards === shards ? known : undefined;
  const verbKeys = [fixed.config(table), keys.counters, keys.schema, keys.indexToken, keys.indexMap];
  for (let shard = 0; shard < shards; shard += 1) {
    verbKeys.push(keys.pending(shardName(shard)), keys.batchMeta(shardName(shard)));
  }
  const reply = asArray(
    'snapshot',
    await runVerb(redis, 'snapshot', verbKeys, [
      generation,
      shards,
      usable?.indexToken ?? '',
      usable?.schemaVersion ?? '',
      usable?.seq ?? '0',
    ]),
  );
  const status = statusOf('snapshot', reply);
  if (status === 'gone') return { status };
  if (status === 'stale') return { status, shards: Number(asText('snapshot', reply[1])) };
  if (status !== 'ok') throw unknownStatus('snapshot', reply);
  const seq = asText('snapshot', reply[2]);
  const indexToken = asText('snapshot', reply[3]);
  // Each only ever grows.
  const isOlder =
    usable !== undefined &&
    (BigInt(seq) < BigInt(usable.seq) || BigInt(indexToken) < BigInt(usable.indexToken));
  const ofShards = asArray('snapshot', reply[7]);
  const pending = pendingOf(ofShards, usable);
  if (isOlder || pending === undefined) return { status: 'regressed' };
  const snapshot: TableSnapshot = {
    table,
    generation,
    shards,
    status: asText('snapshot', reply[1]),
    seq,
    indexToken,
    partitions: reply[4] === null ? usable!.partitions : new Map(asPairs('snapshot', reply[4])),
    schemaVersion: asText('snapshot', reply[5]),
    schema: reply[6] === null ? usable!.schema : parseSchema(asPairs('snapshot', reply[6])),
    pending,
    pendingOfShards: ofShards.map((shard) =>
      asPairs('snapshot', asArray('snapshot', shard)[0]).map(([id]) => id),
    ),
  };
  return { status, snapshot };
}

/** undefined when a batch is neither sent nor known, though it is of a sequence that the known snapshot has seen. */
function pendingOf(
  shards: readonly unknown[],
  known: TableSnapshot | undefined,
): Map<string, BatchMeta> | undefined {
  const pending = new Map<string, BatchMeta>();
  for (const shard of shards) {
    const [ids, metas] = asArray('snapshot', shard);
    const fresh = new Map(asPairs('snapshot', metas));
    for (const [id] of asPairs('snapshot', ids)) {
      const text = fresh.get(id);
      const meta = text === undefined ? known?.pending.get(id) : parseBatchMeta(text);
      if (meta === undefined) return undefined;
      pending.set(id, meta);
    }
  }
  return pending;
}

/** The files of one partition as the snapshot saw it, or undefined when it has moved since: take a new snapshot. */
export async function readEntries(
  redis: Redis,
  table: string,
  generation: string,
  partition: string,
  token: string,
): Promise<ReadonlyMap<string, FileEntry> | undefined> {
  const keys = new ProtocolKeys(table, generation);
  const reply = asArray(
    'entries',
    await runVerb(redis, 'entries', [keys.indexMap, keys.entries(partition)], [partition, token]),
  );
  if (statusOf('entries', reply) === 'moved') return undefined;
  return new Map(
    asPairs('entries', reply[1]).map(([fileId, entry]) => [fileId, fileEntrySchema.parse(JSON.parse(entry))]),
  );
}

import type { Redis } from '../redis/client.ts';
import { asArray, asNumber, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { type LuaArgument, runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys } from '../table/keys.ts';
import type { Column } from '../table/schema.ts';
import { rfc3339FromMicros } from '../table/timestamp.ts';
import type { CommitFile } from './commit.ts';
import { numbered } from './numbered.ts';
import type { TableRef } from './plan.ts';

/** Some milliseconds of Redis, and 2 MB of arguments. */
export const ADOPTED_FILES_MAX = 1_000;

/** So long a repeat of a chunk is known to be one; a plan of a restore lives for less. */
const REMEMBER_MS = 30 * 86_400_000;

export interface Adoption {
  /** Registered and live. */
  readonly planId: string;
  /** 0-based; the same files under the same number in every repeat. */
  readonly chunk: number;
  readonly isLast: boolean;
  /** At most ADOPTED_FILES_MAX, each with the shard it belongs to. */
  readonly files: readonly (CommitFile & { readonly shard: string })[];
  /** Columns that the table lacks or has narrower, as they then are. */
  readonly columns: readonly (Column & { readonly folded: string })[];
  /** At which these were joined with the table's. */
  readonly schemaVersion: string;
  /** Shard counts that the files' rows were placed by. */
  readonly shardCounts: readonly number[];
  /** Placed by the name of another table: then an id does not say in which shard its rows are. */
  readonly isForeign: boolean;
}

export type AdoptAnswer =
  | { readonly status: 'ok' | 'already' | 'gone' }
  /** The plan expired: its objects may have been collected. */
  | { readonly status: 'dead' }
  | { readonly status: 'stale'; readonly shards: number }
  /** The schema changed since the columns were joined with it. */
  | { readonly status: 'moved' }
  | { readonly status: 'mismatch'; readonly what: string };

/** Makes copied files part of a table, at one instant. */
export async function adoptFiles(
  redis: Redis,
  fixed: FixedKeys,
  ref: TableRef,
  adoption: Adoption,
): Promise<AdoptAnswer> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const files = adoption.files.map((file) => ({
    ...file,
    partition: `${file.shard}:${file.day}`,
    idSet: file.ownerId === undefined ? undefined : fixed.idFiles(ref.table, file.ownerId, file.day),
  }));
  const partitions = numbered(files.map(({ partition }) => partition));
  const idSets = numbered(files.flatMap(({ idSet }) => (idSet === undefined ? [] : [idSet])));
  const bounds = boundsOf(adoption.files);
  const args: LuaArgument[] = [
    ref.generation,
    adoption.planId,
    adoption.chunk,
    adoption.isLast ? 1 : 0,
    ref.shards,
    adoption.schemaVersion,
    adoption.columns.length,
    partitions.size,
    idSets.size,
    files.length,
    bounds.oldest,
    bounds.newest,
    adoption.isForeign ? 1 : 0,
    REMEMBER_MS,
    adoption.shardCounts.length,
    ...adoption.shardCounts,
  ];
  for (const { folded, type, name } of adoption.columns) args.push(folded, `${type}:${name}`);
  args.push(...partitions.keys());
  for (const { fileId, partition, idSet, entry } of files) {
    const idSetNumber = idSet === undefined ? 0 : idSets.get(idSet)!;
    const number = partitions.get(partition)!;
    args.push(fileId, number, idSetNumber, entry.key, JSON.stringify(entry), entry.rows, entry.sizeBytes);
  }
  const reply = await runVerb(
    redis,
    'adopt',
    [
      fixed.config(ref.table),
      fixed.stats(ref.table),
      keys.counters,
      keys.schema,
      keys.indexToken,
      keys.indexMap,
      keys.plans,
      keys.planTexts,
      keys.donePlans,
      keys.deadPlans,
      ...[...partitions.keys()].map((partition) => keys.entries(partition)),
      ...idSets.keys(),
    ],
    args,
  );
  return parseAdopt(reply);
}

function parseAdopt(raw: unknown): AdoptAnswer {
  const reply = asArray('adopt', raw);
  const status = statusOf('adopt', reply);
  switch (status) {
    case 'ok':
    case 'already':
    case 'gone':
    case 'dead':
    case 'moved':
      return { status };
    case 'stale':
      return { status, shards: asNumber('adopt', reply[1]) };
    case 'mismatch':
      return { status, what: asText('adopt', reply[1]) };
    default:
      throw unknownStatus('adopt', reply);
  }
}

function boundsOf(files: Adoption['files']): { readonly oldest: string; readonly newest: string } {
  let oldest: bigint | undefined;
  let newest: bigint | undefined;
  for (const { entry } of files) {
    const [min, max] = [BigInt(entry.minTs), BigInt(entry.maxTs)];
    if (oldest === undefined || min < oldest) oldest = min;
    if (newest === undefined || max > newest) newest = max;
  }
  const text = (micros: bigint | undefined) =>
    micros === undefined ? '' : rfc3339FromMicros(String(micros));
  return { oldest: text(oldest), newest: text(newest) };
}

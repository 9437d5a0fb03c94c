import type { ShardRef } from '../queue/seals.ts';
import type { Redis } from '../redis/client.ts';
import { asArray, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { type LuaArgument, runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys } from '../table/keys.ts';
import type { FileEntry } from './file-entry.ts';
import { numbered } from './numbered.ts';

export interface CommitFile {
  /** `<seal id>-<part>`. */
  readonly fileId: string;
  /** `YYYY-MM-DD` or `~mixed`. */
  readonly day: string;
  /** The id that the file belongs to alone. */
  readonly ownerId: string | undefined;
  readonly entry: FileEntry;
}

export type CommitAnswer =
  | { readonly status: 'ok'; readonly token: string }
  /** Somebody committed this seal before, with these or other bytes for the same rows. */
  | { readonly status: 'already' }
  /** Neither the seal nor its files are there: conclude nothing. */
  | { readonly status: 'unknown' }
  | { readonly status: 'gone' }
  | { readonly status: 'mismatch'; readonly what: string };

/** Makes a seal's files visible and its batches gone, in one step. */
export async function commitSeal(
  redis: Redis,
  fixed: FixedKeys,
  ref: ShardRef,
  sealId: string,
  batchIds: readonly string[],
  files: readonly CommitFile[],
): Promise<CommitAnswer> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const partitions = numbered(files.map((file) => `${ref.shard}:${file.day}`));
  const idSets = numbered(
    files
      .filter((file) => file.ownerId !== undefined)
      .map((file) => fixed.idFiles(ref.table, file.ownerId!, file.day)),
  );
  const verbKeys = [
    fixed.config(ref.table),
    fixed.stats(ref.table),
    keys.counters,
    keys.indexToken,
    keys.indexMap,
    keys.seal(sealId),
    keys.sealBatches(sealId),
    keys.seals(ref.shard),
    keys.pending(ref.shard),
    keys.batchMeta(ref.shard),
    ...[...partitions.keys()].map((partition) => keys.entries(partition)),
    ...idSets.keys(),
    ...batchIds.map((id) => keys.payload(id)),
  ];
  const args: LuaArgument[] = [
    ref.generation,
    sealId,
    partitions.size,
    idSets.size,
    batchIds.length,
    files.length,
    ...partitions.keys(),
    ...batchIds,
  ];
  for (const file of files) {
    const idSet =
      file.ownerId === undefined ? 0 : idSets.get(fixed.idFiles(ref.table, file.ownerId, file.day))!;
    args.push(
      file.fileId,
      partitions.get(`${ref.shard}:${file.day}`)!,
      idSet,
      file.entry.key,
      JSON.stringify(file.entry),
      file.entry.rows,
      file.entry.sizeBytes,
    );
  }
  const reply = asArray('commit', await runVerb(redis, 'commit', verbKeys, args));
  const status = statusOf('commit', reply);
  switch (status) {
    case 'ok':
      return { status, token: asText('commit', reply[1]) };
    case 'already':
    case 'unknown':
    case 'gone':
      return { status };
    case 'mismatch':
      return { status, what: asText('commit', reply[1]) };
    default:
      throw unknownStatus('commit', reply);
  }
}

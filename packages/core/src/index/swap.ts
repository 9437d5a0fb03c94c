import type { Redis } from '../redis/client.ts';
import { asArray, asNumber, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { type LuaArgument, runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys, shardName } from '../table/keys.ts';
import type { CommitFile } from './commit.ts';
import { numbered } from './numbered.ts';
import type { IndexedFile, TableRef } from './plan.ts';

export interface Swap {
  readonly planId: string;
  readonly inputs: readonly IndexedFile[];
  /** With the shard that each belongs to. */
  readonly outputs: readonly (CommitFile & { readonly shard: string })[];
  /** A rewrite that must not lose a row: refused unless inputs and outputs have as many. */
  readonly keepsRows: boolean;
  /** How long readers of older snapshots may still want the inputs' objects. */
  readonly graceMs: number;
  /** New bounds of the table, when rows leave: computed from everything that stays as it was at token and sequence. */
  readonly bounds?: {
    readonly indexToken: string;
    readonly seq: string;
    /** RFC 3339 with six digits; empty: no rows. */
    readonly oldest: string;
    readonly newest: string;
  };
}

export type SwapAnswer =
  | { readonly status: 'ok'; readonly token: string; readonly rowsRemoved: number }
  /** This plan's swap was taken before. */
  | { readonly status: 'already' }
  | { readonly status: 'gone' }
  /** The plan expired: its objects may be collected, so plan again under a new id. */
  | { readonly status: 'dead' }
  /** An input is no longer in the index, or is another object: plan again. */
  | { readonly status: 'missing'; readonly fileId: string }
  /** The index moved since the bounds were computed: compute them again. */
  | { readonly status: 'moved' }
  | { readonly status: 'mismatch'; readonly what: string };

/** Takes files out of the index and puts others in, at one instant. */
export async function swapFiles(
  redis: Redis,
  fixed: FixedKeys,
  ref: TableRef,
  swap: Swap,
): Promise<SwapAnswer> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const inputs = swap.inputs.map(({ partition, fileId, entry }) => ({
    partition,
    fileId,
    entry,
    idSet: fixed.idFilesOfObject(ref.table, entry.key),
  }));
  const outputs = swap.outputs.map(({ shard, day, fileId, ownerId, entry }) => ({
    partition: `${shard}:${day}`,
    fileId,
    entry,
    idSet: ownerId === undefined ? undefined : fixed.idFiles(ref.table, ownerId, day),
  }));
  const all = [...inputs, ...outputs];
  const partitions = numbered(all.map(({ partition }) => partition));
  const idSets = numbered(all.flatMap(({ idSet }) => (idSet === undefined ? [] : [idSet])));
  const shards = swap.bounds === undefined ? 0 : ref.shards;
  const verbKeys = [
    fixed.config(ref.table),
    fixed.stats(ref.table),
    keys.indexToken,
    keys.indexMap,
    keys.plans,
    keys.planTexts,
    keys.donePlans,
    keys.doomed,
    keys.deadPlans,
    ...[...partitions.keys()].map((partition) => keys.entries(partition)),
    ...idSets.keys(),
  ];
  for (let shard = 0; shard < shards; shard += 1) {
    verbKeys.push(keys.pending(shardName(shard)), keys.batchMeta(shardName(shard)));
  }
  const args: LuaArgument[] = [
    ref.generation,
    swap.planId,
    partitions.size,
    idSets.size,
    shards,
    inputs.length,
    outputs.length,
    swap.graceMs,
    swap.keepsRows ? 1 : 0,
    swap.bounds?.indexToken ?? '',
    swap.bounds?.seq ?? '',
    swap.bounds?.oldest ?? '',
    swap.bounds?.newest ?? '',
    ...partitions.keys(),
  ];
  const common = (file: (typeof all)[number]): LuaArgument[] => [
    file.fileId,
    partitions.get(file.partition)!,
    file.idSet === undefined ? 0 : idSets.get(file.idSet)!,
    file.entry.key,
  ];
  for (const input of inputs) args.push(...common(input));
  for (const output of outputs) {
    args.push(...common(output), JSON.stringify(output.entry), output.entry.rows, output.entry.sizeBytes);
  }
  return parseSwap(await runVerb(redis, 'swap', verbKeys, args));
}

function parseSwap(raw: unknown): SwapAnswer {
  const reply = asArray('swap', raw);
  const status = statusOf('swap', reply);
  switch (status) {
    case 'ok':
      return { status, token: asText('swap', reply[1]), rowsRemoved: asNumber('swap', reply[2]) };
    case 'already':
    case 'gone':
    case 'dead':
    case 'moved':
      return { status };
    case 'missing':
      return { status, fileId: asText('swap', reply[1]) };
    case 'mismatch':
      return { status, what: asText('swap', reply[1]) };
    default:
      throw unknownStatus('swap', reply);
  }
}

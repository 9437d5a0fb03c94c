import type { Redis } from '../redis/client.ts';
import { asArray, asNumber, statusOf, unknownStatus } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys, shardName } from '../table/keys.ts';
import type { ObjectName } from '../table/object-name.ts';
import type { TableRef } from './plan.ts';

export type CollectAnswer =
  | { readonly status: 'delete' }
  /** The table's incarnation is no more: its drop collects it. */
  | { readonly status: 'gone' }
  /** The table has more shards by now. */
  | { readonly status: 'stale'; readonly shards: number }
  | { readonly status: 'indexed' }
  /** The seal or plan that made it is live: it may be about to enter the index. */
  | { readonly status: 'held' }
  | { readonly status: 'later'; readonly notBeforeMs: number }
  | { readonly status: 'pinned'; readonly untilMs: number };

/** Asks whether an object may be deleted now; 'delete' is for ever. */
export async function askToCollect(
  redis: Redis,
  fixed: FixedKeys,
  ref: TableRef,
  objectKey: string,
  name: ObjectName,
): Promise<CollectAnswer> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const verbKeys = [
    fixed.config(ref.table),
    keys.plans,
    keys.deadPlans,
    keys.doomed,
    keys.pins,
    keys.seal(name.maker),
  ];
  for (let shard = 0; shard < ref.shards; shard += 1) {
    verbKeys.push(keys.entries(`${shardName(shard)}:${name.day}`));
  }
  const reply = asArray(
    'collect',
    await runVerb(redis, 'collect', verbKeys, [ref.generation, objectKey, name.fileId, name.maker]),
  );
  const status = statusOf('collect', reply);
  switch (status) {
    case 'delete':
    case 'gone':
    case 'indexed':
    case 'held':
      return { status };
    case 'stale':
      return { status, shards: asNumber('collect', reply[1]) };
    case 'later':
      return { status, notBeforeMs: asNumber('collect', reply[1]) };
    case 'pinned':
      return { status, untilMs: asNumber('collect', reply[1]) };
    default:
      throw unknownStatus('collect', reply);
  }
}

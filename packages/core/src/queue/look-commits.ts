import type { Redis } from '../redis/client.ts';
import { asArray, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { type LuaArgument, runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys, shardName } from '../table/keys.ts';

/** What a commit is awaited of. */
export type CommitTarget =
  /** One put, by its batches. */
  | {
      readonly kind: 'put';
      readonly putId: string;
      readonly seq: string;
      readonly batches: readonly { readonly id: string; readonly shard: number }[];
    }
  /** All of the table up to a put sequence. */
  | { readonly kind: 'upTo'; readonly seq: string; readonly shardCount: number };

/**
 * `set_aside`: some of it cannot be written, and stays pending. `lost`: Redis does not know of it, so it was put back to
 * an older state. `gone`: that incarnation of the table is no more.
 */
export type CommitState = 'pending' | 'committed' | 'set_aside' | 'lost' | 'gone';

/** One state for each target, in order, of one instant. */
export async function lookAtCommits(
  redis: Redis,
  fixed: FixedKeys,
  table: string,
  generation: string,
  targets: readonly CommitTarget[],
): Promise<CommitState[]> {
  const keys = new ProtocolKeys(table, generation);
  const shardCount = targets.reduce((most, target) => Math.max(most, shardsOf(target)), 0);
  const verbKeys = [fixed.config(table), keys.counters, keys.done];
  for (let shard = 0; shard < shardCount; shard += 1) {
    verbKeys.push(keys.pending(shardName(shard)), keys.setAside(shardName(shard)));
  }
  const args: LuaArgument[] = [generation];
  for (const target of targets) {
    if (target.kind === 'upTo') args.push('', target.seq);
    else {
      args.push(target.putId, target.batches.length);
      for (const { id, shard } of target.batches) args.push(shard, id);
    }
  }
  const reply = asArray('look-commits', await runVerb(redis, 'lookCommits', verbKeys, args));
  const status = statusOf('look-commits', reply);
  if (status === 'gone') return targets.map(() => 'gone');
  if (status !== 'ok') throw unknownStatus('look-commits', reply);
  return targets.map((_, at) => stateOf(asText('look-commits', reply[at + 1]), reply));
}

function shardsOf(target: CommitTarget): number {
  if (target.kind === 'upTo') return target.shardCount;
  return target.batches.reduce((most, { shard }) => Math.max(most, shard + 1), 0);
}

function stateOf(text: string, reply: unknown): CommitState {
  switch (text) {
    case 'pending':
    case 'committed':
    case 'set_aside':
    case 'lost':
      return text;
    default:
      throw unknownStatus('look-commits', reply);
  }
}

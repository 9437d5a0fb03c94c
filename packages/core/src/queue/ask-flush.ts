import type { Redis } from '../redis/client.ts';
import { asArray, asNumber, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys, shardName } from '../table/keys.ts';
import { hint } from './hint.ts';

/** What is to be flushed now. */
export interface FlushWanted {
  readonly table: string;
  readonly generation: string;
  /** Batches up to this put sequence; undefined: all that are pending. */
  readonly seq: string | undefined;
  /** Numbers of the shards; a count means all of the table's. */
  readonly shards: readonly number[] | { readonly count: number };
}

export type FlushAsked =
  | {
      readonly status: 'ok';
      /** Up to which it is asked. */
      readonly seq: string;
      /** Of the whole table, sealed or not. */
      readonly pendingBatches: number;
      /** Undefined where the table does not set it. */
      readonly flushPaused: boolean | undefined;
    }
  | { readonly status: 'gone' | 'stale' };

/** Flushers see to it as soon as they can, and at a table whose flushes are paused when they no longer are. */
export async function askFlush(redis: Redis, fixed: FixedKeys, wanted: FlushWanted): Promise<FlushAsked> {
  const { table, generation, seq, shards } = wanted;
  const keys = new ProtocolKeys(table, generation);
  const isAll = 'count' in shards;
  const names = (isAll ? Array.from({ length: shards.count }, (_, shard) => shard) : shards).map(shardName);
  const reply = asArray(
    'ask-flush',
    await runVerb(
      redis,
      'askFlush',
      [fixed.config(table), keys.counters, ...names.map((name) => keys.unsealed(name))],
      [generation, seq ?? '', isAll ? shards.count : '', ...names],
    ),
  );
  const status = statusOf('ask-flush', reply);
  if (status === 'gone' || status === 'stale') return { status };
  if (status !== 'ok') throw unknownStatus('ask-flush', reply);
  const asked = asArray('ask-flush', reply[4]).map((name) => asText('ask-flush', name));
  if (asked.length > 0) hint(redis, table, asked, true);
  const paused = asText('ask-flush', reply[3]);
  return {
    status,
    seq: asText('ask-flush', reply[1]),
    pendingBatches: asNumber('ask-flush', reply[2]),
    flushPaused: paused === '' ? undefined : paused === 'true',
  };
}

import type { Redis } from '../redis/client.ts';
import { asArray, asNumber, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { tooSlow, untilAnswered, verbDeadlineMs } from '../redis/until-answered.ts';
import { failpoint } from '../runtime/failpoints.ts';
import { type FixedKeys, ProtocolKeys } from './keys.ts';
import { intendDrop, settleListing } from './listing.ts';

export type DropAnswer =
  | { readonly status: 'dropped'; readonly files: number }
  | { readonly status: 'not_empty'; readonly rows: string }
  /** That incarnation is no more, and somebody else ended it. */
  | { readonly status: 'gone' };

export interface DropOptions {
  /** Even when it holds rows. */
  readonly cascade: boolean;
  /** Who drops it, for the record; empty when nobody in particular. */
  readonly by: string;
}

/**
 * Drops one incarnation of a table. The order of the durable effects:
 *
 *   intent   a hint for the collectors   died here: they find nothing to do
 *   switch   the table is no more        died here: the collectors see to the lists and to the rest
 *   listing  the name is free            died here: nothing is left to do but collecting
 */
export async function dropTable(
  redis: Redis,
  fixed: FixedKeys,
  table: string,
  generation: string,
  options: DropOptions,
): Promise<DropAnswer> {
  const deadlineMs = await verbDeadlineMs(redis);
  await intendDrop(redis, table, generation);
  const keys = [
    fixed.config(table),
    fixed.stats(table),
    fixed.createdAt(table),
    fixed.lastWrite(table),
    fixed.drops(table),
    new ProtocolKeys(table, generation).counters,
  ];
  const args = [generation, table, options.cascade ? 1 : 0, options.by, deadlineMs];
  const reply = asArray(
    'drop',
    await untilAnswered(redis, 'dropTable', keys, args, `table ${table} was dropped`),
  );
  const status = statusOf('drop', reply);
  switch (status) {
    case 'ok':
      await failpoint('dt.switch');
      // It is dropped, whatever becomes of this: collectors do the same.
      await freeName(redis, fixed, table, generation, asText('drop', reply[2])).catch(() => {});
      return { status: 'dropped', files: asNumber('drop', reply[1]) };
    case 'not_empty':
      return { status, rows: asText('drop', reply[1]) };
    case 'gone':
      return { status };
    case 'expired':
      throw tooSlow(`table ${table} was not dropped`);
    default:
      throw unknownStatus('drop', reply);
  }
}

async function freeName(
  redis: Redis,
  fixed: FixedKeys,
  table: string,
  generation: string,
  creator: string,
): Promise<void> {
  // Once more: had this process stood still since the first time, a collector might have forgotten that one.
  await intendDrop(redis, table, generation);
  await settleListing(redis, fixed, table, creator === '' ? undefined : creator);
}

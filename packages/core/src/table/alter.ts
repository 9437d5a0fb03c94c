import type { Redis } from '../redis/client.ts';
import { asArray, asNumber, statusOf, unknownStatus } from '../redis/reply.ts';
import type { LuaArgument } from '../redis/script.ts';
import { tooSlow, untilAnswered, verbDeadlineMs } from '../redis/until-answered.ts';
import { hintCatalog } from './catalog-hint.ts';
import { storedFields, type TableConfigInput } from './config.ts';
import type { FixedKeys } from './keys.ts';

export interface TableAlteration {
  readonly set: TableConfigInput;
  /** Fields that go back to the default. Shards cannot: rows are placed by their count, so it is always concrete. */
  readonly unset: readonly Exclude<keyof TableConfigInput, 'shards'>[];
  readonly status: 'active' | 'archived' | undefined;
}

export type AlterAnswer =
  | { readonly status: 'ok' | 'gone' }
  | { readonly status: 'shrink'; readonly shards: number };

export async function alterTable(
  redis: Redis,
  fixed: FixedKeys,
  table: string,
  generation: string,
  { set, unset, status }: TableAlteration,
): Promise<AlterAnswer> {
  const { shards, ...others } = set;
  const fields = storedFields(others);
  const args: LuaArgument[] = [
    generation,
    status ?? '',
    shards ?? '',
    await verbDeadlineMs(redis),
    fields.length / 2,
    ...fields,
    ...unset,
  ];
  const reply = asArray(
    'alter',
    await untilAnswered(redis, 'alterTable', [fixed.config(table)], args, `table ${table} was changed`),
  );
  const outcome = statusOf('alter', reply);
  switch (outcome) {
    case 'ok':
      hintCatalog(redis);
      return { status: outcome };
    case 'gone':
      return { status: outcome };
    case 'expired':
      throw tooSlow(`table ${table} was not changed`);
    case 'shrink':
      return { status: outcome, shards: asNumber('alter', reply[1]) };
    default:
      throw unknownStatus('alter', reply);
  }
}

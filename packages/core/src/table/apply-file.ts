import type { Redis } from '../redis/client.ts';
import { asPairs, statusOf, unknownStatus } from '../redis/reply.ts';
import { untilAnswered } from '../redis/until-answered.ts';
import { hintCatalog } from './catalog-hint.ts';
import { storedFields, type TableConfigInput } from './config.ts';
import type { FixedKeys } from './keys.ts';

/** `smaller`: the file asks for fewer shards than there are, which is not done. `kept`: it was changed live. */
export type FieldOutcome = 'set' | 'inherited' | 'kept' | 'smaller';

export type ApplyAnswer =
  | { readonly status: 'gone' }
  | { readonly status: 'ok'; readonly fields: ReadonlyMap<string, FieldOutcome> };

/**
 * Merges what a configuration file says of a table into its settings (apply.lua), all fields at one instant.
 * @param table in lower case. @returns only the fields that changed, or did not although the file asks for it
 */
export async function applyFileConfig(
  redis: Redis,
  fixed: FixedKeys,
  table: string,
  config: TableConfigInput,
): Promise<ApplyAnswer> {
  const key = fixed.config(table);
  const what = `the file's settings of table ${table} were applied`;
  const reply = await untilAnswered(redis, 'applyFile', [key], storedFields(config), what);
  const status = statusOf('apply', reply);
  switch (status) {
    case 'gone':
      return { status };
    case 'ok':
      hintCatalog(redis);
      return {
        status,
        fields: new Map(asPairs('apply', (reply as unknown[]).slice(1)) as [string, FieldOutcome][]),
      };
    default:
      throw unknownStatus('apply', reply);
  }
}

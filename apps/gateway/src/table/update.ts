import { requireGrant } from '@miniodb/core/auth/principal.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { alterTable, type TableAlteration } from '@miniodb/core/table/alter.ts';
import { checkTableConfig, type TableConfig } from '@miniodb/core/table/config.ts';
import type { CallContext, TableChange, TableInfo } from '../api.ts';
import { infoOf, readTable } from './describe.ts';
import { type ManageContext, tableContended } from './manage.ts';
import { tableNotFound } from './tables.ts';

/** How often a table may turn out to be another incarnation meanwhile. */
const ATTEMPTS_MAX = 4;

/** Throws `table_not_found`, `invalid_table_config`, `shards_shrink`. */
export async function updateTable(
  context: ManageContext,
  name: string,
  change: TableChange,
  { principal }: CallContext,
): Promise<TableInfo> {
  const { redis, fixed, tables } = context;
  const table = tables.canonical(name);
  requireGrant(principal, 'admin', [table]);
  const alteration = alterationOf(change, context.defaults);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const before = await readTable(context, table);
    if (before === undefined) throw tableNotFound(name);
    const answer = await alterTable(redis, fixed, table, before.table.generation, alteration);
    tables.forget(table);
    if (answer.status === 'shrink') {
      throw new MiniodbError(
        'invalid_argument',
        `shards: table ${name} has ${answer.shards}, and can only get more`,
        { code: 'shards_shrink' },
      );
    }
    const after = answer.status === 'ok' ? await readTable(context, table) : undefined;
    if (after?.table.generation === before.table.generation) return infoOf(after);
  }
  throw tableContended(name);
}

/** What a change means for the config hash. A shard count that goes back to the default becomes that number. */
function alterationOf(change: TableChange, defaults: TableConfig): TableAlteration {
  const entries = Object.entries(change.config);
  const set = checkTableConfig(Object.fromEntries(entries.filter(([, value]) => value !== null)));
  const unset = entries.filter(([, value]) => value === null).map(([field]) => field as keyof TableConfig);
  return {
    set: unset.includes('shards') ? { ...set, shards: defaults.shards } : set,
    unset: unset.filter((field) => field !== 'shards'),
    status: change.status,
  };
}

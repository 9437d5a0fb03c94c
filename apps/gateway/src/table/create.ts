import { requireGrant } from '@miniodb/core/auth/principal.ts';
import type { TableConfigInput } from '@miniodb/core/table/config.ts';
import type { CallContext } from '../api.ts';
import type { ManageContext } from './manage.ts';

export async function createTable(
  { tables }: ManageContext,
  table: string,
  config: TableConfigInput,
  ifNotExists: boolean,
  { principal }: CallContext,
): Promise<void> {
  requireGrant(principal, 'admin', [tables.canonical(table)]);
  await tables.create(table, config, ifNotExists, principal);
}

import { requireGrant } from '@miniodb/core/auth/principal.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { dropTable as dropGeneration } from '@miniodb/core/table/drop.ts';
import type { CallContext, DropReceipt } from '../api.ts';
import type { ManageContext } from './manage.ts';
import { tableNotFound } from './tables.ts';

/** Throws `default_table`, `table_not_found` unless ifExists, `table_not_empty` unless cascade. */
export async function dropTable(
  context: ManageContext,
  name: string,
  options: { readonly ifExists: boolean; readonly cascade: boolean },
  { principal }: CallContext,
): Promise<DropReceipt> {
  const { redis, fixed, tables } = context;
  const table = tables.canonical(name);
  requireGrant(principal, 'admin', [table]);
  if (table === context.defaultTable) {
    throw new MiniodbError(
      'failed_precondition',
      `table ${table} is the default table: it is there from the start, and stays`,
      { code: 'default_table' },
    );
  }
  const live = await new Catalog(redis, fixed, context.defaults).read(table);
  try {
    const answer =
      live === undefined
        ? ({ status: 'gone' } as const)
        : await dropGeneration(redis, fixed, table, live.generation, {
            cascade: options.cascade,
            by: principal.user,
          });
    switch (answer.status) {
      case 'dropped':
        return { filesDeleted: answer.files };
      case 'not_empty':
        throw new MiniodbError(
          'failed_precondition',
          `table ${name} is not empty: it holds ${answer.rows} rows; cascade drops them as well`,
          { code: 'table_not_empty' },
        );
      case 'gone':
        // Where another drop was faster, there was no such table for a moment, at the least.
        if (options.ifExists) {
          await tables.requireHistory();
          return { filesDeleted: 0 };
        }
        throw tableNotFound(name);
    }
  } finally {
    tables.forget(table);
  }
}

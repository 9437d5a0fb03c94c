import { type Principal, requireGrant } from '@miniodb/core/auth/principal.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';
import type { Tables } from './tables.ts';

/** What the operations on tables as such need; one operation a file. */
export interface ManageContext {
  readonly redis: Redis;
  readonly fixed: FixedKeys;
  readonly tables: Tables;
  readonly defaults: TableConfig;
  /** In key form. */
  readonly defaultTable: string;
}

/** Whoever reads a table, or administers it, may know what it is like. Throws `table_forbidden`. */
export function requireKnowable(principal: Principal, table: string): void {
  if (!principal.grants.allow('admin', table)) requireGrant(principal, 'read', [table]);
}

/** A table that is dropped and created again all the time. */
export function tableContended(table: string): MiniodbError {
  return new MiniodbError('unavailable', `table ${table} is dropped and created all the time`, {
    code: 'table_contended',
    retryAfterMs: 500,
  });
}

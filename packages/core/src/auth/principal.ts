import { MiniodbError } from '../runtime/errors.ts';
import { type Action, Grants } from './grants.ts';

/** Who calls, and what that one may do. */
export interface Principal {
  /** A user of the configuration; `anonymous` while permissions are off. */
  readonly user: string;
  readonly grants: Grants;
}

/** Everybody, while permissions are off. */
export const ANONYMOUS: Principal = { user: 'anonymous', grants: new Grants(['table:*:*']) };

/** Who has shown nothing, where nothing needs to be shown. */
export const NOBODY: Principal = { user: '', grants: new Grants([]) };

/**
 * Throws `permission_denied`/`table_forbidden` unless every table allows it. Ask before looking whether a table exists:
 * who may not read a name must not learn that either.
 * @param tables in lower case
 */
export function requireGrant(principal: Principal, action: Action, tables: readonly string[]): void {
  const refused = tables.find((table) => !principal.grants.allow(action, table));
  if (refused === undefined) return;
  throw new MiniodbError(
    'permission_denied',
    `${principal.user} has no ${action} grant on table ${refused}`,
    {
      code: 'table_forbidden',
    },
  );
}

/**
 * What a query needs: read on each of its tables, and on some table where it names none, as even `SELECT 1` takes
 * memory and time of a querier. Throws `permission_denied`/`table_forbidden`.
 * @param tables in lower case
 */
export function requireRead(principal: Principal, tables: readonly string[]): void {
  requireGrant(principal, 'read', tables);
  if (tables.length > 0 || principal.grants.allowSomewhere('read')) return;
  throw new MiniodbError('permission_denied', `${principal.user} has no read grant on any table`, {
    code: 'table_forbidden',
  });
}

/**
 * What a write needs before it is known which table it is of: write on some. Throws
 * `permission_denied`/`table_forbidden`.
 */
export function requireWriteSomewhere(principal: Principal): void {
  if (principal.grants.allowSomewhere('write')) return;
  throw new MiniodbError('permission_denied', `${principal.user} has no write grant on any table`, {
    code: 'table_forbidden',
  });
}

/** Throws `permission_denied`/`cluster_forbidden`. */
export function requireClusterAdmin(principal: Principal): void {
  if (principal.grants.isClusterAdmin) return;
  throw new MiniodbError('permission_denied', `${principal.user} has no grant table:*:admin`, {
    code: 'cluster_forbidden',
  });
}

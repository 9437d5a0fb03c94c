import type { z } from 'zod';
import { Grants } from '../auth/grants.ts';
import {
  type AuthSection,
  authSchema,
  type PermissionsSection,
  permissionsSchema,
} from '../auth/sections.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { check, shown } from './check.ts';
import { hint } from './nearest.ts';
import type { FileReader } from './reader.ts';

/** `permissions`. Off, and empty, when it is absent or wrong, which has then been said. */
export function readPermissions(reader: FileReader): PermissionsSection {
  const permissions = readStrict(reader, 'permissions', permissionsSchema);
  const section = reader.section('permissions');
  if (!permissions.enabled && (section.roles !== undefined || section.users !== undefined)) {
    reader.warn(['permissions'], 'has no effect: enabled is not true');
  }
  // By the values as they stand: one wrong name must not hide what else is wrong.
  const roles = Object.entries(reader.mapping(['permissions', 'roles'], section.roles) ?? {});
  for (const [role, grants] of roles) {
    if (!Array.isArray(grants)) continue;
    for (const [at, grant] of grants.entries()) {
      if (typeof grant === 'string') checkGrant(reader, ['permissions', 'roles', role, at], grant);
    }
  }
  const names = roles.map(([role]) => role);
  const users = reader.mapping(['permissions', 'users'], section.users) ?? {};
  for (const [user, given] of Object.entries(users)) {
    if (!Array.isArray(given)) continue;
    for (const [at, role] of given.entries()) {
      if (typeof role !== 'string' || names.includes(role)) continue;
      const problem = `${shown(role)} is no role of permissions.roles${hint(role, names)}`;
      reader.problem(['permissions', 'users', user, at], problem);
    }
  }
  for (const user of Object.keys(permissions.limits)) {
    if (user === '*' || Object.hasOwn(users, user)) continue;
    reader.warn(
      ['permissions', 'limits', user],
      `has no effect: permissions.users has no such user${hint(user, Object.keys(users))}`,
    );
  }
  return permissions;
}

function checkGrant(reader: FileReader, path: readonly (string | number)[], grant: string): void {
  try {
    new Grants([grant]);
  } catch (error) {
    if (!(error instanceof MiniodbError)) throw error;
    reader.problem(path, error.message);
  }
}

/** `auth`. Empty when it is absent or wrong, which has then been said. */
export function readAuth(reader: FileReader): AuthSection {
  return readStrict(reader, 'auth', authSchema);
}

function readStrict<Schema extends z.ZodType>(
  reader: FileReader,
  name: string,
  schema: Schema,
): z.infer<Schema> {
  // Nothing of `auth` is quoted: what stands in a wrong place may be a secret.
  const checked = check(schema, reader.section(name), name === 'auth');
  if (checked.ok) return checked.value;
  for (const flaw of checked.flaws) reader.problem([name, ...flaw.path], flaw.message);
  return schema.parse({});
}

import type { RoleConfig } from '../runtime/role-config.ts';
import type { ObjectStore } from './object-store.ts';
import { openObjectStore } from './open-store.ts';

/** The object store that a role's settings name. Nothing is connected yet. */
export function openRoleStore(config: RoleConfig): ObjectStore {
  const { storeAccessKey: accessKeyId, storeSecretKey: secretAccessKey } = config;
  if (accessKeyId === undefined || secretAccessKey === undefined) return openObjectStore(config.storeUrl);
  return openObjectStore(config.storeUrl, { credentials: { accessKeyId, secretAccessKey } });
}

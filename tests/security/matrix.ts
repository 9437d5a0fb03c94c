import type { User } from './callers.ts';

export const TABLES = ['users', 'orders', 'logs'] as const;
export type TableName = (typeof TABLES)[number];

/** What each may do with each table: read, write, administer. */
export const MAY: Readonly<Partial<Record<User, Readonly<Record<TableName, string>>>>> = {
  'service-user-001': { users: 'rw', orders: '', logs: '' },
  'service-order-001': { users: 'r', orders: 'rw', logs: '' },
  'analyst-001': { users: 'r', orders: 'r', logs: 'r' },
  'admin-001': { users: 'rwa', orders: 'rwa', logs: 'rwa' },
  'logger-001': { users: '', orders: '', logs: 'w' },
};
export const MATRIX_USERS = Object.keys(MAY) as User[];

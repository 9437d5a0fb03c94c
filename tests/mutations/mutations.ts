import { CLI } from './cli.ts';
import { FLUSHING } from './flushing.ts';
import { IDENTITY } from './identity.ts';
import { INDEX } from './index.ts';
import type { Mutation } from './mutation.ts';
import { OPERATIONS } from './operations.ts';
import { PROTOCOL_MUTATIONS } from './protocol.ts';
import { SETTINGS } from './settings.ts';
import { TABLES } from './tables.ts';
import { TYPES } from './types.ts';

/** All of them, in the order of docs/mutations.md. */
export const MUTATIONS: readonly Mutation[] = [
  ...PROTOCOL_MUTATIONS,
  ...TABLES,
  ...FLUSHING,
  ...TYPES,
  ...INDEX,
  ...SETTINGS,
  ...IDENTITY,
  ...OPERATIONS,
  ...CLI,
];

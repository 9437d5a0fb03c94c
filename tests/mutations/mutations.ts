import { BACKUPS } from './backups.ts';
import { CLI } from './cli.ts';
import { COMMITTING } from './committing.ts';
import { COMPACTION_MUTATIONS } from './compaction.ts';
import { FLUSHING } from './flushing.ts';
import { IDENTITY } from './identity.ts';
import { INDEX } from './index.ts';
import type { Mutation } from './mutation.ts';
import { OPERATIONS } from './operations.ts';
import { PROTOCOL_MUTATIONS } from './protocol.ts';
import { RETENTION } from './retention.ts';
import { SETTINGS } from './settings.ts';
import { STRANGERS } from './strangers.ts';
import { TABLES } from './tables.ts';
import { TYPES } from './types.ts';

/** All of them, in the order of docs/mutations.md. */
export const MUTATIONS: readonly Mutation[] = [
  ...PROTOCOL_MUTATIONS,
  ...TABLES,
  ...FLUSHING,
  ...COMMITTING,
  ...TYPES,
  ...INDEX,
  ...COMPACTION_MUTATIONS,
  ...BACKUPS,
  ...SETTINGS,
  ...IDENTITY,
  ...STRANGERS,
  ...OPERATIONS,
  ...CLI,
  ...RETENTION,
];

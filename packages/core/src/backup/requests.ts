import { z } from 'zod';

/**
 * What gateways ask flushers for, and what those answer, through the task queues. Gateways have no object store: all that
 * needs one goes this way.
 */

/** Backups and restores, which take minutes: one at a time in a flusher. */
export const BACKUP_QUEUE = 'backups';
/** Questions, which take moments and must not wait behind those. */
export const QUESTION_QUEUE = 'questions';

export const backupRequestSchema = z.object({
  v: z.literal(1),
  kind: z.literal('backup'),
  table: z.string(),
  by: z.string(),
  filter: z.object({ id: z.string().optional(), day: z.string().optional() }),
});

export const RESTORE_MODES = ['empty', 'replace', 'append'] as const;
export type RestoreMode = (typeof RESTORE_MODES)[number];

export const restoreRequestSchema = z.object({
  v: z.literal(1),
  kind: z.literal('restore'),
  table: z.string(),
  /** Empty: the newest. */
  backup: z.string(),
  target: z.string(),
  mode: z.enum(RESTORE_MODES),
  by: z.string(),
  /** Prefix of the ids of the files it makes. */
  planId: z.string().regex(/^[0-9a-f]{16}$/),
  askedMs: z.int(),
  /** For the table that it may have to create. */
  tablesMax: z.int(),
  owner: z.object({ user: z.string(), tablesMax: z.number() }).optional(),
  /** Noted on the way, so that whoever goes on does the same. */
  state: z
    .object({
      backup: z.string().optional(),
      /** The incarnation that is replaced; empty: there was none. */
      replaces: z.string().optional(),
      /** The incarnation that is restored into. */
      generation: z.string().optional(),
    })
    .default({}),
});

export const taskRequestSchema = z.discriminatedUnion('kind', [backupRequestSchema, restoreRequestSchema]);

export type BackupRequest = z.infer<typeof backupRequestSchema>;
export type RestoreRequest = z.infer<typeof restoreRequestSchema>;

export const progressSchema = z.object({
  step: z.string(),
  done: z.number(),
  of: z.number(),
});
export type TaskProgress = z.infer<typeof progressSchema>;

export const taskResultSchema = z.object({
  backup: z.string(),
  table: z.string(),
  files: z.number(),
  rows: z.number(),
  pendingRows: z.number(),
  bytes: z.number(),
  /** Of these, bytes that had to be copied. */
  copiedBytes: z.number(),
  /** Keys of restored files, at most RECOVERED_KEYS_MAX. */
  keys: z.array(z.string()),
});
export type TaskResult = z.infer<typeof taskResultSchema>;

export const RECOVERED_KEYS_MAX = 10_000;

export const listRequestSchema = z.object({ v: z.literal(1), kind: z.literal('list'), table: z.string() });
export type ListRequest = z.infer<typeof listRequestSchema>;

export const backupInfoSchema = z.object({
  id: z.string(),
  /** RFC 3339; empty where the manifest cannot be read. */
  createdAt: z.string(),
  rows: z.number(),
  files: z.number(),
  pendingRows: z.number(),
  bytes: z.number(),
  by: z.string(),
  /** Of a backup of single ids or days. */
  filter: z.object({ id: z.string().optional(), day: z.string().optional() }),
  /** Code of what is wrong with its manifest; empty: nothing. */
  flaw: z.string(),
});
export type BackupInfo = z.infer<typeof backupInfoSchema>;

export const listResultSchema = z.object({ backups: z.array(backupInfoSchema) });

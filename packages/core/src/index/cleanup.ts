import { z } from 'zod';
import type { Fate } from './bounds.ts';
import type { FileEntry } from './file-entry.ts';

/** Queue (queue/tasks.ts) of the cleanups that gateways ask flushers for. */
export const CLEANUP_QUEUE = 'cleanup';

/** Rows whose timestamp is before a time leave, as whole files. Version 1. */
export const cleanupRequestSchema = z.object({
  v: z.literal(1),
  table: z.string(),
  generation: z.string(),
  /** RFC 3339. */
  before: z.string(),
  /** The same in microseconds since 1970 UTC, decimal text. */
  beforeMicros: z.string().regex(/^-?\d{1,18}$/),
  by: z.string(),
  /** Plans of swaps that were about to be made for it: whoever goes on with it counts those that were taken. */
  plans: z.array(z.string()),
});

export type CleanupRequest = z.infer<typeof cleanupRequestSchema>;

export const cleanupResultSchema = z.object({
  files: z.number().int(),
  rows: z.number().int(),
  bytes: z.number().int(),
  /** Files that hold rows from before and rows from after that time: they stay whole. */
  filesLeft: z.number().int(),
  /** All rows of these. */
  rowsLeft: z.number().int(),
  /** Of pending batches that hold some from before that time. */
  pendingRows: z.number().int(),
});

export type CleanupResult = z.infer<typeof cleanupResultSchema>;

export function fateBefore(beforeMicros: string): (entry: FileEntry) => Fate {
  const limit = BigInt(beforeMicros);
  return ({ minTs, maxTs }) => {
    if (BigInt(maxTs) < limit) return 'leaves';
    return BigInt(minTs) < limit ? 'straddles' : 'stays';
  };
}

/** Rows of the pending batches that hold some from before that time. */
export function pendingRowsBefore(
  pending: readonly { readonly minTs: string; readonly rows: number }[],
  beforeMicros: string,
): number {
  const limit = BigInt(beforeMicros);
  return pending.reduce((rows, meta) => (BigInt(meta.minTs) < limit ? rows + meta.rows : rows), 0);
}

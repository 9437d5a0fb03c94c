import { z } from 'zod';

/**
 * What the index knows of one file: a JSON text at `…:e:<shard>:<day>` under the file's id. Lua never looks
 * inside. Format version 1.
 */
export const fileEntrySchema = z.object({
  v: z.literal(1),
  /** Object key in the bucket. */
  key: z.string(),
  sha256: z.string().length(64),
  sizeBytes: z.number().int().nonnegative(),
  rows: z.number().int().positive(),
  /** Microseconds since 1970 UTC, decimal text. */
  minTs: z.string(),
  maxTs: z.string(),
  minId: z.string(),
  maxId: z.string(),
  /** All ids of the file, when they are few. */
  ids: z.array(z.string()).optional(),
  /** Newest accept time of its rows, milliseconds since 1970: what retention counts from. */
  acceptedMs: z.number().int(),
  /** Columns beside id and timestamp: [name, column type] in the file's order. */
  columns: z.array(z.tuple([z.string(), z.string()])),
  overflow: z.boolean(),
});

export type FileEntry = z.infer<typeof fileEntrySchema>;

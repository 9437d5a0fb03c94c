import { z } from 'zod';

/**
 * What the bucket says of files that left a table whole, at `T/~log/<plan>.json`, written before they leave: whoever
 * rebuilds the index must not bring them back. Version 1.
 */
export const removalLogSchema = z.object({
  v: z.literal(1),
  kind: z.enum(['retention', 'cleanup']),
  table: z.string(),
  generation: z.string(),
  plan: z.string(),
  /** RFC 3339: rows from before it leave. */
  before: z.string(),
  by: z.string(),
  rows: z.number().int(),
  bytes: z.number().int(),
  /** Object keys. */
  objects: z.array(z.string()),
});

export type RemovalLog = z.infer<typeof removalLogSchema>;

export function removalLogKey(table: string, planId: string): string {
  return `${table}/~log/${planId}.json`;
}

import { z } from 'zod';
import { sha256Of } from '../storage/sha256.ts';

/**
 * What the bucket says of a table's incarnation, at `T/~table/<generation>.json`: enough to make its config again.
 * Version 1.
 */
export const tableObjectSchema = z.object({
  v: z.literal(1),
  table: z.string(),
  generation: z.string(),
  /** The config hash as it is; the shard history is among its fields. */
  config: z.record(z.string(), z.string()),
  /** RFC 3339. */
  created_at: z.string(),
  /** Every shard count it has had, in order: `2,4`. */
  shard_history: z.string(),
  /** Redis' clock, milliseconds since 1970. */
  updated_ms: z.number().int(),
});

export type TableObject = z.infer<typeof tableObjectSchema>;

export function tableObjectKey(table: string, generation: string): string {
  return `${table}/~table/${generation}.json`;
}

/** The same for the same table, whenever it was written. */
export function fingerprintOf({ config, created_at: createdAt }: Pick<TableObject, 'config' | 'created_at'>) {
  const fields = Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1));
  return sha256Of(Buffer.from(JSON.stringify([createdAt, fields])));
}

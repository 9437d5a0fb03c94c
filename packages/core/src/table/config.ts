import { z } from 'zod';
import { MiniodbError } from '../runtime/errors.ts';

/**
 * A table's configuration: the fields of TableConfig by the wire's names, each with its bounds. A field that a
 * table does not set inherits the default whenever it is read, so a changed default reaches old tables too.
 */
const fields = {
  /** Pending rows of one shard that make its flush due. */
  buffer_size: z.int().min(1).max(10_000_000),
  /** Age of the oldest pending batch that makes a flush due. */
  flush_interval_seconds: z.int().min(1).max(86_400),
  /** -1 keeps for ever. */
  retention_days: z.int().min(-1).max(36_500),
  backup_enabled: z.boolean(),
  properties: z.record(z.string().max(256), z.string().max(4_096)),
  /** Numbered parts of the table; more spread its flushes over more flushers and make more files. */
  shards: z.int().min(1).max(256),
  /** Flushes of this table that one flusher runs at a time. */
  flush_workers: z.int().min(1).max(64),
  /** Most rows of one seal. */
  max_flush_rows: z.int().min(1).max(100_000_000),
  layout: z.enum(['auto', 'id', 'packed']),
  ack: z.enum(['queued', 'durable', 'committed']),
  keep_raw_payload: z.boolean(),
  /** Pending payload bytes (compressed) beyond which writes are refused. */
  max_pending_bytes: z.int().min(1_048_576).max(1_099_511_627_776),
  type_conflict: z.enum(['widen', 'reject']),
  flush_paused: z.boolean(),
  compaction_enabled: z.boolean(),
} as const;

/** In the order of the wire's field numbers. */
export const TABLE_CONFIG_FIELDS = Object.keys(fields) as readonly (keyof TableConfig)[];

export const configSchema = z.strictObject(fields);

export type TableConfig = z.infer<typeof configSchema>;
export type TableConfigInput = { readonly [Field in keyof TableConfig]?: TableConfig[Field] | undefined };

export const DEFAULT_TABLE_CONFIG: TableConfig = {
  buffer_size: 1_000,
  flush_interval_seconds: 30,
  retention_days: 365,
  backup_enabled: true,
  properties: {},
  shards: 2,
  flush_workers: 2,
  max_flush_rows: 1_000_000,
  layout: 'auto',
  ack: 'durable',
  keep_raw_payload: false,
  max_pending_bytes: 256 * 1_048_576,
  type_conflict: 'widen',
  flush_paused: false,
  compaction_enabled: true,
};

/** Checks what a caller wants set. Throws `invalid_argument`/`invalid_table_config` naming field and bounds. */
export function checkTableConfig(input: TableConfigInput): TableConfigInput {
  const set = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined));
  const parsed = configSchema.partial().safeParse(set);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw invalidConfig(`${issue.path.join('.') || 'config'}: ${issue.message}`);
  }
  return parsed.data;
}

function invalidConfig(message: string): MiniodbError {
  return new MiniodbError('invalid_argument', message, { code: 'invalid_table_config' });
}

/** The config hash's fields for a new table; the shard count is always concrete, since rows are placed by it. */
export function storedConfig(input: TableConfigInput, defaults: TableConfig): string[] {
  const { shards = defaults.shards, ...others } = input;
  // Every count it has had: rows stay in the shard that they were written to.
  return ['shards', String(shards), 'shard_history', String(shards), ...storedFields(others)];
}

/** Fields and values as the config hash has them; what is undefined is left out. */
export function storedFields(input: TableConfigInput): string[] {
  return Object.entries(input).flatMap(([field, value]) => {
    if (value === undefined) return [];
    return [field, typeof value === 'object' ? JSON.stringify(value) : String(value)];
  });
}

/** Fields that a table does not set itself, from its config hash. */
export function inheritedFields(hash: ReadonlyMap<string, string>): (keyof TableConfig)[] {
  return TABLE_CONFIG_FIELDS.filter((field) => !hash.has(field));
}

/** What holds for a table, from its config hash. */
export function resolveConfig(hash: ReadonlyMap<string, string>, defaults: TableConfig): TableConfig {
  const resolved: Record<string, unknown> = { ...defaults };
  for (const field of TABLE_CONFIG_FIELDS) {
    const text = hash.get(field);
    if (text === undefined) continue;
    const fallback = DEFAULT_TABLE_CONFIG[field];
    if (typeof fallback === 'number') resolved[field] = Number(text);
    else if (typeof fallback === 'boolean') resolved[field] = text === 'true';
    else if (typeof fallback === 'object') resolved[field] = JSON.parse(text);
    else resolved[field] = text;
  }
  const parsed = configSchema.safeParse(resolved);
  if (!parsed.success) {
    throw new MiniodbError('data_corrupted', `stored table config: ${parsed.error.issues[0]!.message}`, {
      code: 'table_config_corrupted',
    });
  }
  return parsed.data;
}

import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { TableConfigInput } from '@miniodb/core/table/config.ts';
import { isRawNumber } from '@miniodb/core/table/exact-json.ts';
import type { TableConfig } from '@miniodb/proto/gen/olap/v1/olap.ts';

type Field = keyof TableConfigInput;

/** What a field may be on the wire; whether its value makes sense is for the table to say. */
const FIELD_TYPES: Readonly<Record<Field, 'int32' | 'int64' | 'boolean' | 'string' | 'map'>> = {
  buffer_size: 'int32',
  flush_interval_seconds: 'int32',
  retention_days: 'int32',
  backup_enabled: 'boolean',
  properties: 'map',
  shards: 'int32',
  flush_workers: 'int32',
  max_flush_rows: 'int64',
  layout: 'string',
  ack: 'string',
  keep_raw_payload: 'boolean',
  max_pending_bytes: 'int64',
  type_conflict: 'string',
  flush_paused: 'boolean',
  compaction_enabled: 'boolean',
};

/** A TableConfig message. Absent scalars stay absent: they inherit. Throws `invalid_argument`/`invalid_config`. */
export function configOfMessage(message: TableConfig | undefined): TableConfigInput {
  const config: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(message ?? {})) {
    if (value !== undefined) config[field] = typeof value === 'bigint' ? safeNumber(field, value) : value;
  }
  return config;
}

function safeNumber(field: string, value: bigint): number {
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw invalid(`config.${field} is beyond 2^53`);
}

/** The same out of a JSON body, where null is absent. */
export function configOfJson(value: unknown): TableConfigInput {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw invalid('config must be an object');
  const config: Record<string, unknown> = {};
  for (const [field, item] of Object.entries(value)) {
    if (!Object.hasOwn(FIELD_TYPES, field)) {
      throw invalid(`unknown field config.${field}; known are ${Object.keys(FIELD_TYPES).join(', ')}`);
    }
    if (item === null) continue;
    const type = FIELD_TYPES[field as Field];
    if (!fits(type, item)) throw invalid(`config.${field} must be ${NAMES[type]}`);
    config[field] = item;
  }
  return config;
}

const NAMES = {
  int32: 'an integer of 32 bits',
  int64: 'an integer of at most 2^53',
  boolean: 'true or false',
  string: 'a string',
  map: 'an object of strings',
} as const;

function fits(type: (typeof FIELD_TYPES)[Field], value: unknown): boolean {
  switch (type) {
    case 'int32':
      return Number.isInteger(value) && Math.abs(value as number) < 2 ** 31;
    case 'int64':
      return Number.isSafeInteger(value);
    case 'map':
      // An own __proto__ would be lost in the first copy that somebody makes of the map.
      return isObject(value) && !Object.hasOwn(value, '__proto__') && Object.values(value).every(isString);
    case 'boolean':
      return typeof value === 'boolean';
    case 'string':
      return isString(value);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value);
}

function isString(value: unknown): boolean {
  return typeof value === 'string';
}

function invalid(message: string): MiniodbError {
  return new MiniodbError('invalid_argument', message, { code: 'invalid_config' });
}

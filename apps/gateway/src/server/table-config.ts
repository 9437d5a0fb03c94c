import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { TableConfigInput } from '@miniodb/core/table/config.ts';
import { isRawNumber } from '@miniodb/core/table/exact-json.ts';
import type { TableConfig } from '@miniodb/proto/gen/olap/v1/olap.ts';
import type { TableChange } from '../api.ts';

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
    // On the wire a map that is empty is not there.
    if (value === undefined || (field === 'properties' && Object.keys(value).length === 0)) continue;
    config[field] = typeof value === 'bigint' ? safeNumber(field, value) : value;
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
  const given = Object.entries(configWithNulls(value));
  return Object.fromEntries(given.filter(([, item]) => item !== null));
}

/** The same, with the nulls. */
export function configWithNulls(value: unknown): TableChange['config'] {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw invalid('config must be an object');
  const config: Record<string, unknown> = {};
  for (const [field, item] of Object.entries(value)) {
    if (!isField(field)) throw invalid(`unknown field config.${field}; known are ${FIELDS.join(', ')}`);
    if (item === null) {
      config[field] = null;
      continue;
    }
    const type = FIELD_TYPES[field];
    if (!fits(type, item)) throw invalid(`config.${field} must be ${NAMES[type]}`);
    config[field] = item;
  }
  return config;
}

/**
 * What an update changes. Without a mask the fields that are there are written. With one, those that it names, each by
 * the name of a field of TableConfig or with `config.` before it; what it names and is not there goes back to the default.
 * Throws `invalid_argument`: `invalid_update_mask`, `invalid_status`.
 * @param mask undefined or empty: none
 * @param status the empty string: as it is
 */
export function changeOf(
  config: TableConfigInput | TableChange['config'],
  mask: readonly string[] | undefined,
  status: string,
): TableChange {
  if (status !== '' && status !== 'active' && status !== 'archived') {
    throw new MiniodbError('invalid_argument', 'status must be active or archived', {
      code: 'invalid_status',
    });
  }
  const change: Pick<TableChange, 'status'> = status === '' ? {} : { status };
  if (mask === undefined || mask.length === 0) {
    const given = Object.entries(config).filter(([, value]) => value !== undefined);
    return { config: Object.fromEntries(given), ...change };
  }
  const masked = mask.map((path) => {
    const field = path.startsWith('config.') ? path.slice('config.'.length) : path;
    if (isField(field)) return [field, config[field] ?? null] as const;
    throw new MiniodbError(
      'invalid_argument',
      `update_mask: unknown path ${JSON.stringify(path.slice(0, 100))}; known are ${FIELDS.join(', ')}`,
      { code: 'invalid_update_mask', details: { known: FIELDS } },
    );
  });
  return { config: Object.fromEntries(masked), ...change };
}

const FIELDS = Object.keys(FIELD_TYPES);

function isField(text: string): text is Field {
  return Object.hasOwn(FIELD_TYPES, text);
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

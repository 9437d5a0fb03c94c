import { configSchema, TABLE_CONFIG_FIELDS, type TableConfigInput } from '../table/config.ts';
import { canonicalTableName } from '../table/name.ts';
import { check, describeAllowed, shown, unknownKey } from './check.ts';
import { durationMs } from './duration.ts';
import { type Path, pathText } from './problem.ts';
import type { FileReader, Mapping } from './reader.ts';

export interface FileTable {
  /** As the file spells it. */
  readonly name: string;
  readonly path: Path;
  readonly config: TableConfigInput;
}

export interface FileTables {
  readonly defaults: TableConfigInput;
  /** By the name in lower case. */
  readonly tables: ReadonlyMap<string, FileTable>;
  /** Where each field was set: `tables.users.buffer_size`, by the names of TableConfig. */
  readonly fieldOrigins: ReadonlyMap<string, string>;
}

const DEFAULTS = 'default_config';
const INTERVAL = 'flush_interval';
const INTERVAL_SECONDS = 'flush_interval_seconds';
/** What the old form, which could say neither, stood for. */
const WITH_BUFFER: TableConfigInput = { retention_days: 365, backup_enabled: true };

/** `tables`, and the older forms of the same: `table_management.tables`, `.default_config`, and `buffer`. */
export function readTableSections(reader: FileReader): FileTables {
  const origins = new Map<string, string>();
  const tables = new Map<string, FileTable>();
  const management = reader.section('table_management');
  const forms: readonly (readonly [Path, unknown])[] = [
    [['tables'], reader.root.tables],
    [['table_management', 'tables'], management.tables],
  ];
  for (const [at, value] of forms) {
    for (const [name, config] of Object.entries(reader.mapping(at, value) ?? {})) {
      if (name === DEFAULTS) continue;
      const path = [...at, name];
      const known = tables.get(canonicalTableName(name));
      if (known === undefined) {
        const read = readTableConfig(reader, path, config, ['tables', canonicalTableName(name)], origins);
        tables.set(canonicalTableName(name), { name, path, config: read });
      } else {
        reader.problem(path, `is the same table as ${pathText(known.path)}: case makes no difference`);
      }
    }
  }
  return { defaults: readDefaults(reader, management, origins), tables, fieldOrigins: origins };
}

/** The first form that is there counts. */
function readDefaults(
  reader: FileReader,
  management: Mapping,
  origins: Map<string, string>,
): TableConfigInput {
  const forms: (readonly [Path, unknown])[] = [
    [['tables', DEFAULTS], reader.mapping(['tables'], reader.root.tables)?.[DEFAULTS]],
    [['table_management', DEFAULTS], management[DEFAULTS]],
    [['buffer'], reader.root.buffer],
  ];
  let chosen: TableConfigInput | undefined;
  let chosenPath: Path = [];
  for (const [path, value] of forms) {
    if (value === undefined) continue;
    const isBuffer = path[0] === 'buffer';
    const known = isBuffer ? ['buffer_size', INTERVAL] : undefined;
    const ownOrigins = new Map<string, string>();
    const config = readTableConfig(reader, path, value, ['tables', DEFAULTS], ownOrigins, known);
    if (chosen !== undefined) {
      reader.warn(path, `has no effect: ${pathText(chosenPath)} is there too`);
      continue;
    }
    chosen = isBuffer ? { ...WITH_BUFFER, ...config } : config;
    chosenPath = path;
    if (isBuffer) {
      for (const field of Object.keys(WITH_BUFFER))
        ownOrigins.set(`tables.${DEFAULTS}.${field}`, reader.where(path));
    }
    for (const [field, origin] of ownOrigins) origins.set(field, origin);
  }
  return chosen ?? {};
}

function readTableConfig(
  reader: FileReader,
  path: Path,
  value: unknown,
  named: readonly string[],
  origins: Map<string, string>,
  onlyKnown?: readonly string[],
): TableConfigInput {
  const config: Record<string, unknown> = {};
  const known = onlyKnown ?? [...TABLE_CONFIG_FIELDS, INTERVAL];
  for (const [key, given] of Object.entries(reader.mapping(path, value) ?? {})) {
    const at = [...path, key];
    if (!known.includes(key)) {
      // The old section had keys for a machinery that is no more.
      if (onlyKnown === undefined) reader.problem(at, unknownKey(key, known));
      else reader.warn(at, `has no effect: it ${unknownKey(key, known)}`);
      continue;
    }
    const field = key === INTERVAL ? INTERVAL_SECONDS : key;
    if (Object.hasOwn(config, field)) {
      reader.problem(at, `${INTERVAL} and ${INTERVAL_SECONDS} are one setting: give one of them`);
      continue;
    }
    config[field] =
      key === INTERVAL ? intervalSeconds(reader, at, given) : fieldValue(reader, at, key, given);
    origins.set([...named, field].join('.'), reader.where(at));
  }
  return config as TableConfigInput;
}

/** @returns undefined when it is wrong, which has then been said */
function fieldValue(reader: FileReader, at: Path, field: string, given: unknown): unknown {
  const checked = check(configSchema.shape[field as keyof typeof configSchema.shape], given);
  if (checked.ok) return checked.value;
  for (const flaw of checked.flaws) reader.problem([...at, ...flaw.path], flaw.message);
  return undefined;
}

function intervalSeconds(reader: FileReader, at: Path, given: unknown): number | undefined {
  if (typeof given === 'number') {
    reader.problem(at, `${given} has no unit: write ${given}s, or ${INTERVAL_SECONDS}: ${given}`);
    return undefined;
  }
  const seconds = (typeof given === 'string' ? (durationMs(given) ?? Number.NaN) : Number.NaN) / 1_000;
  const schema = configSchema.shape[INTERVAL_SECONDS];
  if (check(schema, seconds).ok) return seconds;
  const allowed = describeAllowed(schema).replace('a whole number', 'whole seconds');
  reader.problem(at, `${shown(given)} is not a duration such as 30s, 5m or 1h (${allowed})`);
  return undefined;
}

import { durationMs } from '@miniodb/core/config/duration.ts';
import { configSchema, TABLE_CONFIG_FIELDS, type TableConfig } from '@miniodb/core/table/config.ts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { append } from './client-command.ts';
import { count, formatMib, formatNumber } from './output-text.ts';

type Field = Exclude<keyof TableConfig, 'properties'>;

/** A field of TableConfig on the command line. Bounds are the gateway's to say. */
interface Setting {
  readonly flags: string;
  readonly what: string;
  readonly parse: (text: string) => number | boolean | string;
  readonly choices?: readonly string[];
  /** For people; default: as it is. */
  readonly show?: (value: number) => string;
}

const BOOLEANS = ['true', 'false'];
const { layout, ack, type_conflict } = configSchema.shape;

const SETTINGS: Readonly<Record<Field, Setting>> = {
  buffer_size: {
    flags: '--buffer-size <rows>',
    what: 'pending rows of one shard that make its flush due',
    parse: parseInteger,
    show: (rows) => count(rows, 'row'),
  },
  flush_interval_seconds: {
    flags: '--flush-interval <time>',
    what: 'age that makes a flush due, such as 30s or 5m',
    parse: parseSeconds,
    show: (seconds) => `${formatNumber(seconds)} s`,
  },
  retention_days: {
    flags: '--retention-days <days>',
    what: 'how long rows are kept; -1 or forever',
    parse: (text) => (text === 'forever' ? -1 : parseInteger(text)),
    show: (days) => (days === -1 ? 'for ever' : count(days, 'day')),
  },
  backup_enabled: flag('--backup-enabled', 'whether backups take it'),
  shards: {
    flags: '--shards <n>',
    what: 'numbered parts that are flushed side by side; it only grows',
    parse: parseInteger,
    show: formatNumber,
  },
  flush_workers: {
    flags: '--flush-workers <n>',
    what: 'flushes of it that one flusher runs at a time',
    parse: parseInteger,
    show: formatNumber,
  },
  max_flush_rows: {
    flags: '--max-flush-rows <rows>',
    what: 'most rows of one flush',
    parse: parseInteger,
    show: (rows) => count(rows, 'row'),
  },
  layout: chosen('--layout <layout>', 'whether ids share files', layout.options),
  ack: chosen('--ack <level>', 'what a write waits for', ack.options),
  keep_raw_payload: flag(
    '--keep-raw-payload',
    'whether payloads are kept as they came, beside their columns',
  ),
  max_pending_bytes: {
    flags: '--max-pending-bytes <size>',
    what: 'pending bytes beyond which writes are refused, such as 512MiB',
    parse: parseBytes,
    show: formatMib,
  },
  type_conflict: chosen(
    '--type-conflict <way>',
    'what a value that is not of its column does',
    type_conflict.options,
  ),
  flush_paused: flag('--flush-paused', 'whether flushing waits'),
  compaction_enabled: flag('--compaction-enabled', 'whether small files are merged'),
};

const FIELDS = TABLE_CONFIG_FIELDS.filter((field): field is Field => field !== 'properties');

/** One option for each field; `--property` may be given several times. */
export function addSettingOptions(command: Command): Command {
  for (const field of FIELDS) {
    const { choices } = SETTINGS[field];
    const option = optionOf(field);
    command.addOption(
      choices === undefined ? option.argParser(SETTINGS[field].parse) : option.choices(choices),
    );
  }
  return command.addOption(
    new Option('--property <key=value>', 'something of your own about it; repeatable').argParser(
      appendProperty,
    ),
  );
}

/** The fields that were given, by the API's names. */
export function settingsOf(options: Readonly<Record<string, unknown>>): Partial<TableConfig> {
  const given = FIELDS.flatMap((field) => {
    const value = options[optionOf(field).attributeName()];
    if (value === undefined) return [];
    // Options with choices come as text.
    return [[field, typeof value === 'string' ? SETTINGS[field].parse(value) : value]];
  });
  const { property } = options as { readonly property?: readonly string[] };
  return {
    ...(Object.fromEntries(given) as Partial<TableConfig>),
    ...(property === undefined ? {} : { properties: Object.fromEntries(property.map(propertyOf)) }),
  };
}

/** @param text a field by the API's name or by its option; undefined when it is none */
export function fieldNamed(text: string): keyof TableConfig | undefined {
  const name = text.replace(/^--/, '').replaceAll('-', '_');
  return TABLE_CONFIG_FIELDS.find(
    (field) =>
      field === name || (field !== 'properties' && optionOf(field).name().replaceAll('-', '_') === name),
  );
}

/** For people. @param value of the API */
export function showSetting(field: string, value: unknown): string {
  const show = Object.hasOwn(SETTINGS, field) ? SETTINGS[field as Field].show : undefined;
  if (show !== undefined && typeof value === 'number') return show(value);
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function optionOf(field: Field): Option {
  const { flags, what } = SETTINGS[field];
  return new Option(flags, what);
}

function flag(name: string, what: string): Setting {
  return { flags: `${name} <bool>`, what, choices: BOOLEANS, parse: (text) => text === 'true' };
}

function chosen(flags: string, what: string, choices: readonly string[]): Setting {
  return { flags, what, choices, parse: (text) => text };
}

function parseInteger(text: string): number {
  const value = Number(text);
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new InvalidArgumentError('It is a whole number.');
}

export function parseSeconds(text: string): number {
  const ms = durationMs(text);
  if (ms !== undefined && ms % 1_000 === 0) return ms / 1_000;
  throw new InvalidArgumentError('It is a time of whole seconds, such as 30s, 5m or 1h30m.');
}

const BYTES_OF: Readonly<Record<string, number>> = { '': 1, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 };

export function parseBytes(text: string): number {
  const match = /^(\d+)([KMG]iB)?$/i.exec(text);
  const bytes = Number(match?.[1]) * (BYTES_OF[match?.[2]?.toUpperCase() ?? ''] ?? Number.NaN);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new InvalidArgumentError('It is a number of bytes, or a size such as 512MiB or 1GiB.');
}

function appendProperty(text: string, before: readonly string[] | undefined): readonly string[] {
  if (text.indexOf('=') > 0) return append(text, before);
  throw new InvalidArgumentError('It is a key and a value, such as owner=log-service.');
}

function propertyOf(text: string): readonly [string, string] {
  const equals = text.indexOf('=');
  return [text.slice(0, equals), text.slice(equals + 1)];
}

import { Document, isScalar } from 'yaml';
import { DEFAULT_TABLE_CONFIG, type TableConfigInput } from '../table/config.ts';
import type { ConfigFile } from './file.ts';
import type { Inspection } from './load.ts';
import type { Path } from './problem.ts';
import type { Settings } from './resolve.ts';
import { masked, pathsOf, type RoleName } from './setting.ts';
import { isOf, SETTING_NAMES, SETTINGS, type SettingName } from './settings.ts';

/** One value of the effective configuration; secrets are masked already. */
export interface ConfigEntry {
  readonly path: Path;
  readonly value: unknown;
  readonly origin: string;
}

const SECRETS: ReadonlySet<string> = new Set(['auth.jwt.secret']);

/** Everything that holds, in the order of a file. */
export function effectiveEntries({ file, settings }: Inspection): ConfigEntry[] {
  const { permissions, auth, tableDefaults } = settings[0]!;
  return [
    ...tableEntries(file, 'default_config', tableDefaults),
    ...[...(file?.tables.tables ?? [])].flatMap(([name, { config }]) => tableEntries(file, name, config)),
    ...settingEntries(settings),
    ...sectionEntries(file, ['permissions'], permissions),
    ...sectionEntries(file, ['auth'], auth),
  ];
}

/** A configuration file that says the same, but for the secrets. */
export function entriesAsYaml(entries: readonly ConfigEntry[], withOrigin: boolean): string {
  const document = new Document({});
  for (const { path, value, origin } of entries) {
    document.setIn(path, document.createNode(value, { flow: true }));
    const node = document.getIn(path, true);
    if (withOrigin && (isScalar(node) || typeof node === 'object')) {
      (node as { comment?: string }).comment = ` ${origin}`;
    }
  }
  return document.toString({ lineWidth: 0 });
}

export function entriesAsObject(entries: readonly ConfigEntry[]): Record<string, unknown> {
  const document = new Document({});
  for (const { path, value } of entries) document.setIn(path, document.createNode(value));
  return document.toJS() as Record<string, unknown>;
}

function tableEntries(file: ConfigFile | undefined, name: string, config: TableConfigInput): ConfigEntry[] {
  const fields = (Object.keys(DEFAULT_TABLE_CONFIG) as (keyof TableConfigInput)[]).filter(
    (field) => config[field] !== undefined,
  );
  if (fields.length === 0) return [{ path: ['tables', name], value: {}, origin: file?.file ?? 'default' }];
  return fields.map((field) => ({
    path: ['tables', name, field],
    value: config[field],
    origin: file?.tables.fieldOrigins.get(`tables.${name}.${field}`) ?? 'default',
  }));
}

/** One entry for what is the same in every role, and else one for each role. */
function settingEntries(settings: readonly Settings[]): ConfigEntry[] {
  return SETTING_NAMES.flatMap((name) => {
    const having = settings.filter(({ role }) => isOf(role, name));
    const shared = SETTINGS[name].paths.find((path) => !path.includes('<role>'));
    const first = having[0]!;
    const isSame = having.every(
      (one) => one.get(name) === first.get(name) && one.originOf(name) === first.originOf(name),
    );
    if (shared !== undefined && isSame) return [settingEntry(first, name, shared)];
    return having.flatMap((one) => {
      const path = pathsOf(SETTINGS[name], one.role as RoleName)[0];
      return path === undefined ? [] : [settingEntry(one, name, path)];
    });
  });
}

function settingEntry(settings: Settings, name: SettingName, path: string): ConfigEntry {
  return {
    path: path.split('.'),
    value: masked(SETTINGS[name], settings.get(name)) ?? null,
    origin: settings.originOf(name),
  };
}

function sectionEntries(file: ConfigFile | undefined, path: Path, value: unknown): ConfigEntry[] {
  const isBranch = typeof value === 'object' && value !== null && !Array.isArray(value);
  const inner = isBranch ? Object.entries(value).filter(([, below]) => below !== undefined) : [];
  if (inner.length > 0) return inner.flatMap(([key, below]) => sectionEntries(file, [...path, key], below));
  const shown = SECRETS.has(path.join('.')) ? '***' : value;
  return [{ path, value: shown, origin: file?.origin(path) ?? 'default' }];
}

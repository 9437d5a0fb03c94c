import {
  type AuthSection,
  authSchema,
  type PermissionsSection,
  permissionsSchema,
} from '../auth/sections.ts';
import { DEFAULT_TABLE_CONFIG, type TableConfig } from '../table/config.ts';
import { type Checked, check } from './check.ts';
import type { ConfigFile } from './file.ts';
import { type Problem, pathText } from './problem.ts';
import { checkText, flagOf, pathsOf, type RoleName, type Setting } from './setting.ts';
import { isOf, SETTING_NAMES, SETTINGS, type SettingName, type SettingValue } from './settings.ts';
import type { FileTable } from './table-sections.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Sources {
  readonly file?: ConfigFile | undefined;
  readonly env: Environment;
  readonly flags?: ReadonlyMap<SettingName, string>;
}

interface Resolved {
  readonly value: unknown;
  /** `default`, `config.yaml:3:5`, `environment MINIODB_GRPC_PORT` or `flag --grpc-port`. */
  readonly origin: string;
}

/** What holds for one role, and where it comes from. */
export class Settings {
  readonly role: RoleName;
  /** Undefined: there is none. */
  readonly file: ConfigFile | undefined;
  readonly permissions: PermissionsSection;
  readonly auth: AuthSection;
  readonly tableDefaults: TableConfig;
  /** The tables of the file by their names in lower case. */
  readonly fileTables: ReadonlyMap<string, FileTable>;
  readonly #values: ReadonlyMap<SettingName, Resolved>;

  constructor(role: RoleName, file: ConfigFile | undefined, values: ReadonlyMap<SettingName, Resolved>) {
    this.role = role;
    this.file = file;
    this.permissions = file?.permissions ?? permissionsSchema.parse({});
    this.auth = file?.auth ?? authSchema.parse({});
    const defaults = Object.entries(file?.tables.defaults ?? {}).filter(([, value]) => value !== undefined);
    this.tableDefaults = { ...DEFAULT_TABLE_CONFIG, ...Object.fromEntries(defaults) };
    this.fileTables = file?.tables.tables ?? new Map();
    this.#values = values;
  }

  get<Name extends SettingName>(name: Name): SettingValue<Name> {
    return this.#values.get(name)?.value as SettingValue<Name>;
  }

  originOf(name: SettingName): string {
    return this.#values.get(name)?.origin ?? 'default';
  }
}

/**
 * Default, file, environment, flag: the last that says something counts; an empty variable says nothing. All of them are
 * checked, also those that are overruled.
 */
export function resolveSettings(
  role: RoleName,
  { file, env, flags }: Sources,
): { readonly settings: Settings; readonly problems: readonly Problem[] } {
  const values = new Map<SettingName, Resolved>();
  const problems: Problem[] = [];
  const take = (
    name: SettingName,
    checked: Checked<unknown>,
    origin: string,
    problem: Omit<Problem, 'message'>,
  ) => {
    if (checked.ok) values.set(name, { value: checked.value, origin });
    else for (const { message } of checked.flaws) problems.push({ ...problem, message });
  };
  for (const name of SETTING_NAMES.filter((candidate) => isOf(role, candidate))) {
    const setting: Setting = SETTINGS[name];
    if (setting.fallback !== undefined) values.set(name, { value: setting.fallback, origin: 'default' });
    const found = pathsOf(setting, role).find((path) => file?.values.has(path));
    if (file !== undefined && found !== undefined) {
      const { value, path } = file.values.get(found)!;
      const where = file.where(path);
      const checked = check(setting.schema, value, setting.secret !== undefined);
      take(name, checked, where, { where, path: pathText(path) });
    }
    const variable = env[name];
    if (variable !== undefined && variable !== '') {
      take(name, checkText(setting, variable), `environment ${name}`, { where: name, path: '' });
    }
    const flag = flags?.get(name);
    if (flag !== undefined) {
      take(name, checkText(setting, flag), `flag ${flagOf(name)}`, { where: flagOf(name), path: '' });
    }
  }
  return { settings: new Settings(role, file, values), problems };
}

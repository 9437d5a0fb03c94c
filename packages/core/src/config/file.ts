import type { AuthSection, PermissionsSection } from '../auth/sections.ts';
import { readAuth, readPermissions } from './access-sections.ts';
import { unknownKey } from './check.ts';
import type { ConfigDocument } from './document.ts';
import { type FileValue, OLD_SECTIONS, readOldSections } from './old-sections.ts';
import { distinctProblems, type Path, type Problem } from './problem.ts';
import { FileReader } from './reader.ts';
import { pathsOf } from './setting.ts';
import { SETTING_NAMES, SETTINGS } from './settings.ts';
import { type FileTables, readTableSections } from './table-sections.ts';

/** What a configuration file says, with its values for settings not looked at yet. */
export interface ConfigFile {
  readonly file: string;
  /** By dotted path: `gateway.grpc_port`. */
  readonly values: ReadonlyMap<string, FileValue>;
  readonly tables: FileTables;
  readonly permissions: PermissionsSection;
  readonly auth: AuthSection;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** `config.yaml:12:5` */
  where(path: Path): string;
  /** As where; undefined for what the file does not say. */
  origin(path: Path): string | undefined;
}

const SETTING_PATHS: ReadonlySet<string> = new Set(
  SETTING_NAMES.flatMap((name) => SETTINGS[name].roles.flatMap((role) => pathsOf(SETTINGS[name], role))),
);
/** Sections of settings alone, where an unknown key is a mistake. */
const STRICT_SECTIONS: readonly string[] = [
  ...new Set([...SETTING_PATHS].map((path) => path.slice(0, path.indexOf('.')))),
].filter((section) => !OLD_SECTIONS.includes(section));
/** Keys of `table_management` that are read as tables. */
const TABLE_KEYS: ReadonlySet<string> = new Set([
  'table_management.tables',
  'table_management.default_config',
]);
const SECTIONS: readonly string[] = [
  'tables',
  'permissions',
  'auth',
  'buffer',
  ...STRICT_SECTIONS,
  ...OLD_SECTIONS,
];

/** Reads every section; what is wrong is collected, not thrown. */
export function readConfigSections(document: ConfigDocument): ConfigFile {
  const reader = new FileReader(document);
  for (const name of Object.keys(reader.root)) {
    if (!SECTIONS.includes(name)) reader.problem([name], unknownKey(name, SECTIONS));
  }
  const values = readOldSections(reader, (path) => SETTING_PATHS.has(path));
  for (const section of STRICT_SECTIONS) readStrictSection(reader, section, values);
  const tables = readTableSections(reader);
  const permissions = readPermissions(reader);
  const auth = readAuth(reader);
  return {
    file: reader.file,
    values,
    tables,
    permissions,
    auth,
    problems: distinctProblems(reader.problems),
    warnings: distinctProblems(reader.warnings),
    where: (path) => reader.where(path),
    origin: (path) => reader.origin(path),
  };
}

function readStrictSection(reader: FileReader, section: string, values: Map<string, FileValue>): void {
  const known = [...SETTING_PATHS, ...TABLE_KEYS].filter((path) => path.startsWith(`${section}.`));
  const names = known.map((path) => path.slice(section.length + 1));
  for (const [key, value] of Object.entries(reader.section(section))) {
    const dotted = `${section}.${key}`;
    if (!names.includes(key)) reader.problem([section, key], unknownKey(key, names));
    // Nothing after the colon is not set.
    else if (value !== null && !TABLE_KEYS.has(dotted)) values.set(dotted, { value, path: [section, key] });
  }
}

import { MiniodbError } from '../runtime/errors.ts';
import { canonicalTableName, checkTableName } from '../table/name.ts';
import { type Problem, pathText } from './problem.ts';
import type { Settings } from './resolve.ts';
import { pathsOf } from './setting.ts';
import { isOf, SETTING_NAMES, SETTINGS, type SettingName } from './settings.ts';

/** What DuckDB takes of its memory for each thread that reads lines, and what is left for their rows at the least. */
const LINE_BUFFERS_MIB = 64;
const ENCODE_ROWS_MIB = 64;
/** Within the configured pattern, and without it. */
const ANY_NAME = /^/;

/** What is wrong although every setting is right by itself. Needs settings without problems of their own. */
export function relationProblems(settings: Settings): Problem[] {
  switch (settings.role) {
    case 'gateway':
      return [
        ...insecureBind(settings),
        ...defaultTableName(settings),
        ...tableNames(settings),
        ...tooManyTables(settings),
      ];
    case 'querier':
      return [...insecureBind(settings), ...defaultTableName(settings)];
    case 'flusher':
      return encodeMemory(settings);
  }
}

function isFileWrong({ file }: Settings): boolean {
  return file !== undefined && file.problems.length > 0;
}

/** Of what is wrong: the origin without its kind. */
function whereOf(settings: Settings, name: SettingName): string {
  return settings.originOf(name).replace(/^(environment|flag) /, '');
}

/** A role cannot start without these; who only looks at the configuration can. */
export function missingSettings(settings: Settings): Problem[] {
  // They may stand in what could not be read.
  if (isFileWrong(settings)) return [];
  return SETTING_NAMES.filter(
    (name) => isOf(settings.role, name) && SETTINGS[name].isRequired && settings.get(name) === undefined,
  ).map((name) => ({
    where: name,
    path: '',
    message: `is missing: the ${settings.role} needs it (in the file: ${pathsOf(SETTINGS[name], settings.role)[0]})`,
  }));
}

function insecureBind(settings: Settings): Problem[] {
  // Permissions that could not be read count as off; what is wrong with them is said already.
  if (isFileWrong(settings)) return [];
  const host = settings.get('MINIODB_HOST');
  if (settings.permissions.enabled || settings.get('MINIODB_ALLOW_ANONYMOUS') || isLoopback(host)) return [];
  return [
    {
      where: whereOf(settings, 'MINIODB_HOST'),
      path: '',
      message:
        `${host} is not loopback and permissions are off, so everybody who reaches the ${settings.role} could read and ` +
        'change everything: enable permissions, or allow it with MINIODB_ALLOW_ANONYMOUS=true (--allow-anonymous)',
      code: 'insecure_bind',
    },
  ];
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Its name may break the pattern that others must keep, and nothing else. */
function defaultTableName(settings: Settings): Problem[] {
  const name = settings.get('MINIODB_DEFAULT_TABLE');
  if (isTableName(name, ANY_NAME)) return [];
  return [{ where: whereOf(settings, 'MINIODB_DEFAULT_TABLE'), path: '', message: `${name} is reserved` }];
}

function tableNames(settings: Settings): Problem[] {
  const pattern = settings.get('MINIODB_TABLE_NAME_PATTERN');
  const byDefault = canonicalTableName(settings.get('MINIODB_DEFAULT_TABLE'));
  return [...settings.fileTables]
    .filter(
      ([canonical, { name }]) => !isTableName(name, canonical === byDefault ? ANY_NAME : new RegExp(pattern)),
    )
    .map(([, { path }]) => ({
      where: settings.file!.where(path),
      path: pathText(path),
      message: `is no table name: it has 1 to 64 of A-Z, a-z, 0-9 and _, is not reserved, and matches ${pattern}`,
    }));
}

function isTableName(name: string, pattern: RegExp): boolean {
  try {
    checkTableName(name, pattern);
    return true;
  } catch (error) {
    if (error instanceof MiniodbError) return false;
    throw error;
  }
}

function tooManyTables(settings: Settings): Problem[] {
  const tablesMax = settings.get('MINIODB_MAX_TABLES');
  const names = new Set([
    ...settings.fileTables.keys(),
    canonicalTableName(settings.get('MINIODB_DEFAULT_TABLE')),
  ]);
  if (names.size <= tablesMax) return [];
  return [
    {
      where: whereOf(settings, 'MINIODB_MAX_TABLES'),
      path: 'table_management.max_tables',
      message: `the file has ${names.size} tables, with the default one, and ${tablesMax} are allowed`,
    },
  ];
}

/** What one encode needs at the least. */
export function encodeMemoryMiBMin(threads: number): number {
  return threads * LINE_BUFFERS_MIB + ENCODE_ROWS_MIB;
}

function encodeMemory(settings: Settings): Problem[] {
  const threads = settings.get('MINIODB_ENCODE_THREADS');
  const memoryMiBMin = encodeMemoryMiBMin(threads);
  if (settings.get('MINIODB_ENCODE_MEMORY_MIB') >= memoryMiBMin) return [];
  return [
    {
      where: whereOf(settings, 'MINIODB_ENCODE_MEMORY_MIB'),
      path: 'flusher.encode_memory_mib',
      message: `${threads} threads need at least ${memoryMiBMin}`,
    },
  ];
}

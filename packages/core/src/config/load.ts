import { MiniodbError } from '../runtime/errors.ts';
import { readConfigFile } from './document.ts';
import { type ConfigFile, readConfigSections } from './file.ts';
import { parseFlags } from './flags.ts';
import { locateConfigFile } from './locate.ts';
import { configError, distinctProblems, inFileOrder, type Problem } from './problem.ts';
import { missingSettings, relationProblems } from './relations.ts';
import { type Environment, resolveSettings, type Settings } from './resolve.ts';
import { ROLES, type RoleName } from './setting.ts';

export interface StartOptions {
  readonly env: Environment;
  /** Of the command line, without node and program. */
  readonly args?: readonly string[];
  /** Where config.yaml is looked for. */
  readonly directory: string;
}

/**
 * What a role starts with. Throws one error for everything that is wrong: `invalid_config`, `insecure_bind`,
 * `config_file_not_found`, `config_file_unreadable`.
 */
export function loadSettings(role: RoleName, { env, args = [], directory }: StartOptions): Settings {
  const flags = parseFlags(role, args);
  let file: ConfigFile | undefined;
  try {
    file = readLocated(flags.config, env, directory);
  } catch (error) {
    if (!(error instanceof MiniodbError)) throw error;
    // What else would be missing may stand in that file.
    throw configError([...flags.problems, { where: '', path: '', message: error.message, code: error.code }]);
  }
  const { settings, problems } = resolveSettings(role, { file, env, flags: flags.values });
  const own = [...flags.problems, ...(file?.problems ?? []), ...problems];
  // How settings go together is only asked of settings that are right by themselves.
  const related = problems.length > 0 ? [] : relationProblems(settings);
  const found = [...own, ...related, ...missingSettings(settings)];
  if (found.length > 0) throw configError(found);
  return settings;
}

/** A role's settings from the environment alone. Throws as loadSettings does. */
export function settingsFromEnv(role: RoleName, env: Environment): Settings {
  return loadSettings(role, { env: { ...env, MINIODB_CONFIG: 'none' }, directory: '.' });
}

export interface Inspection {
  readonly file: ConfigFile | undefined;
  /** One for each role. */
  readonly settings: readonly Settings[];
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

/** What every role would start with here, and all that is wrong with it; throws only for a file that cannot be read. */
export function inspectConfig(
  configFlag: string | undefined,
  { env, directory }: Pick<StartOptions, 'env' | 'directory'>,
): Inspection {
  const file = readLocated(configFlag, env, directory);
  const resolved = ROLES.map((role) => resolveSettings(role, { file, env }));
  const problems = [
    ...(file?.problems ?? []),
    ...resolved.flatMap((one) => (one.problems.length > 0 ? one.problems : relationProblems(one.settings))),
  ];
  return {
    file,
    settings: resolved.map(({ settings }) => settings),
    problems: inFileOrder(distinctProblems(problems)),
    warnings: inFileOrder(file?.warnings ?? []),
  };
}

function readLocated(flag: string | undefined, env: Environment, directory: string): ConfigFile | undefined {
  const path = locateConfigFile(flag, env, directory);
  return path === undefined ? undefined : readConfigSections(readConfigFile(path));
}

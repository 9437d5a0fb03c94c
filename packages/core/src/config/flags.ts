import { z } from 'zod';
import { describeAllowed } from './check.ts';
import { hint } from './nearest.ts';
import type { Problem } from './problem.ts';
import { flagOf, pathsOf, type RoleName } from './setting.ts';
import { isOf, SETTING_NAMES, SETTINGS, type SettingName } from './settings.ts';

export interface Flags {
  readonly help: boolean;
  /** Of `--config`. */
  readonly config: string | undefined;
  readonly values: ReadonlyMap<SettingName, string>;
  readonly problems: readonly Problem[];
}

const FLAG = /^--([a-z][a-z0-9-]*)(?:=(.*))?$/s;
const HELP: readonly string[] = ['--help', '-h'];

/** The command line of a role: `--name value`, `--name=value`, and `--name` alone for what is true or false. */
export function parseFlags(role: RoleName, args: readonly string[]): Flags {
  const names = new Map(SETTING_NAMES.filter((name) => isOf(role, name)).map((name) => [flagOf(name), name]));
  const known = ['--config', '--help', ...names.keys()];
  const values = new Map<SettingName, string>();
  const problems: Problem[] = [];
  let config: string | undefined;
  for (let at = 0; at < args.length; at += 1) {
    const match = FLAG.exec(args[at]!);
    const flag = match === null ? args[at]! : `--${match[1]}`;
    const say = (message: string) => problems.push({ where: flag, path: '', message });
    if (HELP.includes(flag)) return { help: true, config, values, problems: [] };
    const name = names.get(flag);
    if (name === undefined && flag !== '--config') {
      // What follows was meant for it.
      if (flag.startsWith('--') && match?.[2] === undefined && args[at + 1]?.startsWith('-') === false)
        at += 1;
      say(flag.startsWith('-') ? `is unknown${hint(flag, known)}; try --help` : 'is no flag; try --help');
      continue;
    }
    let value = match![2];
    const next = args[at + 1];
    const isSwitch = name !== undefined && SETTINGS[name].schema instanceof z.ZodBoolean;
    if (value === undefined && isSwitch && next !== 'true' && next !== 'false') value = 'true';
    if (value === undefined) {
      if (next === undefined || next.startsWith('--')) {
        say('needs a value');
        continue;
      }
      value = next;
      at += 1;
    }
    if (value === '') say('needs a value');
    else if (name === undefined ? config !== undefined : values.has(name)) say('stands there twice');
    else if (name === undefined) config = value;
    else values.set(name, value);
  }
  return { help: false, config, values, problems };
}

export function helpText(role: RoleName): string {
  const lines = [
    `The ${role} of a MinIODB cluster.`,
    '',
    'Settings come from the file, then the environment, then flags; the last one counts.',
    '',
    '  --config FILE   MINIODB_CONFIG',
    '      the file; default: ./config.yaml when there is one; none: no file',
  ];
  for (const name of SETTING_NAMES.filter((setting) => isOf(role, setting))) {
    const setting = SETTINGS[name];
    const path = pathsOf(setting, role)[0];
    const fallback = setting.fallback === undefined ? '' : ` Default: ${setting.fallback}.`;
    const required = setting.isRequired ? ' Required.' : '';
    lines.push(
      `  ${flagOf(name)}   ${[name, path].filter((spelling) => spelling !== undefined).join('   ')}`,
      `      ${setting.about} (${describeAllowed(setting.schema)}).${fallback}${required}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

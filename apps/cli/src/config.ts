import { inspectConfig } from '@miniodb/core/config/load.ts';
import { effectiveEntries, entriesAsObject, entriesAsYaml } from '@miniodb/core/config/print.ts';
import { problemText } from '@miniodb/core/config/problem.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { Command } from 'commander';
import { EXIT } from './exit-codes.ts';
import { printable } from './terminal.ts';

export interface ConfigOptions {
  /** Default: MINIODB_CONFIG, or ./config.yaml when there is one. */
  readonly config?: string;
  readonly json?: boolean;
  readonly origin?: boolean;
}

/** What a command says and how it ends. */
export interface ConfigReport {
  readonly out: string;
  readonly error: string;
  readonly exitCode: number;
}

/** The process' environment and directory, as arguments. */
export interface ConfigPlace {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
}

export function addConfigCommands(program: Command, show: (report: ConfigReport) => void): void {
  const config = program
    .command('config')
    .description('Look at the configuration that processes would start with');
  const place = () => ({ env: process.env, directory: process.cwd() });
  config
    .command('check')
    .description('Say everything that is wrong with the configuration; exits 0 when nothing is')
    .option('--config <file>', 'the file; default: MINIODB_CONFIG, or ./config.yaml when there is one')
    .option('--json', 'for programs')
    .action((options: ConfigOptions) => show(reading(() => checkConfig(options, place()))));
  config
    .command('print')
    .description(
      'Print what holds for every role: the file, then the environment over it; secrets are masked',
    )
    .option('--config <file>', 'the file; default: MINIODB_CONFIG, or ./config.yaml when there is one')
    .option('--origin', 'say where each value comes from')
    .option('--json', 'for programs')
    .action((options: ConfigOptions) => show(reading(() => printConfig(options, place()))));
}

export function checkConfig(options: ConfigOptions, place: ConfigPlace): ConfigReport {
  const { file, problems, warnings } = inspectConfig(options.config, place);
  const exitCode = problems.length === 0 ? EXIT.ok : EXIT.failed;
  if (options.json === true) {
    const report = {
      ok: problems.length === 0,
      file: file?.file ?? null,
      problems: problems.map(problemText),
      warnings: warnings.map(problemText),
    };
    return { out: `${JSON.stringify(report, null, 2)}\n`, error: '', exitCode };
  }
  const count = (what: string, n: number) => `${n} ${what}${n === 1 ? '' : 's'}`;
  const lines = [
    ...problems.map((problem) => `error: ${problemText(problem)}`),
    ...warnings.map((warning) => `warning: ${problemText(warning)}`),
    `${file?.file ?? 'no file'}: ${count('error', problems.length)}, ${count('warning', warnings.length)}`,
  ];
  return { out: printable(`${lines.join('\n')}\n`), error: '', exitCode };
}

export function printConfig(options: ConfigOptions, place: ConfigPlace): ConfigReport {
  const inspection = inspectConfig(options.config, place);
  const entries = effectiveEntries(inspection);
  const origins = () => Object.fromEntries(entries.map(({ path, origin }) => [path.join('.'), origin]));
  const values = () => entriesAsObject(entries);
  const withOrigin = options.origin === true;
  const out =
    options.json === true
      ? `${JSON.stringify(withOrigin ? { values: values(), origins: origins() } : values(), null, 2)}\n`
      : printable(entriesAsYaml(entries, withOrigin));
  // What is wrong is not in what is printed: the last right value is.
  const error = inspection.problems.map((problem) => printable(`error: ${problemText(problem)}\n`)).join('');
  return { out, error, exitCode: inspection.problems.length === 0 ? EXIT.ok : EXIT.failed };
}

/** A file that cannot be read at all ends with its reason. */
function reading(report: () => ConfigReport): ConfigReport {
  try {
    return report();
  } catch (error) {
    if (!(error instanceof MiniodbError)) throw error;
    return { out: '', error: printable(`error: ${error.message} (${error.code})\n`), exitCode: EXIT.failed };
  }
}

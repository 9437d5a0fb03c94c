import { checkBackupSpec } from '@miniodb/core/backup/names.ts';
import { type Command, InvalidArgumentError } from 'commander';
import {
  addClientOptions,
  type ClientOptions,
  parseTableName,
  withClient,
  wrongUsage,
} from './client-command.ts';
import { endOfTask } from './data-task.ts';
import { count } from './output-text.ts';

interface RestoreOptions extends ClientOptions {
  readonly table: string;
  readonly fromBackup?: string;
  readonly toTable?: string;
  readonly replace?: true;
  readonly append?: true;
  readonly wait: boolean;
}

export function addDataRestore(data: Command): void {
  const restore = data
    .command('restore')
    .description('Restore a backup into its table, or into another')
    .requiredOption('--table <name>', 'whose backup', parseTableName)
    .option(
      '--from-backup <backup>',
      'its id; a bare date is the newest of that day (default: the newest)',
      parseSpec,
    )
    .option('--to-table <name>', 'where to (default: the same)', parseTableName)
    .option('--replace', 'drop the table that is there first, with its rows')
    .option('--append', 'beside the rows that are there')
    .option('--no-wait', 'only ask for it');
  addClientOptions(restore)
    .addHelpText(
      'after',
      `
A table that is not there is made as it was; one that has rows is refused without --replace or --append.

Examples:
  miniodb data restore --table=orders --from-backup=backup-20240115
  miniodb data restore --table=orders --to-table=orders_before
`,
    )
    .action((options: RestoreOptions) =>
      withClient(restore, options, async ({ client, out }) => {
        if (options.replace && options.append) wrongUsage(restore, '--replace or --append, not both');
        const asked = await client.restoreTable(options.table, {
          backup: options.fromBackup ?? '',
          target: options.toTable ?? '',
          mode: modeOf(options),
        });
        const { id, target } = asked.body.task;
        if (!options.wait) {
          if (options.json) await out.json(asked.text);
          else await out.line(`Asked for ${id} into table ${target}.`);
          return undefined;
        }
        const { text, body } = await endOfTask(client, asked.body.task);
        const { backup = '', rows = 0, files = 0 } = body.result ?? {};
        if (options.json) await out.json(text);
        else {
          await out.line(`${backup}: ${count(rows, 'row')} in ${count(files, 'file')} of table ${target}.`);
        }
        return undefined;
      }),
    );
}

function modeOf({ replace, append }: RestoreOptions): string {
  if (replace) return 'replace';
  return append ? 'append' : 'empty';
}

function parseSpec(text: string): string {
  try {
    checkBackupSpec(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
  return text;
}

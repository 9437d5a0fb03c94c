import type { Command } from 'commander';
import { addClientOptions, type ClientOptions, parseTableName, withClient } from './client-command.ts';
import { endOfTask } from './data-task.ts';
import { count } from './output-text.ts';

interface BackupOptions extends ClientOptions {
  readonly table: string;
  readonly id?: string;
  readonly day?: string;
  readonly wait: boolean;
}

export function addDataBackup(data: Command): void {
  const backup = data
    .command('backup')
    .description('Back up a table as it is now, rows that are in no file yet included')
    .requiredOption('--table <name>', 'which one', parseTableName)
    .option('--id <id>', 'only files that may hold rows of this id')
    .option('--day <day>', 'only what may be of this day, YYYY-MM-DD')
    .option('--no-wait', 'only ask for it');
  addClientOptions(backup)
    .addHelpText(
      'after',
      `
Examples:
  miniodb data backup --table=orders
  miniodb data backup --table=orders --no-wait --json
`,
    )
    .action((options: BackupOptions) =>
      withClient(backup, options, async ({ client, out }) => {
        const part = { id: options.id ?? '', day: options.day ?? '' };
        const asked = await client.backupTable(options.table, part);
        const { id } = asked.body.task;
        if (!options.wait) {
          if (options.json) await out.json(asked.text);
          else await out.line(`Asked for ${id} of table ${options.table}.`);
          return undefined;
        }
        const { text, body } = await endOfTask(client, asked.body.task);
        const { rows = 0, files = 0 } = body.result ?? {};
        if (options.json) await out.json(text);
        else await out.line(`${id}: ${count(rows, 'row')} in ${count(files, 'file')}.`);
        return undefined;
      }),
    );
}

import type { Command } from 'commander';
import { agreed } from './agreed.ts';
import { addClientOptions, type ClientOptions, parseTableName, withClient } from './client-command.ts';
import { EXIT } from './exit-codes.ts';
import { count } from './output-text.ts';

interface DropOptions extends ClientOptions {
  readonly cascade?: true;
  readonly ifExists?: true;
  readonly yes?: true;
}

export function addTableDrop(table: Command): void {
  const drop = table
    .command('drop')
    .description('Drop a table, for ever. On a terminal it asks; elsewhere it goes on')
    .argument('<name>', 'of the table', parseTableName)
    .option('--cascade', 'with its rows; without, a table that has rows is refused')
    .option('--if-exists', 'be content when there is none')
    .option('-y, --yes', 'do not ask');
  addClientOptions(drop)
    .addHelpText(
      'after',
      `
Examples:
  miniodb table drop scratch
  miniodb table drop logs_2019 --cascade --if-exists --yes
`,
    )
    .action((name: string, options: DropOptions) =>
      withClient(drop, options, async ({ client, out }) => {
        const isAsked = !options.yes && process.stdin.isTTY && process.stdout.isTTY;
        if (isAsked && !(await agreed(`Drop table ${name}${options.cascade ? ' and all its rows' : ''}?`))) {
          await out.line('Nothing is dropped.');
          return EXIT.failed;
        }
        const { text, body } = await client.dropTable(name, {
          ifExists: options.ifExists === true,
          cascade: options.cascade === true,
        });
        if (options.json) await out.json(text);
        else await out.line(`Table ${name} is gone, with ${count(body.files_deleted, 'file')}.`);
        return undefined;
      }),
    );
}

import type { Command } from 'commander';
import { addClientOptions, type ClientOptions, parseTableName, withClient } from './client-command.ts';
import { addSettingOptions, settingsOf } from './table-settings.ts';

interface CreateOptions extends ClientOptions {
  readonly ifNotExists?: true;
}

export function addTableCreate(table: Command): void {
  const create = table
    .command('create')
    .description('Make a table; what is not given inherits the defaults, whenever it is read')
    .argument('<name>', 'of the table', parseTableName)
    .option('--if-not-exists', 'be content when it is there, as it is');
  addClientOptions(addSettingOptions(create))
    .addHelpText(
      'after',
      `
Examples:
  miniodb table create orders
  miniodb table create logs --buffer-size=10000 --flush-interval=5s --retention-days=30 \\
      --property owner=log-service --if-not-exists
`,
    )
    .action((name: string, options: CreateOptions) =>
      withClient(create, options, async ({ client, out }) => {
        const config = settingsOf(options as unknown as Readonly<Record<string, unknown>>);
        const { text } = await client.createTable(name, config, options.ifNotExists === true);
        if (options.json) await out.json(text);
        else await out.line(options.ifNotExists ? `Table ${name} is there.` : `Table ${name} is made.`);
        return undefined;
      }),
    );
}

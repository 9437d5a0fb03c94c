import type { Command } from 'commander';
import { addClientOptions, type ClientOptions, parseTableName, withClient } from './client-command.ts';
import { EXIT } from './exit-codes.ts';
import { count } from './output-text.ts';

interface FlushOptions extends ClientOptions {
  readonly wait: boolean;
}

/** The gateway itself waits for 60 s. */
const TIMEOUT = '75s';

export function addTableFlush(table: Command): void {
  const flush = table
    .command('flush')
    .description('Write what is pending in a table to files now, and wait until it is there')
    .argument('<name>', 'of the table', parseTableName)
    .option('--no-wait', 'only ask for it');
  addClientOptions(flush, TIMEOUT)
    .addHelpText(
      'after',
      `
Exits with ${EXIT.failed} when it waited and not all is flushed.

Examples:
  miniodb table flush orders
  miniodb table flush orders --no-wait
`,
    )
    .action((name: string, options: FlushOptions) =>
      withClient(flush, options, async ({ client, out }) => {
        const { text, body } = await client.flushTable(name, options.wait);
        const { flushed, pending_rows: rows, message } = body;
        if (options.json) await out.json(text);
        else if (flushed) await out.line(`Table ${name} is flushed.`);
        else if (message !== '') await out.line(`Table ${name} is not flushed: ${message}`);
        else await out.line(`Asked for a flush of table ${name}: ${count(rows, 'row')} pending.`);
        return options.wait && !flushed ? EXIT.failed : undefined;
      }),
    );
}

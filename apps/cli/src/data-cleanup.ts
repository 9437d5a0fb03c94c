import type { Command } from 'commander';
import { agreed } from './agreed.ts';
import { addClientOptions, type ClientOptions, parseTableName, withClient } from './client-command.ts';
import { EXIT } from './exit-codes.ts';
import { count, formatMib } from './output-text.ts';

interface CleanupOptions extends ClientOptions {
  readonly table: string;
  readonly olderThan: string;
  readonly dryRun?: true;
  readonly yes?: true;
}

/** The gateway itself waits for four minutes. */
const TIMEOUT = '5m';

export function addDataCleanup(data: Command): void {
  const cleanup = data
    .command('cleanup')
    .description(
      'Remove the rows of a table that are older than a time. On a terminal it asks; elsewhere it goes on',
    )
    .requiredOption('--table <name>', 'of the table', parseTableName)
    .requiredOption('--older-than <age>', 'by their timestamp: an age such as 30d, or 2026-01-31T00:00:00Z')
    .option('--dry-run', 'only say what would go')
    .option('-y, --yes', 'do not ask');
  addClientOptions(cleanup, TIMEOUT)
    .addHelpText(
      'after',
      `
Rows leave as whole files: a file that holds newer rows too stays until its newest row is older.

Examples:
  miniodb data cleanup --table=logs --older-than=30d --dry-run
  miniodb data cleanup --table=logs --older-than=2026-01-31T00:00:00Z --yes
`,
    )
    .action(({ table, olderThan, ...options }: CleanupOptions) =>
      withClient(cleanup, options, async ({ client, out }) => {
        const isDry = options.dryRun === true;
        const isAsked = !isDry && !options.yes && process.stdin.isTTY && process.stdout.isTTY;
        if (isAsked) {
          const { files, rows, before } = (await client.cleanupTable(table, olderThan, true)).body;
          const what = `${count(rows, 'row')} in ${count(files, 'file')}`;
          if (!(await agreed(`Remove the rows of ${table} from before ${before} (${what} now)?`))) {
            await out.line('Nothing is removed.');
            return EXIT.failed;
          }
        }
        const { text, body } = await client.cleanupTable(table, olderThan, isDry);
        if (options.json) {
          await out.json(text);
          return undefined;
        }
        const { files, rows, bytes, message } = body;
        const what = `${count(rows, 'row')} in ${count(files, 'file')}, ${formatMib(bytes)}`;
        await out.line(isDry ? `${what} would go.` : `${what} removed.`);
        if (message !== '') await out.line(message);
        return undefined;
      }),
    );
}

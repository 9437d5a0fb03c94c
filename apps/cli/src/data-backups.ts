import type { Command } from 'commander';
import type { BackupList } from './client-answers.ts';
import { addClientOptions, type ClientOptions, parseTableName, withClient } from './client-command.ts';
import type { TableView } from './output-table.ts';
import { count, formatMib, formatNumber } from './output-text.ts';

export function addDataBackups(data: Command): void {
  const backups = data
    .command('backups')
    .description('List the backups of a table, newest first')
    .requiredOption('--table <name>', 'whose', parseTableName);
  addClientOptions(backups)
    .addHelpText(
      'after',
      `
Examples:
  miniodb data backups --table=orders
  miniodb data backups --table=orders --json | jq -r '.backups[0].id'
`,
    )
    .action((options: ClientOptions & { readonly table: string }) =>
      withClient(backups, options, async ({ client, out }) => {
        const { text, body } = await client.listBackups(options.table);
        if (options.json) await out.json(text);
        else if (body.backups.length === 0) await out.line(`Table ${options.table} has no backups.`);
        else {
          await out.table(backupsView(body.backups));
          await out.line(count(body.backups.length, 'backup'));
        }
        return undefined;
      }),
    );
}

/** Without the time: the id, which people copy, has it and must not be cut. */
function backupsView(backups: BackupList['backups']): TableView {
  return {
    columns: [
      { name: 'backup' },
      { name: 'rows', isNumber: true },
      { name: 'files', isNumber: true },
      { name: 'size', isNumber: true },
      { name: 'of' },
    ],
    rows: backups.map(({ id, rows, files, size_bytes, filter, flaw }) => [
      id,
      formatNumber(rows),
      formatNumber(files),
      formatMib(size_bytes),
      flaw === '' ? partOf(filter) : flaw,
    ]),
  };
}

function partOf({ id, day }: BackupList['backups'][number]['filter']): string {
  if (id === '' && day === '') return 'everything';
  return [id, day].filter((part) => part !== '').join(', ');
}

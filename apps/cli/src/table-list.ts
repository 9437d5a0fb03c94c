import type { Command } from 'commander';
import type { TableInfo } from './client-answers.ts';
import { addClientOptions, type ClientOptions, withClient } from './client-command.ts';
import type { TableView } from './output-table.ts';
import { count, formatNumber, formatTime } from './output-text.ts';
import { showSetting } from './table-settings.ts';

export function addTableList(table: Command): void {
  const list = table
    .command('list')
    .description('List the tables that you may read or administer')
    .option('--pattern <glob>', 'of names, such as acme_*', '');
  addClientOptions(list)
    .addHelpText(
      'after',
      `
Examples:
  miniodb table list --pattern='acme_*'
  miniodb table list --json | jq -r '.tables[].name'
`,
    )
    .action((options: ClientOptions & { readonly pattern: string }) =>
      withClient(list, options, async ({ client, out }) => {
        const { text, body } = await client.listTables(options.pattern);
        if (options.json) await out.json(text);
        else if (body.tables.length === 0) await out.line('There are no such tables.');
        else {
          await out.table(listView(body.tables));
          await out.line(count(body.tables.length, 'table'));
        }
        return undefined;
      }),
    );
}

export function listView(tables: readonly TableInfo[]): TableView {
  return {
    columns: [
      { name: 'table' },
      { name: 'status' },
      { name: 'buffer', isNumber: true },
      { name: 'flush', isNumber: true },
      { name: 'kept', isNumber: true },
      { name: 'last write' },
    ],
    rows: tables.map(({ name, status, config, last_write }) => [
      name,
      status,
      formatNumber(Number(config.buffer_size)),
      showSetting('flush_interval_seconds', config.flush_interval_seconds),
      showSetting('retention_days', config.retention_days),
      last_write === '' ? 'never' : formatTime(last_write),
    ]),
  };
}

import type { Command } from 'commander';
import { addClientOptions, type ClientOptions, parseTableName, withClient } from './client-command.ts';
import { count, formatMib } from './output-text.ts';

interface TableOption extends ClientOptions {
  readonly table: string;
}

export function addDataCount(data: Command): void {
  const command = data
    .command('count')
    .description('How many rows a table holds, those included that are not flushed yet')
    .requiredOption('--table <name>', 'of the table', parseTableName);
  addClientOptions(command)
    .addHelpText('after', '\nExamples:\n  miniodb data count --table=orders\n')
    .action(({ table, ...options }: TableOption) =>
      withClient(command, options, async ({ client, out }) => {
        const { stats, pending_rows: pending } = (await client.describeTable(table)).body;
        const { record_count: rows } = stats;
        if (options.json) await out.json(JSON.stringify({ table, rows, pending_rows: pending }));
        else await out.line(`${count(rows, 'row')}, ${count(pending, 'row')} of them pending`);
        return undefined;
      }),
    );
}

export function addDataSize(data: Command): void {
  const command = data
    .command('size')
    .description('What a table takes: files in the bucket, and pending rows in Redis')
    .requiredOption('--table <name>', 'of the table', parseTableName);
  addClientOptions(command)
    .addHelpText('after', '\nExamples:\n  miniodb data size --table=orders --json\n')
    .action(({ table, ...options }: TableOption) =>
      withClient(command, options, async ({ client, out }) => {
        const { stats, pending_bytes: pending } = (await client.describeTable(table)).body;
        const { file_count: files, size_bytes: bytes } = stats;
        if (options.json) await out.json(JSON.stringify({ table, files, bytes, pending_bytes: pending }));
        else await out.line(`${count(files, 'file')}, ${formatMib(bytes)}; ${formatMib(pending)} pending`);
        return undefined;
      }),
    );
}

import type { Command } from 'commander';
import type { TableDescription } from './client-answers.ts';
import { addClientOptions, type ClientOptions, parseTableName, withClient } from './client-command.ts';
import type { Output } from './output.ts';
import { count, formatMib, formatNumber, renderFields } from './output-text.ts';
import { configView } from './table-config.ts';

export function addTableDescribe(table: Command): void {
  const describe = table
    .command('describe')
    .description('Everything about a table: what holds for it and where from, what is in it, its columns')
    .argument('<name>', 'of the table', parseTableName);
  addClientOptions(describe)
    .addHelpText(
      'after',
      `
Examples:
  miniodb table describe logs
  miniodb table describe logs --json | jq .columns
`,
    )
    .action((name: string, options: ClientOptions) =>
      withClient(describe, options, async ({ client, out }) => {
        const { text, body } = await client.describeTable(name);
        if (options.json) await out.json(text);
        else await showDescription(body, out);
        return undefined;
      }),
    );
}

export function addTableStats(table: Command): void {
  const stats = table
    .command('stats')
    .description('How many rows, files and bytes a table has, and what is pending')
    .argument('<name>', 'of the table', parseTableName);
  addClientOptions(stats)
    .addHelpText(
      'after',
      `
Examples:
  miniodb table stats logs
  miniodb table stats logs --json | jq .stats.record_count
`,
    )
    .action((name: string, options: ClientOptions) =>
      withClient(stats, options, async ({ client, out }) => {
        const { body } = await client.describeTable(name);
        const { stats: counts, pending_rows, pending_bytes } = body;
        const json = { name: body.table_info.name, stats: counts, pending_rows, pending_bytes };
        if (options.json) await out.json(JSON.stringify(json));
        else await out.write(renderFields(statsFields(body)));
        return undefined;
      }),
    );
}

async function showDescription(description: TableDescription, out: Output): Promise<void> {
  const { table_info: info, columns } = description;
  await out.write(
    renderFields([
      ['table', info.name],
      ['status', info.status],
      ['created', info.created_at],
      ['last write', info.last_write || 'never'],
      ...statsFields(description),
    ]),
  );
  await out.table(configView(info));
  if (columns.length === 0) return out.line('No columns yet, beside id, timestamp and payload.');
  await out.table({
    columns: [{ name: 'column' }, { name: 'type' }],
    rows: columns.map(({ name, type }) => [name, type]),
  });
  await out.line(`${count(columns.length, 'column')}, beside id, timestamp and payload`);
}

export function statsFields(description: TableDescription): readonly (readonly [string, string])[] {
  const { stats, pending_rows, pending_bytes } = description;
  return [
    ['rows', formatNumber(stats.record_count)],
    ['pending', `${count(pending_rows, 'row')}, ${formatMib(pending_bytes)}`],
    ['files', `${formatNumber(stats.file_count)}, ${formatMib(stats.size_bytes)}`],
    ['oldest', stats.oldest_record || 'none'],
    ['newest', stats.newest_record || 'none'],
  ];
}

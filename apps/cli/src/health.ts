import type { Command } from 'commander';
import type { Health, TableDescription } from './client-answers.ts';
import { addClientOptions, type ClientOptions, parseTableName, withClient } from './client-command.ts';
import { EXIT } from './exit-codes.ts';
import { renderFields } from './output-text.ts';

/** Of max_pending_bytes: a write that would go beyond is refused, so that all of it is hardly ever taken. */
const FULL_PERCENT = 90;

interface HealthOptions extends ClientOptions {
  readonly table?: string;
}

export function addHealthCommand(program: Command): void {
  const health = program
    .command('health')
    .description('Ask whether the cluster, and with --table a table, is well; exits 0 when it is, 1 when not')
    .option('--table <name>', 'look at this table too', parseTableName);
  addClientOptions(health, '10s')
    .addHelpText(
      'after',
      `
A table is well unless it is being deleted, or is active and ${FULL_PERCENT} % of its max_pending_bytes are taken.
An archived table is well: somebody wanted it so.

Examples:
  miniodb health
  miniodb health --table=orders --json
`,
    )
    .action((options: HealthOptions) =>
      withClient(health, options, async ({ client, out }) => {
        const { text, body } = await client.health();
        const table = options.table === undefined ? undefined : await client.describeTable(options.table);
        const problems = [
          ...clusterProblems(body),
          ...(table === undefined ? [] : tableProblems(table.body)),
        ];
        if (options.json) {
          // With a table there is more to say than the API's answer has members for.
          const more = { ...body, table: table?.body, problems };
          await out.json(table === undefined ? text : JSON.stringify(more));
        } else {
          await out.write(renderFields(healthFields(body, table?.body, problems)));
        }
        return problems.length === 0 ? EXIT.ok : EXIT.failed;
      }),
    );
}

function clusterProblems({ status }: Health): readonly string[] {
  return status === 'healthy' ? [] : [`the cluster is ${status}`];
}

/** What is wrong with a table; an archived one refuses writes because somebody wanted it so. */
export function tableProblems({ table_info: info, pending_bytes }: TableDescription): readonly string[] {
  const { name, status, config } = info;
  const bytesMax = Number(config.max_pending_bytes);
  const percent = Math.floor((100 * pending_bytes) / bytesMax);
  const isFull = status === 'active' && percent >= FULL_PERCENT;
  const why = config.flush_paused === true ? ', and flushing is paused' : '';
  return [
    ...(status === 'active' || status === 'archived' ? [] : [`table ${name} is ${status}`]),
    ...(isFull
      ? [`table ${name} refuses writes or soon will: ${percent} % of max_pending_bytes are taken${why}`]
      : []),
  ];
}

function healthFields(
  { status, version, details }: Health,
  table: TableDescription | undefined,
  problems: readonly string[],
): readonly (readonly [string, string])[] {
  const of = table?.table_info;
  const paused = of?.config.flush_paused === true ? ', flushing is paused' : '';
  return [
    ['status', status],
    ['version', version],
    ...Object.entries(details),
    ...(of === undefined ? [] : [['table', `${of.name}, ${of.status}${paused}`] as const]),
    ...problems.map((problem) => ['problem', problem] as const),
  ];
}

import type { Command } from 'commander';
import type { RestClient } from './client.ts';
import type { TableDescription } from './client-answers.ts';
import {
  addClientOptions,
  type ClientOptions,
  parseTableName,
  type Session,
  withClient,
  wrongUsage,
} from './client-command.ts';
import { type Look, monitorView, tableLines } from './monitor-views.ts';
import { watch } from './monitor-watch.ts';
import { renderTable } from './output-table.ts';
import { count, renderFields } from './output-text.ts';

/** Tables that are asked about at a time: the gateway has other callers. */
const DESCRIBES_MAX = 8;

interface MonitorOptions extends ClientOptions {
  readonly watch?: true;
  readonly pattern?: string;
}

/** What one look found: for people the text, given what the look before found; for programs JSON. */
interface Watched<Found> {
  look(signal: AbortSignal): Promise<Found>;
  text(now: Look<Found>, before: Look<Found> | undefined, width: number): string;
  json(found: Found): string;
}

export function addMonitorCommand(program: Command): void {
  const monitor = program.command('monitor').description('Look at tables while they work');
  const tables = addWatch(
    monitor
      .command('tables')
      .description('All tables: rows, what is pending, files, size, last write')
      .option('--pattern <glob>', 'of names, such as acme_*', ''),
    ['miniodb monitor tables', "miniodb monitor tables --watch --pattern='acme_*'"],
  ).action((options: MonitorOptions) =>
    run(tables, options, ({ client }) => ({
      look: (signal) => describeAll(client, options.pattern ?? '', signal),
      text: ({ found }, _before, width) =>
        `${renderTable(monitorView(found), width)}${count(found.length, 'table')}\n`,
      json: (found) => JSON.stringify({ tables: found, total: found.length }),
    })),
  );
  const one = addWatch(
    monitor
      .command('table')
      .description('One table: rows and what comes in and out, what is pending, files')
      .argument('<name>', 'of the table', parseTableName),
    ['miniodb monitor table logs', 'miniodb monitor table logs --watch'],
  ).action((name: string, options: MonitorOptions) =>
    run(one, options, ({ client }) => ({
      look: async (signal) => (await client.describeTable(name, signal)).body,
      text: (now, before) => renderFields(tableLines(now, before)),
      json: (found) => JSON.stringify(found),
    })),
  );
}

function addWatch(command: Command, examples: readonly string[]): Command {
  return addClientOptions(
    command.option('--watch', 'look every 2 seconds until Ctrl-C; with --json a line for each look'),
  ).addHelpText('after', `\nExamples:\n${examples.map((example) => `  ${example}\n`).join('')}`);
}

function run<Found>(
  command: Command,
  options: MonitorOptions,
  watched: (session: Session) => Watched<Found>,
): Promise<void> {
  if (options.watch && !options.json && !process.stdout.isTTY) {
    return wrongUsage(command, '--watch is for a terminal; for programs: --watch --json');
  }
  return withClient(command, options, async (session) => {
    const { look, text, json } = watched(session);
    const { out } = session;
    if (options.watch) {
      await watch(out, {
        look,
        show: (now, before) => (options.json ? json(now.found) : text(now, before, out.width)),
        isJson: options.json === true,
      });
      return undefined;
    }
    const now = { found: await look(new AbortController().signal), atMs: performance.now() };
    await (options.json ? out.json(json(now.found)) : out.write(text(now, undefined, out.width)));
    return undefined;
  });
}

/** In the order of the list. A table that is dropped meanwhile is left out. */
async function describeAll(
  client: RestClient,
  pattern: string,
  signal: AbortSignal,
): Promise<readonly TableDescription[]> {
  const { tables } = (await client.listTables(pattern, signal)).body;
  const found: (TableDescription | undefined)[] = new Array(tables.length);
  let next = 0;
  const work = async () => {
    while (next < tables.length) {
      const index = next++;
      found[index] = await describeIfThere(client, tables[index]!.name, signal);
    }
  };
  await Promise.all(Array.from({ length: DESCRIBES_MAX }, work));
  return found.filter((description) => description !== undefined);
}

async function describeIfThere(
  client: RestClient,
  name: string,
  signal: AbortSignal,
): Promise<TableDescription | undefined> {
  try {
    return (await client.describeTable(name, signal)).body;
  } catch (error) {
    if ((error as { kind?: unknown }).kind === 'not_found') return undefined;
    throw error;
  }
}

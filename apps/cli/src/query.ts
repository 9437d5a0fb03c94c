import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Answer } from './client.ts';
import type { QueryBody } from './client-answers.ts';
import { addClientOptions, append, type ClientOptions, withClient, wrongUsage } from './client-command.ts';
import type { Output } from './output.ts';
import { count, escapedJson } from './output-text.ts';
import { csv, FORMATS, ndjson, resultView, TABLE_ROWS_MAX } from './query-formats.ts';
import { parseParam, parseRows } from './query-rows.ts';

/** The gateway takes 256 KiB of SQL, and says so. */
const STDIN_BYTES_MAX = 1_048_576;
/** A little more than the queriers' own limit, whose error says more than ours. */
const TIMEOUT_DEFAULT = '65s';

interface QueryOptions extends ClientOptions {
  readonly format: (typeof FORMATS)[number];
  readonly param?: readonly string[];
}

export function addQueryCommand(program: Command): void {
  const query = program
    .command('query')
    .description('Ask with one SELECT')
    .argument('<sql>', 'the query; - reads it from standard input', parseSql)
    .option(
      '--param <value>',
      'of $1, $2, … or ? in order; what reads as a JSON number, true, false, null or "text" is that; repeatable',
      append,
    )
    .addOption(
      // The option's conflict is with a format that is asked for, not with the default.
      new Option('--format <format>', 'of the result').choices(FORMATS).default('table').conflicts('json'),
    );
  addClientOptions(query, TIMEOUT_DEFAULT)
    .addHelpText(
      'after',
      `
A table shows at most ${TABLE_ROWS_MAX} rows and what fits the terminal; the other formats are complete.
--json is the answer of the API, with the rows as a text in result_json; --format=json is the rows.

Examples:
  miniodb query "SELECT level, count(*) AS n FROM logs GROUP BY level"
  miniodb query 'SELECT * FROM logs WHERE level = $1 LIMIT $2' --param error --param 10
  miniodb query - --format=csv < report.sql > report.csv
`,
    )
    .action((sql: string, options: QueryOptions) =>
      withClient(query, options, async ({ client, out }) => {
        const text = sql === '-' ? await standardInput(query) : sql;
        const answer = await client.query(text, (options.param ?? []).map(parseParam));
        if (options.json) await out.json(answer.text);
        else await show(answer, options.format, out);
        return undefined;
      }),
    );
}

async function show({ body }: Answer<QueryBody>, format: QueryOptions['format'], out: Output): Promise<void> {
  if (format === 'json') {
    await out.write(`${escapedJson(body.result_json)}\n`);
    return;
  }
  const rows = parseRows(body.result_json);
  if (format === 'table') {
    if (body.columns.length > 0) await out.table(resultView(body.columns, rows));
    const cut = rows.length > TABLE_ROWS_MAX ? `the first ${TABLE_ROWS_MAX} of ` : '';
    const pending = body.pending_rows > 0 ? `, ${count(body.pending_rows, 'row')} not flushed yet` : '';
    const read = count(body.files_read, 'file');
    await out.line(
      `${cut}${count(rows.length, 'row')}, ${body.elapsed_ms.toFixed(1)} ms, ${read} read${pending}`,
    );
    return;
  }
  const chunks = format === 'csv' ? csv(body.columns, rows, out.isTerminal) : ndjson(rows);
  for (const chunk of chunks) await out.write(chunk);
}

function parseSql(text: string): string {
  if (text.trim() !== '') return text;
  throw new InvalidArgumentError('It is empty.');
}

async function standardInput(command: Command): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > STDIN_BYTES_MAX)
      return wrongUsage(command, 'there is too much on standard input for a query');
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return text.trim() === '' ? wrongUsage(command, 'there is no query on standard input') : text;
}

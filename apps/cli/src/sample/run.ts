import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { openOlapClient } from '@miniodb/proto/client.ts';
import { queryRest } from '../rest-client.ts';
import type { Terminal } from '../terminal.ts';
import { DATA_SETS, type DataSet, readDataSet } from './data-sets.ts';
import { loadDataSet } from './load.ts';
import { ProgressFile } from './progress-file.ts';
import { QUERIES } from './queries.ts';

export interface SampleContext {
  readonly dataDir: string;
  /** `host:port` */
  readonly grpcAddress: string;
  readonly restUrl: string;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

/**
 * Loads the sample unless this data directory has it, counts what is there, and shows some queries. Throws
 * `internal`/`sample_count_differs` when the tables do not hold what was acknowledged.
 */
export async function runSample(context: SampleContext): Promise<void> {
  const progress = new ProgressFile(context.dataDir);
  const fresh = !progress.complete;
  if (fresh) {
    await loadAll(context, progress);
    progress.finish();
  } else {
    context.terminal.line('The sample was loaded before.');
  }
  await checkCounts(context, fresh);
  await showQueries(context);
}

async function loadAll(
  { terminal, grpcAddress, signal }: SampleContext,
  progress: ProgressFile,
): Promise<void> {
  const client = openOlapClient(grpcAddress);
  try {
    for (const dataSet of DATA_SETS) {
      const beginMs = performance.now();
      const onChunk = (table: string, rows: number, ofRows: number) =>
        terminal.progress(`loading ${table}: ${rows} of ${ofRows} rows`);
      const { rows, sentRows } = await loadDataSet(dataSet, { client, progress, signal, onChunk });
      const resumed = sentRows < rows ? `, ${rows - sentRows} of them earlier` : '';
      const elapsedMs = Math.round(performance.now() - beginMs);
      terminal.line(
        `loaded ${dataSet.table}: ${rows} rows${resumed}, in ${elapsedMs} ms (${dataSet.description})`,
      );
    }
  } finally {
    client.close();
  }
}

/** After a fresh load exactly the sample; later, people may have added rows of their own, but none may be gone. */
async function checkCounts({ restUrl, terminal, signal }: SampleContext, fresh: boolean): Promise<void> {
  const counts = DATA_SETS.map(({ table }) => `(SELECT count(*) FROM ${table}) AS ${table}`);
  const { rows } = await queryRest(restUrl, `SELECT ${counts.join(', ')}`, signal);
  const wrong = DATA_SETS.map((dataSet) => countProblem(dataSet, Number(rows[0]?.[dataSet.table]), fresh));
  const problems = wrong.filter((problem) => problem !== undefined);
  if (problems.length > 0) {
    throw new MiniodbError('internal', `the sample is not what was loaded: ${problems.join('; ')}`, {
      code: 'sample_count_differs',
    });
  }
  terminal.line(
    `counted: ${DATA_SETS.map(({ table }) => `${table} ${String(rows[0]?.[table])}`).join(', ')}`,
  );
}

export function countProblem(dataSet: DataSet, found: number, fresh: boolean): string | undefined {
  const expected = readDataSet(dataSet).length;
  if (fresh ? found === expected : found >= expected) return undefined;
  return `${dataSet.table} holds ${found} rows instead of ${expected}`;
}

async function showQueries({ restUrl, terminal, signal }: SampleContext): Promise<void> {
  for (const { title, sql } of QUERIES) {
    const answer = await queryRest(restUrl, sql, signal);
    terminal.line();
    terminal.line(title);
    terminal.line(sql.replace(/\s+/g, ' '));
    terminal.table(answer.columns, answer.rows);
    const { elapsedMs, filesRead, pendingRows } = answer;
    terminal.line(`${elapsedMs.toFixed(1)} ms, ${filesRead} files read, ${pendingRows} rows not flushed yet`);
  }
}

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openDuckDb, sqlString } from '@miniodb/core/duckdb/instance.ts';
import { startTestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { processCpuSeconds } from './cpu.ts';

/**
 * Bulk ingest: NDJSON of 8 columns over REST with the durable acknowledgement, from the first byte sent to the last
 * row flushed, against DuckDB alone turning the same NDJSON into sorted zstd Parquet on all cores, in the same run.
 * Ends with one table, after counting what was stored. `npm run bench -- --rows 1000000`.
 */
const { values } = parseArgs({
  options: { rows: { type: 'string', default: '500000' }, rounds: { type: 'string', default: '3' } },
});
const ROWS = Number(values.rows);
const ROUNDS = Number(values.rounds);
const ROWS_PER_POST = 10_000;
const POSTS_AT_ONCE = 4;

const posts = Array.from({ length: Math.ceil(ROWS / ROWS_PER_POST) }, (_, post) => bodyOf(post));
const directory = await mkdtemp(join(tmpdir(), 'miniodb-bench-'));
const cluster = await startTestCluster();
try {
  const ratios: number[] = [];
  print([
    'round',
    'ours rows/s',
    'duckdb rows/s',
    'ratio',
    'acked',
    'stored',
    'distinct',
    'CPU us/row: gateway',
    'flushers',
    'redis',
  ]);
  for (let round = 0; round < ROUNDS; round += 1) {
    const duckDb = await duckDbAlone();
    const ours = await throughCluster(`bench_${round}`);
    ratios.push(ours.rowsPerSecond / duckDb);
    print([
      round + 1,
      Math.round(ours.rowsPerSecond),
      Math.round(duckDb),
      (ours.rowsPerSecond / duckDb).toFixed(3),
      ours.acked,
      ours.stored,
      ours.distinct,
      ...ours.cpuMicrosPerRow,
    ]);
  }
  ratios.sort((a, b) => a - b);
  const median = ratios[Math.floor(ratios.length / 2)]!;
  print([
    'ratio',
    `median ${median.toFixed(3)}`,
    `from ${ratios[0]!.toFixed(3)}`,
    `to ${ratios.at(-1)!.toFixed(3)}`,
  ]);
} finally {
  await cluster.stop();
  await rm(directory, { recursive: true, force: true });
}

function bodyOf(post: number): Buffer {
  const lines: string[] = [];
  for (let at = 0; at < ROWS_PER_POST && post * ROWS_PER_POST + at < ROWS; at += 1) {
    const n = post * ROWS_PER_POST + at;
    const payload = {
      n,
      device: `device-${n % 500}`,
      temperature: Math.round(Math.sin(n) * 10_000) / 100,
      pressure: 1_000 + (n % 50),
      ok: n % 7 !== 0,
      region: ['eu-west', 'eu-east', 'us-west', 'us-east'][n % 4],
      message: `reading ${n % 1_000} taken`,
      reading: n * 0.5,
    };
    const timestamp = 1_767_225_600_000 + (n % 86_400) * 1_000;
    lines.push(JSON.stringify({ id: `id-${(n * 7_919) % 10_007}`, timestamp, payload }));
  }
  return Buffer.from(`${lines.join('\n')}\n`);
}

async function throughCluster(table: string) {
  const config = { buffer_size: 200_000, flush_interval_seconds: 2 };
  await expectOk(cluster.rest('POST', '/v1/tables', { table_name: table, config }));
  const cpuBefore = await cpuSeconds();
  const started = performance.now();
  let next = 0;
  let acked = 0;
  const sender = async () => {
    while (next < posts.length) {
      const body = posts[next]!;
      next += 1;
      const response = await fetch(`${cluster.restUrl}/v1/tables/${table}/rows`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body,
      });
      const answer = (await response.json()) as { accepted: number };
      if (response.status !== 200) throw new Error(JSON.stringify(answer));
      acked += answer.accepted;
    }
  };
  await Promise.all(Array.from({ length: POSTS_AT_ONCE }, sender));
  await waitFor('all is flushed', async () => (await pendingRows(table)) === 0, 120_000);
  const seconds = (performance.now() - started) / 1_000;
  const cpuAfter = await cpuSeconds();
  const [counted] = await cluster.query(`SELECT count(*) AS n, count(DISTINCT n) AS d FROM ${table}`);
  return {
    rowsPerSecond: ROWS / seconds,
    acked,
    stored: Number(counted!.n),
    distinct: Number(counted!.d),
    cpuMicrosPerRow: cpuAfter.map((after, at) => (((after - cpuBefore[at]!) * 1e6) / ROWS).toFixed(2)),
  };
}

async function pendingRows(table: string): Promise<number> {
  const { body } = await expectOk(
    cluster.rest('POST', '/v1/query', { sql: `SELECT 1 FROM ${table} LIMIT 0` }),
  );
  return Number(body.pending_rows);
}

async function expectOk<Answer extends { readonly status: number; readonly body: unknown }>(
  work: Promise<Answer>,
): Promise<Answer> {
  const answer = await work;
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
  return answer;
}

/** Of the gateway, the flushers together, and Redis. */
async function cpuSeconds(): Promise<number[]> {
  const pidsOf = (role: string) =>
    cluster.cluster.names
      .filter((name) => name.startsWith(role))
      .map((name) => cluster.cluster.member(name).process.pid);
  const groups = [pidsOf('gateway'), pidsOf('flusher'), [cluster.cluster.redis!.process.pid]];
  return Promise.all(groups.map(async (pids) => sum(await Promise.all(pids.map(processCpuSeconds)))));
}

/** Rows a second. */
async function duckDbAlone(): Promise<number> {
  const input = join(directory, 'rows.ndjson');
  await writeFile(input, Buffer.concat(posts));
  const db = await openDuckDb();
  const started = performance.now();
  await db.connection.run(`COPY (
      SELECT id, make_timestamp_ms("timestamp") AS "timestamp", payload.*
      FROM read_json(${sqlString(input)}, format = 'newline_delimited', columns = {id: 'VARCHAR', "timestamp": 'BIGINT',
        payload: 'STRUCT(n BIGINT, device VARCHAR, temperature DOUBLE, pressure BIGINT, ok BOOLEAN, region VARCHAR,
                         message VARCHAR, reading DOUBLE)'})
      ORDER BY id, "timestamp"
    ) TO ${sqlString(join(directory, 'rows.parquet'))} (FORMAT parquet, COMPRESSION zstd)`);
  const seconds = (performance.now() - started) / 1_000;
  db.close();
  return ROWS / seconds;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function print(cells: readonly (string | number)[]): void {
  process.stdout.write(`${cells.map((cell) => String(cell).padEnd(14)).join(' ')}\n`);
}

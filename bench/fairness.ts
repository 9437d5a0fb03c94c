import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startTestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

/**
 * The noisy neighbour: how long rows of a quiet table wait for their flush (from the accept of the oldest to the commit,
 * as the flushers log it), alone and beside tables that are written to as fast as they take it.
 * `npm run bench:fairness -- --seconds 30 --noisy 1`.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    noisy: { type: 'string', default: '1' },
    flushers: { type: 'string', default: '1' },
  },
});
const SECONDS = Number(values.seconds);
const NOISY_TABLES = Number(values.noisy);
const FLUSH_INTERVAL_SECONDS = 1;
/** What the quiet table's flushes may take on top of their interval. */
const LAG_MS_MAX = (FLUSH_INTERVAL_SECONDS + 1) * 1_000;
const QUIET_EVERY_MS = 250;
const QUIET_ROWS = 10;
const NOISY_ROWS = 10_000;
const SENDERS_PER_TABLE = 2;

const NOISE = Buffer.from(
  Array.from({ length: NOISY_ROWS }, (_, n) => {
    const payload = {
      n,
      device: `device-${n % 500}`,
      temperature: Math.sin(n),
      message: `reading ${n} taken`,
    };
    return JSON.stringify({ id: `id-${n % 5_000}`, payload });
  }).join('\n'),
);
const QUIET = Array.from({ length: QUIET_ROWS }, (_, n) => ({ id: `id-${n}`, payload: { n } }));

const cluster = await startTestCluster({ flushers: Number(values.flushers) });
try {
  print(['quiet table', 'flushes', 'lag ms: p50', 'p90', 'p99', 'max', 'other rows/s']);
  await measure('alone', 'quiet_alone', 0);
  const worstMs = await measure(`beside ${NOISY_TABLES}`, 'quiet_beside', NOISY_TABLES);
  print([`bound ${LAG_MS_MAX} ms`, worstMs <= LAG_MS_MAX ? 'kept' : 'NOT kept']);
} finally {
  await cluster.stop();
}

/** @returns the longest lag in ms */
async function measure(title: string, quiet: string, noisyTables: number): Promise<number> {
  const config = { buffer_size: 1_000_000, flush_interval_seconds: FLUSH_INTERVAL_SECONDS, shards: 2 };
  await expectOk(cluster.rest('POST', '/v1/tables', { table_name: quiet, config }));
  const noisy = Array.from({ length: noisyTables }, (_, n) => `noisy_${n}`);
  for (const table_name of noisy) {
    await expectOk(
      cluster.rest('POST', '/v1/tables', { table_name, config: { ...config, buffer_size: 1_000 } }),
    );
  }
  const started = performance.now();
  const isOver = () => performance.now() - started > SECONDS * 1_000;
  let noisyRows = 0;
  const makeNoise = async (table: string) => {
    while (!isOver()) {
      const response = await fetch(`${cluster.restUrl}/v1/tables/${table}/rows`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body: NOISE,
      });
      await response.arrayBuffer();
      if (response.status === 200) noisyRows += NOISY_ROWS;
      // As a client does that is told to come back later.
      else await sleep(100);
    }
  };
  const trickle = async () => {
    while (!isOver()) {
      await expectOk(cluster.rest('POST', `/v1/tables/${quiet}/rows`, QUIET));
      await sleep(QUIET_EVERY_MS);
    }
  };
  const senders = noisy.flatMap((table) => Array.from({ length: SENDERS_PER_TABLE }, () => makeNoise(table)));
  await Promise.all([trickle(), ...senders]);
  for (const table of [quiet, ...noisy]) {
    await waitFor(`${table} is flushed`, async () => (await cluster.pendingRows(table)) === 0, 120_000);
  }
  const lags = (await loggedLags(quiet)).sort((a, b) => a - b);
  const at = (part: number) => Math.round(lags[Math.min(lags.length - 1, Math.floor(part * lags.length))]!);
  print([title, lags.length, at(0.5), at(0.9), at(0.99), at(1), Math.round(noisyRows / SECONDS)]);
  return at(1);
}

async function loggedLags(table: string): Promise<number[]> {
  const flushers = cluster.cluster.names.filter((name) => name.startsWith('flusher'));
  const logs = await Promise.all(
    flushers.map((name) => readFile(cluster.cluster.member(name).process.logFile, 'utf8')),
  );
  return logs
    .join('\n')
    .split('\n')
    .filter((line) => line.includes('"event":"flushed"') && line.includes(`"table":"${table}"`))
    .map((line) => (JSON.parse(line) as { lag_ms: number }).lag_ms);
}

async function expectOk(work: Promise<{ readonly status: number; readonly body: unknown }>): Promise<void> {
  const answer = await work;
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
}

function print(cells: readonly (string | number)[]): void {
  process.stdout.write(`${cells.map((cell) => String(cell).padEnd(16)).join(' ')}\n`);
}

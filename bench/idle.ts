import { parseArgs } from 'node:util';
import { GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';
import { startTestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { processCpuSeconds } from './cpu.ts';

/**
 * What tables cost that nobody uses: CPU of every process, in percent of one core, once each table has a flushed row
 * and nothing is left to do. `npm run bench:idle -- --tables 1000 --seconds 60`.
 */
const { values } = parseArgs({
  options: {
    tables: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '60' },
    flushers: { type: 'string', default: '2' },
  },
});
const TABLES = Number(values.tables);
const SECONDS = Number(values.seconds);
const WRITERS = 16;
/** From the last flush: what runs a little longer (settling of hints, payloads that expire) is not idleness. */
const SETTLE_MS = 5_000;

const cluster = await startTestCluster({
  flushers: Number(values.flushers),
  env: { MINIODB_MAX_TABLES: String(TABLES + 1) },
});
try {
  const connectionsBefore = await connectedClients();
  await fillTables();
  await waitFor(
    'all is flushed and no hint is left',
    async () => (await cluster.redis.zcard(GLOBAL_KEYS.dirty)) === 0,
    600_000,
  );
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const pids = processes();
  const before = await Promise.all(pids.map(({ pid }) => processCpuSeconds(pid)));
  const commandsBefore = await commandsProcessed();
  const started = performance.now();
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1_000));
  const seconds = (performance.now() - started) / 1_000;
  const after = await Promise.all(pids.map(({ pid }) => processCpuSeconds(pid)));
  const commands = (await commandsProcessed()) - commandsBefore;
  print(['process', '% of one core']);
  let total = 0;
  for (const [at, { name }] of pids.entries()) {
    const percent = (100 * (after[at]! - before[at]!)) / seconds;
    total += percent;
    print([name, percent.toFixed(2)]);
  }
  print(['all', total.toFixed(2)]);
  print(['tables', TABLES]);
  print(['Redis commands/s', (commands / seconds).toFixed(1)]);
  print(['Redis connections', `${connectionsBefore} without, ${await connectedClients()} with the tables`]);
} finally {
  await cluster.stop();
}

async function fillTables(): Promise<void> {
  let next = 0;
  const writer = async () => {
    while (next < TABLES) {
      const table = `idle_${next}`;
      next += 1;
      const config = { buffer_size: 1 };
      await expectOk(cluster.rest('POST', '/v1/tables', { table_name: table, config }));
      await expectOk(cluster.rest('POST', `/v1/tables/${table}/rows`, [{ id: 'a', payload: { n: 1 } }]));
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

async function expectOk(work: Promise<{ readonly status: number; readonly body: unknown }>): Promise<void> {
  const answer = await work;
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
}

function processes(): { readonly name: string; readonly pid: number }[] {
  const { cluster: local } = cluster;
  const roles = local.names.map((name) => ({ name, pid: local.member(name).process.pid }));
  return [{ name: 'redis', pid: local.redis!.process.pid }, ...roles];
}

async function connectedClients(): Promise<number> {
  return infoField('clients', 'connected_clients');
}

async function commandsProcessed(): Promise<number> {
  return infoField('stats', 'total_commands_processed');
}

async function infoField(section: string, field: string): Promise<number> {
  const info = await cluster.redis.info(section);
  const match = new RegExp(`^${field}:(\\d+)`, 'm').exec(info);
  if (match === null) throw new Error(`INFO ${section} has no ${field}`);
  return Number(match[1]);
}

function print(cells: readonly (string | number)[]): void {
  process.stdout.write(`${cells.map((cell) => String(cell).padEnd(20)).join(' ')}\n`);
}

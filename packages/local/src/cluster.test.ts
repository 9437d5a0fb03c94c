import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, type ClusterEvent } from './cluster.ts';
import { isAlive, parseRecord, recordOf } from './process-identity.ts';

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-cluster-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

/** Keeps the contract of the role mains with the environment, the ready line and the ends, and does nothing else. */
const ROLE_MAIN = `
  const end = (why) => { console.log('drained: ' + why); process.exit(0); };
  process.on('SIGTERM', () => end('SIGTERM'));
  if (process.env.MINIODB_PARENT_PIPE === '1') process.stdin.on('end', () => end('parent is gone')).resume();
  if (process.env.FAIL_AT_START) { console.log('cannot start: ' + process.env.FAIL_AT_START); process.exit(1); }
  const number = (name) => Number(process.env[name]);
  console.log(JSON.stringify({
    event: 'ready', role: process.argv[1].split('/').at(-3), node: process.env.MINIODB_NODE_ID, admin_port: 1,
    grpc_port: number('MINIODB_GRPC_PORT'), rest_port: number('MINIODB_REST_PORT'), env: process.env.EXTRA,
  }));
`;
const appsDir = join(scratch, 'apps');
for (const role of ['gateway', 'querier', 'flusher']) {
  mkdirSync(join(appsDir, role, 'src'), { recursive: true });
  writeFileSync(join(appsDir, role, 'src', 'main.ts'), ROLE_MAIN);
}

class Events {
  readonly seen: ClusterEvent[] = [];
  readonly add = (event: ClusterEvent): void => void this.seen.push(event);
  of(kind: ClusterEvent['kind']): string[] {
    return this.seen.flatMap((event) => (event.kind === kind && 'name' in event ? [event.name] : []));
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10);
}

const limit = { timeout: 60_000 };

test(
  'a cluster starts queriers and flushers before gateways, and stops gateways first and Redis last',
  limit,
  async () => {
    const events = new Events();
    const cluster = await Cluster.start({ dataDir: join(scratch, 'order'), appsDir, onEvent: events.add });
    assert.deepEqual([...cluster.names].sort(), ['flusher-1', 'flusher-2', 'gateway-1', 'querier-1']);
    assert.equal(events.of('started')[0], 'redis');
    assert.equal(events.of('started').at(-1), 'gateway-1');
    assert.ok(cluster.endpoint.grpcPort > 0 && cluster.endpoint.restPort > 0);
    assert.equal(readdirSync(cluster.dataDir.runDir).length, 5);

    await cluster.stop();
    assert.equal(events.of('stopped')[0], 'gateway-1');
    assert.deepEqual(events.of('stopped').slice(1, 3).sort(), ['flusher-1', 'flusher-2']);
    assert.deepEqual(events.of('stopped').slice(3), ['querier-1', 'redis']);
    assert.deepEqual(events.of('crashed'), []);
    assert.equal(readdirSync(cluster.dataDir.runDir).length, 0);
    assert.match(readFileSync(cluster.dataDir.logFile('gateway-1'), 'utf8'), /drained: SIGTERM/);
  },
);

test('a role or a Redis that is killed is reported and started again on its ports', limit, async (t) => {
  const events = new Events();
  const cluster = await Cluster.start({ dataDir: join(scratch, 'crash'), appsDir, onEvent: events.add });
  t.after(() => cluster.stop());
  const before = { endpoint: cluster.endpoint, redisUrl: cluster.redis?.url };
  process.kill(cluster.member('gateway-1').process.pid, 'SIGKILL');
  process.kill(cluster.redis!.process.pid, 'SIGKILL');
  const startsOf = (name: string) => events.of('started').filter((started) => started === name).length;
  await until(() => startsOf('gateway-1') === 2 && startsOf('redis') === 2);
  assert.deepEqual(events.of('crashed').sort(), ['gateway-1', 'redis']);
  assert.deepEqual({ endpoint: cluster.endpoint, redisUrl: cluster.redis?.url }, before);
});

test(
  'without restarts a crashed role stays down until it is asked for, with another environment',
  limit,
  async (t) => {
    const events = new Events();
    const dataDir = join(scratch, 'manual');
    const cluster = await Cluster.start({ dataDir, appsDir, restart: false, onEvent: events.add });
    t.after(() => cluster.stop());
    await cluster.member('flusher-1').process.kill();
    await until(() => events.of('crashed').length === 1);
    assert.deepEqual(events.of('restarting'), []);
    await cluster.restart('flusher-1', { env: { EXTRA: 'second life' } });
    assert.match(cluster.member('flusher-1').process.output(), /"env":"second life"/);
    assert.equal(await cluster.add('flusher'), 'flusher-3');
    await cluster.remove('flusher-3');
    assert.throws(() => cluster.member('flusher-3'), { code: 'no_such_member' });
  },
);

test(
  'a role that cannot start fails the cluster with its last log lines and leaves nothing running',
  limit,
  async () => {
    const dataDir = join(scratch, 'fails');
    const envOf = { 'flusher-2': { FAIL_AT_START: 'no such bucket' } };
    await assert.rejects(Cluster.start({ dataDir, appsDir, envOf }), {
      kind: 'unavailable',
      code: 'process_exited',
      message: /flusher-2 ended \(exit code 1\) before ready.*cannot start: no such bucket/s,
    });
    assert.equal(readdirSync(join(dataDir, 'run')).length, 0);
    await (await Cluster.start({ dataDir, appsDir })).stop();
  },
);

test('a port that is in use is named before anything starts', limit, async (t) => {
  const other = await Cluster.start({ dataDir: join(scratch, 'first'), appsDir });
  t.after(() => other.stop());
  const { createServer } = await import('node:net');
  const squatter = createServer().listen(0, '127.0.0.1');
  await once(squatter, 'listening');
  t.after(() => squatter.close());
  const { port } = squatter.address() as { port: number };
  const events = new Events();
  const start = Cluster.start({
    dataDir: join(scratch, 'second'),
    appsDir,
    restPort: port,
    onEvent: events.add,
  });
  await assert.rejects(start, { code: 'port_in_use', details: { port, protocol: 'REST' } });
  assert.deepEqual(events.seen, []);
});

test('when the supervisor is killed its roles drain and end by themselves', limit, async () => {
  const dataDir = join(scratch, 'killed');
  const script = join(scratch, 'supervisor.ts');
  const source = join(import.meta.dirname, 'cluster.ts');
  writeFileSync(
    script,
    `import { Cluster } from ${JSON.stringify(source)};
     await Cluster.start(${JSON.stringify({ dataDir, appsDir })});
     process.stdout.write('up');`,
  );
  const supervisor = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(supervisor.stdout, 'data');
  const runDir = join(dataDir, 'run');
  const records = readdirSync(runDir).map((file) => ({
    name: file,
    record: parseRecord(readFileSync(join(runDir, file), 'utf8'))!,
  }));
  assert.equal(records.filter(({ record }) => isAlive(record)).length, 5);
  supervisor.kill('SIGKILL');
  const roles = records.filter(({ name }) => name !== 'redis.json');
  await until(() => roles.every(({ record }) => !isAlive(record)));
  assert.match(readFileSync(join(dataDir, 'logs', 'flusher-1.log'), 'utf8'), /drained: parent is gone/);

  // Its lock and its pid files are still there; the next cluster clears up and starts.
  await (await Cluster.start({ dataDir, appsDir })).stop();
  assert.deepEqual(
    records.filter(({ record }) => isAlive(record)),
    [],
  );
});

test('what an earlier supervisor left running is ended before a new cluster starts', limit, async (t) => {
  const dataDir = join(scratch, 'orphan');
  const orphan = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  await once(orphan, 'spawn');
  t.after(() => orphan.kill('SIGKILL'));
  mkdirSync(join(dataDir, 'run'), { recursive: true });
  writeFileSync(join(dataDir, 'run', 'flusher-7.json'), JSON.stringify(recordOf(orphan.pid!)));
  const bystander = { pid: process.pid, identity: 'what had this pid before' };
  writeFileSync(join(dataDir, 'run', 'gateway-9.json'), JSON.stringify(bystander));
  const events = new Events();
  const exited = once(orphan, 'exit');
  const cluster = await Cluster.start({ dataDir, appsDir, onEvent: events.add });
  await cluster.stop();
  assert.deepEqual(events.seen[0], { kind: 'orphan', name: 'flusher-7', pid: orphan.pid });
  assert.deepEqual(events.of('orphan'), ['flusher-7']);
  assert.deepEqual(await exited, [null, 'SIGTERM']);
});

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { applyFileConfig, type FieldOutcome } from '@miniodb/core/table/apply-file.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG, type TableConfigInput } from '@miniodb/core/table/config.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import { freePort } from '@miniodb/local/ports.ts';
import { startRole } from '@miniodb/local/role.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const ROOT = join(import.meta.dirname, '../..');
const GATEWAY = join(ROOT, 'apps/gateway/src/main.ts');

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-config-'));
after(() => rmSync(scratch, { recursive: true }));

function fileOf(name: string, text: string): string {
  const path = join(scratch, name);
  writeFileSync(path, text);
  return path;
}

const small = { gateways: 1, queriers: 1, flushers: 1 };
const configOf = (cluster: TestCluster, table: string) => cluster.redis.hgetall(`table:${table}:config`);
const write = (cluster: TestCluster, table: string, id = 'a') =>
  cluster.rest('POST', '/v1/data', { ...(table === '' ? {} : { table }), id, payload: { n: 1 } });

describe('the sample configuration', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await startTestCluster({ ...small, configFile: join(ROOT, 'config.example.yaml') });
  });
  after(() => cluster.stop());

  test('has its tables, with their settings, when the gateway is ready', async () => {
    const expected = {
      users: ['2000', '60', '2555', 'true', { description: '用户数据表', owner: 'user-service' }],
      orders: ['5000', '10', '2555', 'true', { description: '订单数据表', owner: 'order-service' }],
      logs: ['10000', '5', '30', 'false', { description: '应用日志表', owner: 'log-service' }],
    };
    for (const [table, settings] of Object.entries(expected)) {
      const hash = await configOf(cluster, table);
      assert.deepEqual(
        [
          hash.buffer_size,
          hash.flush_interval_seconds,
          hash.retention_days,
          hash.backup_enabled,
          JSON.parse(hash.properties!),
        ],
        settings,
      );
      assert.equal(hash.status, 'active');
    }
    assert.deepEqual((await cluster.redis.smembers('tables:list')).sort(), [
      'default',
      'logs',
      'orders',
      'users',
    ]);
  });

  test('has its permissions on', async () => {
    const answer = await cluster.rest('POST', '/v1/query', { sql: 'SELECT count(*) FROM users' });
    assert.equal(answer.status, 401, JSON.stringify(answer.body));
  });
});

describe('the section table_management', () => {
  let cluster: TestCluster;
  before(async () => {
    const configFile = fileOf(
      'management.yaml',
      `
tables:
  default_config: { buffer_size: 3, flush_interval: 1h }
  app_one: { retention_days: 7 }
table_management:
  auto_create_tables: false
  default_table: Events
  max_tables: 3
  table_name_pattern: "^app_"
`,
    );
    cluster = await startTestCluster({ ...small, configFile });
  });
  after(() => cluster.stop());

  test('takes writes without a table to its default table, whatever the pattern, and FROM table reads it', async () => {
    assert.equal((await write(cluster, '')).status, 200);
    assert.deepEqual(await cluster.query('SELECT n FROM table'), [{ n: 1 }]);
    assert.equal(await cluster.count('events'), 1);
  });

  test('refuses the write that would create a table', async () => {
    const answer = await write(cluster, 'app_two');
    assert.deepEqual([answer.status, answer.body.code], [404, 'table_not_found']);
    assert.equal(await cluster.redis.exists('table:app_two:config'), 0);
  });

  test('refuses names beside its pattern, and tables beyond its limit', async () => {
    const create = (table: string) => cluster.rest('POST', '/v1/tables', { table_name: table, config: {} });
    assert.equal((await create('other')).body.code, 'invalid_table_name');
    assert.equal((await create('app_two')).status, 200);
    assert.equal((await create('app_three')).body.code, 'too_many_tables');
  });

  test('leaves what a table does not say to default_config, also where flushes are decided', async () => {
    const { body } = await cluster.rest('GET', '/v1/tables/app_one');
    const { config } = body.table_info as { config: Record<string, unknown> };
    assert.deepEqual(
      [config.buffer_size, config.flush_interval_seconds, config.retention_days],
      [3, 3_600, 7],
    );
    // Rows of one id are of one shard: the third makes its flush due, the interval does not for an hour.
    for (let row = 0; row < 3; row += 1) await write(cluster, 'app_one');
    await waitFor('three rows are flushed', async () => (await cluster.pendingRows('app_one')) === 0);
  });
});

test('tables of the file are merged with live changes when a gateway starts', async (t) => {
  const tables = (fields: string) => `tables: { users: { ${fields} }, "Other": {} }\n`;
  const configFile = fileOf('merge.yaml', tables('buffer_size: 10, retention_days: 30, shards: 2'));
  const cluster = await startTestCluster({ ...small, configFile });
  t.after(() => cluster.stop());
  const live = async (config: Record<string, unknown>) => {
    const answer = await cluster.rest('PATCH', '/v1/tables/users', { config });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
  };
  const startWith = async (fields: string) => {
    writeFileSync(configFile, tables(fields));
    await cluster.cluster.restart('gateway-1');
    const { buffer_size, retention_days, flush_interval_seconds, shards } = await configOf(cluster, 'users');
    return { buffer_size, retention_days, flush_interval_seconds, shards };
  };
  assert.equal((await configOf(cluster, 'other')).status, 'active');

  await live({ buffer_size: 11, flush_interval_seconds: 7 });
  assert.deepEqual(
    await startWith('buffer_size: 10, retention_days: 30, shards: 2'),
    { buffer_size: '11', retention_days: '30', flush_interval_seconds: '7', shards: '2' },
    'a file as before leaves live changes alone',
  );
  assert.deepEqual(
    await startWith('buffer_size: 12, retention_days: 31, shards: 4'),
    { buffer_size: '12', retention_days: '31', flush_interval_seconds: '7', shards: '4' },
    'an edited field goes over a live change',
  );
  await live({ buffer_size: 13 });
  assert.deepEqual(
    await startWith('shards: 3'),
    { buffer_size: '13', retention_days: undefined, flush_interval_seconds: '7', shards: '4' },
    'a field that left the file is inherited again unless it was changed live, and shards only grow',
  );
  const log = readFileSync(cluster.cluster.dataDir.logFile('gateway-1'), 'utf8');
  assert.match(log, /"event":"file_shards_ignored"/);
  assert.match(log, /"level":"warn".*"event":"permissions_off"/);
});

describe('apply', () => {
  const fixed = new FixedKeys('single');
  let server: TestRedis;
  before(async () => {
    server = await startTestRedis();
  });
  after(() => server.stop());
  const apply = async (table: string, config: TableConfigInput): Promise<Record<string, FieldOutcome>> => {
    const answer = await applyFileConfig(server.redis, fixed, table, config);
    assert.equal(answer.status, 'ok');
    return answer.status === 'ok' ? Object.fromEntries(answer.fields) : {};
  };

  test('answers what it changed once, and its repeat finds nothing to do', async () => {
    await new Catalog(server.redis, fixed, DEFAULT_TABLE_CONFIG).create('t', {}, 10, '2026-01-01T00:00:00Z');
    const file = { buffer_size: 5, shards: 3, properties: { owner: 'me' } };
    assert.deepEqual(await apply('t', file), { buffer_size: 'set', shards: 'set', properties: 'set' });
    assert.deepEqual(await apply('t', file), {});
    assert.equal(await server.redis.hget(fixed.config('t'), 'shard_history'), '2,3');
    // Changed live to what the file said before: still a live change, for the file says something else.
    await server.redis.hset(fixed.config('t'), 'buffer_size', '6');
    assert.deepEqual(await apply('t', { shards: 1 }), {
      shards: 'smaller',
      buffer_size: 'kept',
      properties: 'inherited',
    });
    // Not remembered, so that every start says it again.
    assert.deepEqual(await apply('t', { shards: 1 }), { shards: 'smaller' });
    assert.deepEqual(await apply('t', {}), {});
    const rest = await server.redis.hgetall(fixed.config('t'));
    assert.deepEqual([rest.buffer_size, rest.shards, rest.properties], ['6', '3', undefined]);
    assert.equal(
      Object.keys(rest).some((field) => field.startsWith('file:')),
      false,
    );
  });

  test('answers gone where there is no table, and leaves a key of another type alone', async () => {
    assert.deepEqual(await applyFileConfig(server.redis, fixed, 'absent', { shards: 2 }), { status: 'gone' });
    assert.equal(await server.redis.exists(fixed.config('absent')), 0);
    await server.redis.set(fixed.config('wrong'), 'x');
    await assert.rejects(applyFileConfig(server.redis, fixed, 'wrong', { shards: 2 }));
    assert.equal(await server.redis.get(fixed.config('wrong')), 'x');
  });
});

test('the old sections and the old form buffer start a gateway by themselves', async (t) => {
  const server = await startTestRedis();
  t.after(() => server.stop());
  await server.redis.config('SET', 'requirepass', 'pass/word');
  const [grpcPort, restPort, adminPort] = [await freePort(), await freePort(), await freePort()];
  const configFile = fileOf(
    'old.yaml',
    `
server: { grpc_port: ":${grpcPort}", rest_port: ${restPort}, node_id: here, unheard_of: 1 }
redis: { mode: standalone, addr: "${new URL(server.url).host}", password: "pass/word", db: 1 }
buffer: { buffer_size: 77, flush_interval: 15s }
backup: { enabled: true }
monitoring: { enabled: true, port: ":${adminPort}", path: /metrics }
log: { level: debug }
`,
  );
  const logFile = join(scratch, 'old-gateway.log');
  const env = { REDIS_URL: '', MINIODB_CONFIG: configFile };
  const gateway = await startRole({ role: 'gateway', name: 'old-gateway', env, logFile });
  t.after(() => gateway.process.stop());
  assert.deepEqual(
    [gateway.ports.grpc_port, gateway.ports.rest_port, gateway.ports.admin_port],
    [grpcPort, restPort, adminPort],
  );
  assert.equal((await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status, 200);
  await server.redis.select(1);
  assert.equal(await server.redis.hget('table:default:config', 'status'), 'active');
  const described = await fetch(`http://127.0.0.1:${restPort}/v1/tables/default`);
  const { table_info: info } = (await described.json()) as {
    table_info: { config: Record<string, unknown> };
  };
  assert.deepEqual([info.config.buffer_size, info.config.flush_interval_seconds], [77, 15]);
  const log = readFileSync(logFile, 'utf8');
  assert.match(log, /"event":"config_warning".*server\.unheard_of: is unknown/);
  assert.match(log, /"event":"config_warning".*backup: has no effect/);
  assert.doesNotMatch(log, /pass\/word|pass%2Fword/);
});

test('a bad configuration ends the start with 2 and one message, and --help with 0', () => {
  const file = fileOf('bad.yaml', 'tables:\n  users: { buffer_size: lots }\ntabels: {}\n');
  const start = (...args: string[]) =>
    spawnSync(process.execPath, [GATEWAY, ...args], { encoding: 'utf8', timeout: 30_000, cwd: scratch });
  const bad = start('--config', file, '--rest-port', '-1');
  assert.equal(bad.status, 2);
  assert.equal(bad.stdout, '');
  assert.equal(
    bad.stderr.replaceAll(file, 'bad.yaml'),
    `gateway: configuration: 3 problems:
  --rest-port: -1 is not a whole number from 0 to 65535
  bad.yaml:2:12: tables.users.buffer_size: "lots" is not a whole number from 1 to 10000000
  bad.yaml:3:1: tabels: is unknown (did you mean tables?) (invalid_config)
`,
  );
  const insecure = start('--config', 'none', '--host', '0.0.0.0');
  assert.equal(insecure.status, 2);
  assert.match(insecure.stderr, /permissions are off.*insecure_bind/);
  const help = start('--help');
  assert.equal(help.status, 0);
  assert.match(help.stdout, /--grpc-port {3}MINIODB_GRPC_PORT {3}gateway\.grpc_port/);
});

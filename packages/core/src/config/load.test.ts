import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DEFAULT_TABLE_CONFIG } from '../table/config.ts';
import { helpText, parseFlags } from './flags.ts';
import { inspectConfig, loadSettings, settingsFromEnv } from './load.ts';
import { effectiveEntries, entriesAsObject, entriesAsYaml } from './print.ts';
import { flagOf, ROLES } from './setting.ts';
import { isOf, SETTING_NAMES } from './settings.ts';

const scratch = mkdtempSync(join(tmpdir(), 'miniodb-settings-'));
after(() => rmSync(scratch, { recursive: true }));

let written = 0;
function fileOf(text: string): string {
  written += 1;
  const path = join(scratch, `config-${written}.yaml`);
  writeFileSync(path, text);
  return path;
}

test('a value comes from the default, then the file, then the environment, then a flag', () => {
  const file = fileOf('gateway: { grpc_port: 1001 }\nserver: { grpc_port: 1000, rest_port: 2000 }\n');
  const load = (env: Record<string, string>, args: string[]) =>
    loadSettings('gateway', { env, args, directory: scratch }).get('MINIODB_GRPC_PORT');
  assert.equal(load({}, []), 8080);
  assert.equal(load({ MINIODB_CONFIG: file }, []), 1001);
  assert.equal(load({ MINIODB_CONFIG: file, MINIODB_GRPC_PORT: '' }, []), 1001);
  assert.equal(load({ MINIODB_CONFIG: file, MINIODB_GRPC_PORT: '1002' }, []), 1002);
  assert.equal(load({ MINIODB_CONFIG: file, MINIODB_GRPC_PORT: '1002' }, ['--grpc-port=1003']), 1003);
  const settings = loadSettings('gateway', { env: {}, args: ['--config', file], directory: scratch });
  assert.equal(settings.get('MINIODB_REST_PORT'), 2000);
  assert.equal(settings.originOf('MINIODB_REST_PORT'), `${file}:2:28`);
});

test('the file is that of --config, then of MINIODB_CONFIG, then ./config.yaml, which none leaves out', () => {
  const directory = mkdtempSync(join(scratch, 'place-'));
  const named = fileOf('log: { level: error }');
  const flagged = fileOf('log: { level: fatal }');
  const level = (env: Record<string, string>, args: string[] = []) =>
    loadSettings('gateway', { env, args, directory }).get('MINIODB_LOG_LEVEL');
  assert.equal(level({}), 'info');
  const before = process.cwd();
  process.chdir(directory);
  try {
    writeFileSync('config.yaml', 'log: { level: debug }');
    assert.equal(level({}), 'debug');
    assert.equal(level({ MINIODB_CONFIG: 'none' }), 'info');
    assert.equal(level({ MINIODB_CONFIG: named }), 'error');
    assert.equal(level({ MINIODB_CONFIG: named }, ['--config', flagged]), 'fatal');
  } finally {
    process.chdir(before);
  }
  const absent = join(scratch, 'absent.yaml');
  assert.throws(() => level({ MINIODB_CONFIG: absent }), { code: 'config_file_not_found' });
});

test('what is wrong in the file, the environment and the flags is one message', () => {
  const file = fileOf('gateway:\n  rest_port: 99999\ntables: { users: { shards: 0 } }\n');
  const start = () =>
    loadSettings('gateway', {
      env: { MINIODB_CONFIG: file, MINIODB_MAX_TABLES: 'many' },
      args: ['--grpc-prot', '1', '--log-level', 'loud', 'extra'],
      directory: scratch,
    });
  assert.throws(start, (error: Error & { code: string }) => {
    assert.equal(error.code, 'invalid_config');
    const [head, ...lines] = error.message.split('\n').map((line) => line.trim().replace(file, 'c.yaml'));
    assert.equal(head, 'configuration: 6 problems:');
    assert.deepEqual(lines, [
      '--grpc-prot: is unknown (did you mean --grpc-port?); try --help',
      'extra: is no flag; try --help',
      '--log-level: "loud" is not one of trace, debug, info, warn, error, fatal, silent',
      'MINIODB_MAX_TABLES: "many" is not a whole number from 1 to 1000000',
      'c.yaml:2:3: gateway.rest_port: 99999 is not a whole number from 0 to 65535',
      'c.yaml:3:20: tables.users.shards: 0 is not a whole number from 1 to 256',
    ]);
    return true;
  });
});

test('a file that is no YAML is what is said, and nothing that would follow from its absence', () => {
  const file = fileOf('permissions: { enabled: true\n');
  const env = { MINIODB_CONFIG: file, MINIODB_HOST: '0.0.0.0' };
  assert.throws(
    () => loadSettings('querier', { env, directory: scratch }),
    (error: Error & { code: string }) =>
      error.code === 'invalid_config' && !/loopback|MINIODB_CACHE_DIR/.test(error.message),
  );
});

test('a value that must not be seen is in no message', () => {
  const start = () => settingsFromEnv('flusher', { MINIODB_WORK_DIR: '/w', REDIS_URL: 'http://:hush@h' });
  assert.throws(start, (error: Error) => /REDIS_URL/.test(error.message) && !/hush/.test(error.message));
});

test('every setting of a role is a flag of it and in its --help, and other flags are refused', () => {
  for (const role of ROLES) {
    const help = helpText(role);
    for (const name of SETTING_NAMES) {
      const { values, problems } = parseFlags(role, [`${flagOf(name)}=x`]);
      assert.equal(values.get(name), isOf(role, name) ? 'x' : undefined, `${role} ${name}`);
      assert.equal(problems.length, isOf(role, name) ? 0 : 1, `${role} ${name}`);
      assert.equal(help.includes(`  ${flagOf(name)} `), isOf(role, name), `${role} ${name}`);
    }
  }
  assert.equal(parseFlags('gateway', ['--grpc-port']).problems[0]?.message, 'needs a value');
  assert.match(parseFlags('gateway', ['--host', 'a', '--host', 'b']).problems[0]!.message, /twice/);
  assert.equal(parseFlags('gateway', ['--allow-anonymous']).values.get('MINIODB_ALLOW_ANONYMOUS'), 'true');
});

test('without permissions gateways and queriers bind to loopback, unless they are told to let everybody in', () => {
  const anywhere = { MINIODB_HOST: '0.0.0.0', MINIODB_CACHE_DIR: '/c', MINIODB_WORK_DIR: '/w' };
  for (const role of ['gateway', 'querier'] as const) {
    assert.throws(() => settingsFromEnv(role, anywhere), { code: 'insecure_bind' });
    settingsFromEnv(role, { ...anywhere, MINIODB_ALLOW_ANONYMOUS: 'true' });
    for (const host of ['localhost', '127.0.0.1', '127.8.9.10', '::1']) {
      settingsFromEnv(role, { ...anywhere, MINIODB_HOST: host });
    }
    const file = fileOf('permissions: { enabled: true }');
    loadSettings(role, { env: { ...anywhere, MINIODB_CONFIG: file }, directory: scratch });
  }
  settingsFromEnv('flusher', anywhere);
});

test('settings that do not go together are refused with where they come from', () => {
  const flusher = (env: Record<string, string>) =>
    settingsFromEnv('flusher', { MINIODB_WORK_DIR: '/w', ...env });
  assert.throws(
    () => flusher({ MINIODB_ENCODE_MEMORY_MIB: '128' }),
    /MINIODB_ENCODE_MEMORY_MIB: .*2 threads need at least 192/,
  );
  assert.throws(() => settingsFromEnv('flusher', {}), /MINIODB_WORK_DIR: is missing: .*flusher\.work_dir/);
  const gateway = (text: string, env: Record<string, string> = {}) =>
    loadSettings('gateway', { env: { ...env, MINIODB_CONFIG: fileOf(text) }, directory: scratch });
  assert.throws(() => gateway('tables: { a: {}, b: {} }\ntable_management: { max_tables: 2 }'), /3 tables/);
  assert.throws(() => gateway('tables: { "a-b": {} }'), /tables\.a-b: is no table name/);
  assert.throws(() => gateway('tables: { main: {} }'), /tables\.main: is no table name/);
  // The pattern of the environment goes before that of the file, and the default table keeps out of both.
  const pattern =
    'tables: { logs: {}, main_log: {} }\ntable_management: { default_table: Main_Log, table_name_pattern: x }';
  gateway(pattern, { MINIODB_TABLE_NAME_PATTERN: '^l' });
  assert.throws(() => settingsFromEnv('gateway', { MINIODB_DEFAULT_TABLE: 'table' }), /is reserved/);
});

test('the file goes over the built-in defaults of tables, field by field', () => {
  const file = fileOf('tables: { default_config: { buffer_size: 5 } }');
  const settings = loadSettings('gateway', { env: { MINIODB_CONFIG: file }, directory: scratch });
  assert.deepEqual(settings.tableDefaults, { ...DEFAULT_TABLE_CONFIG, buffer_size: 5 });
});

test('what is printed is a configuration file that says the same, with its secrets masked', () => {
  const file = fileOf(`
redis: { addr: "r:1", password: hush }
minio: { endpoint: "m:9000", access_key_id: hush-id, secret_access_key: hush-key }
auth: { jwt: { algorithm: HS256, secret: ${'hush'.repeat(8)}, issuer: i, audience: a } }
querier: { host: 127.0.0.2, allow_anonymous: true }
tables: { users: { flush_interval: 5m, properties: { owner: me } }, empty: {} }
permissions: { enabled: true, roles: { r: ["table:*:read"] }, users: { u: [r] } }
`);
  const place = { env: { MINIODB_FLUSH_CONCURRENCY: '3' }, directory: scratch };
  const entries = effectiveEntries(inspectConfig(file, place));
  const origin = (path: string) => entries.find((entry) => entry.path.join('.') === path)?.origin;
  assert.equal(origin('tables.users.flush_interval_seconds'), `${file}:6:20`);
  assert.equal(origin('flusher.flush_concurrency'), 'environment MINIODB_FLUSH_CONCURRENCY');
  assert.equal(origin('querier.host'), `${file}:5:12`);
  assert.equal(origin('gateway.host'), 'default');
  const printed = entriesAsYaml(entries, true);
  assert.doesNotMatch(printed, /hush/);
  assert.doesNotMatch(JSON.stringify(entriesAsObject(entries)), /hush/);
  assert.match(printed, /url: redis:\/\/:\*\*\*@r:1\/0 # /);
  const again = inspectConfig(fileOf(printed.replace('secret: "***"', `secret: ${'x'.repeat(32)}`)), {
    env: {},
    directory: scratch,
  });
  assert.deepEqual(again.problems, []);
  assert.deepEqual(entriesAsObject(effectiveEntries(again)), entriesAsObject(entries));
});

test('credentials in the URL of the store, or of its endpoint, are refused without being shown', () => {
  for (const url of [
    's3://hush:hush@bucket',
    's3://hush@bucket',
    's3://bucket?endpoint=http://hush:hush@h:9000',
    's3://bucket?region=r&endpoint=http%3A%2F%2Fhush%40h%3A9000',
  ]) {
    assert.throws(
      () => loadSettings('gateway', { env: { MINIODB_STORE_URL: url }, args: [], directory: scratch }),
      (error: Error) => {
        assert.match(error.message, /MINIODB_STORE_URL: has credentials in it/);
        assert.ok(!error.message.includes('hush'), error.message);
        return true;
      },
    );
  }
});

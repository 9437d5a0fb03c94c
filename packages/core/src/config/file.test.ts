import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfigDocument } from './document.ts';
import { durationMs } from './duration.ts';
import { readConfigSections } from './file.ts';
import { inFileOrder, problemText } from './problem.ts';

const read = (text: string) => readConfigSections(parseConfigDocument('c.yaml', text));
const problemsOf = (text: string) => inFileOrder(read(text).problems).map(problemText);
const warningsOf = (text: string) => inFileOrder(read(text).warnings).map(problemText);

test('tables take every field of a table config, and intervals as durations', () => {
  const { tables, problems } = read(`
tables:
  default_config: { flush_interval: 1h30m }
  Users: { buffer_size: 2000, flush_interval_seconds: 60, properties: { owner: user-service }, shards: 4 }
  logs:
`);
  assert.deepEqual(problems, []);
  assert.deepEqual(tables.defaults, { flush_interval_seconds: 5_400 });
  assert.deepEqual([...tables.tables.keys()], ['users', 'logs']);
  assert.deepEqual(tables.tables.get('users')?.config, {
    buffer_size: 2_000,
    flush_interval_seconds: 60,
    properties: { owner: 'user-service' },
    shards: 4,
  });
  assert.deepEqual(tables.tables.get('logs')?.config, {});
  assert.equal(tables.fieldOrigins.get('tables.users.shards'), 'c.yaml:4:96');
});

test('a duration is numbers with units, and nothing else', () => {
  assert.equal(durationMs('1h30m'), 5_400_000);
  assert.equal(durationMs('2d'), 172_800_000);
  assert.equal(durationMs('1500ms'), 1_500);
  for (const text of ['', '30', 's', '30 s', '30s ', '-1s', '1e3s', '30S']) {
    assert.equal(durationMs(text), undefined, text);
  }
});

test('every wrong field of a table is said at once, with its line, its path and what is allowed', () => {
  const text = `
tables:
  users:
    buffer_size: 0
    flush_interval: 30
    layout: wide
    bufer_size: 5
    properties: { owner: 7 }
  USERS: {}
  orders: { flush_interval: 500ms, flush_interval_seconds: 1 }
  logs: 5
`;
  assert.deepEqual(problemsOf(text), [
    'c.yaml:4:5: tables.users.buffer_size: 0 is not a whole number from 1 to 10000000',
    'c.yaml:5:5: tables.users.flush_interval: 30 has no unit: write 30s, or flush_interval_seconds: 30',
    'c.yaml:6:5: tables.users.layout: "wide" is not one of auto, id, packed',
    'c.yaml:7:5: tables.users.bufer_size: is unknown (did you mean buffer_size?)',
    'c.yaml:8:19: tables.users.properties.owner: 7 is not text of at most 4096 characters',
    'c.yaml:9:3: tables.USERS: is the same table as tables.users: case makes no difference',
    'c.yaml:10:13: tables.orders.flush_interval: "500ms" is not a duration such as 30s, 5m or 1h (whole seconds from 1 to 86400)',
    'c.yaml:10:36: tables.orders.flush_interval_seconds: flush_interval and flush_interval_seconds are one setting: give one of them',
    'c.yaml:11:3: tables.logs: 5 is not a mapping of names to values',
  ]);
});

test('roles that nobody defined, grants that say nothing and keys that are misspelt are refused', () => {
  const text = `
permissions:
  enabled: true
  roles: { admin: ["table:*:*"], reader: ["table:users"] }
  users: { a: [admn], "b c": [admin] }
  limits: { z: { max_tables: -1, requests: 5 } }
permission: {}
auth: { jwt: { algorithm: RS256, secret: not-to-be-shown, issuer: i, audience: a } }
`;
  const problems = problemsOf(text);
  assert.match(
    problems.join('\n'),
    /c\.yaml:4:43: permissions\.roles\.reader\.0: cannot read the grant "table:users"/,
  );
  assert.match(problems.join('\n'), /c\.yaml:5:16: .*"admn" is no role .*did you mean admin/);
  assert.match(problems.join('\n'), /c\.yaml:5:23: permissions\.users\.b c: "b c" is no name here/);
  assert.match(
    problems.join('\n'),
    /c\.yaml:6:18: permissions\.limits\.z\.max_tables: -1 is not a whole number from 0/,
  );
  assert.match(problems.join('\n'), /c\.yaml:6:34: permissions\.limits\.z\.requests: is unknown/);
  assert.match(problems.join('\n'), /c\.yaml:7:1: permission: is unknown \(did you mean permissions\?\)/);
  assert.match(problems.join('\n'), /c\.yaml:8:34: auth\.jwt\.secret: the value is not/);
  assert.doesNotMatch(problems.join('\n'), /not-to-be-shown/);
});

test('permissions that are described but not enabled are warned of', () => {
  assert.deepEqual(warningsOf('permissions: { users: {} }'), [
    'c.yaml:1:1: permissions: has no effect: enabled is not true',
  ]);
});

test('a key of JWTs goes with its algorithm, and there is one', () => {
  const jwt = (fields: string) => `auth: { jwt: { issuer: i, audience: a, ${fields} } }`;
  const secret = 'x'.repeat(32);
  assert.deepEqual(problemsOf(jwt(`algorithm: HS256, secret: ${secret}`)), []);
  assert.match(problemsOf(jwt('algorithm: HS256'))[0]!, /HS256 needs secret/);
  assert.match(problemsOf(jwt(`algorithm: RS256, secret: ${secret}`))[0]!, /RS256 needs either/);
});

test('the old form buffer is the default of all tables, unless the new one is there', () => {
  const buffer = 'buffer: { buffer_size: 77, flush_interval: 15s }\n';
  assert.deepEqual(read(buffer).tables.defaults, {
    buffer_size: 77,
    flush_interval_seconds: 15,
    retention_days: 365,
    backup_enabled: true,
  });
  const both = `${buffer}tables: { default_config: { buffer_size: 5 } }\n`;
  assert.deepEqual(read(both).tables.defaults, { buffer_size: 5 });
  assert.deepEqual(warningsOf(both), [
    'c.yaml:1:1: buffer: has no effect: tables.default_config is there too',
  ]);
  const management = 'table_management: { default_config: { shards: 3 }, tables: { users: { shards: 4 } } }';
  assert.deepEqual(read(management).tables.defaults, { shards: 3 });
  assert.deepEqual(read(management).tables.tables.get('users')?.config, { shards: 4 });
});

test('the old sections are read under their old names, and what they no longer say is a warning', () => {
  const text = `
server: { grpc_port: ":9080", rest_port: "9081", node_id: node-1, workers: 4 }
redis: { mode: standalone, addr: "redis.local:6380", password: "s/e@t", db: 2, pool_size: 5 }
minio: { endpoint: "minio:9000", access_key_id: AK, secret_access_key: SK, use_ssl: true, bucket: "" }
backup: { enabled: true, interval: 3600 }
log: { level: WARNING, format: json, output: file }
monitoring: { enabled: true, port: ":8082", path: /other }
`;
  const { values, problems } = read(text);
  assert.deepEqual(problems, []);
  const of = (path: string) => values.get(path)?.value;
  assert.equal(of('server.grpc_port'), 9080);
  assert.equal(of('server.rest_port'), 9081);
  assert.equal(of('server.node_id'), 'node-1');
  assert.equal(of('redis.url'), 'redis://:s%2Fe%40t@redis.local:6380/2');
  assert.equal(of('minio.url'), 's3://olap-data?endpoint=https%3A%2F%2Fminio%3A9000&path_style=true');
  assert.equal(of('minio.access_key_id'), 'AK');
  assert.equal(of('log.level'), 'warn');
  assert.equal(of('monitoring.port'), 8082);
  assert.deepEqual(
    inFileOrder(read(text).warnings).map(({ path }) => path),
    ['server.workers', 'redis.pool_size', 'backup', 'log.output', 'monitoring.path'],
  );
});

test('an old Redis that this version cannot use is an error, not another Redis', () => {
  assert.match(
    problemsOf('redis: { mode: sentinel, addr: "h:1" }')[0]!,
    /redis\.mode: "sentinel" is not supported/,
  );
  assert.match(problemsOf('redis: { addr: "redis://:pw@h" }')[0]!, /redis\.addr: is not an address/);
  assert.doesNotMatch(problemsOf('redis: { addr: "redis://:pw@h" }')[0]!, /pw/);
});

test('a prototype cannot be reached through a file', () => {
  assert.deepEqual(problemsOf('__proto__: { tables: {} }'), ['c.yaml:1:1: __proto__: is unknown']);
  assert.match(problemsOf('tables: { users: { __proto__: { shards: 9 } } }')[0]!, /__proto__: is unknown/);
  assert.equal(({} as Record<string, unknown>).tables, undefined);
});

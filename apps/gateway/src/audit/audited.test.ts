import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ANONYMOUS } from '@miniodb/core/auth/principal.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { CallContext, GatewayApi } from '../api.ts';
import { RecordingApi } from '../server/recording-api.ts';
import { audited, auditRefusal } from './audited.ts';
import { Auditor } from './auditor.ts';

const call: CallContext = { principal: ANONYMOUS, requestId: 'r-1', signal: new AbortController().signal };

function auditedApi() {
  const inner = new RecordingApi();
  const lines: Record<string, unknown>[] = [];
  const auditor = new Auditor({ write: (line) => void lines.push(JSON.parse(line)) });
  const canonical = (table: string) => {
    if (table.includes('!')) throw new Error('no name');
    return table === '' ? 'default' : table.toLowerCase();
  };
  return { api: audited(inner, auditor, canonical), inner, auditor, lines };
}

const OPTIONAL = ['record_count', 'error'];
const FIELDS = ['details', 'duration_ms', 'operation', 'success', 'table', 'timestamp', 'user'];

test('every call of the API but health leaves one object of exactly the known fields', async () => {
  const { api, inner, auditor, lines } = auditedApi();
  const calls: Readonly<Record<keyof GatewayApi, (api: GatewayApi) => Promise<unknown>>> = {
    writeRow: (own) => own.writeRow('T', { id: 'x', payload: {} }, call),
    writeBatch: (own) =>
      own.writeBatch(
        { table: '', rows: { form: 'rows', rows: [] }, ack: 'default', batchId: '', skipInvalid: true },
        call,
      ),
    createTable: (own) => own.createTable('T', {}, true, call),
    dropTable: (own) => own.dropTable('T', { ifExists: true, cascade: true }, call),
    listTables: (own) => own.listTables('a*', call),
    describeTable: (own) => own.describeTable('T', call),
    cleanupTable: (own) => own.cleanupTable('T', { olderThan: '30d', dryRun: true }, call),
    flushTable: (own) => own.flushTable('T', true, call),
    updateTable: (own) => own.updateTable('T', { config: { buffer_size: 5 } }, call),
    query: (own) => own.query({ sql: 'SELECT 1', params: ['secret'] }, call),
    backupTable: (own) => own.backupTable('T', { id: '', day: '', waits: true }, call),
    restoreTable: (own) =>
      own.restoreTable('T', { backup: '', target: '', mode: 'empty', waits: true }, call),
    listBackups: (own) => own.listBackups('T', call),
    lookAtTask: (own) => own.lookAtTask('backup-1', call),
    stats: (own) => own.stats(call),
    nodes: (own) => own.nodes(call),
    health: (own) => own.health(call),
  };
  const operations = [
    'write',
    'write',
    'create',
    'drop',
    'list',
    'describe',
    'cleanup',
    'flush',
    'update',
    'query',
    'backup',
    'restore',
    'list_backups',
    'look_at_task',
    'stats',
    'nodes',
  ];
  for (const failure of [undefined, new MiniodbError('unavailable', 'it was secret', { code: 'away' })]) {
    inner.failure = failure;
    for (const run of Object.values(calls))
      await run(api).catch((error: unknown) => assert.equal(error, failure));
    auditor.flush();
    assert.deepEqual(lines.map(({ operation }) => String(operation)).toSorted(), operations.toSorted());
    for (const line of lines) {
      const fields = Object.keys(line).filter((field) => !OPTIONAL.includes(field));
      assert.deepEqual(fields.sort(), FIELDS);
      assert.equal(new Date(line.timestamp as string).toISOString(), line.timestamp);
      assert.equal(line.success, failure === undefined);
      assert.equal(line.error, failure === undefined ? undefined : 'away');
      assert.doesNotMatch(JSON.stringify(line), /secret/);
    }
    lines.length = 0;
  }
});

test('writes of single rows are told of together, by user, table and outcome', async () => {
  const { api, inner, auditor, lines } = auditedApi();
  const row = { id: 'x', payload: {} };
  const bob = { ...call, principal: { ...ANONYMOUS, user: 'bob' } };
  for (let n = 0; n < 5; n += 1) await api.writeRow('orders', row, call);
  await api.writeRow('ORDERS', row, call);
  await api.writeRow('users', row, call);
  await api.writeRow('orders', row, bob);
  inner.failure = new MiniodbError('resource_exhausted', 'full', { code: 'redis_memory' });
  for (let n = 0; n < 3; n += 1) await assert.rejects(api.writeRow('orders', row, call));
  assert.deepEqual(lines, []);
  auditor.flush();
  assert.deepEqual(
    lines.map(({ table, user, record_count, error, details }) => ({
      table,
      user,
      record_count,
      error,
      details,
    })),
    [
      { table: 'orders', user: 'anonymous', record_count: 6, error: undefined, details: { calls: 6 } },
      { table: 'users', user: 'anonymous', record_count: 1, error: undefined, details: { calls: 1 } },
      { table: 'orders', user: 'bob', record_count: 1, error: undefined, details: { calls: 1 } },
      {
        table: 'orders',
        user: 'anonymous',
        record_count: undefined,
        error: 'redis_memory',
        details: { calls: 3 },
      },
    ],
  );
});

test('a query names its tables, and its text is cut without breaking a character', async () => {
  const { api, inner, lines } = auditedApi();
  inner.gate = async (own) => own.onTables?.(['orders', 'users']);
  await api.query({ sql: `\u0000\n${'x'.repeat(1_997)}😀 and more`, params: [] }, call);
  const [line] = lines;
  assert.equal(line!.table, 'orders,users');
  assert.equal(line!.record_count, 1);
  assert.deepEqual(line!.details, { request_id: 'r-1', sql: `\u0000\n${'x'.repeat(1_997)}` });
});

test('a name that no table can have is told of as it was sent, cut', async () => {
  const { api, lines } = auditedApi();
  await api.createTable(`!${'x'.repeat(500)}`, {}, false, call);
  assert.equal(lines[0]!.table, `!${'x'.repeat(127)}`);
});

test('a refusal of a server is told of once, and not again when the API has told of it', async () => {
  const { api, inner, auditor, lines } = auditedApi();
  inner.failure = new MiniodbError('not_found', 'gone', { code: 'table_not_found' });
  const error = await api.describeTable('t', call).catch((thrown: unknown) => thrown);
  auditRefusal(auditor, 'GET /v1/tables/:name', '', error);
  for (let n = 0; n < 4; n += 1) {
    const stranger = new MiniodbError('unauthenticated', 'who?', { code: 'unauthenticated' });
    auditRefusal(auditor, 'authenticate', '', stranger);
  }
  auditor.flush();
  assert.deepEqual(
    lines.map(({ operation, error: code, details }) => [operation, code, details]),
    [
      ['describe', 'table_not_found', { request_id: 'r-1' }],
      ['authenticate', 'unauthenticated', { calls: 4 }],
    ],
  );
});

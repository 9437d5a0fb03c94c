import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import {
  CreateTableRequest,
  DropTableRequest,
  ListTablesRequest,
  UpdateTableRequest,
  WriteBatchRequest,
  WriteRequest,
} from '@miniodb/proto/gen/olap/v1/olap.ts';
import { type GuardedCluster, startGuardedCluster, type User } from './callers.ts';
import { MATRIX_USERS, MAY, TABLES, type TableName } from './matrix.ts';

let guarded: GuardedCluster;
before(async () => {
  guarded = await startGuardedCluster();
});
after(() => guarded?.stop());

const metadataOf = (user: User) => ({ metadata: { authorization: `Bearer ${guarded.tokens[user]}` } });
const forbiddenCall = { kind: 'permission_denied', code: 'table_forbidden' };

for (const user of MATRIX_USERS) {
  test(`over gRPC ${user} reads, writes and administers exactly what its grants name`, async () => {
    const { grpc } = guarded;
    const options = metadataOf(user);
    for (const table of TABLES) {
      const rows = [{ id: 'i', payload: { n: 1 } }];
      const calls: Readonly<Record<string, [string, () => Promise<unknown>]>> = {
        write: ['w', () => grpc.write(WriteRequest.create({ table, ...rows[0]! }), options)],
        writeBatch: ['w', () => grpc.writeBatch(WriteBatchRequest.create({ table, rows }), options)],
        query: ['r', () => grpc.query({ sql: `SELECT count(*) FROM ${table}` }, options)],
        describe: ['ra', () => grpc.describeTable({ table_name: table }, options)],
        create: [
          'a',
          () => {
            const request = CreateTableRequest.create({ table_name: table, if_not_exists: true });
            return grpc.createTable(request, options);
          },
        ],
        update: [
          'a',
          () => {
            const request = UpdateTableRequest.create({ table_name: table, config: { properties: {} } });
            return grpc.updateTable(request, options);
          },
        ],
        drop: ['a', () => grpc.dropTable(DropTableRequest.create({ table_name: table }), options)],
      };
      for (const [operation, [grants, call]] of Object.entries(calls)) {
        const may = [...grants].some((grant) => MAY[user]![table].includes(grant));
        if (may) await call();
        else await assert.rejects(call(), forbiddenCall, `${operation} ${table}`);
      }
    }
    const { tables } = await grpc.listTables(ListTablesRequest.create({}), options);
    const listed = tables.map(({ name }) => name).filter((name) => TABLES.includes(name as TableName));
    assert.deepEqual(listed, TABLES.filter((table) => /[ra]/.test(MAY[user]![table])).sort());
    const nodes = grpc.getNodes({}, options);
    if (user === 'admin-001') assert.ok((await nodes).nodes.length > 0);
    else await assert.rejects(nodes, { kind: 'permission_denied', code: 'cluster_forbidden' });
  });
}

test('over gRPC nobody is answered anything but health', async () => {
  const { grpc } = guarded;
  const nobody = (error: MiniodbError) =>
    error.kind === 'unauthenticated' && error.code === 'credentials_missing';
  for (const call of [
    grpc.write(WriteRequest.create({ table: 'users', id: 'i', payload: {} })),
    grpc.query({ sql: 'SELECT 1' }),
    grpc.listTables(ListTablesRequest.create({})),
    grpc.describeTable({ table_name: 'users' }),
    grpc.getStats({}),
    grpc.getNodes({}),
    grpc.dropTable(DropTableRequest.create({ table_name: 'users' })),
  ]) {
    await assert.rejects(call, nobody);
  }
  assert.equal((await grpc.healthCheck({})).status, 'healthy');
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DirectoryObjectStore } from '@miniodb/core/storage/directory.ts';
import { type TableObject, tableObjectKey, tableObjectSchema } from '@miniodb/core/table/table-object.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

let cluster: TestCluster;
let store: DirectoryObjectStore;

before(async () => {
  cluster = await startTestCluster({ flushers: 2 });
  store = new DirectoryObjectStore(cluster.cluster.dataDir.objectsDir);
});

after(async () => {
  await store.close();
  await cluster.stop();
});

const configOf = (table: string) => cluster.redis.hgetall(`table:${table}:config`);

async function objectOf(table: string, generation: string): Promise<TableObject | undefined> {
  const key = tableObjectKey(table, generation);
  if ((await store.head(key)) === undefined) return undefined;
  return tableObjectSchema.parse(JSON.parse(Buffer.from(await store.get(key)).toString('utf8')));
}

/** Much sooner than the look at all tables that comes without a hint. */
const WITHIN_MS = 15_000;

test('the bucket says what a table is like, within seconds of its creation and of each change', async () => {
  await cluster.rest('POST', '/v1/tables', { table_name: 'told', config: { shards: 2 } });
  const { generation } = await configOf('told');
  const said = async (what: string, holds: (object: TableObject) => boolean) =>
    waitFor(
      what,
      async () => {
        const object = await objectOf('told', generation!);
        return object !== undefined && holds(object) ? object : undefined;
      },
      WITHIN_MS,
    );
  const first = await said('the table is described', () => true);
  assert.deepEqual(first.config, await configOf('told'));
  assert.equal(first.shard_history, '2');
  assert.equal(first.created_at, await cluster.redis.get('table:told:created_at'));

  await cluster.rest('PATCH', '/v1/tables/told', { config: { shards: 4, retention_days: 7 } });
  const second = await said('the change is described', ({ shard_history: history }) => history === '2,4');
  assert.deepEqual(second.config, await configOf('told'));
  assert.ok(second.updated_ms > first.updated_ms);

  await cluster.rest('PATCH', '/v1/tables/told', { status: 'archived' });
  await said('the status is described', ({ config }) => config.status === 'archived');
});

test('a table that did not change is not written again, whoever owns it then', async () => {
  const { generation } = await configOf('default');
  const before = await waitFor('it is described', () => objectOf('default', generation!), WITHIN_MS);
  await cluster.cluster.restart('flusher-1');
  await cluster.cluster.restart('flusher-2');
  await cluster.rest('POST', '/v1/tables', { table_name: 'later', config: {} });
  const later = await configOf('later');
  await waitFor('the next one is described', () => objectOf('later', later.generation!), WITHIN_MS);
  assert.deepEqual(await objectOf('default', generation!), before);
});

test('a dropped incarnation leaves its log, and no description', async () => {
  await cluster.rest('POST', '/v1/tables', { table_name: 'gone', config: {} });
  const { generation } = await configOf('gone');
  await waitFor('it is described', () => objectOf('gone', generation!), WITHIN_MS);
  await cluster.rest('DELETE', '/v1/tables/gone');
  await waitFor('the description is gone', async () => (await objectOf('gone', generation!)) === undefined);
  assert.ok(await store.head(`gone/~log/drop-${generation}.json`));
});

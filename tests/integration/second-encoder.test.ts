import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ flushers: 1, env: { MINIODB_ENCODER: 'parquetjs-lite' } });
});

after(async () => {
  await cluster.stop();
});

test('flushers with the pure JavaScript encoder make files that queries read the same', async () => {
  await cluster.rest('POST', '/v1/tables', { table_name: 'plain', config: { buffer_size: 300, shards: 1 } });
  const rows = Array.from({ length: 300 }, (_, n) => ({
    id: `id-${n % 3}`,
    timestamp: `2026-02-0${1 + (n % 2)}T00:00:00.000${n % 10}Z`,
    payload: { n, half: n / 2, text: `row ${n}`, even: n % 2 === 0, nested: { n: [n] } },
  }));
  assert.equal((await cluster.rest('POST', '/v1/tables/plain/rows', rows)).status, 200);
  const sql = 'SELECT id, n, half, text, even, nested, payload FROM plain ORDER BY n';
  const pending = await cluster.query(sql);
  await waitFor('all is flushed', async () => (await cluster.pendingRows('plain')) === 0);
  assert.deepEqual(await cluster.query(sql), pending);
  assert.deepEqual(pending[7]!.payload, rows[7]!.payload);
});

test('what that encoder cannot store exactly stays pending and is answered from there', async () => {
  await cluster.rest('POST', '/v1/tables', { table_name: 'large', config: { buffer_size: 1, shards: 1 } });
  const response = await fetch(`${cluster.restUrl}/v1/tables/large/rows`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: '{"id":"a","payload":{"big":9007199254740993}}\n',
  });
  assert.equal(response.status, 200);
  await waitFor('the flusher has tried', () =>
    cluster.cluster.member('flusher-1').process.output().includes('encoder_cannot_store'),
  );
  const { body } = await cluster.rest('POST', '/v1/query', { sql: 'SELECT big FROM large' });
  assert.deepEqual([body.result_json, body.pending_rows], ['[{"big":9007199254740993}]', 1]);
});

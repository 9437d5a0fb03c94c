import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { type S3Server, startS3Server } from '@miniodb/testkit/s3-server.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

/** The whole path on S3: testkit's server, or the endpoint that the environment names. */
let server: S3Server | undefined;
let cluster: TestCluster;

before(async () => {
  const { MINIODB_TEST_S3_URL, MINIODB_TEST_S3_ACCESS_KEY, MINIODB_TEST_S3_SECRET_KEY } = process.env;
  if (MINIODB_TEST_S3_URL === undefined) server = await startS3Server();
  cluster = await startTestCluster({
    storeUrl: MINIODB_TEST_S3_URL ?? server!.url,
    env: {
      MINIODB_STORE_ACCESS_KEY: MINIODB_TEST_S3_ACCESS_KEY ?? server!.credentials.accessKeyId,
      MINIODB_STORE_SECRET_KEY: MINIODB_TEST_S3_SECRET_KEY ?? server!.credentials.secretAccessKey,
    },
  });
});

after(async () => {
  await cluster.stop();
  await server?.stop();
});

test('rows are flushed to S3 and read back from there, exactly once', async () => {
  const table = `s3_${Date.now()}`;
  await cluster.rest('POST', '/v1/tables', { table_name: table, config: { buffer_size: 100 } });
  const rows = Array.from({ length: 1_000 }, (_, n) => ({ id: `id-${n % 10}`, payload: { n } }));
  assert.equal((await cluster.rest('POST', `/v1/tables/${table}/rows`, rows)).status, 200);
  const sql = `SELECT count(*) AS n, count(DISTINCT n) AS d FROM ${table}`;
  const answer = await waitFor('all is flushed', async () => {
    const { status, body } = await cluster.rest('POST', '/v1/query', { sql });
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.result_json, '[{"n":1000,"d":1000}]');
    return body.pending_rows === 0 && body;
  });
  assert.ok(Number(answer.files_read) >= 2);
});

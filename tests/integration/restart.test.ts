import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Cluster } from '@miniodb/local/cluster.ts';
import { callRest } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

test('a cluster that starts again on its directory has all its rows, flushed or not, and goes on with them', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'miniodb-restart-'));
  const rows = (from: number) =>
    Array.from({ length: 100 }, (_, n) => ({ id: `id-${n % 5}`, payload: { n: from + n } }));
  const counts = [{ n: 200, d: 200 }];
  try {
    const first = await Cluster.start({ dataDir });
    const firstUrl = `http://127.0.0.1:${first.endpoint.restPort}`;
    const config = { buffer_size: 100, shards: 1, flush_interval_seconds: 3600 };
    await callRest(firstUrl, 'POST', '/v1/tables', { table_name: 'kept', config });
    assert.equal((await callRest(firstUrl, 'POST', '/v1/tables/kept/rows', rows(0))).status, 200);
    const stats = async (url: string) => {
      const sql = 'SELECT count(*) AS n, count(DISTINCT n) AS d FROM kept';
      return (await callRest(url, 'POST', '/v1/query', { sql })).body;
    };
    await waitFor('the first rows are flushed', async () => (await stats(firstUrl)).pending_rows === 0);
    assert.equal(
      (await callRest(firstUrl, 'POST', '/v1/tables/kept/rows', rows(100).slice(0, 60))).status,
      200,
    );
    await first.stop();

    const second = await Cluster.start({ dataDir });
    const secondUrl = `http://127.0.0.1:${second.endpoint.restPort}`;
    const found = await stats(secondUrl);
    assert.equal(found.result_json, '[{"n":160,"d":160}]');
    assert.equal(found.pending_rows, 60);
    assert.equal(
      (await callRest(secondUrl, 'POST', '/v1/tables/kept/rows', rows(160).slice(0, 40))).status,
      200,
    );
    await waitFor('all rows are flushed', async () => (await stats(secondUrl)).pending_rows === 0);
    assert.deepEqual(JSON.parse((await stats(secondUrl)).result_json as string), counts);
    await second.stop();
  } finally {
    await rm(dataDir, { recursive: true, force: true });
  }
});

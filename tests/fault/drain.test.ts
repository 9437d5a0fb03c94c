import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster();
});

after(async () => {
  await cluster.stop();
});

const DRAIN_MS_MAX = 25_000;
const ROWS_PER_REQUEST = 10;

/** Sends a keyed request until it is acknowledged; answers how often it had to be sent. */
async function insertUntilAcked(table: string, key: string, first: number): Promise<number> {
  const rows = Array.from({ length: ROWS_PER_REQUEST }, (_, n) => ({
    id: `id-${n % 4}`,
    payload: { n: first + n },
  }));
  for (let attempt = 1; ; attempt += 1) {
    try {
      const response = await fetch(`${cluster.restUrl}/v1/tables/${table}/rows`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify(rows),
      });
      const body = await response.text();
      if (response.status === 200) return attempt;
      assert.ok(response.status === 503, `${response.status} ${body}`);
    } catch (error) {
      // The gateway is away for a moment.
      assert.ok(error instanceof TypeError, String(error));
    }
    await sleep(50);
  }
}

test('SIGTERM drains every process in time, without losing or doubling a row', async () => {
  await cluster.rest('POST', '/v1/tables', {
    table_name: 'drained',
    config: { buffer_size: 200, flush_interval_seconds: 1 },
  });
  let writing = true;
  let requests = 0;
  const writer = async (name: string) => {
    while (writing) {
      const request = requests;
      requests += 1;
      await insertUntilAcked('drained', `${name}-${request}`, request * ROWS_PER_REQUEST);
    }
  };
  const writers = ['a', 'b', 'c', 'd'].map(writer);
  try {
    for (const name of ['flusher-1', 'querier-1', 'gateway-1', 'flusher-2']) {
      const seen = requests;
      await waitFor('rows flow', () => requests > seen + 50);
      const { process } = cluster.cluster.member(name);
      const started = performance.now();
      await cluster.cluster.restart(name);
      const exit = await process.exited;
      assert.deepEqual([name, exit.code], [name, 0]);
      assert.ok(performance.now() - started < DRAIN_MS_MAX, name);
    }
  } finally {
    writing = false;
    await Promise.all(writers);
  }
  const expected = requests * ROWS_PER_REQUEST;
  const rows = await waitFor('the querier is known again', async () =>
    cluster.query('SELECT count(*) AS n, count(DISTINCT n) AS d, max(n) AS m FROM drained'),
  );
  assert.deepEqual(rows, [{ n: expected, d: expected, m: expected - 1 }]);
});

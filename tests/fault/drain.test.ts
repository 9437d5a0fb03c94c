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

async function expectExactly(table: string, requests: number): Promise<void> {
  const expected = requests * ROWS_PER_REQUEST;
  const rows = await waitFor('queries are answered again', () =>
    cluster.query(`SELECT count(*) AS n, count(DISTINCT n) AS d, max(n) AS m FROM ${table}`),
  );
  assert.deepEqual(rows, [{ n: expected, d: expected, m: expected - 1 }]);
}

/** Four writers of keyed requests, until `work` is done. Answers how many requests were acknowledged, which is all. */
async function underLoad(
  table: string,
  work: (rowsFlow: () => Promise<unknown>) => Promise<void>,
): Promise<number> {
  const config = { buffer_size: 200, flush_interval_seconds: 1 };
  await cluster.rest('POST', '/v1/tables', { table_name: table, config });
  let writing = true;
  let requests = 0;
  const writer = async (name: string) => {
    while (writing) {
      const request = requests;
      requests += 1;
      await insertUntilAcked(table, `${table}-${name}-${request}`, request * ROWS_PER_REQUEST);
    }
  };
  const writers = ['a', 'b', 'c', 'd'].map(writer);
  try {
    await work(() => {
      const seen = requests;
      return waitFor('rows flow', () => requests > seen + 50);
    });
  } finally {
    writing = false;
    await Promise.all(writers);
  }
  return requests;
}

test('SIGTERM drains every process in time, without losing or doubling a row', async () => {
  const requests = await underLoad('drained', async (rowsFlow) => {
    for (const name of ['flusher-1', 'querier-1', 'gateway-1', 'flusher-2']) {
      await rowsFlow();
      const { process } = cluster.cluster.member(name);
      const started = performance.now();
      await cluster.cluster.restart(name);
      const exit = await process.exited;
      assert.deepEqual([name, exit.code], [name, 0]);
      assert.ok(performance.now() - started < DRAIN_MS_MAX, name);
    }
  });
  await expectExactly('drained', requests);
});

test('a Redis that is killed and comes back has all that was acknowledged, once', async () => {
  const requests = await underLoad('redis_killed', async (rowsFlow) => {
    for (let round = 0; round < 3; round += 1) {
      await rowsFlow();
      await cluster.cluster.restartRedis('kill');
    }
    await rowsFlow();
  });
  await expectExactly('redis_killed', requests);
});

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { isWorthAnotherQuerier } from '../../apps/gateway/src/query/route.ts';

const ROWS = 1_200;
const THIRD = 300;
/** Some seconds, also on a busy machine far from the 20 that a querier drains. */
const SLOW = `SELECT count(*) AS n FROM crossed a, crossed b, crossed c WHERE a.n + b.n * c.n >= 0 AND c.n < ${THIRD}`;

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ queriers: 2 });
  const rows = Array.from({ length: ROWS }, (_, n) => ({ id: `id-${n % 4}`, payload: { n } }));
  await cluster.rest('POST', '/v1/tables', { table_name: 'crossed', config: { flush_interval_seconds: 1 } });
  assert.equal((await cluster.rest('POST', '/v1/tables/crossed/rows', rows)).status, 200);
});

after(async () => {
  await cluster.stop();
});

/** Its view of the queriers, with their new addresses, comes with its beats. */
async function gatewayLooksAgain(): Promise<void> {
  const infos = await cluster.redis.hgetall(GLOBAL_KEYS.memberInfo);
  const gateway = Object.keys(infos).find((id) => infos[id]!.includes('"gateway"'))!;
  const beat = () => cluster.redis.zscore(GLOBAL_KEYS.members, gateway);
  const last = await beat();
  await waitFor('the gateway beats', async () => (await beat()) !== last);
}

test('every query is answered right by the other querier while one is killed', async () => {
  let asking = true;
  let answered = 0;
  const refused: unknown[] = [];
  const asker = async () => {
    while (asking) {
      const sql = 'SELECT count(*) AS n, sum(n) AS s FROM crossed';
      const { status, body } = await cluster.rest('POST', '/v1/query', { sql });
      if (status === 200) {
        assert.deepEqual(JSON.parse(body.result_json as string), [{ n: ROWS, s: (ROWS * (ROWS - 1)) / 2 }]);
        answered += 1;
      } else {
        refused.push(body.code);
      }
    }
  };
  const askers = Array.from({ length: 4 }, asker);
  try {
    for (const name of ['querier-1', 'querier-2', 'querier-1', 'querier-2']) {
      const seen = answered;
      await waitFor('queries are answered', () => answered > seen + 20);
      await cluster.cluster.restart(name, { how: 'kill' });
      await gatewayLooksAgain();
    }
    const seen = answered;
    await waitFor('queries are answered', () => answered > seen + 20);
  } finally {
    asking = false;
    await Promise.all(askers);
  }
  assert.deepEqual(refused, []);
});

test('a query that no cache can hold is not sent to the next querier', () => {
  const thrown = (kind: 'failed_precondition' | 'resource_exhausted', code: string) =>
    new MiniodbError(kind, '', { code });
  assert.equal(isWorthAnotherQuerier(thrown('failed_precondition', 'cache_too_small')), false);
  assert.equal(isWorthAnotherQuerier(thrown('resource_exhausted', 'cache_full')), true);
});

test('a query under way is answered though its querier says goodbye', async () => {
  const names = ['querier-1', 'querier-2'];
  const running = async (name: string) => {
    const { admin_port } = cluster.cluster.member(name).ports;
    const metrics = await (await fetch(`http://127.0.0.1:${admin_port}/metrics`)).text();
    return /^miniodb_querier_queries_running 1$/m.test(metrics);
  };
  const asked = cluster.rest('POST', '/v1/query', { sql: SLOW });
  await waitFor('the query runs', async () => (await Promise.all(names.map(running))).includes(true));
  // Both, so that no other can answer in its place.
  const left = Promise.all(names.map((name) => cluster.cluster.remove(name)));
  const answer = await asked;
  await left;
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  assert.equal(answer.body.result_json, `[{"n":${ROWS * ROWS * THIRD}}]`);
});

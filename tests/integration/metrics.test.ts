import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import { callRest, startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const TABLES = ['alpha', 'beta', 'gamma'];
const fixed = new FixedKeys('single');

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ gateways: 2, flushers: 2, queriers: 1 });
  const config = { buffer_size: 30, flush_interval_seconds: 2, shards: 2 };
  for (const table_name of TABLES) await cluster.rest('POST', '/v1/tables', { table_name, config });
});

after(async () => {
  await cluster.stop();
});

interface Series {
  readonly process: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

async function scrape(): Promise<Series[]> {
  const series: Series[] = [];
  for (const process of cluster.cluster.names) {
    const { admin_port } = cluster.cluster.member(process).ports;
    const response = await fetch(`http://127.0.0.1:${admin_port}/metrics`);
    assert.equal(response.status, 200);
    for (const line of (await response.text()).split('\n')) {
      const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
      if (match === null) continue;
      const labels = Object.fromEntries(
        Array.from((match[2] ?? '').matchAll(/(\w+)="([^"]*)"/g), ([, name, value]) => [name!, value!]),
      );
      series.push({ process, name: match[1]!, labels, value: Number(match[3]) });
    }
  }
  return series;
}

const ofTable = (all: readonly Series[], name: string, table: string) =>
  all.filter((one) => one.name === name && one.labels.table === table);
const sum = (found: readonly Series[]) => found.reduce((total, { value }) => total + value, 0);

async function write(gateway: number, table: string, rows: number): Promise<void> {
  const { rest_port } = cluster.cluster.member(`gateway-${gateway}`).ports;
  const body = Array.from({ length: rows }, (_, n) => ({ id: `id-${n}`, payload: { n } }));
  const answer = await callRest(`http://127.0.0.1:${rest_port}`, 'POST', `/v1/tables/${table}/rows`, body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

/** Until the gauges of every table, summed over all processes, say what its statistics and its rows say. */
async function expectTrue(): Promise<void> {
  for (const table of TABLES) {
    await waitFor(`the gauges of ${table} say what is there`, async () => {
      const all = await scrape();
      const { body } = await cluster.rest('GET', `/v1/tables/${table}`);
      const stats = body.stats as Record<string, unknown>;
      const keys = await cluster.keysOf(table);
      const [hash, counters, lastWrite] = await Promise.all([
        cluster.redis.hgetall(fixed.stats(table)),
        cluster.redis.hgetall(keys.counters),
        cluster.redis.get(fixed.lastWrite(table)),
      ]);
      const [rows] = await cluster.query(
        `SELECT count(*) AS n, min("timestamp") AS oldest, max("timestamp") AS newest FROM ${table}`,
      );
      const gauge = (name: string) => {
        const found = ofTable(all, `miniodb_table_${name}`, table);
        // One owner: a second one would double the sum, unless it says 0.
        assert.equal(found.length, 1, `${name}: ${JSON.stringify(found)}`);
        return found[0]!.value;
      };
      assert.equal(gauge('records_total'), rows!.n);
      assert.equal(gauge('records_total'), stats.record_count);
      assert.equal(gauge('records_total'), Number(hash.record_count));
      assert.equal(gauge('files_total'), stats.file_count);
      assert.equal(gauge('size_bytes'), stats.size_bytes);
      assert.equal(gauge('buffer_size'), 30);
      assert.equal(gauge('buffer_pending'), body.pending_rows);
      assert.equal(gauge('buffer_pending'), Number(counters.pending_rows));
      assert.equal(gauge('last_write_timestamp'), Date.parse(lastWrite!) / 1_000);
      if (counters.last_flush_ms !== undefined)
        assert.equal(gauge('last_flush_timestamp'), Number(counters.last_flush_ms) / 1_000);
      for (const [bound, said] of [
        ['oldest', stats.oldest_record],
        ['newest', stats.newest_record],
      ] as const)
        assert.equal(Date.parse(String(rows![bound])), Date.parse(String(said)));
      return true;
    });
  }
}

test('gauges summed over all processes are what is there, through writes, flushes and restarts', async () => {
  for (const [at, table] of TABLES.entries()) {
    await write(1, table, 10 + at);
    await write(2, table, 5);
  }
  await expectTrue();
  for (const table of TABLES) await write(2, table, 100);
  for (const table of TABLES)
    await waitFor('it is flushed', async () => (await cluster.pendingRows(table)) === 0);
  await expectTrue();
  await cluster.cluster.restart('flusher-1', { how: 'kill' });
  await write(1, 'beta', 7);
  await expectTrue();
  await cluster.cluster.restartRedis();
  await waitFor('writes pass again', () => write(1, 'gamma', 3).then(() => true));
  await expectTrue();
});

test('durations are counted of every table that a call is about, from both gateways', async () => {
  for (const table of TABLES) await write(1, table, 1);
  const before = await scrape();
  await cluster.query('SELECT count(*) FROM alpha a JOIN beta b ON a.n = b.n');
  await cluster.query('SELECT count(*) FROM alpha');
  await write(1, 'alpha', 1);
  await write(2, 'alpha', 1);
  const after = await scrape();
  const grown = (name: string, table: string) =>
    sum(ofTable(after, name, table)) - sum(ofTable(before, name, table));
  assert.equal(grown('miniodb_table_query_duration_seconds_count', 'alpha'), 2);
  assert.equal(grown('miniodb_table_query_duration_seconds_count', 'beta'), 1);
  assert.equal(grown('miniodb_table_query_duration_seconds_count', 'gamma'), 0);
  assert.equal(grown('miniodb_table_write_duration_seconds_count', 'alpha'), 2);
  await waitFor('its flush is counted', async () => {
    const flushed = ofTable(await scrape(), 'miniodb_table_flush_duration_seconds_count', 'alpha');
    return sum(flushed) > sum(ofTable(before, 'miniodb_table_flush_duration_seconds_count', 'alpha'));
  });
});

test('queue, Redis, object store and cache are told of', async () => {
  await write(1, 'alpha', 1);
  await cluster.query('SELECT count(*) FROM alpha');
  const all = await scrape();
  const named = (name: string, role: string) =>
    all.filter((one) => one.name === name && one.process.startsWith(role));
  for (const role of ['gateway', 'flusher', 'querier']) {
    assert.ok(named('miniodb_redis_up', role).every(({ value }) => value === 1));
    assert.ok(named('miniodb_redis_memory_used_bytes', role).every(({ value }) => value > 0));
    assert.ok(named('process_cpu_seconds_total', role).length > 0);
  }
  assert.equal(sum(named('miniodb_queue_tables', 'flusher')), TABLES.length + 1);
  const puts = named('miniodb_object_store_requests_total', 'flusher');
  assert.ok(puts.some(({ labels, value }) => labels.operation === 'put_file' && value > 0));
  assert.ok(sum(named('miniodb_object_store_bytes_total', 'querier')) > 0);
  assert.ok(sum(named('miniodb_querier_cache_misses_total', 'querier')) > 0);
  assert.ok(sum(named('miniodb_querier_cache_hits_total', 'querier')) > 0);
});

test('no label names a table that there is not, and one that is dropped vanishes', async () => {
  for (const table of TABLES) await write(1, table, 100);
  await waitFor('it is flushed', async () => (await cluster.pendingRows('gamma')) === 0);
  await cluster.rest('POST', '/v1/query', { sql: 'SELECT * FROM never_was' });
  await cluster.rest('POST', '/v1/tables/9-bad!/rows', [{ id: 'x', payload: {} }]);
  await cluster.rest('POST', '/v1/tables/alpha/rows', [{ id: '', payload: {} }]);
  const labelled = async () =>
    new Set((await scrape()).flatMap(({ labels }) => (labels.table === undefined ? [] : [labels.table])));
  assert.deepEqual([...(await labelled())].sort(), ['alpha', 'beta', 'default', 'gamma']);
  assert.equal((await cluster.rest('DELETE', '/v1/tables/gamma?cascade=true')).status, 200);
  await waitFor(
    'its gauges are gone',
    async () => {
      const all = await scrape();
      return ofTable(all, 'miniodb_table_records_total', 'gamma').length === 0;
    },
    5_000,
  );
  await waitFor('so is what was counted of it', async () => !(await labelled()).has('gamma'), 60_000);
});

test('metrics are answered, and say so, while Redis is away', async () => {
  cluster.redis.on('error', () => {});
  const { process } = cluster.cluster.redis!;
  process.signal('SIGSTOP');
  try {
    await waitFor('every process says that Redis does not answer', async () => {
      const up = (await scrape()).filter(({ name }) => name === 'miniodb_redis_up');
      return up.length === cluster.cluster.names.length && up.every(({ value }) => value === 0);
    });
  } finally {
    process.signal('SIGCONT');
  }
});

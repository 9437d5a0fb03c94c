import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';
import { Hints } from '../../apps/flusher/src/flush/hints.ts';
import { startTestScheduler, type TestScheduler } from './scheduling.fixture.ts';

/** Due by nothing but what a test does. */
const NEVER = { buffer_size: 10_000_000, flush_interval_seconds: 86_400 };
const AT_ONCE = { buffer_size: 1, flush_interval_seconds: 86_400 };
/** A changed setting must have reached the flusher by then. */
const CHANGE_MS_MAX = 2_000;
const SLOTS = 3;

let flusher: TestScheduler;
let tableCount = 0;
const newName = () => {
  tableCount += 1;
  return `t${tableCount}`;
};

before(async () => {
  flusher = await startTestScheduler(SLOTS);
});

afterEach(() => {
  flusher.encoder.releaseAll();
});

after(async () => {
  await flusher.stop();
});

const isFlushed = (table: Parameters<TestScheduler['pendingRows']>[0], timeoutMs?: number) =>
  waitFor(`${table.name} is flushed`, async () => (await flusher.pendingRows(table)) === 0, timeoutMs);

/** Whether something that must not happen did not, while another table, which is due later, was flushed. */
async function othersPass(): Promise<void> {
  for (let pass = 0; pass < 2; pass += 1) {
    const other = await flusher.create(newName(), { ...AT_ONCE, shards: 1 });
    await flusher.put(other, 1);
    await isFlushed(other);
  }
}

describe('a table with more due than there are slots', () => {
  test('leaves one to tables that run nothing, which are flushed while its own flushes hang', async () => {
    const noisy = await flusher.create(newName(), { ...AT_ONCE, shards: 4, flush_workers: 64 });
    flusher.encoder.hold(noisy.name);
    for (let shard = 0; shard < 4; shard += 1) await flusher.put(noisy, 10, { shard });
    await waitFor('it has all slots but one', () => flusher.encoder.count(noisy.name) === SLOTS - 1);
    for (let round = 0; round < 5; round += 1) {
      const quiet = await flusher.create(newName(), { ...AT_ONCE, shards: 1 });
      await flusher.put(quiet, 1);
      await isFlushed(quiet);
    }
    assert.equal(flusher.encoder.count(noisy.name), SLOTS - 1);
    flusher.encoder.release(noisy.name);
    await isFlushed(noisy);
  });

  test('runs no more of them at once than its flush_workers, and as many as soon as they are more', async () => {
    const table = await flusher.create(newName(), { ...AT_ONCE, shards: 2, flush_workers: 1 });
    flusher.encoder.hold(table.name);
    for (let shard = 0; shard < 2; shard += 1) await flusher.put(table, 10, { shard });
    await waitFor('the first is under way', () => flusher.encoder.count(table.name) === 1);
    await othersPass();
    assert.equal(flusher.encoder.count(table.name), 1);
    await flusher.set(table, { flush_workers: 2 });
    await waitFor('the second is too', () => flusher.encoder.count(table.name) === 2, CHANGE_MS_MAX);
    flusher.encoder.release(table.name);
    await isFlushed(table);
  });

  test('runs several of one shard at once when it may run more than it has shards', async () => {
    const table = await flusher.create(newName(), {
      ...AT_ONCE,
      shards: 1,
      flush_workers: 2,
      max_flush_rows: 10,
    });
    flusher.encoder.hold(table.name);
    for (let batch = 0; batch < 3; batch += 1) await flusher.put(table, 10);
    await waitFor('two are under way', () => flusher.encoder.count(table.name) === 2);
    const batches = [...flusher.encoder.underWay].flatMap((job) => job.batches.map(({ id }) => id));
    assert.equal(new Set(batches).size, 2);
    assert.equal(batches.length, 2);
    flusher.encoder.release(table.name);
    await isFlushed(table);
    assert.equal(await flusher.seals(table), 0);
  });
});

describe('a paused table', () => {
  test('is not flushed whatever is due, and is within two seconds of its resumption', async () => {
    const table = await flusher.create(newName(), { ...NEVER, shards: 1, flush_paused: true });
    await flusher.put(table, 20, { ageMs: 60_000 });
    await flusher.set(table, { buffer_size: 1, flush_interval_seconds: 1 });
    await othersPass();
    assert.equal(await flusher.pendingRows(table), 20);
    assert.equal(await flusher.seals(table), 0);
    await flusher.set(table, { flush_paused: 'false' });
    await isFlushed(table, CHANGE_MS_MAX);
  });

  test('has the seals that it had before committed', async () => {
    const table = await flusher.create(newName(), { ...AT_ONCE, shards: 1, flush_workers: 1 });
    flusher.encoder.hold(table.name);
    await flusher.put(table, 5);
    await waitFor('its seal is encoded', () => flusher.encoder.count(table.name) === 1);
    await flusher.set(table, { flush_paused: 'true' });
    await flusher.put(table, 7);
    flusher.encoder.release(table.name);
    await waitFor('the seal is committed', async () => (await flusher.seals(table)) === 0);
    await othersPass();
    assert.equal(await flusher.pendingRows(table), 7);
    await flusher.set(table, { flush_paused: 'false' });
    await isFlushed(table, CHANGE_MS_MAX);
  });
});

describe('a changed setting reaches the flusher within two seconds:', () => {
  const changes: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {
    buffer_size: { buffer_size: 5 },
    flush_interval_seconds: { flush_interval_seconds: 1 },
  };
  for (const [field, change] of Object.entries(changes)) {
    test(field, async () => {
      const table = await flusher.create(newName(), { ...NEVER, shards: 1 });
      await flusher.put(table, 5);
      await othersPass();
      assert.equal(await flusher.pendingRows(table), 5);
      await flusher.set(table, change);
      await isFlushed(table, CHANGE_MS_MAX);
    });
  }

  test('max_flush_rows and layout, which the next seal has', async () => {
    const table = await flusher.create(newName(), { ...NEVER, shards: 1, flush_workers: 1 });
    await flusher.put(table, 5);
    await flusher.put(table, 5);
    await othersPass();
    flusher.encoder.hold(table.name);
    await flusher.set(table, { max_flush_rows: 5, layout: 'packed', buffer_size: 1 });
    const [job] = await waitFor(
      'a seal is encoded',
      () => flusher.encoder.count(table.name) === 1 && [...flusher.encoder.underWay],
      CHANGE_MS_MAX,
    );
    assert.deepEqual([job!.batches.length, job!.layout.mode], [1, 'packed']);
    flusher.encoder.release(table.name);
    await isFlushed(table);
  });

  test('shards, when there are more of them', async () => {
    const table = await flusher.create(newName(), { ...AT_ONCE, shards: 1 });
    await flusher.put(table, 5);
    await isFlushed(table);
    await flusher.set(table, { shards: 4 });
    const grown = { ...table, config: { ...table.config, shards: 4 } };
    await flusher.put(grown, 5, { shard: 3 });
    await isFlushed(grown, CHANGE_MS_MAX);
  });
});

describe('hints', () => {
  test('are told of to whoever waits for the first', async () => {
    const listener = await flusher.server.connect();
    let toldCount = 0;
    const hints = new Hints(flusher.server.redis, listener, () => {
      toldCount += 1;
    });
    hints.listen();
    await waitFor('it listens', () => hints.isListening);
    const before = toldCount;
    await flusher.put(await flusher.create(newName(), NEVER), 1);
    await waitFor('it is told', () => toldCount > before);
  });

  test('that get lost only delay: what they announced is found', async () => {
    const table = await flusher.create(newName(), { ...AT_ONCE, shards: 1 });
    await flusher.put(table, 5, { hinted: false });
    await isFlushed(table, 30_000);
  });
});

describe('a cluster', () => {
  let cluster: TestCluster;

  before(async () => {
    cluster = await startTestCluster({ flushers: 1 });
  });

  after(async () => {
    await cluster.stop();
  });

  test('takes writes to a paused table until max_pending_bytes, and says then that it is paused', async () => {
    const config = { shards: 1, buffer_size: 1, flush_paused: true, max_pending_bytes: 1_048_576 };
    const created = await cluster.rest('POST', '/v1/tables', { table_name: 'halted', config });
    assert.equal(created.status, 200, JSON.stringify(created.body));
    const text = () => Math.random().toString(36).repeat(2);
    const rows = () =>
      Array.from({ length: 5_000 }, (_, n) => ({ id: `id-${n}`, payload: { n, text: text() } }));
    let accepted = 0;
    const refused = await waitFor('the table is full', async () => {
      const answer = await cluster.rest('POST', '/v1/tables/halted/rows', rows());
      if (answer.status !== 200) return answer;
      accepted += 5_000;
      return undefined;
    });
    assert.deepEqual([refused.status, refused.body.code], [429, 'pending_bytes_exceeded']);
    assert.match(String(refused.body.message), /flushes are paused \(flush_paused\)/);
    assert.equal(await cluster.pendingRows('halted'), accepted);
    assert.equal(await cluster.count('halted'), accepted);
    await cluster.redis.hset('table:halted:config', 'flush_paused', 'false');
    await waitFor('it is flushed', async () => (await cluster.pendingRows('halted')) === 0);
    assert.equal((await cluster.rest('POST', '/v1/tables/halted/rows', rows())).status, 200);
    await waitFor('all is there', async () => (await cluster.count('halted')) === accepted + 5_000);
  });
});

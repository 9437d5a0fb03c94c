import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { askFlush } from '@miniodb/core/queue/ask-flush.ts';
import { lookAtCommits } from '@miniodb/core/queue/look-commits.ts';
import { lookAtShard, revokeSeal, sealShard } from '@miniodb/core/queue/seals.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, GLOBAL_KEYS, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const fixed = new FixedKeys('single');
const LIMITS = { rowsMax: 1_000, bytesMax: 1e9, rawBytesMax: 1e9, batchesMax: 1_000, daysMax: 366 };
const LAYOUT = { mode: 'auto', filesMax: 64, ownIdsMax: 8, ownRowsMin: 10_000 } as const;

describe('in Redis', () => {
  let server: TestRedis;
  let redis: Redis;

  before(async () => {
    server = await startTestRedis();
    redis = server.redis;
  });

  after(() => server.stop());

  async function newTable(shards = 2) {
    const table = `t${randomBytes(6).toString('hex')}`;
    const catalog = new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG);
    await catalog.create(table, { shards }, 10_000, '2026-01-01T00:00:00.000000Z');
    const { generation } = (await catalog.read(table))!;
    const keys = new ProtocolKeys(table, generation);
    const ref = (shard: number) => ({ table, generation, shard: `s0${shard}` });
    let puts = 0;
    return {
      keys,
      /** One batch of a put of its own. @returns its sequence */
      async put(shard: number): Promise<string> {
        puts += 1;
        const [id, seq] = [`put${puts}-0`, await redis.hincrby(keys.counters, 'seq', 1)];
        await redis.hincrby(keys.counters, 'pending_batches', 1);
        await redis.zadd(keys.pending(`s0${shard}`), seq, id);
        await redis.zadd(keys.unsealed(`s0${shard}`), seq, id);
        await redis.hset(keys.batchMeta(`s0${shard}`), id, '1:1:10:10:1700000000000:0:0:0');
        await redis.zadd(keys.done, Date.now() + 60_000, `put${puts}`);
        return String(seq);
      },
      ask: (
        seq: string | undefined,
        shardsAsked: readonly number[] | { count: number } = { count: shards },
      ) => askFlush(redis, fixed, { table, generation, seq, shards: shardsAsked }),
      isAsked: async (shard: number) => (await lookAtShard(redis, fixed, ref(shard))).isAsked,
      seal: (shard: number, id: string, batchesMax = 1_000) =>
        sealShard(redis, fixed, ref(shard), id, { ...LIMITS, batchesMax }, LAYOUT),
      revoke: (shard: number, id: string, bad: readonly string[]) =>
        revokeSeal(redis, ref(shard), id, 'bad', bad),
      commitStates: (...targets: Parameters<typeof lookAtCommits>[4]) =>
        lookAtCommits(redis, fixed, table, generation, targets),
      /** As a commit does with a batch. */
      async commit(shard: number, id: string) {
        await redis.zrem(keys.pending(`s0${shard}`), id);
        await redis.zrem(keys.unsealed(`s0${shard}`), id);
      },
      drop: () => redis.del(fixed.config(table)),
      set: (field: string, value: string) => redis.hset(fixed.config(table), field, value),
    };
  }

  test('an asked flush is of what is pending then, in every shard that has some, and not of what comes later', async () => {
    const table = await newTable();
    await table.put(0);
    const seq = await table.put(0);
    const asked = await table.ask(undefined);
    assert.deepEqual(asked, { status: 'ok', seq, pendingBatches: 2, flushPaused: undefined });
    assert.deepEqual([await table.isAsked(0), await table.isAsked(1)], [true, false]);
    await table.put(1);
    assert.equal(await table.isAsked(1), false);
    assert.equal(await table.seal(0, 'seal-1', 1), 'ok');
    assert.equal(await table.isAsked(0), true);
    assert.equal(await table.seal(0, 'seal-2', 1), 'ok');
    await table.put(0);
    assert.equal(await table.isAsked(0), false);
  });

  test('asking again, or for less, takes nothing back, and nobody asks for what is yet to come', async () => {
    const table = await newTable();
    const first = await table.put(0);
    await table.put(0);
    for (const seq of ['999', undefined, first]) assert.equal((await table.ask(seq)).status, 'ok');
    await table.seal(0, 'seal-1', 1);
    assert.equal(await table.isAsked(0), true);
    await table.seal(0, 'seal-2', 1);
    await table.put(0);
    assert.equal(await table.isAsked(0), false);
  });

  test('what a revoked seal gives back is still asked for', async () => {
    const table = await newTable();
    await table.put(0);
    await table.put(0);
    await table.ask(undefined);
    await table.seal(0, 'seal-1');
    assert.equal(await table.isAsked(0), false);
    await table.revoke(0, 'seal-1', ['put1-0']);
    assert.equal(await table.isAsked(0), true);
  });

  test('asking leaves a hint at the shards that have something, and none elsewhere', async () => {
    const table = await newTable(3);
    await table.put(1);
    await redis.del(GLOBAL_KEYS.dirty);
    await table.ask(undefined);
    const hints = await waitFor('the hint is left', async () => {
      const found = await redis.zrange(GLOBAL_KEYS.dirty, '0', '-1');
      return found.length > 0 && found;
    });
    assert.deepEqual(
      hints.map((hint) => hint.split('|')[1]),
      ['s01'],
    );
  });

  test('asking of another incarnation, or with another shard count, is told so', async () => {
    const table = await newTable();
    await table.put(0);
    assert.deepEqual(await table.ask(undefined, { count: 1 }), { status: 'stale' });
    assert.equal((await table.ask(undefined, [0])).status, 'ok');
    await table.set('flush_paused', 'true');
    const asked = await table.ask(undefined);
    assert.equal(asked.status === 'ok' && asked.flushPaused, true);
    await table.drop();
    assert.deepEqual(await table.ask(undefined), { status: 'gone' });
  });

  test('asking where a key has another type changes nothing', async () => {
    const table = await newTable();
    await table.put(1);
    await redis.set(table.keys.unsealed('s00'), 'a text');
    await assert.rejects(table.ask(undefined), { code: 'redis_wrong_type' });
    assert.equal(await table.isAsked(1), false);
  });

  test('a put is committed when none of its batches is pending, and Redis knows of it', async () => {
    const table = await newTable();
    const seq = await table.put(0);
    const put = { kind: 'put', putId: 'put1', seq, batches: [{ id: 'put1-0', shard: 0 }] } as const;
    assert.deepEqual(await table.commitStates(put), ['pending']);
    await table.seal(0, 'seal-1');
    assert.deepEqual(await table.commitStates(put), ['pending']);
    await table.commit(0, 'put1-0');
    assert.deepEqual(await table.commitStates(put), ['committed']);
    assert.deepEqual(await table.commitStates({ ...put, putId: 'unknown' }), ['lost']);
    await table.drop();
    assert.deepEqual(await table.commitStates(put), ['gone']);
  });

  test('a put one of whose batches was set aside is neither pending nor committed', async () => {
    const table = await newTable();
    const seq = await table.put(0);
    await table.put(1);
    const batches = [
      { id: 'put1-0', shard: 0 },
      { id: 'put2-0', shard: 1 },
    ];
    await table.seal(0, 'seal-1');
    await table.revoke(0, 'seal-1', ['put1-0']);
    assert.deepEqual(await table.commitStates({ kind: 'put', putId: 'put1', seq, batches }), ['set_aside']);
  });

  test('all up to a sequence is committed when nothing at or below it is pending, in any shard', async () => {
    const table = await newTable();
    const first = await table.put(0);
    const second = await table.put(1);
    await table.put(0);
    const upTo = (seq: string) => ({ kind: 'upTo', seq, shardCount: 2 }) as const;
    await table.commit(0, 'put1-0');
    assert.deepEqual(await table.commitStates(upTo(first), upTo(second), upTo('99')), [
      'committed',
      'pending',
      'lost',
    ]);
    await table.seal(1, 'seal-1');
    await table.revoke(1, 'seal-1', ['put2-0']);
    assert.deepEqual(await table.commitStates(upTo(first), upTo(second)), ['committed', 'set_aside']);
  });
});

describe('a flush that somebody asks for', () => {
  let cluster: TestCluster;

  before(async () => {
    cluster = await startTestCluster();
  });

  after(() => cluster.stop());

  async function tableWith(name: string, rows: number, config: Record<string, unknown> = {}): Promise<void> {
    const all = { buffer_size: 1_000_000, flush_interval_seconds: 3_600, ...config };
    assert.equal((await cluster.rest('POST', '/v1/tables', { table_name: name, config: all })).status, 200);
    await insert(name, rows);
  }

  async function insert(name: string, rows: number): Promise<void> {
    if (rows === 0) return;
    const body = Array.from({ length: rows }, (_, n) => ({ id: `id-${n}`, payload: { n } }));
    assert.equal((await cluster.rest('POST', `/v1/tables/${name}/rows`, body)).status, 200);
  }

  const flush = async (name: string, body?: unknown) => {
    const answer = await cluster.rest('POST', `/v1/tables/${name}/flush`, body);
    return { status: answer.status, ...answer.body };
  };

  test('is answered when everything that was pending is in files', async () => {
    await tableWith('flushed', 500, { shards: 5 });
    assert.equal(await cluster.pendingRows('flushed'), 500);
    const answered = { status: 200, success: true, message: '', pending_rows: 0, flushed: true };
    assert.deepEqual(await flush('flushed'), answered);
    assert.equal(await cluster.pendingRows('flushed'), 0);
    assert.equal(await cluster.count('flushed'), 500);
    // Nothing is left to do: nothing is asked, and nothing waits.
    assert.deepEqual(await flush('flushed', { wait: true }), answered);
  });

  test('is over once it is done: what comes later waits for its time', async () => {
    await tableWith('flushed_once', 10);
    await flush('flushed_once');
    await insert('flushed_once', 5);
    await tableWith('flushed_meanwhile', 5);
    await flush('flushed_meanwhile');
    assert.equal(await cluster.pendingRows('flushed_once'), 5);
  });

  test('is not waited for where that is not wanted, and happens all the same', async () => {
    await tableWith('flushed_later', 20);
    const { status, flushed, pending_rows: rows } = (await flush('flushed_later', { wait: false })) as never;
    assert.deepEqual([status, flushed, rows], [200, false, 20]);
    await waitFor('it is flushed', async () => (await cluster.pendingRows('flushed_later')) === 0);
  });

  test('does not override flush_paused, says so, and happens when flushes are no longer paused', async () => {
    await tableWith('flushed_paused', 20, { flush_paused: true });
    const answer = (await flush('flushed_paused')) as unknown as Record<string, unknown>;
    assert.deepEqual([answer.status, answer.flushed, answer.pending_rows], [200, false, 20]);
    assert.match(String(answer.message), /flush_paused/);
    const unpaused = { config: { flush_paused: false } };
    assert.equal((await cluster.rest('PATCH', '/v1/tables/flushed_paused', unpaused)).status, 200);
    await waitFor('it is flushed', async () => (await cluster.pendingRows('flushed_paused')) === 0);
  });

  test('of a table that there is not, or with a field that nobody knows, is refused', async () => {
    const code = async (name: string, body?: unknown) => {
      const { status, code } = (await flush(name, body)) as unknown as { status: number; code: string };
      return [status, code];
    };
    assert.deepEqual(await code('no_such_table'), [404, 'table_not_found']);
    await tableWith('flushed_strictly', 0);
    assert.deepEqual(await code('flushed_strictly', { wiat: true }), [400, 'unknown_field']);
    assert.deepEqual(await code('flushed_strictly', { wait: 'no' }), [400, 'invalid_field']);
    assert.equal((await cluster.rest('GET', '/v1/tables/flushed_strictly/flush')).status, 405);
  });

  test('is a command too, which waits and says how it went', async () => {
    await tableWith('flushed_by_command', 30);
    const run = (...args: string[]) => command(cluster.restUrl, 'table', 'flush', ...args);
    assert.deepEqual(await run('flushed_by_command'), {
      code: 0,
      out: 'Table flushed_by_command is flushed.\n',
    });
    await tableWith('paused_by_command', 30, { flush_paused: true });
    const paused = await run('paused_by_command');
    assert.equal(paused.code, 1);
    assert.match(paused.out, /not flushed: .*flush_paused/);
    await insert('flushed_by_command', 2);
    const asked = await run('flushed_by_command', '--no-wait');
    assert.deepEqual(asked, {
      code: 0,
      out: 'Asked for a flush of table flushed_by_command: 2 rows pending.\n',
    });
  });
});

const CLI = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url));

function command(url: string, ...args: string[]): Promise<{ code: number; out: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args, '--url', url], (error, out) => {
      resolve({ code: Number(error?.code ?? 0), out });
    });
  });
}

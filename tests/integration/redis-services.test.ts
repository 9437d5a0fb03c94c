import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Member, Membership } from '@miniodb/core/placement/members.ts';
import { closeRedis, redisTimeMs } from '@miniodb/core/redis/client.ts';
import { RedisClock } from '@miniodb/core/redis/clock.ts';
import { Durability } from '@miniodb/core/redis/durability.ts';
import { runVerb } from '@miniodb/core/redis/script.ts';
import { silentLog } from '@miniodb/core/runtime/log.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys, GLOBAL_KEYS } from '@miniodb/core/table/keys.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

let server: TestRedis;

before(async () => {
  server = await startTestRedis();
});

after(async () => {
  await server.stop();
});

describe('the durable acknowledgement', () => {
  const settings: [string, string, string][] = [
    ['appendfsync', 'everysec', 'always'],
    ['no-appendfsync-on-rewrite', 'yes', 'no'],
    ['appendonly', 'no', 'yes'],
    ['maxmemory-policy', 'allkeys-lru', 'noeviction'],
  ];
  for (const [name, bad, good] of settings) {
    test(`is refused while Redis has ${name} ${bad}`, async () => {
      await new Durability(server.redis).require();
      await server.redis.config('SET', name, bad);
      try {
        await assert.rejects(
          new Durability(server.redis).require(),
          (error: { code: string; message: string }) => {
            assert.equal(error.code, 'ack_not_available');
            assert.match(error.message, new RegExp(name));
            return true;
          },
        );
      } finally {
        await server.redis.config('SET', name, good);
      }
    });
  }

  test('is checked again after every reconnection', async () => {
    const redis = await server.connect();
    const durability = new Durability(redis);
    durability.start();
    try {
      await durability.require();
      await server.redis.config('SET', 'appendfsync', 'everysec');
      const reconnected = new Promise((resolve) => redis.once('ready', resolve));
      redis.disconnect(true);
      await reconnected;
      await assert.rejects(durability.require(), { code: 'ack_not_available' });
    } finally {
      durability.stop();
      await server.redis.config('SET', 'appendfsync', 'always');
    }
  });
});

describe('members', () => {
  const flusher = (id: string): Member => ({ id, role: 'flusher', address: '' });
  const join = async (id: string) => {
    const redis = await server.connect();
    const membership = new Membership(redis, silentLog(), flusher(id));
    await membership.join();
    return { redis, membership };
  };

  test('see each other come, leave, and die', async () => {
    const a = await join('a');
    const b = await join('b');
    const seenBy = ({ membership }: typeof a) =>
      membership
        .live('flusher')
        .map((member) => member.id)
        .join(',');
    await waitFor('a sees b', () => seenBy(a) === 'a,b');
    await b.membership.leave();
    // Sooner than silence would be taken for death.
    await waitFor('a sees b gone', () => seenBy(a) === 'a', 3_000);
    const c = await join('c');
    await waitFor('a sees c', () => seenBy(a) === 'a,c');
    // Without a word: its heartbeats just stop.
    c.redis.disconnect();
    await waitFor('a sees c dead', () => seenBy(a) === 'a');
    await c.membership.leave();
    await a.membership.leave();
  });

  test('are kept for a while when Redis has forgotten them without a goodbye', async () => {
    const a = await join('kept-a');
    const b = await join('kept-b');
    await waitFor('a sees b', () => a.membership.live('flusher').length === 2);
    b.redis.disconnect();
    // As after a jump of Redis' clock: b's last beat is two minutes old.
    await server.redis.zincrby(GLOBAL_KEYS.members, -120_000, 'kept-b');
    await waitFor('a beats', async () => !(await server.redis.hexists(GLOBAL_KEYS.memberInfo, 'kept-b')));
    const beat = await server.redis.zscore(GLOBAL_KEYS.members, 'kept-a');
    await waitFor(
      'a beats again',
      async () => (await server.redis.zscore(GLOBAL_KEYS.members, 'kept-a')) !== beat,
    );
    assert.equal(a.membership.live('flusher').length, 2);
    await waitFor('a sees b dead', () => a.membership.live('flusher').length === 1);
    await b.membership.leave();
    await a.membership.leave();
  });

  test('are seen although others have a role that nobody knows yet, or an unreadable entry', async () => {
    const b = await join('readable-b');
    const unreadable = ['{"id":"odd-0","role":"compactor","address":""}', 'no json'];
    for (const [n, info] of unreadable.entries()) {
      await server.redis.hset(GLOBAL_KEYS.memberInfo, `odd-${n}`, info);
      await server.redis.zadd(GLOBAL_KEYS.members, (await redisTimeMs(server.redis)) + 60_000, `odd-${n}`);
    }
    await server.redis.zadd(GLOBAL_KEYS.members, (await redisTimeMs(server.redis)) + 60_000, 'odd-2');
    const warned: unknown[] = [];
    const log = silentLog();
    log.warn = (fields: unknown) => void warned.push(fields);
    const a = new Membership(await server.connect(), log, flusher('readable-a'));
    await a.join();
    assert.deepEqual(
      a.live('flusher').map((member) => member.id),
      ['readable-a', 'readable-b'],
    );
    const beat = await server.redis.zscore(GLOBAL_KEYS.members, 'readable-a');
    await waitFor(
      'a beats again',
      async () => (await server.redis.zscore(GLOBAL_KEYS.members, 'readable-a')) !== beat,
    );
    assert.deepEqual(
      warned,
      [...unreadable, null].map((info) => ({ event: 'member_unreadable', info })),
    );
    await a.leave();
    await b.membership.leave();
    await server.redis.zrem(GLOBAL_KEYS.members, 'odd-0', 'odd-1', 'odd-2');
  });

  test('keep their last view while Redis is away', async () => {
    const a = await join('view-a');
    const b = await join('view-b');
    await waitFor('a sees b', () => a.membership.live('flusher').length === 2);
    await closeRedis(a.redis);
    await waitFor('beats fail', () => a.redis.status === 'end');
    assert.equal(a.membership.live('flusher').length, 2);
    await a.membership.leave();
    await b.membership.leave();
  });
});

test('a hint that was renewed since it was read is not taken away', async () => {
  const { redis } = server;
  await redis.zadd(GLOBAL_KEYS.dirty, 1_000, 't|s00');
  const read = (await redis.zscore(GLOBAL_KEYS.dirty, 't|s00'))!;
  await redis.zadd(GLOBAL_KEYS.dirty, 1_001, 't|s00');
  assert.equal(await runVerb(redis, 'settle', [GLOBAL_KEYS.dirty], ['t|s00', read]), 0);
  const again = (await redis.zscore(GLOBAL_KEYS.dirty, 't|s00'))!;
  assert.equal(await runVerb(redis, 'settle', [GLOBAL_KEYS.dirty], ['t|s00', again]), 1);
  assert.equal(await redis.zcard(GLOBAL_KEYS.dirty), 0);
});

test('the clock follows Redis, not this machine', async () => {
  const clock = new RedisClock();
  await clock.start(server.redis);
  assert.ok(Math.abs(clock.nowMs() - (await redisTimeMs(server.redis))) < 500);
  clock.stop();
});

describe('the catalog', () => {
  test('creates a table once under concurrent creation, and keeps to the limit of tables', async () => {
    const fixed = new FixedKeys('single');
    const catalogs = await Promise.all(
      Array.from({ length: 4 }, async () => new Catalog(await server.connect(), fixed, DEFAULT_TABLE_CONFIG)),
    );
    const create = (catalog: Catalog, name: string) =>
      catalog.create(name, {}, 10, '2026-01-01T00:00:00.000000Z');
    const same = await Promise.all(catalogs.map((catalog) => create(catalog, 'same')));
    assert.deepEqual(same.sort(), ['created', 'exists', 'exists', 'exists']);
    const many = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => create(catalogs[n % catalogs.length]!, `table_${n}`)),
    );
    assert.equal(many.filter((outcome) => outcome.status === 'fulfilled').length, 9);
    for (const outcome of many) {
      if (outcome.status === 'rejected')
        assert.equal((outcome.reason as { code: string }).code, 'too_many_tables');
    }
    assert.equal((await catalogs[0]!.names()).length, 10);
    assert.equal(await catalogs[0]!.read('nowhere'), undefined);
  });
});

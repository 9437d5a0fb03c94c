import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runVerb } from '@miniodb/core/redis/script.ts';
import { alterTable, type TableAlteration } from '@miniodb/core/table/alter.ts';
import { Catalog, type TableOwner } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { describeTables } from '@miniodb/core/table/describe.ts';
import { dropTable } from '@miniodb/core/table/drop.ts';
import { readDrop, readDropIntents } from '@miniodb/core/table/drop-record.ts';
import { FixedKeys, ProtocolKeys, tablesOfUser } from '@miniodb/core/table/keys.ts';
import { settleListing } from '@miniodb/core/table/listing.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';

let server: TestRedis;
const fixed = new FixedKeys('single');
const CREATED = '2026-01-01T00:00:00.000000Z';

before(async () => {
  server = await startTestRedis();
});

after(async () => {
  await server.stop();
});

const catalog = () => new Catalog(server.redis, fixed, DEFAULT_TABLE_CONFIG);

async function made(name: string, owner?: TableOwner): Promise<string> {
  assert.equal(await catalog().create(name, { shards: 2 }, 1_000, CREATED, owner), 'created');
  return (await catalog().read(name))!.generation;
}

const drop = (name: string, generation: string, cascade = false) =>
  dropTable(server.redis, fixed, name, generation, { cascade, by: 'tester' });

describe('drop', () => {
  test('ends a table at one instant and leaves what is needed to collect it', async () => {
    const generation = await made('dropped');
    await server.redis.hset(fixed.stats('dropped'), 'record_count', '5', 'file_count', '3');
    await server.redis.set(fixed.lastWrite('dropped'), CREATED);
    assert.deepEqual(await drop('dropped', generation), { status: 'not_empty', rows: '5' });
    assert.equal((await catalog().read('dropped'))!.generation, generation);
    assert.deepEqual(await drop('dropped', generation, true), { status: 'dropped', files: 3 });
    const fixedKeys = [fixed.config, fixed.stats, fixed.createdAt, fixed.lastWrite];
    assert.equal(await server.redis.exists(fixedKeys.map((key) => key.call(fixed, 'dropped'))), 0);
    assert.equal(await server.redis.sismember('tables:list', 'dropped'), 0);
    const { record, sweptMs } = (await readDrop(server.redis, fixed, 'dropped', generation))!;
    assert.deepEqual(
      [record.table, record.generation, record.dropped_by, record.shard_history, record.files, sweptMs],
      ['dropped', generation, 'tester', '2', '3', undefined],
    );
    const intents = await readDropIntents(server.redis, 100);
    assert.ok(intents.some(({ table, generation: of }) => table === 'dropped' && of === generation));
  });

  test('answers the same when it is repeated, even when the name is taken again', async () => {
    const generation = await made('repeated');
    await drop('repeated', generation);
    const next = await made('repeated');
    assert.deepEqual(await drop('repeated', generation), { status: 'dropped', files: 0 });
    assert.equal((await catalog().read('repeated'))!.generation, next);
    assert.equal(await server.redis.sismember('tables:list', 'repeated'), 1);
    assert.deepEqual(await drop('repeated', 'somebody-elses'), { status: 'gone' });
  });

  test('counts rows that are pending, though the statistics were lost', async () => {
    const generation = await made('pending');
    await server.redis.hset(new ProtocolKeys('pending', generation).counters, 'pending_batches', '1');
    assert.equal((await drop('pending', generation)).status, 'not_empty');
  });

  test('changes nothing when a key is of a wrong type', async () => {
    const generation = await made('typed');
    await server.redis.del(fixed.stats('typed'));
    await server.redis.set(fixed.stats('typed'), 'text');
    await assert.rejects(drop('typed', generation, true), { code: 'redis_wrong_type' });
    assert.equal((await catalog().read('typed'))!.generation, generation);
    assert.equal(await server.redis.exists(fixed.drops('typed')), 0);
  });
});

describe('alter', () => {
  const alter = (name: string, generation: string, change: Partial<TableAlteration>) =>
    alterTable(server.redis, fixed, name, generation, { set: {}, unset: [], status: undefined, ...change });

  test('sets, removes and archives, all of it or nothing', async () => {
    const generation = await made('altered');
    const change = { set: { buffer_size: 5, shards: 4 }, unset: [], status: 'archived' } as const;
    for (let time = 0; time < 2; time += 1) {
      assert.deepEqual(await alter('altered', generation, change), { status: 'ok' });
    }
    const hash = await server.redis.hgetall(fixed.config('altered'));
    assert.deepEqual(
      [hash.buffer_size, hash.shards, hash.shard_history, hash.status],
      ['5', '4', '2,4', 'archived'],
    );
    const refused = { set: { buffer_size: 6, shards: 3 } };
    assert.deepEqual(await alter('altered', generation, refused), { status: 'shrink', shards: 4 });
    assert.deepEqual(await server.redis.hgetall(fixed.config('altered')), hash);
    await alter('altered', generation, { unset: ['buffer_size'] });
    assert.equal(await server.redis.hexists(fixed.config('altered'), 'buffer_size'), 0);
  });

  test('never touches another incarnation', async () => {
    const old = await made('reincarnated');
    await drop('reincarnated', old);
    await made('reincarnated');
    assert.deepEqual(await alter('reincarnated', old, { status: 'archived' }), { status: 'gone' });
    assert.equal((await catalog().read('reincarnated'))!.status, 'active');
    assert.deepEqual(await alter('no_such_table', old, { status: 'archived' }), { status: 'gone' });
  });

  test('takes the count of a table from before histories for its history', async () => {
    const generation = await made('early');
    await server.redis.hdel(fixed.config('early'), 'shard_history');
    await alter('early', generation, { set: { shards: 3 } });
    assert.equal(await server.redis.hget(fixed.config('early'), 'shard_history'), '2,3');
  });
});

describe('describe', () => {
  test('answers which incarnation there is to whoever asks for another', async () => {
    const generation = await made('asked');
    const keys = new ProtocolKeys('asked', 'ffffffffffff');
    const ask = (table: string) =>
      runVerb(
        server.redis,
        'describeTable',
        [
          fixed.config(table),
          fixed.stats(table),
          fixed.createdAt(table),
          fixed.lastWrite(table),
          keys.counters,
          keys.schema,
        ],
        ['ffffffffffff', 1],
      );
    assert.deepEqual(await ask('asked'), ['moved', generation]);
    assert.deepEqual(await ask('never_asked'), ['absent']);
  });

  test('reads a table that is made anew meanwhile as one of the two, never as a mixture', async () => {
    let generation = await made('moving');
    let isMoving = true;
    const move = async () => {
      while (isMoving) {
        const columns = new ProtocolKeys('moving', generation).schema;
        await server.redis.hset(columns, generation, `varchar:${generation}`);
        await drop('moving', generation, true);
        generation = await made('moving');
      }
    };
    const moving = move();
    for (let look = 0; look < 300; look += 1) {
      const [report] = await describeTables(server.redis, fixed, DEFAULT_TABLE_CONFIG, ['moving'], true);
      for (const column of report?.schema.values() ?? []) {
        assert.equal(column.name, report!.table.generation);
      }
    }
    isMoving = false;
    await moving;
  });
});

describe('the tables of a user', () => {
  const alice = { user: 'alice', tablesMax: 2 };

  test('are limited, and dropping one makes room', async () => {
    const first = await made('alices_1', alice);
    await made('alices_2', alice);
    const third = catalog().create('alices_3', {}, 1_000, CREATED, alice);
    await assert.rejects(third, { code: 'too_many_tables' });
    assert.equal(await server.redis.sismember('tables:list', 'alices_3'), 0);
    assert.equal(await catalog().create('alices_1', {}, 1_000, CREATED, alice), 'exists');
    assert.equal(await server.redis.hget(fixed.config('alices_1'), 'created_by'), 'alice');
    await drop('alices_1', first);
    await made('alices_3', alice);
    assert.deepEqual(await server.redis.zrange(tablesOfUser('alice'), '0', '-1'), ['alices_2', 'alices_3']);
  });

  test('do not hold what somebody else has made', async () => {
    const bob = { user: 'bob', tablesMax: 1 };
    await made('shared_name');
    assert.equal(await catalog().create('shared_name', {}, 1_000, CREATED, bob), 'exists');
    await made('bobs', bob);
  });

  test('do not hold for ever what was reserved by a creator that died', async () => {
    const carol = { user: 'carol', tablesMax: 1 };
    await server.redis.zadd(tablesOfUser('carol'), '1', 'never_made');
    await made('carols', carol);
    assert.deepEqual(await server.redis.zrange(tablesOfUser('carol'), '0', '-1'), ['carols']);
  });

  test('are limited under concurrent creation', async () => {
    const dave = { user: 'dave', tablesMax: 3 };
    const catalogs = await Promise.all(
      Array.from({ length: 4 }, async () => new Catalog(await server.connect(), fixed, DEFAULT_TABLE_CONFIG)),
    );
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) => catalogs[n % 4]!.create(`daves_${n}`, {}, 1_000, CREATED, dave)),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 3);
  });
});

describe('the list of tables', () => {
  test('is settled by what the config says, whatever it said before', async () => {
    await made('settled');
    await server.redis.srem('tables:list', 'settled');
    await server.redis.sadd('tables:list', 'ghost');
    for (const name of ['settled', 'ghost']) await settleListing(server.redis, fixed, name, undefined);
    const names = await catalog().names();
    assert.deepEqual([names.includes('settled'), names.includes('ghost')], [true, false]);
  });

  test('keeps every table that is there while names are dropped and made anew from many sides', async () => {
    const catalogs = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const redis = await server.connect();
        return { redis, catalog: new Catalog(redis, fixed, DEFAULT_TABLE_CONFIG) };
      }),
    );
    await Promise.all(
      catalogs.map(async ({ redis, catalog }) => {
        for (let round = 0; round < 100; round += 1) {
          await catalog.create('contended', {}, 1_000, CREATED);
          const table = await catalog.read('contended');
          if (table === undefined) continue;
          await dropTable(redis, fixed, 'contended', table.generation, { cascade: true, by: '' });
        }
      }),
    );
    const there = (await catalog().read('contended')) !== undefined;
    assert.equal((await catalog().names()).includes('contended'), there);
    await made('contended_after');
  });

  test('a reservation whose creator died does not block the name', async () => {
    await runVerb(server.redis, 'reserveTable', [fixed.tablesList], ['half_made', '1000']);
    assert.equal(await catalog().read('half_made'), undefined);
    await made('half_made');
  });
});

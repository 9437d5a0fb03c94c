import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { JobProducer } from '@miniodb/core/queue/jobs.ts';
import { type PutRequest, sendPut } from '@miniodb/core/queue/put.ts';
import { type Redis, redisTimeMs } from '@miniodb/core/redis/client.ts';
import type { Verb } from '@miniodb/core/redis/script.ts';
import { alterTable } from '@miniodb/core/table/alter.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { dropTable } from '@miniodb/core/table/drop.ts';
import { FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { rowLine } from '@miniodb/core/table/row-line.ts';
import { startTestRedis, type TestRedis } from '@miniodb/testkit/redis.ts';

/** Commands that hang on a dying connection, or whose process stood still, and arrive when nobody expects them. */
const fixed = new FixedKeys('single');
const CREATED_AT = '2026-01-01T00:00:00.000000Z';

let server: TestRedis;
let redis: Redis;
let producer: JobProducer;

before(async () => {
  server = await startTestRedis();
  redis = server.redis;
  producer = new JobProducer(redis);
});

after(async () => {
  await producer.close();
  await server.stop();
});

const newName = () => `t${randomBytes(6).toString('hex')}`;
const catalogOn = (connection: Redis) => new Catalog(connection, fixed, DEFAULT_TABLE_CONFIG);

type Call = (...args: unknown[]) => Promise<unknown>;

/** A connection on which a verb goes another way. */
async function withVerb(verb: Verb, change: (send: Call) => Call): Promise<Redis> {
  const connection = await server.connect();
  const commands = connection as unknown as Record<string, Call>;
  const name = `miniodb_${verb}`;
  const send = commands[name]!.bind(connection);
  commands[name] = change(send);
  return connection;
}

/** The verb's first answer is lost, and `meanwhile` happens before it is asked for again. */
function losesFirstReply(verb: Verb, meanwhile: () => Promise<void>): Promise<Redis> {
  let isFirst = true;
  return withVerb(verb, (send) => async (...args) => {
    const reply = await send(...args);
    if (!isFirst) return reply;
    isFirst = false;
    await meanwhile();
    throw new Error('Connection is closed.');
  });
}

/** The verb is sent when its deadline, the argument at `at` (in milliseconds), is over. */
function sendsLate(verb: Verb, at: number): Promise<Redis> {
  return withVerb(verb, (send) => (...args) => {
    const keys = Number(args[0]);
    args[keys + at] = Number(args[keys + at]) - 60_000;
    return send(...args);
  });
}

async function putRequest(table: string, generation: string, deadlineMs?: number): Promise<PutRequest> {
  const putId = randomBytes(6).toString('hex');
  const raw = rowLine('a', '1767571200000000', '{"a":1}');
  const payload = zstdCompressSync(Buffer.from(raw));
  return {
    table,
    generation,
    shards: 1,
    putId,
    deadlineMs: deadlineMs ?? (await redisTimeMs(redis)) + 10_000,
    batches: [
      {
        id: `${putId}-0`,
        shard: 0,
        payload,
        meta: {
          rows: 1,
          bytes: payload.length,
          rawBytes: raw.length,
          acceptedMs: Date.now(),
          minTs: '1767571200000000',
          maxTs: '1767571200000000',
          hasOverflow: false,
        },
      },
    ],
    columns: [],
    acceptedAt: CREATED_AT,
    oldest: CREATED_AT,
    newest: CREATED_AT,
    maxPendingBytes: 1e9,
    typeConflict: 'widen',
    isRepeat: false,
  };
}

const put = async (request: PutRequest) => (await sendPut(redis, producer, fixed, request)).status;

async function newTable(): Promise<{ name: string; generation: string }> {
  const name = newName();
  await catalogOn(redis).create(name, { shards: 1 }, 10_000, CREATED_AT);
  return { name, generation: (await catalogOn(redis).read(name))!.generation };
}

describe('a creation', () => {
  test('that is repeated after its table was dropped does not bring the table back', async () => {
    const name = newName();
    const connection = await losesFirstReply('createTable', async () => {
      const { generation } = (await catalogOn(redis).read(name))!;
      assert.equal(await put(await putRequest(name, generation)), 'ok');
      const answer = await dropTable(redis, fixed, name, generation, { cascade: true, by: 'test' });
      assert.equal(answer.status, 'dropped');
    });
    assert.equal(await catalogOn(connection).create(name, { shards: 1 }, 10_000, CREATED_AT), 'created');
    assert.equal(await catalogOn(redis).read(name), undefined);
  });

  test('whose answer is lost is asked for again, and told as done', async () => {
    const name = newName();
    const connection = await losesFirstReply('createTable', async () => {
      assert.notEqual(await catalogOn(redis).read(name), undefined);
    });
    assert.equal(await catalogOn(connection).create(name, { shards: 1 }, 10_000, CREATED_AT), 'created');
    assert.notEqual(await catalogOn(redis).read(name), undefined);
  });

  test('that arrives past its deadline creates nothing', async () => {
    const name = newName();
    const connection = await sendsLate('createTable', 3);
    await assert.rejects(catalogOn(connection).create(name, { shards: 1 }, 10_000, CREATED_AT), {
      code: 'redis_too_slow',
    });
    assert.equal(await catalogOn(redis).read(name), undefined);
  });
});

test('a drop that arrives past its deadline drops nothing', async () => {
  const { name, generation } = await newTable();
  const connection = await sendsLate('dropTable', 5);
  await assert.rejects(dropTable(connection, fixed, name, generation, { cascade: true, by: 'test' }), {
    code: 'redis_too_slow',
  });
  assert.equal((await catalogOn(redis).read(name))?.generation, generation);
});

test('a change that arrives past its deadline changes nothing', async () => {
  const { name, generation } = await newTable();
  const connection = await sendsLate('alterTable', 4);
  const change = { set: { buffer_size: 7 }, unset: [], status: 'archived' } as const;
  await assert.rejects(alterTable(connection, fixed, name, generation, change), { code: 'redis_too_slow' });
  const table = await catalogOn(redis).read(name);
  assert.deepEqual([table?.config.buffer_size, table?.status], [1_000, 'active']);
});

test('a put that arrives when its id is forgotten takes no payload from the batches of its repeat', async () => {
  const { name, generation } = await newTable();
  const keys = new ProtocolKeys(name, generation);
  const request = await putRequest(name, generation);
  assert.equal(await put({ ...request, isRepeat: true }), 'ok');
  // As another put does, a minute after the deadline.
  await redis.zrem(keys.done, request.putId);
  assert.equal(await put({ ...request, deadlineMs: 1 }), 'expired');
  const batch = request.batches[0]!.id;
  assert.notEqual(await redis.zscore(keys.pending('s00'), batch), null);
  assert.equal(await redis.exists(keys.payload(batch)), 1);
});

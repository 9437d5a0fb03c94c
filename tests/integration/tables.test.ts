import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { callRest, type RestAnswer, startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ flushers: 1, gateways: 2 });
});

after(async () => {
  await cluster.stop();
});

type Json = Record<string, unknown>;

const create = (table: string, config: Json = {}) =>
  cluster.rest('POST', '/v1/tables', { table_name: table, config });
const drop = (table: string, parameters = '') => cluster.rest('DELETE', `/v1/tables/${table}${parameters}`);
const read = (table: string) => cluster.rest('GET', `/v1/tables/${table}`);
const patch = (table: string, body: Json) => cluster.rest('PATCH', `/v1/tables/${table}`, body);

async function made(table: string, config: Json = {}): Promise<void> {
  const answer = await create(table, config);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function insert(table: string, from: number, count: number): Promise<RestAnswer> {
  const rows = Array.from({ length: count }, (_, n) => ({
    id: `id-${(from + n) % 3}`,
    payload: { n: from + n },
  }));
  return cluster.rest('POST', `/v1/tables/${table}/rows`, rows);
}

function refused(answer: RestAnswer, status: number, code: string, message?: RegExp): void {
  assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(answer.body));
  if (message !== undefined) assert.match(String(answer.body.message), message);
}

const flushed = (table: string) =>
  waitFor(`${table} is flushed`, async () => (await cluster.pendingRows(table)) === 0);

describe('a table that is dropped', () => {
  test('must be empty, unless the rows go with it', async () => {
    await made('full', { buffer_size: 1 });
    await insert('full', 0, 3);
    refused(await drop('full'), 409, 'table_not_empty', /^table full is not empty/);
    const refusal = await cluster.grpc.dropTable({ table_name: 'full', if_exists: false, cascade: false });
    assert.equal(refusal.success, false);
    assert.match(refusal.message, /^table full is not empty/);
    await flushed('full');
    refused(await drop('full'), 409, 'table_not_empty');
    const { stats } = (await read('full')).body as { stats: { file_count: number } };
    const answer = await drop('full', '?cascade=true');
    assert.deepEqual(answer.body, { success: true, message: '', files_deleted: stats.file_count });
    assert.ok(stats.file_count > 0);
  });

  test('is nowhere any more, at once and in every gateway', async () => {
    await made('nowhere', { buffer_size: 1_000_000 });
    await insert('nowhere', 0, 3);
    assert.equal((await drop('nowhere', '?cascade=true')).status, 200);
    refused(await read('nowhere'), 404, 'table_not_found', /^table nowhere does not exist$/);
    refused(await patch('nowhere', { config: { buffer_size: 1 } }), 404, 'table_not_found');
    refused(await drop('nowhere'), 404, 'table_not_found');
    await assert.rejects(cluster.query('SELECT * FROM nowhere'), /nowhere/);
    assert.deepEqual((await cluster.rest('GET', '/v1/tables?pattern=nowhere')).body, {
      tables: [],
      total: 0,
    });
    assert.equal((await drop('nowhere', '?if_exists=true')).status, 200);
    await assert.rejects(cluster.grpc.describeTable({ table_name: 'nowhere' }), { code: 'table_not_found' });
    const unknown = await cluster.grpc.dropTable({ table_name: 'nowhere', if_exists: false, cascade: true });
    assert.deepEqual(unknown, { success: false, message: 'table nowhere does not exist', files_deleted: 0 });
  });

  test('is a new and empty one when it is created again', async () => {
    await made('again', { buffer_size: 1 });
    await insert('again', 0, 6);
    await flushed('again');
    await drop('again', '?cascade=true');
    await made('again', { buffer_size: 77 });
    assert.equal(await cluster.count('again'), 0);
    const { table_info, stats, columns } = (await read('again')).body as Record<string, Json>;
    assert.equal((table_info!.config as Json).buffer_size, 77);
    assert.equal(table_info!.last_write, '');
    assert.deepEqual([stats!.record_count, stats!.file_count, columns], [0, 0, []]);
    assert.equal((await insert('again', 100, 4)).status, 200);
    assert.deepEqual(await cluster.query('SELECT count(*) AS n, min(n) AS low FROM again'), [
      { n: 4, low: 100 },
    ]);
  });

  test('is gone for the request that met the switch, and made anew for the next one', async () => {
    const other = `http://127.0.0.1:${cluster.cluster.member('gateway-2').ports.rest_port}`;
    const write = () => callRest(other, 'POST', '/v1/tables/switched/rows', [{ id: 'a', payload: { n: 1 } }]);
    for (let round = 0; round < 5; round += 1) {
      assert.equal((await write()).status, 200);
      assert.equal((await drop('switched', '?cascade=true')).status, 200);
      // The second gateway has its view of a moment ago.
      refused(await write(), 404, 'table_gone');
      assert.equal((await write()).status, 200);
      assert.equal(await cluster.count('switched'), 1);
    }
  });

  test('is never the default table', async () => {
    refused(await drop('default', '?cascade=true'), 409, 'default_table');
    const answer = await cluster.grpc.dropTable({ table_name: '', if_exists: true, cascade: true });
    assert.equal(answer.success, false);
    assert.match(answer.message, /default table/);
  });

  test('is dropped with parameters that are understood, or not at all', async () => {
    await made('careful');
    refused(await drop('careful', '?cascade=yes'), 400, 'invalid_field');
    refused(await drop('careful', '?force=true'), 400, 'unknown_field');
    refused(await drop('not-a-name'), 400, 'invalid_table_name');
    assert.equal((await drop('careful')).status, 200);
  });
});

describe('a table that is changed', () => {
  test('has the new settings, and back to the default what is null', async () => {
    await made('tuned', { buffer_size: 10, retention_days: 7, properties: { a: '1', b: '2' } });
    const answer = await patch('tuned', {
      config: { buffer_size: 20, retention_days: null, properties: { c: '3' }, layout: 'packed' },
    });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    const { config, inherited } = answer.body.table_info as { config: Json; inherited: string[] };
    assert.deepEqual(
      [config.buffer_size, config.retention_days, config.properties, config.layout],
      [20, 365, { c: '3' }, 'packed'],
    );
    assert.ok(inherited.includes('retention_days') && !inherited.includes('buffer_size'));
    assert.deepEqual((await read('tuned')).body.table_info, answer.body.table_info);
  });

  test('is changed as its mask says', async () => {
    await made('masked', { buffer_size: 10, retention_days: 7, properties: { a: '1' } });
    const { table_info } = await cluster.grpc.updateTable({
      table_name: 'masked',
      config: { buffer_size: 30, flush_workers: 9, max_pending_bytes: 2n ** 40n, properties: {} },
      update_mask: ['config.buffer_size', 'retention_days', 'max_pending_bytes', 'properties'],
      status: '',
    });
    const config = table_info!.config!;
    assert.deepEqual([config.buffer_size, config.retention_days, config.flush_workers], [30, 365, 2]);
    assert.deepEqual([config.max_pending_bytes, config.properties], [2n ** 40n, {}]);
    assert.ok(table_info!.inherited.includes('properties'));
    const unmasked = await cluster.grpc.updateTable({
      table_name: 'masked',
      config: { flush_workers: 9, properties: {} },
      update_mask: undefined,
      status: '',
    });
    assert.deepEqual(
      [unmasked.table_info!.config!.buffer_size, unmasked.table_info!.config!.flush_workers],
      [30, 9],
    );
    const unknown = await patch('masked', { config: {}, update_mask: ['buffer_size', 'colour'] });
    refused(unknown, 400, 'invalid_update_mask', /"colour".*buffer_size/);
  });

  test('refuses what makes no sense, and is as it was', async () => {
    await made('sound', { buffer_size: 10 });
    const before = (await read('sound')).body.table_info;
    refused(await patch('sound', { config: { buffer_size: 0 } }), 400, 'invalid_table_config', /buffer_size/);
    refused(await patch('sound', { config: { colour: 1 } }), 400, 'invalid_config');
    refused(await patch('sound', { status: 'deleting' }), 400, 'invalid_status');
    refused(await patch('sound', { colour: 1 }), 400, 'unknown_field');
    refused(await patch('sound', { config: { buffer_size: 5, shards: 1 } }), 400, 'shards_shrink');
    refused(await patch('sound', { config: { shards: 257 } }), 400, 'invalid_table_config');
    assert.deepEqual((await read('sound')).body.table_info, before);
    await assert.rejects(
      cluster.grpc.updateTable({ table_name: 'sound_not', config: undefined, update_mask: [], status: '' }),
      { code: 'table_not_found' },
    );
  });

  test('remembers every shard count that it had', async () => {
    await made('grown', { shards: 2 });
    for (const shards of [4, 4, 7]) assert.equal((await patch('grown', { config: { shards } })).status, 200);
    refused(await patch('grown', { config: { shards: null } }), 400, 'shards_shrink');
    assert.equal(await cluster.redis.hget('table:grown:config', 'shard_history'), '2,4,7');
  });

  test('gets more shards while rows flow, and loses none', async () => {
    await made('growing', { shards: 1, buffer_size: 20, flush_interval_seconds: 1 });
    let next = 0;
    let acknowledged = 0;
    let growing = true;
    const write = async () => {
      while (growing) {
        const from = next;
        next += 10;
        const answer = await insert('growing', from, 10);
        assert.equal(answer.status, 200, JSON.stringify(answer.body));
        acknowledged += 10;
      }
    };
    const look = async () => {
      while (growing) {
        const before = acknowledged;
        const rows = await cluster.count('growing');
        assert.ok(rows >= before && rows <= next, `${rows} rows; ${before} were acknowledged, ${next} sent`);
      }
    };
    const work = Promise.all([write(), write(), write(), look()]);
    for (const shards of [2, 5, 16]) {
      const before = acknowledged;
      await waitFor('rows have come in', () => acknowledged >= before + 100);
      assert.equal((await patch('growing', { config: { shards } })).status, 200);
    }
    const before = acknowledged;
    await waitFor('rows have come in', () => acknowledged >= before + 100);
    growing = false;
    await work;
    const expected = [{ n: acknowledged, d: acknowledged }];
    const sql = 'SELECT count(*) AS n, count(DISTINCT n) AS d FROM growing';
    assert.deepEqual(await cluster.query(sql), expected);
    await flushed('growing');
    assert.deepEqual(await cluster.query(sql), expected);
  });
});

describe('an archived table', () => {
  test('takes no writes, answers queries, and can be made active again', async () => {
    await made('archive', { buffer_size: 1_000_000, flush_interval_seconds: 3_600 });
    await insert('archive', 0, 5);
    const answer = await patch('archive', { status: 'archived' });
    assert.equal((answer.body.table_info as Json).status, 'archived');
    refused(await insert('archive', 5, 5), 409, 'table_archived');
    assert.equal(await cluster.count('archive'), 5);
    await patch('archive', { config: { buffer_size: 1 } });
    await flushed('archive');
    assert.equal(await cluster.count('archive'), 5);
    assert.equal((await patch('archive', { status: 'active' })).status, 200);
    await waitFor('it takes writes', async () => (await insert('archive', 5, 5)).status === 200);
    assert.equal(await cluster.count('archive'), 10);
    await patch('archive', { status: 'archived' });
    assert.equal((await drop('archive', '?cascade=true')).status, 200);
  });
});

describe('descriptions', () => {
  test('say what a table is, what it holds and what its columns are', async () => {
    await made('Described', { buffer_size: 1_000_000, flush_interval_seconds: 3_600, retention_days: -1 });
    const rows = [
      { id: 'a', timestamp: '2026-01-05T10:00:00.123456Z', payload: { n: 1, text: 'x' } },
      { id: 'b', timestamp: '2026-01-04T10:00:00Z', payload: { n: 2.5, list: [1] } },
    ];
    await cluster.rest('POST', '/v1/tables/described/rows', rows);
    const { body } = await read('DESCRIBED');
    const info = body.table_info as Json & { config: Json };
    assert.deepEqual([info.name, info.status, info.config.retention_days], ['described', 'active', -1]);
    for (const time of [info.created_at, info.last_write]) assert.match(String(time), /^\d{4}-.*Z$/);
    assert.equal(Object.keys(info.config).length, 15);
    const bounds = {
      oldest_record: '2026-01-04T10:00:00.000000Z',
      newest_record: '2026-01-05T10:00:00.123456Z',
    };
    assert.deepEqual(body.stats, { record_count: 2, file_count: 0, size_bytes: 0, ...bounds });
    assert.equal(body.pending_rows, 2);
    assert.ok((body.pending_bytes as number) > 0);
    assert.deepEqual(body.columns, [
      { name: 'list', type: 'JSON' },
      { name: 'n', type: 'DOUBLE' },
      { name: 'text', type: 'VARCHAR' },
    ]);
    const told = await cluster.grpc.describeTable({ table_name: 'described' });
    assert.deepEqual([told.stats!.record_count, told.pending_rows, told.columns.length], [2n, 2n, 3]);
    assert.equal(told.table_info!.created_at, info.created_at);

    await patch('described', { config: { buffer_size: 1 } });
    await flushed('described');
    const after = (await read('described')).body;
    assert.equal(after.pending_rows, 0);
    const stats = after.stats as Json;
    assert.deepEqual([stats.record_count, stats.oldest_record], [2, bounds.oldest_record]);
    assert.ok((stats.file_count as number) > 0 && (stats.size_bytes as number) > 0);
  });

  test('of many tables come in order, by pattern, without names that have no table', async () => {
    for (const name of ['list_b', 'list_a', 'LIST_C', 'other']) await made(name);
    await cluster.redis.sadd('tables:list', 'list_ghost');
    const names = async (pattern: string) => {
      const { body } = await cluster.rest('GET', `/v1/tables?pattern=${encodeURIComponent(pattern)}`);
      const tables = body.tables as Json[];
      assert.equal(body.total, tables.length);
      return tables.map(({ name }) => name);
    };
    assert.deepEqual(await names('list_*'), ['list_a', 'list_b', 'list_c']);
    assert.deepEqual(await names('LIST_?'), ['list_a', 'list_b', 'list_c']);
    const all = await names('');
    assert.ok(all.includes('other') && all.includes('default') && !all.includes('list_ghost'));
    const told = await cluster.grpc.listTables({ pattern: 'list_b' });
    assert.deepEqual([told.total, told.tables[0]!.name], [1, 'list_b']);
    refused(await cluster.rest('GET', `/v1/tables?pattern=${'a'.repeat(300)}`), 400, 'invalid_pattern');
  });
});

describe('the cluster as a whole', () => {
  test('says what is pending, what is stored, and how Redis does', async () => {
    await made('summed', { buffer_size: 1_000_000, flush_interval_seconds: 3_600 });
    const { buffer_stats: before } = (await cluster.rest('GET', '/v1/stats')).body as Record<string, Json>;
    await insert('summed', 0, 7);
    const { body } = await cluster.rest('GET', '/v1/stats');
    const { buffer_stats, redis_stats, minio_stats } = body as Record<string, Record<string, number>>;
    assert.equal(buffer_stats!.records, (before!.records as number) + 7);
    assert.ok(buffer_stats!.pending_rows! >= 7 && buffer_stats!.pending_batches! > 0);
    assert.match(String(body.timestamp), /^\d{4}-.*Z$/);
    assert.ok(redis_stats!.keys! > 0 && redis_stats!.used_memory_bytes! > 0);
    assert.ok(minio_stats!.files! > 0 && minio_stats!.bytes! > 0);
    const told = await cluster.grpc.getStats({});
    assert.equal(told.buffer_stats.records, BigInt(buffer_stats!.records!));
    assert.equal(told.redis_stats.max_memory_bytes, BigInt(redis_stats!.max_memory_bytes!));
  });

  test('names the nodes that beat, and when they did last', async () => {
    const nodes = (await cluster.rest('GET', '/v1/nodes')).body as { nodes: Json[]; total: number };
    assert.equal(nodes.total, 4);
    assert.deepEqual(
      nodes.nodes.map(({ id, type, status }) => [id, type, status]),
      [
        ['flusher-1', 'flusher', 'live'],
        ['gateway-1', 'gateway', 'live'],
        ['gateway-2', 'gateway', 'live'],
        ['querier-1', 'querier', 'live'],
      ],
    );
    const seconds = Date.now() / 1_000;
    for (const { last_seen } of nodes.nodes) assert.ok(Math.abs((last_seen as number) - seconds) < 10);
    assert.match(String(nodes.nodes[1]!.address), /:\d+$/);
    assert.equal((await cluster.grpc.getNodes({})).total, 4);
  });
});

describe('creation', () => {
  test('says why it failed in the words that clients match', async () => {
    refused(
      await create('t', { buffer_size: 0 }),
      400,
      'invalid_table_config',
      /^failed to create table: buffer_size/,
    );
    const answer = await cluster.grpc.createTable({
      table_name: 't',
      config: { buffer_size: -1, properties: {} },
      if_not_exists: false,
    });
    assert.equal(answer.success, false);
    assert.match(answer.message, /^failed to create table: buffer_size/);
    await made('there');
    refused(await create('there'), 409, 'table_already_exists', /^table there already exists$/);
    assert.deepEqual(
      await cluster.grpc.createTable({ table_name: 'a b', config: undefined, if_not_exists: false }),
      { success: false, message: 'invalid table name: a b' },
    );
  });

  test('keeps to max_tables whoever creates, and a dropped table makes room', async () => {
    const small = await startTestCluster({
      gateways: 2,
      flushers: 1,
      env: { MINIODB_MAX_TABLES: '10' },
    });
    try {
      const urls = ['gateway-1', 'gateway-2'].map(
        (name) => `http://127.0.0.1:${small.cluster.member(name).ports.rest_port}`,
      );
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          callRest(urls[n % 2]!, 'POST', '/v1/tables', { table_name: `t${n}`, config: {} }),
        ),
      );
      const failed = answers.filter(({ status }) => status !== 200);
      // The default table is one of the ten.
      assert.equal(answers.length - failed.length, 9);
      for (const answer of failed) refused(answer, 429, 'too_many_tables', /^failed to create table: /);
      assert.equal((await small.rest('GET', '/v1/tables')).body.total, 10);
      const there = answers.findIndex(({ status }) => status === 200);
      assert.equal((await small.rest('DELETE', `/v1/tables/t${there}`)).status, 200);
      assert.equal((await small.rest('POST', '/v1/tables', { table_name: 'new', config: {} })).status, 200);
      refused(
        await small.rest('POST', '/v1/data', { table: 'more', id: 'a', payload: {} }),
        429,
        'too_many_tables',
      );
    } finally {
      await small.stop();
    }
  });
});

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { takeSnapshot } from '@miniodb/core/index/snapshot.ts';
import { JobProducer } from '@miniodb/core/queue/jobs.ts';
import { type PutAnswer, sendPut } from '@miniodb/core/queue/put.ts';
import { redisTimeMs } from '@miniodb/core/redis/client.ts';
import { Catalog } from '@miniodb/core/table/catalog.ts';
import { DEFAULT_TABLE_CONFIG } from '@miniodb/core/table/config.ts';
import { FixedKeys } from '@miniodb/core/table/keys.ts';
import { rowLine } from '@miniodb/core/table/row-line.ts';
import { COLUMN_TYPES, type ColumnType, isTypeConflict, joinTypes } from '@miniodb/core/table/schema.ts';
import { type RestAnswer, startTestCluster, type TestCluster } from '@miniodb/testkit/cluster.ts';
import { waitFor } from '@miniodb/testkit/wait.ts';

const fixed = new FixedKeys('single');
/** Nothing is due by itself. */
const AT_REST = { shards: 1, buffer_size: 1_000_000, flush_interval_seconds: 86_400 };

let cluster: TestCluster;

before(async () => {
  cluster = await startTestCluster({ flushers: 1 });
});

after(async () => {
  await cluster.stop();
});

async function create(table: string, config: Record<string, unknown> = {}): Promise<void> {
  const answer = await cluster.rest('POST', '/v1/tables', {
    table_name: table,
    config: { ...AT_REST, ...config },
  });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

/** @param payloads JSON texts; ids count from `first` */
async function write(table: string, payloads: readonly string[], first = 0, query = ''): Promise<RestAnswer> {
  const lines = payloads.map(
    (payload, n) => `{"id":"${idOf(first + n)}","timestamp":0,"payload":${payload}}`,
  );
  const response = await fetch(`${cluster.restUrl}/v1/tables/${table}/rows${query}`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: lines.join('\n'),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

async function insert(table: string, payloads: readonly string[], first = 0): Promise<void> {
  const answer = await write(table, payloads, first);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

const idOf = (n: number) => `row-${String(n).padStart(4, '0')}`;

/** Makes the table's flush due until nothing is pending, and no longer. */
async function flush(table: string): Promise<void> {
  await cluster.redis.hset(fixed.config(table), 'flush_interval_seconds', '1');
  await waitFor(`${table} is flushed`, async () => (await cluster.pendingRows(table)) === 0);
  await cluster.redis.hset(fixed.config(table), 'flush_interval_seconds', '86400');
}

/** The result as text, which shows how numbers are spelled. */
async function resultOf(sql: string): Promise<{ text: string; types: Record<string, string> }> {
  const { status, body } = await cluster.rest('POST', '/v1/query', { sql });
  assert.equal(status, 200, `${sql}: ${JSON.stringify(body)}`);
  const columns = body.columns as { name: string; type: string }[];
  return {
    text: body.result_json as string,
    types: Object.fromEntries(columns.map(({ name, type }) => [name, type])),
  };
}

/** For every step of the lattice: values of the narrow column, a value that widens it, the type and what is read then. */
const STEPS: Readonly<
  Record<string, readonly [narrow: readonly string[], wide: string, type: string, read: readonly string[]]>
> = {
  int53_to_int64: [['1', '-2'], '9007199254740993', 'BIGINT', ['1', '-2', '9007199254740993']],
  int53_to_double: [['1', '-7'], '0.5', 'DOUBLE', ['1', '-7', '0.5']],
  int53_to_text: [['5', '-6'], '"x"', 'VARCHAR', ['"5"', '"-6"', '"x"']],
  int53_to_json: [['5', '-6'], '[1]', 'JSON', ['5', '-6', '[1]']],
  int64_to_double: [['9007199254740993', '3'], '0.5', 'DOUBLE', ['9007199254740992', '3', '0.5']],
  int64_to_text: [['9007199254740993', '3'], '"x"', 'VARCHAR', ['"9007199254740993"', '"3"', '"x"']],
  int64_to_json: [['9007199254740993', '3'], '{}', 'JSON', ['9007199254740993', '3', '{}']],
  double_to_double_lossy: [['0.5', '2'], '9007199254740993', 'DOUBLE', ['0.5', '2', '9007199254740992']],
  double_to_text: [['0.5', '2'], '"x"', 'VARCHAR', ['"0.5"', '"2"', '"x"']],
  double_to_json: [['0.5', '2'], '[]', 'JSON', ['0.5', '2', '[]']],
  tiny_to_text: [['0.5', '1e-7'], '"x"', 'VARCHAR', ['"0.5"', '"1e-7"', '"x"']],
  small_to_text: [['0.5', '0.00001'], '"x"', 'VARCHAR', ['"0.5"', '"0.00001"', '"x"']],
  huge_to_text: [['0.5', '1e300'], '"x"', 'VARCHAR', ['"0.5"', '"1e+300"', '"x"']],
  boolean_to_text: [['true', 'false'], '1', 'VARCHAR', ['"true"', '"false"', '"1"']],
  boolean_to_json: [['true', 'false'], '[1]', 'JSON', ['true', 'false', '[1]']],
  text_to_text_lossy: [['"a"', '"1"'], '1.5', 'VARCHAR', ['"a"', '"1"', '"1.5"']],
  text_to_json: [['"a"', '"1"'], '{"a":[1]}', 'JSON', ['"a"', '"1"', '{"a":[1]}']],
  double_lossy_to_text: [
    ['9007199254740993', '0.5'],
    '"x"',
    'VARCHAR',
    ['"9007199254740993"', '"0.5"', '"x"'],
  ],
  text_lossy_to_json: [['"1"', '1'], '[1]', 'JSON', ['"1"', '1', '[1]']],
  beyond_in_int: [['1', '123456789012345678901'], '2', 'BIGINT', ['1', 'null', '2']],
  beyond_in_boolean: [['true', '1e400'], 'false', 'BOOLEAN', ['true', 'null', 'false']],
  beyond_in_double: [['0.5', '1e400'], '2', 'DOUBLE', ['0.5', 'null', '2']],
  beyond_int_to_double: [
    ['1', '12345678901234567890123'],
    '0.5',
    'DOUBLE',
    ['1', '1.2345678901234568e+22', '0.5'],
  ],
  beyond_in_text: [['"a"', '1e400'], '"b"', 'VARCHAR', ['"a"', '"1e400"', '"b"']],
  beyond_to_text: [
    ['1', '123456789012345678901'],
    '"x"',
    'VARCHAR',
    ['"1"', '"123456789012345678901"', '"x"'],
  ],
  beyond_to_json: [['1', '123456789012345678901'], '[]', 'JSON', ['1', '123456789012345678901', '[]']],
  beyond_before_column: [['1e400', 'null'], '"x"', 'VARCHAR', ['"1e400"', 'null', '"x"']],
};

const COLUMNS = Object.keys(STEPS);
const rowOf = (value: (column: string) => string) =>
  `{${COLUMNS.map((column) => `"${column}":${value(column)}`).join(',')}}`;
const NARROW = [0, 1].map((n) => rowOf((column) => STEPS[column]![0][n]!));
const WIDE = [rowOf((column) => STEPS[column]![1])];

describe('a widened column gives one typed answer', () => {
  const states = ['pending', 'mixed', 'apart', 'together'] as const;
  const tables = states.map((state) => `types_${state}`);

  before(async () => {
    await Promise.all(
      tables.map(async (table) => {
        await create(table);
        await insert(table, NARROW);
        if (table === 'types_mixed' || table === 'types_apart') await flush(table);
        await insert(table, WIDE, NARROW.length);
        if (table === 'types_apart' || table === 'types_together') await flush(table);
      }),
    );
  });

  test('in every column, whenever its rows were flushed', async () => {
    const types = Object.fromEntries(COLUMNS.map((column) => [column, STEPS[column]![2]]));
    const rows = [0, 1, 2].map((n) => rowOf((column) => STEPS[column]![3][n]!));
    for (const table of tables) {
      const answer = await resultOf(`SELECT ${COLUMNS.join(', ')} FROM ${table} ORDER BY id`);
      assert.deepEqual(answer.types, types);
      assert.equal(answer.text, `[${rows.join(',')}]`, table);
      // Pending rows are read in another way beside `payload`.
      const beside = await resultOf(
        `SELECT ${COLUMNS.join(', ')}, payload->'no' AS no FROM ${table} ORDER BY id`,
      );
      assert.equal(beside.text, `[${rows.map((row) => `${row.slice(0, -1)},"no":null}`).join(',')}]`, table);
    }
  });

  for (const [what, sql] of [
    [
      'GROUP BY',
      (column: string, table: string) =>
        `SELECT v::VARCHAR AS a, count(*)::VARCHAR AS b FROM (SELECT ${column} AS v FROM ${table} UNION ALL SELECT ${column} FROM types_pending) GROUP BY v`,
    ],
    [
      'a join',
      (column: string, table: string) =>
        `SELECT a.id AS a, b.id AS b FROM ${table} a JOIN types_pending b ON a.${column} = b.${column}`,
    ],
    [
      'a filter',
      (column: string, table: string) =>
        `SELECT id AS a, '' AS b FROM ${table} WHERE ${column} IN (SELECT ${column} FROM types_pending WHERE id <> '${idOf(0)}')`,
    ],
    [
      'a filter for NULL',
      (column: string, table: string) => `SELECT id AS a, '' AS b FROM ${table} WHERE ${column} IS NULL`,
    ],
    [
      'aggregates',
      (column: string, table: string) =>
        `SELECT min(${column})::VARCHAR AS a, max(${column})::VARCHAR AS b FROM ${table}`,
    ],
  ] as const) {
    test(`in ${what}, whenever its rows were flushed`, async () => {
      const all = (table: string) =>
        COLUMNS.map((column) => `SELECT '${column}' AS c, a, b FROM (${sql(column, table)})`).join(
          ' UNION ALL ',
        );
      const answerOf = async (table: string) =>
        (await resultOf(`SELECT * FROM (${all(table)}) ORDER BY ALL`)).text;
      const expected = await answerOf('types_pending');
      for (const table of tables) assert.equal(await answerOf(table), expected, table);
    });
  }

  test('payload is what was written, numbers that no column holds included', async () => {
    const path = (column: string) => `payload->'${column}' AS ${column}`;
    const sql = (table: string) => `SELECT ${COLUMNS.map(path).join(', ')} FROM ${table} ORDER BY id`;
    const expected = JSON.parse((await resultOf(sql('types_pending'))).text) as unknown[];
    for (const table of tables) {
      const { text } = await resultOf(sql(table));
      assert.deepEqual(JSON.parse(text), expected, table);
      assert.match(text, /123456789012345678901\b/);
      assert.match(text, /9007199254740993\b/);
      assert.match(text, /1e400/i);
    }
  });
});

describe('keep_raw_payload', () => {
  const SENT = [
    '{ "b" : 1.50,\t"a":null , "n":1e2 }',
    '{"z":[1 , 2.0],"a":"\\u00e9\\ud83d\\ude00\\/","payload":{ },"id":-0}',
    '{}',
    '{"n":12345678901234567890123,"n":7}',
  ];

  async function payloadsOf(table: string): Promise<string[]> {
    const { text } = await resultOf(`SELECT payload FROM ${table} ORDER BY id`);
    const parts = text
      .slice(1, -1)
      .split(/(?:^|,)\{"payload":/)
      .slice(1);
    return parts.map((part) => part.slice(0, -1));
  }

  /** The setting changes behind the gateway's back, which notices within a second. */
  async function setRaw(table: string, keeps: boolean): Promise<void> {
    await cluster.redis.hset(fixed.config(table), 'keep_raw_payload', String(keeps));
    await waitFor('the gateway has seen the setting', async () => {
      const probe = `{ "probe":"${randomBytes(6).toString('hex')}" }`;
      await insert(table, [probe], 9_999);
      const { text } = await resultOf(
        `SELECT count(*) AS n FROM ${table} WHERE id = '${idOf(9_999)}' AND payload::VARCHAR = '${probe}'`,
      );
      return text === `[{"n":${keeps ? 1 : 0}}]`;
    });
  }

  test('gives payloads back as they were sent, pending, flushed and mixed, beside typed columns', async () => {
    await create('raw', { keep_raw_payload: true });
    await insert('raw', SENT);
    assert.deepEqual(await payloadsOf('raw'), SENT, 'pending');
    await flush('raw');
    assert.deepEqual(await payloadsOf('raw'), SENT, 'flushed');
    await insert('raw', SENT, SENT.length);
    assert.deepEqual(await payloadsOf('raw'), [...SENT, ...SENT], 'mixed');
    await flush('raw');
    assert.deepEqual(await payloadsOf('raw'), [...SENT, ...SENT], 'flushed in two files');
    const { text, types } = await resultOf(`SELECT b, n FROM raw WHERE b = 1.5 AND n = 100`);
    assert.equal(text, '[{"b":1.5,"n":100},{"b":1.5,"n":100}]');
    assert.deepEqual(types, { b: 'DOUBLE', n: 'BIGINT' });
    assert.doesNotMatch((await resultOf('SELECT * FROM raw')).text, /payload|~/);
  });

  test('keeps the text of a JSON array too, line breaks included', async () => {
    await create('raw_array', { keep_raw_payload: true });
    const sent = '{\n  "a": 1.0,\r\n  "b": [ ]\n}';
    const response = await fetch(`${cluster.restUrl}/v1/tables/raw_array/rows`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: ` [ {"payload":${sent} ,"id":"a"},\n{"id":"b","payload":{"x":1} } ]`,
    });
    assert.equal(response.status, 200);
    const expected = `[{"payload":${sent}},{"payload":{"x":1}}]`;
    assert.equal((await resultOf('SELECT payload FROM raw_array ORDER BY id')).text, expected);
    await flush('raw_array');
    assert.equal((await resultOf('SELECT payload FROM raw_array ORDER BY id')).text, expected);
  });

  test('keeps the text of single rows and of payload_json too; of a Struct it is the JSON that we write', async () => {
    await create('raw_single', { keep_raw_payload: true });
    const response = await fetch(`${cluster.restUrl}/v1/data`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"payload":{"old":1},"id":"a", "table":"raw_single","payload" : { "v":1.50 } }',
    });
    assert.equal(response.status, 200, await response.text());
    const timestamp = undefined;
    await cluster.grpc.writeBatch({
      table: 'raw_single',
      rows: [
        { id: 'b', timestamp, payload: undefined, payload_json: Buffer.from(' {"v" : 1e0}\n') },
        { id: 'c', timestamp, payload: { v: 2, n: null }, payload_json: Buffer.alloc(0) },
      ],
      ndjson: Buffer.alloc(0),
      batch_id: '',
      ack: 0,
      arrow_ipc: Buffer.alloc(0),
      compression: 0,
      skip_invalid: false,
    });
    const expected = '[{"payload":{ "v":1.50 }},{"payload":{"v" : 1e0}},{"payload":{"v":2,"n":null}}]';
    const sql = 'SELECT payload FROM raw_single ORDER BY id';
    assert.equal((await resultOf(sql)).text, expected);
    await flush('raw_single');
    assert.equal((await resultOf(sql)).text, expected);
  });

  test('holds for the rows that were written while it was on', async () => {
    await create('raw_turns');
    const sent = '{ "v":1.50 }';
    const rebuilt = '{"v":1.5}';
    await insert('raw_turns', [sent]);
    await setRaw('raw_turns', true);
    await insert('raw_turns', [sent], 1);
    await setRaw('raw_turns', false);
    await insert('raw_turns', [sent], 2);
    const sql = `SELECT payload FROM raw_turns WHERE id < '${idOf(9_999)}' ORDER BY id`;
    const expected = `[{"payload":${rebuilt}},{"payload":${sent}},{"payload":${rebuilt}}]`;
    assert.equal((await resultOf(sql)).text, expected, 'pending');
    await flush('raw_turns');
    assert.equal((await resultOf(sql)).text, expected, 'flushed in one file');
    await setRaw('raw_turns', true);
    await insert('raw_turns', [sent], 3);
    await flush('raw_turns');
    await setRaw('raw_turns', false);
    await insert('raw_turns', [sent], 4);
    const all = `${expected.slice(0, -1)},{"payload":${sent}},{"payload":${rebuilt}}]`;
    assert.equal((await resultOf(sql)).text, all, 'two files and pending rows');
    await flush('raw_turns');
    assert.equal((await resultOf(sql)).text, all, 'three files');
  });

  test('counts both texts towards the limit of a row', async () => {
    await create('raw_large', { keep_raw_payload: true });
    const answer = await write('raw_large', [`{"a":"${'x'.repeat(4_500_000)}"}`]);
    const { errors } = answer.body as { errors: { code: string }[] };
    assert.deepEqual([answer.status, errors.map(({ code }) => code)], [400, ['row_too_large']]);
  });

  test('refuses text that only an overwritten member has, since it could not be read back', async () => {
    const answer = await write('raw', ['{"a":"\\ud800","a":1}']);
    const { errors } = answer.body as { errors: { code: string }[] };
    assert.deepEqual([answer.status, errors.map(({ code }) => code)], [400, ['invalid_text']]);
  });
});

describe('type_conflict reject', () => {
  const codesOf = ({ body }: RestAnswer) =>
    (body.errors as { index: number; code: string }[]).map(({ index, code }) => [index, code]);

  test('names the rows that do not fit their columns and stores none, or all others', async () => {
    await create('strict', { type_conflict: 'reject' });
    await insert('strict', ['{"n":1,"d":0.5,"s":"x","j":[],"b":true}']);
    const mixed = [
      '{"n":9007199254740993}',
      '{"n":0.5}',
      '{"d":1}',
      '{"s":2}',
      '{"b":1}',
      '{"j":1,"new":[]}',
    ];
    const refused = await write('strict', mixed, 1);
    assert.equal(refused.status, 400);
    assert.equal(refused.body.code, 'invalid_rows');
    const expected = [
      [1, 'type_conflict'],
      [4, 'type_conflict'],
    ];
    assert.deepEqual(codesOf(refused), expected);
    assert.equal(await cluster.count('strict'), 1);
    const partly = await write('strict', mixed, 1, '?skip_invalid=true');
    assert.deepEqual([partly.status, partly.body.accepted, partly.body.rejected], [200, 4, 2]);
    assert.deepEqual(codesOf(partly), expected);
    const { types } = await resultOf('SELECT n, d, s, b, j, "new" FROM strict');
    assert.deepEqual(types, { n: 'BIGINT', d: 'DOUBLE', s: 'VARCHAR', b: 'BOOLEAN', j: 'JSON', new: 'JSON' });
    const one = await cluster.rest('POST', '/v1/data', { table: 'strict', id: 'x', payload: { n: 'x' } });
    assert.deepEqual([one.status, one.body.code], [400, 'type_conflict']);
    assert.match(one.body.message as string, /column "n" is BIGINT/);
  });

  test('names the rows also where put knew the column and the gateway did not', async () => {
    await create('behind', { type_conflict: 'reject' });
    await insert('behind', ['{"a":1}']);
    const keys = await cluster.keysOf('behind');
    for (const [n, column] of ['p', 'q', 'r', 's'].entries()) {
      // Read by the gateway less than a second ago, so without the column.
      await insert('behind', ['{"a":2}'], n);
      await cluster.redis.hset(keys.schema, column, `int53:${column}`);
      await cluster.redis.hincrby(keys.counters, 'schema_version', 1);
      const answer = await write(
        'behind',
        [`{"${column}":"x"}`, `{"${column}":1}`],
        100,
        '?skip_invalid=true',
      );
      assert.deepEqual([answer.status, answer.body.accepted], [200, 1], JSON.stringify(answer.body));
      assert.deepEqual(codesOf(answer), [[0, 'type_conflict']]);
    }
    const { types } = await resultOf('SELECT p, q, r, s FROM behind');
    assert.deepEqual(types, { p: 'BIGINT', q: 'BIGINT', r: 'BIGINT', s: 'BIGINT' });
  });

  test('refuses nobody for the rows of another caller', async () => {
    await create('crowd', { type_conflict: 'reject' });
    await insert('crowd', ['{"n":1}']);
    const callers = Array.from({ length: 120 }, (_, n) =>
      n % 10 === 0 ? `{"n":"${n}"}` : `{"n":${n},"k${n % 7}":1}`,
    );
    const keys = await cluster.keysOf('crowd');
    // A view that does not know the column lets all of them through to put.
    await cluster.redis.hdel(keys.schema, 'n');
    await waitFor('the gateway has read the schema without the column', async () => {
      await cluster.redis.hset(keys.schema, 'n', 'int53:n');
      await cluster.redis.hdel(keys.schema, 'n');
      const { body } = await cluster.rest('POST', '/v1/tables/crowd/rows?skip_invalid=true', [
        { id: 'probe', payload: { n: 0.5 } },
      ]);
      return body.accepted === 1;
    });
    await cluster.redis.hset(keys.schema, 'n', 'int53:n');
    const answers = await Promise.all(callers.map((payload, n) => write('crowd', [payload], n)));
    for (const [n, { status, body }] of answers.entries()) {
      assert.equal(status, n % 10 === 0 ? 400 : 200, `${n}: ${JSON.stringify(body)}`);
      if (status === 400) assert.deepEqual(codesOf({ status, body }), [[0, 'type_conflict']]);
    }
  });

  test('lets the first of two callers decide what a new column is, also when they come at once', async () => {
    await create('race', { type_conflict: 'reject' });
    await insert('race', ['{"a":1}']);
    for (let round = 0; round < 10; round += 1) {
      const payloads = Array.from({ length: 20 }, (_, n) => `{"c${round}":${n % 2 === 0 ? n : 'true'}}`);
      const answers = await Promise.all(payloads.map((payload, n) => write('race', [payload], n)));
      const taken = answers
        .map(({ status }, n) => (status === 200 ? n % 2 : -1))
        .filter((parity) => parity >= 0);
      const { types } = await resultOf(`SELECT c${round} AS c FROM race`);
      assert.deepEqual(taken, Array(10).fill(types.c === 'BIGINT' ? 0 : 1));
      assert.match(types.c!, /^(?:BIGINT|BOOLEAN)$/);
    }
  });

  test('keeps the columns as they are when it is switched on later', async () => {
    await create('later');
    await insert('later', ['{"n":1}', '{"n":0.5}', '{"s":1}', '{"s":"x"}']);
    await cluster.redis.hset(fixed.config('later'), 'type_conflict', 'reject');
    await waitFor('the setting holds', async () => (await write('later', ['{"n":"x"}'], 9)).status === 400);
    await insert('later', ['{"n":2}', '{"n":1.5}', '{"s":true}'], 10);
    const { types } = await resultOf('SELECT n, s FROM later');
    assert.deepEqual(types, { n: 'DOUBLE', s: 'VARCHAR' });
  });
});

describe('put and type_conflict', () => {
  let producer: JobProducer;

  before(() => {
    producer = new JobProducer(cluster.redis);
  });

  after(async () => {
    await producer.close();
  });

  async function put(
    table: string,
    type: ColumnType,
    typeConflict: 'widen' | 'reject',
  ): Promise<{ answer: PutAnswer; column: ColumnType | undefined }> {
    const catalog = new Catalog(cluster.redis, fixed, DEFAULT_TABLE_CONFIG);
    const { generation } = (await catalog.read(table))!;
    const line = rowLine('a', '0', '{}');
    const payload = zstdCompressSync(line);
    const putId = randomBytes(6).toString('hex');
    const bytes = { rows: 1, bytes: payload.length, rawBytes: line.length };
    const meta = { ...bytes, acceptedMs: Date.now(), minTs: '0', maxTs: '0', hasOverflow: false };
    const answer = await sendPut(cluster.redis, producer, fixed, {
      table,
      generation,
      shards: 1,
      putId,
      deadlineMs: (await redisTimeMs(cluster.redis)) + 10_000,
      batches: [{ id: `${putId}-0`, shard: 0, meta, payload }],
      columns: [{ name: 'C', folded: 'c', type }],
      acceptedAt: '2026-01-01T00:00:00.000000Z',
      oldest: '1970-01-01T00:00:00.000000Z',
      newest: '1970-01-01T00:00:00.000000Z',
      maxPendingBytes: 1e9,
      typeConflict,
      isRepeat: false,
    });
    const snapshot = await takeSnapshot(cluster.redis, fixed, table, generation, 1);
    assert.equal(snapshot.status, 'ok');
    return { answer, column: snapshot.status === 'ok' ? snapshot.snapshot.schema.get('c')?.type : undefined };
  }

  for (const [setting, inherited] of [
    ['reject', 'widen'],
    ['widen', 'reject'],
    [undefined, 'reject'],
  ] as const) {
    test(`agrees with the lattice for every two types: set ${setting ?? 'not'}, inherited ${inherited}`, async () => {
      const rejects = (setting ?? inherited) === 'reject';
      for (const first of COLUMN_TYPES) {
        const table = `put_${setting}_${inherited}_${first}`;
        await create(table, setting === undefined ? {} : { type_conflict: setting });
        for (const second of COLUMN_TYPES) {
          await cluster.redis.hset((await cluster.keysOf(table)).schema, 'c', `${first}:C`);
          await cluster.redis.hincrby((await cluster.keysOf(table)).counters, 'schema_version', 1);
          const rows = await cluster.pendingRows(table);
          const { answer, column } = await put(table, second, inherited);
          if (rejects && isTypeConflict(first, second)) {
            assert.deepEqual(answer, { status: 'type_conflict', name: 'C', column: first, came: second });
            assert.equal(column, first);
            assert.equal(await cluster.pendingRows(table), rows);
          } else {
            assert.equal(answer.status, 'ok', `${first} and ${second}`);
            assert.equal(column, joinTypes(first, second));
          }
        }
      }
    });
  }
});

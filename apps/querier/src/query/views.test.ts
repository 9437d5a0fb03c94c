import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isColumnName } from '@miniodb/core/table/schema.ts';
import fc from 'fast-check';
import { QueryFixture, schemaOf } from './query.fixture.ts';
import type { FileGroup, TableSource } from './views.ts';

let fixture: QueryFixture;
before(async () => {
  fixture = await QueryFixture.open();
});
after(() => fixture.close());

const SCHEMA = schemaOf({
  n: 'int64',
  d: 'double',
  v: 'varchar_lossy',
  j: 'json',
  b: 'boolean',
  new: 'varchar',
});

function source(part: Partial<TableSource>): TableSource {
  return { name: 't', schema: SCHEMA, withPayload: false, files: [], pending: [], ...part };
}

async function narrowFile(): Promise<FileGroup> {
  const path = await fixture.parquet(`SELECT 'a' AS id, TIMESTAMP '2024-01-02 03:04:05.000006' AS timestamp,
    9007199254740993::BIGINT AS n, 7::BIGINT AS d, true AS v, 'text' AS j, false AS b
    UNION ALL SELECT 'b', '0001-01-01', NULL, NULL, NULL, NULL, NULL`);
  const columns = [
    ['n', 'int64'],
    ['d', 'int53'],
    ['v', 'boolean'],
    ['j', 'varchar'],
    ['b', 'boolean'],
  ] as const;
  return { columns, overflow: false, paths: [path] };
}

async function wideFile(): Promise<FileGroup> {
  const path = await fixture.parquet(`SELECT 'c' AS id, TIMESTAMPTZ '2024-01-02 05:00:00+02' AS timestamp,
    9223372036854775807::BIGINT AS n, 0.1::DOUBLE AS d, '12' AS v, '{"x":[1,null]}'::JSON AS j, NULL::BOOLEAN AS b,
    'é"' AS new, '{"v":12,"N":"clash","id":"inner"}'::JSON AS "~overflow"
    UNION ALL SELECT 'd', '9999-12-31 23:59:59.999999+00', NULL, 1e300, 's', '1', true, NULL, NULL`);
  const columns = Array.from(SCHEMA.values(), ({ name, type }) => [name, type] as const);
  return { columns, overflow: true, paths: [path] };
}

const NARROW_ROWS = [
  {
    id: 'a',
    timestamp: '2024-01-02T03:04:05.000006Z',
    n: '9007199254740993',
    d: 7,
    v: 'true',
    j: 'text',
    b: false,
    new: null,
  },
  { id: 'b', timestamp: '0001-01-01T00:00:00Z', n: null, d: null, v: null, j: null, b: null, new: null },
];
const WIDE_ROWS = [
  {
    id: 'c',
    timestamp: '2024-01-02T03:00:00Z',
    n: '9223372036854775807',
    d: 0.1,
    v: '12',
    j: { x: [1, null] },
    b: null,
    new: 'é"',
  },
  {
    id: 'd',
    timestamp: '9999-12-31T23:59:59.999999Z',
    n: null,
    d: 1e300,
    v: 's',
    j: 1,
    b: true,
    new: null,
  },
];
const PENDING_LINES = [
  [
    'c',
    '1704164400000000',
    '{"n":9223372036854775807,"d":0.1,"v":12,"j":{"x":[1,null]},"new":"é\\"","N":"clash","id":"inner"}',
  ],
  ['d', '253402300799999999', '{"d":1e300,"v":"s","j":1,"b":true}'],
] as const;

const ALL = 'SELECT * REPLACE (n::VARCHAR AS n) FROM t ORDER BY id';

test('an empty table is an empty relation with the types of the schema', async () => {
  const sources = [source({ withPayload: true })];
  assert.deepEqual(await fixture.rows('SELECT * FROM t', sources), []);
  const result = await fixture.executor.run(
    { sql: 'FROM t', params: [], sources },
    new AbortController().signal,
  );
  assert.deepEqual(
    result.columns.map(({ name, type }) => `${name} ${type}`),
    [
      'id VARCHAR',
      'timestamp TIMESTAMP',
      'n BIGINT',
      'd DOUBLE',
      'v VARCHAR',
      'j JSON',
      'b BOOLEAN',
      'new VARCHAR',
      'payload JSON',
    ],
  );
  await result.close();
});

test('narrower files widen to the schema and lack what they lack', async () => {
  assert.deepEqual(await fixture.rows(ALL, [source({ files: [await narrowFile()] })]), NARROW_ROWS);
});

test('rows are the same from files, from pending batches, and from both', async () => {
  const files = [await narrowFile(), await wideFile()];
  const pending = [await fixture.pending(...PENDING_LINES)];
  assert.deepEqual(await fixture.rows(ALL, [source({ files: [files[1]!] })]), WIDE_ROWS);
  assert.deepEqual(await fixture.rows(ALL, [source({ pending })]), WIDE_ROWS);
  assert.deepEqual(await fixture.rows(ALL, [source({ files: [files[0]!], pending })]), [
    ...NARROW_ROWS,
    ...WIDE_ROWS,
  ]);
  assert.deepEqual(await fixture.rows(ALL, [source({ files, pending: [] })]), [...NARROW_ROWS, ...WIDE_ROWS]);
  assert.deepEqual(
    await fixture.rows(`SELECT * EXCLUDE (payload) REPLACE (n::VARCHAR AS n) FROM t ORDER BY id`, [
      source({ files: [files[0]!], pending, withPayload: true }),
    ]),
    [...NARROW_ROWS, ...WIDE_ROWS],
  );
});

test('payload is rebuilt from columns under the overflow, and taken as it is from pending rows', async () => {
  const text = await fixture.text('SELECT payload FROM t ORDER BY id', [
    source({ withPayload: true, files: [await narrowFile(), await wideFile()] }),
  ]);
  assert.equal(
    text,
    '[{"payload":{"n":9007199254740993,"d":7,"v":true,"j":"text","b":false}},{"payload":{}},' +
      '{"payload":{"n":9223372036854775807,"d":0.1,"j":{"x":[1,null]},"new":"é\\"","v":12,"N":"clash","id":"inner"}},' +
      '{"payload":{"d":1e300,"v":"s","j":1,"b":true}}]',
  );
  const pending = [await fixture.pending(['x', '1', '{ "z": 0.12345678901234567890, "v":1.50 }'])];
  assert.equal(
    await fixture.text('SELECT payload FROM t', [source({ withPayload: true, pending })]),
    '[{"payload":{ "z": 0.12345678901234567890, "v":1.50 }}]',
  );
});

test('what a lossy column could not hold exactly comes back exactly in a wider one', async () => {
  const path =
    await fixture.parquet(`SELECT 'a' AS id, now()::TIMESTAMP AS timestamp, '12' AS v, 9007199254740992::DOUBLE AS d,
    '{"v":12,"d":9007199254740993}'::JSON AS "~overflow" UNION ALL SELECT 'b', now(), '12', 0.5, NULL`);
  const files = [
    {
      columns: [
        ['v', 'varchar_lossy'],
        ['d', 'double_lossy'],
      ] as const,
      overflow: true,
      paths: [path],
    },
  ];
  const schema = schemaOf({ v: 'json', d: 'varchar_lossy' });
  assert.deepEqual(await fixture.rows('SELECT v, d FROM t ORDER BY id', [source({ schema, files })]), [
    { v: 12, d: '9007199254740993' },
    { v: '12', d: '0.5' },
  ]);
});

test('payload is the text that was sent where there is one, and else rebuilt', async () => {
  const sent = '{ "v" : 1.50,\t"p":"\\",\\"p\\":{" }';
  const path = await fixture.parquet(`SELECT 'a' AS id, TIMESTAMP '2024-01-02' AS timestamp, '1.5' AS v,
    '${sent}' AS "~payload" UNION ALL SELECT 'b', '2024-01-02', 'x', NULL`);
  const files = [
    {
      columns: [
        ['v', 'varchar'],
        ['~payload', 'raw'],
      ] as const,
      overflow: false,
      paths: [path],
    },
  ];
  const pending = [await fixture.pending(['","p":{', '1', '{"v":1.5}', sent], ['d', '2', '{"v":"y"}'])];
  const of = (part: Partial<TableSource>) => {
    const schema = schemaOf({ v: 'varchar_lossy' });
    return fixture.text('SELECT v, payload FROM t ORDER BY v', [
      source({ schema, withPayload: true, ...part }),
    ]);
  };
  const expected = (other: string) =>
    `[{"v":"1.5","payload":${sent}},{"v":"${other}","payload":{"v":"${other}"}}]`;
  assert.equal(await of({ files }), expected('x'));
  assert.equal(await of({ pending, pendingHas: { raw: true, overflow: false } }), expected('y'));
});

test('pending numbers that their columns cannot hold are NULL, as they will be in a file', async () => {
  const schema = schemaOf({ i: 'int53', b: 'boolean', d: 'double' });
  const pending = [
    await fixture.pending(
      ['a', '1', '{"i":1e400,"b":1e400,"d":1e400}'],
      ['b', '2', '{"i":1,"b":true,"d":0.5}'],
    ),
  ];
  const pendingHas = { raw: false, overflow: true };
  assert.equal(
    await fixture.text('SELECT i, b, d IS NULL AS n FROM t ORDER BY id', [
      source({ schema, pending, pendingHas }),
    ]),
    '[{"i":null,"b":null,"n":true},{"i":1,"b":true,"n":false}]',
  );
});

test('fields whose names differ in case do not mix', async () => {
  const schema = schemaOf({ foo: 'varchar' });
  const pending = [
    await fixture.pending(['a', '1', '{"Foo":"big","foo":"small"}'], ['b', '2', '{"FOO":"other"}']),
  ];
  for (const withPayload of [false, true]) {
    assert.deepEqual(
      await fixture.rows('SELECT id, foo FROM t ORDER BY id', [source({ schema, pending, withPayload })]),
      [
        { id: 'a', foo: 'small' },
        { id: 'b', foo: null },
      ],
    );
  }
});

test('odd column names and odd ids are only names and ids', async () => {
  const names = ['a"b', "it's", 'select', 'é😀', '$.x', 'i', 't', 'p', 'json', 'line', '__proto__', 'a\\b'];
  const schema = schemaOf(Object.fromEntries(names.map((name) => [name, 'varchar'])));
  const payload = JSON.stringify(Object.fromEntries(names.map((name) => [name, `value of ${name}`])));
  const id = '","p":{"';
  const expected = [{ id, ...JSON.parse(payload) }];
  for (const withPayload of [false, true]) {
    const pending = [await fixture.pending([id, '1', payload])];
    const rows = await fixture.rows(`SELECT * EXCLUDE (timestamp${withPayload ? ', payload' : ''}) FROM t`, [
      source({ schema, pending, withPayload }),
    ]);
    assert.deepEqual(rows, expected);
  }
});

test('any payload comes back equal through pending', async () => {
  const key = fc.string({ unit: 'grapheme', maxLength: 8 }).filter((name) => name !== '__proto__');
  const payloads = fc.array(fc.dictionary(key, fc.jsonValue({ maxDepth: 3 })), {
    minLength: 1,
    maxLength: 20,
  });
  await fc.assert(
    fc.asyncProperty(payloads, async (values) => {
      const lines = values.map((value, n) => [`id "${n}" \\`, String(n), JSON.stringify(value)] as const);
      const columns = Object.keys(values[0]!).filter(isColumnName).slice(0, 1);
      const schema = schemaOf(Object.fromEntries(columns.map((name) => [name, 'json'])));
      const pending = [await fixture.pending(...lines)];
      const rows = await fixture.text('SELECT payload FROM t ORDER BY timestamp', [
        source({ schema, pending, withPayload: true }),
      ]);
      assert.equal(rows, `[${lines.map((line) => `{"payload":${line[2]}}`).join(',')}]`);
    }),
    { numRuns: 40 },
  );
});

test('a table of 1,000 columns comes back whole, payload included', async () => {
  const names = Array.from({ length: 1000 }, (_, n) => `column_${n}`);
  const values = names.map((name, n) => `${n}::BIGINT AS ${name}`).join(', ');
  const path = await fixture.parquet(
    `SELECT 'a' AS id, now()::TIMESTAMP AS timestamp, ${values}, '{"more":1,"column_7":0.5}'::JSON AS "~overflow"`,
  );
  const columns = names.map((name) => [name, 'int53'] as const);
  const schema = schemaOf(Object.fromEntries(columns));
  const files = [{ columns, overflow: true, paths: [path] }];
  assert.deepEqual(
    await fixture.rows('SELECT payload FROM t', [source({ schema, files, withPayload: true })]),
    [{ payload: { ...Object.fromEntries(names.map((name, n) => [name, n])), more: 1, column_7: 0.5 } }],
  );
});

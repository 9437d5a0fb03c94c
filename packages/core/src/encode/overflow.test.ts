import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isRawNumber, parseExact } from '../table/exact-json.ts';
import { COLUMN_TYPES, type ColumnType, foldName, type TableSchema } from '../table/schema.ts';
import { hasLossyColumns, overflowOf, splitPayload } from './overflow.ts';

function schemaOf(columns: Readonly<Record<string, ColumnType>>): TableSchema {
  return new Map(Object.entries(columns).map(([name, type]) => [foldName(name), { name, type }]));
}

/** As JSON text, which shows raw numbers. */
function overflowText(payload: string, columns: Readonly<Record<string, ColumnType>>): string | undefined {
  return JSON.stringify(overflowOf(parseExact(payload) as Record<string, unknown>, schemaOf(columns)));
}

test('fields that their columns hold exactly are not in the overflow', () => {
  const payload = '{"b":true,"i":-3,"l":9223372036854775807,"d":0.1,"s":"x","j":[1e400],"n":null}';
  const columns = { b: 'boolean', i: 'int53', l: 'int64', d: 'double', s: 'varchar', j: 'json' } as const;
  assert.equal(overflowText(payload, columns), undefined);
});

test('fields without a column are in the overflow', () => {
  assert.equal(overflowText('{"a":1,"b":2}', { a: 'int53' }), '{"b":2}');
});

test('names that no column may have are in the overflow even if the schema has them', () => {
  const payload = '{"id":1,"TimeStamp":2,"payload":3,"a\\u0000":4,"":5}';
  const columns = {
    id: 'int53',
    TimeStamp: 'int53',
    payload: 'int53',
    'a\u0000': 'int53',
    '': 'int53',
  } as const;
  assert.equal(overflowText(payload, columns), payload);
});

test('a name that is spelled differently than its column is in the overflow', () => {
  assert.equal(overflowText('{"Name":"x","name":"y"}', { name: 'varchar' }), '{"Name":"x"}');
});

test('a field named __proto__ is a field', () => {
  assert.equal(overflowText('{"__proto__":{"a":1}}', {}), '{"__proto__":{"a":1}}');
  const { columns } = splitPayload(
    parseExact('{"__proto__":1}') as Record<string, unknown>,
    schemaOf({ ['__proto__']: 'int53' }),
  );
  assert.equal(JSON.stringify(columns), '{"__proto__":1}');
});

test('an integer that is no double is in the overflow, and its column shows the nearest double', () => {
  const payload = parseExact('{"a":9007199254740993,"b":9007199254740994}') as Record<string, unknown>;
  const { columns, overflow } = splitPayload(payload, schemaOf({ a: 'double_lossy', b: 'double_lossy' }));
  assert.equal(JSON.stringify(overflow), '{"a":9007199254740993}');
  assert.equal(columns.a, 9007199254740992);
});

test('what is no text is in the overflow, and its column shows its text', () => {
  const payload = parseExact('{"a":true,"b":1.50,"c":123456789012345678901,"d":"1"}') as Record<
    string,
    unknown
  >;
  const columns = { a: 'varchar_lossy', b: 'varchar_lossy', c: 'varchar_lossy', d: 'varchar_lossy' } as const;
  const split = splitPayload(payload, schemaOf(columns));
  assert.equal(JSON.stringify(split.overflow), '{"a":true,"b":1.5,"c":123456789012345678901}');
  assert.deepEqual({ ...split.columns }, { a: 'true', b: '1.5', c: '123456789012345678901', d: '1' });
});

test('a number that no column type holds is in the overflow, and no column shows infinity', () => {
  for (const type of ['int53', 'int64', 'double', 'double_lossy', 'boolean'] as const) {
    const split = splitPayload({ a: parseExact('1e400') }, schemaOf({ a: type }));
    assert.equal(JSON.stringify(split.overflow), '{"a":1e400}', type);
    assert.deepEqual({ ...split.columns }, {}, type);
  }
});

test('a number that no column type holds is text in a column of text', () => {
  for (const type of ['varchar', 'varchar_lossy'] as const) {
    const split = splitPayload({ a: parseExact('1e400') }, schemaOf({ a: type }));
    assert.equal(JSON.stringify(split.overflow), '{"a":1e400}', type);
    assert.deepEqual({ ...split.columns }, { a: '1e400' }, type);
  }
});

test('only the lossy types are lossy', () => {
  for (const type of COLUMN_TYPES) {
    assert.equal(hasLossyColumns(schemaOf({ a: type })), type.endsWith('_lossy'), type);
  }
});

test('columns overlaid with overflow are the payload, whatever the schema says', () => {
  const value = fc.oneof(
    fc.constantFrom(
      'null',
      'true',
      '1e400',
      '9007199254740993',
      '9007199254740994',
      '-0',
      '0.5',
      '{"a":[1e400]}',
    ),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
    fc.string().map((text) => JSON.stringify(text)),
  );
  const name = fc.constantFrom('a', 'A', 'b', 'id', '__proto__', 'é');
  const column = fc.tuple(name, fc.constantFrom(...COLUMN_TYPES));
  fc.assert(
    fc.property(fc.dictionary(name, value), fc.array(column), (fields, columns) => {
      const text = `{${Object.entries(fields).map(([key, json]) => `${JSON.stringify(key)}:${json}`)}}`;
      const payload = parseExact(text) as Record<string, unknown>;
      const split = splitPayload(payload, schemaOf(Object.fromEntries(columns)));
      const back = new Map([...Object.entries(split.columns), ...Object.entries(split.overflow ?? {})]);
      const kept = Object.entries(payload).filter(([, each]) => each !== null);
      assert.deepEqual([...back.keys()].sort(), kept.map(([key]) => key).sort());
      for (const [key, each] of kept) {
        assert.equal(isRawNumber(each), isRawNumber(back.get(key)));
        assert.equal(JSON.stringify(back.get(key)), JSON.stringify(each));
      }
    }),
  );
});

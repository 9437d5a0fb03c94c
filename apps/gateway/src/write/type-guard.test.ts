import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { type ColumnType, foldName, type TableSchema } from '@miniodb/core/table/schema.ts';
import type { BatchInput } from '../api.ts';
import { type Accepted, acceptAll } from './accept-all.ts';
import { TypeGuard } from './type-guard.ts';

function schemaOf(columns: Readonly<Record<string, ColumnType>>): TableSchema {
  return new Map(Object.entries(columns).map(([name, type]) => [foldName(name), { name, type }]));
}

const NESTED = '{"x":[]}';

/** Rows of one request in each of the ways in: straight from bytes, through JSON.parse line by line, as an array. */
async function accept(
  columns: Readonly<Record<string, ColumnType>>,
  payloads: readonly string[],
  way: 'bytes' | 'lines' | 'array',
): Promise<Accepted> {
  const rows = payloads.map((payload) =>
    way === 'lines' ? `{"id":"a", "payload":${payload},"timestamp":null}` : `{"id":"a","payload":${payload}}`,
  );
  const bytes = Buffer.from(way === 'array' ? `[${rows.join(',')}]` : `${rows.join('\n')}\n`);
  const form = way === 'array' ? 'json_array' : 'ndjson';
  const request: BatchInput = {
    table: 't',
    rows: { form, bytes },
    ack: 'default',
    batchId: '',
    skipInvalid: true,
  };
  return acceptAll(request, 1, { keepsRaw: false, guard: new TypeGuard(schemaOf(columns)) });
}

async function refused(columns: Readonly<Record<string, ColumnType>>, payloads: readonly string[]) {
  const answers = [];
  for (const way of ['bytes', 'lines', 'array'] as const) {
    const { errors, rows, rejected } = await accept(columns, payloads, way);
    assert.deepEqual(
      new Set(errors.map(({ code }) => code)),
      new Set(errors.length > 0 ? ['type_conflict'] : []),
    );
    assert.equal(rows.length + rejected, payloads.length);
    answers.push(errors.map(({ index }) => index));
  }
  assert.deepEqual(answers[1], answers[0]);
  assert.deepEqual(answers[2], answers[0]);
  return answers[0];
}

test('a column takes what keeps its SQL type, and nothing else', async () => {
  const values = [
    'true',
    '1',
    '9007199254740993',
    '0.5',
    '1e400',
    '12345678901234567890123',
    '"x"',
    NESTED,
    'null',
  ];
  for (const [type, taken] of [
    ['boolean', ['true', 'null']],
    ['int53', ['1', '9007199254740993', 'null']],
    ['int64', ['1', '9007199254740993', 'null']],
    ['double', ['1', '9007199254740993', '0.5', '1e400', '12345678901234567890123', 'null']],
    ['double_lossy', ['1', '9007199254740993', '0.5', '1e400', '12345678901234567890123', 'null']],
    ['varchar', values.filter((value) => value !== NESTED)],
    ['varchar_lossy', values.filter((value) => value !== NESTED)],
    ['json', values],
  ] as const) {
    const bad = await refused(
      { c: type },
      values.map((value) => `{"c":${value}}`),
    );
    assert.deepEqual(
      values.filter((_, at) => !bad!.includes(at)),
      taken,
      type,
    );
  }
});

test('of rows that conflict with each other the first decides', async () => {
  assert.deepEqual(
    await refused({}, ['{"c":1}', '{"c":0.5}', '{"c":2}', '{"c":"x"}', '{"d":"x"}', '{"d":[]}']),
    [1, 3, 5],
  );
  assert.deepEqual(await refused({}, ['{"c":0.5}', '{"c":1}', '{"c":true}']), [2]);
});

test('a refused row decides nothing', async () => {
  assert.deepEqual(await refused({ c: 'boolean' }, ['{"new":1,"c":2}', '{"new":"x","c":true}']), [0]);
});

test('fields that are in no column conflict with nothing', async () => {
  const other = ['{"C":1}', '{"C":"x"}', '{"id":1}', '{"id":"x"}', '{"payload":[]}', '{"payload":1}'];
  assert.deepEqual(await refused({ c: 'boolean' }, other), []);
  assert.deepEqual(await refused({}, ['{"c":1}', '{"C":1}', '{"C":"x"}', '{"c":"x"}']), [3]);
  const full = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`c${n}`, 'json' as const]));
  assert.deepEqual(await refused(full, ['{"x":1}', '{"x":"y"}']), []);
});

test('the message names the column, its type and what came', async () => {
  const { errors } = await accept({ c: 'int53' }, ['{"c":"x"}'], 'bytes');
  assert.equal(errors[0]!.message, 'column "c" is BIGINT and takes integers of 64 bits, not text');
  const single = { ...(await requestOf('{"c":0.5}')), skipInvalid: false };
  const guard = new TypeGuard(schemaOf({ c: 'boolean' }));
  await assert.rejects(acceptAll(single, 1, { keepsRaw: false, guard }), (error: MiniodbError) => {
    assert.deepEqual([error.kind, error.code], ['invalid_argument', 'type_conflict']);
    return true;
  });
});

async function requestOf(payload: string): Promise<BatchInput> {
  const rows = [{ id: 'a', payload: JSON.parse(payload) as unknown }];
  return { table: 't', rows: { form: 'rows', rows }, ack: 'default', batchId: '', skipInvalid: true };
}

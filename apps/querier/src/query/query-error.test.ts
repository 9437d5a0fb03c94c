import assert from 'node:assert/strict';
import { test } from 'node:test';
import { schemaOf } from './query.fixture.ts';
import { queryError } from './query-error.ts';
import type { TableSource } from './views.ts';

const PATH = '/cache/orders/x.parquet';
const SOURCES: readonly TableSource[] = [
  {
    name: 't',
    schema: schemaOf(Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`c${n}`, 'varchar']))),
    withPayload: false,
    files: [{ columns: [], overflow: false, paths: [PATH] }],
    pending: [],
  },
];

function engineError(type: string, message: string, more: object = {}): Error {
  return new Error(JSON.stringify({ exception_type: type, exception_message: message, ...more }));
}

test('messages carry no paths and no advice for operators', () => {
  for (const message of [
    `failed to cast column of ${PATH}: 'x'`,
    `failed in file "/var/lib/somewhere/else.parquet"`,
    `failed in file 'C:\\data\\x'`,
    `failed\n\nPossible solutions:\n* see /etc/config`,
  ]) {
    const error = queryError(engineError('Conversion', message), SOURCES);
    assert.equal(error.code, 'sql_type_error');
    assert.doesNotMatch(error.message, /parquet|\/|\\|solutions/);
  }
  assert.equal(queryError(engineError('INTERNAL', `lost ${PATH}`), SOURCES).message, 'the query failed');
});

test('an error that is only a sentence is classified by its first words', () => {
  const error = queryError(new Error('Out of Memory Error: failed to allocate'), SOURCES);
  assert.equal(error.code, 'query_out_of_memory');
  assert.equal(queryError(new Error('something else'), SOURCES).kind, 'internal');
});

test('the list of known columns ends somewhere', () => {
  const unknown = engineError('Binder', 'Referenced column "x"', {
    error_subtype: 'COLUMN_NOT_FOUND',
    name: 'x',
  });
  assert.match(queryError(unknown, SOURCES).message, /id, timestamp, payload, c0, .* and 13 more$/);
});

test('payloads that are not what was written are told apart from failures of the engine', () => {
  for (const message of ['Unknown frame descriptor', 'Data corruption detected', 'Src size is incorrect']) {
    const error = queryError(engineError('IO', message), SOURCES);
    assert.deepEqual([error.kind, error.code], ['data_corrupted', 'undecodable_payload']);
  }
});

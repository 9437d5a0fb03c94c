import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csv, ndjson, resultView, TABLE_ROWS_MAX } from './query-formats.ts';
import { parseParam, parseRows } from './query-rows.ts';

const COLUMNS = [
  { name: 'id', type: 'VARCHAR' },
  { name: 'n', type: 'DECIMAL(20,2)' },
  { name: 'o', type: 'JSON' },
];
const RESULT =
  '[{"id":"a, \\"b\\"\\n","n":9007199254740993.10,"o":{"x":[1.0,null]}},{"id":"","n":null,"o":null},{"id":" c","n":1e400,"o":"t"}]';

test('csv tells null from the empty text, quotes what needs it and keeps numbers as they were written', () => {
  assert.equal(
    [...csv(COLUMNS, parseRows(RESULT), false)].join(''),
    'id,n,o\n"a, ""b""\n",9007199254740993.10,"{""x"":[1.0,null]}"\n"",,\n" c",1e400,t\n',
  );
});

test('csv is exact in a pipe and harmless on a terminal', () => {
  const rows = parseRows('[{"id":"\\u001b[2J","n":1,"o":null}]');
  assert.ok([...csv(COLUMNS, rows, false)].join('').includes('\u001b[2J'));
  assert.match([...csv(COLUMNS, rows, true)].join(''), /\ufffd\[2J/);
});

test('ndjson is a row a line with every digit', () => {
  const lines = [...ndjson(parseRows(RESULT))].join('').trimEnd().split('\n');
  assert.equal(lines.length, 3);
  assert.equal(lines[0], '{"id":"a, \\"b\\"\\n","n":9007199254740993.10,"o":{"x":[1.0,null]}}');
  assert.equal(lines[2], '{"id":" c","n":1e400,"o":"t"}');
});

test('a table shows nothing for null, JSON for objects, numbers to the right, and so many rows', () => {
  const rows = parseRows(
    `[${Array.from({ length: TABLE_ROWS_MAX + 1 }, () => '{"id":"x","n":null,"o":{"a":1}}')}]`,
  );
  const view = resultView(COLUMNS, rows);
  assert.deepEqual(
    view.columns.map(({ isNumber }) => isNumber),
    [false, true, false],
  );
  assert.deepEqual(view.rows[0], ['x', '', '{"a":1}']);
  assert.equal(view.rows.length, TABLE_ROWS_MAX);
  const types = ['BIGINT', 'UINTEGER', 'DOUBLE', 'INTEGER[]', 'INTERVAL', 'TIMESTAMP'];
  const numbers = resultView(
    types.map((type) => ({ name: type, type })),
    [],
  ).columns;
  assert.deepEqual(
    numbers.map(({ isNumber }) => isNumber),
    [true, true, true, false, false, false],
  );
});

test('a parameter is a JSON scalar where it reads as one, and text otherwise', () => {
  const texts = ['5', 'true', 'null', '"5"', 'abc', '007', '[1]', '{"a":1}', ''];
  assert.deepEqual(texts.map(parseParam), [5, true, null, '5', 'abc', '007', '[1]', '{"a":1}', '']);
  assert.equal(JSON.stringify(parseParam('9007199254740993')), '9007199254740993');
});

test('a result that is no array of rows is said to be none', () => {
  for (const text of ['{"a":1}', 'nope']) assert.throws(() => parseRows(text), { code: 'unexpected_answer' });
});

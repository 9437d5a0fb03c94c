import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { Output } from './output.ts';
import { fitWidths, renderTable } from './output-table.ts';
import { escapedJson, formatMib, formatNumber, formatTime, renderFields } from './output-text.ts';

test('a table is a box with numbers to the right', () => {
  const view = {
    columns: [{ name: 'table' }, { name: 'rows', isNumber: true }],
    rows: [
      ['logs', '1,234'],
      ['用户', '5'],
    ],
  };
  assert.equal(
    renderTable(view, 80),
    [
      '┌───────┬───────┐',
      '│ table │  rows │',
      '├───────┼───────┤',
      '│ logs  │ 1,234 │',
      '│ 用户  │     5 │',
      '└───────┴───────┘',
      '',
    ].join('\n'),
  );
});

test('a table is never wider than it may be: texts are cut before numbers', () => {
  const columns = [{ name: 'text' }, { name: 'n', isNumber: true }, { name: 'short' }];
  const text = renderTable({ columns, rows: [['x'.repeat(200), '9007199254740993', 'abc']] }, 40);
  assert.equal(
    text,
    [
      '┌───────────┬──────────────────┬───────┐',
      '│ text      │                n │ short │',
      '├───────────┼──────────────────┼───────┤',
      '│ xxxxxxxx… │ 9007199254740993 │ abc   │',
      '└───────────┴──────────────────┴───────┘',
      '',
    ].join('\n'),
  );
});

test('columns for which there is no room are counted and named', () => {
  const columns = Array.from({ length: 20 }, (_, n) => ({ name: `column${n}` }));
  const lines = renderTable({ columns, rows: [columns.map(({ name }) => name)] }, 40).split('\n');
  assert.ok(lines.every((line) => line.length <= 40));
  assert.match(lines.at(-2)!, /^… and 15 more columns: column5, col/);
});

test('widths fill the room that there is', () => {
  assert.deepEqual(fitWidths([10, 20], [false, false], 80), [10, 20]);
  const fitted = fitWidths([30, 50, 50], [false, false, false], 80);
  assert.equal(
    fitted.reduce((sum, one) => sum + one, 4),
    80,
  );
  assert.ok(Math.max(...fitted) - Math.min(...fitted) <= 1);
  // Not even numbers can stay whole everywhere.
  assert.ok(fitWidths([30, 30], [true, true], 40).every((one) => one < 30));
});

test('stored text in a cell stays one line and moves nothing', () => {
  const text = renderTable(
    { columns: [{ name: 'a\u001b[2J' }], rows: [['one\ntwo\u202e\u009b31m\u0007']] },
    80,
  );
  assert.match(text, /│ one two\ufffd\ufffd31m\ufffd │/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  assert.equal(renderFields([['name', 'x\u001b]0;title\u0007']]), 'name  x\ufffd]0;title\ufffd\n');
});

test('JSON for programs keeps its meaning and has no character that a terminal obeys', () => {
  const value = { text: '\u001b[2J\u009b2J\u007f', n: 1 };
  const escaped = escapedJson(JSON.stringify(value));
  assert.deepEqual(JSON.parse(escaped), value);
  assert.match(escaped, /^[\u0020-\u007e]+$/);
});

test('numbers have separators, sizes are in MiB, and times are to the second', () => {
  assert.deepEqual([0, 999, 1_234_567].map(formatNumber), ['0', '999', '1,234,567']);
  const sizes = [0, 1, 1_048_576, 1_572_864, 5_000_000_000].map(formatMib);
  assert.deepEqual(sizes, ['0 MiB', '<0.1 MiB', '1 MiB', '1.5 MiB', '4,768.4 MiB']);
  assert.equal(formatTime('2026-11-23T20:52:35.597123Z'), '2026-11-23 20:52:35Z');
  assert.equal(formatTime('whatever'), 'whatever');
});

test('a write ends when the reader has taken it, not before: the process exits after the last', async () => {
  const taken = Promise.withResolvers<void>();
  const slow = new Writable({ write: (_chunk, _encoding, done) => void taken.promise.then(() => done()) });
  let isOver = false;
  const over = new Output(slow, new PassThrough()).line('x').then(() => {
    isOver = true;
  });
  await setImmediate();
  assert.equal(isOver, false);
  taken.resolve();
  await over;
});

test('an error is one line for people, and the problem of the API for programs', async () => {
  const said = async (asJson: boolean, details?: Record<string, unknown>) => {
    const err = new PassThrough().setEncoding('utf8');
    const error = new MiniodbError('not_found', 'no \u001btable', {
      code: 'table_not_found',
      ...(details === undefined ? {} : { details }),
    });
    await new Output(new PassThrough(), err).error(error, asJson);
    return err.read() as string;
  };
  assert.equal(await said(false), 'error: no \ufffdtable (table_not_found)\n');
  assert.deepEqual(JSON.parse(await said(true)), {
    success: false,
    code: 'table_not_found',
    message: 'no \u001btable',
  });
  assert.deepEqual(JSON.parse(await said(true, { problem: { status: 404 } })), { status: 404 });
});

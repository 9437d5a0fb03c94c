import assert from 'node:assert/strict';
import { test } from 'node:test';
import { batch, NEW_YEAR_MICROS, newJob, row, schemaOf } from './conformance/jobs.ts';
import { readBack } from './conformance/read-back.ts';
import { testEncoder } from './conformance/suite.ts';
import { ParquetJsEncoder } from './parquetjs.ts';

testEncoder('parquetjs-lite', () => new ParquetJsEncoder());

const REFUSED = { kind: 'failed_precondition', code: 'encoder_cannot_store' };

test('integers beyond 2^53 are refused, since the library would round them', async (t) => {
  const batches = [batch('1', [[row('a', NEW_YEAR_MICROS, '{"n":9007199254740993}')]])];
  const job = await newJob(t, { batches, schema: schemaOf({ n: 'int64' }) });
  await assert.rejects(new ParquetJsEncoder().encode(job), REFUSED);
});

test('an int64 column whose values are within 2^53 is stored', async (t) => {
  const batches = [batch('1', [[row('a', NEW_YEAR_MICROS, '{"n":-9007199254740992}')]])];
  const [file] = await new ParquetJsEncoder().encode(
    await newJob(t, { batches, schema: schemaOf({ n: 'int64' }) }),
  );
  const { rows } = await readBack(file!);
  assert.deepEqual(rows[0]?.columns, { n: -9007199254740992n });
});

test('timestamps before 1970 are refused', async (t) => {
  const job = await newJob(t, { batches: [batch('1', [[row('a', -1n)]])] });
  await assert.rejects(new ParquetJsEncoder().encode(job), REFUSED);
});

test('a column named __proto__ is refused', async (t) => {
  const batches = [batch('1', [[row('a', NEW_YEAR_MICROS, '{"__proto__":1}')]])];
  const job = await newJob(t, { batches, schema: schemaOf({ ['__proto__']: 'int53' }) });
  await assert.rejects(new ParquetJsEncoder().encode(job), REFUSED);
});

test('statistics are only where the library orders values as readers do', async (t) => {
  const rows = [
    row('\uffff', NEW_YEAR_MICROS, '{"s":"a","n":1}'),
    row('😀', NEW_YEAR_MICROS + 1n, '{"s":"b","n":2}'),
  ];
  const schema = schemaOf({ s: 'varchar', n: 'int53' });
  for (const [some, idBounds] of [
    [rows, undefined],
    [rows.slice(0, 1), '\uffff'],
  ] as const) {
    const job = await newJob(t, {
      batches: [batch('1', [some])],
      schema,
      layout: { mode: 'packed', filesMax: 1, ownIdsMax: 0, ownRowsMin: 1 },
    });
    const [file] = await new ParquetJsEncoder().encode(job);
    const { metadata } = await readBack(file!);
    const statistics = metadata.row_groups[0]!.columns.map(
      (column) => column.meta_data?.statistics?.min_value,
    );
    assert.equal(statistics[0], idBounds);
    assert.deepEqual(statistics.slice(2), [undefined, 1n]);
  }
});

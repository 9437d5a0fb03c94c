import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openDuckDb, sqlString } from '../duckdb/instance.ts';
import { AUTO, batch, NEW_YEAR_MICROS, newJob, row, schemaOf } from './conformance/jobs.ts';
import { readBack } from './conformance/read-back.ts';
import { testEncoder } from './conformance/suite.ts';
import { DUCKDB_ENCODER_DEFAULTS, DuckDbEncoder, type DuckDbEncoderOptions } from './duckdb.ts';
import type { EncodedFile } from './encoder.ts';

function open(t: TestContext, options: Partial<DuckDbEncoderOptions> = {}): DuckDbEncoder {
  const tempDirectory = mkdtempSync(join(tmpdir(), 'miniodb-duckdb-'));
  const encoder = new DuckDbEncoder({ ...DUCKDB_ENCODER_DEFAULTS, tempDirectory, ...options });
  t.after(async () => {
    await encoder.close();
    rmSync(tempDirectory, { recursive: true, force: true });
  });
  return encoder;
}

testEncoder('duckdb', open);

test('integers keep their 64 bits', async (t) => {
  const values = ['9007199254740993', '9223372036854775807', '-9223372036854775808', '-9007199254740993'];
  const rows = values.map((value, at) => row('a', NEW_YEAR_MICROS + BigInt(at), `{"n":${value}}`));
  const job = await newJob(t, { batches: [batch('1', [rows])], schema: schemaOf({ n: 'int64' }) });
  const [file] = await open(t).encode(job);
  const stored = await readBack(file!);
  assert.deepEqual(
    stored.rows.map(({ columns }) => columns.n),
    values.map(BigInt),
  );
});

test('timestamps reach from the year 1 to 9999, each on its UTC day', async (t) => {
  const micros = [-62_135_596_800_000_000n, -1n, 253_402_300_799_999_999n];
  const job = await newJob(t, { batches: [batch('1', [micros.map((each) => row('a', each))])] });
  const files = await open(t).encode(job);
  assert.deepEqual(
    files.map(({ day }) => day),
    ['0001-01-01', '1969-12-31', '9999-12-31'],
  );
  const stored = await Promise.all(files.map(readBack));
  assert.deepEqual(
    stored.flatMap(({ rows }) => rows.map((each) => each.micros)),
    micros,
  );
});

test('a column named __proto__ is a column', async (t) => {
  const batches = [batch('1', [[row('a', NEW_YEAR_MICROS, '{"__proto__":7}')]])];
  const [file] = await open(t).encode(
    await newJob(t, { batches, schema: schemaOf({ ['__proto__']: 'int53' }) }),
  );
  assert.deepEqual(file?.columns, [{ name: '__proto__', type: 'int53' }]);
  assert.deepEqual(await query(`SELECT "__proto__" FROM read_parquet(${sqlString(file!.path)})`), [[7n]]);
});

test('a file of several row groups, read from several inputs by several threads, is sorted', async (t) => {
  const batches = Array.from({ length: 10 }, (_, at) => {
    const rows = Array.from({ length: 26_000 }, (_row, n) => {
      const number = (n * 7919 + at * 104_729) % 260_000;
      return row(
        `id-${number % 5_000}`,
        NEW_YEAR_MICROS + BigInt(number),
        `{"n":${number},"s":"${Math.sin(number)}"}`,
      );
    });
    return batch(String(at), [rows]);
  });
  const schema = schemaOf({ n: 'int53', s: 'varchar' });
  const [file, ...others] = await open(t).encode(await newJob(t, { batches, schema }));
  assert.equal(others.length, 0);
  const { metadata, rows } = await readBack(file!);
  assert.ok(metadata.row_groups.length > 1);
  for (const [at, { id, micros }] of rows.entries()) {
    const next = rows[at + 1];
    assert.ok(next === undefined || id < next.id || (id === next.id && micros <= next.micros), `row ${at}`);
  }
});

test('the bloom filter excludes ids that a file does not have', async (t) => {
  for (const [ids, hasFilter] of [
    [500, true],
    [4_000, true],
    [10_000, false],
  ] as const) {
    const rows = Array.from({ length: 10_000 }, (_, at) => row(`id-${(at % ids) * 2}`, NEW_YEAR_MICROS));
    const [file] = await open(t).encode(await newJob(t, { batches: [batch('1', [rows])] }));
    assert.equal(await excludes(file!, 'id-2'), false);
    assert.equal(await excludes(file!, 'id-3'), hasFilter, `${ids} ids`);
  }
});

test('a line beyond the limit is refused as something this encoder cannot store', async (t) => {
  const long = row('a', NEW_YEAR_MICROS, `{"s":"${'x'.repeat(40_000_000)}"}`);
  const job = await newJob(t, { batches: [batch('1', [[long]])], schema: schemaOf({ s: 'varchar' }) });
  await assert.rejects(open(t, { lineBytesMax: 16 * 1_048_576 }).encode(job), {
    kind: 'failed_precondition',
    code: 'encoder_cannot_store',
  });
});

test('too little memory is a limit that was reached, not a bad payload', async (t) => {
  const job = await newJob(t, { batches: [batch('1', [[row('a', NEW_YEAR_MICROS)]])] });
  await assert.rejects(open(t, { memoryBytesMax: 16 * 1_048_576 }).encode(job), {
    kind: 'resource_exhausted',
    code: 'encoder_out_of_memory',
  });
});

test('a failure of the disk is not blamed on a payload, and the next job works', async (t) => {
  const encoder = open(t);
  const rows = [row('a', NEW_YEAR_MICROS)];
  const lost = await newJob(t, { batches: [batch('1', [rows])] });
  await rm(lost.workDir, { recursive: true });
  await assert.rejects(encoder.encode(lost), { kind: 'internal', code: 'encode_failed' });
  assert.equal((await encoder.encode(await newJob(t, { batches: lost.batches }))).length, 1);
});

test('closing lets the running job end and refuses new ones', async (t) => {
  const encoder = open(t);
  const rows = Array.from({ length: 1_000 }, (_, at) => row(`id-${at}`, NEW_YEAR_MICROS));
  const running = encoder.encode(await newJob(t, { batches: [batch('1', [rows])] }));
  await encoder.close();
  assert.equal((await running).length, 1);
  await assert.rejects(encoder.encode(await newJob(t, { batches: [batch('1', [rows])] })), {
    code: 'encoder_closed',
  });
});

test('more files than are picked one by one have the same rows', async (t) => {
  const rows = Array.from({ length: 600 }, (_, at) => row(`id-${at % 30}`, NEW_YEAR_MICROS, `{"n":${at}}`));
  const job = { batches: [batch('1', [rows])], schema: schemaOf({ n: 'int53' }) };
  for (const filesMax of [4, 20]) {
    const files = await open(t).encode(
      await newJob(t, { ...job, layout: { ...AUTO, mode: 'id', filesMax } }),
    );
    assert.equal(files.length, filesMax);
    const stored = await Promise.all(files.map(readBack));
    const numbers = stored.flatMap((file) => file.rows.map(({ columns }) => Number(columns.n)));
    assert.deepEqual(
      numbers.sort((a, b) => a - b),
      [...rows.keys()],
    );
  }
});

/** Whether every row group's bloom filter says that the id is not in the file. */
async function excludes(file: EncodedFile, id: string): Promise<boolean> {
  const [[all]] = (await query(
    `SELECT bool_and(bloom_filter_excludes) FROM parquet_bloom_probe(${sqlString(file.path)}, 'id', ${sqlString(id)})`,
  )) as [[boolean]];
  return all;
}

async function query(sql: string): Promise<unknown[][]> {
  const db = await openDuckDb();
  try {
    return (await db.connection.runAndReadAll(sql)).getRows();
  } finally {
    db.close();
  }
}

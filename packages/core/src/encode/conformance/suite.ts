import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import type { Encoder } from '../encoder.ts';
import { assertRows, encodeAndCheck, encodeAndRead, rowsOf } from './checks.ts';
import { AUTO, batch, DAY_MICROS, NEW_YEAR_MICROS, newJob, row, schemaOf } from './jobs.ts';
import { readBack } from './read-back.ts';

/** What every encoder must do. Each registers the tests under its name, with an encoder of its own per test. */
export function testEncoder(name: string, open: (t: TestContext) => Encoder): void {
  const it = (sentence: string, body: (t: TestContext, encoder: Encoder) => Promise<void>): void => {
    test(`${name}: ${sentence}`, async (t) => {
      const encoder = open(t);
      t.after(() => encoder.close());
      await body(t, encoder);
    });
  };

  it('rows come back with their types, whatever batch and frame they were in', async (t, encoder) => {
    const rows = [
      row('b', NEW_YEAR_MICROS + 1n, '{"bool":true,"int":-3,"num":0.1,"text":"x","json":{"a":[1,null]}}'),
      row('a', NEW_YEAR_MICROS + 3n, '{"bool":false,"int":9007199254740992,"num":1e23,"text":"","json":[]}'),
      row('a', NEW_YEAR_MICROS + 2n, '{"int":null}'),
      row('b', NEW_YEAR_MICROS, '{"num":-5e-324,"text":"é😀\\u0000\\n\\"","json":"text"}'),
    ];
    const schema = schemaOf({ bool: 'boolean', int: 'int53', num: 'double', text: 'varchar', json: 'json' });
    const batches = [batch('1', [rows.slice(0, 2), rows.slice(2, 3)]), batch('2', [rows.slice(3)])];
    const job = await newJob(t, { batches, schema, layout: { ...AUTO, mode: 'packed' } });
    const stored = await encodeAndRead(encoder, job);
    assertRows(stored, rows);
    assert.deepEqual(stored[1]?.columns, {
      bool: false,
      int: 9007199254740992n,
      num: 1e23,
      text: '',
      json: [],
    });
  });

  it('rows are sorted by the UTF-8 of the id, then by timestamp', async (t, encoder) => {
    const ids = [
      'b',
      'a',
      '\uffff',
      '😀',
      'é',
      'a/../b',
      'B',
      "it's",
      '"',
      'a\u0000',
      '{t}',
      ' ',
      '__proto__',
    ];
    const rows = Array.from({ length: 400 }, (_, at) =>
      row(ids[(at * 7) % ids.length]!, NEW_YEAR_MICROS + BigInt((at * 37) % 400)),
    );
    const job = await newJob(t, { batches: [batch('1', [rows])] });
    assertRows(await encodeAndRead(encoder, job), rows);
  });

  it('timestamps keep their microseconds to the year 9999, and days are UTC days', async (t, encoder) => {
    const rows = [
      row('a', NEW_YEAR_MICROS - 1n),
      row('a', NEW_YEAR_MICROS),
      row('a', 253_402_300_799_999_999n),
      row('a', 0n),
    ];
    const job = await newJob(t, { batches: [batch('1', [rows])] });
    const files = await encodeAndCheck(encoder, job);
    assert.deepEqual(
      files.map(({ day }) => day),
      ['1970-01-01', '2025-12-31', '2026-01-01', '9999-12-31'],
    );
    assertRows(await rowsOf(files), rows);
  });

  it('fields that no column holds exactly are in the overflow, exactly', async (t, encoder) => {
    const rows = [
      row('a', NEW_YEAR_MICROS, '{"n":1,"id":5,"N":2,"new":1e400,"x\\u0000":"\\u0000"}'),
      row('b', NEW_YEAR_MICROS, '{"n":12345678901234567890123,"m":9007199254740993,"v":1.50,"__proto__":1}'),
      row('c', NEW_YEAR_MICROS, '{"n":2,"m":0.5,"v":"1.5"}'),
    ];
    const schema = schemaOf({ n: 'int53', m: 'double_lossy', v: 'varchar_lossy' });
    const job = await newJob(t, {
      batches: [batch('1', [rows], true)],
      schema,
      layout: { ...AUTO, mode: 'packed' },
    });
    const [file] = await encodeAndCheck(encoder, job);
    assert.equal(file?.hasOverflow, true);
    const stored = await rowsOf([file!]);
    assertRows(stored, rows);
    assert.deepEqual(stored[1]?.columns, { m: 9007199254740992, v: '1.5' });
    assert.equal(stored[2]?.overflow, undefined);
  });

  it('overflow is kept also where no column is lossy', async (t, encoder) => {
    const rows = [row('a', NEW_YEAR_MICROS, '{"n":1,"ID":"x"}'), row('a', NEW_YEAR_MICROS, '{"n":1e400}')];
    const job = await newJob(t, { batches: [batch('1', [rows], true)], schema: schemaOf({ n: 'int53' }) });
    assertRows(await encodeAndRead(encoder, job), rows);
  });

  it('lossy columns use the overflow also for batches that had none when they were accepted', async (t, encoder) => {
    const rows = [row('a', NEW_YEAR_MICROS, '{"v":true}'), row('b', NEW_YEAR_MICROS, '{"v":"true"}')];
    const schema = schemaOf({ v: 'varchar_lossy' });
    const job = await newJob(t, {
      batches: [batch('1', [rows])],
      schema,
      layout: { ...AUTO, mode: 'packed' },
    });
    const stored = await encodeAndRead(encoder, job);
    assertRows(stored, rows);
    assert.deepEqual(
      stored.map(({ columns }) => columns),
      [{ v: 'true' }, { v: 'true' }],
    );
  });

  it('payloads that were kept as they were sent stand beside the columns, to the byte', async (t, encoder) => {
    const sent =
      '{ "v" : 1e2,\n\t"a":"\\u00e9\\ud83d\\ude00 \\" é😀 ,\\"p\\":{", "a":null, "big":1e400, "v":1.50 }';
    const rows = [
      row('a', NEW_YEAR_MICROS, '{"v":1.5,"big":1e400}', sent),
      row('b', NEW_YEAR_MICROS, '{"v":"x"}', '{}'),
      row('c', NEW_YEAR_MICROS, '{"v":"y"}'),
    ];
    const schema = schemaOf({ v: 'varchar_lossy' });
    const layout = { ...AUTO, mode: 'packed' } as const;
    const [file] = await encodeAndCheck(
      encoder,
      await newJob(t, { batches: [batch('1', [rows], true)], schema, layout }),
    );
    assert.deepEqual(file?.columns, [
      { name: 'v', type: 'varchar_lossy' },
      { name: '~payload', type: 'raw' },
    ]);
    const stored = await rowsOf([file!]);
    assertRows(stored, rows);
    assert.deepEqual(stored[0]?.columns, { v: '1.5' });
    const without = await newJob(t, { batches: [batch('1', [rows.slice(2)])], schema, layout });
    assert.deepEqual((await encodeAndCheck(encoder, without))[0]?.columns, [
      { name: 'v', type: 'varchar_lossy' },
    ]);
  });

  it('JSON columns keep what is nested in them, numbers included', async (t, encoder) => {
    const json =
      '{"a":[1e400,9007199254740993,123456789012345678901234567890,0.1],"b":{"\\u0000":null},"c":"\\ud83d\\ude00"}';
    const rows = ['null', 'true', '"x"', '1e400', '12345678901234567890123', json].map((text, at) =>
      row('a', NEW_YEAR_MICROS + BigInt(at), `{"j":${text}}`),
    );
    const job = await newJob(t, { batches: [batch('1', [rows])], schema: schemaOf({ j: 'json' }) });
    assertRows(await encodeAndRead(encoder, job), rows);
  });

  it('columns may have any name that a schema allows', async (t, encoder) => {
    const names = [
      'a.b',
      'a"b',
      "it's",
      'a b',
      'a,b',
      '1',
      '0',
      'é',
      'É',
      'select',
      'constructor',
      'c0',
      'i',
      't',
      'd',
      'f',
      '~x',
    ];
    names.push('名'.repeat(85), 'x'.repeat(255));
    const payload = `{${names.map((name, at) => `${JSON.stringify(name)}:${at}`)}}`;
    const schema = new Map(names.map((name) => [name, { name, type: 'int53' as const }]));
    const job = await newJob(t, { batches: [batch('1', [[row('a', NEW_YEAR_MICROS, payload)]])], schema });
    const [file] = await encodeAndCheck(encoder, job);
    assert.deepEqual(
      file?.columns.map(({ name }) => name),
      names,
    );
    const { metadata, rows } = await readBack(file!);
    assert.deepEqual(
      metadata.schema.slice(3).map(({ name }) => name),
      names,
    );
    assert.deepEqual(rows[0]?.columns, Object.fromEntries(names.map((name, at) => [name, BigInt(at)])));
  });

  it('a file leaves out the columns that none of its rows has', async (t, encoder) => {
    const rows = [row('a', NEW_YEAR_MICROS, '{"x":1}'), row('b', NEW_YEAR_MICROS, '{"y":"s","x":null}')];
    const schema = schemaOf({ z: 'json', x: 'int53', y: 'varchar' });
    const job = await newJob(t, { batches: [batch('1', [rows])], schema });
    const files = await encodeAndCheck(encoder, job);
    assert.deepEqual(
      files.map(({ columns }) => columns),
      [[{ name: 'x', type: 'int53' }], [{ name: 'y', type: 'varchar' }]],
    );
    assertRows(await rowsOf(files), rows);
  });

  it('rows with empty payloads in a table without columns are rows', async (t, encoder) => {
    const rows = [row('a', NEW_YEAR_MICROS), row('a', NEW_YEAR_MICROS)];
    assertRows(await encodeAndRead(encoder, await newJob(t, { batches: [batch('1', [rows])] })), rows);
  });

  it('a row of several megabytes is a row', async (t, encoder) => {
    const rows = [
      row('a', NEW_YEAR_MICROS, `{"s":"${'é'.repeat(2_500_000)}"}`),
      row('b', NEW_YEAR_MICROS, '{"s":""}'),
    ];
    const job = await newJob(t, { batches: [batch('1', [rows])], schema: schemaOf({ s: 'varchar' }) });
    assertRows(await encodeAndRead(encoder, job), rows);
  });

  it('a thousand columns and 400 days fit into the files that are allowed', async (t, encoder) => {
    const columns = Object.fromEntries(Array.from({ length: 1000 }, (_, at) => [`c${at}`, 'int53' as const]));
    const rows = Array.from({ length: 400 }, (_, at) =>
      row(`id-${at % 3}`, NEW_YEAR_MICROS + BigInt(at) * DAY_MICROS, `{"c${at}":${at},"c${999 - at}":1}`),
    );
    const job = await newJob(t, { batches: [batch('1', [rows])], schema: schemaOf(columns) });
    const files = await encodeAndCheck(encoder, job);
    assert.deepEqual(
      files.map(({ kind }) => kind),
      [...Array(7).fill('id'), 'mixed'],
    );
    assertRows(await rowsOf(files), rows);
  });

  it('ten thousand ids share a packed file, but for those with many rows', async (t, encoder) => {
    const rows = Array.from({ length: 12_000 }, (_, at) =>
      row(at % 6 === 0 ? 'hot' : `id-${at}`, NEW_YEAR_MICROS),
    );
    const job = await newJob(t, { batches: [batch('1', [rows])] });
    const files = await encodeAndCheck(encoder, job);
    assert.deepEqual(
      files.map(({ kind, id, ids, rows: count }) => [kind, id, ids?.length, count]),
      [
        ['id', 'hot', 1, 2_000],
        ['packed', undefined, undefined, 10_000],
      ],
    );
    assertRows(await rowsOf(files), rows);
  });

  it('forced layouts are kept within the cap', async (t, encoder) => {
    const rows = Array.from({ length: 30 }, (_, at) =>
      row(`id-${at % 5}`, NEW_YEAR_MICROS + BigInt(at % 2) * DAY_MICROS),
    );
    for (const [mode, filesMax, kinds] of [
      ['id', 10, { id: 10 }],
      ['id', 6, { id: 5, packed: 1 }],
      ['id', 2, { packed: 2 }],
      ['packed', 10, { packed: 2 }],
      ['packed', 1, { mixed: 1 }],
    ] as const) {
      const job = await newJob(t, { batches: [batch('1', [rows])], layout: { ...AUTO, mode, filesMax } });
      const files = await encodeAndCheck(encoder, job);
      const found = Map.groupBy(files, ({ kind }) => kind);
      assert.deepEqual(Object.fromEntries(Array.from(found, ([kind, all]) => [kind, all.length])), kinds);
      assertRows(await rowsOf(files), rows);
    }
  });

  it('footers say what the job says, and which part of how many', async (t, encoder) => {
    const rows = [row('a', NEW_YEAR_MICROS), row('b', NEW_YEAR_MICROS)];
    const footer = { 'miniodb.batches': '["b-1","it\'s"]', 'miniodb.table': 'users', note: 'é "quoted" \\' };
    const job = await newJob(t, { batches: [batch('1', [rows])], footer });
    const files = await encodeAndCheck(encoder, job);
    for (const [at, file] of files.entries()) {
      const { footer: found } = await readBack(file);
      for (const [key, value] of Object.entries({
        ...footer,
        'miniodb.part': String(at + 1),
        'miniodb.parts': '2',
      })) {
        assert.equal(found[key], value);
      }
    }
  });

  it('undecodable payloads are named, all of them', async (t, encoder) => {
    const good = batch('good', [[row('a', NEW_YEAR_MICROS, '{"s":"x"}')]]);
    const many = Array.from({ length: 5_000 }, (_, at) => row(`id-${at}`, NEW_YEAR_MICROS + BigInt(at * at)));
    const text = (id: string, line: string) => ({ ...good, id, payload: zstdCompressSync(line) });
    const bad = [
      { ...good, id: 'not-zstd', payload: Buffer.from('not zstd') },
      { ...good, id: 'truncated', payload: good.payload.subarray(0, -3) },
      { ...good, id: 'cut-off', payload: batch('', [many]).payload.subarray(0, -3) },
      text('not-json', '{"i":"a","t":1,"p":{}\n'),
      text('no-payload', '{"i":"a","t":1}\n'),
      text('no-time', '{"i":"a","p":{}}\n'),
      text('beyond-9999', '{"i":"a","t":9223372036854775807,"p":{}}\n'),
      text('no-id', '{"t":1,"p":{}}\n'),
      text('scalar-payload', '{"i":"a","t":1,"p":7}\n'),
      text('surrogate', '{"i":"a","t":1,"p":{"s":"\\ud800"}}\n'),
      {
        ...good,
        id: 'not-utf8',
        payload: zstdCompressSync(Buffer.from('{"i":"a","t":1,"p":{"s":"\xff"}}\n', 'latin1')),
      },
    ];
    for (const hasOverflow of [false, true]) {
      const batches = [good, ...bad, good].map((each) => ({ ...each, hasOverflow }));
      const job = await newJob(t, { batches, schema: schemaOf({ s: 'varchar' }) });
      await assert.rejects(encoder.encode(job), {
        kind: 'data_corrupted',
        code: 'undecodable_payload',
        details: { batchId: 'not-zstd', batchIds: bad.map(({ id }) => id) },
      });
      assert.deepEqual(await readdir(job.workDir), []);
    }
  });

  it('a batch whose rows are not as many as it says is refused', async (t, encoder) => {
    const lying = { ...batch('lying', [[row('a', NEW_YEAR_MICROS)]]), rows: 2 };
    const job = await newJob(t, { batches: [batch('honest', [[row('a', NEW_YEAR_MICROS)]]), lying] });
    await assert.rejects(encoder.encode(job), {
      kind: 'internal',
      code: 'row_count_mismatch',
      details: { expected: 3, actual: 2, batchIds: ['lying'] },
    });
  });

  it('an aborted job is cancelled, and the next one is not', async (t, encoder) => {
    const rows = Array.from({ length: 5_000 }, (_, at) => row(`id-${at}`, NEW_YEAR_MICROS, '{"n":1}'));
    const job = await newJob(t, { batches: [batch('1', [rows])], schema: schemaOf({ n: 'int53' }) });
    const abort = new AbortController();
    const encoding = encoder.encode(job, abort.signal);
    abort.abort();
    await assert.rejects(encoding, { kind: 'cancelled' });
    assertRows(
      await encodeAndRead(encoder, await newJob(t, { batches: job.batches, schema: job.schema })),
      rows,
    );
  });

  it('jobs may run at the same time', async (t, encoder) => {
    const all = await Promise.all(
      ['a', 'b', 'c'].map(async (id) => {
        const rows = Array.from({ length: 100 }, (_, at) => row(id, NEW_YEAR_MICROS, `{"${id}":${at}}`));
        const job = await newJob(t, { batches: [batch('1', [rows])], schema: schemaOf({ [id]: 'int53' }) });
        return { rows, stored: await encodeAndRead(encoder, job) };
      }),
    );
    for (const { rows, stored } of all) assertRows(stored, rows);
  });
}

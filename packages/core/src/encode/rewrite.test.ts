import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { batch, NEW_YEAR_MICROS, row, schemaOf } from './conformance/jobs.ts';
import { frameLines } from './lines.ts';
import { rewriteWithOverflow } from './rewrite.ts';

async function linesOf(payload: Uint8Array): Promise<string[]> {
  const frames = await Array.fromAsync(frameLines(payload));
  return frames.flat();
}

test('rows without overflow stay as they are, byte by byte', async () => {
  const { payload } = batch('1', [[row('a', NEW_YEAR_MICROS, '{ "n" : 1.0 }')], [row('b', NEW_YEAR_MICROS)]]);
  const rewritten = await rewriteWithOverflow(payload, schemaOf({ n: 'int53' }));
  assert.deepEqual(await linesOf(rewritten), await linesOf(payload));
});

test('overflow stands beside a payload that has only what the columns can show', async () => {
  const micros = 253_402_300_799_999_999n;
  const { payload } = batch('1', [[row('a', micros, '{"n":1e400,"m":9007199254740993,"x":[1],"s":"é"}')]]);
  const schema = schemaOf({ n: 'int53', m: 'double_lossy', s: 'varchar' });
  const rewritten = await rewriteWithOverflow(payload, schema);
  assert.equal(
    zstdDecompressSync(rewritten).toString(),
    `{"i":"a","t":${micros},"p":{"m":9007199254740992,"s":"é"},"o":{"n":1e400,"m":9007199254740993,"x":[1]}}\n`,
  );
});

test('a payload that was kept as it was sent stays', async () => {
  const sent = '{ "x":[ 1 ]}';
  const { payload } = batch('1', [[row('a', 1n, '{"x":[1]}', sent), row('b', 1n, '{"s":"y"}', sent)]]);
  const rewritten = await linesOf(await rewriteWithOverflow(payload, schemaOf({ s: 'varchar' })));
  assert.deepEqual(rewritten, [
    `{"i":"a","t":1,"r":${JSON.stringify(sent)},"p":{},"o":{"x":[1]}}`,
    `{"i":"b","t":1,"r":${JSON.stringify(sent)},"p":{"s":"y"}}`,
  ]);
});

test('rewriting stops when it is aborted', async () => {
  const rows = Array.from({ length: 3_000 }, () => row('a', NEW_YEAR_MICROS));
  const rewriting = rewriteWithOverflow(batch('1', [rows]).payload, schemaOf(), AbortSignal.abort());
  await assert.rejects(rewriting, { name: 'AbortError' });
});

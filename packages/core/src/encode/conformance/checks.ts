import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { parseExact } from '../../table/exact-json.ts';
import type { EncodedFile, EncodeJob, Encoder } from '../encoder.ts';
import type { InputRow } from './jobs.ts';
import { readBack, type StoredRow } from './read-back.ts';

export async function encodeAndRead(encoder: Encoder, job: EncodeJob): Promise<StoredRow[]> {
  return rowsOf(await encodeAndCheck(encoder, job));
}

export async function rowsOf(files: readonly EncodedFile[]): Promise<StoredRow[]> {
  const stored = await Promise.all(files.map(readBack));
  return stored.flatMap(({ rows }) => rows);
}

/** Encodes, and checks every claim that an encoder makes of its files against the files. */
export async function encodeAndCheck(encoder: Encoder, job: EncodeJob): Promise<EncodedFile[]> {
  const files = await encoder.encode(job);
  assert.ok(files.length <= job.layout.filesMax);
  assert.deepEqual(
    (await readdir(job.workDir)).length,
    files.length,
    'nothing else is left in the directory',
  );
  for (const [at, file] of files.entries()) {
    assert.deepEqual([file.part, file.parts], [at + 1, files.length]);
    await checkFile(file);
  }
  return files;
}

async function checkFile(file: EncodedFile): Promise<void> {
  const bytes = await readFile(file.path);
  assert.equal(file.sizeBytes, bytes.length);
  assert.equal(file.sha256, createHash('sha256').update(bytes).digest('hex'));
  const { metadata, rows } = await readBack(file);
  assert.equal(file.rows, rows.length);
  assert.equal(Number(metadata.num_rows), rows.length);
  const names = [
    'id',
    'timestamp',
    ...file.columns.map(({ name }) => name),
    ...(file.hasOverflow ? ['~overflow'] : []),
  ];
  assert.deepEqual(
    metadata.schema.slice(1).map(({ name }) => name),
    names,
  );
  assert.equal(metadata.schema[2]?.converted_type, 'TIMESTAMP_MICROS');
  const unsorted = rows.findIndex((each, at) => at > 0 && compareRows(rows[at - 1]!, each) > 0);
  assert.equal(unsorted, -1, 'the rows are sorted');
  const ids = [...new Set(rows.map(({ id }) => id))];
  assert.deepEqual([file.minId, file.maxId], [ids[0], ids.at(-1)]);
  assert.deepEqual(file.ids, ids.length <= 16 ? ids : undefined);
  if (file.kind === 'id') assert.deepEqual(ids, [file.id]);
  const times = rows.map(({ micros }) => micros).sort((a, b) => (a < b ? -1 : 1));
  assert.deepEqual(
    [file.minTimestampMicros, file.maxTimestampMicros],
    [String(times[0]), String(times.at(-1))],
  );
  const days = new Set(rows.map(({ micros }) => new Date(Number(micros / 1000n)).toISOString().slice(0, 10)));
  if (file.kind === 'mixed') assert.equal(file.day, undefined);
  else if (times[0]! >= 0n) assert.deepEqual([...days], [file.day]);
}

function compareRows(a: StoredRow, b: StoredRow): number {
  return Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)) || Math.sign(Number(a.micros - b.micros));
}

/** The same rows in any order, with the same payloads (columns overlaid with overflow) and the same text of them. */
export function assertRows(stored: readonly StoredRow[], rows: readonly InputRow[]): void {
  const found = stored.map(({ id, micros, columns, overflow, raw }) =>
    canonical(id, micros, raw, new Map([...Object.entries(columns), ...Object.entries(overflow ?? {})])),
  );
  const expected = rows.map(({ id, micros, payload, raw }) => {
    const fields = Object.entries(parseExact(payload) as Record<string, unknown>);
    return canonical(id, micros, raw, new Map(fields.filter(([, value]) => value !== null)));
  });
  assert.equal(found.length, expected.length);
  expected.sort();
  // Row by row: the difference of two long lists takes minutes to show.
  for (const [at, text] of found.sort().entries()) assert.equal(text, expected[at]);
}

function canonical(
  id: string,
  micros: bigint,
  raw: string | null | undefined,
  payload: ReadonlyMap<string, unknown>,
): string {
  const fields = [...payload].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([id, String(micros), raw ?? null, fields], (_key, value: unknown) =>
    typeof value === 'bigint' ? parseExact(String(value)) : value,
  );
}

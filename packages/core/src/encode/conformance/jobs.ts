import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import { rowLine } from '../../table/row-line.ts';
import { type ColumnType, foldName, type TableSchema } from '../../table/schema.ts';
import type { EncodeBatch, EncodeJob, LayoutSettings } from '../encoder.ts';

/** What the encoders' tests are fed with. */
export interface InputRow {
  readonly id: string;
  readonly micros: bigint;
  /** JSON text */
  readonly payload: string;
  /** The payload's text as it was sent, where it is kept. */
  readonly raw?: string | undefined;
}

export const DAY_MICROS = 86_400_000_000n;
/** 2026-01-01T00:00:00Z */
export const NEW_YEAR_MICROS = 1_767_225_600_000_000n;

export const AUTO: LayoutSettings = { mode: 'auto', filesMax: 8, ownIdsMax: 2, ownRowsMin: 1_000 };

export function row(id: string, micros: bigint, payload = '{}', raw?: string): InputRow {
  return { id, micros, payload, raw };
}

export function schemaOf(columns: Readonly<Record<string, ColumnType>> = {}): TableSchema {
  return new Map(Object.entries(columns).map(([name, type]) => [foldName(name), { name, type }]));
}

/** A batch of one zstd frame for every list of rows. */
export function batch(
  id: string,
  frames: readonly (readonly InputRow[])[],
  hasOverflow = false,
): EncodeBatch {
  const payload = Buffer.concat(
    frames.map((rows) =>
      zstdCompressSync(
        rows.map(({ id, micros, payload, raw }) => rowLine(id, String(micros), payload, raw)).join(''),
      ),
    ),
  );
  return { id, payload, rows: frames.flat().length, hasOverflow };
}

/** A job in a directory that is removed after the test. */
export async function newJob(t: TestContext, parts: Partial<EncodeJob>): Promise<EncodeJob> {
  const workDir = await mkdtemp(join(tmpdir(), 'miniodb-encode-'));
  t.after(() => rm(workDir, { recursive: true, force: true }));
  return { batches: [], schema: schemaOf(), layout: AUTO, footer: {}, workDir, ...parts };
}

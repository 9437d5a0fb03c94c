import { setImmediate } from 'node:timers/promises';
import { isRawNumber } from '../table/exact-json.ts';
import type { TableSchema } from '../table/schema.ts';
import { encodeCancelled, rowCountMismatch, undecodablePayload } from './encode-errors.ts';
import type { EncodeBatch, EncodeJob } from './encoder.ts';
import { frameLines, isUndecodable, MICROS_MAX, MICROS_MIN, type ParsedLine, parseLine } from './lines.ts';
import { type SplitPayload, splitPayload } from './overflow.ts';

/** A decoded row, for encoders that work row by row. */
export interface Row extends SplitPayload {
  readonly id: string;
  /** Microseconds since 1970 UTC. */
  readonly micros: bigint;
  /** The payload's text as it was sent, where it was kept. */
  readonly raw: string | undefined;
}

const LINES_PER_TURN = 500;

/** All rows of a job, in memory. Errors as Encoder.encode, with every bad batch in the details. */
export async function decodeRows(job: EncodeJob, signal: AbortSignal | undefined): Promise<Row[]> {
  const rows: Row[] = [];
  const undecodable: string[] = [];
  const miscounted: string[] = [];
  let cause: unknown;
  for (const batch of job.batches) {
    try {
      const before = rows.length;
      await decodeBatch(batch, job.schema, rows, signal);
      if (rows.length - before !== batch.rows) miscounted.push(batch.id);
    } catch (error) {
      if (signal?.aborted) throw encodeCancelled(error);
      if (!isUndecodable(error)) throw error;
      undecodable.push(batch.id);
      cause ??= error;
    }
  }
  if (undecodable.length > 0) throw undecodablePayload(undecodable, cause);
  if (miscounted.length > 0) {
    const expected = job.batches.reduce((sum, batch) => sum + batch.rows, 0);
    throw rowCountMismatch(expected, rows.length, miscounted);
  }
  return rows;
}

async function decodeBatch(
  batch: EncodeBatch,
  schema: TableSchema,
  rows: Row[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for await (const lines of frameLines(batch.payload)) {
    for (const line of lines) {
      const row = parseLine(line);
      refuseLoneSurrogates(line, row);
      rows.push({ id: row.i, micros: microsOf(row.t), raw: row.r, ...splitPayload(row.p, schema) });
      if (rows.length % LINES_PER_TURN === 0) await setImmediate(undefined, { signal });
    }
  }
}

/** Throws SyntaxError for what is no integer or out of range. */
function microsOf(t: unknown): bigint {
  const micros = BigInt(isRawNumber(t) ? t.rawJSON : String(t));
  if (micros < MICROS_MIN || micros > MICROS_MAX) throw new SyntaxError('a timestamp is out of range');
  return micros;
}

const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/;
/** In what JSON.stringify writes: the escape of a lone surrogate, not one whose backslash is itself escaped. */
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

/** Half a surrogate pair is no text: as UTF-8 it would silently become U+FFFD. DuckDB refuses it too. */
function refuseLoneSurrogates(line: string, row: ParsedLine): void {
  if (SURROGATE_ESCAPE.test(line) && LONE_SURROGATE.test(JSON.stringify(row))) {
    throw new SyntaxError('a string has a lone surrogate');
  }
}

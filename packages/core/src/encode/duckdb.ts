import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertInvariant } from '../runtime/errors.ts';
import { summarise, writeFiles } from './duckdb-files.ts';
import { readFooters, readStoredRows } from './duckdb-rewrite.ts';
import { classified, isOutOfResources, isPayloadError, Session } from './duckdb-session.ts';
import { countRowsSql, GROUPS_SQL, readRowsSql } from './duckdb-sql.ts';
import { rowCountMismatch, undecodablePayload } from './encode-errors.ts';
import type {
  EncodeBatch,
  EncodedFile,
  EncodeJob,
  Encoder,
  LayoutSettings,
  RewriteJob,
  Rewriter,
} from './encoder.ts';
import { type PlannedFile, planLayout } from './layout.ts';
import { frameLines } from './lines.ts';
import { hasLossyColumns } from './overflow.ts';
import { rewriteWithOverflow } from './rewrite.ts';
import { SharedDuckDb } from './shared-duckdb.ts';

export interface DuckDbEncoderOptions {
  /** Threads for all jobs together. */
  readonly threads: number;
  /** For all jobs together; what does not fit is spilled into `tempDirectory`. */
  readonly memoryBytesMax: number;
  readonly tempDirectory: string;
  readonly tempBytesMax: number;
  /**
   * Longest row line. Must be above the gateway's longest row; DuckDB takes buffers of twice as much for every thread
   * of a job out of its memory limit. A longer line is `failed_precondition`/`encoder_cannot_store`.
   */
  readonly lineBytesMax: number;
}

const MEBIBYTE = 1_048_576;

export const DUCKDB_ENCODER_DEFAULTS: Omit<DuckDbEncoderOptions, 'tempDirectory'> = {
  threads: 2,
  memoryBytesMax: 1024 * MEBIBYTE,
  tempBytesMax: 16 * 1024 * MEBIBYTE,
  lineBytesMax: 32 * MEBIBYTE,
};

/**
 * zstd level 1: a third less CPU than the default 3 (0.63 instead of 0.89 s for 500,000 rows of 8 columns) for 3 %
 * larger files; compaction writes them again anyway.
 */
const FLUSH_LEVEL = 1;
/**
 * A tenth more CPU than level 1 for 1 % smaller files; 9 takes 70 % more for 7 % (500,000 rows of 10 columns), and bytes
 * are rewritten several times.
 */
const REWRITE_LEVEL = 3;

/** Less input than this is not worth a second file and thread. */
const INPUT_FILE_BYTES_MIN = MEBIBYTE / 4;

/**
 * Batches → DuckDB → Parquet, without JavaScript per row except for batches with overflow. Jobs may run at the same
 * time. 500,000 rows of 8 columns take 0.75 s on 2 threads and 1.3 s of CPU: 0.6 s to read,
 * the rest to sort and write.
 */
export class DuckDbEncoder implements Encoder, Rewriter {
  readonly name = 'duckdb';
  readonly #options: DuckDbEncoderOptions;
  readonly #duckDb: SharedDuckDb;

  constructor(options: DuckDbEncoderOptions) {
    this.#options = options;
    this.#duckDb = new SharedDuckDb({
      threads: String(options.threads),
      memory_limit: `${Math.floor(options.memoryBytesMax / MEBIBYTE)}MiB`,
      temp_directory: options.tempDirectory,
      max_temp_directory_size: `${Math.floor(options.tempBytesMax / MEBIBYTE)}MiB`,
      preserve_insertion_order: 'false',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    });
  }

  encode(job: EncodeJob, signal?: AbortSignal): Promise<EncodedFile[]> {
    return this.#use(signal, (session) => this.#encodeOn(session, job));
  }

  rewrite(job: RewriteJob, signal?: AbortSignal): Promise<EncodedFile[]> {
    return this.#use(signal, async (session) => {
      const rows = await readStoredRows(session, job);
      const { target } = job;
      const plan =
        target.kind === 'days'
          ? planLayout(await summarise(session, packedInto(target.filesMax)), packedInto(target.filesMax))
          : [oneFileOf(target)];
      return writeFiles(session, { ...job, compressionLevel: REWRITE_LEVEL }, plan, rows);
    });
  }

  footers(
    paths: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly Readonly<Record<string, string>>[]> {
    return this.#use(signal, (session) => readFooters(session, paths));
  }

  async #use<Result>(
    signal: AbortSignal | undefined,
    work: (session: Session) => Promise<Result>,
  ): Promise<Result> {
    try {
      return await this.#duckDb.use((connection) => work(new Session(connection, signal)));
    } catch (error) {
      throw classified(error, signal);
    }
  }

  close(): Promise<void> {
    return this.#duckDb.close();
  }

  async #encodeOn(session: Session, job: EncodeJob): Promise<EncodedFile[]> {
    await this.#readRows(session, job);
    const plan = planLayout(await summarise(session, job.layout), job.layout);
    return writeFiles(session, { ...job, compressionLevel: FLUSH_LEVEL }, plan, sumOf(job.batches));
  }

  /** Into the table `r`. Only a failure is worth decoding the batches one by one to tell which of them are bad. */
  async #readRows(session: Session, job: EncodeJob): Promise<void> {
    const { schema } = job;
    const expected = sumOf(job.batches);
    try {
      await this.#withInput(session, job, job.batches, (paths) =>
        session.rows(readRowsSql(paths, schema, this.#options.lineBytesMax)),
      );
    } catch (error) {
      session.throwIfCancelled();
      if (isOutOfResources(error)) throw error;
      const { undecodable } = await this.#inspect(session, job);
      throw undecodable.length === 0 ? error : undecodablePayload(undecodable, error);
    }
    await session.rows(GROUPS_SQL);
    const [[actual]] = (await session.rows('SELECT coalesce(sum(n), 0)::BIGINT FROM g')) as [[bigint]];
    if (Number(actual) !== expected) {
      const { undecodable, miscounted } = await this.#inspect(session, job);
      if (undecodable.length > 0) throw undecodablePayload(undecodable, undefined);
      throw rowCountMismatch(expected, Number(actual), miscounted);
    }
  }

  async #inspect(session: Session, job: EncodeJob): Promise<{ undecodable: string[]; miscounted: string[] }> {
    const undecodable: string[] = [];
    const miscounted: string[] = [];
    for (const batch of job.batches) {
      try {
        if ((await this.#countRows(session, job, batch)) !== batch.rows) miscounted.push(batch.id);
      } catch (error) {
        session.throwIfCancelled();
        if (!isPayloadError(error)) throw error;
        undecodable.push(batch.id);
      }
    }
    return { undecodable, miscounted };
  }

  async #countRows(session: Session, job: EncodeJob, batch: EncodeBatch): Promise<number> {
    // DuckDB takes a zstd frame that is cut off for the end of the file.
    for await (const _lines of frameLines(batch.payload)) session.throwIfCancelled();
    const [[rows]] = (await this.#withInput(session, job, [batch], (paths) =>
      session.rows(countRowsSql(paths, job.schema, this.#options.lineBytesMax)),
    )) as [[bigint]];
    return Number(rows);
  }

  /** The batches' row lines as files for as long as `read` runs. */
  async #withInput<Result>(
    session: Session,
    job: EncodeJob,
    batches: readonly EncodeBatch[],
    read: (paths: readonly string[]) => Promise<Result>,
  ): Promise<Result> {
    const payloads: Uint8Array[] = [];
    const isLossy = hasLossyColumns(job.schema);
    for (const { payload, hasOverflow } of batches) {
      const isRewritten = hasOverflow || isLossy;
      payloads.push(isRewritten ? await rewriteWithOverflow(payload, job.schema, session.signal) : payload);
    }
    const inputs = divide(payloads, this.#options.threads).map((parts, at) => ({
      path: join(job.workDir, `input-${at}.ndjson.zst`),
      parts,
    }));
    try {
      for (const { path, parts } of inputs) await writeFile(path, parts);
      session.throwIfCancelled();
      return await read(inputs.map(({ path }) => path));
    } finally {
      for (const { path } of inputs) await rm(path, { force: true });
    }
  }
}

/** Payloads in as many lists of about the same size as there are threads to read them, or fewer when they are small. */
function divide(payloads: readonly Uint8Array[], threads: number): Uint8Array[][] {
  const bytes = payloads.reduce((sum, payload) => sum + payload.length, 0);
  const count = Math.max(1, Math.min(threads, payloads.length, Math.floor(bytes / INPUT_FILE_BYTES_MIN)));
  const lists = Array.from({ length: count }, () => ({ payloads: [] as Uint8Array[], bytes: 0 }));
  for (const payload of payloads) {
    const lightest = lists.reduce((a, b) => (b.bytes < a.bytes ? b : a));
    lightest.payloads.push(payload);
    lightest.bytes += payload.length;
  }
  return lists.map((list) => list.payloads);
}

function sumOf(batches: readonly EncodeBatch[]): number {
  const rows = batches.reduce((sum, batch) => sum + batch.rows, 0);
  assertInvariant(rows > 0, 'encode-rows', 'a job has at least one row');
  return rows;
}

function packedInto(filesMax: number): LayoutSettings {
  return { mode: 'packed', filesMax, ownIdsMax: 0, ownRowsMin: 1 };
}

function oneFileOf({ day, id }: { readonly day: string; readonly id: string | undefined }): PlannedFile {
  return { kind: id === undefined ? 'packed' : 'id', days: [day], id, exceptIds: [] };
}

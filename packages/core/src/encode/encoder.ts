import type { TableSchema } from '../table/schema.ts';

/**
 * The port that turns the rows of one seal into Parquet files. Two adapters pass one conformance suite: DuckDB
 * (the default) and parquetjs-lite (pure JavaScript; refuses what it cannot store exactly).
 *
 * Every file has the columns `id` (VARCHAR, not null), `timestamp` (TIMESTAMP in microseconds, UTC, not null), the
 * columns of the schema in its order with their SQL types (JSON as a string with the JSON logical type where the
 * writer has one), and, if any of its rows has one, `~payload` (VARCHAR, the payload's text as it was sent, where it was
 * kept) and `~overflow` (JSON object of the payload fields that no column holds exactly). Rows are sorted by id, then
 * timestamp.
 */
export interface Encoder {
  readonly name: 'duckdb' | 'parquetjs-lite';
  /**
   * Errors: `data_corrupted`/`undecodable_payload` when payload bytes cannot be decoded (details.batchId when
   * known); `failed_precondition`/`encoder_cannot_store` when this encoder cannot hold a value exactly;
   * `internal`/`row_count_mismatch` when the rows in the footers are not the rows of the batches.
   */
  encode(job: EncodeJob, signal?: AbortSignal): Promise<EncodedFile[]>;
  close(): Promise<void>;
}

/** The port that makes other files of files, for compaction. One adapter: DuckDB; parquetjs-lite refuses. */
export interface Rewriter {
  /**
   * The rows of files as other files: every row once, every column and `payload` reads as it did. Errors as encode's,
   * and `data_corrupted`/`unreadable_file` when an input cannot be read; `failed_precondition`/`encoder_cannot_rewrite`
   * from an encoder that only writes.
   */
  rewrite(job: RewriteJob, signal?: AbortSignal): Promise<EncodedFile[]>;
  /** Key-value metadata of files, in the order of the paths. Errors as rewrite's. */
  footers(
    paths: readonly string[],
    signal?: AbortSignal,
  ): Promise<readonly Readonly<Record<string, string>>[]>;
  close(): Promise<void>;
}

export interface EncodeJob {
  readonly batches: readonly EncodeBatch[];
  /** The table's schema when it was sealed; holds every field of every batch that may be a column. */
  readonly schema: TableSchema;
  readonly layout: LayoutSettings;
  /** An existing empty directory for this job alone; the files are written into it, the caller removes it. */
  readonly workDir: string;
  /** Key-value metadata for every footer; the encoder adds `miniodb.part` ("1") and `miniodb.parts` ("n"). */
  readonly footer: Readonly<Record<string, string>>;
}

export interface RewriteJob {
  /** Of one table, whole and checked. */
  readonly inputs: readonly StoredFile[];
  /** Every column of the inputs, as wide as each of them has it at the least. */
  readonly schema: TableSchema;
  readonly target: RewriteTarget;
  readonly workDir: string;
  /** As of EncodeJob. */
  readonly footer: Readonly<Record<string, string>>;
}

/** One file, of rows that are all of that day (and id); or a packed file for each day, and a mixed one beyond the cap. */
export type RewriteTarget =
  | { readonly kind: 'one'; readonly day: string; readonly id: string | undefined }
  | { readonly kind: 'days'; readonly filesMax: number };

/** A local file with what its index entry says of it. */
export interface StoredFile {
  readonly path: string;
  readonly rows: number;
  /** Beside id and timestamp: [name, column type]; RAW_PAYLOAD_COLUMN among them. */
  readonly columns: readonly (readonly [string, string])[];
  readonly overflow: boolean;
}

export interface EncodeBatch {
  readonly id: string;
  /** zstd frames of row lines (table/row-line.ts). */
  readonly payload: Uint8Array;
  readonly rows: number;
  /** Some row has a field that no column holds (reserved or clashing name, beyond the cap) or an inexact number. */
  readonly hasOverflow: boolean;
}

export type LayoutMode = 'auto' | 'id' | 'packed';

export interface LayoutSettings {
  readonly mode: LayoutMode;
  /** Most files one seal may become. */
  readonly filesMax: number;
  /** In `auto`, a day with at most this many ids gives each a file of its own. */
  readonly ownIdsMax: number;
  /** In `auto`, an id with at least this many rows of a day gets a file of its own anyway, within the cap. */
  readonly ownRowsMin: number;
}

export type FileKind = 'id' | 'packed' | 'mixed';

export interface EncodedFile {
  /** Absolute path inside workDir. */
  readonly path: string;
  readonly kind: FileKind;
  /** `YYYY-MM-DD` in UTC, undefined for `mixed`. */
  readonly day: string | undefined;
  /** The one id, for kind `id`. */
  readonly id: string | undefined;
  /** All ids when there are at most ENTRY_IDS_MAX of them, sorted, else undefined. */
  readonly ids: readonly string[] | undefined;
  /** 1-based. */
  readonly part: number;
  readonly parts: number;
  readonly rows: number;
  readonly sizeBytes: number;
  readonly sha256: string;
  /** Microseconds since 1970 UTC, decimal text. */
  readonly minTimestampMicros: string;
  readonly maxTimestampMicros: string;
  /** In UTF-8 byte order. */
  readonly minId: string;
  readonly maxId: string;
  /** Columns that the file really has, in order: the schema it is read with. RAW_PAYLOAD_COLUMN is the last, if it is there. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly hasOverflow: boolean;
}

export const ENTRY_IDS_MAX = 16;

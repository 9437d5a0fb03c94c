import type { Principal } from '@miniodb/core/auth/principal.ts';
import type { BackupInfo, RestoreMode, TaskProgress, TaskResult } from '@miniodb/core/backup/requests.ts';
import type { TaskFailure } from '@miniodb/core/queue/tasks.ts';
import type { TableConfig, TableConfigInput } from '@miniodb/core/table/config.ts';
import type { ColumnType } from '@miniodb/core/table/schema.ts';

/** What the gRPC and REST servers call: the gateway without its wire forms. Every method throws MiniodbError. */
export interface GatewayApi {
  writeRow(table: string, row: RowInput, call: CallContext): Promise<WriteReceipt>;
  writeBatch(request: BatchInput, call: CallContext): Promise<BatchReceipt>;
  createTable(
    table: string,
    config: TableConfigInput,
    ifNotExists: boolean,
    call: CallContext,
  ): Promise<void>;
  dropTable(
    table: string,
    options: { readonly ifExists: boolean; readonly cascade: boolean },
    call: CallContext,
  ): Promise<DropReceipt>;
  /** By name. @param pattern a glob; the empty string is every table. Only tables that the caller may read or administer. */
  listTables(pattern: string, call: CallContext): Promise<readonly TableInfo[]>;
  describeTable(table: string, call: CallContext): Promise<TableDescription>;
  /** Takes rows out by their timestamp. @param wanted.olderThan an age such as `30d`, or an RFC 3339 time */
  cleanupTable(
    table: string,
    wanted: { readonly olderThan: string; readonly dryRun: boolean },
    call: CallContext,
  ): Promise<CleanupReceipt>;
  /** @param waits until what is pending now is in committed files */
  flushTable(table: string, waits: boolean, call: CallContext): Promise<FlushReceipt>;
  updateTable(table: string, change: TableChange, call: CallContext): Promise<TableInfo>;
  backupTable(table: string, wanted: BackupInput, call: CallContext): Promise<TaskInfo>;
  restoreTable(table: string, wanted: RestoreInput, call: CallContext): Promise<TaskInfo>;
  /** Newest first. */
  listBackups(table: string, call: CallContext): Promise<readonly BackupInfo[]>;
  /** A backup or restore that somebody asked for within the last week. @param id that its answer named */
  lookAtTask(id: string, call: CallContext): Promise<TaskInfo>;
  query(request: QueryInput, call: CallContext): Promise<QueryOutput>;
  stats(call: CallContext): Promise<StatsReport>;
  nodes(call: CallContext): Promise<readonly NodeInfo[]>;
  health(call: CallContext): Promise<HealthReport>;
}

export interface CallContext {
  /** Who calls; ANONYMOUS while permissions are off. */
  readonly principal: Principal;
  readonly requestId: string;
  /** Fires when the caller goes away or its deadline passes. */
  readonly signal: AbortSignal;
  /** When its deadline passes, by this machine's clock; absent where it has none. */
  readonly deadlineMs?: number | undefined;
  /** Of the request as it was sent; absent where nobody counted. */
  readonly bodyBytes?: number;
  /** Told which tables a query turned out to be about, in lower case, before it is known whether they exist. */
  readonly onTables?: (tables: readonly string[]) => void;
}

/** An absent table or the empty string is the default table. */
export interface RowInput {
  readonly id: string;
  /** Absent: the accept time. Text is RFC 3339; a number is epoch milliseconds; the object is a protobuf Timestamp. */
  readonly timestamp?: string | number | { readonly seconds: bigint; readonly nanos: number } | undefined;
  /** A parsed JSON object. Numbers that a double cannot hold come as JSON.rawJSON objects. */
  readonly payload: unknown;
}

export type Ack = 'default' | 'queued' | 'durable' | 'committed';

export interface BatchInput {
  readonly table: string;
  readonly rows:
    | { readonly form: 'rows'; readonly rows: readonly RowInput[] }
    /** Decompressed text: one {id, timestamp?, payload} object a line; blank lines are skipped. */
    | { readonly form: 'ndjson'; readonly bytes: Uint8Array }
    /** Decompressed text: one JSON array of such objects. */
    | { readonly form: 'json_array'; readonly bytes: Uint8Array };
  readonly ack: Ack;
  /** The client's own key for this request (batch_id, Idempotency-Key); empty: none. */
  readonly batchId: string;
  /** Store the good rows and report the bad ones, instead of all or nothing. */
  readonly skipInvalid: boolean;
}

export interface WriteReceipt {
  readonly position: string;
}

export interface BatchReceipt {
  readonly accepted: number;
  readonly rejected: number;
  /** At most ROW_ERRORS_MAX of them, in order of index. */
  readonly errors: readonly RowError[];
  readonly duplicate: boolean;
  readonly position: string;
  readonly ack: Exclude<Ack, 'default'>;
  readonly batchId: string;
}

/** Bad rows that one answer names; how many there were it always says. */
export const ROW_ERRORS_MAX = 100;

export interface RowError {
  /** 0-based row of the request (line number less one, for NDJSON). */
  readonly index: number;
  readonly code: string;
  readonly message: string;
}

export interface QueryInput {
  readonly sql: string;
  /** Bound to `$1`, `$2`, … or `?` in order: JSON scalars. */
  readonly params: readonly unknown[];
}

export interface QueryOutput {
  /** A JSON array of row objects. */
  readonly resultJson: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rowCount: number;
  readonly elapsedMs: number;
  readonly stats: QueryStats;
}

export interface QueryStats {
  readonly filesRead: number;
  readonly bytesRead: number;
  readonly pendingRows: number;
}

export interface HealthReport {
  readonly healthy: boolean;
  readonly version: string;
  /** For example `redis: ok`, `queriers: 1`, `flushers: 2`. */
  readonly details: Readonly<Record<string, string>>;
}

/** Of a dry run: what would leave, and stay. */
export interface CleanupReceipt {
  /** RFC 3339: rows from before it leave. */
  readonly before: string;
  readonly dryRun: boolean;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  /** Files that hold rows from before and from after: they stay whole. */
  readonly filesLeft: number;
  /** All rows of these. */
  readonly rowsLeft: number;
  /** Of pending batches that hold some from before, and were not flushed. */
  readonly pendingRows: number;
}

export interface FlushReceipt {
  /** Everything that was pending when it was asked for is in committed files. */
  readonly flushed: boolean;
  /** Of the table now, what was written meanwhile included; before the flush where it was not waited for. */
  readonly pendingRows: number;
  /** Why it is not flushed, for people; empty otherwise. */
  readonly message: string;
}

export interface BackupInput {
  /** Only files that may hold rows of it; empty: all. */
  readonly id: string;
  /** Only what may be of it, `YYYY-MM-DD`; empty: all. */
  readonly day: string;
  /** For its end, for some minutes; otherwise it is only asked for. */
  readonly waits: boolean;
}

export interface RestoreInput {
  /** An id, a beginning of one (the newest is meant), or empty: the newest. */
  readonly backup: string;
  /** Empty: the table itself. */
  readonly target: string;
  readonly mode: RestoreMode;
  readonly waits: boolean;
}

export interface TaskInfo {
  /** Of a backup, its own. */
  readonly id: string;
  readonly kind: 'backup' | 'restore';
  /** That it reads. */
  readonly table: string;
  /** That it writes; of a backup the same. */
  readonly target: string;
  readonly state: 'waiting' | 'running' | 'done' | 'failed';
  readonly progress: TaskProgress | undefined;
  /** Of one that is done. */
  readonly result: TaskResult | undefined;
  /** Why it failed, or why its last attempt did. */
  readonly failure: TaskFailure | undefined;
}

export interface DropReceipt {
  /** Files that the table had; their objects go within minutes. */
  readonly filesDeleted: number;
}

export interface TableInfo {
  readonly name: string;
  /** What holds: the table's own settings, and the defaults for the rest. */
  readonly config: TableConfig;
  /** Fields of config that the table does not set itself. */
  readonly inherited: readonly (keyof TableConfig)[];
  /** RFC 3339, UTC; lastWrite is empty before the first one. */
  readonly createdAt: string;
  readonly lastWrite: string;
  readonly status: string;
}

export interface TableStats {
  /** Pending rows included. */
  readonly recordCount: number;
  readonly fileCount: number;
  readonly sizeBytes: number;
  /** RFC 3339, UTC, six digits; empty when there are no rows. */
  readonly oldestRecord: string;
  readonly newestRecord: string;
  readonly pendingRows: number;
  readonly pendingBytes: number;
}

export interface TableDescription {
  readonly info: TableInfo;
  readonly stats: TableStats;
  /** Beside `id`, `timestamp` and `payload`, in order of name. */
  readonly columns: readonly { readonly name: string; readonly type: ColumnType }[];
}

export interface TableChange {
  /** A field that is null goes back to the default. */
  readonly config: { readonly [Field in keyof TableConfig]?: TableConfig[Field] | null };
  readonly status?: 'active' | 'archived' | undefined;
}

/** Sums over the tables that the caller may read; what is not about tables only for cluster admins. */
export interface StatsReport {
  readonly buffer: Readonly<Record<string, number>>;
  readonly redis: Readonly<Record<string, number>>;
  readonly store: Readonly<Record<string, number>>;
}

export interface NodeInfo {
  readonly id: string;
  /** `live`, or `silent` when it has missed beats. */
  readonly status: string;
  /** `gateway`, `flusher`, `querier`. */
  readonly type: string;
  readonly address: string;
  /** Seconds since 1970, by Redis' clock. */
  readonly lastSeen: number;
}

import type { TableConfigInput } from '@miniodb/core/table/config.ts';

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
  query(request: QueryInput, call: CallContext): Promise<QueryOutput>;
  health(call: CallContext): Promise<HealthReport>;
}

export interface CallContext {
  /** Who calls; `anonymous` while permissions are off. */
  readonly principal: string;
  readonly requestId: string;
  /** Fires when the caller goes away or its deadline passes. */
  readonly signal: AbortSignal;
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

import { MiniodbError } from '@miniodb/core/runtime/errors.ts';

/** Bodies of the REST API, as far as commands look at them. */
export interface TableInfo {
  readonly name: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** Fields of config that the table does not set itself. */
  readonly inherited: readonly string[];
  /** RFC 3339, UTC; last_write is empty before the first one. */
  readonly created_at: string;
  readonly last_write: string;
  readonly status: string;
}

export interface TableStats {
  readonly record_count: number;
  readonly file_count: number;
  readonly size_bytes: number;
  /** RFC 3339, UTC; empty when there are no rows. */
  readonly oldest_record: string;
  readonly newest_record: string;
}

export interface TableDescription {
  readonly table_info: TableInfo;
  readonly stats: TableStats;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly pending_rows: number;
  readonly pending_bytes: number;
}

export interface TableList {
  readonly tables: readonly TableInfo[];
  readonly total: number;
}

export interface FlushReceipt {
  readonly flushed: boolean;
  readonly pending_rows: number;
  /** Why it is not flushed; empty otherwise. */
  readonly message: string;
}

export interface Receipt {
  readonly success: boolean;
  readonly message: string;
}

/** Of a dry run: what would leave, and stay. */
export interface Cleanup {
  /** Why older rows stay; empty when none do. */
  readonly message: string;
  /** RFC 3339. */
  readonly before: string;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
}

/** A backup or a restore, under way or ended. */
export interface Task {
  readonly id: string;
  readonly kind: string;
  readonly table: string;
  readonly target: string;
  readonly state: string;
  readonly progress: { readonly step: string; readonly done: number; readonly of: number } | null;
  readonly result: {
    readonly backup: string;
    readonly rows: number;
    readonly files: number;
    readonly size_bytes: number;
    readonly copied_bytes: number;
  } | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
}

export interface AskedTask {
  readonly task: Task;
}

export interface BackupList {
  readonly backups: readonly {
    readonly id: string;
    readonly created_at: string;
    readonly rows: number;
    readonly files: number;
    readonly size_bytes: number;
    readonly filter: { readonly id: string; readonly day: string };
    /** Code of what is wrong with it; empty: nothing. */
    readonly flaw: string;
  }[];
}

export interface QueryBody {
  /** A JSON array of row objects. */
  readonly result_json: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly row_count: number;
  readonly elapsed_ms: number;
  readonly files_read: number;
  readonly pending_rows: number;
}

export interface Health {
  readonly status: string;
  readonly version: string;
  readonly details: Readonly<Record<string, string>>;
}

type Kind = 'array' | 'object' | 'string' | 'number' | 'boolean';
/** Members that a body must have, and what they are; an object says what it has itself. */
export interface Shape {
  readonly [member: string]: Kind | Shape;
}

const INFO: Shape = {
  name: 'string',
  config: 'object',
  inherited: 'array',
  created_at: 'string',
  last_write: 'string',
  status: 'string',
};

export const RECEIPT: Shape = { success: 'boolean', message: 'string' };
export const TABLE_LIST: Shape = { tables: 'array' };
export const CHANGED_TABLE: Shape = { table_info: INFO };
export const FLUSHED_TABLE: Shape = { flushed: 'boolean', pending_rows: 'number', message: 'string' };
export const DROPPED_TABLE: Shape = { files_deleted: 'number' };
export const CLEANUP: Shape = {
  message: 'string',
  before: 'string',
  files: 'number',
  rows: 'number',
  bytes: 'number',
};
export const HEALTH: Shape = { status: 'string', version: 'string', details: 'object' };
export const DESCRIPTION: Shape = {
  table_info: INFO,
  stats: {
    record_count: 'number',
    file_count: 'number',
    size_bytes: 'number',
    oldest_record: 'string',
    newest_record: 'string',
  },
  columns: 'array',
  pending_rows: 'number',
  pending_bytes: 'number',
};
export const TASK: Shape = {
  id: 'string',
  kind: 'string',
  table: 'string',
  target: 'string',
  state: 'string',
};
export const ASKED_TASK: Shape = { task: TASK };
export const BACKUP_LIST: Shape = { backups: 'array' };
export const QUERY_BODY: Shape = {
  result_json: 'string',
  columns: 'array',
  row_count: 'number',
  elapsed_ms: 'number',
  files_read: 'number',
  pending_rows: 'number',
};

/** Whoever else listens at that address also answers JSON sometimes. Throws `internal`/`unexpected_answer`. */
export function checkShape(value: unknown, shape: Shape, where = 'the answer'): void {
  if (kindOf(value) !== 'object') throw unexpected(`${where} is not an object`);
  for (const [member, wanted] of Object.entries(shape)) {
    const found = (value as Readonly<Record<string, unknown>>)[member];
    const name = where === 'the answer' ? member : `${where}.${member}`;
    if (typeof wanted === 'object') checkShape(found, wanted, name);
    else if (kindOf(found) !== wanted) throw unexpected(`${name} is not of type ${wanted}`);
  }
}

export function unexpected(what: string, cause?: unknown): MiniodbError {
  return new MiniodbError('internal', `that is no answer of a MinIODB gateway: ${what}`, {
    code: 'unexpected_answer',
    cause,
  });
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

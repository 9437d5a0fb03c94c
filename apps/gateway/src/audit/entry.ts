/** What the audit says of one call, or of calls that were merged. Never values of rows or of a query's parameters. */
export interface AuditEntry {
  /** When it began. */
  readonly atMs: number;
  /** The tables by name, comma between; empty where the call is about none, or was refused before it named one. */
  readonly table: string;
  readonly operation: string;
  readonly user: string;
  readonly details: AuditDetails;
  readonly durationMs: number;
  /** Rows written, or things answered. */
  readonly recordCount: number;
  /** The error's stable code; its message may hold values. Undefined: success. */
  readonly error: string | undefined;
}

export type AuditDetails = Readonly<Record<string, string | number | boolean>>;

/** A query of 256 KiB is no use in a log. */
const SQL_LENGTH_MAX = 2_000;
/** Callers may send anything as a name. */
const TABLE_LENGTH_MAX = 128;
/** What else a text of a caller may have. */
const USER_LENGTH_MAX = 128;

/** One JSON object, without the line's end: exactly these fields, the empty ones of the last three left out. */
export function auditLine(entry: AuditEntry): string {
  const { atMs, table, operation, user, details, durationMs, recordCount, error } = entry;
  return JSON.stringify({
    timestamp: new Date(atMs).toISOString(),
    table,
    operation,
    user: user.slice(0, USER_LENGTH_MAX),
    details,
    duration_ms: Math.round(durationMs * 1_000) / 1_000,
    ...(recordCount > 0 && { record_count: recordCount }),
    success: error === undefined,
    ...(error !== undefined && { error }),
  });
}

/** Cut between characters, so that no half of a pair is left. */
export function cutSql(sql: string): string {
  return cut(sql, SQL_LENGTH_MAX);
}

export function cutTable(name: string): string {
  return cut(name, TABLE_LENGTH_MAX);
}

function cut(text: string, lengthMax: number): string {
  if (text.length <= lengthMax) return text;
  return text
    .slice(0, lengthMax)
    .toWellFormed()
    .replace(/\uFFFD$/, '');
}

import { type AuditEntry, auditLine } from './entry.ts';

/** Where finished lines go. Neither blocks nor throws. */
export interface AuditSink {
  write(line: string): void;
}

/** Calls that are told of together: how many there were, the rows of all, and the longest. */
interface Merged {
  readonly first: AuditEntry;
  calls: number;
  records: number;
  durationMsMax: number;
}

/** Unary writes of a client with a connection pool come in thousands a second; one object a second tells as much. */
const MERGE_MS = 1_000;
/** Users, tables and errors merged at a time; beyond it they are told of at once, which loses nothing. */
const MERGED_MAX = 10_000;

/** Turns calls into lines: each by itself, or merged with those of the same user, table, operation and outcome. */
export class Auditor {
  readonly #sink: AuditSink;
  readonly #merged = new Map<string, Merged>();
  #timer: NodeJS.Timeout | undefined;

  constructor(sink: AuditSink) {
    this.#sink = sink;
  }

  record(entry: AuditEntry): void {
    this.#sink.write(auditLine(entry));
  }

  /** As record, within a second and together with its like; details gain `calls`, and the longest duration is told. */
  merge(entry: AuditEntry): void {
    const key = JSON.stringify([entry.user, entry.table, entry.operation, entry.error ?? '']);
    const merged = this.#merged.get(key);
    if (merged === undefined) {
      if (this.#merged.size >= MERGED_MAX) this.flush();
      this.#merged.set(key, {
        first: entry,
        calls: 1,
        records: entry.recordCount,
        durationMsMax: entry.durationMs,
      });
      this.#timer ??= setTimeout(() => this.flush(), MERGE_MS);
      return;
    }
    merged.calls += 1;
    merged.records += entry.recordCount;
    merged.durationMsMax = Math.max(merged.durationMsMax, entry.durationMs);
  }

  /** Hands on what has been merged so far; the last thing before the sink is closed. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { first, calls, records, durationMsMax } of this.#merged.values()) {
      this.record({
        ...first,
        details: { ...first.details, calls },
        durationMs: durationMsMax,
        recordCount: records,
      });
    }
    this.#merged.clear();
  }
}

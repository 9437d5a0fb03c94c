import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { LiveTable, Tables } from '../table/tables.ts';
import { type AcceptedRow, Profile } from './accept.ts';
import type { Enqueued, Enqueuer, Group } from './enqueue.ts';

/**
 * Group commit: rows of concurrent calls to one table are enqueued in one transaction and answered together.
 *
 * There is no timer. While enqueues of a table are under way, what arrives collects; when one ends, all that has
 * collected goes as the next. A lone writer never waits, and under load the groups grow by themselves. Keyed requests
 * go alone: their record is about exactly their rows.
 */

/** Two keep Redis busy while the next group is compressed; more would only make the groups smaller. */
const ENQUEUES_PER_TABLE_MAX = 2;
/** Stored bytes of one group, unless a single request has more. */
const GROUP_BYTES_MAX = 8 * 1_048_576;
const GROUP_ROWS_MAX = 50_000;

export interface Submission {
  readonly rows: readonly AcceptedRow[];
  readonly bytes: number;
  readonly profile: Profile;
  readonly acceptedMs: number;
  readonly dedup: Group['dedup'];
}

interface Waiting extends Submission {
  /** As it was when the rows were accepted: a later incarnation of the name is another table. */
  readonly table: LiveTable;
  readonly settle: PromiseWithResolvers<Enqueued>;
}

interface Line {
  readonly waiting: Waiting[];
  underWay: number;
}

export class GroupCommit {
  readonly #tables: Tables;
  readonly #enqueuer: Enqueuer;
  readonly #lines = new Map<string, Line>();

  constructor(tables: Tables, enqueuer: Enqueuer) {
    this.#tables = tables;
    this.#enqueuer = enqueuer;
  }

  /** Resolves when the rows are pending in Redis. Throws what Enqueuer.enqueue throws. */
  submit(table: LiveTable, submission: Submission): Promise<Enqueued> {
    const settle = Promise.withResolvers<Enqueued>();
    const line = this.#lines.get(table.name) ?? { waiting: [], underWay: 0 };
    this.#lines.set(table.name, line);
    line.waiting.push({ ...submission, table, settle });
    this.#pump(table.name, line);
    return settle.promise;
  }

  #pump(name: string, line: Line): void {
    while (line.underWay < ENQUEUES_PER_TABLE_MAX && line.waiting.length > 0) {
      const members = takeGroup(line.waiting);
      line.underWay += 1;
      void this.#run(members).finally(() => {
        line.underWay -= 1;
        if (line.waiting.length > 0) this.#pump(name, line);
        else if (line.underWay === 0) this.#lines.delete(name);
      });
    }
  }

  /** Never rejects: every member hears its own outcome. */
  async #run(members: readonly Waiting[]): Promise<void> {
    const { table } = members[0]!;
    try {
      // The view may have changed while the group waited.
      const view = await this.#tables.current(table);
      const enqueued = await this.#enqueuer.enqueue(mergeGroup(members), view, () =>
        this.#tables.refresh(table),
      );
      // So that the next rows that conflict are named at once.
      if (enqueued.madeColumns && view.config.type_conflict === 'reject') this.#tables.forget(table.name);
      for (const member of members) member.settle.resolve(enqueued);
    } catch (error) {
      // These callers hear that their table is gone; whoever comes next sees what there is now.
      if (error instanceof MiniodbError && error.code === 'table_gone') this.#tables.forget(table.name);
      if (members.length > 1 && isTypeConflict(error)) {
        // One caller's rows must not refuse another's.
        for (const member of members) await this.#run([member]);
        return;
      }
      for (const member of members) member.settle.reject(error);
    }
  }
}

/** A put that was refused since a row conflicts with a column; nobody knows whose. */
export function isTypeConflict(error: unknown): boolean {
  return error instanceof MiniodbError && error.code === 'type_conflict';
}

function takeGroup(waiting: Waiting[]): Waiting[] {
  let count = 1;
  if (waiting[0]!.dedup === undefined) {
    let { bytes } = waiting[0]!;
    let rows = waiting[0]!.rows.length;
    const types = new GroupTypes(waiting[0]!);
    while (count < waiting.length) {
      const next = waiting[count]!;
      bytes += next.bytes;
      rows += next.rows.length;
      if (next.dedup !== undefined || next.table.generation !== waiting[0]!.table.generation) break;
      if (bytes > GROUP_BYTES_MAX || rows > GROUP_ROWS_MAX || !types.take(next)) break;
      count += 1;
    }
  }
  return waiting.splice(0, count);
}

/**
 * In tables that refuse conflicts, of rows that conflict with each other in a column that does not exist yet the first
 * ones decide: merged, they would make it as wide as both.
 */
class GroupTypes {
  readonly #profile: Profile | undefined;

  constructor(first: Waiting) {
    if (first.table.config.type_conflict !== 'reject') return;
    this.#profile = new Profile();
    this.#profile.merge(first.profile);
  }

  /** @returns false: it has to go in a group of its own */
  take(next: Waiting): boolean {
    if (this.#profile === undefined) return next.table.config.type_conflict !== 'reject';
    if (this.#profile.refuses(next.profile)) return false;
    this.#profile.merge(next.profile);
    return true;
  }
}

function mergeGroup(members: readonly Waiting[]): Group {
  if (members.length === 1) return members[0]!;
  const profile = new Profile();
  for (const member of members) profile.merge(member.profile);
  return {
    rows: members.flatMap((member) => member.rows),
    profile,
    // The oldest: whoever waits longest makes the flush due.
    acceptedMs: members.reduce(
      (oldest, member) => Math.min(oldest, member.acceptedMs),
      Number.POSITIVE_INFINITY,
    ),
    dedup: undefined,
  };
}

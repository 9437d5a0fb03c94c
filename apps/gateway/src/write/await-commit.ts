import type { CommitTarget } from '@miniodb/core/queue/look-commits.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { CallContext } from '../api.ts';
import type { LiveTable, Tables } from '../table/tables.ts';
import type { CommitWatch } from './commit-watch.ts';
import type { Enqueued } from './enqueue.ts';

/** A flush takes a second at most; one whose flusher died is driven on by another well within this. */
const COMMIT_WAIT_MS = 30_000;
/** Before the call's deadline, so that the answer is still heard. */
const ANSWER_MS = 250;

export interface CommitContext {
  readonly tables: Tables;
  readonly commits: CommitWatch;
}

/** Refuses what could only wait in vain. */
export function requireFlushes(table: LiveTable): void {
  if (!table.config.flush_paused) return;
  throw new MiniodbError(
    'failed_precondition',
    `flushes of table ${table.name} are paused (flush_paused): its rows cannot be committed; nothing was stored`,
    { code: 'flush_paused' },
  );
}

/**
 * Resolves when the rows are in committed files. A repeat of a keyed request waits until all that was put up to its first
 * sending is. Throws, and then the rows are stored durably all the same: `commit_not_seen`, `batch_set_aside`; and
 * `table_gone`.
 */
export async function awaitCommit(
  { tables, commits }: CommitContext,
  table: LiveTable,
  enqueued: Enqueued,
  isKeyed: boolean,
  call: CallContext,
): Promise<void> {
  const target = enqueued.put ?? (await everythingUpTo(enqueued.seq, table, tables));
  const waitMs = waitTimeMs(COMMIT_WAIT_MS, call);
  const outcome = await commits.wait(table.name, table.generation, target, waitMs, call.signal);
  switch (outcome) {
    case 'committed':
      return;
    case 'gone':
      tables.forget(table.name);
      throw new MiniodbError(
        'not_found',
        `table ${table.name} does not exist: it was dropped before its rows were committed`,
        { code: 'table_gone' },
      );
    case 'set_aside':
      throw new MiniodbError(
        'failed_precondition',
        enqueued.put === undefined
          ? 'the rows were stored durably before, but batches of that time cannot be read and were set aside: whether theirs is among them is not known'
          : 'the rows are stored durably, but their batch cannot be read and was set aside: it is not committed until somebody sees to it',
        { code: 'batch_set_aside', details: { position: enqueued.position } },
      );
    case 'lost':
      throw new MiniodbError(
        'outcome_unknown',
        'Redis knows nothing of these rows any more: it was put back to an older state',
        { code: 'outcome_unknown', details: { position: enqueued.position } },
      );
    case 'unseen':
      throw notSeen(enqueued, isKeyed, commits.lastError);
  }
}

/** How long a call can wait and still be answered in time. */
export function waitTimeMs(waitMsMax: number, { deadlineMs }: CallContext): number {
  if (deadlineMs === undefined) return waitMsMax;
  return Math.max(0, Math.min(waitMsMax, deadlineMs - Date.now() - ANSWER_MS));
}

async function everythingUpTo(seq: string, table: LiveTable, tables: Tables): Promise<CommitTarget> {
  // The first sending may have seen more shards than this view.
  const { config } = await tables.refresh(table);
  return { kind: 'upTo', seq, shardCount: config.shards };
}

/** Sent again without a batch_id, the rows would be stored twice: then it must not look like something to try again. */
function notSeen({ position }: Enqueued, isKeyed: boolean, cause: unknown): MiniodbError {
  const message = isKeyed
    ? 'the rows are stored durably, but their commit was not seen in time; the same request with the same batch_id goes on waiting for it'
    : 'the rows are stored durably and will be committed, but their commit was not seen in time; sent again, they would be stored twice';
  const details = { commit: 'not_seen', position };
  const fields = { code: 'commit_not_seen', details, ...(cause !== undefined && { cause }) };
  return new MiniodbError(isKeyed ? 'deadline_exceeded' : 'outcome_unknown', message, fields);
}

import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { BatchInput, RowError } from '../api.ts';
import type { LiveTable, Tables } from '../table/tables.ts';
import { acceptAll, type RowRules } from './accept-all.ts';
import { type GroupCommit, isTypeConflict, type Submission } from './batch.ts';
import type { Enqueued } from './enqueue.ts';
import { TypeGuard } from './type-guard.ts';

/** How often rows are checked again because put knew columns that the view lacked, before that counts as a fault. */
const TYPE_CHECKS_MAX = 5;

export interface Stored {
  readonly accepted: number;
  readonly rejected: number;
  readonly errors: readonly RowError[];
  /** undefined: no row was good. */
  readonly enqueued: Enqueued | undefined;
}

/**
 * Accepts a request's rows and enqueues them. Where put refuses them for their types, they are accepted again with a
 * fresh view of the table, which names the rows; nothing of them was stored.
 * @param dedup called when there are rows to store
 */
export async function storeRows(
  context: { readonly tables: Tables; readonly groups: GroupCommit },
  request: BatchInput,
  table: LiveTable,
  acceptedMs: number,
  signal: AbortSignal,
  dedup: () => Promise<Submission['dedup']>,
): Promise<Stored> {
  let view = table;
  for (let check = 1; ; check += 1) {
    const accepted = await acceptAll(request, acceptedMs, rulesOf(view));
    await failpoint('gw.validated');
    const { rows, bytes, profile, errors, rejected } = accepted;
    if (rows.length === 0) return { accepted: 0, rejected, errors, enqueued: undefined };
    if (signal.aborted) throw new MiniodbError('cancelled', 'the caller went away', { code: 'cancelled' });
    const submission: Submission = { rows, bytes, profile, acceptedMs, dedup: await dedup() };
    try {
      const enqueued = await context.groups.submit(view, submission);
      return { accepted: rows.length, rejected, errors, enqueued };
    } catch (error) {
      if (!isTypeConflict(error) || check === TYPE_CHECKS_MAX) throw error;
      view = await context.tables.refresh(view);
    }
  }
}

function rulesOf({ config, schema }: LiveTable): RowRules {
  const guard = config.type_conflict === 'reject' ? new TypeGuard(schema) : undefined;
  return { keepsRaw: config.keep_raw_payload, guard };
}

import { requireGrant } from '@miniodb/core/auth/principal.ts';
import { askFlush } from '@miniodb/core/queue/ask-flush.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { CallContext, FlushReceipt } from '../api.ts';
import { waitTimeMs } from '../write/await-commit.ts';
import type { CommitOutcome, CommitWatch } from '../write/commit-watch.ts';
import { readTable } from './describe.ts';
import { type ManageContext, tableContended } from './manage.ts';
import { tableNotFound } from './tables.ts';

/** A client waits for an answer for 75 s. */
const FLUSH_WAIT_MS = 60_000;
/** How often a table may turn out to be another, or to have more shards, meanwhile. */
const ATTEMPTS_MAX = 4;

export interface FlushTableContext extends ManageContext {
  readonly commits: CommitWatch;
}

/**
 * Has all that is pending flushed now, and waits for it if that is wanted. Whoever may write may ask: it is what a write
 * that waits for its commit asks for. Throws `table_not_found`, `table_gone` (dropped meanwhile).
 */
export async function flushTable(
  context: FlushTableContext,
  name: string,
  waits: boolean,
  call: CallContext,
): Promise<FlushReceipt> {
  const table = context.tables.canonical(name);
  requireGrant(call.principal, 'write', [table]);
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const before = await readTable(context, table);
    if (before === undefined) throw tableNotFound(name);
    const { generation, config } = before.table;
    const shards = { count: config.shards };
    const asked = await askFlush(context.redis, context.fixed, { table, generation, seq: undefined, shards });
    if (asked.status !== 'ok') continue;
    if (asked.pendingBatches === 0) return { flushed: true, pendingRows: 0, message: '' };
    if (asked.flushPaused ?? context.defaults.flush_paused) {
      const message = `flushes of table ${table} are paused (flush_paused): what is pending is flushed when they no longer are`;
      return { flushed: false, pendingRows: before.pendingRows, message };
    }
    if (!waits) return { flushed: false, pendingRows: before.pendingRows, message: '' };
    const target = { kind: 'upTo', seq: asked.seq, shardCount: config.shards } as const;
    const waitMs = waitTimeMs(FLUSH_WAIT_MS, call);
    const outcome = await context.commits.wait(table, generation, target, waitMs, call.signal);
    const after = await readTable(context, table);
    if (outcome === 'gone' || after?.table.generation !== generation) {
      throw new MiniodbError('not_found', `table ${name} was dropped meanwhile`, { code: 'table_gone' });
    }
    return {
      flushed: outcome === 'committed',
      pendingRows: after.pendingRows,
      message: messageOf(outcome, table),
    };
  }
  throw tableContended(name);
}

function messageOf(outcome: CommitOutcome | 'unseen', table: string): string {
  switch (outcome) {
    case 'committed':
    case 'gone':
      return '';
    case 'set_aside':
      return `table ${table} has batches that cannot be read and were set aside; all others are flushed`;
    case 'lost':
      return 'Redis was put back to an older state meanwhile';
    case 'unseen':
      return 'not all was seen flushed in time; it goes on';
  }
}

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Grants } from '@miniodb/core/auth/grants.ts';
import { requireGrant } from '@miniodb/core/auth/principal.ts';
import { durationMs } from '@miniodb/core/config/duration.ts';
import { LeavingFiles } from '@miniodb/core/index/bounds.ts';
import {
  type CleanupRequest,
  type CleanupResult,
  cleanupResultSchema,
  fateBefore,
  pendingRowsBefore,
} from '@miniodb/core/index/cleanup.ts';
import type { TaskQueue } from '@miniodb/core/queue/tasks.ts';
import type { RedisClock } from '@miniodb/core/redis/clock.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { micros, microsFromRfc3339, rfc3339FromMicros } from '@miniodb/core/table/timestamp.ts';
import type { CallContext, CleanupReceipt } from '../api.ts';
import { type FlushTableContext, flushTable } from './flush.ts';
import type { LiveTable } from './tables.ts';

export interface CleanupContext extends FlushTableContext {
  readonly cleanups: TaskQueue;
  readonly clock: Pick<RedisClock, 'nowMs'>;
}

/** Shorter than servers give a call. */
const WAIT_MS_MAX = 240_000;
const LOOK_EVERY_MS = 100;

/**
 * Takes rows out of a table by their timestamp alone, as whole files; pending rows are flushed first. A dry run counts
 * and changes nothing. Throws `table_not_found`, `invalid_older_than`, `cleanup_goes_on` when it takes longer than a call
 * may; what it failed with.
 * @param olderThan an age such as `30d`, or an RFC 3339 time
 */
export async function cleanupTable(
  context: CleanupContext,
  name: string,
  { olderThan, dryRun }: { readonly olderThan: string; readonly dryRun: boolean },
  call: CallContext,
): Promise<CleanupReceipt> {
  const { tables } = context;
  const table = tables.canonical(name);
  requireGrant(call.principal, 'admin', [table]);
  const beforeMicros = limitOf(olderThan, Math.floor(context.clock.nowMs()));
  const before = rfc3339FromMicros(beforeMicros);
  const live = await tables.forQuery(table);
  const seen = await look(context, live, beforeMicros, call.signal);
  if (dryRun) return { before, dryRun, ...seen };
  if (seen.pendingRows > 0) await flushTable(context, table, true, forItself(call));
  const request: CleanupRequest = {
    v: 1,
    table,
    generation: live.generation,
    before,
    beforeMicros,
    by: call.principal.user,
    plans: [],
  };
  const id = `cleanup-${randomBytes(8).toString('hex')}`;
  await context.cleanups.add(id, request);
  return { before, dryRun, ...(await endOf(context.cleanups, id, call.signal)) };
}

function limitOf(olderThan: string, nowMs: number): string {
  const ageMs = durationMs(olderThan);
  const limit = ageMs === undefined ? microsFromRfc3339(olderThan) : micros(nowMs - ageMs, 0);
  if (limit === undefined || ageMs === 0) {
    throw invalid('older_than must be an age such as 30d or 12h, or a time such as 2026-01-31T00:00:00Z');
  }
  // Nobody means rows that are still to come.
  if (BigInt(limit) > BigInt(nowMs) * 1_000n) throw invalid('older_than must not be in the future');
  return limit;
}

function invalid(message: string): MiniodbError {
  return new MiniodbError('invalid_argument', message, { code: 'invalid_older_than' });
}

/** What a cleanup would find now. */
async function look(
  { redis, fixed }: CleanupContext,
  { name, generation, config }: LiveTable,
  beforeMicros: string,
  signal: AbortSignal,
): Promise<CleanupResult> {
  const ref = { table: name, generation, shards: config.shards };
  const found = new LeavingFiles(redis, fixed, ref, fateBefore(beforeMicros));
  if (!(await found.read(signal))) {
    throw new MiniodbError('not_found', `table ${name} does not exist`, { code: 'table_gone' });
  }
  const { leaving, straddling } = found;
  return {
    files: leaving.length,
    rows: leaving.reduce((rows, { entry }) => rows + entry.rows, 0),
    bytes: leaving.reduce((bytes, { entry }) => bytes + entry.sizeBytes, 0),
    filesLeft: straddling.files,
    rowsLeft: straddling.rows,
    pendingRows: pendingRowsBefore(found.pending, beforeMicros),
  };
}

/** Who may administer a table may clean it up without a grant to write: the flush is the cleanup's own. */
function forItself(call: CallContext): CallContext {
  return { ...call, principal: { user: call.principal.user, grants: new Grants(['table:*:write']) } };
}

async function endOf(cleanups: TaskQueue, id: string, signal: AbortSignal): Promise<CleanupResult> {
  const endMs = performance.now() + WAIT_MS_MAX;
  while (performance.now() < endMs && !signal.aborted) {
    const report = await cleanups.look(id);
    // A report can be of just before the end, and its state of just after: the next one has the result.
    if (report?.state === 'done' && report.result !== null) return cleanupResultSchema.parse(report.result);
    if (report?.state === 'failed') {
      const { kind, code, message } = report.failure ?? UNSAID;
      throw new MiniodbError(kind, message, { code });
    }
    await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
  }
  if (signal.reason instanceof MiniodbError && signal.reason.kind === 'cancelled') throw signal.reason;
  throw new MiniodbError(
    'deadline_exceeded',
    `the cleanup takes longer than a call may, and goes on; it may be asked for again (${id})`,
    { code: 'cleanup_goes_on' },
  );
}

const UNSAID = { kind: 'internal', code: 'task_failed', message: 'the cleanup failed' } as const;

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { requireGrant } from '@miniodb/core/auth/principal.ts';
import { checkBackupSpec, newBackupId } from '@miniodb/core/backup/names.ts';
import {
  type BackupInfo,
  type BackupRequest,
  type ListRequest,
  listResultSchema,
  progressSchema,
  type RestoreRequest,
  taskRequestSchema,
  taskResultSchema,
} from '@miniodb/core/backup/requests.ts';
import type { TaskFailure, TaskQueue, TaskReport } from '@miniodb/core/queue/tasks.ts';
import type { RedisClock } from '@miniodb/core/redis/clock.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { BackupInput, CallContext, RestoreInput, TaskInfo } from '../api.ts';
import type { Tables } from './tables.ts';

/**
 * Gateways have no object store: flushers do the work, and gateways ask for it and wait. What is asked for while no
 * flusher is there waits for one.
 */
export interface BackupsContext {
  readonly tasks: TaskQueue;
  readonly questions: TaskQueue;
  readonly tables: Tables;
  readonly clock: Pick<RedisClock, 'nowMs'>;
  readonly tablesMax: number;
}

/** Shorter than servers give a call: whoever waits hears the id, and can look again. */
const WAIT_MS_MAX = 240_000;
const QUESTION_MS_MAX = 20_000;
const LOOK_EVERY_MS_MIN = 50;
const LOOK_EVERY_MS_MAX = 500;
const TASK_ID = /^(?:backup|restore)-[0-9a-f-]{1,60}$/;

/** Throws `table_not_found`, `invalid_day`, and what the backup failed with. */
export async function backupTable(
  context: BackupsContext,
  name: string,
  { id, day, waits }: BackupInput,
  call: CallContext,
): Promise<TaskInfo> {
  const table = context.tables.canonical(name);
  requireGrant(call.principal, 'admin', [table]);
  if (day !== '') checkDay(day);
  await context.tables.forQuery(table);
  const filter = { ...(id !== '' && { id }), ...(day !== '' && { day }) };
  const request: BackupRequest = { v: 1, kind: 'backup', table, by: call.principal.user, filter };
  const taskId = newBackupId(context.clock.nowMs());
  await context.tasks.add(taskId, request);
  return waits ? waitForEnd(context, taskId, call) : { ...asked(taskId, request), target: table };
}

/** Throws `invalid_backup_id`, and what the restore failed with. */
export async function restoreTable(
  context: BackupsContext,
  name: string,
  { backup, target: targetName, mode, waits }: RestoreInput,
  call: CallContext,
): Promise<TaskInfo> {
  const { tables, clock, tasks } = context;
  const table = tables.canonical(name);
  const target = targetName === '' ? table : tables.canonical(targetName);
  requireGrant(call.principal, 'admin', [table, target]);
  checkBackupSpec(backup);
  const owner = tables.ownerOf(call.principal);
  const request: RestoreRequest = {
    v: 1,
    kind: 'restore',
    table,
    backup,
    target,
    mode,
    by: call.principal.user,
    planId: randomBytes(8).toString('hex'),
    askedMs: Math.floor(clock.nowMs()),
    tablesMax: context.tablesMax,
    ...(owner !== undefined && { owner: { ...owner } }),
    state: {},
  };
  const taskId = newBackupId(clock.nowMs()).replace('backup', 'restore');
  await tasks.add(taskId, request);
  const info = waits ? await waitForEnd(context, taskId, call) : { ...asked(taskId, request), target };
  tables.forget(target);
  return info;
}

/** Backups outlive their table: those of a table that is gone are listed too. Throws `no_flusher`. */
export async function listBackups(
  context: BackupsContext,
  name: string,
  call: CallContext,
): Promise<readonly BackupInfo[]> {
  const { tables, questions } = context;
  const table = tables.canonical(name);
  requireGrant(call.principal, 'admin', [table]);
  const request: ListRequest = { v: 1, kind: 'list', table };
  const id = `list-${randomBytes(8).toString('hex')}`;
  await questions.add(id, request);
  try {
    const report = await endOf(questions, id, QUESTION_MS_MAX, call.signal);
    if (report?.state === 'failed') throw failed(report.failure);
    if (report?.state !== 'done') {
      throw new MiniodbError('unavailable', 'no flusher answered in time', {
        code: 'no_flusher',
        retryAfterMs: 1_000,
      });
    }
    return listResultSchema.parse(report.result).backups;
  } finally {
    await questions.forget(id);
  }
}

/** Throws `task_not_found`, also for tasks of tables that the caller may not administer. */
export async function lookAtTask(
  { tasks }: BackupsContext,
  id: string,
  { principal }: CallContext,
): Promise<TaskInfo> {
  const report = TASK_ID.test(id) ? await tasks.look(id) : undefined;
  const info = report === undefined ? undefined : infoOf(report);
  const tables = info === undefined ? [] : [info.table, info.target];
  if (info === undefined || tables.some((table) => !principal.grants.allow('admin', table))) {
    const message = `there is no task ${JSON.stringify(id.slice(0, 100))}, or it ended more than a week ago`;
    throw new MiniodbError('not_found', message, { code: 'task_not_found' });
  }
  return info;
}

async function waitForEnd({ tasks }: BackupsContext, id: string, { signal }: CallContext): Promise<TaskInfo> {
  const report = await endOf(tasks, id, WAIT_MS_MAX, signal);
  if (report === undefined) throw failed(undefined);
  if (report.state === 'failed') throw failed(report.failure);
  return infoOf(report);
}

/** The last that was seen of it: its end, unless waiting took too long. */
async function endOf(
  queue: TaskQueue,
  id: string,
  msMax: number,
  signal: AbortSignal,
): Promise<TaskReport | undefined> {
  const deadline = performance.now() + msMax;
  let pauseMs = LOOK_EVERY_MS_MIN;
  for (;;) {
    const report = await queue.look(id);
    const isOver = report === undefined || report.state === 'done' || report.state === 'failed';
    if (isOver || performance.now() > deadline) return report;
    await sleep(pauseMs, undefined, { signal }).catch(() => {
      throw signal.reason instanceof MiniodbError
        ? signal.reason
        : new MiniodbError('cancelled', 'the caller went away', { code: 'cancelled' });
    });
    pauseMs = Math.min(pauseMs * 1.5, LOOK_EVERY_MS_MAX);
  }
}

function asked(id: string, { kind, table }: BackupRequest | RestoreRequest): Omit<TaskInfo, 'target'> {
  return { id, kind, table, state: 'waiting', progress: undefined, result: undefined, failure: undefined };
}

function infoOf({ id, state, data, progress, result, failure }: TaskReport): TaskInfo {
  const request = taskRequestSchema.parse(data);
  const told = progressSchema.safeParse(progress);
  return {
    id,
    kind: request.kind,
    table: request.table,
    target: request.kind === 'restore' ? request.target : request.table,
    state,
    progress: told.success && state !== 'done' ? told.data : undefined,
    result: state === 'done' ? taskResultSchema.parse(result) : undefined,
    failure: state === 'done' || failure === undefined ? undefined : shown(failure),
  };
}

/** What nobody foresaw may hold paths and addresses: the flusher's log has it. */
function shown(failure: TaskFailure): TaskFailure {
  return failure.kind === 'internal'
    ? { ...failure, message: 'internal error; the log of the flusher says more' }
    : failure;
}

function failed(failure: TaskFailure | undefined): MiniodbError {
  const { kind, code, message } = failure ?? { kind: 'internal', code: 'task_failed', message: 'it failed' };
  return new MiniodbError(kind, message, { code });
}

function checkDay(day: string): void {
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(day);
  const date = new Date(`${day}T00:00:00Z`);
  if (isDay && !Number.isNaN(date.getTime()) && date.toISOString().startsWith(day)) return;
  throw new MiniodbError(
    'invalid_argument',
    `${JSON.stringify(day.slice(0, 40))} is no day: write YYYY-MM-DD`,
    {
      code: 'invalid_day',
    },
  );
}

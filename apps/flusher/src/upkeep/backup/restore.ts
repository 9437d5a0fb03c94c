import type { BackupManifest } from '@miniodb/core/backup/manifest.ts';
import { findBackup, readManifest } from '@miniodb/core/backup/manifests.ts';
import { RECOVERED_KEYS_MAX, type RestoreRequest, type TaskResult } from '@miniodb/core/backup/requests.ts';
import { ADOPTED_FILES_MAX, type AdoptAnswer, adoptFiles } from '@miniodb/core/index/adopt.ts';
import { registerPlan } from '@miniodb/core/index/plan.ts';
import { assertInvariant, MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { Table } from '@miniodb/core/table/catalog.ts';
import { chooseTarget, type SaveState } from './choose-target.ts';
import type { BackupContext, TellProgress } from './context.ts';
import { encodePending } from './encode-pending.ts';
import { tableGone } from './instant.ts';
import { joinWithTable } from './join-schema.ts';
import { checkObjects, copyToTarget, type RestoredFile } from './restore-files.ts';

/** Of a restore's plan: longer than any takes, with the crashes on its way. */
const PLAN_MS = 24 * 3_600_000;
/** How often schema or shard count may change between a look and the verb. */
const ADOPT_ATTEMPTS_MAX = 10;

/**
 * Restores a backup. The order of the durable effects:
 *
 *   backup   which one is meant is saved           "the newest" stays the same one, whoever goes on
 *   check    every object is there and right       before anything is dropped
 *   target   dropped, created, grown; saved        whoever goes on restores into the same incarnation
 *   plan     copies of its id are not collected    expires in a day: the restore is then given up
 *   copies   under keys of the target              died here: those that are there are kept
 *   adopt    a thousand files at one instant       repeated: already
 *
 * Everything after the target has names that the plan's id decides, so that a repeat makes the same.
 * Throws what finding, checking and choosing throw, and `schema_conflict`, `type_conflict`, `restore_expired`.
 */
export async function restore(
  context: BackupContext,
  asked: RestoreRequest,
  saveState: SaveState,
  tell: TellProgress,
  signal: AbortSignal,
): Promise<TaskResult> {
  let request = asked;
  const save: SaveState = async (state) => {
    request = { ...request, state: { ...request.state, ...state } };
    await saveState(request.state);
  };
  const manifest = await chooseBackup(context, request, save, signal);
  await checkObjects(context.backups, manifest, tell, signal);
  const target = await chooseTarget(context, request, manifest, save);
  await joinWithTable(context.redis, target, manifest);
  const isDone = await plan(context, request, target, manifest);
  const files = await copyToTarget(context, request, manifest, target, tell, signal);
  tell({ step: 'pending', done: 0, of: manifest.totals.pendingRows });
  files.push(...(await encodePending(context, request, manifest, target, files.length + 1, signal)));
  if (!isDone) await adopt(context, request, manifest, target, files, signal);
  const rows = files.reduce((sum, { entry }) => sum + entry.rows, 0);
  assertInvariant(
    rows === manifest.totals.rows,
    'G2',
    `${rows} of ${manifest.totals.rows} rows are restored`,
  );
  return resultOf(request, manifest, files);
}

async function chooseBackup(
  { backups }: BackupContext,
  { table, backup, state }: RestoreRequest,
  save: SaveState,
  signal: AbortSignal,
): Promise<BackupManifest> {
  if (state.backup !== undefined) return readManifest(backups, table, state.backup, signal);
  const manifest = await findBackup(backups, table, backup, signal);
  await save({ backup: manifest.id });
  return manifest;
}

/** True: everything is in the index already, and only nobody was told. */
async function plan(
  { redis, fixed }: BackupContext,
  { planId, by }: RestoreRequest,
  target: Table,
  manifest: BackupManifest,
): Promise<boolean> {
  const text = { kind: 'restore', by, inputs: manifest.files.length } as const;
  switch (await registerPlan(redis, fixed, refOf(target), planId, PLAN_MS, text)) {
    case 'ok':
      return false;
    case 'done':
      return true;
    case 'gone':
      throw tableGone(target.name);
    case 'dead':
      throw expired(target.name);
  }
}

async function adopt(
  context: BackupContext,
  request: RestoreRequest,
  manifest: BackupManifest,
  target: Table,
  files: readonly RestoredFile[],
  signal: AbortSignal,
): Promise<void> {
  const chunks = Math.max(1, Math.ceil(files.length / ADOPTED_FILES_MAX));
  for (let chunk = 0; chunk < chunks; chunk += 1) {
    signal.throwIfAborted();
    const some = files.slice(chunk * ADOPTED_FILES_MAX, (chunk + 1) * ADOPTED_FILES_MAX);
    await failpoint('rs.index');
    await adoptChunk(context, request, manifest, target, chunk, chunk === chunks - 1, some);
    await failpoint('rs.index');
  }
}

async function adoptChunk(
  { redis, fixed, catalog }: BackupContext,
  { planId, target: name }: RestoreRequest,
  manifest: BackupManifest,
  target: Table,
  chunk: number,
  isLast: boolean,
  files: readonly RestoredFile[],
): Promise<void> {
  let view = target;
  for (let attempt = 0; attempt < ADOPT_ATTEMPTS_MAX; attempt += 1) {
    const joined = await joinWithTable(redis, view, manifest);
    const answer: AdoptAnswer = await adoptFiles(redis, fixed, refOf(view), {
      planId,
      chunk,
      isLast,
      files,
      ...joined,
      shardCounts: manifest.shardHistory,
      isForeign: manifest.isMixed || manifest.table !== name,
    });
    switch (answer.status) {
      case 'ok':
      case 'already':
        return;
      case 'moved':
        continue;
      case 'stale': {
        const after = await catalog.read(name);
        if (after?.generation !== view.generation) throw tableGone(name);
        view = after;
        continue;
      }
      case 'gone':
        throw tableGone(name);
      case 'dead':
        throw expired(name);
      case 'mismatch':
        throw new MiniodbError(
          'data_corrupted',
          `an index key of table ${name} has another type than expected`,
          {
            code: 'redis_wrong_type',
          },
        );
    }
  }
  throw new MiniodbError('unavailable', `table ${name} changes faster than files can be adopted`, {
    code: 'table_busy',
    retryAfterMs: 1_000,
  });
}

function refOf({ name, generation, config }: Table) {
  return { table: name, generation, shards: config.shards };
}

function expired(table: string): MiniodbError {
  return new MiniodbError(
    'failed_precondition',
    `the restore into ${table} stood still for longer than a day; what it copied may be gone. Restore again, with replace`,
    { code: 'restore_expired' },
  );
}

function resultOf(
  { target }: RestoreRequest,
  { id, totals }: BackupManifest,
  files: readonly RestoredFile[],
): TaskResult {
  return {
    backup: id,
    table: target,
    files: files.length,
    rows: totals.rows,
    pendingRows: totals.pendingRows,
    bytes: totals.bytes,
    copiedBytes: totals.bytes,
    keys: files.slice(0, RECOVERED_KEYS_MAX).map(({ entry }) => entry.key),
  };
}

import type { BackupInfo } from '@miniodb/core/backup/requests.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { RecoverDataResponse, TriggerBackupResponse } from '@miniodb/proto/gen/olap/v1/olap.ts';
import type { TaskInfo } from '../api.ts';

/** What the gateway tells of backups and restores, over gRPC and REST. */
export function backupResponse(task: TaskInfo): TriggerBackupResponse {
  return {
    success: task.state === 'done',
    message: messageOf(task),
    files_backed_up: task.result?.files ?? 0,
  };
}

export function recoverResponse(task: TaskInfo): RecoverDataResponse {
  return {
    success: task.state === 'done',
    message: messageOf(task),
    files_recovered: task.result?.files ?? 0,
    recovered_keys: [...(task.result?.keys ?? [])],
  };
}

/** Names the task first: clients of the old messages have nothing else to look again by. */
function messageOf({ id, kind, table, target, state, result }: TaskInfo): string {
  if (result === undefined) return `${id} is ${state}; GET /v1/backups/${id} tells how far it is`;
  const { rows, files, backup } = result;
  return kind === 'backup'
    ? `${id}: ${rows} rows of table ${table} in ${files} files`
    : `${id}: ${rows} rows of ${backup} of table ${table} in ${files} files of table ${target}`;
}

export function taskJson({ id, kind, table, target, state, progress, result, failure }: TaskInfo) {
  return {
    id,
    kind,
    table,
    target,
    state,
    progress: progress ?? null,
    result:
      result === undefined
        ? null
        : {
            backup: result.backup,
            rows: result.rows,
            files: result.files,
            pending_rows: result.pendingRows,
            size_bytes: result.bytes,
            copied_bytes: result.copiedBytes,
          },
    failure: failure === undefined ? null : { code: failure.code, message: failure.message },
  };
}

export function backupJson(backup: BackupInfo) {
  return {
    id: backup.id,
    created_at: backup.createdAt,
    rows: backup.rows,
    files: backup.files,
    pending_rows: backup.pendingRows,
    size_bytes: backup.bytes,
    created_by: backup.by,
    filter: { id: backup.filter.id ?? '', day: backup.filter.day ?? '' },
    flaw: backup.flaw,
  };
}

export function nodeRecoveryUnsupported(): MiniodbError {
  return new MiniodbError(
    'failed_precondition',
    'rows belong to tables, not to nodes: name a table, and what of it to recover',
    { code: 'node_recovery_unsupported' },
  );
}

/** Recovering part of a backup would need every file of it rewritten. */
export function partialRecoveryUnsupported(): MiniodbError {
  return new MiniodbError(
    'unimplemented',
    'a backup is recovered whole in this version: leave id_range and time_range out',
    { code: 'recover_filter_unsupported' },
  );
}

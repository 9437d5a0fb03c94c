import { type BackupFile, type BackupManifest, mayHold } from '@miniodb/core/backup/manifest.ts';
import { readManifest, writeManifest } from '@miniodb/core/backup/manifests.ts';
import { backupObjectKey } from '@miniodb/core/backup/names.ts';
import type { BackupRequest, TaskResult } from '@miniodb/core/backup/requests.ts';
import { redisTimeMs } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { Table } from '@miniodb/core/table/catalog.ts';
import { TABLE_CONFIG_FIELDS } from '@miniodb/core/table/config.ts';
import { rfc3339FromMs } from '@miniodb/core/table/timestamp.ts';
import { type BackupContext, eachOf, type TellProgress } from './context.ts';
import { isThere, type KnownObject, PARQUET_TYPE, withLocalFile } from './copy.ts';
import { type Instant, takeInstant } from './instant.ts';
import { chosenBatches, packPending } from './pack-pending.ts';
import { whilePinned } from './pin.ts';

/** How often payloads may be gone before they are read. */
const INSTANTS_MAX = 5;

/**
 * Makes one backup of a table. The order of the durable effects:
 *
 *   pin        what leaves the index keeps its object   died here: it expires
 *   instant    read, nothing written
 *   packs      payloads of pending rows                 died here: objects that no manifest names; made again, or used
 *   objects    files that no backup of the table has    likewise
 *   verify     every object is there, with its bytes
 *   manifest   there is the backup                      died here: the task is told again what it made
 *
 * Throws `table_not_found`, `table_gone`, `batches_set_aside`, `table_busy`, `pin_expired`, `backup_too_large`.
 */
export async function makeBackup(
  context: BackupContext,
  backupId: string,
  request: BackupRequest,
  tell: TellProgress,
  signal: AbortSignal,
): Promise<TaskResult> {
  const made = await manifestOf(context, request.table, backupId, signal);
  if (made !== undefined) return resultOf(made, 0);
  const table = await context.catalog.read(request.table);
  if (table === undefined) {
    throw new MiniodbError('not_found', `table ${request.table} does not exist`, { code: 'table_not_found' });
  }
  return whilePinned(context, table, signal, async (stillPinned) => {
    const { instant, packs, copiedBytes, atMs } = await takeWithPending(context, table, request, signal);
    const files = instant.files.filter((file) => mayHold(file, filterOf(request)));
    let copied = copiedBytes;
    copied += await copyFiles(context, request.table, files, tell, signal);
    await verify(context, request.table, files, packs, tell, signal);
    await stillPinned();
    await failpoint('bk.manifest');
    const manifest = manifestFrom({ request, table, instant, files, packs, backupId, atMs });
    await writeManifest(context.backups, manifest, signal);
    await failpoint('bk.manifest');
    return resultOf(manifest, copied);
  });
}

async function manifestOf(
  { backups }: BackupContext,
  table: string,
  backupId: string,
  signal: AbortSignal,
): Promise<BackupManifest | undefined> {
  try {
    return await readManifest(backups, table, backupId, signal);
  } catch (error) {
    if (error instanceof MiniodbError && error.code === 'backup_not_found') return undefined;
    throw error;
  }
}

async function takeWithPending(
  context: BackupContext,
  table: Table,
  request: BackupRequest,
  signal: AbortSignal,
) {
  for (let attempt = 0; attempt < INSTANTS_MAX; attempt += 1) {
    const atMs = await redisTimeMs(context.redis).catch((error: unknown) => {
      throw classifyRedisError(error);
    });
    const instant = await takeInstant(context, table, signal);
    const batches = chosenBatches(instant.snapshot, request.filter);
    const packed = await packPending(context, instant.snapshot, batches, signal);
    if (packed !== undefined) return { instant, atMs, ...packed };
  }
  throw new MiniodbError('unavailable', `rows of table ${table.name} are flushed before they can be read`, {
    code: 'table_busy',
    retryAfterMs: 1_000,
  });
}

/** Answers the bytes that had to be copied: what some backup has already is only named again. */
async function copyFiles(
  { store, backups, workDir }: BackupContext,
  table: string,
  files: readonly BackupFile[],
  tell: TellProgress,
  signal: AbortSignal,
): Promise<number> {
  let copiedBytes = 0;
  let done = 0;
  await eachOf(files, signal, async ({ entry }) => {
    const copy = copyOf(table, entry);
    if (!(await isThere(backups, copy, signal))) {
      await withLocalFile(store, entry, workDir, signal, (path) =>
        backups.putFile(copy.key, path, { sha256: entry.sha256, contentType: PARQUET_TYPE, signal }),
      );
      copiedBytes += entry.sizeBytes;
    }
    done += 1;
    tell({ step: 'copy', done, of: files.length });
  });
  return copiedBytes;
}

function copyOf(table: string, { sha256, sizeBytes }: BackupFile['entry']): KnownObject {
  return { key: backupObjectKey(table, sha256, 'parquet'), sha256, sizeBytes };
}

async function verify(
  { backups }: BackupContext,
  table: string,
  files: readonly BackupFile[],
  packs: BackupManifest['packs'],
  tell: TellProgress,
  signal: AbortSignal,
): Promise<void> {
  const objects = [
    ...files.map(({ entry }) => copyOf(table, entry)),
    ...packs.map(({ sha256, sizeBytes }) => ({
      key: backupObjectKey(table, sha256, 'rows.zst'),
      sha256,
      sizeBytes,
    })),
  ];
  let done = 0;
  await eachOf(objects, signal, async (object) => {
    if (!(await isThere(backups, object, signal))) {
      throw new MiniodbError('unavailable', `${object.key} is not there any more, or has other bytes`, {
        code: 'backup_not_verified',
      });
    }
    done += 1;
    tell({ step: 'verify', done, of: objects.length });
  });
}

function manifestFrom({
  request,
  table,
  instant,
  files,
  packs,
  backupId,
  atMs,
}: {
  readonly request: BackupRequest;
  readonly table: Table;
  readonly instant: Instant;
  readonly files: readonly BackupFile[];
  readonly packs: BackupManifest['packs'];
  readonly backupId: string;
  readonly atMs: number;
}): Omit<BackupManifest, 'format'> {
  const { snapshot, configHash } = instant;
  const own = TABLE_CONFIG_FIELDS.filter((field) => field !== 'shards' && configHash[field] !== undefined);
  const fileRows = files.reduce((sum, { entry }) => sum + entry.rows, 0);
  const fileBytes = files.reduce((sum, { entry }) => sum + entry.sizeBytes, 0);
  const pendingRows = packs
    .flatMap(({ batches }) => batches)
    .reduce((sum, { id }) => sum + snapshot.pending.get(id)!.rows, 0);
  const isPart = request.filter.id !== undefined || request.filter.day !== undefined;
  return {
    id: backupId,
    table: table.name,
    generation: table.generation,
    createdAt: rfc3339FromMs(atMs),
    by: request.by,
    ...(isPart && { filter: filterOf(request) }),
    shards: snapshot.shards,
    // The hash is read a moment later: a table may have grown since.
    shardHistory: (configHash.shard_history ?? String(snapshot.shards))
      .split(',')
      .map(Number)
      .filter((shards) => shards <= snapshot.shards),
    isMixed: configHash.placement === 'mixed',
    config: Object.fromEntries(own.map((field) => [field, configHash[field]!])),
    schema: [...snapshot.schema].map(([folded, { type, name }]) => [folded, `${type}:${name}`]),
    files: files.map(({ shard, day, entry }) => ({ shard, day, entry })),
    packs,
    totals: {
      rows: fileRows + pendingRows,
      files: files.length,
      pendingRows,
      bytes: fileBytes + packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    },
  };
}

function filterOf({ filter: { id, day } }: BackupRequest): { id?: string; day?: string } {
  return { ...(id !== undefined && { id }), ...(day !== undefined && { day }) };
}

function resultOf(manifest: Omit<BackupManifest, 'format'>, copiedBytes: number): TaskResult {
  const { id, table, totals } = manifest;
  const { rows, files, pendingRows, bytes } = totals;
  return { backup: id, table, files, rows, pendingRows, bytes, copiedBytes, keys: [] };
}

import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BackupManifest, BackupPack } from '@miniodb/core/backup/manifest.ts';
import { backupObjectKey } from '@miniodb/core/backup/names.ts';
import type { RestoreRequest } from '@miniodb/core/backup/requests.ts';
import type { EncodedFile } from '@miniodb/core/encode/encoder.ts';
import { type BatchMeta, parseBatchMeta } from '@miniodb/core/queue/batch-meta.ts';
import { assertInvariant } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { Table } from '@miniodb/core/table/catalog.ts';
import { MIXED_DAY, objectFolder } from '@miniodb/core/table/keys.ts';
import { objectName } from '@miniodb/core/table/object-name.ts';
import { parseSchema } from '@miniodb/core/table/stored-schema.ts';
import { layoutOf, SEAL_BATCHES_MAX, sealLimits } from '../../flush/limits.ts';
import type { BackupContext } from './context.ts';
import { PARQUET_TYPE } from './copy.ts';
import type { RestoredFile } from './restore-files.ts';

/** As flush/encode.ts writes them. */
const FILE_FORMAT = '1';

interface PackedBatch {
  readonly id: string;
  readonly shard: string;
  readonly meta: BatchMeta;
  readonly pack: BackupPack;
  readonly offset: number;
}

/**
 * What was pending when the backup was made, as files of the target. Straight to files instead of through put: no cap on
 * pending bytes is in the way, and one step puts everything into the index. The same groups and parts in every repeat.
 * @param firstPart number of the first part, 1-based
 */
export async function encodePending(
  context: BackupContext,
  request: RestoreRequest,
  manifest: BackupManifest,
  target: Table,
  firstPart: number,
  signal: AbortSignal,
): Promise<RestoredFile[]> {
  const restored: RestoredFile[] = [];
  for (const group of groupsOf(manifest, target)) {
    signal.throwIfAborted();
    const part = firstPart + restored.length;
    restored.push(...(await encodeGroup(context, request, manifest, target, group, part, signal)));
  }
  return restored;
}

/** By shard, in their order, within what one encode takes. */
function groupsOf(manifest: BackupManifest, { config }: Table): PackedBatch[][] {
  const { rowsMax, bytesMax, rawBytesMax } = sealLimits(config, 1, true);
  const groups: PackedBatch[][] = [];
  let [rows, bytes, rawBytes] = [0, 0, 0];
  for (const pack of manifest.packs) {
    for (const { id, shard, offset, meta: text } of pack.batches) {
      const meta = parseBatchMeta(text);
      const group = groups.at(-1);
      const fits =
        group !== undefined &&
        group[0]!.shard === shard &&
        group.length < SEAL_BATCHES_MAX &&
        rows + meta.rows <= rowsMax &&
        bytes + meta.bytes <= bytesMax &&
        rawBytes + meta.rawBytes <= rawBytesMax;
      if (fits) group.push({ id, shard, meta, pack, offset });
      else {
        groups.push([{ id, shard, meta, pack, offset }]);
        [rows, bytes, rawBytes] = [0, 0, 0];
      }
      rows += meta.rows;
      bytes += meta.bytes;
      rawBytes += meta.rawBytes;
    }
  }
  return groups;
}

async function encodeGroup(
  context: BackupContext,
  request: RestoreRequest,
  manifest: BackupManifest,
  target: Table,
  group: readonly PackedBatch[],
  firstPart: number,
  signal: AbortSignal,
): Promise<RestoredFile[]> {
  const { shard } = group[0]!;
  const workDir = await mkdtemp(join(context.workDir, 'pending-'));
  try {
    const payloads = await readPayloads(context, manifest.table, group, signal);
    const files = await context.encoder.encode(
      {
        batches: group.map(({ id, meta }, at) => ({
          id,
          payload: payloads[at]!,
          rows: meta.rows,
          hasOverflow: meta.hasOverflow,
        })),
        schema: parseSchema(manifest.schema),
        layout: layoutOf(target.config),
        workDir,
        footer: {
          'miniodb.format': FILE_FORMAT,
          'miniodb.table': target.name,
          'miniodb.generation': target.generation,
          'miniodb.shard': shard,
          'miniodb.shards': String(manifest.shards),
          'miniodb.seals': request.planId,
          'miniodb.sealed_ms': String(request.askedMs),
          'miniodb.batches': JSON.stringify(group.map(({ id }) => id)),
        },
      },
      signal,
    );
    const expected = group.reduce((sum, { meta }) => sum + meta.rows, 0);
    const rows = files.reduce((sum, file) => sum + file.rows, 0);
    assertInvariant(rows === expected, 'G2', `pending rows are ${expected}, their files have ${rows}`);
    const restored = files.map((file, at) => restoredOf(request, target, shard, file, firstPart + at));
    for (const [at, { entry }] of restored.entries()) {
      await context.store.putFile(entry.key, files[at]!.path, {
        sha256: entry.sha256,
        contentType: PARQUET_TYPE,
        signal,
      });
      await failpoint('rs.copy');
    }
    return restored;
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** Batches of a group stand behind each other in their packs. */
async function readPayloads(
  { backups }: BackupContext,
  table: string,
  group: readonly PackedBatch[],
  signal: AbortSignal,
): Promise<Buffer[]> {
  const packs = new Map<BackupPack, Buffer>();
  for (const { pack } of group) {
    if (packs.has(pack)) continue;
    const key = backupObjectKey(table, pack.sha256, 'rows.zst');
    packs.set(pack, Buffer.from(await backups.get(key, { sha256: pack.sha256, signal })));
  }
  return group.map(({ pack, offset, meta }) => packs.get(pack)!.subarray(offset, offset + meta.bytes));
}

function restoredOf(
  { planId, askedMs }: RestoreRequest,
  target: Table,
  shard: string,
  file: EncodedFile,
  part: number,
): RestoredFile {
  const day = file.day ?? MIXED_DAY;
  const name = objectName(askedMs, target.generation, planId, part, part, file.sha256);
  return {
    shard,
    day,
    fileId: `${planId}-${part}`,
    ownerId: file.id,
    entry: {
      v: 1,
      key: `${objectFolder(target.name, shard, day, file.id)}/${name}`,
      sha256: file.sha256,
      sizeBytes: file.sizeBytes,
      rows: file.rows,
      minTs: file.minTimestampMicros,
      maxTs: file.maxTimestampMicros,
      minId: file.minId,
      maxId: file.maxId,
      ...(file.ids && { ids: [...file.ids] }),
      acceptedMs: askedMs,
      columns: file.columns.map(({ name, type }): [string, string] => [name, type]),
      overflow: file.hasOverflow,
    },
  };
}

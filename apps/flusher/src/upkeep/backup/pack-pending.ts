import { type BackupPack, spansDay } from '@miniodb/core/backup/manifest.ts';
import { backupObjectKey } from '@miniodb/core/backup/names.ts';
import type { BackupRequest } from '@miniodb/core/backup/requests.ts';
import type { TableSnapshot } from '@miniodb/core/index/snapshot.ts';
import { type BatchMeta, formatBatchMeta } from '@miniodb/core/queue/batch-meta.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import { ProtocolKeys, shardName } from '@miniodb/core/table/keys.ts';
import type { BackupContext } from './context.ts';
import { isThere } from './copy.ts';

/** Payloads of one object: small batches are many, and each object costs a request. */
const PACK_BYTES_MAX = 16 * 1_048_576;
/** Read from Redis at once. */
const BATCHES_AT_ONCE = 8;

/** A pending batch of a snapshot, and the shard that it waits in. */
export interface PendingBatch {
  readonly id: string;
  readonly shard: string;
  readonly meta: BatchMeta;
}

/** What a backup takes of what is pending. Of an id nothing is known without reading the rows. */
export function chosenBatches(
  { pending, pendingOfShards }: TableSnapshot,
  { day }: BackupRequest['filter'],
): PendingBatch[] {
  const batches = pendingOfShards.flatMap((ids, shard) =>
    ids.map((id) => ({ id, shard: shardName(shard), meta: pending.get(id)! })),
  );
  return day === undefined ? batches : batches.filter(({ meta }) => spansDay(meta.minTs, meta.maxTs, day));
}

/**
 * Stores the payloads of pending batches. They are the first to be copied: of a batch that is flushed meanwhile the payload
 * stays for a minute only. Undefined when one was gone: the snapshot is too old.
 */
export async function packPending(
  { redis, backups }: Pick<BackupContext, 'redis' | 'backups'>,
  { table, generation }: Pick<TableSnapshot, 'table' | 'generation'>,
  batches: readonly PendingBatch[],
  signal: AbortSignal,
): Promise<{ readonly packs: BackupPack[]; readonly copiedBytes: number } | undefined> {
  const keys = new ProtocolKeys(table, generation);
  const packs: BackupPack[] = [];
  let copiedBytes = 0;
  let payloads: Buffer[] = [];
  let packed: BackupPack['batches'] = [];
  let sizeBytes = 0;
  const close = async () => {
    if (packed.length === 0) return;
    const bytes = Buffer.concat(payloads);
    const sha256 = sha256Of(bytes);
    const object = { key: backupObjectKey(table, sha256, 'rows.zst'), sha256, sizeBytes };
    if (!(await isThere(backups, object, signal))) {
      await backups.put(object.key, bytes, { sha256, contentType: 'application/zstd', signal });
      copiedBytes += sizeBytes;
    }
    packs.push({ sha256, sizeBytes, batches: packed });
    [payloads, packed, sizeBytes] = [[], [], 0];
  };
  for (let from = 0; from < batches.length; from += BATCHES_AT_ONCE) {
    signal.throwIfAborted();
    const some = batches.slice(from, from + BATCHES_AT_ONCE);
    const read = await readPayloads(
      redis,
      some.map(({ id }) => keys.payload(id)),
    );
    for (const [at, { id, shard, meta }] of some.entries()) {
      const payload = read[at];
      if (payload === undefined || payload === null || payload.length !== meta.bytes) return undefined;
      if (sizeBytes + payload.length > PACK_BYTES_MAX) await close();
      packed.push({ id, shard, offset: sizeBytes, meta: formatBatchMeta(meta) });
      payloads.push(payload);
      sizeBytes += payload.length;
    }
  }
  await close();
  return { packs, copiedBytes };
}

async function readPayloads(redis: Redis, keys: readonly string[]): Promise<(Buffer | null)[]> {
  try {
    return await redis.mgetBuffer(...keys);
  } catch (error) {
    throw classifyRedisError(error);
  }
}

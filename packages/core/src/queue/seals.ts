import { z } from 'zod';
import type { LayoutSettings } from '../encode/encoder.ts';
import type { Redis } from '../redis/client.ts';
import { asArray, asNumber, asPairs, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { type FixedKeys, ProtocolKeys } from '../table/keys.ts';
import type { TableSchema } from '../table/schema.ts';
import { parseSchema } from '../table/stored-schema.ts';
import { type BatchMeta, parseBatchMeta } from './batch-meta.ts';

/** One shard of one incarnation of a table. */
export interface ShardRef {
  readonly table: string;
  readonly generation: string;
  /** `s00` … */
  readonly shard: string;
}

export interface SealLimits {
  readonly rowsMax: number;
  /** Compressed. */
  readonly bytesMax: number;
  /** Decompressed: what the encoder's memory must hold. */
  readonly rawBytesMax: number;
  readonly batchesMax: number;
  readonly daysMax: number;
}

/** A fixed set of batches that one flush writes. */
export interface Seal {
  readonly id: string;
  readonly sealedMs: number;
  readonly rows: number;
  readonly layout: LayoutSettings;
  readonly schema: TableSchema;
  readonly batches: readonly { readonly id: string; readonly meta: BatchMeta }[];
}

const layoutSchema = z.object({
  mode: z.enum(['auto', 'id', 'packed']),
  filesMax: z.number().int().positive(),
  ownIdsMax: z.number().int().nonnegative(),
  ownRowsMin: z.number().int().positive(),
});

export type SealAnswer = 'ok' | 'already' | 'empty' | 'revoked' | 'gone';

export async function sealShard(
  redis: Redis,
  fixed: FixedKeys,
  ref: ShardRef,
  sealId: string,
  limits: SealLimits,
  layout: LayoutSettings,
): Promise<SealAnswer> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const reply = await runVerb(
    redis,
    'seal',
    [
      fixed.config(ref.table),
      keys.counters,
      keys.schema,
      keys.unsealed(ref.shard),
      keys.batchMeta(ref.shard),
      keys.seals(ref.shard),
      keys.seal(sealId),
      keys.sealBatches(sealId),
      keys.revoked(ref.shard),
    ],
    [
      ref.generation,
      sealId,
      ref.shard,
      limits.rowsMax,
      limits.bytesMax,
      limits.batchesMax,
      limits.daysMax,
      JSON.stringify(layout),
      limits.rawBytesMax,
    ],
  );
  const status = statusOf('seal', reply);
  switch (status) {
    case 'ok':
    case 'already':
    case 'empty':
    case 'revoked':
    case 'gone':
      return status;
    default:
      throw unknownStatus('seal', reply);
  }
}

/** A live seal whole, or undefined when it is committed or revoked. */
export async function readSeal(redis: Redis, ref: ShardRef, sealId: string): Promise<Seal | undefined> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const reply = asArray(
    'read-seal',
    await runVerb(
      redis,
      'readSeal',
      [keys.seal(sealId), keys.sealBatches(sealId), keys.batchMeta(ref.shard)],
      [],
    ),
  );
  if (statusOf('read-seal', reply) === 'unknown') return undefined;
  const fields = new Map(asPairs('read-seal', reply[1]));
  if (fields.get('format') !== '1') {
    throw new MiniodbError('data_corrupted', `seal ${sealId} has format ${fields.get('format')}`, {
      code: 'seal_format',
    });
  }
  // An empty Lua table encodes as {}.
  const flatSchema: unknown = JSON.parse(fields.get('schema') ?? '[]');
  const schemaPairs = Array.isArray(flatSchema) ? asPairs('read-seal', flatSchema) : [];
  return {
    id: sealId,
    sealedMs: Number(fields.get('sealed_ms')),
    rows: Number(fields.get('rows')),
    layout: layoutSchema.parse(JSON.parse(fields.get('layout') ?? '{}')),
    schema: parseSchema(schemaPairs),
    batches: asPairs('read-seal', reply[2]).map(([id, meta]) => ({ id, meta: parseBatchMeta(meta) })),
  };
}

export type RevokeAnswer =
  | { readonly status: 'ok'; readonly freed: number; readonly setAside: number }
  | { readonly status: 'already' | 'unknown' };

/** @param cause why the bad batches are set aside, for people */
export async function revokeSeal(
  redis: Redis,
  ref: ShardRef,
  sealId: string,
  cause: string,
  badBatchIds: readonly string[],
): Promise<RevokeAnswer> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const reply = asArray(
    'revoke',
    await runVerb(
      redis,
      'revoke',
      [
        keys.counters,
        keys.pending(ref.shard),
        keys.unsealed(ref.shard),
        keys.batchMeta(ref.shard),
        keys.seals(ref.shard),
        keys.seal(sealId),
        keys.sealBatches(sealId),
        keys.revoked(ref.shard),
        keys.setAside(ref.shard),
        keys.setAsideCause(ref.shard),
      ],
      [sealId, ref.shard, cause, ...badBatchIds],
    ),
  );
  const status = statusOf('revoke', reply);
  if (status === 'already' || status === 'unknown') return { status };
  if (status !== 'ok') throw unknownStatus('revoke', reply);
  return { status, freed: asNumber('revoke', reply[1]), setAside: asNumber('revoke', reply[2]) };
}

export interface ShardState {
  /** Fields of the config hash; empty when the table is gone. */
  readonly config: ReadonlyMap<string, string>;
  readonly nowMs: number;
  readonly unsealed: { readonly rows: number; readonly bytes: number; readonly batches: number };
  /** Accept time of the oldest unsealed batch. */
  readonly oldestAcceptedMs: number | undefined;
  /** Somebody wants it flushed now (ask-flush.ts). */
  readonly isAsked: boolean;
  readonly seals: readonly { readonly id: string; readonly sealedMs: number }[];
  readonly jobsWaiting: number;
  readonly jobsActive: number;
  readonly setAside: number;
}

const SEALS_PER_LOOK_MAX = 256;

export async function lookAtShard(redis: Redis, fixed: FixedKeys, ref: ShardRef): Promise<ShardState> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const queue = `${keys.queuePrefix}:${ref.shard}`;
  const reply = asArray(
    'look',
    await runVerb(
      redis,
      'look',
      [
        fixed.config(ref.table),
        keys.counters,
        keys.unsealed(ref.shard),
        keys.batchMeta(ref.shard),
        keys.seals(ref.shard),
        `${queue}:wait`,
        `${queue}:active`,
        keys.setAside(ref.shard),
      ],
      [ref.shard, SEALS_PER_LOOK_MAX],
    ),
  );
  const counts = asArray('look', reply[2]);
  const oldest = asText('look', reply[3]);
  return {
    config: new Map(asPairs('look', reply[0])),
    nowMs: asNumber('look', reply[1]),
    unsealed: {
      rows: asNumber('look', counts[0]),
      bytes: asNumber('look', counts[1]),
      batches: asNumber('look', counts[2]),
    },
    oldestAcceptedMs: oldest === '' ? undefined : Number(oldest),
    isAsked: asNumber('look', reply[8]) === 1,
    seals: asPairs('look', reply[4]).map(([id, sealedMs]) => ({ id, sealedMs: Number(sealedMs) })),
    jobsWaiting: asNumber('look', reply[5]),
    jobsActive: asNumber('look', reply[6]),
    setAside: asNumber('look', reply[7]),
  };
}

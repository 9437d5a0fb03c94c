import type { EncodeBatch } from '@miniodb/core/encode/encoder.ts';
import type { Seal, ShardRef } from '@miniodb/core/queue/seals.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';

/** Payloads asked for at once: bounds the reply that Redis has to hold. */
const FETCH_BYTES_MAX = 8 * 1_048_576;

export interface FetchedBatches {
  readonly batches: readonly EncodeBatch[];
  /** Batches whose payload is not there. */
  readonly missing: readonly string[];
}

export async function fetchPayloads(redis: Redis, ref: ShardRef, seal: Seal): Promise<FetchedBatches> {
  const keys = new ProtocolKeys(ref.table, ref.generation);
  const batches: EncodeBatch[] = [];
  const missing: string[] = [];
  for (let from = 0; from < seal.batches.length; ) {
    let to = from;
    let bytes = 0;
    while (
      to < seal.batches.length &&
      (to === from || bytes + seal.batches[to]!.meta.bytes <= FETCH_BYTES_MAX)
    ) {
      bytes += seal.batches[to]!.meta.bytes;
      to += 1;
    }
    const part = seal.batches.slice(from, to);
    let payloads: (Buffer | null)[];
    try {
      payloads = await redis.mgetBuffer(...part.map(({ id }) => keys.payload(id)));
    } catch (error) {
      throw classifyRedisError(error);
    }
    for (const [at, { id, meta }] of part.entries()) {
      const payload = payloads[at];
      if (!payload) missing.push(id);
      else batches.push({ id, payload, rows: meta.rows, hasOverflow: meta.hasOverflow });
    }
    from = to;
  }
  return { batches, missing };
}

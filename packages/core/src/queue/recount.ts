import type { Redis } from '../redis/client.ts';
import { asArray, asNumber, asText, statusOf, unknownStatus } from '../redis/reply.ts';
import { runVerb } from '../redis/script.ts';
import { type FixedKeys, ProtocolKeys, shardName } from '../table/keys.ts';

/** What the files of a table hold together, counted while its index had that token. */
export interface FileTotals {
  readonly token: string;
  readonly files: number;
  readonly bytes: number;
  readonly rows: number;
}

export interface Drift {
  /** Field of the counters or of the statistics. */
  readonly counter: string;
  readonly was: string;
  readonly is: string;
}

export type RecountAnswer =
  | {
      readonly status: 'ok';
      /** False when the files were not given, or have changed since: only what is about pending rows was compared. */
      readonly filesCompared: boolean;
      readonly drifts: readonly Drift[];
    }
  | { readonly status: 'gone' | 'stale' }
  /** More pending batches than one look may hold Redis up for. */
  | { readonly status: 'busy'; readonly batches: number }
  | { readonly status: 'mismatch'; readonly batchId: string };

/** Some 2 us each: 20 ms in which Redis does nothing else. */
export const RECOUNT_BATCHES_MAX = 10_000;

/** Puts right what has drifted of a table's counters and statistics, at one instant. Throws a MiniodbError. */
export async function recountTable(
  redis: Redis,
  fixed: FixedKeys,
  table: { readonly name: string; readonly generation: string; readonly shards: number },
  totals: FileTotals | undefined,
  batchesMax: number = RECOUNT_BATCHES_MAX,
): Promise<RecountAnswer> {
  const { name, generation, shards } = table;
  const keys = new ProtocolKeys(name, generation);
  const shardNames = Array.from({ length: shards }, (_, shard) => shardName(shard));
  const reply = asArray(
    'recount',
    await runVerb(
      redis,
      'recount',
      [
        fixed.config(name),
        fixed.stats(name),
        keys.counters,
        keys.indexToken,
        ...shardNames.flatMap((shard) => [keys.pending(shard), keys.unsealed(shard), keys.batchMeta(shard)]),
      ],
      [
        generation,
        shards,
        batchesMax,
        totals?.token ?? '',
        totals?.files ?? 0,
        totals?.bytes ?? 0,
        totals?.rows ?? 0,
        ...shardNames,
      ],
    ),
  );
  const status = statusOf('recount', reply);
  switch (status) {
    case 'ok':
      return {
        status,
        filesCompared: asText('recount', reply[1]) === 'files',
        drifts: driftsOf(asArray('recount', reply[2])),
      };
    case 'gone':
    case 'stale':
      return { status };
    case 'busy':
      return { status, batches: asNumber('recount', reply[1]) };
    case 'mismatch':
      return { status, batchId: asText('recount', reply[1]) };
    default:
      throw unknownStatus('recount', reply);
  }
}

function driftsOf(flat: readonly unknown[]): Drift[] {
  const drifts: Drift[] = [];
  for (let at = 0; at + 2 < flat.length; at += 3) {
    const [counter, was, is] = [0, 1, 2].map((part) => asText('recount', flat[at + part]));
    drifts.push({ counter: counter!, was: was!, is: is! });
  }
  return drifts;
}

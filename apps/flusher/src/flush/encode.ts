import type { EncodedFile, Encoder } from '@miniodb/core/encode/encoder.ts';
import type { Seal, ShardRef } from '@miniodb/core/queue/seals.ts';
import { assertInvariant } from '@miniodb/core/runtime/errors.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { FetchedBatches } from './fetch.ts';

/** Bumped when readers of an older version could not read the files any more. */
const FILE_FORMAT = '1';

/** The seal's rows as Parquet files in workDir, with footers from which the index can be rebuilt. */
export async function encode(
  encoder: Encoder,
  ref: ShardRef,
  shards: number,
  seal: Seal,
  fetched: FetchedBatches,
  workDir: string,
  signal: AbortSignal,
): Promise<EncodedFile[]> {
  const files = await encoder.encode(
    {
      batches: fetched.batches,
      schema: seal.schema,
      layout: seal.layout,
      workDir,
      footer: {
        'miniodb.format': FILE_FORMAT,
        'miniodb.table': ref.table,
        'miniodb.generation': ref.generation,
        'miniodb.shard': ref.shard,
        'miniodb.shards': String(shards),
        'miniodb.seals': seal.id,
        'miniodb.sealed_ms': String(seal.sealedMs),
        'miniodb.batches': JSON.stringify(seal.batches.map((batch) => batch.id)),
      },
    },
    signal,
  );
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  assertInvariant(rows === seal.rows, 'G2', `seal ${seal.id} has ${seal.rows} rows, its files have ${rows}`);
  await failpoint('fl.encode');
  return files;
}

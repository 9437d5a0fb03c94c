import { MiniodbError } from '../runtime/errors.ts';

/** What is known of a pending batch without its payload. Lua reads the text by pattern: seal.lua, commit.lua. */
export interface BatchMeta {
  readonly rows: number;
  /** Of the payload, compressed; the batch's share of the pending cap. */
  readonly bytes: number;
  /** Of the payload, decompressed. */
  readonly rawBytes: number;
  readonly acceptedMs: number;
  /** Microseconds since 1970 UTC, decimal text. */
  readonly minTs: string;
  readonly maxTs: string;
  readonly hasOverflow: boolean;
  /** Some row has the text of its payload as it was sent. */
  readonly hasRaw?: boolean;
}

/**
 * Format 1. A batch with raw payloads has one part more, `:r`, which readers from before them refuse: they would flush
 * its rows without.
 */
export function formatBatchMeta(meta: BatchMeta): string {
  const { rows, bytes, rawBytes, acceptedMs, minTs, maxTs, hasOverflow, hasRaw } = meta;
  return `1:${rows}:${bytes}:${rawBytes}:${acceptedMs}:${minTs}:${maxTs}:${hasOverflow ? 1 : 0}${hasRaw === true ? ':r' : ''}`;
}

export function parseBatchMeta(text: string): BatchMeta {
  const match = /^1:(\d+):(\d+):(\d+):(\d+):(-?\d+):(-?\d+):([01])(:r)?$/.exec(text);
  if (match === null) {
    throw new MiniodbError('data_corrupted', `cannot read batch meta "${text.slice(0, 100)}"`, {
      code: 'batch_meta_corrupted',
    });
  }
  return {
    rows: Number(match[1]),
    bytes: Number(match[2]),
    rawBytes: Number(match[3]),
    acceptedMs: Number(match[4]),
    minTs: match[5]!,
    maxTs: match[6]!,
    hasOverflow: match[7] === '1',
    hasRaw: match[8] !== undefined,
  };
}

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
}

/** Format 1. */
export function formatBatchMeta(meta: BatchMeta): string {
  const { rows, bytes, rawBytes, acceptedMs, minTs, maxTs, hasOverflow } = meta;
  return `1:${rows}:${bytes}:${rawBytes}:${acceptedMs}:${minTs}:${maxTs}:${hasOverflow ? 1 : 0}`;
}

export function parseBatchMeta(text: string): BatchMeta {
  const match = /^1:(\d+):(\d+):(\d+):(\d+):(-?\d+):(-?\d+):([01])$/.exec(text);
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
  };
}

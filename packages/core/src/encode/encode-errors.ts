import { MiniodbError } from '../runtime/errors.ts';

/** The errors of the port that both adapters raise, so that they cannot differ. */

export function undecodablePayload(batchIds: readonly string[], cause: unknown): MiniodbError {
  return new MiniodbError('data_corrupted', `undecodable payload of batch ${batchIds.join(', ')}`, {
    code: 'undecodable_payload',
    details: { batchId: batchIds[0], batchIds },
    cause,
  });
}

export function cannotStore(what: string, cause?: unknown): MiniodbError {
  return new MiniodbError('failed_precondition', what, { code: 'encoder_cannot_store', cause });
}

/** @param batchIds the batches whose rows are not as many as they should be, when known */
export function rowCountMismatch(
  expected: number,
  actual: number,
  batchIds: readonly string[] = [],
): MiniodbError {
  return new MiniodbError('internal', `the batches have ${expected} rows, but ${actual} were found`, {
    code: 'row_count_mismatch',
    details: { expected, actual, batchIds },
  });
}

export function encodeCancelled(cause: unknown): MiniodbError {
  return new MiniodbError('cancelled', 'encoding was cancelled', { code: 'cancelled', cause });
}

export function cannotRewrite(encoder: string): MiniodbError {
  return new MiniodbError('failed_precondition', `${encoder} only writes files`, {
    code: 'encoder_cannot_rewrite',
  });
}

export function unreadableFile(cause: unknown): MiniodbError {
  return new MiniodbError('data_corrupted', 'a file cannot be read', { code: 'unreadable_file', cause });
}

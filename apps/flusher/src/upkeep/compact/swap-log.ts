import type { IndexedFile, TableRef } from '@miniodb/core/index/plan.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';

/**
 * Says in the bucket which files took the place of which, before the index does: whoever rebuilds the index from the
 * bucket must not count rows twice. The files of a swap that was not taken lose to their inputs, so its log goes before
 * they do.
 */
export async function writeSwapLog(
  store: ObjectStore,
  ref: TableRef,
  planId: string,
  inputs: readonly IndexedFile[],
  outputs: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const log = {
    v: 1,
    kind: 'swap',
    generation: ref.generation,
    plan: planId,
    inputs: inputs.map(({ entry }) => entry.key),
    outputs,
  };
  const body = Buffer.from(`${JSON.stringify(log)}\n`);
  const options = { sha256: sha256Of(body), contentType: 'application/json', signal };
  await store.put(swapLogKey(ref.table, planId), body, options);
}

export function swapLogKey(table: string, planId: string): string {
  return `${table}/~log/${planId}.json`;
}

/**
 * Takes away the log of a swap that was not taken, before its files go. While the index has one of the inputs, it was
 * not: inputs leave all at once, and never come back. Otherwise the log stays, and is right about its inputs.
 * @param maker of an object that never entered the index: a plan, or a seal, which has no such log
 */
export async function removeUntakenLog(
  store: ObjectStore,
  table: string,
  maker: string,
  indexed: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const key = swapLogKey(table, maker);
  let body: Uint8Array;
  try {
    body = await store.get(key, { signal });
  } catch (error) {
    if (error instanceof MiniodbError && error.code === 'object_not_found') return;
    throw error;
  }
  const { inputs } = JSON.parse(Buffer.from(body).toString()) as { inputs?: unknown };
  if (!Array.isArray(inputs)) {
    throw new MiniodbError('data_corrupted', `${key} is no log of a swap`, { code: 'swap_log_corrupted' });
  }
  if (inputs.some((input) => indexed.has(String(input)))) await store.delete(key, signal);
}

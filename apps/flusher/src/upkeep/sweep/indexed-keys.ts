import type { TableRef } from '@miniodb/core/index/plan.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import { classifyRedisError } from '@miniodb/core/redis/errors.ts';
import { MiniodbError } from '@miniodb/core/runtime/errors.ts';
import { ProtocolKeys } from '@miniodb/core/table/keys.ts';

/** Entries of one read: some 250 KB. */
const ENTRIES_AT_ONCE = 500;
/** Some 40 MB of keys. Tables with more files than that need compaction first. */
const FILES_MAX = 200_000;

/** Keys of all files that the index has, or undefined when they are too many or the signal fired. */
export async function indexedKeys(
  redis: Redis,
  ref: TableRef,
  signal: AbortSignal,
): Promise<ReadonlySet<string> | undefined> {
  const protocol = new ProtocolKeys(ref.table, ref.generation);
  const keys = new Set<string>();
  try {
    for (const partition of await redis.hkeys(protocol.indexMap)) {
      let cursor = '0';
      do {
        const [next, flat] = await redis.hscan(protocol.entries(partition), cursor, 'COUNT', ENTRIES_AT_ONCE);
        cursor = next;
        for (let at = 1; at < flat.length; at += 2) keys.add(keyOf(flat[at]!));
        if (keys.size > FILES_MAX || signal.aborted) return undefined;
      } while (cursor !== '0');
    }
  } catch (error) {
    throw classifyRedisError(error);
  }
  return keys;
}

function keyOf(entry: string): string {
  const { key } = JSON.parse(entry) as { key?: unknown };
  if (typeof key === 'string') return key;
  throw new MiniodbError('data_corrupted', 'an index entry has no key', { code: 'index_entry_corrupted' });
}

import type { FileTotals } from '../queue/recount.ts';
import type { Redis } from '../redis/client.ts';
import { classifyRedisError } from '../redis/errors.ts';
import { MiniodbError } from '../runtime/errors.ts';
import { ProtocolKeys } from '../table/keys.ts';

/** Entries of one read: some 250 KB. */
const ENTRIES_AT_ONCE = 500;

/**
 * Counts a table's files by reading its whole index, in bounded bites. Undefined when the index moved meanwhile, when it
 * has more than filesMax, or when the signal fired. Throws a MiniodbError.
 * @param knownToken undefined too while the index has this one: nothing has changed since it was counted
 */
export async function totalFiles(
  redis: Redis,
  table: { readonly name: string; readonly generation: string },
  filesMax: number,
  signal: AbortSignal,
  knownToken?: string,
): Promise<FileTotals | undefined> {
  const keys = new ProtocolKeys(table.name, table.generation);
  try {
    const token = (await redis.get(keys.indexToken)) ?? '0';
    if (token === knownToken) return undefined;
    const totals = { files: 0, bytes: 0, rows: 0 };
    for (const partition of await redis.hkeys(keys.indexMap)) {
      // A scan may give an entry twice, never none of those that stay.
      const seen = new Set<string>();
      let cursor = '0';
      do {
        const [next, flat] = await redis.hscan(keys.entries(partition), cursor, 'COUNT', ENTRIES_AT_ONCE);
        cursor = next;
        for (let at = 0; at + 1 < flat.length; at += 2) {
          if (seen.has(flat[at]!)) continue;
          seen.add(flat[at]!);
          const entry = sizesOf(flat[at + 1]!);
          totals.files += 1;
          totals.bytes += entry.sizeBytes;
          totals.rows += entry.rows;
        }
        if (totals.files > filesMax || signal.aborted) return undefined;
      } while (cursor !== '0');
    }
    return ((await redis.get(keys.indexToken)) ?? '0') === token ? { token, ...totals } : undefined;
  } catch (error) {
    throw classifyRedisError(error);
  }
}

function sizesOf(entry: string): { readonly sizeBytes: number; readonly rows: number } {
  const { sizeBytes, rows } = JSON.parse(entry) as { sizeBytes?: unknown; rows?: unknown };
  if (typeof sizeBytes === 'number' && typeof rows === 'number') return { sizeBytes, rows };
  throw new MiniodbError('data_corrupted', 'an index entry has no size or no rows', {
    code: 'index_entry_corrupted',
  });
}

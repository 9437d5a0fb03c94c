import type { Redis } from '@miniodb/core/redis/client.ts';
import { failpoint } from '@miniodb/core/runtime/failpoints.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import type { DropRecord } from '@miniodb/core/table/drop-record.ts';
import { type FixedKeys, ProtocolKeys } from '@miniodb/core/table/keys.ts';
import { tableObjectKey } from '@miniodb/core/table/table-object.ts';

const ENTRIES_AT_ONCE = 200;
const DELETES_AT_ONCE = 8;

/**
 * Removes the files that the index has: their keys from the id sets, which the name's next incarnation uses as well,
 * then the objects, then the entries that lead to both. Answers how many.
 */
export async function removeIndexedFiles(
  redis: Redis,
  fixed: FixedKeys,
  store: ObjectStore,
  { table, generation }: DropRecord,
  signal: AbortSignal,
): Promise<number> {
  const keys = new ProtocolKeys(table, generation);
  let removed = 0;
  for (const partition of await redis.hkeys(keys.indexMap)) {
    let cursor = '0';
    do {
      signal.throwIfAborted();
      const [next, flat] = await redis.hscan(keys.entries(partition), cursor, 'COUNT', ENTRIES_AT_ONCE);
      const fileIds = flat.filter((_, at) => at % 2 === 0);
      const objects = flat.filter((_, at) => at % 2 === 1).flatMap(objectKeyOf);
      const unlist = redis.pipeline();
      for (const object of objects) {
        const idSet = fixed.idFilesOfObject(table, object);
        if (idSet !== undefined) unlist.srem(idSet, object);
      }
      for (const [error] of (await unlist.exec()) ?? []) if (error !== null) throw error;
      await failpoint('dt.collect');
      await deleteObjects(store, objects, signal);
      await failpoint('dt.collect');
      if (fileIds.length > 0) await redis.hdel(keys.entries(partition), ...fileIds);
      await failpoint('dt.collect');
      removed += objects.length;
      cursor = next;
    } while (cursor !== '0');
    await redis.unlink(keys.entries(partition));
    await redis.hdel(keys.indexMap, partition);
  }
  return removed;
}

/** Whatever its version: the object's key is all that is needed of an entry. One without is found by the listing. */
function objectKeyOf(entry: string): string[] {
  try {
    const { key } = JSON.parse(entry) as { key?: unknown };
    return typeof key === 'string' ? [key] : [];
  } catch {
    return [];
  }
}

/** Removes what the index does not know: uploads that were never committed, and what left the index lately. */
export async function removeStrayFiles(
  store: ObjectStore,
  { table, generation }: DropRecord,
  signal: AbortSignal,
): Promise<number> {
  const mark = `-${generation}-`;
  let removed = 0;
  let page: string[] = [];
  for await (const { key } of store.list(`${table}/`, signal)) {
    if (!key.slice(key.lastIndexOf('/') + 1).includes(mark)) continue;
    removed += 1;
    page.push(key);
    if (page.length < DELETES_AT_ONCE) continue;
    await deleteObjects(store, page, signal);
    page = [];
  }
  await deleteObjects(store, [...page, tableObjectKey(table, generation)], signal);
  return removed;
}

async function deleteObjects(
  store: ObjectStore,
  objects: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  for (let from = 0; from < objects.length; from += DELETES_AT_ONCE) {
    await Promise.all(
      objects.slice(from, from + DELETES_AT_ONCE).map((object) => store.delete(object, signal)),
    );
  }
}

import type { TaskProgress } from '@miniodb/core/backup/requests.ts';
import type { Encoder } from '@miniodb/core/encode/encoder.ts';
import type { Redis } from '@miniodb/core/redis/client.ts';
import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import type { Catalog } from '@miniodb/core/table/catalog.ts';
import type { TableConfig } from '@miniodb/core/table/config.ts';
import type { FixedKeys } from '@miniodb/core/table/keys.ts';

/** What backups and restores work with. */
export interface BackupContext {
  readonly redis: Redis;
  readonly fixed: FixedKeys;
  readonly catalog: Pick<Catalog, 'read' | 'create'>;
  readonly defaults: TableConfig;
  /** Of the data. */
  readonly store: ObjectStore;
  /** Of the backups; may be the same. */
  readonly backups: ObjectStore;
  readonly encoder: Encoder;
  /** Of this task alone; exists, and is removed by whoever made it. */
  readonly workDir: string;
}

/** Tells how far a task is; says so at most now and then, and never fails. */
export type TellProgress = (progress: TaskProgress) => void;

/** Objects that are copied, or looked at, at a time. */
const AT_ONCE = 4;

/** Some at a time; the first failure ends it, once those under way have ended. */
export async function eachOf<Item>(
  items: readonly Item[],
  signal: AbortSignal,
  work: (item: Item, at: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (next < items.length && !failed) {
      const at = next;
      next += 1;
      try {
        signal.throwIfAborted();
        await work(items[at]!, at);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: AT_ONCE }, lane));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

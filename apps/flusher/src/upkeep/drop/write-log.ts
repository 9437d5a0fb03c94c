import type { ObjectStore } from '@miniodb/core/storage/object-store.ts';
import { sha256Of } from '@miniodb/core/storage/sha256.ts';
import type { DropRecord } from '@miniodb/core/table/drop-record.ts';

/**
 * Says in the bucket that an incarnation was dropped, before any of its objects goes: whoever rebuilds the index from the
 * bucket must not bring it back. The same bytes whenever it is written again.
 */
export async function writeDropLog(
  store: ObjectStore,
  record: DropRecord,
  signal: AbortSignal,
): Promise<void> {
  const log = {
    v: 1,
    event: 'drop',
    table: record.table,
    generation: record.generation,
    dropped_at: new Date(Number(record.dropped_ms)).toISOString(),
    dropped_by: record.dropped_by,
    rows: Number(record.rows),
    files: Number(record.files),
    shard_history: record.shard_history,
    config: record.config,
  };
  const body = Buffer.from(`${JSON.stringify(log)}\n`);
  await store.put(dropLogKey(record), body, {
    sha256: sha256Of(body),
    contentType: 'application/json',
    signal,
  });
}

function dropLogKey({ table, generation }: DropRecord): string {
  return `${table}/~log/drop-${generation}.json`;
}

import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import type { Fetched } from './fetch.ts';
import type { TableView } from './snapshot.ts';
import type { FileGroup, TableSource } from './views.ts';

/** What the executor reads for one table: its local files, those with the same columns together. */
export function sourceOf(name: string, withPayload: boolean, view: TableView, fetched: Fetched): TableSource {
  const groups = new Map<string, { first: FileEntry; paths: string[] }>();
  for (const file of view.files) {
    const fingerprint = JSON.stringify([file.columns, file.overflow]);
    const path = fetched.paths.get(file.key)!;
    const group = groups.get(fingerprint);
    if (group === undefined) groups.set(fingerprint, { first: file, paths: [path] });
    else group.paths.push(path);
  }
  const files = Array.from(
    groups.values(),
    ({ first, paths }): FileGroup => ({ columns: first.columns, overflow: first.overflow, paths }),
  );
  const metas = Array.from(view.snapshot.pending.values());
  const pendingHas = {
    raw: metas.some(({ hasRaw }) => hasRaw === true),
    overflow: metas.some(({ hasOverflow }) => hasOverflow),
  };
  return { name, schema: view.snapshot.schema, withPayload, files, pending: fetched.pending, pendingHas };
}

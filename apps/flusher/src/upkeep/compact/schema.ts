import type { FileEntry } from '@miniodb/core/index/file-entry.ts';
import {
  type Column,
  foldName,
  isColumnType,
  joinTypes,
  type TableSchema,
} from '@miniodb/core/table/schema.ts';

/**
 * The columns of what files become together: each the narrowest type that holds what they have. Not the table's type,
 * which may be wider: 7 in a column of text needs its overflow to be a number again, in every row.
 *
 * @param table gives names and order; read after the files, so that it has all of their columns
 */
export function schemaOfFiles(files: readonly Pick<FileEntry, 'columns'>[], table: TableSchema): TableSchema {
  const joined = new Map<string, Column>();
  for (const { columns } of files) {
    for (const [name, type] of columns) {
      if (!isColumnType(type)) continue;
      const folded = foldName(name);
      const known = joined.get(folded);
      joined.set(folded, { name: known?.name ?? name, type: known ? joinTypes(known.type, type) : type });
    }
  }
  const inOrder = new Map<string, Column>();
  for (const folded of [...table.keys(), ...joined.keys()]) {
    const column = joined.get(folded);
    if (column !== undefined) inOrder.set(folded, column);
  }
  return inOrder;
}

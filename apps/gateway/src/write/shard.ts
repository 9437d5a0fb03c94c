import {
  COLUMNS_PER_TABLE_MAX,
  type Column,
  type ColumnType,
  foldName,
  joinTypes,
  type TableSchema,
} from '@miniodb/core/table/schema.ts';
import { shardOf } from '@miniodb/core/table/shard.ts';
import type { AcceptedRow, Profile } from './accept.ts';

/** Rows by shard; shards without rows are left out. */
export function splitByShard(
  table: string,
  shards: number,
  rows: readonly AcceptedRow[],
): ReadonlyMap<number, readonly AcceptedRow[]> {
  const split = new Map<number, AcceptedRow[]>();
  for (const row of rows) {
    const shard = shards === 1 ? 0 : shardOf(table, row.id, shards);
    const there = split.get(shard);
    if (there === undefined) split.set(shard, [row]);
    else there.push(row);
  }
  return split;
}

export interface SchemaNeed {
  /** Columns that the schema, as known here, lacks or holds narrower. */
  readonly columns: readonly (Column & { readonly folded: string })[];
  /** Some field will be in no column. */
  readonly hasOverflow: boolean;
}

/** What a profile needs of a table's schema. Columns beyond the cap and clashing spellings go to the overflow. */
export function schemaNeed(profile: Profile, schema: TableSchema): SchemaNeed {
  const columns: (Column & { folded: string })[] = [];
  let { hasOverflow } = profile;
  let room = COLUMNS_PER_TABLE_MAX - schema.size;
  const fresh = new Set<string>();
  for (const [name, type] of profile.types) {
    const folded = foldName(name);
    const known = schema.get(folded);
    if (known === undefined) {
      if (room === 0 || fresh.has(folded)) {
        hasOverflow = true;
        continue;
      }
      fresh.add(folded);
      room -= 1;
      columns.push({ name, type, folded });
    } else if (known.name !== name) hasOverflow = true;
    else if (!covers(known.type, type)) columns.push({ name, type, folded });
  }
  return { columns, hasOverflow };
}

function covers(column: ColumnType, value: ColumnType): boolean {
  return column === value || joinTypes(column, value) === column;
}

import { foldName } from '../table/schema.ts';
import type { SqlNode } from './grammar.ts';
import type { StarUse } from './walk.ts';

/**
 * `payload` is not part of `*`, but a view that has the column shows it there. So every star over a base table gets
 * `EXCLUDE (<alias>.payload)`, in place, unless the star itself speaks of payload (EXCLUDE, REPLACE, RENAME).
 *
 * Rejected: a view that hides the column (DuckDB has hidden columns in tables and file readers only), and an
 * unqualified EXCLUDE (it would take a subquery's or a CTE's own `payload` away as well).
 *
 * @returns whether anything changed
 */
export function excludePayload(stars: readonly StarUse[]): boolean {
  let changed = false;
  for (const { star, tables } of stars) {
    if (speaksOfPayload(star)) continue;
    const list = star.qualified_exclude_list as unknown[];
    const excluded = new Set(list.map((entry) => excludedName(entry as SqlNode)));
    for (const table of tables) {
      if (excluded.has(`${foldName(table)}.payload`)) continue;
      list.push({ catalog: '', schema: '', table, column: 'payload' });
      changed = true;
    }
  }
  return changed;
}

function excludedName(entry: SqlNode): string {
  return `${foldName(String(entry.table))}.${foldName(String(entry.column))}`;
}

function speaksOfPayload(star: SqlNode): boolean {
  const names = [
    ...(star.exclude_list as string[]),
    ...(star.replace_list as { key: string }[]).map((entry) => entry.key),
    ...(star.rename_list as { key: { column: string } }[]).map((entry) => entry.key.column),
  ];
  return names.some((name) => foldName(name) === 'payload');
}

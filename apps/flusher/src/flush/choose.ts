/** One piece of work that waits for a slot: a seal to make and drive, a seal to drive on, or jobs to clear. */
export interface Waiting {
  readonly table: string;
  /** `<table>|s00` */
  readonly shard: string;
  /** When it was first seen due, on a clock that only goes forward. */
  readonly sinceMs: number;
  /** Work of this table that may run at once here, and of this shard. */
  readonly tableMax: number;
  readonly shardMax: number;
}

export interface Load {
  readonly slots: number;
  /** What runs, a piece of work each. */
  readonly running: readonly { readonly table: string; readonly shard: string }[];
  /** The table's turn: the smaller, the sooner (flush/turns.ts). */
  turnOf(table: string): number;
}

/**
 * What takes the next slot, or undefined when nothing may. No table and no shard beyond its own bound; the last free
 * slot only for a table that runs nothing, so that however much the busy ones have to do, a quiet one finds a slot.
 * Among the rest: whose table runs least, then whose turn it is, then what was due first.
 */
export function chooseNext<Work extends Waiting>(waiting: Iterable<Work>, load: Load): Work | undefined {
  const free = load.slots - load.running.length;
  if (free <= 0) return undefined;
  const tables = countBy(load.running, ({ table }) => table);
  const shards = countBy(load.running, ({ shard }) => shard);
  // With one slot in all there is none to keep: tables take turns on it.
  const isLast = free === 1 && load.slots > 1;
  let best: Work | undefined;
  for (const work of waiting) {
    const running = tables.get(work.table) ?? 0;
    if (running >= work.tableMax || (shards.get(work.shard) ?? 0) >= work.shardMax) continue;
    if (isLast && running > 0) continue;
    if (best === undefined || isBefore(work, best)) best = work;
  }
  return best;

  function isBefore(a: Work, b: Work): boolean {
    if (a.table === b.table) return a.sinceMs < b.sinceMs;
    const running = (tables.get(a.table) ?? 0) - (tables.get(b.table) ?? 0);
    if (running !== 0) return running < 0;
    const turn = load.turnOf(a.table) - load.turnOf(b.table);
    return turn === 0 ? a.sinceMs < b.sinceMs : turn < 0;
  }
}

/**
 * Flushes of one shard that may run at once: one, unless the table is allowed more of them than it has shards here.
 * Their seals are disjoint, and commits may come in any order.
 */
export function shardMax(flushWorkers: number, shardsOwned: number): number {
  return Math.max(1, Math.ceil(flushWorkers / Math.max(shardsOwned, 1)));
}

function countBy<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}

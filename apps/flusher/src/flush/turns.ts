import { LRUCache } from 'lru-cache';

const TABLES_MAX = 10_000;

/**
 * Whose turn it is, by the time that each table's work has held slots: who had less comes first. A table that had
 * nothing to do starts level with the one that was served last: having been idle is not saved up.
 */
export class Turns {
  readonly #heldMs = new LRUCache<string, number>({ max: TABLES_MAX });
  /** Where the table stood that took a slot last; only grows. */
  #levelMs = 0;

  turnOf(table: string): number {
    return Math.max(this.#heldMs.get(table) ?? 0, this.#levelMs);
  }

  took(table: string): void {
    this.#levelMs = this.turnOf(table);
    this.#heldMs.set(table, this.#levelMs);
  }

  held(table: string, ms: number): void {
    this.#heldMs.set(table, (this.#heldMs.get(table) ?? this.#levelMs) + ms);
  }
}

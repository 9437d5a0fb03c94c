import { LRUCache } from 'lru-cache';

const FIRST_MS = 200;
const KEYS_MAX = 100_000;

/** Growing pauses after failures, by key: a shard, or a seal. Forgets on success. */
export class Backoff {
  readonly #pauseMsMax: number;
  readonly #failed = new LRUCache<string, { readonly until: number; readonly failures: number }>({
    max: KEYS_MAX,
  });

  constructor(pauseMsMax: number) {
    this.#pauseMsMax = pauseMsMax;
  }

  /** @param nowMs of a clock that only goes forward */
  isPausing(key: string, nowMs: number): boolean {
    return (this.#failed.get(key)?.until ?? 0) > nowMs;
  }

  failed(key: string, nowMs: number): { readonly failures: number; readonly pauseMs: number } {
    const failures = (this.#failed.get(key)?.failures ?? 0) + 1;
    const pauseMs = Math.min(FIRST_MS * 2 ** (failures - 1), this.#pauseMsMax);
    this.#failed.set(key, { until: nowMs + pauseMs, failures });
    return { failures, pauseMs };
  }

  succeeded(key: string): void {
    this.#failed.delete(key);
  }
}

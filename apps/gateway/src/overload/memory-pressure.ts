/**
 * What a write hears while Redis fills up. Below SLOW_FROM nothing; from there a delay that grows, so that producers
 * who wait for answers slow down by themselves; from REFUSE_FROM the tables that hold most of what is pending are
 * refused, more of them the fuller it gets; from REFUSE_ALL_FROM all. What is left above is for what frees memory: the
 * work of flushers, and transactions that are under way.
 */
export const SLOW_FROM = 0.6;
export const REFUSE_FROM = 0.75;
export const REFUSE_ALL_FROM = 0.85;
/** Callers' deadlines are seconds. */
export const DELAY_MS_MAX = 500;
/** At REFUSE_FROM, the largest tables that hold this part of what is pending; at REFUSE_ALL_FROM, all of it. */
const HELD_FROM = 0.5;
const RETRY_SOME_MS = 2_000;
const RETRY_ALL_MS = 5_000;

export type Pressure =
  | { readonly kind: 'none' }
  | { readonly kind: 'slow'; readonly delayMs: number }
  | { readonly kind: 'refuse'; readonly retryAfterMs: number };

/**
 * @param fullness used memory by the most there may be, 0 to 1 or above
 * @param pendingBytes of every table that has some
 */
export function pressureOn(
  table: string,
  fullness: number,
  pendingBytes: ReadonlyMap<string, number>,
): Pressure {
  if (fullness < SLOW_FROM) return { kind: 'none' };
  if (fullness < REFUSE_FROM) {
    const part = (fullness - SLOW_FROM) / (REFUSE_FROM - SLOW_FROM);
    return { kind: 'slow', delayMs: Math.ceil(part * DELAY_MS_MAX) };
  }
  const own = pendingBytes.get(table) ?? 0;
  let total = 0;
  let larger = 0;
  for (const bytes of pendingBytes.values()) {
    total += bytes;
    if (bytes > own) larger += bytes;
  }
  if (fullness >= REFUSE_ALL_FROM) return { kind: 'refuse', retryAfterMs: RETRY_ALL_MS };
  const part = (fullness - REFUSE_FROM) / (REFUSE_ALL_FROM - REFUSE_FROM);
  const held = HELD_FROM + part * (1 - HELD_FROM);
  // Tables of the same size share one fate: what is larger than both is the same.
  if (own > 0 && larger < held * total) return { kind: 'refuse', retryAfterMs: RETRY_SOME_MS };
  return { kind: 'slow', delayMs: DELAY_MS_MAX };
}
